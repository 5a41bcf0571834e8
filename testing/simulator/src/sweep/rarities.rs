//! What only some runs have, beside their mood: nodes whose limits differ, that gather what passes through them, wires that stay cut,
//! stores that were written in two halves, and channels with so many HTLCs that their claims stand in each other's way.
//!
//! All of it is drawn apart from the rest of a run, so that a run without any of it is what its seed always gave.

use std::collections::BTreeSet;

use quittance_channel::{Channel, Link, Phase};
use quittance_manager::{Command, ForwardConfig, Input};
use quittance_primitives::{BlockCount, BlockHeight, ChannelId, CltvExpiry, MilliSatoshi};
use quittance_store::memory::Keep;
use quittance_transactions::CommitmentFormat;

use super::{Kind, NEVER_TRIMMED, Recipe, Sweep};
use crate::{Halved, Hold, NodeIndex, Random, RowsAfterCrash, World};

/// The fewest payments of a crowd: a channel has a place for 24 transactions.
const CROWD_MIN: u64 = 28;
/// How many more there may be.
const CROWD_MORE: u64 = 8;
/// The most that one of them pays, in msat.
const CROWD_AMOUNT_MAX: u64 = 30_000_000;
/// How long a node gathers what passes through at most.
const GATHERING_MAX_MS: u64 = 5_000;
/// Longer than an HTLC waits for its next peer.
const LINGERING_MS: u64 = 31_000;
/// From so many blocks before its deadline on a claim is urgent.
const URGENT: u32 = 18;

/// What only some runs have: weights, mostly zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rarities {
    /// How often a wire is cut until faults stop.
    pub(super) part: u64,
    /// How often time passes in which whoever waits gives up.
    pub(super) linger: u64,
    /// How often nodes begin to write their steps in two halves.
    pub(super) halve: u64,
    /// How often a crowd of payments is made, if there was none.
    pub(super) crowd: u64,
    /// Whether nodes gather what passes through.
    gathers: bool,
    /// Whether nodes bear less dust than their peers.
    limits: bool,
}

/// Many payments over one channel, which their payee holds.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    payer: NodeIndex,
    payee: NodeIndex,
    channel: ChannelId,
    holds: Vec<Hold>,
}

impl Rarities {
    /// Draws what a run has.
    pub(super) fn draw(recipe: &Recipe) -> Self {
        // A stream of its own: any number that is used for nothing else.
        let mut random = Random::new(recipe.seed ^ 0x7261_7265);
        let mut is_drawn = |kind: Kind, percent: u64| random.chance(percent) && recipe.has(kind);
        let parts = is_drawn(Kind::Partings, 50);
        let gathers = is_drawn(Kind::Gathering, 30);
        Self {
            part: u64::from(parts),
            linger: if parts && gathers { 4 } else { 0 },
            halve: if is_drawn(Kind::Halves, 20) { 3 } else { 0 },
            crowd: if is_drawn(Kind::Crowds, 15) { 6 } else { 0 },
            gathers,
            limits: is_drawn(Kind::Limits, 30),
        }
    }

    /// Makes the nodes of a world as they are to be. They share no channel yet.
    pub(super) fn found(self, world: &mut World, recipe: &Recipe) {
        let mut random = Random::new(recipe.seed ^ 0x6e6f_6465);
        for node in 0..world.nodes.len() {
            let delay_ms = [0, 20, 500, GATHERING_MAX_MS][usize::try_from(random.below(4)).expect("small")];
            if self.gathers && delay_ms > 0 {
                world.nodes[node].forwards = ForwardConfig {
                    delay_ms,
                    ..ForwardConfig::default()
                };
                world.crash(node, Keep::All, RowsAfterCrash::Whole);
                world.start(node);
            }
            let dust = MilliSatoshi(50_000 + random.below(450_000));
            if self.limits && random.chance(50) {
                world.nodes[node].limits.max_dust_htlc_exposure = dust;
            }
        }
    }
}

impl Sweep {
    /// What is still to be had: one crowd is enough, and so is one step in two halves at a time.
    pub(super) fn rarities_left(&self) -> Rarities {
        let Rarities {
            mut halve, mut crowd, ..
        } = self.rarities;
        if !self.world.written_in_halves.is_empty() {
            halve = 0;
        }
        if self.crowd.is_some() {
            crowd = 0;
        }
        Rarities {
            halve,
            crowd,
            ..self.rarities
        }
    }

    /// A wire is cut, and stays so until faults stop.
    pub(super) fn part(&mut self, node: NodeIndex) {
        let other = self.pick(self.world.nodes.len());
        if self.world.is_connected(node, other) {
            self.figures.cuts += 1;
            self.parted.insert((node.min(other), node.max(other)));
            self.world.disconnect(node, other);
        }
    }

    /// Time passes in which whoever waits for a peer gives up.
    pub(super) fn linger(&mut self, _: NodeIndex) {
        for _ in 0..2 {
            self.world.now_ms += LINGERING_MS;
            for node in 0..self.world.nodes.len() {
                self.world.input(node, Input::Tick);
            }
        }
    }

    /// Whether the wire between two nodes stays cut.
    pub(super) fn is_parted(&self, one: NodeIndex, other: NodeIndex) -> bool {
        self.parted.contains(&(one.min(other), one.max(other)))
    }

    /// Nodes begin to write their steps in two halves, each until it dies by it.
    pub(super) fn halve(&mut self, _: NodeIndex) {
        let halved = if self.random.chance(20) {
            Halved::Payment
        } else {
            Halved::Revocation
        };
        let nodes = (0..self.world.nodes.len()).map(|node| (node, halved));
        self.world.written_in_halves = nodes.collect();
    }

    /// Many payments of one user to a peer, which holds them until faults stop.
    pub(super) fn crowd(&mut self, payer: NodeIndex) {
        let process = self.world.nodes[payer].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let can_carry = |channel: &&Channel| {
            let is_usable = channel.state().phase == Phase::Normal && matches!(channel.link(), Link::Up(_));
            is_usable && channel.sendable().0 > (CROWD_MIN + CROWD_MORE) * CROWD_AMOUNT_MAX
        };
        let open = channels.filter(can_carry);
        let peers: BTreeSet<_> = open.map(|channel| channel.state().facts.peer).collect();
        let peers: Vec<_> = peers.into_iter().collect();
        if peers.is_empty() || self.crowd.is_some() {
            return;
        }
        let place = self.pick(peers.len());
        let payee = self.world.index_of(&peers[place]);
        let mut holds = Vec::new();
        for _ in 0..CROWD_MIN + self.random.below(CROWD_MORE) {
            let more = self.random.below(CROWD_AMOUNT_MAX - NEVER_TRIMMED);
            let amount = MilliSatoshi(NEVER_TRIMMED + more);
            let hold = self.world.hold_invoice(payee, amount);
            holds.push(hold);
            let id = self.next_payment();
            self.world.pay(payer, payee, id, &hold.invoice, amount, Vec::new());
        }
        self.world.settle();
        if let Some(channel) = self.fullest(payer, payee) {
            self.crowd = Some(Crowd {
                payer,
                payee,
                channel,
                holds,
            });
        }
    }

    /// The channel of two nodes with the most HTLCs of the first.
    fn fullest(&self, payer: NodeIndex, payee: NodeIndex) -> Option<ChannelId> {
        let peer = self.world.nodes[payee].id();
        let channels = self.world.nodes[payer].process.as_ref()?.manager.channels();
        let states = channels.map(Channel::state);
        let shared = states.filter(|state| state.facts.peer == peer);
        let fullest = shared.max_by_key(|state| state.commitments.offered.len());
        Some(fullest?.facts.channel_id)
    }

    /// What was gathered on its way goes on, hop by hop.
    pub(super) fn gather_no_more(&mut self) {
        if self.rarities.gathers {
            for _ in 0..self.world.nodes.len() {
                self.world.now_ms += GATHERING_MAX_MS;
                self.world.tick();
            }
        }
    }

    /// A channel with a crowd of HTLCs is closed: all of them are claimed or expire together, at once or when little time is left.
    pub(super) fn disperse(&mut self) {
        let is_there = |crowd: &Crowd| self.expiry_of(crowd).is_some();
        if !self.crowd.as_ref().is_some_and(is_there) && self.rarities.crowd > 0 {
            self.crowd = None;
            for payer in 0..self.world.nodes.len() {
                self.crowd(payer);
            }
        }
        let Some(crowd) = self.crowd.take() else { return };
        let Some(expiry) = self.expiry_of(&crowd) else { return };
        self.world
            .tell(|_| format!("a crowd in {} expires at {expiry}", crowd.channel));
        let Crowd { payer, payee, .. } = crowd;
        match self.random.below(5) {
            0 => {
                self.claim_unheard(&crowd);
                self.close_on(payee, &crowd);
            }
            1 | 2 => {
                self.claim_unheard(&crowd);
                self.mine_until(expiry.saturating_sub(BlockCount(URGENT + 1)));
                self.close_on(payer, &crowd);
            }
            _ if self.is_shared(&crowd) => {
                self.close_on(payer, &crowd);
                self.mine_until(expiry.saturating_sub(BlockCount(1)));
                self.world.crash(payer, Keep::All, RowsAfterCrash::Whole);
                self.world.mine(URGENT + 2);
                self.world.reconnect();
            }
            _ => {
                self.close_on(payer, &crowd);
                self.mine_until(expiry);
            }
        }
        self.world.mine(1);
        let holds = crowd.holds.into_iter().map(|hold| (payee, hold));
        self.holds.extend(holds);
    }

    /// A node closes the channel of a crowd, and its commitment is in a block.
    fn close_on(&mut self, closer: NodeIndex, crowd: &Crowd) {
        self.world.command(closer, Command::ForceClose(crowd.channel));
        self.world.mine(2);
    }

    /// The payee claims a crowd, and the payer does not hear of it.
    fn claim_unheard(&mut self, crowd: &Crowd) {
        self.world.disconnect(crowd.payer, crowd.payee);
        for hold in &crowd.holds {
            self.world.command(crowd.payee, Command::ClaimPayment(hold.preimage));
        }
    }

    /// Whether what the payer claims of a crowd on its own commitment needs coins, which its claims can share.
    fn is_shared(&self, crowd: &Crowd) -> bool {
        let process = self.world.nodes[crowd.payer].process.as_ref();
        let channel = process.and_then(|process| process.manager.channel(&crowd.channel));
        channel.is_some_and(|channel| channel.state().facts.format != CommitmentFormat::StaticRemotekey)
    }

    /// When the first HTLC of a crowd expires that is still there.
    fn expiry_of(&self, crowd: &Crowd) -> Option<BlockHeight> {
        let process = self.world.nodes[crowd.payer].process.as_ref()?;
        let state = process.manager.channel(&crowd.channel)?.state();
        let hashes: BTreeSet<_> = crowd.holds.iter().map(|hold| hold.preimage.hash()).collect();
        let offered = state.commitments.offered.values();
        let crowd = offered.filter(|htlc| hashes.contains(&htlc.terms.payment_hash));
        let first: Option<CltvExpiry> = crowd.map(|htlc| htlc.terms.cltv_expiry).min();
        first.map(|expiry| BlockHeight(expiry.0))
    }

    fn mine_until(&mut self, height: BlockHeight) {
        self.world.mine(height.0.saturating_sub(self.world.tip().0));
    }
}
