//! RE: reestablish and message retransmission.

use quittance_channel::Phase;
use quittance_manager::Command;
use quittance_primitives::{FeeratePerKw, MilliSatoshi, PaymentId};
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, OTHER_ID, claim, direct, ends_once, held_by_b, held_by_c, is_failed, is_paid_once, is_sent, line,
    pay_direct, put_back, refuse, unhandled,
};
use quittance_wire::Message;

use crate::{Arrives, Cut, Effort, NodeIndex, Report, RowsAfterCrash, Schedule, World};

fn cut(from: usize, to: usize, message: &'static str, arrives: Arrives) -> Cut {
    Cut {
        from,
        to,
        message,
        arrives,
    }
}

pub(super) fn unsynced_commitment_is_never_seen(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let other = world.invoice(B, MilliSatoshi(7_000_000));
    let script = |world: &mut World| {
        world.nodes[A].syncs_wait = true;
        pay_direct(world, &invoice);
        world.crash(A, Keep::None, RowsAfterCrash::Whole);
        world.nodes[A].syncs_wait = false;
        world.start(A);
        world.reconnect();
        world.pay(A, B, OTHER_ID, &other, MilliSatoshi(7_000_000), Vec::new());
        world.settle();
    };
    Schedule::new(world, &[A], script, is_paid_once).run(effort)
}

pub(super) fn signed_commitment_is_repeated_unchanged(effort: Effort) -> Report {
    let cuts = [
        (A, B, "update_fulfill_htlc", Arrives::No),
        (A, B, "update_fee", Arrives::Yes),
        (A, B, "commitment_signed", Arrives::No),
        (A, B, "commitment_signed", Arrives::Yes),
        (B, A, "revoke_and_ack", Arrives::No),
        (B, A, "revoke_and_ack", Arrives::Yes),
    ];
    let reports = cuts.map(|(from, to, message, arrives)| {
        // A holds a payment of B's, and will add, fulfil and change the fee in one commitment.
        let mut world = direct();
        let hold = world.hold_invoice(A, AMOUNT);
        world.pay(B, A, OTHER_ID, &hold.invoice, AMOUNT, Vec::new());
        world.settle();
        let (first, second) = (world.invoice(B, AMOUNT), world.invoice(B, AMOUNT));
        let channel = world.nodes[A]
            .channel_with(&world.nodes[B].id())
            .expect("A runs")
            .state()
            .facts
            .channel_id;
        let script = |world: &mut World| {
            world.pay(A, B, PaymentId([3; 32]), &first, AMOUNT, Vec::new());
            claim(world, A, &hold);
            world.command(A, Command::SetFeerate(channel, FeeratePerKw(1_500)));
            pay_direct(world, &second);
            world.settle_until(B, A, "revoke_and_ack");
            // More is wanted while the commitment is on its way: it belongs to the next one.
            world.command(A, Command::SetFeerate(channel, FeeratePerKw(1_800)));
            world.cut = Some(cut(from, to, message, arrives));
            world.settle();
            world.start(A);
            world.connect(A, B);
            world.command(A, Command::SetFeerate(channel, FeeratePerKw(3_000)));
            world.settle();
        };
        let end = |world: &mut World| {
            claim(world, A, &hold);
            is_paid_once(world);
        };
        Schedule::new(world, &[A], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn owed_revocation_and_commitment_keep_their_order(effort: Effort) -> Report {
    let mut report = Report::default();
    for message in ["revoke_and_ack", "commitment_signed"] {
        for both_pay in [false, true] {
            let mut world = direct();
            let (there, back) = (world.invoice(B, AMOUNT), world.invoice(A, AMOUNT));
            let script = |world: &mut World| {
                world.cut = Some(cut(B, A, message, Arrives::No));
                // When both pay at once, B's signature is sent before the revocation that it owes.
                if both_pay {
                    world.pay(B, A, OTHER_ID, &back, AMOUNT, Vec::new());
                }
                pay_direct(world, &there);
                world.settle();
                world.start(B);
                world.connect(A, B);
                world.settle();
            };
            report = report + Schedule::new(world, &[B], script, ends_once).run(effort);
        }
    }
    report
}

pub(super) fn both_ends_may_crash_at_once(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
    };
    let effort = Effort {
        runs_max: effort.runs_max.min(4_000),
    };
    Schedule::new(world, &[A, B], script, ends_once)
        .where_both_die()
        .run(effort)
}

pub(super) fn slow_fsync_and_reconnect_send_once(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let back = world.invoice(A, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle_until(A, B, "commitment_signed");
        world.nodes[B].syncs_wait = true;
        world.settle();
        world.pay(B, A, OTHER_ID, &back, AMOUNT, Vec::new());
        world.disconnect(A, B);
        world.connect(A, B);
        world.settle();
        world.sync(B);
        world.settle();
        world.nodes[B].syncs_wait = false;
        world.sync(B);
        world.settle();
    };
    let end = |world: &mut World| {
        is_paid_once(world);
        let adds = world.nodes[A]
            .channel_with(&world.nodes[B].id())
            .map(|channel| channel.state().commitments.next_htlc_id.local.0);
        assert_eq!(adds, Some(1), "one HTLC of A's");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn old_connection_output_dies_with_it(effort: Effort) -> Report {
    let messages = ["update_add_htlc", "commitment_signed", "revoke_and_ack"].map(|message| {
        let mut world = direct();
        let invoice = world.invoice(B, AMOUNT);
        let script = |world: &mut World| {
            pay_direct(world, &invoice);
            world.settle_until(A, B, message);
            world.disconnect(A, B);
            world.connect(A, B);
            if world.is_connected(A, B) {
                assert_eq!(world.busy_wires(), [(A, B), (B, A)], "both greet each other");
                assert!(
                    world.next_message(A, B) == Some("channel_reestablish"),
                    "nothing comes before it"
                );
            }
            world.settle();
        };
        Schedule::new(world, &[A], script, is_paid_once).run(effort)
    });
    messages.into_iter().sum()
}

pub(super) fn repeated_fulfil_counts_once(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        for _ in 0..3 {
            world.cut = Some(cut(B, A, "commitment_signed", Arrives::No));
            claim(world, B, &hold);
            world.settle();
            world.start(A);
            world.connect(A, B);
        }
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
    };
    Schedule::new(unhandled(world), &[A], script, end).run(effort)
}

pub(super) fn failure_after_fulfilment_is_ignored(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    let before = world.lsn(C);
    world.cut = Some(cut(C, B, "commitment_signed", Arrives::No));
    claim(&mut world, C, &hold);
    world.settle();
    put_back(&mut world, C, before);
    let script = |world: &mut World| {
        world.connect(B, C);
        world.settle();
        refuse(world, C, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        refuse(world, C, &hold);
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn fulfilment_after_unfinished_failure_is_payment(effort: Effort) -> Report {
    let (mut world, hold) = held_by_b();
    let before = world.lsn(B);
    world.cut = Some(cut(B, A, "commitment_signed", Arrives::No));
    refuse(&mut world, B, &hold);
    world.settle();
    let script = |world: &mut World| {
        put_back(world, B, before);
        world.connect(A, B);
        world.settle();
        claim(world, B, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        claim(world, B, &hold);
        world.conclude();
        is_sent(world);
    };
    Schedule::new(unhandled(world), &[A], script, end).run(effort)
}

pub(super) fn uncommitted_adds_are_forgotten_by_both(effort: Effort) -> Report {
    let mut world = direct();
    let (first, second) = (world.invoice(B, AMOUNT), world.invoice(B, MilliSatoshi(9_000_000)));
    let before = world.lsn(A);
    let script = |world: &mut World| {
        world.cut = Some(cut(A, B, "commitment_signed", Arrives::No));
        pay_direct(world, &first);
        world.settle();
        put_back(world, A, before);
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.pay(A, B, OTHER_ID, &second, MilliSatoshi(9_000_000), Vec::new());
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        if world.checker.claimed(&second.payment_hash).is_none() {
            // B was away when it was made.
            world.pay(A, B, PaymentId([3; 32]), &second, MilliSatoshi(9_000_000), Vec::new());
        }
        world.conclude();
        assert_eq!(
            world.checker.claimed(&first.payment_hash),
            None,
            "what was not committed to is gone"
        );
        assert_eq!(world.balance(B), 4_009_000_000, "counted once");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn htlc_failure_is_repeated_byte_for_byte(effort: Effort) -> Report {
    let messages = ["update_fail_htlc", "commitment_signed"].map(|message| {
        let (world, hold) = held_by_b();
        let script = |world: &mut World| {
            world.cut = Some(cut(B, A, message, Arrives::No));
            refuse(world, B, &hold);
            world.settle();
            world.now_ms += 7_000;
            world.start(B);
            world.connect(A, B);
            world.settle();
        };
        let end = |world: &mut World| {
            refuse(world, B, &hold);
            world.conclude();
            is_failed(world);
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    messages.into_iter().sum()
}

/// The phase of a node's channel with a peer.
fn phase(world: &World, node: NodeIndex, peer: NodeIndex) -> Option<Phase> {
    let channel = world.nodes[node].channel_with(&world.nodes[peer].id())?;
    Some(channel.state().phase.clone())
}

/// B's channel with C was not touched by what A did: it is used.
pub(super) fn goes_on_with_c(world: &mut World) {
    assert_eq!(phase(world, B, C), Some(Phase::Normal), "the other channel goes on");
    let id = PaymentId([7; 32]);
    let invoice = world.invoice(C, AMOUNT);
    world.pay(B, C, id, &invoice, AMOUNT, Vec::new());
    world.settle();
    assert!(world.checker.claimed(&invoice.payment_hash).is_some(), "and is used");
}

pub(super) fn peer_that_fell_behind_meets_our_latest_state(effort: Effort) -> Report {
    // A lost revocations of its own; or only that it had received our last commitment.
    let mut world = line();
    let before = world.lsn(A);
    for number in 3..5 {
        let invoice = world.invoice(B, AMOUNT);
        world.pay(A, B, PaymentId([number; 32]), &invoice, AMOUNT, Vec::new());
        world.settle();
    }
    put_back(&mut world, A, before);
    let revocations = meets_our_latest_state(world, effort);
    let mut world = line();
    let before = world.lsn(A);
    world.cut = Some(cut(A, B, "commitment_signed", Arrives::No));
    let hold = world.hold_invoice(A, AMOUNT);
    world.pay(B, A, OTHER_ID, &hold.invoice, AMOUNT, Vec::new());
    world.settle();
    put_back(&mut world, A, before);
    revocations + meets_our_latest_state(world, effort)
}

fn meets_our_latest_state(mut world: World, effort: Effort) -> Report {
    world.checker.closable = true;
    let script = |world: &mut World| {
        world.connect(A, B);
        world.settle();
        world.mine(2);
    };
    let end = |world: &mut World| {
        // The checker sees to it that no revoked commitment is broadcast.
        world.mine(8);
        assert!(
            matches!(phase(world, B, A), None | Some(Phase::ForceClosed(_))),
            "the channel is closed: {:?}",
            phase(world, B, A)
        );
        goes_on_with_c(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

/// A says that B is behind, and proves nothing.
fn claims_that_b_is_behind(world: &mut World) {
    world.disconnect(A, B);
    world.connect(A, B);
    world.forge(A, B, |message| match message {
        Message::ChannelReestablish(mut reestablish) => {
            reestablish.next_revocation_number += 5;
            reestablish.your_last_per_commitment_secret = [7; 32];
            reestablish.into()
        }
        other => other,
    });
    world.settle();
}

pub(super) fn false_claim_that_we_are_behind_harms_nothing(effort: Effort) -> Report {
    let mut world = line();
    let invoice = world.invoice(B, AMOUNT);
    pay_direct(&mut world, &invoice);
    world.settle();
    world.checker.excused.insert(A);
    world.checker.closable = true;
    let script = |world: &mut World| {
        claims_that_b_is_behind(world);
        world.start(B);
        world.connect(B, C);
        world.settle();
        claims_that_b_is_behind(world);
        world.mine(1);
    };
    let end = |world: &mut World| {
        claims_that_b_is_behind(world);
        world.mine(8);
        let is_blamed = matches!(phase(world, B, A), None | Some(Phase::ForceClosed(_)));
        assert!(
            is_blamed,
            "the peer is blamed, and B has lost nothing: {:?}",
            phase(world, B, A)
        );
        goes_on_with_c(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}
