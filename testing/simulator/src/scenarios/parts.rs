//! Payments in several parts, and several payments with one hash.
//!
//! A part may be a payment of its own here, with an id and a caller of its own: its payee sees one payment in parts, and the parts can
//! be sent one by one.

use quittance_manager::{Command, Input};
use quittance_primitives::{MilliSatoshi, PaymentHash, PaymentId};
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, ID, OTHER_ID, Word, claim, closes, ends_once, held_by_b, is_claimable, is_sent, line, say,
    settle_on_chain, unhandled,
};
use crate::{ChannelSetup, Effort, End, Hold, NodeIndex, Part, Report, RowsAfterCrash, Schedule, World};

const D: NodeIndex = 3;
const PART: MilliSatoshi = MilliSatoshi(20_000_000);

fn id(number: usize) -> PaymentId {
    PaymentId([u8::try_from(number).expect("few") + 1; 32])
}

/// How each of so many payments ended, as its payer was told.
fn ends(world: &World, payers: &[NodeIndex]) -> Vec<Option<End>> {
    let ends = payers.iter().enumerate();
    ends.map(|(number, payer)| world.checker.end_of(*payer, id(number)).cloned())
        .collect()
}

fn all_sent(world: &World, payers: &[NodeIndex]) {
    for end in ends(world, payers) {
        assert!(matches!(end, Some(End::Sent { .. })), "every part is claimed: {end:?}");
    }
}

/// B holds a payment of three parts, from A, C and D, each over a channel of its own.
fn three_peers() -> (World, Hold, MilliSatoshi) {
    let mut world = World::new(4, 1);
    for peer in [A, C, D] {
        world.open_channel(peer, B, &ChannelSetup::default());
    }
    let total = MilliSatoshi(3 * PART.0);
    let hold = world.hold_invoice(B, total);
    for (number, payer) in [A, C, D].into_iter().enumerate() {
        let part = Part { amount: PART, total };
        world.pay_part(payer, B, id(number), &hold.invoice, part, Vec::new());
    }
    world.settle();
    assert!(is_claimable(&world, B), "B holds all parts");
    (world, hold, total)
}

fn claimed_in_full(world: &World, hash: &PaymentHash, total: MilliSatoshi) {
    assert_eq!(world.checker.claim_of(B, hash), Some(total), "in full");
}

pub(super) fn mpp_claim_is_all_or_nothing_at_every_crash_point(effort: Effort) -> Report {
    let orders = [[A, C, D], [A, D, C], [C, A, D], [C, D, A], [D, A, C], [D, C, A]];
    let reports = orders.map(|order| {
        let (world, hold, total) = three_peers();
        let script = |world: &mut World| {
            claim(world, B, &hold);
            world.settle();
            world.start(B);
            for peer in order {
                world.connect(peer, B);
                world.settle();
            }
        };
        let end = |world: &mut World| {
            claim(world, B, &hold);
            world.conclude();
            all_sent(world, &[A, C, D]);
            claimed_in_full(world, &hold.preimage.hash(), total);
        };
        Schedule::new(unhandled(world), &[B], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn finished_part_keeps_the_preimage_for_the_slow_one(effort: Effort) -> Report {
    let (mut world, hold, total) = three_peers();
    world.disconnect(C, B);
    let script = |world: &mut World| {
        claim(world, B, &hold);
        world.settle();
        for rows in [RowsAfterCrash::Lost, RowsAfterCrash::Whole] {
            world.start(B);
            world.crash(B, Keep::All, rows);
        }
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.connect(C, B);
        world.settle();
    };
    let end = |world: &mut World| {
        claim(world, B, &hold);
        world.conclude();
        all_sent(world, &[A, C, D]);
        claimed_in_full(world, &hold.preimage.hash(), total);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn incomplete_payment_times_out_whole(effort: Effort) -> Report {
    let mut report = Report::default();
    for comes_in_time in [true, false] {
        for claims in [true, false] {
            let mut world = World::new(3, 1);
            world.open_channel(A, B, &ChannelSetup::default());
            world.open_channel(C, B, &ChannelSetup::default());
            let total = MilliSatoshi(2 * PART.0);
            let part = Part { amount: PART, total };
            let hold = world.hold_invoice(B, total);
            world.pay_part(A, B, id(0), &hold.invoice, part, Vec::new());
            world.settle();
            let script = |world: &mut World| {
                world.now_ms += 61_000;
                if !comes_in_time {
                    world.input(B, Input::Tick);
                }
                world.pay_part(C, B, id(1), &hold.invoice, part, Vec::new());
                world.settle();
                if claims {
                    claim(world, B, &hold);
                }
                world.input(B, Input::Tick);
                world.settle();
            };
            let end = |world: &mut World| {
                if claims {
                    claim(world, B, &hold);
                    world.settle();
                }
                for _ in 0..5 {
                    world.now_ms += 20_000;
                    world.tick();
                }
                world.command(B, Command::RefusePayment(hold.preimage.hash()));
                world.settle();
                world.conclude();
                // The checker sees to it that a part fails only when nothing is claimed.
                let is_claimed = world.checker.claimed(&hold.preimage.hash()).is_some();
                let sent = |end: &Option<End>| matches!(end, Some(End::Sent { .. }));
                let all = ends(world, &[A, C]);
                assert!(
                    all.iter().all(|end| sent(end) == is_claimed),
                    "all of it or nothing: {all:?}"
                );
            };
            report = report + Schedule::new(world, &[B], script, end).run(effort);
        }
    }
    report
}

pub(super) fn many_parts_on_one_channel_do_not_wait_for_each_other(effort: Effort) -> Report {
    const PARTS: usize = 10;
    let mut world = World::new(2, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    let total = MilliSatoshi(PART.0 * PARTS as u64);
    let hold = world.hold_invoice(B, total);
    for number in 0..PARTS {
        let part = Part { amount: PART, total };
        world.pay_part(A, B, id(number), &hold.invoice, part, Vec::new());
    }
    world.settle();
    assert!(is_claimable(&world, B), "B holds all parts");
    let more = world.hold_invoice(B, AMOUNT);
    let script = |world: &mut World| {
        // B has signed, and awaits the revocation, which comes before the claim is durable.
        world.pay(A, B, id(PARTS), &more.invoice, AMOUNT, Vec::new());
        world.settle_until(A, B, "revoke_and_ack");
        world.nodes[B].syncs_wait = true;
        let signed = signatures(world);
        claim(world, B, &hold);
        world.deliver(A, B);
        world.nodes[B].syncs_wait = false;
        world.sync(B);
        world.settle();
        if world.nodes[B].crashes == 0 && !world.nodes[B].is_disk_full {
            let signed = signatures(world) - signed;
            assert!(signed <= 2, "{signed} commitments for ten parts");
        }
    };
    let end = |world: &mut World| {
        claim(world, B, &hold);
        claim(world, B, &more);
        world.settle();
        world.command(B, Command::RefusePayment(more.preimage.hash()));
        world.conclude();
        all_sent(world, &[A; PARTS]);
        claimed_in_full(world, &hold.preimage.hash(), total);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

/// How many commitments B has signed.
fn signatures(world: &World) -> usize {
    let sent = world.nodes[B].sent.iter();
    sent.filter(|name| **name == "commitment_signed").count()
}

pub(super) fn two_forwards_with_one_hash_keep_their_own_fate(effort: Effort) -> Report {
    let reports = [Word::Claim, Word::Refuse].map(|second| {
        let mut world = line();
        // Two payments with one hash: payer and payee are no honest ones, and only the forwarder is judged.
        world.checker.excused.extend([A, C]);
        let hold = world.hold_invoice(C, AMOUNT);
        let hint = world.hint(B, C);
        world.pay(A, C, ID, &hold.invoice, AMOUNT, vec![vec![hint]]);
        world.settle();
        world.pay(A, C, OTHER_ID, &hold.invoice, AMOUNT, vec![vec![hint]]);
        assert!(
            world.settle_until(B, C, "update_add_htlc"),
            "the second is on its way to C"
        );
        let script = |world: &mut World| {
            // C claims the first one before the second arrives.
            claim(world, C, &hold);
            world.settle();
            world.start(B);
            world.connect(A, B);
            world.connect(B, C);
            world.settle();
            say(world, C, &hold, second);
            world.settle();
        };
        let end = |world: &mut World| {
            say(world, C, &hold, second);
            world.conclude();
            let told = |id: PaymentId| {
                let shown = world.nodes[A].user.shown.iter();
                let mut told = shown.filter_map(|shown| match &shown.event {
                    quittance_manager::Event::PaymentSent { payment_id, .. } if *payment_id == id => Some(Word::Claim),
                    quittance_manager::Event::PaymentFailed { payment_id, .. } if *payment_id == id => {
                        Some(Word::Refuse)
                    }
                    _ => None,
                });
                told.next()
            };
            assert_eq!(told(ID), Some(Word::Claim), "the first was claimed");
            assert_eq!(told(OTHER_ID), Some(second), "the second ends by its own HTLC");
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn mpp_retry_after_a_crash_never_sends_more_than_owed(effort: Effort) -> Report {
    // One of two parts does not fit into the channel behind B, and is replaced through another one.
    let mut world = World::new(3, 1);
    for _ in 0..2 {
        world.open_channel(A, B, &ChannelSetup::default());
    }
    for _ in 0..2 {
        world.open_channel(B, C, &ChannelSetup::default());
    }
    let amount = MilliSatoshi(8_000_000_000);
    let invoice = world.invoice(C, amount);
    let script = |world: &mut World| {
        if world.is_up(B) {
            let hints = world.hints(B, C).into_iter().map(|hint| vec![hint]).collect();
            world.pay(A, C, ID, &invoice, amount, hints);
        }
        world.settle();
    };
    let mut once = world.clone();
    script(&mut once);
    let failed = once.nodes[B]
        .sent
        .iter()
        .filter(|name| **name == "update_fail_htlc")
        .count();
    assert_eq!(failed, 1, "one part failed");
    assert!(
        matches!(once.checker.end_of(A, ID), Some(End::Sent { .. })),
        "and was replaced"
    );
    let end = |world: &mut World| {
        // Parts whose others never came time out.
        for _ in 0..5 {
            world.now_ms += 20_000;
            world.tick();
        }
        ends_once(world);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn part_on_a_closed_channel_is_claimed_on_chain(effort: Effort) -> Report {
    let reports = [true, false].map(|closes_first| {
        let (world, hold, total) = three_peers();
        let script = |world: &mut World| {
            if closes_first {
                closes(world, C, B);
                world.mine(1);
            } else {
                world.disconnect(C, B);
            }
            claim(world, B, &hold);
            world.settle();
            closes(world, C, B);
            world.mine(3);
        };
        let end = |world: &mut World| {
            claim(world, B, &hold);
            settle_on_chain(world);
            all_sent(world, &[A, C, D]);
            claimed_in_full(world, &hold.preimage.hash(), total);
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    // The only part is on the closed channel: its claim is decided once, whatever is asked again.
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        closes(world, B, A);
        world.mine(1);
        claim(world, B, &hold);
        // Its claim is buried, and handled.
        world.mine(10);
        world.start(B);
        world.crash(B, Keep::All, RowsAfterCrash::Lost);
        world.start(B);
    };
    let end = |world: &mut World| {
        claim(world, B, &hold);
        settle_on_chain(world);
        is_sent(world);
        claimed_in_full(world, &hold.preimage.hash(), AMOUNT);
    };
    let single = Schedule::new(world, &[B], script, end).run(effort);
    single + reports.into_iter().sum()
}

pub(super) fn decided_claim_is_finished_from_the_logs(effort: Effort) -> Report {
    let (mut world, hold, total) = three_peers();
    for peer in [A, C, D] {
        world.disconnect(peer, B);
    }
    claim(&mut world, B, &hold);
    closes(&mut world, C, B);
    let script = |world: &mut World| {
        world.mine(1);
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.mine(2);
        world.connect(D, B);
        world.settle();
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        all_sent(world, &[A, C, D]);
        claimed_in_full(world, &hold.preimage.hash(), total);
    };
    let schedule = Schedule::new(unhandled(world), &[B], script, end).with_starts_that_die(3);
    schedule.only(|plan| plan.rows == RowsAfterCrash::Lost).run(effort)
}

/// A pays C through B in so many parts, each over a channel of its own; the last one does not fit into the channel behind B, and C is content
/// with the others. Channels of A's with C change the order in which A's channels with B are read.
fn overpaid(parts: u64, other_channels: usize) -> (World, Hold) {
    const SHARE: u64 = 2_000_000_000;
    let mut world = World::new(3, 1);
    let with_c = ChannelSetup {
        pushed: MilliSatoshi(9_000_000_000),
        ..ChannelSetup::default()
    };
    for _ in 0..other_channels {
        world.open_channel(A, C, &with_c);
    }
    for _ in 0..parts {
        let setup = ChannelSetup {
            pushed: MilliSatoshi(10_000_000_000 - SHARE - 160_000_000),
            ..ChannelSetup::default()
        };
        world.open_channel(A, B, &setup);
    }
    let behind = ChannelSetup {
        pushed: MilliSatoshi(10_000_000_000 - (parts - 1) * SHARE - SHARE / 2),
        ..ChannelSetup::default()
    };
    world.open_channel(B, C, &behind);
    let total = MilliSatoshi((parts - 1) * 1_400_000_000);
    let hold = world.hold_invoice(C, total);
    let amount = MilliSatoshi((parts - 1) * SHARE + 1_500_000_000);
    let hint = world.hint(B, C);
    world.pay_part(A, C, ID, &hold.invoice, Part { amount, total }, vec![vec![hint]]);
    world.settle();
    let sent = world.nodes[A].sent.iter().filter(|name| **name == "update_add_htlc");
    assert_eq!(sent.count() as u64, parts, "as many parts as channels");
    let failed = world.nodes[B].sent.iter().filter(|name| **name == "update_fail_htlc");
    assert_eq!(failed.count(), 1, "one part failed");
    assert!(is_claimable(&world, C), "the others are enough");
    if let Some(made) = world.requested.get_mut(&ID) {
        made.payment.amount = total;
    }
    (world, hold)
}

/// One of A's channels with B that still has an HTLC.
fn channel_with_htlc(world: &World) -> quittance_primitives::ChannelId {
    let process = world.nodes[A].process.as_ref().expect("it runs");
    let mut states = process.manager.channels().map(quittance_channel::Channel::state);
    let busy = states.find(|state| !state.commitments.offered.is_empty());
    busy.expect("a part is pending").facts.channel_id
}

/// One part fulfilled, one failed, one or two pending, one of them on a closed channel; then all of it ends.
fn gathered(parts: u64, effort: Effort) -> Report {
    let reports = [0, 1, 2].map(|other_channels| {
        let (mut world, hold) = overpaid(parts, other_channels);
        world.checker.closable = true;
        let closed = channel_with_htlc(&world);
        world.command(A, Command::ForceClose(closed));
        world.settle();
        let script = |world: &mut World| {
            // One fulfilment reaches A, and no more.
            claim(world, C, &hold);
            if world.settle_until(B, A, "update_fulfill_htlc") {
                world.deliver(B, A);
            }
            world.disconnect(A, B);
            world.crash(A, Keep::All, RowsAfterCrash::Lost);
            world.start(A);
            world.mine(1);
            world.start(A);
        };
        let end = |world: &mut World| {
            settle_on_chain(world);
            let end = world.checker.end_of(A, ID);
            assert!(
                matches!(end, Some(End::Sent { .. })),
                "sent, whatever the order: {end:?}"
            );
        };
        Schedule::new(unhandled(world), &[A], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn mpp_payment_with_one_part_fulfilled_is_sent(effort: Effort) -> Report {
    gathered(3, effort)
}

pub(super) fn parts_are_gathered_before_they_are_judged(effort: Effort) -> Report {
    gathered(4, effort)
}
