//! Stores of a version that wrote a step as two batches and died between them: restore takes up what the first half says, and infers
//! nothing from what is missing.

use quittance_channel::PaymentFailureReason;
use quittance_manager::{Command, Response};
use quittance_payments::PaymentStatus;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, End, Halved, RowsAfterCrash, World};
use quittance_store::memory::Keep;

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);
const ID: PaymentId = PaymentId([1; 32]);

/// A, B and C in a line.
fn line() -> World {
    let mut world = World::new(3, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.open_channel(1, 2, &ChannelSetup::default());
    world
}

#[test]
fn a_payment_whose_row_came_before_its_htlc_ends_once_and_moves_nothing() {
    let mut world = line();
    world.written_in_halves.insert(0, Halved::Payment);
    let before = [0, 1, 2].map(|node| world.balance(node));
    let invoice = world.invoice(2, AMOUNT);
    let way = vec![vec![world.hint(1, 2)]];
    world.pay(0, 2, ID, &invoice, AMOUNT, way);
    assert!(!world.is_up(0), "it died before its second half");
    world.reconnect();
    let end = End::Failed(PaymentFailureReason::RouteNotFound);
    assert_eq!(world.checker.end_of(0, ID), Some(&end));
    // G7: who asks again, not knowing, is told how it ended.
    let again = world.repeat(ID);
    world.settle();
    let answer = world.answer(0, again);
    assert!(
        matches!(answer, Some(Response::Payment(ID, PaymentStatus::Failed { .. }))),
        "{answer:?}"
    );
    assert_eq!([0, 1, 2].map(|node| world.balance(node)), before);
    world.conclude_well();
}

#[test]
fn a_payment_whose_last_htlc_failed_before_its_end_was_written_ends_once() {
    for rows in [RowsAfterCrash::Whole, RowsAfterCrash::Lost] {
        let mut world = line();
        let hold = world.hold_invoice(2, AMOUNT);
        let way = vec![vec![world.hint(1, 2)]];
        world.pay(0, 2, ID, &hold.invoice, AMOUNT, way);
        world.settle();
        world.written_in_halves.insert(0, Halved::Revocation);
        world.command(2, Command::RefusePayment(hold.preimage.hash()));
        world.settle();
        assert!(!world.is_up(0), "it died before its second half");
        assert_eq!(world.checker.end_of(0, ID), None);
        world.crash(0, Keep::All, rows);
        world.reconnect();
        let end = End::Failed(PaymentFailureReason::RecordsLost);
        assert_eq!(world.checker.end_of(0, ID), Some(&end), "{rows:?}");
        world.conclude_well();
    }
}

#[test]
fn a_step_of_another_kind_is_written_whole() {
    let mut world = line();
    world.written_in_halves.insert(1, Halved::Revocation);
    let invoice = world.invoice(2, AMOUNT);
    let way = vec![vec![world.hint(1, 2)]];
    world.pay(0, 2, ID, &invoice, AMOUNT, way);
    world.settle();
    assert!(world.is_up(1), "no payment of its own ended");
    assert!(matches!(world.checker.end_of(0, ID), Some(End::Sent { .. })));
    world.conclude_well();
}
