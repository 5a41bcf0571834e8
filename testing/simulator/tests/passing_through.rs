//! HTLCs that pass through and are gathered, and what a payer is told of the ways that it tried.

use quittance_channel::PaymentFailureReason;
use quittance_manager::{Command, Event, NewPayment};
use quittance_payments::{ForPayee, PaymentKind};
use quittance_primitives::{MilliSatoshi, PaymentId, PaymentSecret};
use quittance_simulator::{ChannelSetup, End, RowsAfterCrash, World};
use quittance_store::memory::Keep;

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// A, B and C in a line; what B has towards C is `pushed` less than 10,000,000 sat.
fn line(pushed: u64) -> World {
    let mut world = World::new(3, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    let pushed = MilliSatoshi(pushed);
    world.open_channel(
        1,
        2,
        &ChannelSetup {
            pushed,
            ..ChannelSetup::default()
        },
    );
    world
}

fn restart(world: &mut World, node: usize) {
    world.crash(node, Keep::All, RowsAfterCrash::Whole);
    world.reconnect();
}

fn pay(world: &mut World, number: u8) {
    let invoice = world.invoice(2, AMOUNT);
    let hint = world.hint(1, 2);
    world.pay(0, 2, PaymentId([number; 32]), &invoice, AMOUNT, vec![vec![hint]]);
}

/// What B has sent since, by name.
fn sent(world: &World, since: usize, name: &str) -> usize {
    world.nodes[1].sent[since..]
        .iter()
        .filter(|sent| **sent == name)
        .count()
}

#[test]
fn htlcs_that_wait_for_others_leave_in_one_commitment() {
    let mut world = line(4_000_000_000);
    world.nodes[1].forwards.delay_ms = 1_500;
    restart(&mut world, 1);
    let since = world.nodes[1].sent.len();
    for number in 1..=3 {
        pay(&mut world, number);
        world.settle();
    }
    world.tick();
    assert_eq!(sent(&world, since, "update_add_htlc"), 0, "1 second is not 1.5 seconds");
    let signed_before = sent(&world, since, "commitment_signed");
    world.now_ms += 1_000;
    world.input(1, quittance_manager::Input::Tick);
    assert_eq!(sent(&world, since, "update_add_htlc"), 3, "all three leave");
    assert_eq!(
        sent(&world, since, "commitment_signed") - signed_before,
        1,
        "in one commitment"
    );
    world.settle();
    for number in 1..=3 {
        let end = world.checker.end_of(0, PaymentId([number; 32]));
        assert!(matches!(end, Some(End::Sent { .. })), "{end:?}");
    }
    world.conclude_well();
}

/// Symptom: a forward that was gathered waited for two hours more. Cause: its node's clock was set back by as much.
#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let mut world = line(4_000_000_000);
    world.nodes[1].forwards.delay_ms = 1_500;
    restart(&mut world, 1);
    pay(&mut world, 1);
    world.settle();
    world.nodes[1].clock_ahead_ms = -7_200_000;
    world.tick();
    let end = world.checker.end_of(0, PaymentId([1; 32]));
    assert!(matches!(end, Some(End::Sent { .. })), "{end:?}");
    world.conclude_well();
}

/// An HTLC was accepted, and its node died before it was sent on. Its next peer is away: it waits for it, half a minute and no longer.
#[test]
fn what_waits_for_a_peer_after_a_restart_goes_back_in_time() {
    let mut world = line(4_000_000_000);
    world.nodes[1].forwards.delay_ms = 1_500;
    restart(&mut world, 1);
    pay(&mut world, 1);
    world.settle();
    world.crash(1, Keep::All, RowsAfterCrash::Whole);
    world.start(1);
    world.connect(0, 1);
    world.settle();
    for _ in 0..30 {
        world.tick();
    }
    assert_eq!(world.checker.end_of(0, PaymentId([1; 32])), None, "C may come back");
    world.tick();
    world.tick();
    assert_eq!(
        world.checker.end_of(0, PaymentId([1; 32])),
        Some(&End::Failed(PaymentFailureReason::RouteNotFound))
    );
    world.conclude_well();
}

#[test]
fn who_wants_to_is_told_of_every_way_that_failed() {
    // B has 120,000 sat towards C, of which it must keep 100,000.
    let mut world = line(9_880_000_000);
    world.nodes[0].tell_path_failures = true;
    restart(&mut world, 0);
    pay(&mut world, 1);
    world.settle();
    let hint = world.hint(1, 2).short_channel_id;
    let told: Vec<_> = world.nodes[0]
        .user
        .shown
        .iter()
        .filter_map(|shown| match shown.event {
            Event::PaymentPathFailed {
                payment_id,
                hop,
                failure_code,
                avoid,
                ..
            } => Some((payment_id, hop, failure_code, avoid)),
            _ => None,
        })
        .collect();
    // BOLT 4: temporary_channel_failure is UPDATE|7.
    assert_eq!(told, [(PaymentId([1; 32]), Some(0), Some(0x1007), Some(hint))]);
    assert_eq!(
        world.checker.end_of(0, PaymentId([1; 32])),
        Some(&End::Failed(PaymentFailureReason::RouteNotFound))
    );
    world.conclude_well();
}

/// How a probe from A to C ends.
fn probe(world: &mut World) -> Option<End> {
    let kind = PaymentKind {
        payee: world.nodes[2].id(),
        for_payee: ForPayee {
            payment_secret: Some(PaymentSecret([7; 32])),
            total: AMOUNT,
            metadata: None,
            keysend_preimage: None,
        },
        min_final_cltv_expiry_delta: 30,
        hints: vec![vec![world.hint(1, 2)]],
        expires_at_ms: world.now_ms + 60_000,
    };
    let id = PaymentId([9; 32]);
    let probe = NewPayment::probe(id, [0x5c; 32], AMOUNT, MilliSatoshi(100_000), kind);
    world.command(0, Command::SendPayment(Box::new(probe)));
    world.settle();
    world.checker.end_of(0, id).cloned()
}

#[test]
fn a_probe_tells_whether_a_payment_would_arrive_and_moves_nothing() {
    let mut world = line(4_000_000_000);
    let before = [0, 1, 2].map(|node| world.balance(node));
    let reached = probe(&mut world);
    assert_eq!(reached, Some(End::Failed(PaymentFailureReason::RejectedByPayee)));
    assert_eq!([0, 1, 2].map(|node| world.balance(node)), before);
    let mut world = line(9_880_000_000);
    let stopped = probe(&mut world);
    assert_eq!(stopped, Some(End::Failed(PaymentFailureReason::RetriesExhausted)));
}
