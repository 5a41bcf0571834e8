//! Stories of fees, over any chain: replacement, packages, and claims that come apart. They depend on a mempool's policy more than on
//! anything else, so they are told over a real bitcoind as well.
//!
//! Each panics where it goes wrong.

#![allow(clippy::missing_panics_doc, reason = "a story that goes wrong ends there")]

use bitcoin::{Amount, FeeRate};
use quittance_channel::Outcome;
use quittance_monitor::{ClaimReason, Closing, FeeEstimates};
use quittance_primitives::{CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

use crate::pair::{Setup, Who, preimage_of};
use crate::{RevokedCommitment, World};

/// A claim is raised until it confirms before its deadline, and keeps to its budget.
pub fn a_claim_is_raised_until_it_confirms(chain: Box<dyn Chain>) {
    let mut world = World::over(chain, &setup());
    let id = world.offer(Who::Bob, MilliSatoshi(50_000_000), 1, 60);
    world.pair.settle();
    world.force_close(Who::Bob);
    world.run(2);
    let expiry = world.pair.alice.channel.state().commitments.received[&id]
        .terms
        .cltv_expiry
        .0;
    world.learn(Who::Alice, id, preimage_of(1));
    // Blocks are full of what pays 40 sat/vB, and the estimates know nothing of it.
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_vb(40).expect("small"));
    let paid = loop {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
        world.act();
        if let (Some(Outcome::Fulfilled(_)), _) = world.outcome(Who::Bob, id) {
            break world.chain.tip().height.0;
        }
        assert!(world.chain.tip().height.0 < expiry, "the claim came too late");
    };
    assert!(paid < expiry);
    assert_eq!(world.refused, [], "every raise replaced what was there");
    let fee = world.fees_paid(Who::Alice);
    assert!(
        fee <= Amount::from_sat(25_000 + 2_000),
        "half of what is at stake: {fee}"
    );
}

/// A commitment that pays too little is brought in by its child.
pub fn a_commitment_is_brought_in_by_its_child(chain: Box<dyn Chain>, format: CommitmentFormat) {
    let mut world = World::over(chain, &setup().with_format(format));
    let id = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 20);
    world.pair.settle();
    world.estimates = FeeEstimates::flat(FeeratePerKw(5_000));
    world.force_close(Who::Alice);
    world.act();
    let options = MineOptions::at_least(1, FeeRate::from_sat_per_kwu(4_900));
    world.chain.mine(&options).expect("the mempool is valid");
    world.act();
    assert_eq!(
        closing(&world, Who::Alice),
        Some(Closing::Ours(CommitmentNumber(1))),
        "{format:?}"
    );
    // The second stage needs a coin, too.
    for _ in 0..40 {
        world.act();
        world.chain.mine(&options).expect("the mempool is valid");
    }
    world.act();
    assert_eq!(
        world.outcome(Who::Alice, id),
        (Some(Outcome::FailedOnChain), true),
        "{format:?}"
    );
    assert_eq!(world.refused, [], "{format:?}");
}

/// A penalty for many outputs comes apart when time runs out, and each part confirms by itself.
pub fn a_penalty_comes_apart(chain: Box<dyn Chain>, format: CommitmentFormat) {
    let mut world = World::over(
        chain,
        &Setup {
            to_self_delay: ToSelfDelay(30),
            ..Setup::default().with_format(format)
        },
    );
    for preimage in 1..=4 {
        world.offer(Who::Bob, MilliSatoshi(u64::from(preimage) * 30_000_000), preimage, 200);
    }
    world.pair.settle();
    let old = RevokedCommitment::held_by(&mut world, Who::Bob);
    world.offer(Who::Bob, MilliSatoshi(1_000_000_000), 9, 200);
    world.pair.settle();
    world.down.push(Who::Bob);
    world
        .chain
        .mine(&MineOptions::empty(1).including([old.transaction.clone()]))
        .expect("it was signed");
    let deadline = world.chain.tip().height.0 + 30;
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_vb(40).expect("small"));
    for _ in 0..29 {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    assert!(world.chain.tip().height.0 < deadline);
    assert_eq!(world.refused, [], "{format:?}");
    // Her own balance can wait for cheaper blocks.
    let penalties = old.value_without_anchors() - old.balance_of_the_other();
    assert!(world.gross(Who::Alice) >= penalties, "{format:?}");
}

/// The wallet has one coin for the commitment's child and one for all HTLCs that are claimed on it. Blocks are full, and the estimates know
/// nothing of it: each HTLC is in a block before it expires all the same, since until then nobody else can take it, and they stay together.
pub fn one_coin_claims_many_htlcs(chain: Box<dyn Chain>, format: CommitmentFormat) {
    let mut world = World::over(chain, &setup().with_format(format));
    world.wallets[0].keep(2);
    // So late is a channel closed whose peer does not answer.
    let expiry = world.chain.tip().height.0 + 18;
    let amounts = (1..=20_u64).map(|number| 20_000 + 1_000 * number);
    for (preimage, sat) in (1..).zip(amounts) {
        world.offer(Who::Bob, MilliSatoshi(sat * 1_000), preimage, 18);
        world.pair.settle();
    }
    world.force_close(Who::Alice);
    world.run(2);
    for (id, preimage) in (0..20).zip(1..) {
        world.learn(Who::Alice, HtlcId(id), preimage_of(preimage));
    }
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_vb(20).expect("small"));
    while world.chain.tip().height.0 < expiry {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    world.act();
    assert_eq!(world.refused, [], "{format:?}");
    for (id, preimage) in (0..20).zip(1..) {
        let (outcome, _) = world.outcome(Who::Bob, HtlcId(id));
        assert_eq!(
            outcome,
            Some(Outcome::Fulfilled(preimage_of(preimage))),
            "{format:?}: {id}"
        );
    }
}

/// HTLCs of ours that expired come apart when time runs out, since the peer may take each at any moment: the first one pays for taking the
/// place of them all.
pub fn second_stages_come_apart(chain: Box<dyn Chain>, format: CommitmentFormat) {
    let mut world = World::over(chain, &setup().with_format(format));
    let expiry = world.chain.tip().height.0 + 10;
    for (preimage, sat) in (1..).zip([30_000, 40_000, 50_000, 90_000]) {
        world.offer(Who::Alice, MilliSatoshi(sat * 1_000), preimage, 10);
    }
    world.pair.settle();
    world.force_close(Who::Alice);
    world.run(2);
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_vb(20).expect("small"));
    // Who waits for them wants them back 36 blocks later.
    while world.chain.tip().height.0 < expiry + 36 {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    let calm = MineOptions::blocks(1);
    for _ in 0..6 {
        world.act();
        world.chain.mine(&calm).expect("the mempool is valid");
    }
    world.act();
    assert_eq!(world.refused, [], "{format:?}");
    for id in 0..4 {
        let expected = (Some(Outcome::FailedOnChain), true);
        assert_eq!(world.outcome(Who::Alice, HtlcId(id)), expected, "{format:?}: {id}");
    }
}

/// HTLCs of ours expired, blocks are full, and the wallet has one coin: they stay together, since alone but one of them would have nothing to
/// pay with. When the peer takes one of them by its preimage, the others go on together, and are back before anybody upstream gives up.
pub fn timeouts_share_a_coin(chain: Box<dyn Chain>, format: CommitmentFormat) {
    let mut world = World::over(chain, &setup().with_format(format));
    let deadline = world.chain.tip().height.0 + 10 + 36;
    for (preimage, sat) in (1..).zip([40_000, 50_000, 90_000, 60_000, 70_000]) {
        world.offer(Who::Alice, MilliSatoshi(sat * 1_000), preimage, 10);
    }
    world.pair.settle();
    world.force_close(Who::Alice);
    world.run(2);
    world.wallets[0].keep(1);
    world.down.push(Who::Bob);
    let taken = HtlcId(2);
    world.learn(Who::Bob, taken, preimage_of(3));
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_vb(40).expect("small"));
    while world.chain.tip().height.0 < deadline - 17 {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    world.act();
    let bobs = world.take_by_preimage(Who::Bob, taken);
    let options = MineOptions::empty(1).including([bobs]);
    world.chain.mine(&options).expect("it was signed");
    while world.chain.tip().height.0 < deadline {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    world.act();
    assert_eq!(world.refused, [], "{format:?}");
    let replica = world.replica(Who::Alice);
    let claims = replica.monitor.claims(&replica.state);
    let timeouts = claims
        .iter()
        .filter(|claim| matches!(claim.reason, ClaimReason::Timeout(_)));
    assert_eq!(
        timeouts.count(),
        0,
        "{format:?}: every HTLC is back in time, or the peer's"
    );
    world.run(6);
    for id in (0..5).map(HtlcId) {
        let outcome = if id == taken {
            Outcome::Fulfilled(preimage_of(3))
        } else {
            Outcome::FailedOnChain
        };
        assert_eq!(world.outcome(Who::Alice, id), (Some(outcome), true), "{format:?}: {id}");
    }
}

fn setup() -> Setup {
    Setup {
        to_self_delay: ToSelfDelay(10),
        ..Setup::default()
    }
}

fn closing(world: &World, who: Who) -> Option<Closing> {
    let replica = world.replica(who);
    replica.monitor.closing(&replica.state)
}
