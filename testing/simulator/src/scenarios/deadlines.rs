//! Deadlines: HTLCs that expire while somebody is silent, down, or waits for the chain. A channel closes, and a node dies.

use bitcoin::Amount;
use quittance_channel::Phase;
use quittance_manager::{Command, Event, Response};
use quittance_monitor::FeeEstimates;
use quittance_primitives::{FeeratePerKw, PaymentId};
use quittance_regtest::MineOptions;
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, ID, claim, closes, direct, held_by_b, held_by_c, is_failed, is_sent, line, pay_direct,
    settle_on_chain, unhandled,
};
use crate::{Effort, End, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// How many channels of a node's may be used.
fn open_channels(world: &World, node: NodeIndex) -> usize {
    let process = world.nodes[node].process.as_ref().expect("it runs");
    let phases = process.manager.channels().map(|channel| &channel.state().phase);
    phases.filter(|phase| **phase == Phase::Normal).count()
}

/// A world in which C has decided to claim what B forwarded, and died before anybody heard of it.
fn claimed_in_secret() -> World {
    let (mut world, hold) = held_by_c();
    world.disconnect(B, C);
    claim(&mut world, C, &hold);
    world.crash(C, Keep::All, RowsAfterCrash::Whole);
    world.checker.closable = true;
    world
}

pub(super) fn upstream_is_not_failed_to_save_a_channel(effort: Effort) -> Report {
    let script = |world: &mut World| {
        // B closes its channel with C when the HTLC has expired there, and nothing of that confirms.
        for _ in 0..70 {
            world.mine_with(&MineOptions::empty(1));
        }
        world.crash(B, Keep::All, RowsAfterCrash::Whole);
        world.start(C);
        world.mine(3);
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.mine(2);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        assert_eq!(open_channels(world, A), 1, "upstream it is claimed off chain");
    };
    Schedule::new(claimed_in_secret(), &[B], script, end).run(effort)
}

pub(super) fn preimage_reaches_a_closed_upstream_channel(effort: Effort) -> Report {
    let reports = [0, 2].map(|blocks| {
        let (world, hold) = held_by_c();
        let script = |world: &mut World| {
            closes(world, A, B);
            world.mine(blocks);
            claim(world, C, &hold);
            // The downstream dance completes meanwhile.
            world.settle();
            world.mine(4);
        };
        let end = |world: &mut World| {
            claim(world, C, &hold);
            settle_on_chain(world);
            is_sent(world);
            assert!(
                world.swept(B) >= Amount::from_sat(4_040_000),
                "B has its 4,000,000 sat and the HTLC, but for fees: {}",
                world.swept(B)
            );
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn node_down_until_the_deadline_claims_first(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    world.checker.closable = true;
    world.crash(A, Keep::All, RowsAfterCrash::Whole);
    claim(&mut world, C, &hold);
    world.settle();
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    world.mine(85);
    world.nodes[B].fees = FeeEstimates::flat(FeeratePerKw(3_000));
    let script = |world: &mut World| {
        world.start(B);
        for _ in 0..6 {
            world.mine(1);
            world.start(B);
        }
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        assert!(
            world.swept(B) >= Amount::from_sat(4_030_000),
            "B has its 4,000,000 sat and the HTLC, but for fees: {}",
            world.swept(B)
        );
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn fee_bump_goes_on_where_it_stood(effort: Effort) -> Report {
    let (mut world, _) = held_by_b();
    world.checker.closable = true;
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    let script = |world: &mut World| {
        closes(world, A, B);
        for feerate in [1_000, 2_000, 4_000, 1_500, 6_000] {
            world.nodes[A].fees = FeeEstimates::flat(FeeratePerKw(feerate));
            world.mine_with(&MineOptions::empty(1));
            world.start(A);
        }
        world.mine(40);
        world.start(A);
    };
    let end = |world: &mut World| {
        let coins = world.nodes[A].wallet.coins_left();
        settle_on_chain(world);
        is_failed(world);
        assert!(
            world.swept(A) >= Amount::from_sat(5_980_000),
            "A has its 6,000,000 sat, but for fees: {}",
            world.swept(A)
        );
        assert!(coins >= 8, "no coin is taken for each attempt: {coins} of 12 are left");
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn late_preimages_join_running_claims(effort: Effort) -> Report {
    let ids = [1, 2, 3].map(|number| PaymentId([number; 32]));
    let mut world = line();
    let holds = ids.map(|id| {
        let hold = world.hold_invoice(C, AMOUNT);
        let hint = world.hint(B, C);
        world.pay(A, C, id, &hold.invoice, AMOUNT, vec![vec![hint]]);
        hold
    });
    world.settle();
    let script = |world: &mut World| {
        closes(world, A, B);
        world.mine(1);
        claim(world, C, &holds[0]);
        world.settle();
        world.mine(1);
        claim(world, C, &holds[1]);
        world.settle();
        world.mine(3);
    };
    let end = |world: &mut World| {
        for hold in &holds[..2] {
            claim(world, C, hold);
        }
        // The third is claimed by nobody: C fails it in time, and A takes it back from the chain.
        settle_on_chain(world);
        let sent = ids.map(|id| matches!(world.checker.end_of(A, id), Some(End::Sent { .. })));
        assert_eq!(
            sent,
            [true, true, false],
            "every HTLC whose preimage came in time is claimed"
        );
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn closed_channel_is_kept_until_its_last_duty(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    pay_direct(&mut world, &invoice);
    world.settle();
    closes(&mut world, A, B);
    world.mine(280);
    assert!(is_kept(&world), "it is kept for its payment");
    let script = |world: &mut World| {
        world.handle_all_events(A);
        for _ in 0..4 {
            world.mine(1);
            world.start(A);
            world.handle_all_events(A);
        }
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        assert!(!is_kept(world), "and forgotten once that is handled");
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        world.start(A);
        assert!(!is_kept(world), "a start succeeds either way");
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

fn is_kept(world: &World) -> bool {
    world.nodes[A].channel_with(&world.nodes[B].id()).is_some()
}

/// What happens to a held payment around its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtDeadline {
    NoWord,
    ClaimedInTime,
    ClaimedTooLate,
    NodeDown,
}

/// The HTLC expires after so many blocks, and is given back when fewer than the margin of 18 are left.
const BLOCKS_IN_TIME: u32 = 13;

pub(super) fn held_payment_at_its_deadline_is_failed_or_claimed_in_time(effort: Effort) -> Report {
    use AtDeadline::{ClaimedInTime, ClaimedTooLate, NoWord, NodeDown};
    let runs = [NoWord, ClaimedInTime, ClaimedTooLate, NodeDown].map(|run| {
        let (mut world, hold) = held_by_b();
        world.checker.closable = run == ClaimedInTime;
        world.mine(BLOCKS_IN_TIME);
        if run == ClaimedInTime {
            world.crash(A, Keep::All, RowsAfterCrash::Whole);
            claim(&mut world, B, &hold);
        }
        let script = |world: &mut World| {
            if run == NodeDown {
                world.crash(B, Keep::All, RowsAfterCrash::Whole);
            }
            for _ in 0..5 {
                world.mine(1);
                if run != NodeDown {
                    world.start(B);
                }
            }
            world.start(B);
            world.connect(A, B);
            world.settle();
            world.mine(1);
            if run == ClaimedTooLate && world.is_up(B) && world.is_connected(A, B) {
                let request = world.command(B, Command::ClaimPayment(hold.preimage));
                world.settle();
                let answer = world.answer(B, request);
                assert!(
                    matches!(answer, None | Some(Response::NothingHeld(_))),
                    "it is too late: {answer:?}"
                );
            }
        };
        let end = |world: &mut World| {
            if run == ClaimedInTime {
                settle_on_chain(world);
                is_sent(world);
                return;
            }
            world.mine(2);
            world.conclude();
            is_failed(world);
            let claimed = |event: &Event| matches!(event, Event::PaymentClaimed { .. });
            let shown = &world.nodes[B].user.shown;
            assert!(!shown.iter().any(|shown| claimed(&shown.event)), "no claim is told");
            assert!(world.checker.end_of(A, ID).is_some());
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    runs.into_iter().sum()
}
