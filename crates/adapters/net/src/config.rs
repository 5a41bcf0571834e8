//! What a network is set up with: who we are, how much we put up with, and how long we wait.

use std::collections::BTreeMap;
use std::time::Duration;

use bitcoin::constants::ChainHash;
use quittance_primitives::{Features, NodeId};
use secp256k1::SecretKey;

/// What a network is set up with.
#[derive(Clone)]
pub struct Config {
    /// The node's key, which the transport authenticates by.
    pub key: SecretKey,
    /// What our `init` says.
    pub features: Features,
    /// What it says to these peers instead.
    pub features_by_peer: BTreeMap<NodeId, Features>,
    /// The chain that our channels stand on.
    pub chain: ChainHash,
    /// How much we put up with.
    pub limits: Limits,
    /// How long we wait.
    pub timing: Timing,
}

/// How much we put up with. Every limit is per process unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers that are connected; those that we keep connections to are let in beyond it.
    pub peers_max: usize,
    /// Connections from one address, in whatever state. Loopback counts as many addresses: it is where proxies call from.
    pub per_address_max: usize,
    /// Connections whose handshake or `init` is not finished. At one more the oldest is dropped: it has had the longest time.
    pub half_open_max: usize,
    /// Messages that wait to be sent to one peer. At one more the peer does not read, and loses its connection.
    pub outbox_messages_max: usize,
    /// Messages a second from one peer that concern no channel (pings, gossip, unknown ones); more of them are read later.
    pub idle_messages_per_second: u32,
    /// How many of those may come at once.
    pub idle_messages_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers_max: 1_000,
            per_address_max: 64,
            half_open_max: 128,
            outbox_messages_max: 4_096,
            idle_messages_per_second: 100,
            idle_messages_burst: 1_000,
        }
    }
}

/// How long we wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For a TCP connection to a peer.
    pub connect: Duration,
    /// For the whole handshake, and again for the peer's `init`.
    pub handshake: Duration,
    /// For a peer to take what we send it.
    pub write: Duration,
    /// Between our pings. BOLT 1 wants no more than one in 30 seconds to be answered.
    pub ping: Duration,
    /// For any sign of life after a ping.
    pub pong: Duration,
    /// Before the first attempt to reach a peer again.
    pub redial_first: Duration,
    /// Between attempts at most.
    pub redial_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(30),
            ping: Duration::from_secs(40),
            pong: Duration::from_secs(20),
            redial_first: Duration::from_millis(500),
            redial_max: Duration::from_mins(5),
        }
    }
}

impl Config {
    /// What our `init` says to a peer.
    pub(crate) fn features_for(&self, peer: &NodeId) -> &Features {
        self.features_by_peer.get(peer).unwrap_or(&self.features)
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("features", &self.features)
            .field("features_by_peer", &self.features_by_peer)
            .field("chain", &self.chain)
            .field("limits", &self.limits)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
