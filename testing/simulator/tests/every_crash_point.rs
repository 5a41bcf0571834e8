//! Payments and forwards, with a crash at every point of them, and the manager's rows whole, stale and lost.

use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, End, Schedule, World};

const ID: PaymentId = PaymentId([1; 32]);
const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

fn direct() -> World {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world
}

fn pay_direct(world: &mut World) {
    // The invoice is the same in every run: it follows from the payee's key and the seed.
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, ID, &invoice, AMOUNT, Vec::new());
    world.settle();
}

/// The user handles everything, and the caller asks for the same payment again: it is paid once, and told so.
fn is_paid_once(world: &mut World) {
    for node in 0..world.nodes.len() {
        world.nodes[node].user.handles_at_once = true;
        if let Some(last) = world.nodes[node].user.shown.last() {
            let number = last.number;
            world.handle_events(node, number);
        }
    }
    world.settle();
    let paid_before = world.balance(1) - 4_000_000_000;
    if world.checker.end_of(0, ID).is_none() {
        pay_direct(world);
        world.settle();
    }
    assert!(
        matches!(world.checker.end_of(0, ID), Some(End::Sent(_))),
        "the payment is sent"
    );
    assert_eq!(
        (world.balance(0), world.balance(1)),
        (5_950_000_000, 4_050_000_000),
        "it is paid once; before: {paid_before}"
    );
}

#[test]
fn a_payer_that_dies_pays_once_and_is_told_the_truth() {
    for handles_at_once in [true, false] {
        let build = || {
            let mut world = direct();
            world.nodes[0].user.handles_at_once = handles_at_once;
            world
        };
        let schedule = Schedule {
            node: 0,
            build,
            script: pay_direct,
            end: is_paid_once,
        };
        println!("{} runs", schedule.run_all());
    }
}

#[test]
fn a_payee_that_dies_claims_what_it_released() {
    let schedule = Schedule {
        node: 1,
        build: direct,
        script: pay_direct,
        end: is_paid_once,
    };
    println!("{} runs", schedule.run_all());
}
