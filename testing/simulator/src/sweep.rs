//! Random runs: a world, its faults and its users' moods are drawn from one seed, and equal seeds give equal runs.
//!
//! First the safety phase: anything may fail, at any moment, and nothing may be untrue. Then the liveness phase: faults stop, and
//! everything must come to its end. Each run draws its own mix of options, so that rare combinations occur.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use quittance_manager::{Command, Input};
use quittance_payments::HintHop;
use quittance_primitives::{FeeratePerKw, MilliSatoshi, PaymentId};
use quittance_store::memory::{Fault, Keep};

use crate::{Broken, ChannelSetup, CrashPlan, End, Harm, Hold, NodeIndex, Random, RowsAfterCrash, World};

/// Seeds that broke something once, and run first.
pub const REGRESSIONS: &str = include_str!("../regressions.txt");

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Steps of all engines.
    pub steps: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Deaths after which the manager's rows were stale or lost.
    pub rebuilds: u64,
    /// Wires that were cut.
    pub cuts: u64,
    /// Payments that were made.
    pub sent: u64,
    /// Payments that failed.
    pub failed: u64,
    /// Payments that never began: the send was lost with its crash.
    pub never: u64,
    /// Seconds that passed in the world.
    pub simulated_seconds: u64,
    /// Every step, as one number.
    pub hash: u64,
    /// What was broken; a panic of an engine's assertion is there too.
    pub broken: Vec<Broken>,
    /// The story, if it was wanted.
    pub story: Vec<String>,
}

/// What a run is like.
#[derive(Clone, Debug)]
struct Mood {
    moves: u64,
    crash: u64,
    cut: u64,
    pay: u64,
    lose_rows: u64,
    fail_disk: u64,
    hold: u64,
    handle: u64,
    plan: u64,
}

struct Sweep {
    world: World,
    random: Random,
    mood: Mood,
    /// Hints to each node from each that shares a channel with it.
    hints: BTreeMap<(NodeIndex, NodeIndex), Vec<HintHop>>,
    holds: Vec<(NodeIndex, Hold)>,
    payments: u64,
    crashes: u64,
    rebuilds: u64,
    cuts: u64,
}

/// Runs one seed.
pub fn run(seed: u64, tells_story: bool) -> Outcome {
    let mut sweep = Sweep::new(seed);
    if tells_story {
        sweep.world.story = Some(vec![format!("{:?}", sweep.mood)]);
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        sweep.safety();
        sweep.liveness();
    }));
    let mut outcome = sweep.outcome();
    if let Err(panic) = panicked {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        outcome.broken.push(Broken {
            guarantee: "assertion",
            what: words.unwrap_or_default(),
        });
    }
    outcome
}

impl Sweep {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = 2 + u8::try_from(random.below(4)).expect("small");
        let mut world = World::new(nodes, random.draw());
        let nodes = usize::from(nodes);
        let edges: Vec<(NodeIndex, NodeIndex)> = match random.below(3) {
            0 => (1..nodes).map(|node| (node - 1, node)).collect(),
            1 => (1..nodes).map(|node| (0, node)).collect(),
            _ => (0..nodes)
                .map(|node| (node, (node + 1) % nodes))
                .filter(|(one, other)| one != other)
                .collect(),
        };
        let double = random.chance(40);
        for (one, other) in edges {
            for _ in 0..=u8::from(double) {
                let setup = ChannelSetup {
                    pushed: MilliSatoshi(1_000_000_000 + random.below(8) * 1_000_000_000),
                    ..ChannelSetup::default()
                };
                world.open_channel(one, other, &setup);
            }
        }
        let mut hints = BTreeMap::new();
        for from in 0..nodes {
            for to in 0..nodes {
                let some = world.hints(from, to);
                if !some.is_empty() {
                    hints.insert((from, to), some);
                }
            }
        }
        let mood = Mood {
            moves: 60 + random.below(400),
            crash: random.below(6),
            cut: random.below(6),
            pay: 2 + random.below(10),
            lose_rows: random.below(3) * 30,
            fail_disk: random.below(3) * 10,
            hold: random.below(4) * 20,
            handle: random.below(4) * 3,
            plan: random.below(4) * 2,
        };
        for node in &mut world.nodes {
            node.syncs_wait = random.chance(30);
            node.user.handles_at_once = random.chance(50);
        }
        Self {
            world,
            random,
            mood,
            hints,
            holds: Vec::new(),
            payments: 0,
            crashes: 0,
            rebuilds: 0,
            cuts: 0,
        }
    }

    /// Anything may fail.
    fn safety(&mut self) {
        for _ in 0..self.mood.moves {
            self.step();
            if !self.world.checker.broken.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self) {
        let busy = self.world.busy_wires();
        if !busy.is_empty() && self.random.chance(65) {
            let (from, to) = busy[self.pick(busy.len())];
            self.world.deliver(from, to);
            return;
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
        let mood = self.mood.clone();
        let weights = [
            mood.pay,
            if self.world.nodes[node].syncs_wait { 12 } else { 0 },
            mood.crash,
            mood.cut,
            12,
            mood.handle,
            4,
            2,
            mood.plan,
            2,
        ];
        let mut drawn = self.random.below(weights.iter().sum());
        let action = weights.iter().position(|weight| {
            let is_it = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            is_it
        });
        match action {
            Some(0) => self.pay(node),
            Some(1) => self.world.sync(node),
            Some(2) => self.die(node),
            Some(3) => self.cut(node),
            Some(4) => self.connect_all(node),
            Some(5) => self.handle(node),
            Some(6) => self.decide_hold(),
            Some(7) => self.command(node),
            Some(8) => self.plan(node),
            _ => self.pass_time(),
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).expect("an index")
    }

    fn pay(&mut self, payer: NodeIndex) {
        let payee = self.pick(self.world.nodes.len());
        let Some(way) = self.way(payer, payee) else { return };
        let amount = match self.random.below(4) {
            0 => 1 + self.random.below(400_000),
            1 => 1_000_000 + self.random.below(100_000_000),
            2 => 1_000_000 + self.random.below(3_000_000_000),
            _ => 1_000_000_000 + self.random.below(9_000_000_000),
        };
        let amount = MilliSatoshi(amount);
        let invoice = if self.random.chance(self.mood.hold) {
            let hold = self.world.hold_invoice(payee, amount);
            self.holds.push((payee, hold));
            hold.invoice
        } else {
            self.world.invoice(payee, amount)
        };
        self.payments += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.payments.to_be_bytes());
        self.world.pay(payer, payee, PaymentId(id), &invoice, amount, way);
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
            for (from, to) in self.hints.keys().filter(|(from, _)| *from == here) {
                let _ = from;
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
        self.rebuilds += 1;
        match self.random.below(2) {
            0 => RowsAfterCrash::Lost,
            _ => RowsAfterCrash::Behind(1 + self.random.below(8)),
        }
    }

    fn die(&mut self, node: NodeIndex) {
        self.crashes += 1;
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
        self.crashes += 1;
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
            self.cuts += 1;
            self.world.disconnect(node, other);
        }
    }

    fn connect_all(&mut self, node: NodeIndex) {
        for other in 0..self.world.nodes.len() {
            if node != other && self.world.share_a_channel(node, other) && self.random.chance(80) {
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

    fn decide_hold(&mut self) {
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
                let process = self.world.nodes[node].process.iter();
                let channels: Vec<_> = process
                    .flat_map(|process| process.manager.channels())
                    .map(|channel| channel.state().facts.channel_id)
                    .collect();
                if !channels.is_empty() {
                    let channel = channels[self.pick(channels.len())];
                    let rate = 300 + u32::try_from(self.random.below(3_000)).expect("small");
                    self.world
                        .command(node, Command::SetFeerate(channel, FeeratePerKw(rate)));
                }
            }
        }
    }

    fn pass_time(&mut self) {
        self.world.now_ms += 1_000 * (1 + self.random.below(20));
        for node in 0..self.world.nodes.len() {
            self.world.input(node, Input::Tick);
        }
    }

    /// Faults stop. Everything must come to its end.
    fn liveness(&mut self) {
        if !self.world.checker.broken.is_empty() {
            return;
        }
        self.world.plans.clear();
        self.world.tell(|_| "faults stop".to_owned());
        self.world.recover();
        for (payee, hold) in self.holds.clone() {
            let command = if self.random.chance(70) {
                Command::ClaimPayment(hold.preimage)
            } else {
                Command::RefusePayment(hold.preimage.hash())
            };
            self.world.command(payee, command);
            self.world.settle();
            self.world.command(payee, Command::RefusePayment(hold.preimage.hash()));
            self.world.settle();
        }
        // Parts whose others never came, and HTLCs whose next peer was away, end by time.
        for _ in 0..4 {
            self.world.now_ms += 20_000;
            self.world.reconnect();
        }
        self.world.conclude();
    }

    fn outcome(self) -> Outcome {
        let world = self.world;
        let mut outcome = Outcome {
            steps: world.steps,
            crashes: self.crashes,
            rebuilds: self.rebuilds,
            cuts: self.cuts,
            simulated_seconds: (world.now_ms - 1_700_000_000_000) / 1_000,
            hash: world.hash.0,
            story: world.story.unwrap_or_default(),
            ..Outcome::default()
        };
        for (id, made) in &world.requested {
            match world.checker.end_of(made.payer, *id) {
                Some(End::Sent { .. }) => outcome.sent += 1,
                Some(End::Failed(_)) => outcome.failed += 1,
                None => outcome.never += 1,
            }
        }
        outcome.broken = world.checker.broken;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_run_each_time() {
        for seed in 0..20 {
            assert_eq!(run(seed, false).hash, run(seed, true).hash, "seed {seed}");
        }
    }

    #[test]
    fn seeds_that_broke_something_once_break_nothing() {
        for line in REGRESSIONS.lines().filter(|line| !line.starts_with('#')) {
            let seed = line.split_whitespace().next().and_then(|seed| seed.parse().ok());
            let seed = seed.expect("a line begins with a seed");
            assert_eq!(run(seed, false).broken, [], "seed {seed}");
        }
    }
}
