//! Messages of BOLT 7, for the signer to sign.

use quittance_primitives::ChannelId;
use quittance_wire::{ChannelAnnouncement, ChannelUpdate, NodeAnnouncement};
use secp256k1::ecdsa::Signature;

/// A message of BOLT 7 that is complete but for our signatures, in whose place there is [`GossipToSign::unsigned`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipToSign {
    /// What we ask for forwarding through a channel, to be signed by the node's key.
    Update(ChannelUpdate),
    /// Our half of the signatures of an announcement, as `announcement_signatures`: by the node's key and the channel's funding key.
    Signatures(Box<AnnouncementToSign>),
    /// The announcement of a channel with the peer's half of the signatures, to be signed by the same two keys.
    Announcement(Box<AnnouncementToSign>),
    /// What we say of our node, to be signed by the node's key.
    Node(Box<NodeAnnouncement>),
}

/// The announcement of a channel, for our end to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncementToSign {
    /// The channel.
    pub channel_id: ChannelId,
    /// By which the signer finds the channel's keys.
    pub signer_keys_id: [u8; 32],
    /// Which end of the channel is ours.
    pub ours: AnnouncementEnd,
    /// What is signed.
    pub announcement: ChannelAnnouncement,
}

/// An end of a channel in its announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncementEnd {
    /// `node_id_1`.
    First,
    /// `node_id_2`.
    Second,
}

impl GossipToSign {
    /// What stands in the place of a signature that is still to be made. It is a signature of nothing.
    ///
    /// # Panics
    /// Never: the bytes have a signature's form.
    pub fn unsigned() -> Signature {
        Signature::from_compact(&[1; 64]).expect("two small scalars have a signature's form")
    }
}
