//! The world turns: payments reach their payees when nothing goes wrong.

use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, World};

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
