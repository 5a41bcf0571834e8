//! What a payment costs in syncs and records: counts, not timings (design page, what it should cost).

use quittance_journal::{Batch, Change, Lsn, Space, Store};
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, World};

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

fn knows_its_preimage(world: &World) -> bool {
    let process = world.nodes[0].process.as_ref().expect("it runs");
    process.manager.channels().any(|channel| {
        let mut htlcs = channel.state().unreleased_htlcs();
        htlcs.any(|htlc| htlc.outcome.is_some())
    })
}

/// Bytes of all records in the batches after `since`.
fn record_bytes(world: &World, node: usize, since: Lsn) -> usize {
    let store = &world.nodes[node].store;
    let batches = (since.0 + 1..=store.appended().0).filter_map(|lsn| store.batch(Lsn(lsn)));
    let records = batches.flat_map(Batch::changes);
    records
        .map(|change| match change {
            Change::Put(_, record) => record.len(),
            Change::Delete(_) | Change::DeleteUpdates { .. } => 0,
        })
        .sum()
}

#[test]
fn the_payer_learns_the_preimage_after_four_syncs_in_a_row() {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    let invoice = world.invoice(1, AMOUNT);
    let before = [world.lsn(0), world.lsn(1)];
    world.nodes[0].user.handles_at_once = false;
    world.forget_syncs();
    world.pay(0, 1, PaymentId([1; 32]), &invoice, AMOUNT, Vec::new());
    let depth = world.settle_together(0, knows_its_preimage);
    // The fifth is the payer's own, before `PaymentSent` is shown: the preimage had come after the fourth.
    assert_eq!(depth, Some(5));
    let last = world.nodes[0].user.shown.last().expect("it was told").number;
    world.handle_events(0, last);
    println!("syncs: payer {}, payee {}", world.nodes[0].syncs, world.nodes[1].syncs);
    println!(
        "record bytes: payer {}, payee {}",
        record_bytes(&world, 0, before[0]),
        record_bytes(&world, 1, before[1])
    );
    // The handling of the event included: the user of this world confirms it at once.
    let syncs = [0, 1].map(|node: usize| world.nodes[node].syncs);
    assert!(syncs.iter().all(|count| *count <= 5), "{syncs:?}");
    world.checker.assert_kept();
}

#[test]
fn a_forwarder_adds_four_syncs_in_a_row() {
    let mut world = World::new(3, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.open_channel(1, 2, &ChannelSetup::default());
    let invoice = world.invoice(2, AMOUNT);
    let hint = world.hint(1, 2);
    let before = world.lsn(1);
    // What a user has handled is synced in the middle of what is let out, and would count for the rest of it.
    for node in &mut world.nodes[..2] {
        node.user.handles_at_once = false;
    }
    world.forget_syncs();
    world.pay(0, 2, PaymentId([1; 32]), &invoice, AMOUNT, vec![vec![hint]]);
    let depth = world.settle_together(0, knows_its_preimage).expect("it is paid");
    println!(
        "syncs in a row until the payer's own: {depth}; of each node: {:?}",
        [0, 1, 2].map(|node: usize| world.nodes[node].syncs)
    );
    println!("record bytes of the forwarder: {}", record_bytes(&world, 1, before));
    assert!(depth <= 5 + 4, "{depth}");
    world.checker.assert_kept();
}

#[test]
fn a_node_that_is_idle_after_its_payments_keeps_no_weight_of_them() {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    for number in 0..50_u8 {
        let invoice = world.invoice(1, MilliSatoshi(1_000_000));
        world.pay(
            0,
            1,
            PaymentId([number; 32]),
            &invoice,
            MilliSatoshi(1_000_000),
            Vec::new(),
        );
        world.settle();
    }
    world.checker.assert_kept();
    let process = world.nodes[0].process.as_ref().expect("it runs");
    assert_eq!(
        (process.manager.payments().count(), process.manager.unhandled_events()),
        (0, 0)
    );
    let rows = world.nodes[0].store.rows();
    let live = rows
        .iter()
        .filter(|(key, _)| matches!(key.space(), Space::Payments | Space::Events))
        .count();
    assert_eq!(live, 0, "no manager row is left of what is over");
    for channel in process.manager.channels() {
        assert_eq!(
            channel.state().unreleased_htlcs().count(),
            0,
            "every outcome is released"
        );
    }
}
