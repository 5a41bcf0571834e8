//! Random runs: a world, its faults and its users' moods are drawn from one seed, and equal recipes give equal runs.
//!
//! First the safety phase: anything may fail, at any moment, and nothing may be untrue. Then the liveness phase: faults stop, and
//! everything must come to its end. Each run draws its own mix of options, so that rare combinations occur. Every move of the safety
//! phase has chances of its own, drawn from the seed and its place: a run without some of its moves is still that run.
//!
//! Start at [`run`]; what a move may do is in `moves`, what a world is like in `mood`, what only some runs have in `rarities`, and
//! [`shrink`] makes a broken run small.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use quittance_channel::OnChain;
use quittance_journal::Lsn;
use quittance_manager::Command;
use quittance_payments::HintHop;

use crate::{Broken, End, Hold, NodeIndex, Random, World};
use betrayals::{Cheat, Kept};
use hearsay::Hearsay;
use mood::Mood;
use moves::{BLOCKS_MAX, NEVER_TRIMMED};
use rarities::{Crowd, Rarities};

pub use recipe::{Kind, Recipe};
pub use shrink::{Shrunk, shrink};

mod betrayals;
mod hearsay;
mod mood;
mod moves;
mod rarities;
mod recipe;
mod shrink;

/// Recipes that broke something once, and run first.
const REGRESSIONS: &str = include_str!("../regressions.txt");

/// The recipes that broke something once.
///
/// # Panics
/// When a line of the file is no recipe.
pub fn regressions() -> Vec<Recipe> {
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.split(" # ").next().unwrap_or_default().split_whitespace());
    words
        .map(|words| {
            Recipe::read(words.map(str::to_owned)).unwrap_or_else(|reason| panic!("regressions.txt: {reason}"))
        })
        .collect()
}

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Steps of all engines.
    pub steps: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that started, after the first start of each.
    pub restores: u64,
    /// Deaths after which the manager's rows were stale or lost.
    pub rebuilds: u64,
    /// Wires that were cut.
    pub cuts: u64,
    /// Messages that a peer would never have sent.
    pub garbage: u64,
    /// Blocks that were found while things could fail.
    pub blocks: u64,
    /// How often blocks were replaced.
    pub reorgs: u64,
    /// How often what gets into a mempool cost more than usual.
    pub spikes: u64,
    /// Questions of peers, and what they said that is not true.
    pub words: u64,
    /// How often nothing happened for long.
    pub silences: u64,
    /// How often announced channels were moved by a reorganisation.
    pub displaced: u64,
    /// Channels that users opened.
    pub opens: u64,
    /// How often a commitment was broadcast.
    pub closes: u64,
    /// Revoked commitments that were put into a block.
    pub cheats: u64,
    /// Of these, those whose owner moved first with second stages.
    pub second_stages: u64,
    /// Stores that came back from an older moment, and replicas that were promoted.
    pub backups: u64,
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
    /// The moves that the safety phase had.
    pub moves: u64,
    /// What was broken; a panic of an engine's assertion is there too.
    pub broken: Vec<Broken>,
    /// The story, if it was wanted.
    pub story: Vec<String>,
}

impl Outcome {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.restores += other.restores;
        self.rebuilds += other.rebuilds;
        self.cuts += other.cuts;
        self.garbage += other.garbage;
        self.blocks += other.blocks;
        self.reorgs += other.reorgs;
        self.spikes += other.spikes;
        self.words += other.words;
        self.silences += other.silences;
        self.displaced += other.displaced;
        self.opens += other.opens;
        self.closes += other.closes;
        self.cheats += other.cheats;
        self.second_stages += other.second_stages;
        self.backups += other.backups;
        self.sent += other.sent;
        self.failed += other.failed;
        self.never += other.never;
        self.simulated_seconds += other.simulated_seconds;
        self.moves += other.moves;
    }
}

/// Whether a run tells what happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Line by line.
    Told,
    /// Nothing is kept of it.
    Untold,
}

/// After so many blocks nothing in the chain is undecided: an HTLC over seven hops has expired, and every delay is over.
const BLOCKS_TO_THE_END: u32 = 720;
/// After so many blocks a channel is ready whose funding is in the first of them.
const BLOCKS_TO_OPEN: u32 = 8;
/// How many of them are found before anybody looks.
const BLOCKS_AT_ONCE: u32 = 30;

struct Sweep {
    world: World,
    /// The chances of the present move.
    random: Random,
    recipe: Recipe,
    mood: Mood,
    hearsay: Hearsay,
    /// Who said to whom what it did not sign.
    liars: BTreeSet<(NodeIndex, NodeIndex)>,
    rarities: Rarities,
    /// Wires that stay cut until faults stop.
    parted: BTreeSet<(NodeIndex, NodeIndex)>,
    crowd: Option<Crowd>,
    /// Hints to each node from each that shares a channel with it.
    hints: BTreeMap<(NodeIndex, NodeIndex), Vec<HintHop>>,
    holds: Vec<(NodeIndex, Hold)>,
    kept: Vec<Kept>,
    cheats: Vec<Cheat>,
    /// Where each node's disk was when the safety phase began.
    began: Vec<Lsn>,
    payments: u64,
    figures: Outcome,
}

/// Runs one recipe.
pub fn run(recipe: &Recipe, story: Story) -> Outcome {
    let mut sweep = Sweep::new(recipe.clone());
    if story == Story::Told {
        sweep.world.story = Some(vec![sweep.description()]);
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
    /// Anything may fail.
    fn safety(&mut self) {
        for place in 0..self.mood.moves {
            if !self.recipe.has_move(place) {
                continue;
            }
            self.random = self.recipe.chances_of(place);
            self.figures.moves += 1;
            self.act();
            if !self.world.checker.broken.is_empty() {
                return;
            }
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).expect("an index")
    }

    /// Faults stop. Everything must come to its end.
    fn liveness(&mut self) {
        if !self.world.checker.broken.is_empty() {
            return;
        }
        self.random = self.recipe.chances_of(u64::MAX);
        self.world.plans.clear();
        self.world.written_in_halves.clear();
        self.parted.clear();
        self.world.tell(|_| "faults stop".to_owned());
        if self.recipe.has(Kind::Spikes) {
            self.settle_fees();
        }
        self.world.recover();
        self.hear_liars_out();
        self.gather_no_more();
        self.disperse();
        for (payee, hold) in self.holds.clone() {
            let command = if self.random.chance(70) {
                Command::ClaimPayment(hold.preimage)
            } else {
                Command::RefusePayment(hold.preimage.hash())
            };
            self.world.command(payee, command);
            self.world.settle();
        }
        self.refuse_what_is_held();
        // Parts whose others never came, and HTLCs whose next peer was away, end by time. A clock that was ahead once has dated
        // them later than they came.
        let jumps_ms = if self.recipe.has(Kind::Clocks) {
            moves::CLOCK_JUMP_MAX_MS
        } else {
            0
        };
        for _ in 0..4 {
            self.world.now_ms += 20_000 + jumps_ms;
            self.world.reconnect();
        }
        // A channel that rested has rested for too long by now, and what waited behind it has come to its payee.
        self.refuse_what_is_held();
        self.world.fill_wallets();
        if self.figures.opens + self.figures.displaced > 0 {
            self.world.mine(BLOCKS_TO_OPEN);
        }
        if self.mood.closes() {
            self.wait_for_the_chain();
            self.judge_cheats();
        }
        self.world.conclude();
    }

    /// Held payments that are not decided are refused.
    fn refuse_what_is_held(&mut self) {
        for (payee, hold) in self.holds.clone() {
            self.world.command(payee, Command::RefusePayment(hold.preimage.hash()));
            self.world.settle();
        }
    }

    /// What is on the chain ends by it: its HTLCs are claimed, or expire.
    fn wait_for_the_chain(&mut self) {
        for node in 0..self.world.nodes.len() {
            self.world.nodes[node].user.handles_at_once = true;
            self.world.handle_all_events(node);
        }
        // What is claimed late is raised until it confirms, every few blocks.
        let blocks_first = if self.cheats.is_empty() { 8 } else { 30 };
        self.world.mine(blocks_first);
        for _ in 0..BLOCKS_TO_THE_END / BLOCKS_AT_ONCE {
            if !self.is_undecided() {
                return;
            }
            self.world.mine(BLOCKS_AT_ONCE);
            // Who hung up calls again: one channel's peer may be heard only when another channel between the two is gone.
            self.world.reconnect();
        }
    }

    /// Whether a channel still has an HTLC, or an outcome that somebody waits for.
    fn is_undecided(&self) -> bool {
        let nodes = self.world.nodes.iter().enumerate();
        let honest = nodes.filter(|(node, _)| !self.world.checker.excused.contains(node));
        let processes = honest.filter_map(|(_, node)| node.process.as_ref());
        let mut channels = processes.flat_map(|process| process.manager.channels());
        channels.any(|channel| {
            let state = channel.state();
            let commitments = &state.commitments;
            let offered = commitments.offered.values().map(|htlc| htlc.on_chain);
            let received = commitments.received.values().map(|htlc| htlc.on_chain);
            let has_htlc = offered.chain(received).any(|on_chain| on_chain == OnChain::Open);
            has_htlc || state.unreleased_htlcs().next().is_some() || !state.claims.is_empty()
        })
    }

    fn outcome(self) -> Outcome {
        let world = self.world;
        let restores: u32 = world.nodes.iter().map(|node| node.crashes).sum();
        let mut outcome = Outcome {
            steps: world.steps,
            restores: u64::from(restores),
            closes: world.checker.commitments_broadcast(),
            simulated_seconds: (world.now_ms - 1_700_000_000_000) / 1_000,
            hash: world.hash.0,
            story: world.story.unwrap_or_default(),
            ..self.figures
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
    fn a_seed_gives_the_same_run_each_time_told_or_untold() {
        for seed in 0..12 {
            let recipe = Recipe::of(seed);
            assert_eq!(
                run(&recipe, Story::Untold).hash,
                run(&recipe, Story::Told).hash,
                "seed {seed}"
            );
        }
    }

    #[test]
    fn recipes_that_broke_something_once_break_nothing() {
        for recipe in regressions() {
            assert_eq!(run(&recipe, Story::Untold).broken, [], "{recipe}");
        }
    }

    #[test]
    fn a_run_without_faults_makes_every_payment_that_has_the_money() {
        let without = Kind::ALL.into_iter().collect();
        let outcome = run(
            &Recipe {
                without,
                ..Recipe::of(5)
            },
            Story::Untold,
        );
        assert_eq!((outcome.broken.len(), outcome.crashes, outcome.cuts), (0, 0, 0));
        assert!(outcome.sent > 0 && outcome.never == 0, "{outcome:?}");
    }
}
