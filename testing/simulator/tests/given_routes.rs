//! Payments along routes that the caller gives.

use quittance_manager::{Command, NewPayment, Response};
use quittance_payments::{ForPayee, NewInvoice, PaymentKind, PaymentStatus, RouteHop, UnfitRoute};
use quittance_primitives::{BlockHeight, CltvExpiry, MilliSatoshi, PaymentId, ShortChannelId};
use quittance_simulator::{ChannelSetup, End, World};

const ID: PaymentId = PaymentId([1; 32]);
const AMOUNT: u64 = 50_000_000;

/// 0 has a channel with 2, and a way to it through 1.
fn triangle() -> World {
    let mut world = World::new(3, 1);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        world.open_channel(one, other, &ChannelSetup::default());
    }
    world
}

/// A hop to `node` from `from`: so much arrives, and lasts for so many blocks.
fn hop(world: &World, from: usize, node: usize, amount: u64, blocks: u32) -> RouteHop {
    let (channel, BlockHeight(tip)) = (world.hint(from, node), world.chain.tip().height);
    RouteHop {
        node: world.nodes[node].id().public_key().expect("nodes have keys"),
        short_channel_id: channel.short_channel_id,
        amount: MilliSatoshi(amount),
        cltv_expiry: CltvExpiry(tip + blocks),
    }
}

/// What 1 takes for sending `amount` on.
const fn fee(amount: u64) -> u64 {
    1_000 + amount / 10_000
}

/// To 2 through 1, so that it gets `amount`.
fn through_1(world: &World, amount: u64) -> Vec<RouteHop> {
    vec![
        hop(world, 0, 1, amount + fee(amount), 32 + 72),
        hop(world, 1, 2, amount, 32),
    ]
}

fn payment(world: &World, invoice: &NewInvoice, routes: Vec<Vec<RouteHop>>) -> NewPayment {
    NewPayment {
        id: ID,
        payment_hash: invoice.payment_hash,
        amount: MilliSatoshi(AMOUNT),
        fee_limit: MilliSatoshi(100_000),
        kind: PaymentKind {
            payee: world.nodes[2].id(),
            for_payee: ForPayee {
                payment_secret: Some(invoice.payment_secret),
                total: MilliSatoshi(AMOUNT),
                metadata: None,
                keysend_preimage: None,
            },
            min_final_cltv_expiry_delta: 30,
            hints: Vec::new(),
            expires_at_ms: world.now_ms + 60_000,
        },
        attempts: 3,
        routes,
    }
}

fn send(world: &mut World, payment: NewPayment) -> Response {
    let request = world.command(0, Command::SendPayment(Box::new(payment)));
    world.settle();
    world.answer(0, request).expect("it is answered").clone()
}

#[test]
fn a_payment_goes_the_ways_that_its_caller_gives() {
    let mut world = triangle();
    let invoice = world.invoice(2, MilliSatoshi(AMOUNT));
    let parts = [20_000_000, 30_000_000];
    let routes = vec![through_1(&world, parts[0]), vec![hop(&world, 0, 2, parts[1], 32)]];
    let before = world.balance(1);
    let payment = payment(&world, &invoice, routes);
    assert_eq!(send(&mut world, payment), Response::Payment(ID, PaymentStatus::Pending));
    let end = world.checker.end_of(0, ID);
    let Some(End::Sent { fee_paid, .. }) = end else {
        panic!("it ended as {end:?}")
    };
    assert_eq!(*fee_paid, MilliSatoshi(fee(parts[0])));
    assert_eq!(world.balance(1) - before, fee(parts[0]));
    world.checker.assert_kept();
}

#[test]
fn a_route_that_cannot_be_meant_is_refused_and_its_id_stays_free() {
    let mut world = triangle();
    let invoice = world.invoice(2, MilliSatoshi(AMOUNT));
    let good = through_1(&world, AMOUNT);
    let mut unknown = good.clone();
    unknown[0].short_channel_id = ShortChannelId(77);
    let refused = UnfitRoute::UnknownFirstChannel {
        route: 0,
        channel: ShortChannelId(77),
        node: world.nodes[1].id(),
    };
    let wrong = payment(&world, &invoice, vec![unknown]);
    assert_eq!(send(&mut world, wrong), Response::RouteRefused(refused));
    let mut grows = good.clone();
    grows[0].amount = MilliSatoshi(AMOUNT - 1);
    let refused = UnfitRoute::AmountGrows {
        route: 0,
        hop: 0,
        arrives: MilliSatoshi(AMOUNT - 1),
        out: MilliSatoshi(AMOUNT),
    };
    let wrong = payment(&world, &invoice, vec![grows]);
    assert_eq!(send(&mut world, wrong), Response::RouteRefused(refused));
    let process = world.nodes[0].process.as_ref().unwrap();
    assert_eq!(process.manager.payments().count(), 0, "nothing was begun");

    let right = payment(&world, &invoice, vec![good]);
    assert_eq!(send(&mut world, right), Response::Payment(ID, PaymentStatus::Pending));
    assert!(matches!(world.checker.end_of(0, ID), Some(End::Sent { .. })));
    world.checker.assert_kept();
}

#[test]
fn a_given_route_that_fails_is_not_replaced_by_another() {
    let mut world = triangle();
    let invoice = world.invoice(2, MilliSatoshi(AMOUNT));
    let mut cheap = through_1(&world, AMOUNT);
    cheap[0].amount = MilliSatoshi(AMOUNT + 1);
    let payment = payment(&world, &invoice, vec![cheap]);
    assert_eq!(send(&mut world, payment), Response::Payment(ID, PaymentStatus::Pending));
    let end = world.checker.end_of(0, ID);
    assert!(
        matches!(end, Some(End::Failed(_))),
        "there is a direct channel, and it is not taken: {end:?}"
    );
    world.checker.assert_kept();
}

#[test]
fn a_probe_tells_whether_a_route_reaches_the_payee_and_moves_nothing() {
    use quittance_channel::PaymentFailureReason;
    let mut world = triangle();
    let invoice = world.invoice(2, MilliSatoshi(AMOUNT));
    let before = [0, 1, 2].map(|node| world.balance(node));
    let mut cheap = through_1(&world, AMOUNT);
    cheap[0].amount = MilliSatoshi(AMOUNT + 1);
    for (id, route, reason) in [
        (
            [5; 32],
            through_1(&world, AMOUNT),
            PaymentFailureReason::RejectedByPayee,
        ),
        ([6; 32], cheap, PaymentFailureReason::RetriesExhausted),
    ] {
        let like = payment(&world, &invoice, Vec::new());
        let probe = NewPayment {
            routes: vec![route],
            ..NewPayment::probe(PaymentId(id), id, like.amount, like.fee_limit, like.kind)
        };
        send(&mut world, probe);
        assert_eq!(world.checker.end_of(0, PaymentId(id)), Some(&End::Failed(reason)));
    }
    assert_eq!([0, 1, 2].map(|node| world.balance(node)), before);
    world.checker.assert_kept();
}
