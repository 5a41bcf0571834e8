//! Payments in several parts over several channels, with a crash at every point of either side: claimed whole or not at all (G4), paid once
//! (G7), and told truly (G1).

use quittance_manager::Event;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, Effort, End, Schedule, World};

const ID: PaymentId = PaymentId([1; 32]);
/// More than one channel holds: two parts, or three.
const AMOUNT: MilliSatoshi = MilliSatoshi(9_000_000_000);

fn two_channels() -> World {
    let mut world = World::new(2, 1);
    for _ in 0..2 {
        world.open_channel(0, 1, &ChannelSetup::default());
    }
    world
}

fn pay(world: &mut World) {
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, ID, &invoice, AMOUNT, Vec::new());
    world.settle();
}

fn is_paid_whole_and_once(world: &mut World) {
    if world.checker.end_of(0, ID).is_none() {
        pay(world);
    }
    world.recover();
    let claims = |world: &World| {
        let shown = world.nodes[1].user.shown.iter();
        let claimed = shown.filter_map(|shown| match &shown.event {
            Event::PaymentClaimed { amount, .. } => Some((shown.number, *amount)),
            _ => None,
        });
        claimed.collect::<std::collections::BTreeSet<_>>()
    };
    match world.checker.end_of(0, ID) {
        Some(End::Sent { .. }) => {
            let claimed = claims(world);
            assert_eq!(claimed.len(), 1, "one claim, under one number");
            assert_eq!(
                claimed.first().map(|(_, amount)| *amount),
                Some(AMOUNT),
                "with the full amount"
            );
            assert_eq!((world.balance(0), world.balance(1)), (3_000_000_000, 17_000_000_000));
        }
        other => panic!("the payment ended as {other:?}"),
    }
}

#[test]
fn a_payment_of_two_parts_is_sent() {
    let mut world = two_channels();
    pay(&mut world);
    is_paid_whole_and_once(&mut world);
    world.checker.assert_kept();
}

#[test]
fn mpp_claim_is_all_or_nothing_at_every_crash_point() {
    let schedule = Schedule::new(two_channels(), &[1], pay, is_paid_whole_and_once);
    println!("{:?}", schedule.run(Effort::TEST));
}

#[test]
fn mpp_payer_pays_once_at_every_crash_point() {
    let schedule = Schedule::new(two_channels(), &[0], pay, is_paid_whole_and_once);
    println!("{:?}", schedule.run(Effort::TEST));
}
