//! Channels are opened by two nodes over the wire, with a crash at every point of either (scenarios CH-01 to CH-03).

use bitcoin::Amount;
use quittance_journal::Lsn;
use quittance_manager::{Command, NewChannel, Purpose};
use quittance_primitives::{FeeratePerKw, MilliSatoshi, PaymentId};
use quittance_simulator::{CrashPlan, End, Harm, RowsAfterCrash, World};
use quittance_store::memory::Keep;

fn open(world: &mut World) {
    world.connect(0, 1);
    world.settle();
    if !world.is_up(0) {
        return;
    }
    let peer = world.nodes[1].id();
    let keys = world.nodes[0].signer.new_channel_keys();
    let new = NewChannel {
        peer,
        capacity: Amount::from_sat(1_000_000),
        push: MilliSatoshi(0),
        channel_type: None,
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys,
    };
    world.command(0, Command::OpenChannel(Box::new(new)));
    world.settle();
}

/// The funding that was broadcast confirms, both sides come back, and a payment passes. Or nothing was broadcast, and neither side has the
/// channel as anything but unfunded.
fn is_whole_or_never_was(world: &mut World) {
    let fundings = world.broadcast.iter().map(|(_, _, Purpose::Funding(id))| *id);
    let funded: Vec<_> = fundings.collect();
    let has = |world: &World, node: usize| {
        let process = world.nodes[node].process.as_ref().expect("it runs");
        process
            .manager
            .channels()
            .map(|channel| channel.state().facts.channel_id)
            .collect::<Vec<_>>()
    };
    let Some(id) = funded.first().copied() else {
        assert!(
            has(world, 0).is_empty(),
            "the funder has no channel whose funding never left"
        );
        return;
    };
    assert_eq!(
        (has(world, 0), has(world, 1)),
        (vec![id], vec![id]),
        "both know a channel that is funded"
    );
    world.mine(8);
    world.recover();
    let amount = MilliSatoshi(50_000_000);
    let invoice = world.invoice(1, amount);
    world.pay(0, 1, PaymentId([5; 32]), &invoice, amount, Vec::new());
    world.settle();
    assert!(
        matches!(world.checker.end_of(0, PaymentId([5; 32])), Some(End::Sent { .. })),
        "the channel is used"
    );
}

#[test]
fn a_channel_is_opened_over_the_wire_and_used() {
    let mut world = World::new(2, 7);
    open(&mut world);
    assert_eq!(world.broadcast.len(), 1);
    is_whole_or_never_was(&mut world);
    world.checker.assert_kept();
}

#[test]
fn an_opening_is_whole_or_never_was_at_every_crash_point() {
    for node in 0..2 {
        let mut dry = World::new(2, 7);
        let first = dry.points[&node];
        open(&mut dry);
        let last = dry.points[&node];
        for point in first..last {
            for keep in [Keep::None, Keep::All] {
                for rows in [
                    RowsAfterCrash::Whole,
                    RowsAfterCrash::Stale(Lsn(1)),
                    RowsAfterCrash::Lost,
                ] {
                    let mut world = World::new(2, 7);
                    world.plans.push(CrashPlan {
                        node,
                        point,
                        harm: Harm::Dies(keep),
                        rows,
                        starts_that_die: 0,
                    });
                    open(&mut world);
                    world.recover();
                    is_whole_or_never_was(&mut world);
                    world.checker.assert_kept();
                }
            }
        }
        println!("{} crash points of node {node}", last - first);
    }
}
