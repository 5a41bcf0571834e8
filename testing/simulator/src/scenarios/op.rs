//! OP: outbound payments.

use quittance_manager::{Command, Response};
use quittance_payments::PaymentStatus;
use quittance_primitives::{FeeratePerKw, MilliSatoshi};
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, ID, OTHER_ID, Word, claim, closes, direct, ended_as, held_by_b, is_failed, is_paid_once, is_sent,
    pay_direct, put_back, refuse, say, settle_on_chain, unhandled,
};
use crate::{Arrives, ChannelSetup, Cut, Effort, Harm, Report, RowsAfterCrash, Schedule, World};

pub(super) fn payment_fulfilled_then_manager_rows_stale_or_lost_is_still_sent(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        if world.settle_until(B, A, "update_fulfill_htlc") {
            world.deliver(B, A);
            world.deliver(B, A);
        }
    };
    Schedule::new(world, &[A], script, is_paid_once).run(effort)
}

pub(super) fn payment_fulfilled_and_dance_finished_before_handling_is_still_sent(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
    };
    Schedule::new(world, &[A], script, is_paid_once).run(effort)
}

pub(super) fn send_that_never_became_durable_never_happened(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| pay_direct(world, &invoice);
    let end = |world: &mut World| {
        world.repeat(ID);
        is_paid_once(world);
        assert_eq!(world.balance(B), 4_050_000_000, "it is paid once");
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn durable_send_leaves_once_after_a_crash(effort: Effort) -> Report {
    let cuts = ["update_add_htlc", "commitment_signed"].map(|message| {
        let mut world = direct();
        let invoice = world.invoice(B, AMOUNT);
        let more = world.invoice(B, AMOUNT);
        world.cut = Some(Cut {
            from: A,
            to: B,
            message,
            arrives: Arrives::No,
        });
        let script = |world: &mut World| {
            pay_direct(world, &invoice);
            world.settle();
            world.start(A);
            let channel = world.nodes[A]
                .process
                .as_ref()
                .and_then(|process| process.manager.channels().next());
            let channel = channel.expect("A has a channel").state().facts.channel_id;
            world.command(A, Command::SetFeerate(channel, FeeratePerKw(2_000)));
            world.connect(A, B);
            world.pay(A, B, OTHER_ID, &more, AMOUNT, Vec::new());
            world.settle();
        };
        Schedule::new(world, &[A], script, is_paid_once).run(effort)
    });
    cuts.into_iter().sum()
}

pub(super) fn pending_payment_is_rebuilt_from_its_channel_and_refused_a_second_time(effort: Effort) -> Report {
    let ends = [Word::Claim, Word::Refuse].map(|word| {
        let mut world = direct();
        let hold = world.hold_invoice(B, AMOUNT);
        let script = |world: &mut World| {
            pay_direct(world, &hold.invoice);
            world.settle();
        };
        let end = |world: &mut World| {
            let request = world.repeat(ID);
            world.settle();
            let answer = world.answer(A, request);
            assert_eq!(
                answer,
                Some(&Response::Payment(ID, PaymentStatus::Pending)),
                "it is pending"
            );
            say(world, B, &hold, word);
            world.conclude();
            ended_as(world, word);
        };
        Schedule::new(world, &[A], script, end).run(effort)
    });
    ends.into_iter().sum()
}

/// B fulfils (or fails) A's payment and is cut before it commits to that; then B comes back from before it, and decides `again`.
fn decided_twice(first: Word, then: Word, effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let mut world = unhandled(world);
    let before = world.lsn(B);
    world.cut = Some(Cut {
        from: B,
        to: A,
        message: "commitment_signed",
        arrives: Arrives::No,
    });

    say(&mut world, B, &hold, first);
    world.settle();
    assert!(!world.is_connected(A, B), "the wire was cut");
    let script = |world: &mut World| {
        put_back(world, B, before);
        world.connect(A, B);
        world.settle();
        say(world, B, &hold, then);
        world.settle();
    };
    let end = |world: &mut World| {
        // What B decided last is not lost with a crash of A's.
        say(world, B, &hold, then);
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn first_fulfil_stands_whatever_the_peer_sends_later(effort: Effort) -> Report {
    decided_twice(Word::Claim, Word::Claim, effort) + decided_twice(Word::Claim, Word::Refuse, effort)
}

pub(super) fn uncommitted_failure_is_no_outcome(effort: Effort) -> Report {
    decided_twice(Word::Refuse, Word::Claim, effort)
}

/// A reaches C over two channels of B: the first cannot carry the payment, the second can if `second_works`.
fn two_ways(second_works: bool) -> World {
    let mut world = World::new(3, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    let dry = ChannelSetup {
        pushed: MilliSatoshi(9_880_000_000),
        ..ChannelSetup::default()
    };
    world.open_channel(B, C, &dry);
    let second = if second_works { ChannelSetup::default() } else { dry };
    world.open_channel(B, C, &second);
    world
}

fn pay_either_way(world: &mut World, invoice: &quittance_payments::NewInvoice) {
    if world.is_up(B) {
        let hints = world.hints(B, C).into_iter().map(|hint| vec![hint]).collect();
        world.pay(A, C, ID, invoice, MilliSatoshi(200_000_000), hints);
    }
}

pub(super) fn retry_leaves_only_when_the_failed_htlc_is_gone_for_good(effort: Effort) -> Report {
    let mut world = two_ways(true);
    let invoice = world.invoice(C, MilliSatoshi(200_000_000));
    let script = |world: &mut World| {
        pay_either_way(world, &invoice);
        world.settle();
    };
    let end = |world: &mut World| {
        is_paid_once(world);
        let failures = world.nodes[B]
            .sent
            .iter()
            .filter(|name| **name == "update_fail_htlc")
            .count();
        assert!(failures > 0, "the first way failed");
    };
    Schedule::new(world, &[A], script, end).with_whole_rows().run(effort)
}

pub(super) fn failed_payment_with_rows_lost_fails_once_and_does_not_vanish(effort: Effort) -> Report {
    let mut world = unhandled(two_ways(false));
    let invoice = world.invoice(C, MilliSatoshi(200_000_000));
    let script = |world: &mut World| {
        pay_either_way(world, &invoice);
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        let hash = world.requested[&ID].payment.payment_hash;
        if world.checker.has_paid_for(A, hash) {
            is_failed(world);
        }
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn abandoned_payment_that_is_fulfilled_is_sent(effort: Effort) -> Report {
    let ends = [Word::Claim, Word::Refuse].map(|word| {
        let (world, hold) = held_by_b();
        let script = |world: &mut World| {
            world.command(A, Command::AbandonPayment(ID));
            world.settle();
            say(world, B, &hold, word);
            world.settle();
        };
        let end = |world: &mut World| {
            world.conclude();
            ended_as(world, word);
            assert_eq!(
                world.nodes[A]
                    .sent
                    .iter()
                    .filter(|name| **name == "update_add_htlc")
                    .count(),
                1
            );
        };
        Schedule::new(world, &[A], script, end).run(effort)
    });
    ends.into_iter().sum()
}

pub(super) fn one_id_pays_once_for_ever(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let other = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        world.nodes[A].syncs_wait = true;
        pay_direct(world, &invoice);
        world.repeat(ID);
        world.nodes[A].syncs_wait = false;
        world.sync(A);
        world.repeat(ID);
        world.settle();
        world.repeat(ID);
    };
    let end = |world: &mut World| {
        world.repeat(ID);
        world.settle();
        is_paid_once(world);
        let again = world.repeat(ID);
        let conflict = world.pay(A, B, ID, &other, AMOUNT, Vec::new());
        world.settle();
        let answer = world.answer(A, again);
        assert!(
            matches!(answer, Some(Response::Payment(ID, PaymentStatus::Sent { .. }))),
            "it is known for ever: {answer:?}"
        );
        assert_eq!(world.answer(A, conflict), Some(&Response::PaymentConflict(ID)));
        world.conclude();
        assert_eq!(world.balance(B), 4_050_000_000, "it is paid once");
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn failed_fsync_at_the_fulfil_lets_nothing_out(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        claim(world, B, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
    };
    let schedule = Schedule::new(world, &[A], script, end);
    schedule.only(|plan| !matches!(plan.harm, Harm::Dies(_))).run(effort)
}

pub(super) fn crash_during_recovery_changes_nothing(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
    };
    let sent = Schedule::new(world, &[A], script, is_paid_once)
        .with_starts_that_die(5)
        .run(effort);
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        refuse(world, B, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_failed(world);
    };
    let failed = Schedule::new(unhandled(world), &[A], script, end)
        .with_starts_that_die(5)
        .run(effort);
    // The payee claims on chain while the payer is down.
    let (mut world, hold) = held_by_b();
    closes(&mut world, A, B);
    world.mine(1);
    let script = |world: &mut World| {
        world.crash(A, Keep::All, RowsAfterCrash::Behind(2));
        claim(world, B, &hold);
        world.mine(2);
        world.start(A);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    let claimed = Schedule::new(unhandled(world), &[A], script, end).with_starts_that_die(5);
    sent + failed + claimed.run(effort)
}
