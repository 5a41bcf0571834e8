//! What we say of our own channels, and hear of them, in the words of BOLT 7. Not the network's graph.
//!
//! Nothing here decides what becomes of money: our fees are the channel's policy, in its log; a peer's are kept for the hints of our
//! invoices. What is kept is a row for each channel, which may be lost: then a peer says it again, and so do we.
//! What is said is derived from the channels whenever one has changed, and compared with what its peer was told on this connection, so
//! that there is no list of messages that are still owed.
//!
//! Start at `announcing`, [`ChannelManager::tell_of_channel`]; then `terms`, `node`, `queries`.

mod announcing;
mod node;
mod queries;
mod terms;

use std::collections::{BTreeMap, BTreeSet};

use quittance_channel::ForwardingPolicy;
use quittance_primitives::{ChannelId, Features, NodeId, ShortChannelId};
use quittance_wire::{ChannelUpdate, Message, NodeAddresses, NodeAnnouncement};

use crate::manager::ChannelManager;
use crate::turn::Turn;

pub(crate) use node::NODE_VERSION;
pub(crate) use terms::{TERMS_VERSION, Terms};

/// What others are told of our node, once it has an announced channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// What it calls itself: UTF-8, filled up with zeros.
    pub alias: [u8; 32],
    /// Red, green, blue.
    pub color: [u8; 3],
    /// Where it is reached.
    pub addresses: NodeAddresses,
    /// What it can do.
    pub features: Features,
}

/// What was said of our channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gossip {
    /// What both ends of each channel ask for, as they said it last: the rows.
    terms: BTreeMap<ChannelId, Terms>,
    /// What we said of our node last: a row of the header.
    node: Option<NodeAnnouncement>,
    /// What each peer that is connected was told of our terms since it is.
    told: BTreeMap<ChannelId, ChannelUpdate>,
    /// Channels whose peer got our half of the announcement's signatures on this connection.
    signatures_sent: BTreeSet<ChannelId>,
    /// Channels whose peer sent its half on this connection, and so wants ours.
    signatures_wanted: BTreeSet<ChannelId>,
    /// For which place in the chain the peer's half is known to be good.
    signed_for: BTreeMap<ChannelId, ShortChannelId>,
    /// Channels that were announced since the start of the process, and under which name.
    published: BTreeMap<ChannelId, ShortChannelId>,
    /// Since when the peers of channels that may be announced are away, in milliseconds since 1970.
    away: BTreeMap<ChannelId, u64>,
    /// Policies that were replaced a short while ago, and until when payers may still go by them, in milliseconds since 1970.
    replaced: BTreeMap<ChannelId, (ForwardingPolicy, u64)>,
}

impl Gossip {
    /// From the rows. `announced` are the channels that may be announced; nobody is connected yet.
    pub(crate) fn restore(
        terms: BTreeMap<ChannelId, Terms>,
        node: Option<NodeAnnouncement>,
        announced: impl Iterator<Item = ChannelId>,
        now_ms: u64,
    ) -> Self {
        Self {
            terms,
            node,
            away: announced.map(|id| (id, now_ms)).collect(),
            ..Self::default()
        }
    }

    /// The connection of a channel is gone: on the next one its peer is told again.
    pub(crate) fn disconnected(&mut self, channel: ChannelId, is_public: bool, now_ms: u64) {
        self.told.remove(&channel);
        self.signatures_sent.remove(&channel);
        self.signatures_wanted.remove(&channel);
        if is_public {
            self.away.entry(channel).or_insert(now_ms);
        }
    }

    /// A channel is over.
    pub(crate) fn forget(&mut self, channel: &ChannelId) {
        self.terms.remove(channel);
        self.told.remove(channel);
        self.signatures_sent.remove(channel);
        self.signatures_wanted.remove(channel);
        self.signed_for.remove(channel);
        self.published.remove(channel);
        self.away.remove(channel);
        self.replaced.remove(channel);
    }
}

impl ChannelManager {
    /// A message of BOLT 7. Whether it was one.
    pub(crate) fn hear_gossip(&mut self, peer: &NodeId, message: &Message, turn: &mut Turn<'_>) -> bool {
        match message {
            Message::ChannelUpdate(update) => self.hear_update(peer, update, turn),
            Message::AnnouncementSignatures(signatures) => self.hear_signatures(peer, signatures, turn),
            Message::QueryShortChannelIds(query) => self.hear_query(*peer, query, turn),
            Message::QueryChannelRange(query) => self.hear_range_query(*peer, query, turn),
            Message::GossipTimestampFilter(filter) => self.hear_filter(*peer, filter, turn),
            _ => return false,
        }
        true
    }
}
