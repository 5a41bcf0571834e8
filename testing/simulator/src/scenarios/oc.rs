//! OC: on-chain resolution, cheating, and blocks that come twice. Somebody closes a channel by a commitment, and a node dies.

use bitcoin::Amount;
use quittance_channel::Phase;
use quittance_manager::Event;
use quittance_primitives::MilliSatoshi;
use quittance_regtest::{Chain, MineOptions};

use super::stage::{
    A, AMOUNT, B, C, ID, claim, closes, direct, ends_once, held_by_b, held_by_c, is_failed, is_sent, line, pay_direct,
    pay_through, settle_on_chain, unhandled,
};
use crate::{Arrives, Cut, Effort, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// C decides to claim and closes its channel with B; C's claim stands in the chain.
fn claimed_on_chain(world: &mut World, payee: NodeIndex, peer: NodeIndex, hold: &crate::Hold) {
    world.disconnect(payee, peer);
    claim(world, payee, hold);
    closes(world, payee, peer);
    world.mine(3);
}

pub(super) fn preimage_on_chain_is_an_outcome(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| claimed_on_chain(world, B, A, &hold);
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    let payer = Schedule::new(unhandled(world), &[A], script, end).run(effort);
    let (world, hold) = held_by_c();
    let script = |world: &mut World| claimed_on_chain(world, C, B, &hold);
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        assert_eq!(open_channels(world, A), 1, "the channel that brought it goes on");
    };
    payer + Schedule::new(world, &[B], script, end).run(effort)
}

/// How many channels of a node's may be used.
fn open_channels(world: &World, node: NodeIndex) -> usize {
    let process = world.nodes[node].process.as_ref().expect("it runs");
    let channels = process.manager.channels();
    channels
        .filter(|channel| channel.state().phase == Phase::Normal)
        .count()
}

pub(super) fn timeout_is_final_only_when_buried(effort: Effort) -> Report {
    let (mut world, _) = held_by_b();
    world.disconnect(A, B);
    world.crash(B, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
    // The HTLC expires, A closes and takes it back.
    let script = |world: &mut World| world.mine(50);
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_failed(world);
    };
    world.checker.closable = true;
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn htlc_without_output_fails_only_after_burial(effort: Effort) -> Report {
    let end = |world: &mut World| {
        settle_on_chain(world);
        if world.checker.end_of(A, ID).is_some() {
            is_failed(world);
        }
    };
    // B never got our signature for the HTLC.
    let mut world = direct();
    let hold = world.hold_invoice(B, AMOUNT);
    world.cut = Some(Cut {
        from: A,
        to: B,
        message: "commitment_signed",
        arrives: Arrives::No,
    });
    let script = |world: &mut World| {
        pay_direct(world, &hold.invoice);
        world.settle();
        closes(world, B, A);
        world.mine(12);
    };
    let unsigned = Schedule::new(world, &[A], script, end).run(effort);
    // It is dust.
    let mut world = direct();
    let dust = MilliSatoshi(300_000);
    let hold = world.hold_invoice(B, dust);
    let script = |world: &mut World| {
        world.pay(A, B, ID, &hold.invoice, dust, Vec::new());
        world.settle();
        closes(world, B, A);
        world.mine(12);
    };
    unsigned + Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn fulfilled_htlc_missing_on_chain_is_paid(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
        closes(world, B, A);
        world.mine(12);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        ends_once(world);
        if world.checker.claimed(&invoice.payment_hash).is_some() {
            is_sent(world);
        }
    };
    let payer = Schedule::new(world, &[A], script, end).run(effort);
    let (mut world, hold) = held_by_c();
    world.disconnect(A, B);
    let script = |world: &mut World| {
        claim(world, C, &hold);
        world.settle();
        closes(world, C, B);
        world.mine(12);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    payer + Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn upstream_is_claimed_though_its_channel_closed(effort: Effort) -> Report {
    let closers = [A, B].map(|closer| {
        let (world, hold) = held_by_c();
        let script = |world: &mut World| {
            closes(world, closer, if closer == A { B } else { A });
            world.mine(2);
            claim(world, C, &hold);
            world.settle();
            world.mine(8);
        };
        let end = |world: &mut World| {
            settle_on_chain(world);
            is_sent(world);
            let is_closed = open_channels(world, A) == 0;
            assert!(
                !is_closed || world.swept(B) >= Amount::from_sat(4_040_000),
                "B has its balance of 4,000,000 sat and the HTLC of 50,006 sat, but for fees: {}",
                world.swept(B)
            );
        };
        Schedule::new(world, &[B], script, end).run(effort)
    });
    closers.into_iter().sum()
}

pub(super) fn silent_downstream_is_closed_in_time(effort: Effort) -> Report {
    let (mut world, _) = held_by_c();
    world.crash(C, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
    world.checker.closable = true;
    let script = |world: &mut World| {
        world.mine(50);
        // B is back long before the HTLC expires upstream.
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.mine(10);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_failed(world);
        assert_eq!(open_channels(world, A), 1, "upstream is not forced to close");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn cheater_is_punished_after_any_crash(effort: Effort) -> Report {
    let mut report = Report::default();
    for away in [0, 110] {
        // B keeps a commitment with an HTLC of each direction, and broadcasts it when it is revoked.
        let (mut world, hold) = held_by_b();
        let back = world.hold_invoice(A, AMOUNT);
        world.pay(B, A, super::stage::OTHER_ID, &back.invoice, AMOUNT, Vec::new());
        world.settle();
        let channel = world.nodes[A].channel_with(&world.nodes[B].id()).expect("A runs");
        let cheat = world.commitment_of(B, channel.state().facts.channel_id);
        claim(&mut world, B, &hold);
        claim(&mut world, A, &back);
        world.settle();
        world.conclude_well();
        world.checker.closable = true;
        world.checker.excused.insert(B);
        world.crash(B, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
        let script = |world: &mut World| {
            if away > 0 {
                world.crash(A, quittance_store::memory::Keep::All, RowsAfterCrash::Lost);
            }
            let options = MineOptions::blocks(1).including([cheat.clone()]);
            world.mine_with(&options);
            world.mine(away);
            world.start(A);
            world.mine(3);
        };
        let end = |world: &mut World| {
            world.start(A);
            world.mine(30);
            let left = (0..).zip(&cheat.output).filter(|(vout, output)| {
                let txid = cheat.compute_txid();
                let is_anchor = output.value == Amount::from_sat(330);
                !is_anchor
                    && world
                        .chain
                        .chain
                        .utxo(&bitcoin::OutPoint { txid, vout: *vout })
                        .is_some()
            });
            assert_eq!(left.count(), 0, "every output is taken before its delay ends");
            assert!(
                world.swept(A) >= Amount::from_sat(9_950_000),
                "A has all of the channel, but for fees: {}",
                world.swept(A)
            );
            world.checker.assert_kept();
        };
        report = report + Schedule::new(world, &[A], script, end).run(effort);
    }
    report
}

pub(super) fn locked_claims_resume_after_restart(effort: Effort) -> Report {
    let (mut world, _) = held_by_b();
    world.checker.closable = true;
    world.crash(B, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
    let script = |world: &mut World| {
        closes(world, A, B);
        for rows in [RowsAfterCrash::Whole, RowsAfterCrash::Lost, RowsAfterCrash::Whole] {
            world.mine(50);
            world.start(A);
            world.crash(A, quittance_store::memory::Keep::All, rows);
            world.start(A);
        }
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_failed(world);
        assert!(
            world.swept(A) >= Amount::from_sat(5_990_000),
            "A has its 6,000,000 sat, but for fees: {}",
            world.swept(A)
        );
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn same_blocks_twice_change_nothing(effort: Effort) -> Report {
    let (world, hold) = held_by_c();
    let script = |world: &mut World| {
        claimed_on_chain(world, C, B, &hold);
        world.mine(3);
        let before = world.nodes[B].user.shown.len();
        let appended = quittance_journal::Store::appended(&world.nodes[B].store);
        world.offer_again(B, 6);
        world.offer_again(B, 3);
        assert_eq!(
            quittance_journal::Store::appended(&world.nodes[B].store),
            appended,
            "no record follows from a block that was read before"
        );
        assert_eq!(world.nodes[B].user.shown.len(), before, "nor an event");
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        let told = |event: &Event| matches!(event, Event::ChannelClosed(..));
        let mut closed: Vec<_> = world.nodes[B]
            .user
            .shown
            .iter()
            .filter(|shown| told(&shown.event))
            .collect();
        closed.dedup_by_key(|shown| shown.number);
        assert_eq!(closed.len(), 1, "the close is told once");
    };
    Schedule::new(world, &[B], script, end).with_whole_rows().run(effort)
}

pub(super) fn payment_handled_is_never_reported_again_nor_failed_by_a_later_close(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let script = |world: &mut World| {
        pay_direct(world, &invoice);
        world.settle();
        for _ in 0..3 {
            world.start(A);
            world.crash(A, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
        }
        world.start(A);
        closes(world, B, A);
        world.mine(8);
        world.crash(A, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
        world.start(A);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        ends_once(world);
        if world.checker.claimed(&invoice.payment_hash).is_some() {
            is_sent(world);
        }
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn payment_claimed_on_chain_while_down_is_sent(effort: Effort) -> Report {
    let (mut world, hold) = held_by_b();
    closes(&mut world, A, B);
    world.mine(1);
    let world = unhandled(world);
    let script = |world: &mut World| {
        world.crash(A, quittance_store::memory::Keep::All, RowsAfterCrash::Behind(2));
        claim(world, B, &hold);
        world.mine(3);
        world.start(A);
        world.offer_again(A, 4);
        world.crash(A, quittance_store::memory::Keep::All, RowsAfterCrash::Whole);
        world.start(A);
        world.mine(2);
    };
    let end = |world: &mut World| {
        world.repeat(ID);
        settle_on_chain(world);
        is_sent(world);
        world.repeat(ID);
        world.conclude();
        is_sent(world);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn missing_htlc_fails_only_when_the_close_is_buried(effort: Effort) -> Report {
    let mut world = direct();
    let hold = world.hold_invoice(B, AMOUNT);
    world.cut = Some(Cut {
        from: A,
        to: B,
        message: "commitment_signed",
        arrives: Arrives::No,
    });
    let script = |world: &mut World| {
        pay_direct(world, &hold.invoice);
        world.settle();
        closes(world, B, A);
        for _ in 0..8 {
            world.mine(1);
            if world.requested.contains_key(&ID) {
                world.repeat(ID);
            }
        }
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        ends_once(world);
        is_failed(world);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn preimage_seen_on_chain_downstream_is_claimed_upstream(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    closes(&mut world, B, C);
    world.mine(1);
    let script = |world: &mut World| {
        world.crash(B, quittance_store::memory::Keep::All, RowsAfterCrash::Behind(2));
        claim(world, C, &hold);
        world.mine(3);
        world.start(B);
        world.offer_again(B, 4);
        world.connect(A, B);
        world.settle();
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
        assert_eq!(open_channels(world, A), 1, "the channel that brought it goes on");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

pub(super) fn forward_missing_on_chain_is_failed_when_buried_unless_fulfilled(effort: Effort) -> Report {
    // C never got B's signature.
    let mut world = line();
    let hold = world.hold_invoice(C, AMOUNT);
    world.cut = Some(Cut {
        from: B,
        to: C,
        message: "commitment_signed",
        arrives: Arrives::No,
    });
    let script = |world: &mut World| {
        pay_through(world, &hold.invoice);
        world.settle();
        closes(world, C, B);
        world.mine(10);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_failed(world);
    };
    let missing = Schedule::new(world, &[B], script, end).run(effort);
    // C fulfilled it before, and its commitment has it no more.
    let (world, hold) = held_by_c();
    let script = |world: &mut World| {
        world.disconnect(A, B);
        claim(world, C, &hold);
        world.settle();
        closes(world, C, B);
        world.mine(10);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    missing + Schedule::new(world, &[B], script, end).run(effort)
}
