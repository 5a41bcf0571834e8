//! BOLT 1: how two nodes greet each other, complain, stay in touch and keep each other's backups.

use bitcoin::constants::ChainHash;
use quittance_primitives::{ChannelId, Features};

use crate::NodeAddress;
use crate::message::message;

message! {
    /// The first message of each side: what it can do and what it requires (BOLT 1, `init`).
    #[derive(Debug)]
    Init = 16 "init" {
        /// Historical; see [`Init::all_features`].
        globalfeatures: Features,
        features: Features,
    }
    records {
        /// The chains of interest.
        1 => networks: Vec<ChainHash>,
        /// The address that the receiver connected from.
        3 => remote_addr: NodeAddress,
    }
}

impl Init {
    /// Both bit fields as the one that they are (BOLT 1: they are combined).
    #[must_use]
    pub fn all_features(&self) -> Features {
        self.features.clone().union(&self.globalfeatures)
    }
}

message! {
    /// Something is wrong, and the channel may go on (BOLT 1, `warning`).
    #[derive(Debug)]
    Warning = 1 "warning" {
        /// The channel, or [`ChannelId::ALL`] for the connection.
        channel_id: ChannelId,
        /// Printable text, if the sender keeps to the BOLT.
        data: Vec<u8>,
    }
}

message! {
    /// The channel fails, or all of them (BOLT 1, `error`).
    #[derive(Debug)]
    ErrorMessage = 17 "error" {
        /// The channel, or [`ChannelId::ALL`] for all channels with the sender.
        channel_id: ChannelId,
        /// Printable text, if the sender keeps to the BOLT.
        data: Vec<u8>,
    }
}

message! {
    /// Asks for a sign of life (BOLT 1, `ping`).
    #[derive(Debug)]
    Ping = 18 "ping" {
        num_pong_bytes: u16,
        ignored: Vec<u8>,
    }
}

impl Ping {
    /// The answer that is due, or `None` when none must be sent: `num_pong_bytes` of 65532 and above ask for silence.
    pub fn pong(&self) -> Option<Pong> {
        (self.num_pong_bytes < 65_532).then(|| Pong {
            ignored: vec![0; usize::from(self.num_pong_bytes)],
        })
    }
}

message! {
    /// The sign of life (BOLT 1, `pong`).
    #[derive(Debug)]
    Pong = 19 "pong" {
        ignored: Vec<u8>,
    }
}

message! {
    /// An encrypted blob for the receiver to keep (BOLT 1, `peer_storage`).
    #[derive(Debug)]
    PeerStorage = 7 "peer_storage" {
        blob: Vec<u8>,
    }
}

message! {
    /// The blob that was kept for the receiver, returned on reconnection (BOLT 1, `peer_storage_retrieval`).
    #[derive(Debug)]
    PeerStorageRetrieval = 9 "peer_storage_retrieval" {
        blob: Vec<u8>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_that_asks_for_silence_gets_no_pong() {
        let ping = |num_pong_bytes| Ping {
            num_pong_bytes,
            ignored: Vec::new(),
        };
        assert_eq!(ping(65_532).pong(), None);
        let pong = ping(65_531).pong().map(|pong| pong.ignored.len());
        assert_eq!(pong, Some(65_531));
    }

    #[test]
    fn both_feature_fields_count() {
        let mut init = Init {
            globalfeatures: Features::empty(),
            features: Features::empty(),
            networks: None,
            remote_addr: None,
        };
        init.globalfeatures.set_bit(9);
        init.features.set_bit(0);
        assert_eq!(init.all_features().bits().collect::<Vec<_>>(), [0, 9]);
    }
}
