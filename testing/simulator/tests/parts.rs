//! Payments in several parts over several channels, with a crash at every point of either side: claimed whole or not at all (G4), paid once
//! (G7), and told truly (G1).

use quittance_manager::{Command, Event, NewPayment};
use quittance_payments::{ForPayee, PaymentKind, RouteHop};
use quittance_primitives::{BlockHeight, CltvExpiry, MilliSatoshi, PaymentId};
use quittance_regtest::MineOptions;
use quittance_simulator::{ChannelSetup, Effort, End, Hold, Schedule, World};

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

const DUST: MilliSatoshi = MilliSatoshi(200_000);
const LARGE: MilliSatoshi = MilliSatoshi(50_000_000);
const TOTAL: MilliSatoshi = MilliSatoshi(DUST.0 + LARGE.0);

/// B holds a payment in two parts, one of them dust, by a channel each.
fn a_part_is_dust(dust_in: usize) -> (World, Hold) {
    let mut world = two_channels();
    let hold = world.hold_invoice(1, TOTAL);
    let BlockHeight(tip) = world.tip();
    let mut hints = world.hints(0, 1);
    hints.rotate_left(dust_in);
    let routes = hints.iter().zip([DUST, LARGE]).map(|(hint, amount)| {
        vec![RouteHop {
            node: world.nodes[1].id().public_key().expect("nodes have keys"),
            short_channel_id: hint.short_channel_id,
            amount,
            cltv_expiry: CltvExpiry(tip + 32),
        }]
    });
    let payment = NewPayment {
        id: ID,
        payment_hash: hold.invoice.payment_hash,
        amount: TOTAL,
        fee_limit: MilliSatoshi(0),
        kind: PaymentKind {
            payee: world.nodes[1].id(),
            for_payee: ForPayee {
                payment_secret: Some(hold.invoice.payment_secret),
                total: TOTAL,
                metadata: None,
                keysend_preimage: None,
            },
            min_final_cltv_expiry_delta: 30,
            hints: Vec::new(),
            expires_at_ms: world.now_ms + 60_000,
        },
        attempts: 3,
        routes: routes.collect(),
    };
    world.command(0, Command::SendPayment(Box::new(payment)));
    world.settle();
    (world, hold)
}

/// Symptom: a payer stopped, and had its payment failed a moment before, when a block buried the commitment that left one part out and showed
/// the preimage of the other. Cause: what all channels learn of a block is folded first, and the part that failed found no other pending.
#[test]
fn a_part_that_is_buried_in_the_block_that_shows_the_preimage_of_the_other_fails_nothing() {
    for (dust_in, empty) in (0..2).flat_map(|dust_in| (0..9).map(move |empty| (dust_in, empty))) {
        let (mut world, hold) = a_part_is_dust(dust_in);
        world.checker.closable = true;
        world.disconnect(0, 1);
        let process = world.nodes[1].process.as_ref().expect("it runs");
        let channels: Vec<_> = process
            .manager
            .channels()
            .map(|channel| channel.state().facts.channel_id)
            .collect();
        for channel in channels {
            world.command(1, Command::ForceClose(channel));
        }
        world.mine(1);
        world.command(1, Command::ClaimPayment(hold.preimage));
        world.settle();
        if empty > 0 {
            world.mine_with(&MineOptions::empty(empty));
        }
        world.mine(1);
        world.recover();
        world.mine(170);
        world.conclude();
        let end = world.checker.end_of(0, ID);
        assert!(
            matches!(end, Some(End::Sent { .. })),
            "dust in channel {dust_in}, after {empty} empty blocks: {end:?}"
        );
    }
}
