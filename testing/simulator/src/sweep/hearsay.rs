//! What only some runs have of the network beyond its money: peers and strangers that ask what is public and say what is not true, days in
//! which nothing happens, and reorganisations so deep that announced channels stand elsewhere after them.
//!
//! All of it is drawn apart from the rest of a run, so that a run without any of it is what its seed always gave.

use std::collections::BTreeMap;

use bitcoin::constants::ChainHash;
use quittance_channel::{ChannelState, ForwardingPolicy};
use quittance_manager::{GossipToSign, Input};
use quittance_payments::HintHop;
use quittance_primitives::{BlockCount, MilliSatoshi, ShortChannelId};
use quittance_wire::{
    BigSize, EncodedShortIds, FundingSigned, GossipTimestampFilter, Message, QueryChannelRange, QueryFlags,
    QueryShortChannelIds,
};

use super::moves::Action;
use super::{BLOCKS_MAX, Kind, Mood, Recipe, Sweep};
use crate::checker::FORWARDING;
use crate::{Lie, NodeIndex, Random, World};

/// The weight of all that happens in every run, about.
const OTHERS: u64 = 60;
/// A peer that says a minute's words at once is not listened to any more; one that waits so long is heard again.
const HEARD_OUT_MS: u64 = 61_000;
/// Reorganisations that move announced channels, in one run.
const DISPLACED_MAX: u64 = 2;
/// How deep the channels are that are moved, at most.
const DISPLACED_DEPTH_MAX: u32 = 15;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// What only some runs have: weights, mostly zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearsay {
    /// How often a peer or a stranger asks what is public, or says what is not true.
    words: u64,
    /// How often nothing happens for days.
    silence: u64,
    /// How often announced channels are moved.
    displace: u64,
    /// How often one of several parts is lost with its channel.
    lose_part: u64,
    /// How often what passes through a channel gets dearer, or as dear as it was.
    prices: u64,
}

impl Hearsay {
    pub(super) fn draw(recipe: &Recipe, mood: &Mood) -> Self {
        // A stream of its own: any number that is used for nothing else.
        let mut random = Random::new(recipe.seed ^ 0x6865_6172);
        let mut weight = |kind: Kind, percent: u64, weight: u64| {
            let is_drawn = random.chance(percent);
            if is_drawn && recipe.has(kind) { weight } else { 0 }
        };
        let mut drawn = Self {
            words: weight(Kind::Words, 40, 4),
            silence: weight(Kind::Silence, 25, 1),
            displace: weight(Kind::Displacements, 50, 2),
            lose_part: weight(Kind::LostParts, 60, 3),
            prices: weight(Kind::Prices, 20, 3),
        };
        if mood.closes() {
            // What a closed channel's coins became is final where this reaches.
            drawn.displace = 0;
        }
        if mood.cheat == 0 {
            drawn.lose_part = 0;
        }
        drawn
    }
}

impl Sweep {
    /// What only some runs have happens to a node; whether it did.
    pub(super) fn hear(&mut self, node: NodeIndex) -> bool {
        let hearsay = self.hearsay;
        let actions: [(u64, Action); 5] = [
            (hearsay.words, Self::speak),
            (hearsay.silence, Self::fall_silent),
            (hearsay.displace, Self::displace),
            (hearsay.lose_part, Self::lose_part),
            (hearsay.prices, Self::change_prices),
        ];
        let sum: u64 = actions.iter().map(|(weight, _)| weight).sum();
        if sum == 0 {
            return false;
        }
        let mut drawn = self.random.below(OTHERS + sum);
        for (weight, action) in actions {
            if drawn < weight {
                action(self, node);
                return true;
            }
            drawn -= weight;
        }
        false
    }

    /// A peer asks what is public, or says what is not true; it may be a stranger that shares no channel.
    fn speak(&mut self, from: NodeIndex) {
        let to = self.pick(self.world.nodes.len());
        if from == to {
            return;
        }
        if !self.world.is_connected(from, to) && self.random.chance(50) {
            self.world.connect(from, to);
        }
        if !self.world.is_connected(from, to) {
            return;
        }
        let messages = match self.random.below(7) {
            0 => vec![self.query(to)],
            1 => vec![self.range_query()],
            2 => vec![self.filter()],
            3 => self.false_terms(from, to),
            4 => self.false_half(from, to),
            5 => self.late_signature(from, to),
            _ => {
                let now_s = u32::try_from(self.world.now_ms / 1_000).expect("before 2106");
                let words = 6 + u32::try_from(self.random.below(24)).expect("small");
                if self.random.chance(40) {
                    self.have_listeners(to);
                    vec![self.world.falsely_renamed(from, now_s)]
                } else {
                    (0..words).map(|word| self.world.renamed(from, now_s + word)).collect()
                }
            }
        };
        for message in messages {
            self.figures.words += 1;
            self.world.say(from, to, &message);
        }
    }

    fn chain_asked_for(&mut self) -> ChainHash {
        if self.random.chance(10) {
            ChainHash::BITCOIN
        } else {
            ChainHash::REGTEST
        }
    }

    /// What is known of some channels, there or not, and some of them twice.
    fn query(&mut self, of: NodeIndex) -> Message {
        let mut places = self.world.places(of);
        places.push(ShortChannelId(self.random.draw()));
        let count = 1 + self.random.below(6);
        let names: Vec<_> = (0..count).map(|_| places[self.pick(places.len())]).collect();
        let query_flags = self.random.chance(40).then(|| {
            // Seldom one too many.
            let flags = names.len() + usize::from(self.random.chance(10));
            QueryFlags((0..flags).map(|_| BigSize(self.random.below(32))).collect())
        });
        let query = QueryShortChannelIds {
            chain_hash: self.chain_asked_for(),
            encoded_short_ids: EncodedShortIds(names),
            query_flags,
        };
        query.into()
    }

    /// Which channels were opened in some blocks, or in all.
    fn range_query(&mut self) -> Message {
        let (first, count) = if self.random.chance(50) {
            (0, u32::MAX)
        } else {
            let blocks = u64::from(self.world.tip().0) + 2;
            let [first, count] = [self.random.below(blocks), self.random.below(20)];
            (
                u32::try_from(first).expect("a height"),
                u32::try_from(count).expect("small"),
            )
        };
        let query = QueryChannelRange {
            chain_hash: self.chain_asked_for(),
            first_blocknum: first,
            number_of_blocks: count,
            query_option: self.random.chance(50).then(|| BigSize(self.random.below(4))),
        };
        query.into()
    }

    /// From now on what others say of a time, or of all times.
    fn filter(&mut self) -> Message {
        let now_s = self.world.now_ms / 1_000;
        let (first, range) = match self.random.below(3) {
            0 => (now_s - self.random.below(1_000), self.random.below(1_000)),
            1 => (u64::from(u32::MAX), 0),
            _ => (0, u64::from(u32::MAX)),
        };
        let filter = GossipTimestampFilter {
            chain_hash: self.chain_asked_for(),
            first_timestamp: u32::try_from(first).expect("before 2106"),
            timestamp_range: u32::try_from(range).expect("small"),
        };
        filter.into()
    }

    /// Whoever is connected to a node wants to hear what others say.
    fn have_listeners(&mut self, node: NodeIndex) {
        let filter = GossipTimestampFilter {
            chain_hash: ChainHash::REGTEST,
            first_timestamp: 0,
            timestamp_range: u32::MAX,
        };
        for peer in 0..self.world.nodes.len() {
            if self.world.is_connected(peer, node) {
                self.world.say(peer, node, &filter.clone().into());
            }
        }
    }

    /// News of a peer's terms that it did not sign, or that are not its own, or no news.
    fn false_terms(&mut self, from: NodeIndex, to: NodeIndex) -> Vec<Message> {
        let peer = self.world.nodes[to].id();
        let lie = match self.random.below(4) {
            0 => Lie::OfOtherEnd,
            1 => Lie::OutOfDate,
            _ => Lie::Unsigned,
        };
        let shared = self.world.nodes[from].channel_with(&peer);
        let terms = shared.and_then(|channel| {
            let id = channel.state().facts.channel_id;
            self.world.false_terms(from, to, id, lie)
        });
        if terms.is_some() && lie == Lie::Unsigned {
            self.liars.insert((from, to));
        }
        terms.into_iter().collect()
    }

    /// Half of an announcement that signs nothing, of the right channel or of another.
    fn false_half(&mut self, from: NodeIndex, to: NodeIndex) -> Vec<Message> {
        let name = ShortChannelId(self.random.draw());
        let is_true_name = self.random.chance(50);
        let public = self.shared_channels(from, to).find(|state| state.facts.announce);
        let half = public.map(|state| {
            let place = state.funding.filter(|_| is_true_name);
            let name = place.map_or(name, |funding| funding.short_channel_id);
            World::false_half(state.facts.channel_id, name)
        });
        half.into_iter().map(Message::from).collect()
    }

    /// The signature of a first commitment whose channel is in use, and no signature of anything.
    fn late_signature(&self, from: NodeIndex, to: NodeIndex) -> Vec<Message> {
        let in_use = self.shared_channels(from, to).find(|state| state.funding.is_some());
        let late = in_use.map(|state| FundingSigned {
            channel_id: state.facts.channel_id,
            signature: GossipToSign::unsigned(),
        });
        late.into_iter().map(Message::from).collect()
    }

    fn shared_channels(&self, from: NodeIndex, to: NodeIndex) -> impl Iterator<Item = &ChannelState> {
        let peer = self.world.nodes[to].id();
        let process = self.world.nodes[from].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let states = channels.map(quittance_channel::Channel::state);
        states.filter(move |state| state.facts.peer == peer)
    }

    /// A user makes what passes through a channel dearer than payers believe, or as dear as it was. For a while they may go by what they know.
    fn change_prices(&mut self, node: NodeIndex) {
        let process = self.world.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels().map(quittance_channel::Channel::state));
        let prices: Vec<_> = channels.map(|state| (state.facts.channel_id, state.policy)).collect();
        if prices.is_empty() {
            return;
        }
        let (channel, policy) = prices[self.pick(prices.len())];
        let dearer = ForwardingPolicy {
            fee_base: MilliSatoshi(FORWARDING.fee_base.0 * 2),
            fee_proportional_millionths: FORWARDING.fee_proportional_millionths * 2,
            ..FORWARDING
        };
        let is_dear = policy.fee_base >= dearer.fee_base;
        self.world
            .set_policy(node, channel, if is_dear { FORWARDING } else { dearer });
    }

    /// Faults have stopped. What a peer said without its signature may have taken the time in which it would have been listened to: it hangs
    /// up, and says on the next connection what is true.
    pub(super) fn hear_liars_out(&mut self) {
        let liars = std::mem::take(&mut self.liars);
        if liars.is_empty() {
            return;
        }
        self.world.now_ms += HEARD_OUT_MS;
        self.world.tick();
        for (from, to) in liars {
            self.world.disconnect(from, to);
        }
        self.world.reconnect();
    }

    /// What is on its way arrives, a wire may be cut, and then nothing happens for a while: minutes, or more than a week.
    fn fall_silent(&mut self, node: NodeIndex) {
        self.figures.silences += 1;
        self.world.settle();
        if self.random.chance(60) {
            let nodes = 0..self.world.nodes.len();
            let peers: Vec<_> = nodes.filter(|peer| self.world.is_connected(node, *peer)).collect();
            if !peers.is_empty() {
                let peer = peers[self.pick(peers.len())];
                self.figures.cuts += 1;
                self.world.disconnect(node, peer);
            }
        }
        let passed_ms = match self.random.below(3) {
            0 => MINUTE_MS * (20 + self.random.below(60)),
            1 => self.random.below(DAY_MS),
            _ => DAY_MS * 7 + self.random.below(DAY_MS),
        };
        self.world
            .tell(|_| format!("nothing happens for {} minutes", passed_ms / MINUTE_MS));
        self.world.now_ms += passed_ms;
        for node in 0..self.world.nodes.len() {
            self.world.input(node, Input::Tick);
        }
    }

    /// A reorganisation is so deep that a channel of this node stands elsewhere that was deep enough to be announced. Nothing else is in those
    /// blocks than fundings: what is called buried stays true of everything that was resolved.
    fn displace(&mut self, node: NodeIndex) {
        let tip = self.world.tip();
        let process = self.world.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let public = channels.filter(|channel| channel.state().facts.announce);
        let depths = public.filter_map(|channel| Some(channel.state().funding?.height.depth_at(tip)));
        let depths: Vec<_> = depths
            .filter(|depth| (BlockCount(6)..=BlockCount(DISPLACED_DEPTH_MAX)).contains(depth))
            .collect();
        if depths.is_empty() || self.figures.displaced >= DISPLACED_MAX || self.figures.blocks + 2 > BLOCKS_MAX {
            return;
        }
        let mut depth = depths[self.pick(depths.len())].0;
        let comes_late = self.random.chance(40);
        if self.random.chance(70) {
            // As long as there is a channel below: what stands there comes from no block that is replaced.
            let lowest = self.world.lowest_funding().unwrap_or(tip);
            let deepest = lowest.depth_at(tip).0;
            depth = deepest.min(depth + 1 + u32::try_from(self.random.below(2)).expect("small"));
        }
        self.figures.displaced += 1;
        self.figures.blocks += 1 + u64::from(comes_late);
        self.world.displace(depth, comes_late);
        self.look_up_hints();
    }

    /// What payers know of channels: by which name they go now, and that they forward as all did at first.
    fn look_up_hints(&mut self) {
        let mut fresh = hints(&self.world);
        for hint in fresh.values_mut().flatten() {
            hint.fee_base = FORWARDING.fee_base;
            hint.fee_proportional_millionths = FORWARDING.fee_proportional_millionths;
            hint.cltv_expiry_delta = FORWARDING.cltv_expiry_delta.0;
        }
        self.hints.extend(fresh);
    }
}

/// Hints to each node from each that runs and shares a channel with it.
pub(super) fn hints(world: &World) -> BTreeMap<(NodeIndex, NodeIndex), Vec<HintHop>> {
    let mut hints = BTreeMap::new();
    for from in (0..world.nodes.len()).filter(|node| world.is_up(*node)) {
        for to in 0..world.nodes.len() {
            let some = world.hints(from, to);
            if !some.is_empty() {
                hints.insert((from, to), some);
            }
        }
    }
    hints
}
