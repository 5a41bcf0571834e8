//! RB: rebuilding from the channels' logs.

use bitcoin::Amount;
use quittance_journal::{Lsn, Store};
use quittance_manager::{Response, RestoreError};
use quittance_payments::PaymentStatus;
use quittance_primitives::MilliSatoshi;
use quittance_regtest::Chain;
use quittance_store::memory::Keep;

use super::re::goes_on_with_c;
use super::stage::{
    A, AMOUNT, B, C, ID, OTHER_ID, Word, claim, closes, direct, ended_as, ends_once, held_by_c, is_claimable,
    is_paid_once, is_sent, line, pay_direct, pay_through, put_back, settle_on_chain, unhandled,
};
use crate::{Effort, Report, RowsAfterCrash, Schedule, World};

pub(super) fn lost_rows_never_turn_paid_into_failed(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
    };
    let lives_on = Schedule::new(world.clone(), &[A], script, is_paid_once);
    let lives_on = lives_on.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort);
    let is_closed = |world: &mut World| {
        closes(world, B, A);
        settle_on_chain(world);
        let is_claimed = world.checker.claimed(&invoice.payment_hash).is_some();
        if is_claimed || world.checker.end_of(A, ID).is_some() {
            ended_as(world, if is_claimed { Word::Claim } else { Word::Refuse });
        }
    };
    let closed = Schedule::new(world, &[A], script, is_closed);
    lives_on + closed.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort)
}

pub(super) fn stale_rows_are_corrected_from_the_log(effort: Effort) -> Report {
    let mut world = unhandled(line());
    let invoice = world.invoice(C, AMOUNT);
    pay_through(&mut world, &invoice);
    world.settle();
    let held = world.hold_invoice(C, MilliSatoshi(4_000_000));
    let hint = world.hint(B, C);
    world.pay(A, C, OTHER_ID, &held.invoice, MilliSatoshi(4_000_000), vec![vec![hint]]);
    world.settle();
    let mut report = Report::default();
    for node in [A, B, C] {
        let newest = world.lsn(node).0;
        let stride = usize::try_from(newest)
            .unwrap_or(usize::MAX)
            .div_ceil(effort.runs_max)
            .max(1);
        for lsn in (0..newest).step_by(stride) {
            let mut world = world.clone();
            world.crash(node, Keep::All, RowsAfterCrash::Stale(Lsn(lsn)));
            world.recover();
            claim(&mut world, C, &held);
            is_paid_once(&mut world);
            world.checker.assert_kept();
            report = report
                + Report {
                    crash_points: 1,
                    runs: 1,
                };
        }
    }
    report
}

pub(super) fn rebuilt_payment_keeps_its_id(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let hold = world.hold_invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &hold.invoice);
        world.settle();
        claim(world, B, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        for _ in 0..2 {
            let request = world.repeat(ID);
            world.settle();
            let answer = world.answer(A, request);
            let known = matches!(
                answer,
                Some(Response::Payment(
                    ID,
                    PaymentStatus::Pending | PaymentStatus::Sent { .. }
                ))
            );
            assert!(known, "the caller is told how it stands: {answer:?}");
        }
        claim(world, B, &hold);
        is_paid_once(world);
        assert_eq!(world.balance(B), 4_050_000_000, "it is paid once");
    };
    let schedule = Schedule::new(world, &[A], script, end);
    schedule.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort)
}

pub(super) fn lost_rows_do_not_forward_twice(effort: Effort) -> Report {
    let mut world = line();
    let invoice = world.invoice(C, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &invoice);
        world.settle();
    };
    let end = |world: &mut World| {
        ends_once(world);
        let channel = world.nodes[C].channel_with(&world.nodes[B].id()).expect("C runs");
        assert_eq!(
            channel.state().commitments.next_htlc_id.remote.0,
            u64::from(world.checker.claimed(&invoice.payment_hash).is_some()),
            "sent on once"
        );
    };
    let open = Schedule::new(world.clone(), &[B], script, end);
    let open = open.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort);
    // The downstream channel closes while C's claim is on its way, and while nobody has claimed.
    let closed = [true, false].map(|is_claimed| {
        let (world, hold) = held_by_c();
        let script = |world: &mut World| {
            if is_claimed {
                claim(world, C, &hold);
                world.settle_until(C, B, "commitment_signed");
            }
            world.disconnect(B, C);
            closes(world, C, B);
            world.mine(3);
        };
        let end = |world: &mut World| {
            settle_on_chain(world);
            ended_as(world, if is_claimed { Word::Claim } else { Word::Refuse });
        };
        let schedule = Schedule::new(world, &[B], script, end);
        schedule.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort)
    });
    open + closed.into_iter().sum()
}

pub(super) fn undecided_receive_survives_lost_rows(effort: Effort) -> Report {
    let ends = [Word::Claim, Word::Refuse].map(|word| {
        let mut world = unhandled(direct());
        let hold = world.hold_invoice(B, AMOUNT);
        let script = |world: &mut World| {
            pay_direct(world, &hold.invoice);
            world.settle();
        };
        let end = |world: &mut World| {
            assert!(is_claimable(world, B), "it is shown as claimable");
            if word == Word::Claim {
                claim(world, B, &hold);
            } else {
                // Its deadline comes near: it is failed back, and no channel closes.
                world.mine(20);
            }
            world.conclude();
            ended_as(world, word);
        };
        let schedule = Schedule::new(world, &[B], script, end);
        schedule.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort)
    });
    ends.into_iter().sum()
}

pub(super) fn rebuilt_node_equals_the_live_one(effort: Effort) -> Report {
    let mut report = Report::default();
    let (world, hold) = held_by_c();
    let world = unhandled(world);
    let steps = |world: &mut World, count: usize| {
        claim(world, C, &hold);
        for _ in 0..count {
            let Some((from, to)) = world.busy_wires().first().copied() else {
                return;
            };
            world.deliver(from, to);
        }
    };
    for count in 0..24_usize.min(effort.runs_max) {
        for node in [A, B, C] {
            let copies = [RowsAfterCrash::Whole, RowsAfterCrash::Lost].map(|rows| {
                let mut world = world.clone();
                steps(&mut world, count);
                world.crash(node, Keep::All, rows);
                world.recover();
                let states = |world: &World| -> Vec<_> {
                    let process = world.nodes[node].process.as_ref().expect("it runs");
                    process
                        .manager
                        .channels()
                        .map(|channel| channel.state().clone())
                        .collect()
                };
                let first = states(&world);
                world.conclude_well();
                is_sent(&world);
                let balances: Vec<_> = [A, B, C].map(|node| world.balance(node)).to_vec();
                (first, balances, world.checker.end_of(A, ID).cloned())
            });
            assert_eq!(
                copies[0], copies[1],
                "rebuilt and live go on alike after {count} messages"
            );
            report = report
                + Report {
                    crash_points: 1,
                    runs: 2,
                };
        }
    }
    report
}

pub(super) fn rows_ahead_of_the_log_are_refused(effort: Effort) -> Report {
    let mut world = direct();
    let before = world.lsn(A);
    let hold = world.hold_invoice(B, AMOUNT);
    pay_direct(&mut world, &hold.invoice);
    world.settle();
    let mut report = Report::default();
    let store = &world.nodes[A].store;
    let newest = store.appended();
    let mut refused = 0;
    // From the first batch on: it says in which format the store is.
    for lsn in (1..=before.0).take(effort.runs_max) {
        let mut world = world.clone();
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        let mixed = std::mem::take(&mut world.nodes[A].store).mixed(newest, Lsn(lsn));
        world.nodes[A].store = mixed;
        let (sent, appended) = (world.nodes[A].sent.len(), world.nodes[A].store.appended());
        match world.try_start(A) {
            Err(RestoreError::RowAhead { .. }) => {
                refused += 1;
                assert_eq!(world.nodes[A].sent.len(), sent, "nothing left");
                assert_eq!(world.nodes[A].store.appended(), appended, "nothing was written");
            }
            other => panic!("rows of {newest} over a log of batch {lsn}: {other:?}"),
        }
        report = report
            + Report {
                crash_points: 1,
                runs: 1,
            };
    }
    assert!(refused > 0, "the payment's row rests on its channel's log");
    report
}

pub(super) fn old_backup_never_broadcasts(effort: Effort) -> Report {
    let mut world = line();
    // An HTLC of B's is pending in the backup, of whose fate the chain will prove nothing to B.
    let hold = world.hold_invoice(A, AMOUNT);
    world.pay(
        B,
        A,
        quittance_primitives::PaymentId([9; 32]),
        &hold.invoice,
        AMOUNT,
        Vec::new(),
    );
    world.settle();
    let before = world.lsn(B);
    for number in 3..5 {
        let invoice = world.invoice(B, AMOUNT);
        let id = quittance_primitives::PaymentId([number; 32]);
        world.pay(A, B, id, &invoice, AMOUNT, Vec::new());
        world.settle();
    }
    let channel = world.nodes[A].channel_with(&world.nodes[B].id()).expect("A runs");
    let (id, funding) = (channel.state().facts.channel_id, channel.state().facts.funding);
    put_back(&mut world, B, before);
    world.checker.closable = true;
    let script = |world: &mut World| {
        world.connect(A, B);
        world.connect(B, C);
        world.settle();
        world.mine(2);
    };
    let end = |world: &mut World| {
        world.mine(8);
        assert!(
            !world.checker.has_closed(B, id),
            "B broadcasts nothing that may be revoked"
        );
        assert!(world.checker.has_closed(A, id), "A was asked to close, and did");
        assert!(world.chain.chain.spent_by(&funding).is_some(), "the channel is closed");
        assert!(
            world.swept(B) >= Amount::from_sat(4_040_000),
            "B has its 4,050,000 sat of A's commitment, but for fees: {}",
            world.swept(B)
        );
        goes_on_with_c(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}
