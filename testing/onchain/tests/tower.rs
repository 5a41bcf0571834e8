//! A node is down for good. A replica of its log, with the chain and the keys that it was given, gets everything that the node would have
//! got: that is a watchtower.

use bitcoin::Amount;
use quittance_onchain_tests::pair::{Setup, Who, fulfilled, preimage_of};
use quittance_onchain_tests::{RevokedCommitment, World};
use quittance_primitives::{MilliSatoshi, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

/// How the channel is closed while Alice's node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// By the peer's commitment.
    Peer,
    /// By a commitment that the peer revoked.
    Cheat,
    /// By Alice's own, which her log orders and which her node did not live to broadcast.
    Own,
}

/// Who acts for Alice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    Node,
    Replica,
}

/// What comes to Alice, before the fees of her claims.
fn gets(format: CommitmentFormat, close: Close, actor: Actor) -> Amount {
    let setup = Setup {
        to_self_delay: ToSelfDelay(10),
        ..Setup::default().with_format(format)
    };
    let mut world = World::new(&setup);
    // One HTLC that Alice takes back when it expires, and one that she can claim.
    world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 30);
    let ours = world.offer(Who::Bob, MilliSatoshi(70_000_000), 2, 40);
    world.pair.settle();
    let old = RevokedCommitment::held_by(&mut world, Who::Bob).transaction;
    world.offer(Who::Bob, MilliSatoshi(20_000_000), 3, 40);
    world.pair.settle();
    let payment = world.offer(Who::Alice, MilliSatoshi(90_000_000), 4, 40);
    world.pair.settle();
    world.pair.bob.remove(payment, fulfilled(4)).expect("it is there");
    world.pair.settle();
    match close {
        Close::Peer => {
            world.learn_off_chain(Who::Alice, ours);
            world.force_close(Who::Bob);
        }
        Close::Cheat => {
            world.down.push(Who::Bob);
            let options = MineOptions::empty(1).including([old]);
            world.chain.mine(&options).expect("it was signed");
        }
        Close::Own => {
            world.force_close(Who::Alice);
            world.learn(Who::Alice, ours, preimage_of(2));
        }
    }
    if actor == Actor::Replica {
        world.down.push(Who::Alice);
    }
    for _ in 0..60 {
        if actor == Actor::Replica {
            world.watch_over(Who::Alice);
        }
        world.run(1);
    }
    assert_eq!(world.refused, [], "{format:?} {close:?} {actor:?}");
    world.gross(Who::Alice)
}

#[test]
fn a_replica_claims_all_that_the_node_would_have_claimed() {
    for format in [
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::Anchors,
        CommitmentFormat::ZeroFee,
    ] {
        for close in [Close::Peer, Close::Cheat, Close::Own] {
            let node = gets(format, close, Actor::Node);
            let replica = gets(format, close, Actor::Replica);
            assert_eq!(replica, node, "{format:?} {close:?}");
            let least = match close {
                // Alice had 6,000,000 sat and paid 90,000; she claims 70,000 and gets 50,000 back.
                Close::Peer | Close::Own => 5_970_000,
                Close::Cheat => 9_980_000,
            };
            assert!(
                replica > Amount::from_sat(least),
                "{format:?} {close:?}: {replica} comes to her"
            );
        }
    }
}
