//! FW-16: an HTLC waits for the word of B's user, and B dies.

use quittance_manager::{Command, Event, Response};
use quittance_primitives::{BlockHeight, ChannelId, HtlcId, MilliSatoshi, ShortChannelId};

use super::stage::{A, AMOUNT, B, C, ID, channel_between, ends_once, is_failed, is_sent, line, unhandled};
use crate::{Effort, Report, Schedule, World};

/// What the user decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Forward,
    Refuse,
}

/// The name of a channel that does not exist.
fn name() -> ShortChannelId {
    ShortChannelId::new(BlockHeight(1), 2, 3).expect("in range")
}

/// The HTLCs that B's user was asked about, the last one first.
fn questions(world: &World) -> Vec<(ChannelId, HtlcId, MilliSatoshi)> {
    let shown = world.nodes[B].user.shown.iter().rev();
    let questions = shown.filter_map(|shown| match shown.event {
        Event::HtlcIntercepted {
            upstream,
            htlc,
            amount_out,
            ..
        } => Some((upstream, htlc, amount_out)),
        _ => None,
    });
    questions.collect()
}

/// B's user answers the last question; what its node says to that.
fn decide(world: &mut World, verdict: Verdict) -> Option<Response> {
    let (upstream, htlc, amount) = questions(world).first().copied()?;
    let over = channel_between(world, B, C)?;
    let command = match verdict {
        Verdict::Forward => Command::ForwardIntercepted {
            upstream,
            htlc,
            over,
            amount,
        },
        Verdict::Refuse => Command::RefuseIntercepted(upstream, htlc),
    };
    let request = world.command(B, command);
    world.settle();
    world.answer(B, request).cloned()
}

/// How many HTLCs B has ever offered to C.
fn forwarded(world: &World) -> u64 {
    let channel = world.nodes[C].channel_with(&world.nodes[B].id()).expect("C runs");
    channel.state().commitments.next_htlc_id.remote.0
}

pub(super) fn intercepted_forward_survives_its_event(effort: Effort) -> Report {
    let mut report = Report::default();
    for (verdict, handles) in [
        (Verdict::Forward, true),
        (Verdict::Forward, false),
        (Verdict::Refuse, true),
    ] {
        let mut world = line();
        if !handles {
            world = unhandled(world);
        }
        world.nodes[B].forwards.intercept.insert(name());
        world.crash(B, quittance_store::memory::Keep::All, crate::RowsAfterCrash::Whole);
        world.reconnect();
        let invoice = world.invoice(C, AMOUNT);
        let script = |world: &mut World| {
            if world.is_up(B) {
                let mut hint = world.hint(B, C);
                hint.short_channel_id = name();
                world.pay(A, C, ID, &invoice, AMOUNT, vec![vec![hint]]);
            }
            world.settle();
            decide(world, verdict);
        };
        let end = |world: &mut World| {
            // Once more, whatever became of the first answer.
            let before = forwarded(world);
            let again = decide(world, verdict);
            if before == 1 {
                assert!(
                    matches!(again, Some(Response::NothingIntercepted(..))),
                    "a decision is carried out once: {again:?}"
                );
            }
            ends_once(world);
            assert!(forwarded(world) <= 1, "it is sent on once");
            if world.checker.has_paid_for(A, invoice.payment_hash) && !questions(world).is_empty() {
                match verdict {
                    Verdict::Forward => is_sent(world),
                    Verdict::Refuse => is_failed(world),
                }
            }
            let asked = world.nodes[B]
                .process
                .as_ref()
                .expect("it runs")
                .manager
                .unhandled_events();
            assert_eq!(asked, 0, "no question is left when it is answered");
        };
        report = report + Schedule::new(world, &[B], script, end).run(effort);
    }
    report
}
