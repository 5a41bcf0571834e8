//! Where a peer is reached: a host and a port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use quittance_wire::NodeAddress;

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: String,
    port: u16,
}

/// Not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address; write HOST:PORT, for instance 127.0.0.1:9735 or [::1]:9735")]
pub struct InvalidAddress(pub String);

/// The port of an address that names none (BOLT 1).
const DEFAULT_PORT: u16 = 9_735;
/// The longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 255;

impl PeerAddress {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for PeerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| invalid())?),
            None => (text, DEFAULT_PORT),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_name) || port == 0 {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl TryFrom<&NodeAddress> for PeerAddress {
    type Error = InvalidAddress;

    /// BOLT 7: addresses with port 0 and of unknown kinds are ignored; Tor is not dialled yet.
    fn try_from(address: &NodeAddress) -> Result<Self, InvalidAddress> {
        let (host, port) = match address {
            NodeAddress::Ipv4 { address, port } => (address.to_string(), *port),
            NodeAddress::Ipv6 { address, port } => (address.to_string(), *port),
            NodeAddress::DnsHostname { hostname, port } => (hostname.clone(), *port),
            NodeAddress::TorV2(_) | NodeAddress::TorV3 { .. } | NodeAddress::Unknown { .. } => {
                return Err(InvalidAddress(format!("{address:?}")));
            }
        };
        if port == 0 {
            return Err(InvalidAddress(format!("{host}:0")));
        }
        Ok(Self { host, port })
    }
}

impl From<&PeerAddress> for NodeAddress {
    /// As BOLT 7 announces it.
    fn from(address: &PeerAddress) -> Self {
        let port = address.port;
        match address.host.parse() {
            Ok(IpAddr::V4(address)) => Self::Ipv4 { address, port },
            Ok(IpAddr::V6(address)) => Self::Ipv6 { address, port },
            Err(_) => Self::DnsHostname {
                hostname: address.host.clone(),
                port,
            },
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_what_can_be_called() {
        for text in ["127.0.0.1:19846", "[::1]:9735", "node.example.org:1"] {
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!(PeerAddress::try_from(&NodeAddress::from(&address)), Ok(address));
        }
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, read) in [
            ("127.0.0.1:19846", "127.0.0.1:19846"),
            ("[::1]:9735", "[::1]:9735"),
            ("node.example.org:1", "node.example.org:1"),
            ("localhost", "localhost:9735"),
        ] {
            assert_eq!(
                text.parse::<PeerAddress>().map(|address| address.to_string()),
                Ok(read.to_owned())
            );
        }
        for text in ["", ":1", "host:0", "host:70000", "a b:1", "::1"] {
            assert_eq!(text.parse::<PeerAddress>(), Err(InvalidAddress(text.to_owned())));
        }
    }
}
