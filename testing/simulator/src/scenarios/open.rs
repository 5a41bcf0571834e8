//! CH: channels that are opened over the wire, and nodes that die while it happens. A opens a channel to B.

use std::collections::BTreeSet;

use bitcoin::{Amount, Txid};
use quittance_channel::FUNDING_TIMEOUT;
use quittance_channel::Phase;
use quittance_manager::{Command, Event, NewChannel, Purpose};
use quittance_primitives::{ChannelId, FeeratePerKw, MilliSatoshi, PaymentId};
use quittance_regtest::{Chain, MineOptions};
use quittance_store::memory::Keep;

use super::stage::{A, AMOUNT, B};
use crate::{Arrives, Cut, Effort, End, NodeIndex, Report, RowsAfterCrash, Schedule, World};

const CAPACITY: Amount = Amount::from_sat(1_000_000);

/// A opens a channel to B over the wire.
fn open(world: &mut World) {
    world.connect(A, B);
    world.settle();
    if !world.is_up(A) {
        return;
    }
    let peer = world.nodes[B].id();
    let keys = world.nodes[A].signer.new_channel_keys();
    let new = NewChannel {
        peer,
        capacity: CAPACITY,
        push: MilliSatoshi(0),
        channel_type: None,
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys,
    };
    world.command(A, Command::OpenChannel(Box::new(new)));
    world.settle();
}

/// The channels whose fundings were broadcast.
fn funded(world: &World) -> BTreeSet<ChannelId> {
    let fundings = world.broadcast.iter().map(|(_, _, Purpose::Funding(id))| *id);
    fundings.collect()
}

fn channels_of(world: &World, node: NodeIndex) -> Vec<(ChannelId, Phase)> {
    let process = world.nodes[node].process.as_ref().expect("it runs");
    let states = process.manager.channels().map(quittance_channel::Channel::state);
    states
        .map(|state| (state.facts.channel_id, state.phase.clone()))
        .collect()
}

/// Nobody broadcast a funding: the funder has nothing of the channel, and nothing of it is in a mempool.
fn never_was(world: &World) {
    assert_eq!(
        channels_of(world, A),
        [],
        "the funder has no channel whose funding never left"
    );
    assert_eq!(world.chain.chain.mempool(), [], "and no transaction of it is anywhere");
    let waits = |(_, phase): &(ChannelId, Phase)| matches!(phase, Phase::AwaitingReady(_));
    assert!(
        channels_of(world, B).iter().all(waits),
        "the fundee waits for its block"
    );
}

/// The funding confirms, and the channel is used.
fn is_usable(world: &mut World) {
    let fundings: BTreeSet<Txid> = world
        .broadcast
        .iter()
        .map(|(_, funding, _)| funding.compute_txid())
        .collect();
    assert_eq!(fundings.len(), 1, "one funding, and never another one");
    for node in [A, B] {
        assert_eq!(channels_of(world, node).len(), 1, "both know a channel that is funded");
    }
    world.mine(8);
    world.recover();
    let id = PaymentId([5; 32]);
    let invoice = world.invoice(B, AMOUNT);
    world.pay(A, B, id, &invoice, AMOUNT, Vec::new());
    world.settle();
    let end = world.checker.end_of(A, id);
    assert!(matches!(end, Some(End::Sent { .. })), "the channel is used: {end:?}");
    world.conclude_well();
}

fn is_whole_or_never_was(world: &mut World) {
    if funded(world).is_empty() {
        never_was(world);
    } else {
        is_usable(world);
    }
}

pub(super) fn funding_leaves_only_after_the_channel_is_durable(effort: Effort) -> Report {
    Schedule::new(World::new(2, 7), &[A], open, is_whole_or_never_was).run(effort)
}

pub(super) fn fundee_knows_every_channel_it_signed(effort: Effort) -> Report {
    Schedule::new(World::new(2, 7), &[B], open, is_whole_or_never_was).run(effort)
}

pub(super) fn signed_funding_is_rebroadcast_until_it_confirms(effort: Effort) -> Report {
    let script = |world: &mut World| {
        open(world);
        world.crash(B, Keep::All, RowsAfterCrash::Whole);
        world.forget_mempool();
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        world.start(A);
    };
    let end = |world: &mut World| {
        if funded(world).is_empty() {
            never_was(world);
            return;
        }
        world.forget_mempool();
        world.crash(A, Keep::All, RowsAfterCrash::Lost);
        world.start(A);
        assert_eq!(world.chain.chain.mempool().len(), 1, "the funding is broadcast again");
        // It confirms, is taken back, and confirms again.
        world.mine(4);
        world.reorg(5, &MineOptions::blocks(6));
        is_usable(world);
    };
    Schedule::new(World::new(2, 7), &[A], script, end).run(effort)
}

pub(super) fn ready_follows_a_confirmation_missed_while_down(effort: Effort) -> Report {
    let mut report = Report::default();
    for down in [A, B] {
        for lost in [A, B] {
            let mut world = World::new(2, 7);
            open(&mut world);
            let script = |world: &mut World| {
                world.crash(down, Keep::All, RowsAfterCrash::Whole);
                world.mine(8);
                world.cut = Some(Cut {
                    from: lost,
                    to: A + B - lost,
                    message: "channel_ready",
                    arrives: Arrives::No,
                });
                for _ in 0..2 {
                    world.start(down);
                    world.connect(A, B);
                    world.settle();
                    world.mine(1);
                }
            };
            let end = |world: &mut World| {
                is_usable(world);
                for node in [A, B] {
                    let shown = world.nodes[node].user.shown.iter();
                    let ready = shown.filter(|shown| matches!(shown.event, Event::ChannelReady(_)));
                    let numbers: BTreeSet<_> = ready.map(|shown| shown.number).collect();
                    assert!(numbers.len() <= 1, "told under one number: {numbers:?}");
                }
            };
            report = report + Schedule::new(world, &[A, B], script, end).run(effort);
        }
    }
    report
}

pub(super) fn unfunded_channel_ends_by_height_not_by_uptime(effort: Effort) -> Report {
    const BLOCKS_BEFORE: u32 = 4;
    let mut world = World::new(2, 7);
    open(&mut world);
    // A will learn that B has given the channel up, and closes its end.
    world.checker.closable = true;
    let deadline = {
        let process = world.nodes[B].process.as_ref().expect("it runs");
        let channel = process.manager.channels().next().expect("B accepted it");
        channel.state().facts.opened_at.saturating_add(FUNDING_TIMEOUT)
    };
    while world.tip().0 + BLOCKS_BEFORE < deadline.0 {
        world.mine_with(&MineOptions::empty(1));
    }
    let script = move |world: &mut World| {
        for _ in 0..2 * BLOCKS_BEFORE {
            world.start(B);
            if world.is_up(B) && world.tip() < deadline {
                assert!(waits(world), "not dropped early, however often it restarts");
            }
            world.crash(B, Keep::All, RowsAfterCrash::Whole);
            world.start(B);
            world.mine_with(&MineOptions::empty(1));
        }
    };
    let end = |world: &mut World| {
        assert!(!waits(world), "it is not kept for ever");
        let shown = world.nodes[B].user.shown.iter();
        let closed = shown.filter(|shown| matches!(shown.event, Event::ChannelClosed(..)));
        let numbers: BTreeSet<_> = closed.map(|shown| shown.number).collect();
        assert!(numbers.len() <= 1, "told under one number: {numbers:?}");
    };
    Schedule::new(world, &[B], script, end).run(effort)
}

/// Whether B still waits for the funding.
fn waits(world: &World) -> bool {
    let channels = channels_of(world, B);
    channels
        .iter()
        .any(|(_, phase)| matches!(phase, Phase::AwaitingReady(_)))
}
