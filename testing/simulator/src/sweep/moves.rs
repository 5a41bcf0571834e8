//! The moves of the safety phase: what one of them does, by its own chances.

use std::collections::VecDeque;

use bitcoin::{Amount, FeeRate};
use quittance_channel::{CloseRequest, ForwardingPolicy};
use quittance_manager::{Command, Input, NewChannel};
use quittance_monitor::FeeEstimates;
use quittance_payments::HintHop;
use quittance_primitives::{ChannelId, CltvExpiryDelta, FeeratePerKw, MilliSatoshi, PaymentId, ShortChannelId};
use quittance_regtest::MineOptions;
use quittance_store::memory::{Fault, Keep};

use super::{Kind, Sweep};
use crate::checker::FORWARDING;
use crate::{CrashPlan, Garbage, Harm, NodeIndex, RowsAfterCrash};

/// How far a clock may be wrong.
pub(super) const CLOCK_JUMP_MAX_MS: u64 = 2 * 3_600_000;

/// So many msat are in no commitment too little for an output of their own, at the feerates of these worlds.
pub(super) const NEVER_TRIMMED: u64 = 20_000_000;
/// Blocks that are found while things fail: fewer than a node may be away in without missing a deadline (A2), and in runs without closes so
/// few that no deadline comes near.
pub(super) const BLOCKS_MAX: u64 = 10;
/// Channels that are opened while things fail.
const OPENS_MAX: u64 = 4;
/// The deepest reorganisation: less than what is called buried.
const REORG_MAX: u64 = 4;

/// What happens to a node.
pub(super) type Action = fn(&mut Sweep, NodeIndex);

impl Sweep {
    /// One move: something arrives, or something happens to a node.
    pub(super) fn act(&mut self) {
        if self.random.chance(65) {
            let due = self.world.due_wires();
            if !due.is_empty() {
                let (from, to) = due[self.pick(due.len())];
                self.world.deliver(from, to);
                return;
            }
            if self.world.wait_for_wires() {
                return;
            }
        }
        let node = self.pick(self.world.nodes.len());
        if !self.world.is_up(node) {
            if self.random.chance(40) {
                self.world.nodes[node].empty_disk();
                self.world.start(node);
                self.connect_all(node);
            }
            return;
        }
        self.act_on(node);
    }

    fn act_on(&mut self, node: NodeIndex) {
        if self.hear(node) {
            return;
        }
        let (mood, rarities) = (self.mood.clone(), self.rarities_left());
        let waits = self.world.nodes[node].syncs_wait;
        // What is not yet safe is in the greatest danger.
        let danger = if waits { 2 } else { 1 };
        let actions: [(u64, Action); 27] = [
            (mood.pay, Self::pay),
            (if waits { 12 } else { 0 }, |sweep, node| sweep.world.sync(node)),
            (mood.crash * danger, Self::die),
            (mood.cut, Self::cut),
            (12, Self::connect_all),
            (mood.handle, Self::handle),
            (4, Self::decide_hold),
            (4, Self::command),
            (mood.plan, Self::plan),
            (2, Self::pass_time),
            (mood.clock, Self::set_clock),
            (mood.garbage, Self::send_garbage),
            (mood.block, |sweep, _| sweep.find_block()),
            (mood.close, Self::close),
            (mood.reorg, |sweep, _| sweep.replace_blocks()),
            (mood.fee, Self::change_fees),
            (mood.policy, Self::change_policy),
            (mood.spike, |sweep, _| sweep.raise_fees()),
            (mood.cheat * 2, Self::keep_commitment),
            (mood.cheat, Self::cheat),
            (mood.backup, Self::restore_backup),
            (mood.backup, Self::promote_replica),
            (mood.open, Self::open),
            (rarities.part, Self::part),
            (rarities.linger, Self::linger),
            (rarities.halve, Self::halve),
            (rarities.crowd, Self::crowd),
        ];
        let mut drawn = self.random.below(actions.iter().map(|(weight, _)| weight).sum());
        for (weight, action) in actions {
            if drawn < weight {
                action(self, node);
                return;
            }
            drawn -= weight;
        }
    }

    fn pay(&mut self, payer: NodeIndex) {
        let payee = self.pick(self.world.nodes.len());
        let Some(mut way) = self.way(payer, payee) else { return };
        if self.random.chance(2) {
            // A hint that is wrong.
            for hop in way.iter_mut().filter_map(|hops| hops.last_mut()) {
                hop.short_channel_id = ShortChannelId(self.random.draw());
            }
        }
        let amount = match self.random.below(5) {
            4 => self.amount_in_parts(payer, payee),
            0 if !self.mood.closes() => 1 + self.random.below(400_000),
            1 => 1_000_000 + self.random.below(100_000_000),
            2 => 1_000_000 + self.random.below(3_000_000_000),
            _ => 1_000_000_000 + self.random.below(9_000_000_000),
        };
        // What is trimmed from a commitment may be lost with its channel (A3), and nothing else may.
        let amount = if self.mood.closes() {
            amount.max(NEVER_TRIMMED)
        } else {
            amount
        };
        let amount = MilliSatoshi(amount);
        let invoice = if self.random.chance(self.mood.hold) {
            let hold = self.world.hold_invoice(payee, amount);
            self.holds.push((payee, hold));
            hold.invoice
        } else {
            self.world.invoice(payee, amount)
        };
        let id = self.next_payment();
        self.world.pay(payer, payee, id, &invoice, amount, way);
    }

    /// The id of a payment that was not made before.
    pub(super) fn next_payment(&mut self) -> PaymentId {
        self.payments += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.payments.to_be_bytes());
        PaymentId(id)
    }

    /// More than one channel of the two can carry, if they share several, and less than all can.
    pub(super) fn amount_in_parts(&mut self, payer: NodeIndex, payee: NodeIndex) -> u64 {
        let peer = self.world.nodes[payee].id();
        let process = self.world.nodes[payer].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let sendable: Vec<u64> = channels
            .filter(|channel| channel.state().facts.peer == peer)
            .map(|channel| channel.sendable().0)
            .collect();
        let (all, most): (u64, u64) = (sendable.iter().sum(), sendable.iter().copied().max().unwrap_or(0));
        let rest = 1 + self.random.below((all - most).max(1));
        most + rest.max(if self.mood.closes() { NEVER_TRIMMED } else { 1 })
    }

    /// Hints from the payer's first peers to the payee: one for each channel of the last hop.
    fn way(&mut self, payer: NodeIndex, payee: NodeIndex) -> Option<Vec<Vec<HintHop>>> {
        if payer == payee {
            return None;
        }
        let mut queue = VecDeque::from([vec![payer]]);
        let mut seen = vec![payer];
        while let Some(path) = queue.pop_front() {
            let here = *path.last()?;
            if here == payee {
                let hops = path
                    .windows(2)
                    .skip(1)
                    .map(|pair| self.hints[&(pair[0], pair[1])].clone());
                let hops: Vec<Vec<HintHop>> = hops.collect();
                if hops.is_empty() {
                    return Some(Vec::new());
                }
                let ways = hops.iter().map(Vec::len).min()?;
                return Some((0..ways).map(|way| hops.iter().map(|hop| hop[way]).collect()).collect());
            }
            for (_, to) in self.hints.keys().filter(|(from, _)| *from == here) {
                if !seen.contains(to) {
                    seen.push(*to);
                    queue.push_back([path.clone(), vec![*to]].concat());
                }
            }
        }
        None
    }

    fn keep(&mut self) -> Keep {
        match self.random.below(4) {
            0 => Keep::None,
            1 => Keep::All,
            2 => Keep::First(self.pick(4)),
            _ => Keep::Torn {
                whole: self.pick(3),
                changes: self.pick(4),
            },
        }
    }

    fn rows(&mut self) -> RowsAfterCrash {
        if !self.random.chance(self.mood.lose_rows) {
            return RowsAfterCrash::Whole;
        }
        self.figures.rebuilds += 1;
        match self.random.below(2) {
            0 => RowsAfterCrash::Lost,
            _ => RowsAfterCrash::Behind(1 + self.random.below(8)),
        }
    }

    fn die(&mut self, node: NodeIndex) {
        self.figures.crashes += 1;
        if self.random.chance(self.mood.fail_disk) {
            if self.random.chance(50) {
                self.world.nodes[node].store.break_(Fault::SyncFails);
            } else {
                self.world.nodes[node].fill_disk();
            }
            return;
        }
        let (keep, rows) = (self.keep(), self.rows());
        self.world.crash(node, keep, rows);
    }

    /// A death in the middle of what the node does next.
    fn plan(&mut self, node: NodeIndex) {
        if self.world.plans.len() > 1 {
            return;
        }
        self.figures.crashes += 1;
        let point = self.world.points.get(&node).copied().unwrap_or(0) + self.random.below(25);
        let plan = CrashPlan {
            node,
            point,
            harm: Harm::Dies(self.keep()),
            rows: self.rows(),
            starts_that_die: u32::try_from(self.random.below(3)).expect("small"),
        };
        self.world.plans.push(plan);
    }

    fn cut(&mut self, node: NodeIndex) {
        let other = self.pick(self.world.nodes.len());
        if self.world.is_connected(node, other) {
            self.figures.cuts += 1;
            self.world.disconnect(node, other);
        }
    }

    pub(super) fn connect_all(&mut self, node: NodeIndex) {
        for other in 0..self.world.nodes.len() {
            if node != other
                && !self.is_parted(node, other)
                && self.world.share_a_channel(node, other)
                && self.random.chance(80)
            {
                self.world.connect(node, other);
            }
        }
    }

    fn handle(&mut self, node: NodeIndex) {
        let shown: Vec<_> = self.world.nodes[node]
            .user
            .shown
            .iter()
            .map(|shown| shown.number)
            .collect();
        if !shown.is_empty() {
            let number = shown[self.pick(shown.len())];
            self.world.handle_events(node, number);
        }
    }

    fn decide_hold(&mut self, _: NodeIndex) {
        if self.holds.is_empty() {
            return;
        }
        let place = self.pick(self.holds.len());
        let (payee, hold) = self.holds[place];
        let command = if self.random.chance(70) {
            Command::ClaimPayment(hold.preimage)
        } else {
            Command::RefusePayment(hold.preimage.hash())
        };
        self.world.command(payee, command);
    }

    fn command(&mut self, node: NodeIndex) {
        let ids: Vec<_> = self.world.requested.keys().copied().collect();
        match self.random.below(3) {
            0 if !ids.is_empty() => {
                let id = ids[self.pick(ids.len())];
                // One that failed without an HTLC, and whose row is lost, may be made anew: its caller knows that it failed.
                let (payer, hash) = (
                    self.world.requested[&id].payer,
                    self.world.requested[&id].payment.payment_hash,
                );
                if self.world.checker.end_of(payer, id).is_none() || self.world.checker.has_paid_for(payer, hash) {
                    self.world.repeat(id);
                }
            }
            1 if !ids.is_empty() => {
                let id = ids[self.pick(ids.len())];
                let payer = self.world.requested[&id].payer;
                self.world.command(payer, Command::AbandonPayment(id));
            }
            _ => {
                let channels = self.channels_of(node);
                if !channels.is_empty() {
                    let channel = channels[self.pick(channels.len())];
                    let rate = 300 + u32::try_from(self.random.below(3_000)).expect("small");
                    // A rest lasts until its wire is cut.
                    let command = if rate % 8 == 0 && self.mood.cut > 0 {
                        Command::Quiesce(channel)
                    } else {
                        Command::SetFeerate(channel, FeeratePerKw(rate))
                    };
                    self.world.command(node, command);
                }
            }
        }
    }

    fn pass_time(&mut self, _: NodeIndex) {
        self.world.now_ms += 1_000 * (1 + self.random.below(20));
        for node in 0..self.world.nodes.len() {
            self.world.input(node, Input::Tick);
        }
    }

    /// A node's clock is set: right, or wrong by up to two hours in either direction.
    fn set_clock(&mut self, node: NodeIndex) {
        let jump = i64::try_from(self.random.below(CLOCK_JUMP_MAX_MS)).expect("small");
        self.world.nodes[node].clock_ahead_ms = match self.random.below(3) {
            0 => 0,
            1 => jump,
            _ => -jump,
        };
        self.world.checker.clock_set(node);
        self.world
            .tell(|world| format!("{}'s clock is set", world.nodes[node].name));
    }

    fn send_garbage(&mut self, from: NodeIndex) {
        let to = self.pick(self.world.nodes.len());
        if !self.world.is_connected(from, to) {
            return;
        }
        let garbage = match self.random.below(4) {
            0 => Garbage::Bytes(self.random.bytes()),
            1 => Garbage::UnknownChannel(self.random.bytes()),
            _ => Garbage::Repeated(self.pick(12)),
        };
        if self.world.send_garbage(from, to, garbage) {
            self.figures.garbage += 1;
        }
        debug_assert!(self.recipe.has(Kind::Garbage), "its weight is zero otherwise");
    }

    fn find_block(&mut self) {
        if self.figures.blocks < BLOCKS_MAX {
            self.figures.blocks += 1;
            let options = self.miner(1);
            self.world.find_blocks(&options);
        }
    }

    /// Most miners take what pays, and some take nothing.
    fn miner(&mut self, blocks: u32) -> MineOptions {
        if self.random.chance(25) {
            MineOptions::empty(blocks)
        } else {
            MineOptions::blocks(blocks)
        }
    }

    /// The last blocks are replaced by one more, and what was in them may be lost.
    fn replace_blocks(&mut self) {
        let deepest = self.figures.blocks.min(REORG_MAX);
        if deepest == 0 || self.figures.blocks >= BLOCKS_MAX {
            return;
        }
        self.figures.blocks += 1;
        self.figures.reorgs += 1;
        let depth = u32::try_from(1 + self.random.below(deepest)).expect("small");
        if self.figures.displaced > 0 {
            // The first fundings of a world may be in these blocks, and nobody but a mempool has them.
            self.world.displace(depth, false);
            return;
        }
        let options = self.miner(depth + 1);
        self.world.replace_blocks(depth, &options);
        if self.random.chance(30) {
            self.world.forget_mempool();
        }
    }

    /// A user closes a channel, by agreement or by commitment.
    fn close(&mut self, node: NodeIndex) {
        let channels = self.channels_of(node);
        if channels.is_empty() {
            return;
        }
        let channel = channels[self.pick(channels.len())];
        let command = if self.random.chance(60) {
            Command::ForceClose(channel)
        } else {
            let request = CloseRequest {
                script: None,
                feerate: None,
            };
            Command::CloseChannel(channel, request)
        };
        self.world.command(node, command);
    }

    /// A user opens a channel to a peer; now and then its wallet has no coins for it.
    fn open(&mut self, node: NodeIndex) {
        let peer = self.pick(self.world.nodes.len());
        if self.figures.opens >= OPENS_MAX || !self.world.is_connected(node, peer) {
            return;
        }
        self.figures.opens += 1;
        self.world.nodes[node].user.is_out_of_coins = self.random.chance(20);
        let capacity = Amount::from_sat(100_000 + self.random.below(10_000_000));
        let new = NewChannel {
            peer: self.world.nodes[peer].id(),
            capacity,
            push: MilliSatoshi(self.random.below(capacity.to_sat() * 500)),
            channel_type: None,
            announce: self.random.chance(40),
            feerate: FeeratePerKw(1_000),
            keys: self.world.nodes[node].signer.new_channel_keys(),
        };
        self.world.command(node, Command::OpenChannel(Box::new(new)));
    }

    /// A user changes by what its node forwards through a channel: cheaper than the payers of this world believe, and seldom dearer.
    fn change_policy(&mut self, node: NodeIndex) {
        let channels = self.channels_of(node);
        if channels.is_empty() {
            return;
        }
        let channel = channels[self.pick(channels.len())];
        let dearest = if self.random.chance(10) { 2_000 } else { 1_000 };
        let policy = ForwardingPolicy {
            fee_base: MilliSatoshi(self.random.below(dearest)),
            fee_proportional_millionths: u32::try_from(self.random.below(100)).expect("small"),
            cltv_expiry_delta: CltvExpiryDelta(u16::try_from(40 + self.random.below(32)).expect("small")),
            ..FORWARDING
        };
        self.world.set_policy(node, channel, policy);
    }

    fn channels_of(&self, node: NodeIndex) -> Vec<ChannelId> {
        let process = self.world.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        channels.map(|channel| channel.state().facts.channel_id).collect()
    }

    fn change_fees(&mut self, node: NodeIndex) {
        let feerate = 300 + u32::try_from(self.random.below(2_500)).expect("small");
        self.world.nodes[node].fees = FeeEstimates::flat(FeeratePerKw(feerate));
    }

    /// What gets into a block costs more, for a while; everybody sees it, each in its own way.
    fn raise_fees(&mut self) {
        let sat_per_vb = [1, 3, 10, 30][self.pick(4)];
        self.figures.spikes += u64::from(sat_per_vb > 1);
        let least = FeeRate::from_sat_per_vb_u32(sat_per_vb);
        self.world.chain.chain.set_mempool_min_feerate(least);
        self.world
            .tell(|_| format!("a mempool takes {sat_per_vb} sat for a virtual byte, and no less"));
        for node in 0..self.world.nodes.len() {
            // 250 for 1,000 units of weight are 1 for a virtual byte.
            let percent = 100 + u32::try_from(self.random.below(100)).expect("small");
            let feerate = FeeratePerKw((sat_per_vb * 250 * percent / 100).max(1_000));
            self.world.nodes[node].fees = FeeEstimates::flat(feerate);
        }
    }

    /// Fees are what they were.
    pub(super) fn settle_fees(&mut self) {
        self.world
            .chain
            .chain
            .set_mempool_min_feerate(FeeRate::from_sat_per_vb_u32(1));
        for node in &mut self.world.nodes {
            node.fees = FeeEstimates::flat(FeeratePerKw(1_000));
        }
    }
}
