//! CH: channels that are closed, by agreement or by order, and nodes that die while it happens.

use bitcoin::Amount;
use quittance_channel::{CloseRequest, Phase};
use quittance_manager::Command;
use quittance_primitives::FeeratePerKw;
use quittance_regtest::Chain;
use quittance_store::memory::Keep;

use super::stage::{
    A, AMOUNT, B, ID, OTHER_ID, channel_between, claim, closes, direct, ends_once, held_by_b, is_sent, pay_direct,
    settle_on_chain, unhandled,
};
use crate::{Effort, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// A user orders a close by agreement, at a feerate if it says one.
fn order(world: &mut World, node: NodeIndex, peer: NodeIndex, feerate: Option<u32>) {
    if let Some(id) = channel_between(world, node, peer) {
        let close = CloseRequest {
            script: None,
            feerate: feerate.map(FeeratePerKw),
        };
        world.command(node, Command::CloseChannel(id, close));
    }
}

/// Nobody broadcast a commitment, and the balances came to both wallets.
fn closed_by_agreement(world: &World) {
    assert!(world.checker.commitments_broadcast() == 0, "no commitment was needed");
    let both = world.swept(A) + world.swept(B);
    assert!(
        both >= Amount::from_sat(9_990_000),
        "10,000,000 sat came back, but for the fee: {both}"
    );
}

pub(super) fn shutdown_is_repeated_and_never_forgotten(effort: Effort) -> Report {
    let (world, hold) = held_by_b();
    let script = |world: &mut World| {
        order(world, A, B, None);
        world.settle();
        claim(world, B, &hold);
        world.settle();
        world.mine(2);
    };
    let end = |world: &mut World| {
        world.checker.closable = true;
        order(world, A, B, None);
        world.settle();
        claim(world, B, &hold);
        settle_on_chain(world);
        is_sent(world);
        closed_by_agreement(world);
    };
    let pending = Schedule::new(world, &[A, B], script, end).run(effort);
    let script = |world: &mut World| {
        order(world, B, A, None);
        world.settle();
    };
    let end = |world: &mut World| {
        world.checker.closable = true;
        order(world, B, A, None);
        world.settle();
        settle_on_chain(world);
        closed_by_agreement(world);
    };
    pending + Schedule::new(direct(), &[A, B], script, end).run(effort)
}

pub(super) fn any_signed_closing_transaction_is_recognised(effort: Effort) -> Report {
    let script = |world: &mut World| {
        order(world, A, B, Some(500));
        world.settle();
        // The first transaction is in the mempool. A is down when it confirms.
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        world.mine(1);
        world.start(A);
        world.connect(A, B);
        order(world, B, A, Some(2_000));
        world.settle();
        world.mine(1);
    };
    let end = |world: &mut World| {
        world.checker.closable = true;
        order(world, A, B, None);
        world.settle();
        settle_on_chain(world);
        closed_by_agreement(world);
    };
    Schedule::new(direct(), &[A, B], script, end).run(effort)
}

pub(super) fn closed_channel_still_explains_its_payments(effort: Effort) -> Report {
    let mut world = unhandled(direct());
    let invoice = world.invoice(B, AMOUNT);
    pay_direct(&mut world, &invoice);
    world.settle();
    let script = |world: &mut World| {
        world.checker.closable = true;
        order(world, A, B, None);
        world.settle();
        // Far beyond the depth at which a channel may be forgotten.
        world.mine(110);
        world.crash(A, Keep::All, RowsAfterCrash::Lost);
        world.start(A);
        world.mine(1);
    };
    let end = |world: &mut World| {
        assert!(channel_between(world, A, B).is_some(), "it is kept for its payment");
        world.checker.closable = true;
        order(world, A, B, None);
        world.settle();
        world.handle_all_events(A);
        settle_on_chain(world);
        ends_once(world);
        is_sent(world);
        world.mine(110);
        assert!(
            channel_between(world, A, B).is_none(),
            "and forgotten once that is handled"
        );
    };
    Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn force_close_is_final_once_durable(effort: Effort) -> Report {
    let mut world = direct();
    let invoice = world.invoice(A, AMOUNT);
    let script = |world: &mut World| {
        closes(world, A, B);
        world.start(A);
        world.connect(A, B);
        world.settle();
        // The peer offers a new commitment.
        world.pay(B, A, OTHER_ID, &invoice, AMOUNT, Vec::new());
        world.settle();
        world.mine(1);
    };
    let end = |world: &mut World| {
        let phase = channel_between(world, A, B).and_then(|id| {
            let process = world.nodes[A].process.as_ref()?;
            Some(process.manager.channel(&id)?.state().phase.clone())
        });
        if phase == Some(Phase::Normal) {
            // It never became durable, and the channel goes on.
            world.conclude();
            assert!(
                world.chain.enforced.iter().all(|(node, _)| *node != A),
                "nothing of it had left"
            );
            assert!(world.checker.end_of(B, OTHER_ID).is_some());
            return;
        }
        settle_on_chain(world);
        assert!(world.swept(A) >= Amount::from_sat(5_990_000), "{}", world.swept(A));
        assert!(world.checker.end_of(A, ID).is_none());
        assert!(world.chain.chain.tip().height.0 > 0);
    };
    Schedule::new(world, &[A], script, end).run(effort)
}
