//! Reorganisations that take back what was acted on, and cheats whose second stages are in the chain already.

use bitcoin::{Amount, OutPoint, Transaction};
use quittance_primitives::ChannelId;
use quittance_regtest::{Chain, MineOptions};
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, C, ID, OTHER_ID, channel_between, claim, closes, held_by_b, held_by_c, is_sent, line,
    settle_on_chain, unhandled,
};
use crate::{Effort, Harm, Hold, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// The payee's claim stands in the last block; then that block is replaced, the payee is gone, and the HTLC expires.
fn claim_that_does_not_return(world: &mut World, payee: NodeIndex, peer: NodeIndex, hold: &Hold) {
    claim(world, payee, hold);
    world.mine(1);
    world.start(peer);
    world.crash(payee, Keep::All, RowsAfterCrash::Whole);
    world.reorg(1, &MineOptions::empty(2));
    world.forget_mempool();
    world.start(peer);
    world.mine(50);
}

pub(super) fn preimage_outlives_a_reorg(effort: Effort) -> Report {
    let (mut world, hold) = held_by_b();
    closes(&mut world, A, B);
    world.mine(1);
    let script = |world: &mut World| claim_that_does_not_return(world, B, A, &hold);
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    let payer = Schedule::new(unhandled(world), &[A], script, end).run(effort);
    let (mut world, hold) = held_by_c();
    closes(&mut world, B, C);
    world.mine(1);
    let script = |world: &mut World| {
        claim_that_does_not_return(world, C, B, &hold);
        world.connect(A, B);
        world.settle();
    };
    payer + Schedule::new(world, &[B], script, end).run(effort)
}

/// What a reorganisation puts in the place of A's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Revoked,
    Current,
    Nothing,
}

pub(super) fn reorg_swaps_the_commitment(effort: Effort) -> Report {
    let reports = [Instead::Revoked, Instead::Current, Instead::Nothing].map(|instead| {
        let (mut world, hold) = held_by_b();
        let channel = channel_between(&world, B, A).expect("B runs");
        let early = world.commitment_of(B, channel);
        claim(&mut world, B, &hold);
        world.settle();
        world.conclude_well();
        let theirs = match instead {
            Instead::Revoked => Some(early),
            Instead::Current => Some(world.commitment_of(B, channel)),
            Instead::Nothing => None,
        };
        world.checker.excused.insert(B);
        world.crash(B, Keep::All, RowsAfterCrash::Whole);
        let script = |world: &mut World| {
            closes(world, A, B);
            world.mine(2);
            world.start(A);
            // The chain does not wait for A.
            world.reorg(2, &MineOptions::empty(3).including(theirs.clone()));
            world.forget_mempool();
            world.start(A);
            world.mine(4);
        };
        let end = |world: &mut World| {
            world.start(A);
            if instead == Instead::Nothing {
                // The order may have been lost with its crash; and B, which every recovery starts, shall not close in A's place.
                closes(world, A, B);
                world.crash(B, Keep::All, RowsAfterCrash::Whole);
                world.forget_mempool();
            }
            world.mine(160);
            let due = if instead == Instead::Revoked {
                9_900_000
            } else {
                5_930_000
            };
            assert!(
                world.swept(A) >= Amount::from_sat(due),
                "A has {due} sat of the commitment that is in the chain, but for fees: {}",
                world.swept(A)
            );
            is_sent(world);
        };
        Schedule::new(world, &[A], script, end).run(effort)
    });
    reports.into_iter().sum()
}

pub(super) fn upstream_is_not_failed_while_downstream_is_open_on_chain(effort: Effort) -> Report {
    let (mut world, hold) = held_by_c();
    world.disconnect(B, C);
    claim(&mut world, C, &hold);
    world.crash(C, Keep::All, RowsAfterCrash::Whole);
    world.checker.closable = true;
    // B closes, and its timeout stands in the chain, and is not buried.
    while timeout_depth(&world) != Some(1) {
        world.mine(1);
    }
    let script = |world: &mut World| {
        world.mine(2);
        world.crash(B, Keep::All, RowsAfterCrash::Whole);
        world.reorg(3, &MineOptions::empty(4));
        world.forget_mempool();
        world.start(C);
        world.mine(2);
        world.start(B);
        world.connect(A, B);
        world.settle();
        world.mine(1);
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        is_sent(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

/// How deep B's HTLC-timeout transaction is in the chain, if it is.
fn timeout_depth(world: &World) -> Option<u32> {
    let chain = &world.chain.chain;
    let theirs = world.chain.enforced.iter().filter(|(node, _)| *node == B);
    let timeouts = theirs.filter(|(_, txid)| {
        let transaction = chain.ledger().transaction(txid);
        // A commitment's lock time is no height.
        transaction.is_some_and(|transaction| (1..500_000_000).contains(&transaction.lock_time.to_consensus_u32()))
    });
    let mut depths = timeouts.filter_map(|(_, txid)| chain.confirmations(txid));
    depths.next().map(|depth| depth.0)
}

/// B keeps a commitment with an HTLC in each direction, which is revoked soon after; with it the second stages that B could make of it.
fn cheat() -> (World, ChannelId, Transaction, Vec<Transaction>) {
    let (mut world, hold) = held_by_b();
    let back = world.hold_invoice(A, AMOUNT);
    world.pay(B, A, OTHER_ID, &back.invoice, AMOUNT, Vec::new());
    world.settle();
    let channel = channel_between(&world, B, A).expect("B runs");
    // What B would do with it, in a world in which A is away.
    let mut other = world.clone();
    other.crash(A, Keep::All, RowsAfterCrash::Whole);
    claim(&mut other, B, &hold);
    closes(&mut other, B, A);
    other.mine(45);
    let spender = |outpoint: OutPoint| {
        let spend = other.chain.chain.spent_by(&outpoint)?;
        other.chain.chain.ledger().transaction(&spend.txid).cloned()
    };
    let funding = world.nodes[B]
        .channel_with(&world.nodes[A].id())
        .expect("B runs")
        .state()
        .facts
        .funding;
    let cheat = spender(funding).expect("B closed it");
    let txid = cheat.compute_txid();
    let outputs = (0..)
        .zip(&cheat.output)
        .filter(|(_, output)| output.value == Amount::from_sat(50_000));
    let stages: Vec<_> = outputs
        .filter_map(|(vout, _)| spender(OutPoint { txid, vout }))
        .collect();
    assert_eq!(stages.len(), 2, "a second stage for each HTLC");
    claim(&mut world, B, &hold);
    claim(&mut world, A, &back);
    world.settle();
    world.conclude_well();
    world.checker.closable = true;
    world.checker.excused.insert(B);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    (world, channel, cheat, stages)
}

/// A has all that was in the channel, but for fees.
fn is_punished(world: &World) {
    assert!(
        world.swept(A) >= Amount::from_sat(9_900_000),
        "A has all of the channel, but for fees: {}",
        world.swept(A)
    );
    world.checker.assert_kept();
}

pub(super) fn second_stage_cheat_is_punished(effort: Effort) -> Report {
    let (world, _, cheat, stages) = cheat();
    let claimed = stages.iter().find(|stage| stage.lock_time.to_consensus_u32() == 0);
    let claimed = claimed.expect("B knows a preimage").clone();
    let script = |world: &mut World| {
        world.mine_with(&MineOptions::blocks(1).including([cheat.clone()]));
        world.start(A);
        world.mine_with(&MineOptions::empty(1).including([claimed.clone()]));
        world.start(A);
        world.mine(3);
    };
    let end = |world: &mut World| {
        world.start(A);
        world.mine(30);
        is_punished(world);
        let made = (0..)
            .zip(&claimed.output)
            .find(|(_, output)| output.value == Amount::from_sat(50_000));
        let (vout, _) = made.expect("it holds the HTLC");
        let txid = claimed.compute_txid();
        let left = world.chain.chain.utxo(&OutPoint { txid, vout });
        assert!(left.is_none(), "what the cheater made of the HTLC is taken from it");
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn full_disk_does_not_save_a_cheater(effort: Effort) -> Report {
    let (world, _, cheat, _) = cheat();
    let script = |world: &mut World| {
        world.mine_with(&MineOptions::blocks(1).including([cheat.clone()]));
        // It stays full over several starts, within the margin.
        for _ in 0..3 {
            world.mine(20);
            world.start(A);
        }
    };
    let end = |world: &mut World| {
        world.start(A);
        world.mine(30);
        is_punished(world);
    };
    // It is full when the cheat confirms.
    let mut full = world.clone();
    full.nodes[A].fill_disk();
    script(&mut full);
    full.recover();
    end(&mut full);
    // It fills later, in the middle of the punishment.
    let later = Schedule::new(world, &[A], script, end).only(|plan| plan.harm == Harm::DiskFills);
    later.run(effort)
}

/// Two HTLCs of one hash and amount in one commitment: C claims the first on chain, and the second times out.
pub(super) fn equal_htlcs_are_told_apart(effort: Effort) -> Report {
    let mut world = line();
    world.checker.excused.extend([A, C]);
    world.checker.closable = true;
    let hold = world.hold_invoice(C, AMOUNT);
    let hint = world.hint(B, C);
    world.pay(A, C, ID, &hold.invoice, AMOUNT, vec![vec![hint]]);
    world.settle();
    world.pay(A, C, OTHER_ID, &hold.invoice, AMOUNT, vec![vec![hint]]);
    world.settle_until(B, C, "update_add_htlc");
    claim_unheard(&mut world, &hold);
    let script = |world: &mut World| {
        closes(world, C, B);
        world.mine(3);
        world.start(B);
        world.mine(60);
        world.start(B);
        world.connect(A, B);
        world.settle();
    };
    let end = |world: &mut World| {
        settle_on_chain(world);
        let ends = [ID, OTHER_ID].map(|id| {
            let shown = world.nodes[A].user.shown.iter();
            let mut ends = shown.filter_map(|shown| match &shown.event {
                quittance_manager::Event::PaymentSent { payment_id, .. } if *payment_id == id => Some(true),
                quittance_manager::Event::PaymentFailed { payment_id, .. } if *payment_id == id => Some(false),
                _ => None,
            });
            ends.next()
        });
        assert_eq!(ends, [Some(true), Some(false)], "each settles its own HTLC");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

/// C's commitment holds both HTLCs when it decides to claim the first, and what it sends is never heard.
fn claim_unheard(world: &mut World, hold: &Hold) {
    for _ in ["update_add_htlc", "commitment_signed"] {
        world.deliver(B, C);
    }
    world.disconnect(B, C);
    claim(world, C, hold);
}
