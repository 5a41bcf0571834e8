//! Payments between nodes that run: how many in a second, and what each costs.

use std::time::Duration;

use bitcoin::Amount;
use quittance_channel::{InlineVerifier, Verifier};
use quittance_store::memory::MemoryStore;
use quittance_transactions::{PerCommitmentSecret, VerificationJob};

use crate::cost::Moment;
use crate::node::{Disk, Node, Outcome};
use crate::town::{Town, first_tip};

const CAPACITY: Amount = Amount::from_sat(1_000_000_000);

/// What signs and proves is taken on trust, so that the engine's own work stands alone. Keys are derived all the same.
struct Trusting;

impl Verifier for Trusting {
    fn first_invalid(&self, _: &[VerificationJob]) -> Option<usize> {
        None
    }

    fn is_secret_of(&self, _: &PerCommitmentSecret, _: &bitcoin::secp256k1::PublicKey) -> bool {
        true
    }
}

/// Measures `count` payments of each kind that has `only` in its name, over stores on disk, and prints a table.
pub fn measure(count: u64, only: &str) -> Outcome<()> {
    head();
    for (name, nodes) in [("direct", 2), ("forwarded", 3)] {
        for (way, at_once, threads) in WAYS {
            let name = format!("{name}, {way}");
            if name.contains(only) {
                let folder = tempfile::tempdir()?;
                let disk = |number: u8| Disk::create(&folder.path().join(number.to_string()));
                let mut town = town_of(nodes, disk, None, CAPACITY)?;
                run(&name, &mut town, count, (at_once, threads))?;
            }
        }
    }
    Ok(())
}

/// The same over stores in memory, so that what is left is the nodes' own work; and how many steps the engine alone does.
pub fn measure_in_memory(count: u64, only: &str) -> Outcome<()> {
    head();
    for (name, nodes, verifier) in [
        (
            "direct, in memory",
            2,
            &InlineVerifier as &'static (dyn Verifier + Sync),
        ),
        ("direct, in memory, nothing verified", 2, &Trusting),
        ("forwarded, in memory", 3, &InlineVerifier),
    ] {
        for (way, at_once, threads) in WAYS {
            let name = format!("{name}, {way}");
            if !name.contains(only) {
                continue;
            }
            let disk = |_| Ok(Disk::Memory(Box::new(MemoryStore::new())));
            let mut town = town_of(nodes, disk, Some(verifier), CAPACITY)?;
            run(&name, &mut town, count, (at_once, threads))?;
            let steps: u64 = town.nodes.iter().map(|node| node.steps).sum();
            let time: Duration = town.nodes.iter().map(|node| node.engine_time).sum();
            println!(
                "engine alone, {name}: {steps} steps, {:.0} steps/s",
                per_second(steps, time)
            );
        }
    }
    Ok(())
}

/// How many payments are under way at once, and whether one thread runs all nodes.
const WAYS: [(&str, usize, Threads); 4] = [
    ("one at a time", 1, Threads::One),
    ("signed on a thread beside, one at a time", 1, Threads::Tasks),
    ("100 in flight", 100, Threads::One),
    ("100 in flight, a thread each", 100, Threads::Each),
];

/// Which threads run the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One runs all.
    One,
    /// One runs all, and each has one that signs and derives for it, as the task of a connection does.
    Tasks,
    /// Each has its own.
    Each,
}

fn head() {
    println!(
        "| payments | payments/s | CPU ms each | each node's own CPU ms | commits each, by node | bytes written each |"
    );
    println!("|---|---|---|---|---|---|");
}

/// Nodes in a row, each with one channel to the next.
pub fn town_of(
    nodes: u8,
    disk: impl Fn(u8) -> Outcome<Disk>,
    verifier: Option<&'static (dyn Verifier + Sync)>,
    capacity: Amount,
) -> Outcome<Town> {
    let started = (0..nodes).map(|number| Node::start(number, disk(number)?, first_tip(), verifier));
    let mut town = Town::of(started.collect::<Outcome<_>>()?);
    for node in 1..usize::from(nodes) {
        town.connect(node - 1, node)?;
        town.open_channels(node - 1, node, 1, capacity)?;
    }
    Ok(town)
}

fn run(name: &str, town: &mut Town, count: u64, (at_once, threads): (usize, Threads)) -> Outcome<()> {
    let payee = town.nodes.len() - 1;
    if threads == Threads::Tasks {
        town.nodes.iter_mut().for_each(Node::start_task);
    }
    // The first ones warm up.
    town.pay_on((0, payee), 0..50, at_once, threads)?;
    for node in &mut town.nodes {
        (node.steps, node.engine_time, node.time) = (0, Duration::ZERO, Duration::ZERO);
    }
    let commits: Vec<u64> = town.nodes.iter().map(|node| node.disk.commits()).collect();
    let begun = Moment::now();
    town.pay_on((0, payee), 50..50 + count, at_once, threads)?;
    let cost = Moment::now() - begun;
    if !town.failed.is_empty() {
        return Err(format!("{} payments failed", town.failed.len()).into());
    }
    let each = |of: f64| of / to_float(count);
    let nodes = town.nodes.iter();
    let own: Vec<String> = nodes.map(|node| format!("{:.2}", each(millis(node.time)))).collect();
    let commits = town
        .nodes
        .iter()
        .zip(commits)
        .map(|(node, before)| node.disk.commits() - before);
    let commits: Vec<String> = commits
        .map(|commits| format!("{:.2}", each(to_float(commits))))
        .collect();
    println!(
        "| {name} | {:.0} | {:.2} | {} | {} | {:.0} |",
        per_second(count, cost.time),
        each(millis(cost.processor)),
        own.join(" / "),
        commits.join(" / "),
        each(to_float(cost.bytes_written))
    );
    Ok(())
}

fn per_second(count: u64, time: Duration) -> f64 {
    to_float(count) / time.as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "figures to be read")]
pub(crate) fn to_float(count: u64) -> f64 {
    count as f64
}
