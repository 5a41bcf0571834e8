//! What we say of our own channels, and hear of them, in the words of BOLT 7. Not the network's graph.
//!
//! Nothing here decides what becomes of money: our fees are the channel's policy, in its log; a peer's are kept for the hints of our
//! invoices. What is kept is a row for each channel, which may be lost: then a peer says it again, and so do we.
//! What is said is derived from the channels whenever one has changed, and compared with what its peer was told on this connection, so
//! that there is no list of messages that are still owed.
//!
//! Start at `announcing`, [`ChannelManager::tell_of_channel`]; then `terms`, `node`, `queries`, `relay`, `hearing`.

mod announcing;
mod hearing;
mod node;
mod queries;
mod relay;
mod terms;

use std::collections::{BTreeMap, BTreeSet};

use quittance_channel::ForwardingPolicy;
use quittance_primitives::{ChannelId, Features, NodeId, ShortChannelId};
use quittance_wire::{ChannelUpdate, Message, NodeAddresses, NodeAnnouncement, Warning};

use crate::api::Outgoing;
use crate::manager::ChannelManager;
use crate::turn::Turn;

use hearing::Hearing;
use relay::Relay;

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
    /// Channels whose peer got our half of the announcement's signatures on this connection, and for which place in the chain.
    signatures_sent: BTreeMap<ChannelId, ShortChannelId>,
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
    /// How often the peer of each channel is listened to about its terms.
    updates: BTreeMap<ChannelId, Hearing<ChannelUpdate>>,
    /// What peers said to everybody, to be passed on.
    relay: Relay,
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
        self.updates.remove(channel);
    }

    /// The connection to a peer is gone, and with it what it wants to hear.
    pub(crate) fn hung_up(&mut self, peer: &NodeId) {
        self.relay.hung_up(peer);
    }
}

impl ChannelManager {
    /// A message of BOLT 7. Whether it was one.
    pub(crate) fn hear_gossip(&mut self, peer: &NodeId, message: &Message, turn: &mut Turn<'_>) -> bool {
        match message {
            Message::ChannelUpdate(update) => self.hear_update(peer, update, turn),
            Message::NodeAnnouncement(announcement) => self.hear_node(peer, announcement, turn),
            Message::AnnouncementSignatures(signatures) => self.hear_signatures(peer, signatures, turn),
            Message::QueryShortChannelIds(query) => self.hear_query(*peer, query, turn),
            Message::QueryChannelRange(query) => self.hear_range_query(*peer, query, turn),
            Message::GossipTimestampFilter(filter) => self.hear_filter(*peer, filter, turn),
            _ => return false,
        }
        true
    }

    fn warn(&self, peer: NodeId, channel_id: ChannelId, text: &str, turn: &mut Turn<'_>) {
        let data = text.as_bytes().to_vec();
        let warning = Message::from(Warning { channel_id, data });
        self.send(peer, Outgoing::Message(Box::new(warning)), turn);
    }
}
