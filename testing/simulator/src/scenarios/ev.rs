//! EV: events and their handlers.

use quittance_journal::EventNumber;
use quittance_primitives::PaymentId;
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, OTHER_ID, claim, direct, held_by_b, is_paid_once, is_sent, line, pay_direct, pay_through, restart,
    unhandled,
};
use crate::{Effort, Harm, Report, RowsAfterCrash, Schedule, World};

pub(super) fn unhandled_event_comes_again_with_the_same_number_and_content(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
        let user = &world.nodes[A].user;
        let first = user
            .shown
            .iter()
            .map(|shown| shown.number)
            .find(|number| Some(*number) > user.confirmed);
        for round in 0..3 {
            // The handler acts and dies with the node before it confirms; once with the confirmation stepped and not synced.
            world.nodes[A].syncs_wait = true;
            world.handle_all_events(A);
            world.crash(A, Keep::None, RowsAfterCrash::Whole);
            world.nodes[A].syncs_wait = false;
            world.nodes[A].user.shown.clear();
            world.start(A);
            let is_undisturbed = world.nodes[A].crashes == round + 1 && !world.nodes[A].is_disk_full;
            let again = world.nodes[A].user.shown.first().map(|shown| shown.number);
            assert!(!is_undisturbed || again == first, "the same number");
            world.reconnect();
        }
    };
    Schedule::new(world, &[A], script, is_paid_once)
        .only(|plan| plan.rows == RowsAfterCrash::Whole)
        .run(effort)
}

pub(super) fn confirmed_handling_is_final(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    pay_direct(&mut world, &invoice);
    world.settle();
    let script = |world: &mut World| world.handle_all_events(A);
    let end = |world: &mut World| {
        world.handle_all_events(A);
        for rows in [RowsAfterCrash::Whole, RowsAfterCrash::Behind(1), RowsAfterCrash::Lost] {
            // What is confirmed is durable: nothing that was not synced is needed.
            world.crash(A, Keep::None, rows);
            world.start(A);
            world.reconnect();
        }
        is_paid_once(world);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn no_event_is_seen_before_its_record(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let other = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
        world.start(A);
        world.connect(A, B);
        world.pay(A, B, OTHER_ID, &other, AMOUNT, Vec::new());
        world.settle();
    };
    Schedule::new(world, &[A], script, is_paid_once).run(effort)
}

pub(super) fn stuck_handler_stalls_no_channel(effort: Effort) -> Report {
    let payments: u16 = if effort.runs_max == usize::MAX { 1_000 } else { 120 };
    let mut world = unhandled(line());
    for number in 0..payments {
        let payee = if number % 2 == 0 { C } else { B };
        let invoice = world.invoice(payee, AMOUNT);
        let mut id = [9; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let amount = quittance_primitives::MilliSatoshi(1_000_000);
        let hints = if payee == C {
            vec![vec![world.hint(B, C)]]
        } else {
            Vec::new()
        };
        let invoice = if payee == C {
            world.invoice(C, amount)
        } else {
            let _ = invoice;
            world.invoice(B, amount)
        };
        world.pay(A, payee, PaymentId(id), &invoice, amount, hints);
        world.settle();
        let sent = world.nodes[A]
            .process
            .as_ref()
            .map(|process| process.manager.unhandled_events());
        assert_eq!(sent, Some(usize::from(number) + 1), "no payment waits for the handler");
    }
    for (node, rows) in [
        (A, RowsAfterCrash::Lost),
        (B, RowsAfterCrash::Whole),
        (C, RowsAfterCrash::Lost),
    ] {
        restart(&mut world, node, rows);
    }
    for _ in 0..12 {
        for node in [A, B, C] {
            world.handle_all_events(node);
        }
        world.settle();
    }
    world.conclude_well();
    Report {
        crash_points: 3,
        runs: 1,
    }
}

pub(super) fn old_event_rows_bring_no_event_back(effort: Effort) -> Report {
    let mut world = line();
    let invoice = world.invoice(C, AMOUNT);
    let other = world.hold_invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &invoice);
        world.settle();
        world.pay(A, B, OTHER_ID, &other.invoice, AMOUNT, Vec::new());
        world.settle();
        claim(world, B, &other);
        world.settle();
    };
    let end = |world: &mut World| {
        world.settle();
        claim(world, B, &other);
        world.conclude();
        for rows in [
            RowsAfterCrash::Behind(3),
            RowsAfterCrash::Behind(9),
            RowsAfterCrash::Behind(1),
        ] {
            for node in [A, B, C] {
                restart(world, node, rows);
            }
        }
        world.conclude();
    };
    Schedule::new(world, &[A, B, C], script, end).run(effort)
}

pub(super) fn lost_event_rows_are_rebuilt_and_no_number_is_reused(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let other = world.invoice(B, AMOUNT);
    let third = world.invoice(A, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
        world.handle_all_events(A);
        world.pay(A, B, OTHER_ID, &other, AMOUNT, Vec::new());
        world.settle();
    };
    let end = |world: &mut World| {
        world.pay(B, A, PaymentId([3; 32]), &third, AMOUNT, Vec::new());
        world.settle();
        is_paid_once(world);
    };
    Schedule::new(world, &[A], script, end)
        .only(|plan| plan.rows == RowsAfterCrash::Lost)
        .run(effort)
}

pub(super) fn wrong_acknowledgement_does_no_harm(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        // Never given.
        world.input(A, quittance_manager::Input::EventHandled(EventNumber(900)));
        if world.is_up(A) {
            assert_eq!(world.nodes[A].user.refused, [EventNumber(900)], "it is refused by name");
        }
        pay_direct(world, &invoice);
        // Stepped, and not durable: the user has not seen it.
        world.settle_until(B, A, "update_fulfill_htlc");
        world.nodes[A].syncs_wait = true;
        world.settle();
        let unseen = world.nodes[A].last_shown.map(EventNumber::next);
        if let Some(unseen) = unseen {
            world.handle_events(A, unseen);
            assert_eq!(
                world.nodes[A].user.refused.last(),
                Some(&unseen),
                "it is refused by name"
            );
        }
        world.nodes[A].syncs_wait = false;
        world.sync(A);
        world.settle();
        let late = world.nodes[A].last_shown;
        // Twice; and once more from the handler of the run before.
        world.handle_all_events(A);
        world.handle_all_events(A);
        restart(world, A, RowsAfterCrash::Whole);
        if let Some(late) = late {
            world.input(A, quittance_manager::Input::EventHandled(late));
        }
    };
    Schedule::new(world, &[A], script, is_paid_once).run(effort)
}

pub(super) fn full_disk_stops_delivery_and_resumes_at_the_last_durable_handling(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        world.nodes[A].user.handles_at_once = false;
        claim(world, B, &hold);
        world.settle();
        let confirmed = world.nodes[A].user.confirmed;
        if world.nodes[A].is_disk_full {
            world.handle_all_events(A);
            world.handle_all_events(A);
            assert_eq!(
                world.nodes[A].user.confirmed, confirmed,
                "nothing is confirmed that could not be written"
            );
            assert!(
                !world.is_up(A) || world.nodes[A].last_shown.is_none(),
                "the node has stopped"
            );
        } else {
            world.handle_all_events(A);
        }
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
    };
    let schedule = Schedule::new(world, &[A], script, end);
    schedule.only(|plan| plan.harm == Harm::DiskFills).run(effort)
}
