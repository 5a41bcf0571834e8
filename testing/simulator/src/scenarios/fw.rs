//! FW: forwards. A pays C through B, and B dies.

use quittance_manager::Event;

use super::stage::{
    A, AMOUNT, B, C, ID, OTHER_ID, Word, claim, direct, ended_as, ends_once, held_by_c, is_sent, line, pay_through,
    put_back, restart, say, unhandled,
};
use crate::{Arrives, Cut, Effort, Report, RowsAfterCrash, Schedule, World};

pub(super) fn downstream_fulfil_is_claimed_upstream_at_every_crash_point(effort: Effort) -> Report {
    let (world, hold) = held_by_c();
    let script = |world: &mut World| {
        claim(world, C, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn finished_downstream_dance_keeps_the_preimage_until_upstream_is_done(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    world.disconnect(A, B);
    let script = |world: &mut World| {
        claim(world, C, &hold);
        world.settle();
        world.start(B);
        world.connect(B, C);
        world.settle();
        world.crash(B, quittance_store::memory::Keep::All, RowsAfterCrash::Lost);
        world.start(B);
        world.connect(B, C);
        world.settle();
        world.now_ms += 86_400_000;
        world.tick();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn accepted_htlc_not_yet_forwarded_is_forwarded_once(effort: Effort) -> Report {
    let waits = [1, 40].map(|seconds| {
        let mut world = line();
        let invoice = world.invoice(C, AMOUNT);
        let script = |world: &mut World| {
            pay_through(world, &invoice);
            world.settle();
            // C stays away for a while after the restart.
            world.start(B);
            world.connect(A, B);
            world.settle();
            for _ in 0..seconds {
                world.tick();
            }
        };
        let end = |world: &mut World| {
            world.conclude();
            assert!(world.checker.end_of(A, ID).is_some(), "it is never forgotten");
            assert!(forwarded(world) <= 1, "it is forwarded once");
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    waits.into_iter().sum()
}

/// How many HTLCs B has ever offered to C.
fn forwarded(world: &World) -> u64 {
    let channel = world.nodes[C].channel_with(&world.nodes[B].id()).expect("C runs");
    channel.state().commitments.next_htlc_id.remote.0
}

pub(super) fn forward_already_in_the_downstream_log_is_not_made_again(effort: Effort) -> Report {
    let mut world = line();
    let hold = world.hold_invoice(C, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &hold.invoice);
        world.settle();
    };
    let end = |world: &mut World| {
        assert!(forwarded(world) <= 1, "it is not forwarded again");
        claim(world, C, &hold);
        ends_once(world);
        if forwarded(world) == 1 {
            is_sent(world);
        }
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn settled_forward_ends_upstream_as_its_record_says(effort: Effort) -> Report {
    let mut report = Report::default();
    for word in [Word::Claim, Word::Refuse] {
        let removal = if word == Word::Claim {
            "update_fulfill_htlc"
        } else {
            "update_fail_htlc"
        };
        for message in [removal, "commitment_signed"] {
            let (mut world, hold) = held_by_c();
            world.cut = Some(Cut {
                from: B,
                to: A,
                message,
                arrives: Arrives::No,
            });
            let script = |world: &mut World| {
                say(world, C, &hold, word);
                world.settle();
            };
            let end = |world: &mut World| {
                world.disconnect(A, B);
                world.reconnect();
                world.conclude();
                ended_as(world, word);
                assert_eq!(forwarded(world), 1, "it is forwarded once");
            };
            report = report + Schedule::new(world, &[B], script, end).run(effort);
        }
    }
    report
}

/// C decides and is cut before it commits to that; then C comes back from before it and claims.
fn claimed_after(first: Word) -> (World, impl Fn(&mut World)) {
    let (mut world, hold) = held_by_c();
    let before = world.lsn(C);
    world.cut = Some(Cut {
        from: C,
        to: B,
        message: "commitment_signed",
        arrives: Arrives::No,
    });
    say(&mut world, C, &hold, first);
    world.settle();
    assert!(!world.is_connected(B, C), "the wire was cut");
    let script = move |world: &mut World| {
        if world.checker.excused.is_empty() {
            put_back(world, C, before);
        }
        world.connect(B, C);
        world.settle();
        claim(world, C, &hold);
        world.settle();
    };
    (world, script)
}

pub(super) fn uncommitted_downstream_failure_does_not_fail_upstream(effort: Effort) -> Report {
    let (world, script) = claimed_after(Word::Refuse);
    let end = |world: &mut World| {
        script(world);
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[B], &script, end).run(effort)
}

pub(super) fn repeated_downstream_fulfil_claims_once(effort: Effort) -> Report {
    let (world, script) = claimed_after(Word::Claim);
    let end = |world: &mut World| {
        script(world);
        world.conclude();
        is_sent(world);
        let mut forwards: Vec<_> = world.nodes[B]
            .user
            .shown
            .iter()
            .filter_map(|shown| match shown.event {
                Event::PaymentForwarded { fee_earned, .. } => Some((shown.number, fee_earned.0)),
                _ => None,
            })
            .collect();
        forwards.dedup();
        assert_eq!(forwards.len(), 1, "one event for one forward");
        assert_eq!(forwards[0].1, 6_000, "with the fee that B earned");
    };
    Schedule::new(world, &[B], &script, end).with_whole_rows().run(effort)
}

pub(super) fn forward_into_its_own_channel_does_not_wait_for_itself(effort: Effort) -> Report {
    // A pays itself through B: in and out over one channel.
    let mut world = unhandled(direct());
    let invoice = world.invoice(A, AMOUNT);
    let script = |world: &mut World| {
        if world.is_up(B) {
            let hint = world.hint(B, A);
            world.pay(A, A, ID, &invoice, AMOUNT, vec![vec![hint]]);
        }
        world.settle();
    };
    let around = Schedule::new(world, &[B, A], script, ends_once).run(effort);
    // Two forwards cross in the same two channels.
    let mut world = unhandled(line());
    let there = world.invoice(C, AMOUNT);
    let back = world.invoice(A, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &there);
        if world.is_up(B) {
            let hint = world.hint(B, A);
            world.pay(C, A, OTHER_ID, &back, AMOUNT, vec![vec![hint]]);
        }
        world.settle();
    };
    around + Schedule::new(world, &[B], script, World::conclude).run(effort)
}

pub(super) fn hanging_disk_holds_back_every_channel_and_loses_nothing(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    let back = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        world.nodes[B].syncs_wait = true;
        let sent_before = world.nodes[B].sent.len();
        claim(world, C, &hold);
        world.pay(A, B, OTHER_ID, &back, AMOUNT, Vec::new());
        world.settle();
        assert_eq!(
            world.nodes[B].sent.len(),
            sent_before,
            "nothing leaves while the disk hangs"
        );
        let syncs_before = world.nodes[B].syncs;
        world.sync(B);
        world.nodes[B].syncs_wait = false;
        assert!(world.nodes[B].syncs <= syncs_before + 1, "one sync for all that waited");
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        is_sent(world);
        restart(world, B, RowsAfterCrash::Lost);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}
