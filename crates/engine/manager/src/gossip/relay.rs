//! What peers say to everybody of our common channels, and of themselves, is passed on to those who asked to hear such things (BOLT 7,
//! rebroadcasting): who listens to us alone would else know half of each channel of ours. Of other channels nothing is passed on.
//!
//! A peer may say something new as often as it likes. It is passed on once in a minute, its last word alone, so that what it costs others is bounded
//! by time and by the number of our channels. What nodes call themselves is kept in memory only: they say it again when they connect.

use std::collections::{BTreeMap, BTreeSet};

use quittance_journal::mark;
use quittance_primitives::{ChannelId, NodeId};
use quittance_wire::{GossipTimestampFilter, Message, NodeAnnouncement};

use super::hearing::Hearing;
use super::terms::{is_signed, is_too_far_ahead};
use crate::api::Outgoing;
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// BOLT 7: gossip leaves once in a minute, whenever it came.
const PAUSE_MS: u64 = 60_000;

/// What peers said to everybody, what of it is still to be passed on, and to whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Relay {
    /// Who asked for what others say, and of which times.
    listeners: BTreeMap<NodeId, Times>,
    /// What peers with whom we have a public channel call themselves.
    nodes: BTreeMap<NodeId, NodeAnnouncement>,
    /// How often they are listened to about it.
    hearings: BTreeMap<NodeId, Hearing<NodeAnnouncement>>,
    /// Peers that have said something new about themselves.
    new_nodes: BTreeSet<NodeId>,
    /// Channels whose peers have said something new about them.
    new_terms: BTreeSet<ChannelId>,
    /// When it is passed on, in milliseconds since 1970, if there is something.
    due_ms: Option<u64>,
    /// When what our node calls itself is said again, likewise.
    our_node_due_ms: Option<u64>,
}

/// The times of a `gossip_timestamp_filter`, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    first: u64,
    end: u64,
}

impl Times {
    /// Those that a filter names.
    pub(super) fn of(filter: &GossipTimestampFilter) -> Self {
        let first = u64::from(filter.first_timestamp);
        Self {
            first,
            end: first + u64::from(filter.timestamp_range),
        }
    }

    /// Whether a message of this time is asked for.
    pub(super) fn contains(self, timestamp: u32) -> bool {
        (self.first..self.end).contains(&u64::from(timestamp))
    }
}

impl Relay {
    /// A peer wants to hear what others say, of these times alone. What it asked for before holds no longer.
    pub(super) fn listens(&mut self, peer: NodeId, times: Times) {
        self.listeners.insert(peer, times);
    }

    /// The connection to a peer is gone.
    pub(super) fn hung_up(&mut self, peer: &NodeId) {
        self.listeners.remove(peer);
    }

    /// A channel's peer has new terms for everybody.
    pub(super) fn note_terms(&mut self, channel: ChannelId, now_ms: u64) {
        self.new_terms.insert(channel);
        self.due_ms.get_or_insert(now_ms.saturating_add(PAUSE_MS));
    }

    /// A channel of ours was announced, and what our node calls itself was said behind it: too soon for a peer that still checks the channel, and
    /// drops the word of a node without one.
    pub(super) fn note_our_node(&mut self, now_ms: u64) {
        self.our_node_due_ms = Some(now_ms.saturating_add(PAUSE_MS));
    }

    /// A peer calls itself something new, or is new to others.
    pub(super) fn note_node(&mut self, node: NodeId, now_ms: u64) {
        self.new_nodes.insert(node);
        self.due_ms.get_or_insert(now_ms.saturating_add(PAUSE_MS));
    }
}

impl ChannelManager {
    /// A peer's `node_announcement`. Kept if it is the peer's own word, newer than the last, and the peer has a channel with us that is public or
    /// will be; not more often than [`Hearing`] allows.
    pub(crate) fn hear_node(&mut self, peer: &NodeId, announcement: &NodeAnnouncement, turn: &mut Turn<'_>) {
        let relay = &self.gossip.relay;
        let waiting = relay.hearings.get(peer).and_then(Hearing::waiting);
        let mut known = relay.nodes.get(peer).into_iter().chain(waiting);
        let is_news = known.all(|known| announcement.timestamp > known.timestamp);
        let is_its_own = announcement.node_id == *peer && self.public_peers().any(|public| public == *peer);
        if !is_news || !is_its_own || is_too_far_ahead(announcement.timestamp, turn) {
            return;
        }
        let hearing = self.gossip.relay.hearings.entry(*peer).or_default();
        match hearing.now_or_later(announcement.clone(), turn.context.now_ms) {
            Some(announcement) => self.keep_node(*peer, announcement, turn),
            None => mark!("gossip: a peer renames itself faster than it is listened to"),
        }
    }

    /// Hears what had to wait, and passes on what is due.
    pub(crate) fn pass_on(&mut self, turn: &mut Turn<'_>) {
        self.keep_waiting_updates(turn);
        self.keep_waiting_nodes(turn);
        self.repeat_our_node(turn);
        let relay = &mut self.gossip.relay;
        if relay.due_ms.is_none_or(|due| turn.context.now_ms < due) {
            return;
        }
        relay.due_ms = None;
        let terms = std::mem::take(&mut relay.new_terms);
        let nodes = std::mem::take(&mut relay.new_nodes);
        // What is said before a channel is announced is passed on after that.
        let mut known = BTreeSet::new();
        for (_, id) in self.announced_channels(turn) {
            let peer = self.channels[&id].state().facts.peer;
            known.insert(peer);
            if let Some(update) = self.public_terms_of_peer(&id).filter(|_| terms.contains(&id)) {
                mark!("gossip: a peer's terms are passed on");
                self.tell_listeners(peer, update.timestamp, &update.clone().into(), turn);
            }
        }
        for node in known.intersection(&nodes) {
            if let Some(said) = self.gossip.relay.nodes.get(node) {
                self.tell_listeners(*node, said.timestamp, &said.clone().into(), turn);
            }
        }
        let public: BTreeSet<_> = self.public_peers().collect();
        self.gossip.relay.nodes.retain(|peer, _| public.contains(peer));
        self.gossip.relay.hearings.retain(|peer, _| public.contains(peer));
    }

    fn repeat_our_node(&mut self, turn: &mut Turn<'_>) {
        let due = &mut self.gossip.relay.our_node_due_ms;
        if due.take_if(|due| turn.context.now_ms >= *due).is_some() && !self.announced_channels(turn).is_empty() {
            mark!("gossip: what our node calls itself is said again");
            self.publish_node(turn);
        }
    }

    /// What a peer of ours calls itself goes to `to`, if it is known.
    pub(super) fn tell_node(&self, to: NodeId, node: &NodeId, turn: &mut Turn<'_>) {
        if let Some(announcement) = self.gossip.relay.nodes.get(node).filter(|_| *node != to) {
            self.send(to, Outgoing::Message(Box::new(announcement.clone().into())), turn);
        }
    }

    fn keep_waiting_nodes(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.context.now_ms;
        let hearings = self.gossip.relay.hearings.iter_mut();
        let due: Vec<_> = hearings
            .filter_map(|(peer, hearing)| Some((*peer, hearing.due(now_ms)?)))
            .collect();
        for (peer, announcement) in due {
            self.keep_node(peer, announcement, turn);
        }
    }

    /// Keeps what a peer calls itself, if it has signed it.
    fn keep_node(&mut self, peer: NodeId, announcement: NodeAnnouncement, turn: &mut Turn<'_>) {
        let is_its_word = is_signed(&peer, announcement.signature_hash(), announcement.signature, turn);
        #[cfg(feature = "mutants")]
        let is_its_word =
            is_its_word || quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::UnsignedNameBelieved);
        if !is_its_word {
            let text = "the signature of node_announcement is invalid";
            self.warn(peer, ChannelId::ALL, text, turn);
            return;
        }
        let relay = &mut self.gossip.relay;
        relay.nodes.insert(peer, announcement);
        relay.note_node(peer, turn.context.now_ms);
    }

    fn tell_listeners(&self, said_it: NodeId, timestamp: u32, message: &Message, turn: &mut Turn<'_>) {
        let listeners = self.gossip.relay.listeners.iter();
        for (listener, _) in listeners.filter(|(peer, times)| **peer != said_it && times.contains(timestamp)) {
            self.send(*listener, Outgoing::Message(Box::new(message.clone())), turn);
        }
    }

    /// The peers of channels that are public or will be.
    fn public_peers(&self) -> impl Iterator<Item = NodeId> {
        let facts = self.channels.values().map(|channel| &channel.state().facts);
        facts.filter(|facts| facts.announce).map(|facts| facts.peer)
    }
}
