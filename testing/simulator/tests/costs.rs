//! What a payment costs in syncs and records: counts, not timings (design page, what it should cost).

use quittance_journal::{Batch, Change, Lsn, Space, Store};
use quittance_manager::Event;
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
    println!(
        "record bytes: payer {}, payee {}",
        record_bytes(&world, 0, before[0]),
        record_bytes(&world, 1, before[1])
    );
    world.checker.assert_kept();
}

/// What nobody waits for, the last `revoke_and_ack` and the word of what was handled, is synced with the next payment.
#[test]
fn payments_one_after_the_other_cost_three_syncs_of_each_node() {
    const PAYMENTS: u8 = 5;
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    for node in &mut world.nodes {
        node.user.handles_at_once = false;
    }
    for number in 0..PAYMENTS {
        world.forget_syncs();
        for node in 0..2 {
            world.nodes[node].syncs_wait = true;
            if let Some(event) = world.nodes[node].user.shown.last().map(|event| event.number) {
                world.handle_events(node, event);
            }
        }
        let invoice = world.invoice(1, AMOUNT);
        world.pay(0, 1, PaymentId([number; 32]), &invoice, AMOUNT, Vec::new());
        world.sync(0);
        world.settle_together(0, |_| false);
        let syncs = [0, 1].map(|node: usize| world.nodes[node].syncs);
        assert_eq!(syncs, [3, 3], "payment {number}, of the payer and the payee");
        let shown = world.nodes[0].user.shown.iter();
        let sent = shown.filter(|shown| matches!(shown.event, Event::PaymentSent { .. }));
        assert_eq!(sent.count(), usize::from(number) + 1);
    }
    for node in 0..2 {
        world.nodes[node].syncs_wait = false;
        world.sync(node);
    }
    world.conclude_well();
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
