//! What peers are told of our announced channels: when they connect, and when they ask (BOLT 7). Of the rest of the network we know nothing
//! here, and do not offer to be asked about it.

use std::collections::BTreeSet;

use quittance_channel::{Channel, Phase};
use quittance_journal::mark;
use quittance_primitives::{ChannelId, NodeId, ShortChannelId};
use quittance_wire::{
    ChannelUpdate, ChannelUpdateChecksums, ChannelUpdateTimestamps, EncodedShortIds, EncodedTimestamps,
    GossipTimestampFilter, Message, QueryChannelRange, QueryShortChannelIds, ReplyChannelRange,
    ReplyShortChannelIdsEnd, WANT_CHECKSUMS, WANT_TIMESTAMPS, Warning,
};

use crate::api::{GossipToSign, Outgoing};
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// Channels in one reply: with times and checksums each takes 24 of a message's 65,535 bytes.
const CHANNELS_PER_REPLY: usize = 2_000;

/// Channels that a peer hears of at once, the newest ones: each takes three messages, and of the 4,096 that may wait for a connection half may
/// be there already when it asks. Whoever wants to know of others asks for them by their names.
const CHANNELS_AT_ONCE_MAX: usize = 600;

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

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }
}

impl ChannelManager {
    /// A peer has connected: it hears of our announced channels with others.
    pub(crate) fn greet_with_gossip(&mut self, peer: NodeId, turn: &mut Turn<'_>) {
        let mut announced = self.announced_channels(turn);
        announced.retain(|(_, id)| self.channels[id].state().facts.peer != peer);
        self.tell_all_of(peer, &announced, turn);
    }

    /// `gossip_timestamp_filter`: what we say is always ours, so only the time is looked at, and only now.
    pub(crate) fn hear_filter(&mut self, peer: NodeId, filter: &GossipTimestampFilter, turn: &mut Turn<'_>) {
        if filter.chain_hash != self.config.opening.chain_hash {
            return;
        }
        let first = u64::from(filter.first_timestamp);
        let wanted = first..first + u64::from(filter.timestamp_range);
        let mut announced = self.announced_channels(turn);
        announced.retain(|(_, id)| {
            let terms = self.gossip.terms.get(id);
            let updates = terms.into_iter().flat_map(|terms| [&terms.ours, &terms.theirs]);
            let mut times = updates.flatten().map(|update| u64::from(update.timestamp));
            times.any(|time| wanted.contains(&time))
        });
        mark!("gossip: a filter is answered");
        self.tell_all_of(peer, &announced, turn);
    }

    /// `query_short_channel_ids`.
    pub(crate) fn hear_query(&mut self, peer: NodeId, query: &QueryShortChannelIds, turn: &mut Turn<'_>) {
        let names = &query.encoded_short_ids.0;
        let flags = query.query_flags.as_ref().map(|flags| &flags.0);
        if flags.is_some_and(|flags| flags.len() != names.len()) {
            self.warn(peer, "query_flags do not fit the channels asked for", turn);
            return;
        }
        let is_our_chain = query.chain_hash == self.config.opening.chain_hash;
        let announced = if is_our_chain {
            self.announced_channels(turn)
        } else {
            Vec::new()
        };
        let (mut answered, mut wants_our_node) = (BTreeSet::new(), false);
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
                wants_our_node |= self.tell_of_announced(peer, *id, wanted, turn);
            }
        }
        if wants_our_node {
            self.tell_our_node(peer, turn);
        }
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
    fn announced_channels(&mut self, turn: &Turn<'_>) -> Vec<(ShortChannelId, ChannelId)> {
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

    fn tell_all_of(&mut self, peer: NodeId, announced: &[(ShortChannelId, ChannelId)], turn: &mut Turn<'_>) {
        for (_, id) in newest(announced) {
            self.tell_of_announced(peer, *id, Wanted::ALL, turn);
        }
        if !announced.is_empty() {
            self.tell_our_node(peer, turn);
        }
    }

    /// Tells a peer what it wants to know of an announced channel. Whether it wants to know of our node.
    fn tell_of_announced(&self, peer: NodeId, id: ChannelId, wanted: Wanted, turn: &mut Turn<'_>) -> bool {
        let channel = &self.channels[&id];
        let Some(whole) = self.whole_announcement(channel) else {
            return false;
        };
        let we_are_first = self.config.node_id < channel.state().facts.peer;
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
        wanted.has(if we_are_first { Wanted::NODE_1 } else { Wanted::NODE_2 })
    }

    /// The last public update of each end, of node 1 and of node 2.
    fn updates_by_end(&self, id: &ChannelId) -> [Option<&ChannelUpdate>; 2] {
        let is_public = |update: &&ChannelUpdate| update.message_flags & ChannelUpdate::DONT_FORWARD == 0;
        let terms = self.gossip.terms.get(id);
        let ours = terms.and_then(|terms| terms.ours.as_ref()).filter(is_public);
        let theirs = terms.and_then(|terms| terms.theirs.as_ref()).filter(is_public);
        if self.config.node_id < self.channels[id].state().facts.peer {
            [ours, theirs]
        } else {
            [theirs, ours]
        }
    }

    fn warn(&self, peer: NodeId, text: &str, turn: &mut Turn<'_>) {
        let warning = Warning {
            channel_id: ChannelId::ALL,
            data: text.as_bytes().to_vec(),
        };
        self.send(peer, Outgoing::Message(Box::new(Message::from(warning))), turn);
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
        assert_eq!(newest(&all), &all[1_900..]);
        assert_eq!(newest(&all[..7]), &all[..7]);
    }
}
