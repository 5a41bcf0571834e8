//! The start of a node with 1,000 channels, from real files to its readiness for the first connection.

use std::time::Duration;

use bitcoin::Amount;
use quittance_payments_bench::node::Outcome;
use quittance_payments_bench::restart;

use crate::Plan;
use crate::counts::{Account, Cost, Moment};
use crate::figures::{median, millis, short};
use crate::goals::{Bound, Goals};
use crate::ldk::{Network, Node, Persistence};

const CHANNELS: u16 = 1_000;
const CAPACITY: Amount = Amount::from_sat(10_000_000);

/// Makes a node of each kind with as many channels, starts both in turn, and prints a table.
pub(crate) fn measure(plan: &Plan, goals: &mut Goals) -> Outcome<()> {
    if !plan.includes("start") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (for_ldk, for_us) = (folder.path().join("ldk"), folder.path().join("ours"));
    make_ldk(&for_ldk)?;
    restart::make(&for_us, u32::from(CHANNELS), 0)?;
    let (mut ldk, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        ldk.push(timed(
            || Node::restart(0, &for_ldk),
            |node| node.manager.list_channels().len(),
        )?);
        ours.push(timed(
            || restart::start(&for_us),
            |started| started.node.manager.channels().count(),
        )?);
    }
    println!("| start with {CHANNELS} channels | seconds | processor seconds |\n|---|---:|---:|");
    for (who, costs) in [("LDK", &ldk), ("Quittance", &ours)] {
        let seconds = |of: fn(&Cost) -> Duration| short(median(costs.iter().map(|cost| of(cost).as_secs_f64())));
        println!(
            "| {who} | {} | {} |",
            seconds(|cost| cost.time),
            seconds(|cost| cost.processor)
        );
    }
    println!();
    let time = median(ours.iter().map(|cost| millis(cost.time)));
    goals.judge(
        format!("start with {CHANNELS} channels"),
        Bound::AtMost(200.0),
        "ms",
        time,
    );
    let ratio = median(
        ldk.iter()
            .zip(&ours)
            .map(|(ldk, ours)| ldk.time.as_secs_f64() / ours.time.as_secs_f64()),
    );
    println!("Median ratio of the times: {}.\n", short(ratio));
    Ok(())
}

/// Channels are opened without files; then everything is written as LDK writes it.
fn make_ldk(folder: &std::path::Path) -> Outcome<()> {
    let mut network = Network::new(&[Account(0), Account(0)], Persistence::Nowhere)?;
    network.open_channels(0, CAPACITY, usize::from(CHANNELS))?;
    network.nodes[0].write_all(0, folder)
}

/// What it takes to start a node, its end left out; it must have all its channels.
fn timed<T>(start: impl Fn() -> Outcome<T>, channels: impl Fn(&T) -> usize) -> Outcome<Cost> {
    let before = Moment::now();
    let node = start()?;
    let cost = Moment::now() - before;
    match channels(&node) {
        all if all == usize::from(CHANNELS) => Ok(cost),
        some => Err(format!("{some} channels came back").into()),
    }
}
