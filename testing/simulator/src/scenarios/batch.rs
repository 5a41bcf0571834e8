//! Openings that another transaction undoes, several at once, and a store that its operator declared to be old.

use bitcoin::{Amount, OutPoint, TxOut};
use quittance_channel::Phase;
use quittance_manager::{Command, Event, NewChannel, declare_restored};
use quittance_primitives::{ChannelId, FeeratePerKw, MilliSatoshi};
use quittance_regtest::{Chain, MineOptions, faucet};
use quittance_store::memory::Keep;

use super::stage::{A, AMOUNT, B, C, ID, channel_between, closes, direct, held_by_b, pay_direct, settle_on_chain};
use crate::{Effort, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// A opens a channel to a peer over the wire.
fn open(world: &mut World, peer: NodeIndex) {
    world.connect(A, peer);
    if !world.is_up(A) {
        return;
    }
    let keys = world.nodes[A].signer.new_channel_keys();
    let new = NewChannel {
        peer: world.nodes[peer].id(),
        capacity: Amount::from_sat(1_000_000),
        push: MilliSatoshi(0),
        channel_type: None,
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys,
    };
    world.command(A, Command::OpenChannel(Box::new(new)));
}

fn phases(world: &World, node: NodeIndex) -> Vec<(ChannelId, Phase)> {
    let process = world.nodes[node].process.as_ref().expect("it runs");
    let states = process.manager.channels().map(quittance_channel::Channel::state);
    states
        .map(|state| (state.facts.channel_id, state.phase.clone()))
        .collect()
}

/// How often a node's user was told that a channel is closed, under different numbers.
fn told_closed(world: &World, node: NodeIndex, channel: ChannelId) -> usize {
    let shown = world.nodes[node].user.shown.iter();
    let told = shown.filter(|shown| matches!(&shown.event, Event::ChannelClosed(id, _) if *id == channel));
    let mut numbers: Vec<_> = told.map(|shown| shown.number).collect();
    numbers.dedup();
    numbers.len()
}

/// A world in which A's channel to B is signed, and its funding waits in the mempool; and a transaction that spends the same coin.
fn unconfirmed() -> (World, ChannelId, bitcoin::Transaction) {
    let mut world = World::new(2, 7);
    open(&mut world, B);
    world.settle();
    let id = channel_between(&world, A, B).expect("A has the channel");
    let (_, funding, _) = world.broadcast.first().expect("its funding was broadcast").clone();
    let mut rival = funding.clone();
    rival.output = vec![TxOut {
        value: funding.output.iter().map(|output| output.value).sum(),
        script_pubkey: faucet::reward_script(),
    }];
    (world, id, rival)
}

pub(super) fn double_spent_funding_ends_the_open_when_buried(effort: Effort) -> Report {
    let (world, id, rival) = unconfirmed();
    let script = |world: &mut World| {
        world.mine_with(&MineOptions::empty(1).including([rival.clone()]));
        world.mine(7);
    };
    let end = |world: &mut World| {
        world.mine(8);
        world.checker.closable = true;
        world.conclude();
        // The event does not survive the loss of the rows before it was shown.
        assert!(told_closed(world, A, id) <= 1, "its end is told once");
        assert!(
            world.nodes[A].crashes > 0 || told_closed(world, A, id) == 1,
            "and is told"
        );
        let left = phases(world, A);
        assert!(
            left.iter().all(|(_, phase)| matches!(phase, Phase::Abandoned(_))),
            "the open has ended: {left:?}"
        );
    };
    let buried = Schedule::new(world, &[A], script, end).run(effort);
    // The conflict is taken back before it is buried, and the funding confirms instead.
    let (world, id, rival) = unconfirmed();
    let funding = world.broadcast[0].1.clone();
    let script = |world: &mut World| {
        world.mine_with(&MineOptions::empty(1).including([rival.clone()]));
        world.mine(3);
        world.reorg(4, &MineOptions::empty(5).including([funding.clone()]));
        world.mine(8);
    };
    let end = |world: &mut World| {
        world.mine(8);
        world.conclude();
        assert_eq!(told_closed(world, A, id), 0, "nothing has ended");
        assert_eq!(phases(world, A), [(id, Phase::Normal)], "the channel opens");
    };
    buried + Schedule::new(world, &[A], script, end).run(effort)
}

pub(super) fn batch_open_funds_all_or_none(effort: Effort) -> Report {
    let mut report = Report::default();
    for vanishes in [false, true] {
        let mut world = World::new(4, 7);
        world.batch = Some((3, Vec::new()));
        // Whoever is told that a funding was given up may fail its channel.
        world.checker.closable = true;
        let peers = [B, C, 3];
        let script = |world: &mut World| {
            for peer in peers {
                open(world, peer);
            }
            if vanishes {
                // The third peer goes before it has signed.
                world.settle_until(3, A, "funding_signed");
                world.crash(3, Keep::All, RowsAfterCrash::Whole);
            }
            world.settle();
        };
        let end = |world: &mut World| {
            world.settle();
            let is_broadcast = !world.broadcast.is_empty();
            world.mine(8);
            world.checker.closable = true;
            world.conclude();
            let ours = phases(world, A);
            if is_broadcast {
                assert_eq!(ours.len(), 3, "all three are funded by one transaction: {ours:?}");
                assert!(ours.iter().all(|(_, phase)| *phase == Phase::Normal), "{ours:?}");
                let (_, funding, _) = &world.broadcast[0];
                assert!(
                    world.broadcast.iter().all(|(_, other, _)| other == funding),
                    "and never by another"
                );
            } else {
                assert!(
                    ours.iter().all(|(_, phase)| matches!(phase, Phase::Abandoned(_))),
                    "none is left: {ours:?}"
                );
            }
            let inputs = world.broadcast.iter().flat_map(|(_, funding, _)| &funding.input);
            let spent = inputs.filter(|input| {
                let coin: OutPoint = input.previous_output;
                world.chain.chain.utxo(&coin).is_none()
            });
            assert_eq!(
                spent.count() > 0,
                is_broadcast,
                "coins are spent exactly when all is durable"
            );
        };
        report = report + Schedule::new(world, &[A], script, end).run(effort);
    }
    report
}

/// A's operator puts an older copy of the store in place, and says so.
fn restore(world: &mut World, lsn: quittance_journal::Lsn) {
    world.crash(A, Keep::All, RowsAfterCrash::Whole);
    let mut store = std::mem::take(&mut world.nodes[A].store).restored(lsn);
    let declared = declare_restored(&store).expect("the store can be read");
    quittance_journal::Store::append(&mut store, declared).expect("the disk is good");
    store.sync().expect("the disk is good");
    world.nodes[A].store = store;
}

pub(super) fn restored_store_waits_for_its_peers(effort: Effort) -> Report {
    // The state is the newest one, which A cannot know: its HTLC expires while B is away.
    let (mut world, _) = held_by_b();
    let now = world.lsn(A);
    restore(&mut world, now);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    let script = |world: &mut World| {
        world.start(A);
        world.mine(40);
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        world.start(A);
        world.mine(3);
        closes(world, A, B);
        world.mine(1);
        assert!(!world.checker.has_closed(A, channel(world)), "it waits for its peer");
    };
    let end = |world: &mut World| {
        assert!(
            !world.checker.has_closed(A, channel(world)) || world.is_up(B),
            "it waited for its peer"
        );
        settle_on_chain(world);
        assert!(world.checker.end_of(A, ID).is_some(), "the payment has its outcome");
    };
    let current = Schedule::new(world, &[A], script, end).with_whole_rows().run(effort);
    // The state is old: B says so, and A never broadcasts.
    let mut world = direct();
    let invoice = world.invoice(B, AMOUNT);
    let old = world.lsn(A);
    pay_direct(&mut world, &invoice);
    world.settle();
    restore(&mut world, old);
    world.checker.excused.insert(A);
    let script = |world: &mut World| {
        world.start(A);
        closes(world, A, B);
        world.mine(3);
        world.connect(A, B);
        world.settle();
        closes(world, A, B);
        world.mine(3);
    };
    let end = |world: &mut World| {
        world.checker.closable = true;
        world.reconnect();
        assert!(
            !world.checker.has_closed(A, channel(world)),
            "what may be revoked is not broadcast"
        );
    };
    let old = Schedule::new(world, &[A], script, end).with_whole_rows().run(effort);
    current + old + taken_back(effort)
}

/// A's state is older by one revocation. B closes by a commitment that A knows, and a reorganisation takes that back: the channel counts as closed
/// for A, but by no commitment of its own, which is revoked.
fn taken_back(effort: Effort) -> Report {
    let mut world = direct();
    let hold = world.hold_invoice(B, AMOUNT);
    pay_direct(&mut world, &hold.invoice);
    assert!(world.settle_until(B, A, "commitment_signed"));
    let before = world.lsn(A);
    world.settle();
    restore(&mut world, before);
    world.checker.excused.insert(A);
    closes(&mut world, B, A);
    world.mine(1);
    let script = |world: &mut World| {
        world.start(A);
        world.reorg(1, &MineOptions::empty(2));
        world.forget_mempool();
        world.mine_with(&MineOptions::empty(1));
        let is_closed = |(_, phase): &(ChannelId, Phase)| matches!(phase, Phase::ForceClosed(_));
        assert!(
            !world.is_up(A) || phases(world, A).iter().all(is_closed),
            "A saw the channel closed"
        );
    };
    let end = |world: &mut World| {
        world.recover();
        world.mine_with(&MineOptions::empty(1));
        assert!(
            !world.checker.has_closed(A, channel(world)),
            "what may be revoked is not broadcast"
        );
        settle_on_chain(world);
        assert!(!world.checker.has_closed(A, channel(world)), "nor later");
    };
    Schedule::new(world, &[A], script, end).with_whole_rows().run(effort)
}

fn channel(world: &World) -> ChannelId {
    let known = channel_between(world, A, B).or_else(|| channel_between(world, B, A));
    known.unwrap_or(ChannelId([0; 32]))
}
