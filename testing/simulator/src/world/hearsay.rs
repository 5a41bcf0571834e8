//! What peers ask of each other about public channels and nodes (BOLT 7), what they say of them that is not true, and whether the answers
//! are: each question is answered once, with every channel that is public, and no other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::Transaction;
use bitcoin::constants::ChainHash;
use quittance_channel::{Channel, Phase};
use quittance_manager::{GossipToSign, Outgoing};
use quittance_primitives::{BlockCount, BlockHeight, ChannelId, NodeId, ShortChannelId};
use quittance_regtest::{Chain, MineOptions};
use quittance_signer::SignedAhead;
use quittance_wire::{
    AnnouncementSignatures, ChannelUpdate, Excess, FeatureBytes, Message, NodeAddresses, NodeAnnouncement,
    QueryChannelRange, QueryShortChannelIds, ReplyChannelRange, WANT_CHECKSUMS, WANT_TIMESTAMPS,
};
use secp256k1::SECP256K1;

use super::{NodeIndex, World};

/// BOLT 7: no channel is announced before its funding is so deep.
const ANNOUNCE_DEPTH: BlockCount = BlockCount(6);

/// What was asked, and what is true of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    /// Questions that are not answered yet, in their order, by who is to answer and who asked.
    open: BTreeMap<(NodeIndex, NodeIndex), VecDeque<Question>>,
    /// Channels of which a node is to tell another that listens from now on.
    to_tell: BTreeMap<(NodeIndex, NodeIndex), BTreeSet<ShortChannelId>>,
    /// What each node has announced, as long as no deep reorganisation may have moved it.
    standing: BTreeSet<(NodeIndex, ShortChannelId)>,
}

/// What is wrong with terms that a peer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The signature is of something else.
    Unsigned,
    /// The peer says by what the other end forwards, under its own signature.
    OfOtherEnd,
    /// The peer has said something else since.
    OutOfDate,
}

#[derive(Clone, Debug)]
enum Question {
    Blocks {
        query: QueryChannelRange,
        public: Public,
    },
    Channels {
        /// Those whose announcement is still to come.
        due: BTreeSet<ShortChannelId>,
    },
}

/// The public channels of a node.
#[derive(Clone, Debug, Default)]
struct Public {
    /// Nobody may be told of another one.
    may_be_told: BTreeSet<ShortChannelId>,
    /// Whoever asks is told of these: the node has announced them.
    must_be_told: BTreeSet<ShortChannelId>,
}

impl Questions {
    /// The connection of two nodes is gone, and with it what they asked each other.
    pub(super) fn hung_up(&mut self, one: NodeIndex, other: NodeIndex) {
        for pair in [(one, other), (other, one)] {
            self.open.remove(&pair);
            self.to_tell.remove(&pair);
        }
    }
}

impl World {
    /// A peer says something that its engine does not.
    pub fn say(&mut self, from: NodeIndex, to: NodeIndex, message: &Message) {
        self.tell(|world| {
            let [from, to] = [from, to].map(|node| &world.nodes[node].name);
            format!("{from} -> {to}: {} of its own accord", message.name())
        });
        self.put_on_wire(from, to, message.encode(), 0);
    }

    /// Terms of a channel that are not what `from` says of it to `to`; nothing as long as `to` has not heard what it does say.
    pub fn false_terms(&self, from: NodeIndex, to: NodeIndex, channel: ChannelId, lie: Lie) -> Option<Message> {
        let heard = self.heard(to, channel)?;
        let mut terms = ChannelUpdate {
            timestamp: heard.timestamp + 1,
            fee_base_msat: heard.fee_base_msat ^ 1,
            ..heard.clone()
        };
        match lie {
            Lie::Unsigned => return Some(terms.into()),
            Lie::OfOtherEnd => terms.channel_flags ^= ChannelUpdate::DIRECTION,
            Lie::OutOfDate => terms.timestamp = heard.timestamp - 1,
        }
        Some(self.signed(from, GossipToSign::Update(terms)))
    }

    /// Half of an announcement that signs nothing.
    pub fn false_half(channel_id: ChannelId, short_channel_id: ShortChannelId) -> AnnouncementSignatures {
        AnnouncementSignatures {
            channel_id,
            short_channel_id,
            node_signature: GossipToSign::unsigned(),
            bitcoin_signature: GossipToSign::unsigned(),
        }
    }

    /// A node calls itself something else, under a signature of another name.
    pub fn falsely_renamed(&self, node: NodeIndex, timestamp: u32) -> Message {
        let mut renamed = self.renamed(node, timestamp);
        if let Message::NodeAnnouncement(announcement) = &mut renamed {
            announcement.alias[31] ^= 1;
        }
        renamed
    }

    /// A node calls itself something else, under its signature.
    pub fn renamed(&self, node: NodeIndex, timestamp: u32) -> Message {
        let mut alias = [0; 32];
        alias[..4].copy_from_slice(&timestamp.to_be_bytes());
        let announcement = NodeAnnouncement {
            signature: GossipToSign::unsigned(),
            features: FeatureBytes::default(),
            timestamp,
            node_id: self.nodes[node].id(),
            rgb_color: [0; 3],
            alias,
            addresses: NodeAddresses::default(),
            excess: Excess::default(),
        };
        self.signed(node, GossipToSign::Node(Box::new(announcement)))
    }

    /// What a node says under its signature, whatever its engine says.
    fn signed(&self, node: NodeIndex, to_sign: GossipToSign) -> Message {
        let outgoing = Outgoing::Gossip(Box::new(to_sign));
        self.nodes[node].signer.complete(outgoing, &mut SignedAhead::default())
    }

    /// The places of a node's channels, public or not.
    pub fn places(&self, node: NodeIndex) -> Vec<ShortChannelId> {
        let process = self.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let fundings = channels.filter_map(|channel| channel.state().funding);
        fundings.map(|funding| funding.short_channel_id).collect()
    }

    /// The last `depth` blocks are replaced by one more. What stood in them stands in the first new block, or only in another one behind
    /// them all.
    ///
    /// # Panics
    /// When what stood in those blocks rests on their miners' rewards.
    pub fn displace(&mut self, depth: u32, comes_late: bool) {
        // What was said before it is said: a name may be another channel's after it.
        for node in 0..self.nodes.len() {
            self.sync(node);
        }
        let tip = self.tip();
        let first = tip.saturating_sub(BlockCount(depth - 1));
        let mut stood: Vec<Transaction> = Vec::new();
        for height in first.0..=tip.0 {
            let chain = &self.chain.chain;
            let block = chain
                .block_hash(BlockHeight(height))
                .and_then(|hash| chain.block(&hash));
            stood.extend(block.expect("it is in the chain").txdata.iter().skip(1).cloned());
        }
        self.questions.standing.retain(|(_, name)| name.block() < first);
        self.checker.displaced(first);
        let options = MineOptions::empty(depth + 1);
        if comes_late {
            self.replace_blocks(depth, &options);
            self.find_blocks(&MineOptions::empty(1).including(stood));
        } else {
            self.replace_blocks(depth, &options.including(stood));
        }
    }

    /// A question arrives at `to`: what is true of it now is to be answered.
    pub(super) fn asked(&mut self, from: NodeIndex, to: NodeIndex, message: &Message) {
        let question = match message {
            Message::QueryChannelRange(query) => Question::Blocks {
                query: query.clone(),
                public: self.public(to, query.chain_hash),
            },
            Message::QueryShortChannelIds(query) if is_whole(query) => {
                let must = self.public(to, query.chain_hash).must_be_told;
                let is_wanted = |place: usize| query.query_flags.as_ref().is_none_or(|flags| flags.0[place].0 & 1 != 0);
                let names = query.encoded_short_ids.0.iter().enumerate();
                let mut seen = BTreeSet::new();
                // Of a channel that is asked for twice, the first time counts.
                let wanted = names.filter(|(place, name)| seen.insert(**name) && is_wanted(*place));
                let due = wanted.map(|(_, name)| *name).filter(|name| must.contains(name));
                Question::Channels { due: due.collect() }
            }
            Message::GossipTimestampFilter(filter) => {
                let is_all = (filter.first_timestamp, filter.timestamp_range) == (0, u32::MAX);
                if is_all {
                    let must = self.public(to, filter.chain_hash).must_be_told;
                    self.questions.to_tell.entry((to, from)).or_default().extend(must);
                }
                return;
            }
            _ => return,
        };
        self.questions.open.entry((to, from)).or_default().push_back(question);
    }

    /// The public channels of a node, at this moment.
    fn public(&self, node: NodeIndex, chain: ChainHash) -> Public {
        if chain != ChainHash::REGTEST {
            return Public::default();
        }
        let tip = self.tip();
        let process = self.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels().map(Channel::state));
        let public = channels.filter(|state| state.facts.announce && state.phase == Phase::Normal);
        let deep = public.filter_map(|state| {
            let funding = state.funding?;
            (funding.height.depth_at(tip) >= ANNOUNCE_DEPTH).then_some(funding.short_channel_id)
        });
        let may_be_told: BTreeSet<_> = deep.collect();
        let must = may_be_told.iter().copied();
        let must = must.filter(|name| self.questions.standing.contains(&(node, *name)));
        Public {
            must_be_told: must.collect(),
            may_be_told,
        }
    }

    /// Gossip of a node leaves it: its own words, or another's.
    pub(super) fn gossip_left(&mut self, node: NodeIndex, to: &NodeId, message: &Message) {
        let asker = self.index_of(to);
        match message {
            Message::ChannelUpdate(update) => self.update_left(node, to, update),
            Message::AnnouncementSignatures(half) => self.checker.half_left(node, half),
            Message::ChannelAnnouncement(announcement) => {
                self.checker.announced(node, announcement);
                self.told_of(node, asker, announcement.short_channel_id);
            }
            Message::NodeAnnouncement(announcement) => {
                let key = announcement
                    .node_id
                    .public_key()
                    .expect("nodes of these worlds have keys");
                let hash = announcement.signature_hash();
                if SECP256K1.verify_ecdsa(&hash, &announcement.signature, &key).is_err() {
                    let what = format!(
                        "node {node} passes on what {} never said of itself",
                        announcement.node_id
                    );
                    self.checker.found("BOLT 7", what);
                }
            }
            Message::ReplyChannelRange(reply) => self.blocks_answered(node, asker, reply),
            Message::ReplyShortChannelIdsEnd(_) => self.channels_answered(node, asker),
            _ => {}
        }
    }

    fn told_of(&mut self, node: NodeIndex, asker: NodeIndex, name: ShortChannelId) {
        self.questions.standing.insert((node, name));
        for question in self.questions.open.get_mut(&(node, asker)).into_iter().flatten() {
            if let Question::Channels { due } = question {
                due.remove(&name);
            }
        }
        if let Some(to_tell) = self.questions.to_tell.get_mut(&(node, asker)) {
            to_tell.remove(&name);
        }
    }

    fn next_question(&mut self, node: NodeIndex, asker: NodeIndex) -> Option<Question> {
        self.questions.open.get_mut(&(node, asker))?.pop_front()
    }

    fn blocks_answered(&mut self, node: NodeIndex, asker: NodeIndex, reply: &ReplyChannelRange) {
        let Some(Question::Blocks { query, public }) = self.next_question(node, asker) else {
            self.answers_badly(node, asker, "with blocks, and was not asked for them");
            return;
        };
        let (first, blocks) = (query.first_blocknum, query.number_of_blocks);
        let end = u64::from(first) + u64::from(blocks);
        let is_meant = |name: &&ShortChannelId| (u64::from(first)..end).contains(&u64::from(name.block().0));
        let told: BTreeSet<_> = reply.encoded_short_ids.0.iter().copied().collect();
        let must: BTreeSet<_> = public.must_be_told.iter().filter(is_meant).copied().collect();
        let may: BTreeSet<_> = public.may_be_told.iter().filter(is_meant).copied().collect();
        let options = query.query_option.map_or(0, |option| option.0);
        let times = reply.timestamps_tlv.as_ref().map(|times| times.0.len());
        let sums = reply.checksums_tlv.as_ref().map(Vec::len);
        let wanted = |bit: u64| (options & bit != 0).then_some(told.len());
        if !told.is_superset(&must) || !told.is_subset(&may) {
            let what = format!("with {told:?}, and must with {must:?}, and may with {may:?}");
            self.answers_badly(node, asker, &what);
        }
        if (reply.first_blocknum, reply.number_of_blocks) != (first, blocks)
            || (times, sums) != (wanted(WANT_TIMESTAMPS), wanted(WANT_CHECKSUMS))
        {
            self.answers_badly(node, asker, "another question than it was asked");
        }
    }

    fn channels_answered(&mut self, node: NodeIndex, asker: NodeIndex) {
        match self.next_question(node, asker) {
            Some(Question::Channels { due }) if due.is_empty() => {}
            Some(Question::Channels { due }) => self.answers_badly(node, asker, &format!("without {due:?}")),
            Some(Question::Blocks { .. }) | None => {
                self.answers_badly(node, asker, "with the end of channels, and was not asked for them");
            }
        }
    }

    fn answers_badly(&mut self, node: NodeIndex, asker: NodeIndex, how: &str) {
        if !self.checker.excused.contains(&node) {
            let what = format!("node {node} answers {asker} {how}");
            self.checker.found("BOLT 7", what);
        }
    }

    /// Everything that was asked on a connection that is still there has its answer.
    pub(crate) fn judge_answers(&mut self, node: NodeIndex) {
        let of_node = |(answers, _): &&(NodeIndex, NodeIndex)| *answers == node;
        let open = self.questions.open.iter().filter(|(pair, _)| of_node(pair));
        let open = open.filter(|(_, questions)| !questions.is_empty());
        let untold = self.questions.to_tell.iter().filter(|(pair, _)| of_node(pair));
        let untold = untold.filter(|(_, names)| !names.is_empty());
        let open = open.map(|((_, asker), questions)| (*asker, format!("nothing to {questions:?}")));
        let untold = untold.map(|((_, asker), names)| (*asker, format!("who listens, without {names:?}")));
        let found: Vec<_> = open.chain(untold).collect();
        for (asker, how) in found {
            self.answers_badly(node, asker, &how);
        }
    }
}

/// Whether a query has as many flags as channels.
fn is_whole(query: &QueryShortChannelIds) -> bool {
    let flags = query.query_flags.as_ref();
    flags.is_none_or(|flags| flags.0.len() == query.encoded_short_ids.0.len())
}

/// Whether a driver keeps a message to itself: the engine has no use for the answers to questions.
pub(super) const fn is_for_the_driver(message: &Message) -> bool {
    matches!(
        message,
        Message::ReplyShortChannelIdsEnd(_) | Message::ReplyChannelRange(_)
    )
}
