//! What payments cost on slow disks: many that are under way at once share their syncs. Counts, not timings.

use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, End, Latency, World};

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);
const SYNC_MS: u64 = 5;
const WIRE: Latency = Latency {
    base_ms: 1,
    ms_per_kilobyte: 0,
};

fn payment(number: u8) -> PaymentId {
    PaymentId([number; 32])
}

#[test]
fn a_hundred_payments_at_once_share_their_syncs() {
    let mut world = World::new(2, 1);
    for _ in 0..10 {
        world.open_channel(0, 1, &ChannelSetup::default());
    }
    world.slow_down(0, 1, WIRE);
    world.forget_syncs();
    let begun = world.now_ms;
    for node in &mut world.nodes {
        node.syncs_wait = true;
    }
    for number in 0..100 {
        let invoice = world.invoice(1, AMOUNT);
        world.pay(0, 1, payment(number), &invoice, AMOUNT, Vec::new());
    }
    world.settle_on_slow_disks(SYNC_MS);
    let syncs = [0, 1].map(|node: usize| world.nodes[node].syncs);
    println!(
        "100 payments on 10 channels at once: {} syncs of the payer, {} of the payee, {} ms",
        syncs[0],
        syncs[1],
        world.now_ms - begun
    );
    for number in 0..100 {
        let end = world.checker.end_of(0, payment(number));
        assert!(matches!(end, Some(End::Sent { .. })), "payment {number}: {end:?}");
    }
    assert!(
        syncs.iter().all(|count| *count < 20),
        "below 0.2 for each payment: {syncs:?}"
    );
    let channels = world.nodes[0].process.as_ref().expect("it runs").manager.channels();
    let used = channels.filter(|channel| channel.state().commitments.next_htlc_id.local.0 > 0);
    assert_eq!(used.count(), 10, "all channels carry some");
    world.checker.assert_kept();
}

/// Alone, a payment shares nothing: what its syncs cost is the time that it takes.
#[test]
fn a_payment_alone_takes_its_syncs_one_after_the_other() {
    let mut world = World::new(2, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.slow_down(0, 1, WIRE);
    world.forget_syncs();
    let begun = world.now_ms;
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, payment(1), &invoice, AMOUNT, Vec::new());
    world.settle_on_slow_disks(SYNC_MS);
    let syncs = [0, 1].map(|node: usize| world.nodes[node].syncs);
    println!("a payment alone: syncs {syncs:?}, {} ms", world.now_ms - begun);
    // The payer's last one is that of the last `revoke_and_ack`, for which nobody waited.
    assert_eq!(syncs, [4, 3]);
}
