//! A user whose handler is stuck for an hour delays no payment, and is told of every one of them in order when it is back (G8).
//!
//! `QUITTANCE_PAYMENTS` says how many go through the channel in that hour; the full number is 10,000, a minute of processor time.

use std::collections::BTreeSet;

use quittance_channel::Channel;
use quittance_manager::Event;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, End, Latency, World};

const AMOUNT: MilliSatoshi = MilliSatoshi(400_000);
const SYNC_MS: u64 = 5;
const WIRE: Latency = Latency {
    base_ms: 1,
    ms_per_kilobyte: 0,
};
const HOUR_MS: u64 = 3_600_000;

fn payments() -> u32 {
    std::env::var("QUITTANCE_PAYMENTS").map_or(1_000, |text| text.parse().expect("a number"))
}

fn id_of(number: u32) -> PaymentId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    PaymentId(id)
}

/// Pays, and says how long it took until the channel was at rest again.
fn pay(world: &mut World, number: u32) -> u64 {
    let begun = world.now_ms;
    let invoice = world.invoice(1, AMOUNT);
    for node in &mut world.nodes {
        node.syncs_wait = true;
    }
    world.pay(0, 1, id_of(number), &invoice, AMOUNT, Vec::new());
    world.settle_on_slow_disks(SYNC_MS);
    world.now_ms - begun
}

fn is_over_for_the_channel(world: &World, number: u32) -> bool {
    let process = world.nodes[0].process.as_ref().expect("it runs");
    let ended = |channel: &Channel| {
        let state = channel.state();
        state.gone.len() > usize::try_from(number).expect("a small number") && state.commitments.offered.is_empty()
    };
    process.manager.channels().all(ended)
}

#[test]
fn a_stuck_handler_delays_no_payment_and_misses_no_event() {
    let payments = payments();
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    for node in &mut world.nodes {
        node.user.handles_at_once = false;
    }
    world.slow_down(0, 1, WIRE);
    let begun = world.now_ms;
    let first = pay(&mut world, 0);
    for number in 1..payments {
        let due = begun + HOUR_MS / u64::from(payments) * u64::from(number);
        world.now_ms = world.now_ms.max(due);
        assert_eq!(
            pay(&mut world, number),
            first,
            "payment {number} takes as long as the first"
        );
        assert!(
            is_over_for_the_channel(&world, number),
            "payment {number} is over for the channel"
        );
    }
    assert!(world.now_ms - begun <= HOUR_MS, "all of it within the hour");
    println!("{payments} payments of {first} ms each while nobody handles an event");

    let waiting = world.nodes[0].user.shown.len();
    for node in &mut world.nodes {
        node.syncs_wait = false;
    }
    for _ in 0..payments {
        for node in 0..2 {
            world.handle_all_events(node);
        }
        world.settle();
    }
    println!(
        "{waiting} events had been shown before, and {} are now",
        world.nodes[0].user.shown.len()
    );
    for (node, of) in [(0, "payer"), (1, "payee")] {
        let shown = &world.nodes[node].user.shown;
        assert!(
            shown.is_sorted_by(|one, next| one.number < next.number),
            "each once, and in order"
        );
        let paid: BTreeSet<_> = shown.iter().filter_map(|shown| hash_of(&shown.event)).collect();
        assert_eq!(
            paid.len(),
            usize::try_from(payments).expect("a small number"),
            "the {of} is told of each"
        );
    }
    for number in 0..payments {
        assert!(matches!(world.checker.end_of(0, id_of(number)), Some(End::Sent { .. })));
    }
    let process = world.nodes[0].process.as_ref().expect("it runs");
    let left = process
        .manager
        .channels()
        .map(|channel| channel.state().unreleased_htlcs().count());
    assert_eq!(left.sum::<usize>(), 0, "every outcome is released");
    world.checker.assert_kept();
}

/// The payment that an event is the good end of.
fn hash_of(event: &Event) -> Option<[u8; 32]> {
    match event {
        Event::PaymentSent { payment_id, .. } => Some(payment_id.0),
        Event::PaymentClaimed { payment_hash, .. } => Some(payment_hash.0),
        _ => None,
    }
}
