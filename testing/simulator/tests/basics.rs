//! The world turns: payments reach their payees when nothing goes wrong.

use quittance_journal::EventNumber;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, RowsAfterCrash, World};
use quittance_store::memory::Keep;

#[test]
fn a_direct_payment_is_sent_and_claimed() {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    let amount = MilliSatoshi(50_000_000);
    let invoice = world.invoice(1, amount);
    world.pay(0, 1, PaymentId([1; 32]), &invoice, amount, Vec::new());
    world.settle();
    world.checker.assert_kept();
    assert!(matches!(
        world.checker.end_of(0, PaymentId([1; 32])),
        Some(quittance_simulator::End::Sent { .. })
    ));
    assert_eq!((world.balance(0), world.balance(1)), (5_950_000_000, 4_050_000_000));
}

#[test]
fn a_payment_is_forwarded_for_a_fee() {
    let mut world = World::new(3, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.open_channel(1, 2, &ChannelSetup::default());
    let amount = MilliSatoshi(50_000_000);
    let invoice = world.invoice(2, amount);
    let hint = world.hint(1, 2);
    world.pay(0, 2, PaymentId([1; 32]), &invoice, amount, vec![vec![hint]]);
    world.settle();
    world.checker.assert_kept();
    assert!(matches!(
        world.checker.end_of(0, PaymentId([1; 32])),
        Some(quittance_simulator::End::Sent { .. })
    ));
    assert_eq!(world.balance(0), 5_949_994_000);
    assert_eq!(world.balance(1), 4_000_000_000 + 6_000_000_000 + 6_000);
    assert_eq!(world.balance(2), 4_050_000_000);
}

/// The row of an event is lost, its user has handled it, and says so to the next life of the node.
#[test]
fn an_event_of_an_earlier_life_is_confirmed_though_its_row_is_lost() {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    let usual = world.invoice(1, MilliSatoshi(50_000_000));
    let too_much = world.invoice(1, MilliSatoshi(9_900_000_000));
    world.nodes[0].user.handles_at_once = false;
    world.pay(0, 1, PaymentId([1; 32]), &usual, MilliSatoshi(50_000_000), Vec::new());
    world.settle();
    world.pay(
        0,
        1,
        PaymentId([2; 32]),
        &too_much,
        MilliSatoshi(9_900_000_000),
        Vec::new(),
    );
    world.settle();
    let told = world.nodes[0].last_shown.expect("both payments have ended");
    world.crash(0, Keep::All, RowsAfterCrash::Lost);
    world.start(0);
    let left = world.nodes[0].last_shown.expect("the first comes again");
    assert!(left < told, "the failure's row is lost");
    world.handle_events(0, told);
    assert_eq!(world.nodes[0].user.confirmed, Some(told));
    assert_eq!(world.nodes[0].user.refused, []);
    let never_given = EventNumber(told.0 + 1_000);
    world.handle_events(0, never_given);
    assert_eq!(world.nodes[0].user.refused, [never_given]);
    world.crash(0, Keep::None, RowsAfterCrash::Lost);
    world.start(0);
    assert_eq!(
        world.nodes[0].last_shown, None,
        "nothing that was confirmed comes again"
    );
    world.checker.assert_kept();
}
