//! The first story of each closing, with exact sums.

use bitcoin::Amount;
use quittance_channel::Outcome;
use quittance_monitor::{Closing, Holder};
use quittance_onchain_tests::pair::{Setup, Who, preimage_of};
use quittance_onchain_tests::{RevokedCommitment, World};
use quittance_primitives::{CommitmentNumber, MilliSatoshi, ToSelfDelay};
use quittance_regtest::Chain;

fn setup() -> Setup {
    Setup {
        to_self_delay: ToSelfDelay(20),
        ..Setup::default()
    }
}

#[test]
fn our_commitment_pays_us_after_the_delay_and_the_peer_after_a_block() {
    let mut world = World::new(&setup());
    world.force_close(Who::Alice);
    world.run(30);
    assert_eq!(
        world
            .replica(Who::Alice)
            .monitor
            .closing(&world.replica(Who::Alice).state),
        Some(Closing::Ours(CommitmentNumber(0)))
    );
    assert_eq!(
        world.replica(Who::Bob).monitor.closing(&world.replica(Who::Bob).state),
        Some(Closing::Peers(Holder::Latest, CommitmentNumber(0)))
    );
    // 1000 sat per kw: a fee of 1,124, and two anchors of 330.
    assert_eq!(world.gross(Who::Alice), Amount::from_sat(6_000_000 - 1_124 - 660));
    assert_eq!(world.gross(Who::Bob), Amount::from_sat(4_000_000));
    assert_eq!(world.refused, []);
}

#[test]
fn a_preimage_is_shown_on_chain_and_learned_from_it() {
    let mut world = World::new(&setup());
    let id = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 60);
    world.pair.settle();
    world.force_close(Who::Alice);
    world.run(2);
    world.learn(Who::Bob, id, preimage_of(1));
    world.run(1);
    assert_eq!(
        world.outcome(Who::Alice, id),
        (Some(Outcome::Fulfilled(preimage_of(1))), false)
    );
    world.run(30);
    assert_eq!(
        world.outcome(Who::Alice, id),
        (Some(Outcome::Fulfilled(preimage_of(1))), true)
    );
    assert_eq!(
        world.gross(Who::Alice),
        Amount::from_sat(6_000_000 - 50_000 - 1_124 - 172 - 660)
    );
    assert_eq!(world.gross(Who::Bob), Amount::from_sat(4_000_000 + 50_000));
    assert_eq!(world.refused, []);
}

#[test]
fn a_revoked_commitment_costs_the_cheater_everything() {
    let mut world = World::new(&setup());
    world.offer(Who::Bob, MilliSatoshi(70_000_000), 1, 60);
    world.offer(Who::Alice, MilliSatoshi(50_000_000), 2, 60);
    world.pair.settle();
    let old = RevokedCommitment::held_by(&mut world, Who::Bob).transaction;
    world.offer(Who::Bob, MilliSatoshi(3_000_000_000), 3, 60);
    world.pair.settle();
    world.chain.submit(&old).expect("it was signed");
    world.run(30);
    let fee = 1_124 + 2 * 172 + 660;
    assert_eq!(world.gross(Who::Alice), Amount::from_sat(10_000_000 - fee));
    assert_eq!(world.gross(Who::Bob), Amount::ZERO);
    assert_eq!(world.refused, []);
}
