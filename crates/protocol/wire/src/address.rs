//! Where a node is reached (BOLT 7, address descriptors).
//!
//! Descriptors carry no length of their own: behind one of an unknown type nothing can be told apart, so it takes all
//! that follows. A node's list is kept as it came, since the node's signature covers it.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::field::{read_length_and_bytes, write_length_and_bytes};
use crate::{Flaw, Reader, Wire};

/// One address descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAddress {
    /// Type 1.
    Ipv4 {
        /// The address.
        address: Ipv4Addr,
        /// The port; an address with port 0 is to be ignored.
        port: u16,
    },
    /// Type 2.
    Ipv6 {
        /// The address.
        address: Ipv6Addr,
        /// The port; an address with port 0 is to be ignored.
        port: u16,
    },
    /// Type 3, of a network that is no more: to be ignored.
    TorV2([u8; 12]),
    /// Type 4.
    TorV3 {
        /// Public key (32), checksum (2) and version (1), as in the `.onion` name.
        onion: [u8; 35],
        /// The port.
        port: u16,
    },
    /// Type 5.
    DnsHostname {
        /// The name, in ASCII, of at most 255 bytes.
        hostname: String,
        /// The port; an address with port 0 is to be ignored.
        port: u16,
    },
    /// A type that we do not know, and all that follows it.
    Unknown {
        /// The type.
        descriptor: u8,
        /// Everything behind the type.
        data: Vec<u8>,
    },
}

/// The addresses of a `node_announcement`, exactly as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAddresses(Vec<u8>);

impl NodeAddress {
    /// The number of its type.
    pub const fn descriptor(&self) -> u8 {
        match self {
            Self::Ipv4 { .. } => IPV4,
            Self::Ipv6 { .. } => IPV6,
            Self::TorV2(_) => TOR_V2,
            Self::TorV3 { .. } => TOR_V3,
            Self::DnsHostname { .. } => DNS_HOSTNAME,
            Self::Unknown { descriptor, .. } => *descriptor,
        }
    }
}

impl NodeAddresses {
    /// The addresses, in their order.
    pub fn iter(&self) -> impl Iterator<Item = NodeAddress> + '_ {
        let mut reader = Reader::new(&self.0);
        core::iter::from_fn(move || {
            (reader.remaining() > 0)
                .then(|| NodeAddress::read(&mut reader).ok())
                .flatten()
        })
    }

    /// The bytes as they travel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> FromIterator<&'a NodeAddress> for NodeAddresses {
    fn from_iter<I: IntoIterator<Item = &'a NodeAddress>>(addresses: I) -> Self {
        let mut bytes = Vec::new();
        addresses.into_iter().for_each(|address| address.write(&mut bytes));
        Self(bytes)
    }
}

impl Wire for NodeAddresses {
    fn write(&self, out: &mut Vec<u8>) {
        write_length_and_bytes(&self.0, out);
    }

    /// BOLT 7: the list must hold its addresses of known types in full.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let bytes = read_length_and_bytes(reader)?;
        let mut addresses = Reader::new(bytes);
        while addresses.remaining() > 0 {
            NodeAddress::read(&mut addresses)?;
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl Wire for NodeAddress {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ipv4 { address, port } => {
                out.push(IPV4);
                address.octets().write(out);
                port.write(out);
            }
            Self::Ipv6 { address, port } => {
                out.push(IPV6);
                address.octets().write(out);
                port.write(out);
            }
            Self::TorV2(data) => {
                out.push(TOR_V2);
                data.write(out);
            }
            Self::TorV3 { onion, port } => {
                out.push(TOR_V3);
                onion.write(out);
                port.write(out);
            }
            Self::DnsHostname { hostname, port } => {
                out.push(DNS_HOSTNAME);
                u8::try_from(hostname.len())
                    .expect("a host name has at most 255 bytes")
                    .write(out);
                out.extend_from_slice(hostname.as_bytes());
                port.write(out);
            }
            Self::Unknown { descriptor, data } => {
                out.push(*descriptor);
                out.extend_from_slice(data);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(match u8::read(reader)? {
            IPV4 => Self::Ipv4 {
                address: Ipv4Addr::from(*reader.take_array()?),
                port: u16::read(reader)?,
            },
            IPV6 => Self::Ipv6 {
                address: Ipv6Addr::from(*reader.take_array()?),
                port: u16::read(reader)?,
            },
            TOR_V2 => Self::TorV2(Wire::read(reader)?),
            TOR_V3 => Self::TorV3 {
                onion: Wire::read(reader)?,
                port: u16::read(reader)?,
            },
            DNS_HOSTNAME => {
                let length = usize::from(u8::read(reader)?);
                let name = reader.take(length)?;
                Self::DnsHostname {
                    hostname: name
                        .iter()
                        .map(|byte| byte.is_ascii().then_some(char::from(*byte)))
                        .collect::<Option<_>>()
                        .ok_or(Flaw::InvalidHostname)?,
                    port: u16::read(reader)?,
                }
            }
            descriptor => Self::Unknown {
                descriptor,
                data: reader.take_rest().to_vec(),
            },
        })
    }
}

crate::field::fills_a_record!(NodeAddress);

const IPV4: u8 = 1;
const IPV6: u8 = 2;
const TOR_V2: u8 = 3;
const TOR_V3: u8 = 4;
const DNS_HOSTNAME: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<NodeAddresses, Flaw> {
        let mut with_length = Vec::new();
        write_length_and_bytes(bytes, &mut with_length);
        NodeAddresses::read(&mut Reader::new(&with_length))
    }

    #[test]
    fn addresses_behind_an_unknown_type_are_kept_and_not_interpreted() {
        let bytes = [1, 127, 0, 0, 1, 0x26, 0x07, 99, 1, 2, 3];
        let addresses = read(&bytes).unwrap();
        assert_eq!(
            addresses.iter().collect::<Vec<_>>(),
            [
                NodeAddress::Ipv4 {
                    address: Ipv4Addr::LOCALHOST,
                    port: 9_735
                },
                NodeAddress::Unknown {
                    descriptor: 99,
                    data: vec![1, 2, 3]
                },
            ]
        );
        assert_eq!(addresses.as_bytes(), bytes);
    }

    #[test]
    fn a_known_address_that_does_not_fit_its_list_is_refused() {
        assert_eq!(read(&[2, 0, 0]), Err(Flaw::UnexpectedEnd { needed: 16, left: 2 }));
    }

    #[test]
    fn host_names_are_ascii() {
        let mut bytes = vec![5, 2, b'a', 0xc3, 0, 1];
        assert_eq!(read(&bytes), Err(Flaw::InvalidHostname));
        bytes[3] = b'b';
        let address = NodeAddress::DnsHostname {
            hostname: "ab".to_owned(),
            port: 1,
        };
        assert_eq!(
            read(&bytes).unwrap().iter().collect::<Vec<_>>(),
            std::slice::from_ref(&address)
        );
        assert_eq!([&address].into_iter().collect::<NodeAddresses>().as_bytes(), bytes);
    }
}
