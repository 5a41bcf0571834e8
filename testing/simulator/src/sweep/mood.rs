//! What a run is like: the nodes and channels of its world, and how often what happens, all drawn from its seed.

use std::collections::BTreeSet;

use quittance_primitives::MilliSatoshi;
use quittance_transactions::CommitmentFormat;

use super::hearsay::{Hearsay, hints};
use super::{Kind, Outcome, Rarities, Recipe, Sweep};
use crate::{ChannelSetup, Latency, NodeIndex, Random, World};

/// The most nodes of a world.
const NODES_MAX: u64 = 8;

/// How often what happens: weights, or chances of 100.
#[derive(Clone, Debug)]
pub(super) struct Mood {
    /// The shape of the network, for its story.
    shape: &'static str,
    pub(super) moves: u64,
    pub(super) crash: u64,
    pub(super) cut: u64,
    pub(super) pay: u64,
    pub(super) lose_rows: u64,
    pub(super) fail_disk: u64,
    pub(super) hold: u64,
    pub(super) handle: u64,
    pub(super) plan: u64,
    pub(super) clock: u64,
    pub(super) garbage: u64,
    pub(super) block: u64,
    pub(super) close: u64,
    pub(super) reorg: u64,
    pub(super) fee: u64,
    pub(super) policy: u64,
    pub(super) spike: u64,
    pub(super) cheat: u64,
    pub(super) backup: u64,
    pub(super) open: u64,
}

impl Mood {
    /// Whether channels may be closed in this run.
    pub(super) const fn closes(&self) -> bool {
        self.close > 0
    }

    fn draw(random: &mut Random, recipe: &Recipe, shape: &'static str) -> Self {
        // Drawn even where it is left out, so that the rest of the run stays as it is.
        let mut weight = |kind: Option<Kind>, weight: u64| {
            let is_left_out = kind.is_some_and(|kind| !recipe.has(kind));
            let drawn = random.below(weight);
            if is_left_out { 0 } else { drawn }
        };
        let mut mood = Self {
            shape,
            moves: 60 + weight(None, 400),
            crash: weight(Some(Kind::Crashes), 6),
            cut: weight(Some(Kind::Cuts), 6),
            pay: 2 + weight(None, 10),
            lose_rows: weight(Some(Kind::Rows), 3) * 30,
            fail_disk: weight(Some(Kind::Disks), 3) * 10,
            hold: weight(Some(Kind::Holds), 4) * 20,
            handle: weight(None, 4) * 3,
            plan: weight(Some(Kind::Points), 4) * 2,
            clock: weight(Some(Kind::Clocks), 3),
            garbage: weight(Some(Kind::Garbage), 4),
            block: weight(Some(Kind::Blocks), 4),
            close: weight(Some(Kind::Closes), 6).saturating_sub(3),
            reorg: weight(Some(Kind::Reorgs), 3),
            fee: weight(Some(Kind::Fees), 3),
            policy: weight(Some(Kind::Policies), 3),
            spike: weight(Some(Kind::Spikes), 3),
            cheat: weight(Some(Kind::Cheats), 4),
            backup: weight(Some(Kind::Backups), 4).saturating_sub(2),
            open: if recipe.has(Kind::Opens) {
                Random::new(!recipe.seed).below(3)
            } else {
                0
            },
        };
        if !mood.closes() {
            // Whoever is betrayed closes the channel.
            (mood.cheat, mood.backup) = (0, 0);
        }
        mood
    }
}

impl Sweep {
    pub(super) fn new(recipe: Recipe) -> Self {
        let mut random = Random::new(recipe.seed);
        // Small worlds more often: most of what can go wrong needs few nodes.
        let most = 2 + random.below(NODES_MAX - 1);
        let drawn = 2 + random.below(most - 1);
        let nodes = u8::try_from(drawn).expect("small");
        let nodes = recipe.nodes.map_or(nodes, |most| nodes.min(most));
        let mut world = World::new(nodes, random.draw());
        let nodes = usize::from(nodes);
        let mut rarities = Rarities::draw(&recipe);
        rarities.found(&mut world, &recipe);
        let (shape, edges) = edges(nodes, &mut random);
        let is_slow = random.chance(50) && recipe.has(Kind::Latency);
        let doubled = [0, 0, 40, 100][usize::try_from(random.below(4)).expect("small")];
        for (one, other) in edges {
            let setup = setup(&mut random);
            let latency = Latency {
                base_ms: 1 + random.below(400),
                ms_per_kilobyte: random.below(200),
            };
            world.open_channel(one, other, &setup);
            if random.chance(doubled) {
                world.open_channel(one, other, &setup);
            }
            if is_slow {
                world.slow_down(one, other, latency);
            }
        }
        let hints = hints(&world);
        let mood = Mood::draw(&mut random, &recipe, shape);
        let hearsay = Hearsay::draw(&recipe, &mood);
        world.checker.closable = mood.closes();
        if !mood.closes() {
            rarities.crowd = 0;
        }
        for node in &mut world.nodes {
            node.syncs_wait = random.chance(30) && recipe.has(Kind::Syncs);
            node.user.handles_at_once = random.chance(50) || !recipe.has(Kind::Users);
        }
        let began = (0..nodes).map(|node| world.lsn(node)).collect();
        Self {
            world,
            random,
            recipe,
            mood,
            hearsay,
            liars: BTreeSet::new(),
            rarities,
            parted: BTreeSet::new(),
            crowd: None,
            hints,
            holds: Vec::new(),
            kept: Vec::new(),
            cheats: Vec::new(),
            began,
            payments: 0,
            figures: Outcome::default(),
        }
    }

    /// The first line of a run's story.
    pub(super) fn description(&self) -> String {
        let nodes = self.world.nodes.len();
        format!(
            "{nodes} nodes in a {}; {:?}; {:?}; {:?}",
            self.mood.shape, self.mood, self.hearsay, self.rarities
        )
    }
}

fn setup(random: &mut Random) -> ChannelSetup {
    let format = match random.below(4) {
        0 => CommitmentFormat::StaticRemotekey,
        _ => CommitmentFormat::Anchors,
    };
    ChannelSetup {
        pushed: MilliSatoshi(1_000_000_000 + random.below(8) * 1_000_000_000),
        format,
        announce: random.chance(40),
        ..ChannelSetup::default()
    }
}

/// Who shares a channel with whom.
fn edges(nodes: usize, random: &mut Random) -> (&'static str, Vec<(NodeIndex, NodeIndex)>) {
    let line = || (1..nodes).map(|node| (node - 1, node));
    match random.below(4) {
        0 => ("line", line().collect()),
        1 => ("star", (1..nodes).map(|node| (0, node)).collect()),
        2 if nodes > 2 => ("ring", line().chain([(nodes - 1, 0)]).collect()),
        _ => {
            // Each with one of those before it, so that all hang together, and some more.
            let mut some = BTreeSet::new();
            for node in 1..nodes {
                let other = usize::try_from(random.below(node as u64)).expect("small");
                some.insert((other, node));
            }
            for one in 0..nodes {
                for other in one + 1..nodes {
                    if random.chance(20) {
                        some.insert((one, other));
                    }
                }
            }
            ("random graph", some.into_iter().collect())
        }
    }
}
