//! Commitments are signed while their batches are being written. The signatures leave after the batch, or never.

use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, RowsAfterCrash, World};
use quittance_store::memory::Keep;

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// A pays B, and what A wrote for it is not synced.
fn a_payment_is_being_written() -> World {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.nodes[0].syncs_wait = true;
    pay(&mut world, 1);
    assert_eq!(signed_ahead(&world), 1, "while the disk is at work");
    assert_eq!(commitments_sent(&world), 0, "nothing leaves before it is durable");
    world
}

fn pay(world: &mut World, number: u8) {
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, PaymentId([number; 32]), &invoice, AMOUNT, vec![]);
}

fn signed_ahead(world: &World) -> usize {
    let process = world.nodes[0].process.as_ref();
    process.map_or(0, |process| process.ahead.len())
}

fn commitments_sent(world: &World) -> usize {
    let sent = world.nodes[0].sent.iter();
    sent.filter(|name| **name == "commitment_signed").count()
}

#[test]
fn what_was_signed_ahead_leaves_when_its_batch_is_durable() {
    let mut world = a_payment_is_being_written();
    world.sync(0);
    assert_eq!(commitments_sent(&world), 1);
    assert_eq!(signed_ahead(&world), 0, "the signatures that were there were sent");
    world.nodes[0].syncs_wait = false;
    world.conclude_well();
}

#[test]
fn what_was_signed_for_a_batch_that_is_lost_never_leaves() {
    let mut world = a_payment_is_being_written();
    world.crash(0, Keep::None, RowsAfterCrash::Whole);
    assert_eq!(signed_ahead(&world), 0, "signatures are nowhere but in memory");
    world.start(0);
    world.nodes[0].syncs_wait = false;
    world.reconnect();
    // The same commitment, with another HTLC in it: the checker looks for two signatures with one number.
    pay(&mut world, 2);
    world.settle();
    assert_eq!(commitments_sent(&world), 2, "one with the HTLC, and one without it");
    world.conclude_well();
}

#[test]
fn what_was_signed_for_a_connection_that_is_gone_is_passed_over() {
    let mut world = a_payment_is_being_written();
    world.disconnect(0, 1);
    assert_eq!(signed_ahead(&world), 1);
    world.nodes[0].syncs_wait = false;
    world.sync(0);
    assert_eq!(commitments_sent(&world), 0, "its connection is gone");
    world.reconnect();
    world.settle();
    assert_eq!(
        commitments_sent(&world),
        2,
        "for the new connection it was signed anew, and then without the HTLC"
    );
    assert_eq!(signed_ahead(&world), 0, "and the old signatures are forgotten");
    world.conclude_well();
}
