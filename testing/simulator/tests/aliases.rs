//! Aliases of channels (BOLT 2, `channel_ready`): whose word they are, and when a channel that waits for no block gets one.

use bitcoin::Amount;
use quittance_channel::Phase;
use quittance_channel::opening::ChannelType;
use quittance_manager::{Command, NewChannel};
use quittance_primitives::{ChannelId, Feature, FeeratePerKw, MilliSatoshi, PaymentId};
use quittance_regtest::Chain;
use quittance_simulator::{ChannelSetup, End, Garbage, NodeIndex, RowsAfterCrash, World};
use quittance_store::memory::Keep;
use quittance_transactions::CommitmentFormat;
use quittance_wire::ChannelReady;

const A: NodeIndex = 0;
const B: NodeIndex = 1;
const C: NodeIndex = 2;
const D: NodeIndex = 3;
const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// Four nodes; A and B have a channel, and C and D trust B.
fn world() -> World {
    let mut world = World::new(4, 1);
    world.features = world
        .features
        .clone()
        .offering(Feature::ScidAlias)
        .offering(Feature::Zeroconf);
    world.open_channel(A, B, &ChannelSetup::default());
    let opener = world.nodes[B].id();
    for node in [C, D] {
        world.nodes[node].zeroconf_peers.insert(opener);
        world.crash(node, Keep::All, RowsAfterCrash::Whole);
        world.start(node);
        world.connect(B, node);
    }
    world
}

/// B opens a channel to `peer` that waits for no block.
fn open(world: &mut World, peer: NodeIndex) {
    let new = NewChannel {
        peer: world.nodes[peer].id(),
        capacity: Amount::from_sat(1_000_000),
        push: MilliSatoshi(0),
        channel_type: Some(ChannelType {
            zeroconf: true,
            ..ChannelType::basic(CommitmentFormat::Anchors)
        }),
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys: world.nodes[B].signer.new_channel_keys(),
    };
    world.command(B, Command::OpenChannel(Box::new(new)));
}

fn channel(world: &World, peer: NodeIndex) -> Option<(ChannelId, Phase)> {
    let state = world.nodes[B].channel_with(&world.nodes[peer].id())?.state();
    Some((state.facts.channel_id, state.phase.clone()))
}

fn count(world: &World, node: NodeIndex, name: &str) -> usize {
    world.nodes[node].sent.iter().filter(|sent| **sent == name).count()
}

/// Symptom: a peer that named its channel as another one is named was sent what was meant for that. Cause: the aliases of peers were listened
/// to as if they were ours. BOLT 2: the sender of an alias recognises it, and nobody else.
#[test]
fn a_peer_that_takes_the_name_of_another_channel_gets_nothing_of_it() {
    let mut world = world();
    open(&mut world, C);
    world.settle();
    let (thief, phase) = channel(&world, C).expect("B has the channel");
    assert_eq!(phase, Phase::Normal);
    // Of two channels with one name the one with the lower id was found: the other one is to be the victim.
    let mut victim = world.open_channel(B, D, &ChannelSetup::default());
    while victim < thief {
        victim = world.open_channel(B, D, &ChannelSetup::default());
    }
    let process = world.nodes[B].process.as_ref().expect("it runs");
    let state = process.manager.channel(&victim).expect("B has it").state();
    let place = state.funding.expect("it is confirmed").short_channel_id;
    let any_point = world.nodes[C].id().public_key().expect("a node's id is a point");
    assert!(world.send_garbage(C, B, Garbage::UnknownChannel([0; 32])));
    assert!(world.forge(C, B, |_| {
        let ready = ChannelReady {
            channel_id: thief,
            second_per_commitment_point: any_point,
            short_channel_id: Some(place),
        };
        ready.into()
    }));
    world.settle();
    let stolen = world.nodes[B].channel_with(&world.nodes[C].id()).expect("B has it");
    assert_eq!(
        stolen.state().aliases.remote,
        Some(place),
        "C has given its channel that name"
    );
    let invoice = world.invoice(D, AMOUNT);
    let hint = quittance_payments::HintHop {
        short_channel_id: place,
        ..world.hint(B, D)
    };
    world.pay(A, D, PaymentId([1; 32]), &invoice, AMOUNT, vec![vec![hint]]);
    world.settle();
    let end = world.checker.end_of(A, PaymentId([1; 32]));
    assert!(matches!(end, Some(End::Sent { .. })), "{end:?}");
    assert_eq!(count(&world, C, "update_fail_htlc"), 0, "C was offered nothing");
}

/// Symptom: the funding of a channel that was in use, or closed by its commitment, before it confirmed was never broadcast again; when the
/// mempools had dropped it, what it held was out of reach.
#[test]
fn the_funding_of_a_channel_in_use_is_broadcast_until_it_confirms() {
    for is_closed in [false, true] {
        let mut world = world();
        open(&mut world, C);
        world.settle();
        let peer = world.nodes[C].id();
        let state = world.nodes[B].channel_with(&peer).expect("B has the channel").state();
        let (id, funding) = (state.facts.channel_id, state.facts.funding);
        assert_eq!((&state.phase, state.funding), (&Phase::Normal, None));
        if is_closed {
            world.checker.closable = true;
            world.command(B, Command::ForceClose(id));
        }
        world.forget_mempool();
        world.mine(3);
        assert!(
            world.chain.chain.confirmations(&funding.txid).is_some(),
            "it is in a block"
        );
        assert_eq!(world.chain.chain.spent_by(&funding).is_some(), is_closed);
    }
}
