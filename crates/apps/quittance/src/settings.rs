//! What the node is set up with: from flags, else from the environment, else from `quittance.toml` in its folder, else by default.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bitcoin::Network;
use quittance_node::PeerAddress;
use quittance_primitives::NodeId;
use serde::Deserialize;

use crate::arguments::{Common, RunOptions};
use crate::secrets;

/// What the node is set up with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) folder: PathBuf,
    pub(crate) network: Network,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) api: SocketAddr,
    /// By what other names clients call the interface, for its certificate.
    pub(crate) tls_names: Vec<String>,
    pub(crate) peers: Vec<(NodeId, PeerAddress)>,
    /// With whom channels may be used before they are confirmed.
    pub(crate) zeroconf_peers: BTreeSet<NodeId>,
    pub(crate) bitcoind: Option<String>,
    pub(crate) bitcoind_cookie: Option<PathBuf>,
    pub(crate) bitcoind_user: Option<(String, String)>,
    pub(crate) alias: String,
    pub(crate) color: [u8; 3],
    pub(crate) announced: Vec<PeerAddress>,
    pub(crate) confirm_events: bool,
    pub(crate) log: String,
    pub(crate) passphrase: Option<String>,
    pub(crate) hasty: bool,
}

/// `quittance.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    network: Option<String>,
    #[serde(default)]
    listen: Vec<SocketAddr>,
    api: Option<SocketAddr>,
    #[serde(default)]
    tls_names: Vec<String>,
    #[serde(default)]
    peers: Vec<String>,
    /// Ids of peers that are trusted not to take back the funding of their channels.
    #[serde(default)]
    zeroconf_peers: Vec<String>,
    /// What the node calls itself where it is announced.
    #[serde(default)]
    alias: String,
    /// Its colour there, as `#rrggbb`.
    color: Option<String>,
    /// Where it is reached, as it is announced.
    #[serde(default)]
    announce: Vec<String>,
    #[serde(default)]
    confirm_events: bool,
    log: Option<String>,
    #[serde(rename = "passphrase-file")]
    passphrase_in: Option<PathBuf>,
    #[serde(default)]
    bitcoind: BitcoindFile,
}

/// Its part for bitcoind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BitcoindFile {
    url: Option<String>,
    cookie: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
}

/// The name of the file.
pub(crate) const FILE: &str = "quittance.toml";
/// Where commands are listened for.
const API_PORT: u16 = 9_736;

/// The node's folder.
pub(crate) fn folder(common: &Common) -> Result<PathBuf, String> {
    if let Some(dir) = &common.dir {
        return Ok(dir.clone());
    }
    if let Some(dir) = std::env::var_os("QUITTANCE_DIR") {
        return Ok(dir.into());
    }
    let home = std::env::var_os("HOME").ok_or("there is no HOME: say where the node's folder is, with --dir")?;
    Ok(PathBuf::from(home).join(".quittance"))
}

impl Settings {
    /// Everything together.
    pub(crate) fn read(common: &Common, options: &RunOptions) -> Result<Self, String> {
        let folder = folder(common)?;
        let file = File::read(&folder)?;
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let network = options
            .network
            .clone()
            .or_else(|| environment("QUITTANCE_NETWORK"))
            .or(file.network);
        let network = network.ok_or(
            "on which network? say --network bitcoin, testnet4, signet or regtest, or put `network = \"regtest\"` into quittance.toml",
        )?;
        let network = Network::from_str(&network).map_err(|_| {
            format!("{network:?} is no network; there are bitcoin, testnet, testnet4, signet and regtest")
        })?;
        let api = options
            .api
            .or(file.api)
            .unwrap_or((Ipv4Addr::LOCALHOST, API_PORT).into());
        let peers = first_given(&options.peer, file.peers);
        let zeroconf_peers = first_given(&options.zeroconf_peer, file.zeroconf_peers);
        let passphrase = passphrase(options.passphrase_file.clone(), file.passphrase_in)?;
        let user = file.bitcoind.user.or_else(|| environment("QUITTANCE_BITCOIND_USER"));
        let password = file
            .bitcoind
            .password
            .or_else(|| environment("QUITTANCE_BITCOIND_PASSWORD"));
        Ok(Self {
            folder,
            network,
            listen: first_given(&options.listen, file.listen),
            api,
            tls_names: file.tls_names,
            peers: peers.iter().map(|peer| peer_of(peer)).collect::<Result<_, _>>()?,
            zeroconf_peers: zeroconf_peers
                .iter()
                .map(|peer| node_of(peer))
                .collect::<Result<_, _>>()?,
            bitcoind: options
                .bitcoind
                .clone()
                .or_else(|| environment("QUITTANCE_BITCOIND"))
                .or(file.bitcoind.url),
            bitcoind_cookie: options.bitcoind_cookie.clone().or(file.bitcoind.cookie),
            bitcoind_user: user.zip(password),
            alias: file.alias,
            color: file.color.as_deref().map_or(Ok([0; 3]), color_of)?,
            announced: file
                .announce
                .iter()
                .map(|address| address_of(address))
                .collect::<Result<_, _>>()?,
            confirm_events: options.confirm_events || file.confirm_events,
            log: options
                .log
                .clone()
                .or_else(|| environment("QUITTANCE_LOG"))
                .or(file.log)
                .unwrap_or_else(|| "info".to_owned()),
            passphrase,
            hasty: options.hasty,
        })
    }
}

/// What flags say, or if they say nothing, the file.
fn first_given<T: Clone>(by_flags: &[T], by_file: Vec<T>) -> Vec<T> {
    if by_flags.is_empty() {
        by_file
    } else {
        by_flags.to_vec()
    }
}

/// The seed's passphrase: from the file that is named, first of all by a flag, else from the environment.
fn passphrase(by_flag: Option<PathBuf>, by_file: Option<PathBuf>) -> Result<Option<String>, String> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let path = by_flag
        .or_else(|| environment("QUITTANCE_PASSPHRASE_FILE").map(PathBuf::from))
        .or(by_file);
    match path {
        Some(path) => secrets::from_file(&path).map(Some),
        None => Ok(environment("QUITTANCE_PASSPHRASE")),
    }
}

impl File {
    fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The error names line and column, shows the line, and says what is wrong with it.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

fn address_of(text: &str) -> Result<PeerAddress, String> {
    text.parse()
        .map_err(|error: quittance_net::InvalidAddress| error.to_string())
}

/// Reads `#rrggbb`.
fn color_of(text: &str) -> Result<[u8; 3], String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let color: Result<quittance_api::Hex<3>, _> = digits.parse();
    Ok(color
        .map_err(|_| format!("{text:?} is no colour; write #rrggbb, for instance #ff8800"))?
        .0)
}

/// Reads `NODE@HOST:PORT`.
pub(crate) fn peer_of(text: &str) -> Result<(NodeId, PeerAddress), String> {
    let (id, address) = text
        .split_once('@')
        .ok_or_else(|| format!("{text:?} is no peer; write NODE@HOST:PORT"))?;
    let address = address.parse::<PeerAddress>().map_err(|error| error.to_string())?;
    Ok((node_of(id)?, address))
}

/// Reads a node's id.
pub(crate) fn node_of(text: &str) -> Result<NodeId, String> {
    let id: quittance_api::Hex<33> = text
        .parse()
        .map_err(|error| format!("{text:?} is no node id: {error}"))?;
    let id = NodeId(id.0);
    id.public_key().map_err(|error| error.to_string())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_the_file_names_the_line_and_what_may_stand_there() {
        let error = File::parse("network = \"regtest\"\nlisen = [\"127.0.0.1:9735\"]\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2, column 1"), "{error}");
        assert!(
            error.contains("unknown field `lisen`, expected one of `network`, `listen`"),
            "{error}"
        );
        let error = File::parse("api = \"here\"").unwrap_err().to_string();
        assert!(
            error.contains("line 1") && error.contains("invalid socket address"),
            "{error}"
        );
    }

    #[test]
    fn the_whole_file_is_read() {
        let text = "network = \"signet\"\nlisten = [\"127.0.0.1:1\"]\npeers = [\"02aa@h:1\"]\nzeroconf-peers = [\"02aa\"]\nconfirm-events = true\n[bitcoind]\nurl = \"http://127.0.0.1:38332\"\ncookie = \"c\"\n";
        let file = File::parse(text).unwrap();
        assert_eq!(file.network.as_deref(), Some("signet"));
        assert_eq!(file.bitcoind.url.as_deref(), Some("http://127.0.0.1:38332"));
        assert_eq!(file.zeroconf_peers, ["02aa"]);
        assert!(file.confirm_events);
    }

    #[test]
    fn a_colour_is_six_hex_digits() {
        assert_eq!(color_of("#ff8800"), Ok([0xff, 0x88, 0]));
        assert_eq!(
            color_of("orange"),
            Err("\"orange\" is no colour; write #rrggbb, for instance #ff8800".to_owned())
        );
    }

    #[test]
    fn a_peer_is_an_id_and_an_address() {
        let id = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
        let (node, address) = peer_of(&format!("{id}@127.0.0.1:9735")).unwrap();
        assert_eq!(
            (node.to_string().as_str(), address.to_string().as_str()),
            (id, "127.0.0.1:9735")
        );
        for wrong in [
            "127.0.0.1:9735",
            "02ee@127.0.0.1:9735",
            &format!("{id}@"),
            &format!("05{}@h:1", &id[2..]),
        ] {
            assert!(peer_of(wrong).is_err(), "{wrong}");
        }
    }
}
