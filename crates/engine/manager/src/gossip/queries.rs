//! What peers are told of our announced channels: when they connect, and when they ask (BOLT 7). Of the rest of the network we know nothing
//! here, and do not offer to be asked about it.

use std::collections::BTreeSet;

use quittance_channel::{Channel, Phase};
use quittance_journal::mark;
use quittance_primitives::{ChannelId, NodeId, ShortChannelId};
use quittance_wire::{
    ChannelUpdate, ChannelUpdateChecksums, ChannelUpdateTimestamps, EncodedShortIds, EncodedTimestamps,
    GossipTimestampFilter, QueryChannelRange, QueryShortChannelIds, ReplyChannelRange, ReplyShortChannelIdsEnd,
    WANT_CHECKSUMS, WANT_TIMESTAMPS,
};

use super::relay::Times;
use super::terms::is_public;
use crate::api::{GossipToSign, Outgoing};
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// Channels in one reply: with times and checksums each takes 24 of a message's 65,535 bytes.
const CHANNELS_PER_REPLY: usize = 2_000;

/// Channels that a peer hears of at once, the newest ones: each takes four messages, and of the 4,096 that may wait for a connection half may
/// be there already when it asks. Whoever wants to know of others asks for them by their names.
const CHANNELS_AT_ONCE_MAX: usize = 500;

/// Which messages about a channel a peer wants: bits of BOLT 7 `query_flags`.
#[derive(Clone, Copy)]
struct Wanted(u64);

impl Wanted {
    const ANNOUNCEMENT: u64 = 1;
    const UPDATE_1: u64 = 1 << 1;
    const UPDATE_2: u64 = 1 << 2;
    const NODE_1: u64 = 1 << 3;
    const NODE_2: u64 = 1 << 4;
    const ALL: Self = Self(0b1_1111);
    /// What the first node of a channel says of it and of itself.
    const OF_FIRST: Self = Self(Self::ANNOUNCEMENT | Self::UPDATE_1 | Self::NODE_1);
    /// What the second one says.
    const OF_SECOND: Self = Self(Self::ANNOUNCEMENT | Self::UPDATE_2 | Self::NODE_2);

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }
}

impl ChannelManager {
    /// A peer has connected: it hears of our announced channels with others what we say of them ourselves. BOLT 7: what others say it hears when
    /// it asks.
    pub(crate) fn greet_with_gossip(&mut self, peer: NodeId, turn: &mut Turn<'_>) {
        let announced = self.announced_channels(turn);
        let of_others = |id: &ChannelId| self.channels[id].state().facts.peer != peer;
        let others: Vec<_> = announced.iter().filter(|(_, id)| of_others(id)).copied().collect();
        for (_, id) in newest(&others) {
            let ours = if self.is_first(id) {
                Wanted::OF_FIRST
            } else {
                Wanted::OF_SECOND
            };
            self.tell_of_announced(peer, *id, ours, turn);
        }
        if !announced.is_empty() {
            // To the peer of our only channel too: it passes on what we call ourselves, and has forgotten it if it was away.
            self.tell_our_node(peer, turn);
        }
    }

    /// `gossip_timestamp_filter`: what is known of those times is told now, and what others say of them later is passed on.
    pub(crate) fn hear_filter(&mut self, peer: NodeId, filter: &GossipTimestampFilter, turn: &mut Turn<'_>) {
        if filter.chain_hash != self.config.opening.chain_hash {
            return;
        }
        let times = Times::of(filter);
        self.gossip.relay.listens(peer, times);
        let mut announced = self.announced_channels(turn);
        announced.retain(|(_, id)| {
            let terms = self.gossip.terms.get(id);
            let updates = terms.into_iter().flat_map(|terms| [&terms.ours, &terms.theirs]);
            updates.flatten().any(|update| times.contains(update.timestamp))
        });
        mark!("gossip: a filter is answered");
        let mut nodes = BTreeSet::new();
        for (_, id) in newest(&announced) {
            nodes.append(&mut self.tell_of_announced(peer, *id, Wanted::ALL, turn));
        }
        self.tell_nodes(peer, &nodes, turn);
    }

    /// `query_short_channel_ids`.
    pub(crate) fn hear_query(&mut self, peer: NodeId, query: &QueryShortChannelIds, turn: &mut Turn<'_>) {
        let names = &query.encoded_short_ids.0;
        let flags = query.query_flags.as_ref().map(|flags| &flags.0);
        if flags.is_some_and(|flags| flags.len() != names.len()) {
            self.warn(
                peer,
                ChannelId::ALL,
                "query_flags do not fit the channels asked for",
                turn,
            );
            return;
        }
        let is_our_chain = query.chain_hash == self.config.opening.chain_hash;
        let announced = if is_our_chain {
            self.announced_channels(turn)
        } else {
            Vec::new()
        };
        let (mut answered, mut nodes) = (BTreeSet::new(), BTreeSet::new());
        for (place, name) in names.iter().enumerate() {
            if answered.len() >= CHANNELS_AT_ONCE_MAX {
                break;
            }
            let Ok(found) = announced.binary_search_by_key(name, |(known, _)| *known) else {
                continue;
            };
            let (_, id) = &announced[found];
            let wanted = flags.map_or(Wanted::ALL, |flags| Wanted(flags[place].0));
            if answered.insert(*id) {
                nodes.append(&mut self.tell_of_announced(peer, *id, wanted, turn));
            }
        }
        self.tell_nodes(peer, &nodes, turn);
        mark!("gossip: a query is answered");
        let end = ReplyShortChannelIdsEnd {
            chain_hash: query.chain_hash,
            // We know our own channels and no others.
            full_information: 0,
        };
        self.send(peer, Outgoing::Message(Box::new(end.into())), turn);
    }

    /// `query_channel_range`.
    pub(crate) fn hear_range_query(&mut self, peer: NodeId, query: &QueryChannelRange, turn: &mut Turn<'_>) {
        let first = query.first_blocknum;
        let end = u64::from(first) + u64::from(query.number_of_blocks);
        let is_our_chain = query.chain_hash == self.config.opening.chain_hash;
        let mut announced = if is_our_chain {
            self.announced_channels(turn)
        } else {
            Vec::new()
        };
        announced.retain(|(name, _)| (u64::from(first)..end).contains(&u64::from(name.block().0)));
        announced.truncate(CHANNELS_PER_REPLY);
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::AnswerLeavesOut) {
            announced.pop();
        }
        let options = query.query_option.map_or(0, |option| option.0);
        let ends: Vec<_> = announced.iter().map(|(_, id)| self.updates_by_end(id)).collect();
        let timestamps = ends.iter().map(|[one, two]| ChannelUpdateTimestamps {
            timestamp_node_id_1: one.map_or(0, |update| update.timestamp),
            timestamp_node_id_2: two.map_or(0, |update| update.timestamp),
        });
        let checksums = ends.iter().map(|[one, two]| ChannelUpdateChecksums {
            checksum_node_id_1: one.map_or(0, ChannelUpdate::checksum),
            checksum_node_id_2: two.map_or(0, ChannelUpdate::checksum),
        });
        let reply = ReplyChannelRange {
            chain_hash: query.chain_hash,
            first_blocknum: first,
            number_of_blocks: query.number_of_blocks,
            sync_complete: 1,
            timestamps_tlv: (options & WANT_TIMESTAMPS != 0).then(|| EncodedTimestamps(timestamps.collect())),
            checksums_tlv: (options & WANT_CHECKSUMS != 0).then(|| checksums.collect()),
            encoded_short_ids: EncodedShortIds(announced.iter().map(|(name, _)| *name).collect()),
        };
        mark!("gossip: a query for a range is answered");
        self.send(peer, Outgoing::Message(Box::new(reply.into())), turn);
    }

    /// Our announced channels, in the order of their places. Of those that close nobody needs to hear any more.
    pub(super) fn announced_channels(&mut self, turn: &Turn<'_>) -> Vec<(ShortChannelId, ChannelId)> {
        let is_public = |channel: &&Channel| channel.state().facts.announce && channel.state().phase == Phase::Normal;
        let public = self.channels.values().filter(is_public).map(Channel::state);
        let public: Vec<_> = public
            .filter_map(|state| Some((state.funding?.short_channel_id, state.facts.channel_id)))
            .collect();
        let mut announced: Vec<_> = public
            .into_iter()
            .filter(|(_, id)| self.is_announced(*id, turn))
            .collect();
        announced.sort_unstable();
        announced
    }

    /// Tells a peer what it wants to know of an announced channel. Which nodes it wants to know of.
    fn tell_of_announced(&self, peer: NodeId, id: ChannelId, wanted: Wanted, turn: &mut Turn<'_>) -> BTreeSet<NodeId> {
        let channel = &self.channels[&id];
        let Some(whole) = self.whole_announcement(channel) else {
            return BTreeSet::new();
        };
        let (nodes, we_are_first) = (
            [whole.announcement.node_id_1, whole.announcement.node_id_2],
            self.is_first(&id),
        );
        if wanted.has(Wanted::ANNOUNCEMENT) {
            let whole = GossipToSign::Announcement(Box::new(whole));
            self.send(peer, Outgoing::Gossip(Box::new(whole)), turn);
        }
        let [one, two] = self.updates_by_end(&id);
        for (update, end, is_first) in [(one, Wanted::UPDATE_1, true), (two, Wanted::UPDATE_2, false)] {
            let Some(update) = update.filter(|_| wanted.has(end)).cloned() else {
                continue;
            };
            let outgoing = if is_first == we_are_first {
                Outgoing::Gossip(Box::new(GossipToSign::Update(update)))
            } else {
                Outgoing::Message(Box::new(update.into()))
            };
            self.send(peer, outgoing, turn);
        }
        let ends = [Wanted::NODE_1, Wanted::NODE_2].into_iter().zip(nodes);
        ends.filter(|(end, _)| wanted.has(*end)).map(|(_, node)| node).collect()
    }

    fn tell_nodes(&mut self, peer: NodeId, nodes: &BTreeSet<NodeId>, turn: &mut Turn<'_>) {
        for node in nodes {
            if *node == self.config.node_id {
                self.tell_our_node(peer, turn);
            } else {
                self.tell_node(peer, node, turn);
            }
        }
    }

    /// Whether the announcement of a channel names us first.
    fn is_first(&self, id: &ChannelId) -> bool {
        self.config.node_id < self.channels[id].state().facts.peer
    }

    /// What the peer of a channel asks for, if it said so to everybody.
    pub(super) fn public_terms_of_peer(&self, id: &ChannelId) -> Option<&ChannelUpdate> {
        self.terms_of_peer(id).filter(|update| is_public(update))
    }

    /// The last public update of each end, of node 1 and of node 2.
    fn updates_by_end(&self, id: &ChannelId) -> [Option<&ChannelUpdate>; 2] {
        let terms = self.gossip.terms.get(id);
        let ours = terms.and_then(|terms| terms.ours.as_ref());
        let (ours, theirs) = (ours.filter(|update| is_public(update)), self.public_terms_of_peer(id));
        if self.is_first(id) {
            [ours, theirs]
        } else {
            [theirs, ours]
        }
    }
}

/// What is told at once of channels in the order of their places.
fn newest<T>(announced: &[T]) -> &[T] {
    &announced[announced.len().saturating_sub(CHANNELS_AT_ONCE_MAX)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symptom: a node with many announced channels hung up on everyone who connected. Cause: it greeted them with more messages than may wait
    /// for a connection.
    #[test]
    fn the_newest_channels_are_told_at_once_and_no_more_than_a_connection_can_take() {
        let all: Vec<usize> = (0..2_500).collect();
        assert_eq!(newest(&all), &all[2_000..]);
        assert_eq!(newest(&all[..7]), &all[..7]);
    }
}
