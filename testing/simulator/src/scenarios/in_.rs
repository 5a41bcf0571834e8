//! IN: receives and hold invoices. B is paid, and B dies.

use quittance_manager::{Event, Response};
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, ID, Word, claim, direct, ended_as, held_by_b, is_claimable, is_failed, is_paid_once, is_sent,
    pay_direct, refuse, restart, unhandled,
};
use crate::{Arrives, Cut, Effort, Report, RowsAfterCrash, Schedule, World};

pub(super) fn claim_not_yet_durable_releases_no_preimage(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| claim(world, B, &hold);
    let end = |world: &mut World| {
        let request = world.command(B, quittance_manager::Command::ClaimPayment(hold.preimage));
        world.settle();
        assert!(
            matches!(
                world.answer(B, request),
                Some(Response::Claimed(..) | Response::NothingHeld(_))
            ),
            "the user's second claim is answered"
        );
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn durable_claim_is_carried_out_whatever_is_lost(effort: Effort) -> Report {
    let mut report = Report::default();
    for message in [None, Some("update_fulfill_htlc"), Some("commitment_signed")] {
        let (mut world, hold) = held_by_b();
        world.disconnect(A, B);
        claim(&mut world, B, &hold);
        world.cut = message.map(|message| Cut {
            from: B,
            to: A,
            message,
            arrives: Arrives::No,
        });
        let script = |world: &mut World| {
            world.connect(A, B);
            world.settle();
            world.start(B);
        };
        let end = |world: &mut World| {
            world.conclude();
            is_sent(world);
            assert_eq!(
                world.checker.claim_of(B, &hold.preimage.hash()),
                Some(AMOUNT),
                "in full"
            );
        };
        report = report + Schedule::new(world, &[B], script, end).run(effort);
    }
    report
}

pub(super) fn payment_claimed_is_rebuilt_until_handled_and_silent_after(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
    };
    let end = |world: &mut World| {
        is_paid_once(world);
        assert_eq!(
            world.checker.claim_of(B, &invoice.payment_hash),
            Some(AMOUNT),
            "in full"
        );
        let claims = claims_shown(world);
        for rows in [RowsAfterCrash::Lost, RowsAfterCrash::Behind(2), RowsAfterCrash::Whole] {
            restart(world, B, rows);
        }
        assert_eq!(claims_shown(world), claims, "no restart invents another");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

fn claims_shown(world: &World) -> usize {
    let shown = world.nodes[B].user.shown.iter();
    shown
        .into_iter()
        .filter(|shown| matches!(shown.event, Event::PaymentClaimed { .. }))
        .count()
}

pub(super) fn claimable_payment_is_offered_again_only_while_claimable(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let hold = world.hold_invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &hold.invoice);
        world.settle();
    };
    let offered = |world: &mut World| {
        world.nodes[B].user.shown.clear();
        restart(world, B, RowsAfterCrash::Whole);
        assert!(is_claimable(world, B), "it is offered again");
        claim(world, B, &hold);
        world.conclude();
        is_sent(world);
    };
    let offered = Schedule::new(world, &[B], script, offered).run(effort);
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        refuse(world, B, &hold);
        world.settle();
    };
    let failed_back = |world: &mut World| {
        refuse(world, B, &hold);
        world.conclude();
        is_failed(world);
        world.nodes[B].user.shown.clear();
        restart(world, B, RowsAfterCrash::Behind(4));
        assert!(!is_claimable(world, B), "a dead question is not asked");
    };
    offered + Schedule::new(world, &[B], script, failed_back).run(effort)
}

pub(super) fn held_invoice_stays_held_over_restarts(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        for rows in [RowsAfterCrash::Whole, RowsAfterCrash::Lost, RowsAfterCrash::Whole] {
            world.crash(B, Keep::All, rows);
            world.start(B);
            world.reconnect();
        }
        assert_eq!(
            world.checker.end_of(A, ID),
            None,
            "neither failed nor claimed meanwhile"
        );
        claim(world, B, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        claim(world, B, &hold);
        world.conclude();
        is_sent(world);
        assert_eq!(
            world.checker.claim_of(B, &hold.preimage.hash()),
            Some(AMOUNT),
            "in full"
        );
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn settle_and_cancel_exclude_each_other(effort: Effort) -> Report {
    let orders = [true, false].map(|claims_first| {
        let (world, hold) = held_by_b();
        let both = move |world: &mut World| {
            if claims_first {
                claim(world, B, &hold);
                refuse(world, B, &hold);
            } else {
                refuse(world, B, &hold);
                claim(world, B, &hold);
            }
            world.settle();
        };
        let end = |world: &mut World| {
            both(world);
            world.conclude();
            // The checker sees to it that no HTLC is both fulfilled and failed.
            ended_as(world, if claims_first { Word::Claim } else { Word::Refuse });
        };
        Schedule::new(world, &[B], both, end).run(effort)
    });
    orders.into_iter().sum()
}
