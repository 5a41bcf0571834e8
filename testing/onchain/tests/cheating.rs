//! A cheater gets nothing: not when it moves first, not in the long run, not with the largest commitment that there can be.

use std::collections::BTreeMap;

use bitcoin::{Amount, FeeRate, Transaction, Weight};
use quittance_channel::{Outcome, View};
use quittance_monitor::{ClaimReason, FeeEstimates};
use quittance_onchain_tests::pair::random::Seeded;
use quittance_onchain_tests::pair::{Setup, Who, fulfilled, preimage_of};
use quittance_onchain_tests::{RevokedCommitment, World};
use quittance_primitives::{FeeratePerKw, MilliSatoshi, PaymentPreimage, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

const FORMATS: [CommitmentFormat; 3] = [
    CommitmentFormat::StaticRemotekey,
    CommitmentFormat::Anchors,
    CommitmentFormat::ZeroFee,
];

fn setup(format: CommitmentFormat) -> Setup {
    Setup {
        to_self_delay: ToSelfDelay(12),
        ..Setup::default().with_format(format)
    }
}

#[test]
fn what_the_cheater_made_of_htlcs_before_we_came_is_taken_from_it_again() {
    for format in FORMATS {
        let mut world = World::new(&setup(format));
        let ours = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 30);
        world.offer(Who::Bob, MilliSatoshi(70_000_000), 2, 3);
        world.pair.settle();
        let old = RevokedCommitment::held_by(&mut world, Who::Bob);
        world.offer(Who::Bob, MilliSatoshi(1_000_000_000), 3, 40);
        world.pair.settle();
        world.down.push(Who::Bob);
        // Bob waits for his own HTLC to expire, and shows the preimage of ours: his second stages confirm with the commitment's next block.
        world
            .chain
            .mine(&MineOptions::empty(4).including([old.transaction.clone()]))
            .expect("it was signed");
        let moves = old.second_stages(&mut world, Who::Bob, &BTreeMap::from([(ours, preimage_of(1))]));
        assert_eq!(moves.len(), 2, "{format:?}");
        world
            .chain
            .mine(&MineOptions::empty(1).including(moves))
            .expect("the second stages are valid");
        world.act();
        let replica = world.replica(Who::Alice);
        let claims = replica.monitor.claims(&replica.state);
        let second_stages = claims
            .iter()
            .filter(|claim| matches!(claim.reason, ClaimReason::PenaltySecondStage(..)));
        assert_eq!(second_stages.count(), 2, "{format:?}");
        world.run(12);
        assert_eq!(world.refused, [], "{format:?}");
        assert_eq!(
            world.gross(Who::Alice),
            old.value_without_anchors() - old.second_stage_fees(),
            "{format:?}: everything is Alice's"
        );
        // A preimage that a cheater shows is a proof like any other.
        assert_eq!(
            world.outcome(Who::Alice, ours),
            (Some(Outcome::Fulfilled(preimage_of(1))), true)
        );
    }
}

/// Whatever revoked commitment is broadcast, at whatever moment and feerates, the victim ends with everything, and after fees with no less
/// than it was owed. A quarter of the seeds each, so that they run side by side; `QUITTANCE_CHEATS` sets how many there are in all, `QUITTANCE_SEED` the first.
fn cheats(quarter: u64) {
    let number = |name, default| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (first, runs): (u64, u64) = (number("QUITTANCE_SEED", 1), number("QUITTANCE_CHEATS", 1_000));
    for seed in (first..first + runs).filter(|seed| seed % 4 == quarter) {
        cheat(seed);
    }
}

#[test]
fn random_cheats_of_the_first_quarter_of_the_seeds_fail() {
    cheats(0);
}

#[test]
fn random_cheats_of_the_second_quarter_of_the_seeds_fail() {
    cheats(1);
}

#[test]
fn random_cheats_of_the_third_quarter_of_the_seeds_fail() {
    cheats(2);
}

#[test]
fn random_cheats_of_the_last_quarter_of_the_seeds_fail() {
    cheats(3);
}

/// How long a cheater of the random runs waits for what it makes its own.
const CHEATERS_DELAY: u32 = 24;

/// One history with one cheat at its end.
fn cheat(seed: u64) {
    let mut random = Seeded(seed);
    let format = FORMATS[usize::try_from(random.below(3)).expect("small")];
    let mut world = World::new(&Setup {
        // The cheat is seen late, blocks may be full, and everything is the victim's before the cheater could move again.
        to_self_delay: ToSelfDelay(u16::try_from(CHEATERS_DELAY).expect("small")),
        ..setup(format)
    });
    let cheater = Who::BOTH[usize::try_from(random.below(2)).expect("small")];
    let victim = cheater.other();
    let (mut revoked, known) = lived(&mut world, &mut random, cheater);
    if revoked.is_empty() {
        return;
    }
    let owed = owed_at_most(&mut world, victim);
    let old = revoked.swap_remove(usize::try_from(random.below(revoked.len() as u64)).expect("small"));
    world.down.push(cheater);
    let late = u32::try_from(random.below(8)).expect("small");
    let include = MineOptions::empty(1 + late).including([old.transaction.clone()]);
    world.chain.mine(&include).expect("it was signed");
    let seen_at = world.chain.tip().height.0 - late;
    let (mut taken_by_miners, mut has_moved) = (Amount::ZERO, false);
    if random.chance(50) {
        let moves: Vec<Transaction> = old.any_second_stages(&mut world, cheater, &known);
        if !moves.is_empty() {
            (taken_by_miners, has_moved) = (old.fees_of(&moves), true);
            world
                .chain
                .mine(&MineOptions::empty(1).including(moves))
                .expect("the second stages are valid");
        }
    }
    let all = old.value_without_anchors() - taken_by_miners;
    // What moved to a second stage is worth less by that one's fee.
    let stage_fee = if taken_by_miners == Amount::ZERO { 0 } else { 703 };
    let too_little = Amount::from_sat(1_200 + stage_fee);
    let too_dear = spike(&mut world, &mut random, seen_at + CHEATERS_DELAY);
    let penalties = world.gross(victim);
    let litter = old.value_not_worth(too_little + too_dear);
    // Second stages have a delay of their own, which began later.
    assert!(
        too_dear == Amount::ZERO || has_moved || penalties + litter + old.balance_of_the_other() >= all,
        "seed {seed}: {penalties} of {all} are the victim's, in blocks that stay full"
    );
    world.run(4);
    assert_eq!(world.refused, [], "seed {seed}");
    let litter = old.value_not_worth(too_little);
    let gross = world.gross(victim);
    assert!(
        gross <= all && gross >= all - litter,
        "seed {seed}: everything is the victim's: {gross} of {all}, {litter} of it not worth a transaction"
    );
    let net = gross - world.fees_paid(victim);
    assert!(
        net >= owed,
        "seed {seed}: {net} came to the victim, who was owed {owed}"
    );
}

/// HTLCs come and go. Returns the commitments that the cheater has revoked, and every preimage.
fn lived(world: &mut World, random: &mut Seeded, cheater: Who) -> (Vec<RevokedCommitment>, Vec<PaymentPreimage>) {
    let mut revoked = vec![RevokedCommitment::held_by(world, cheater)];
    let mut preimage = 0;
    for _ in 0..2 + random.below(6) {
        let from = Who::BOTH[usize::try_from(random.below(2)).expect("small")];
        let ready: Vec<_> = world
            .pair
            .end(from)
            .channel
            .state()
            .commitments
            .received
            .keys()
            .copied()
            .collect();
        if random.chance(40) && !ready.is_empty() {
            let id = ready[usize::try_from(random.below(ready.len() as u64)).expect("small")];
            let byte = world.preimage(from, id);
            let _ = world.pair.end(from).remove(id, fulfilled(byte));
        } else {
            preimage += 1;
            let amount = MilliSatoshi(1_000 + random.below(60_000_000));
            let expiry = 5 + u32::try_from(random.below(30)).expect("small");
            world.offer(from, amount, preimage, expiry);
        }
        if random.chance(80) {
            world.pair.settle();
        }
        let held = RevokedCommitment::held_by(world, cheater);
        if revoked.last().is_none_or(|last| last.transaction != held.transaction) {
            revoked.push(held);
        }
    }
    // At any moment: in the middle of the dance as well as at rest.
    if random.chance(70) {
        world.pair.settle();
    }
    let secrets = &world
        .pair
        .end(cheater.other())
        .channel
        .state()
        .commitments
        .remote_secrets;
    revoked.retain(|old| secrets.secret(old.number).is_some());
    (revoked, (1..=preimage).map(preimage_of).collect())
}

/// The victim's balance, with every HTLC on its way, whoever offered it.
fn owed_at_most(world: &mut World, victim: Who) -> Amount {
    let state = world.pair.end(victim).channel.state();
    let contents = state
        .commitments
        .contents(&state.facts, View::Local)
        .expect("there is one");
    let htlcs = contents
        .htlcs
        .iter()
        .map(|htlc| htlc.amount.to_sat_ceil())
        .sum::<Amount>();
    contents.to_broadcaster.to_sat_ceil() + htlcs
}

/// Blocks that are full of what pays up to twenty times as much, some of them or all until the cheater could move again; the estimates
/// say so at once, or learn nothing of it. What penalties of less than the returned value each could not pay for.
fn spike(world: &mut World, random: &mut Seeded, deadline: u32) -> Amount {
    let left = deadline - world.chain.tip().height.0 - 1;
    let lasts = random.chance(25);
    let blocks = if lasts {
        left
    } else {
        u32::try_from(random.below(11)).expect("small")
    };
    let feerate = FeeratePerKw(1_000 * u32::try_from(2 + random.below(19)).expect("small"));
    let calm = world.estimates;
    if random.chance(50) {
        world.estimates = FeeEstimates::flat(feerate);
    }
    let full = MineOptions::at_least(1, FeeRate::from_sat_per_kwu(u64::from(feerate.0)));
    for _ in 0..blocks {
        world.act();
        world.chain.mine(&full).expect("the mempool is valid");
    }
    world.estimates = calm;
    // Half of a claim is the most that its fee may be, and alone it has some 800 weight units.
    if lasts {
        feerate.fee_ceil(Weight::from_wu(1_600))
    } else {
        Amount::ZERO
    }
}

#[test]
fn the_largest_commitment_that_there_can_be_is_punished_in_full() {
    let mut world = World::new(&Setup {
        pushed: MilliSatoshi(5_000_000_000),
        ..setup(CommitmentFormat::Anchors)
    });
    world.pair.alice.set_auto_commit(false);
    world.pair.bob.set_auto_commit(false);
    for _ in 0..483 {
        for who in Who::BOTH {
            world.offer(who, MilliSatoshi(5_000_000), 1, 100);
        }
    }
    for _ in 0..3 {
        world.pair.settle();
        world.pair.alice.commit();
        world.pair.settle();
        world.pair.bob.commit();
    }
    world.pair.settle();
    let old = RevokedCommitment::held_by(&mut world, Who::Bob);
    assert_eq!(old.commitment.htlc_outputs().len(), 966);
    let id = quittance_primitives::HtlcId(0);
    world.pair.bob.remove(id, fulfilled(1)).expect("it is there");
    for _ in 0..3 {
        world.pair.bob.commit();
        world.pair.settle();
        world.pair.alice.commit();
        world.pair.settle();
    }
    world.down.push(Who::Bob);
    world
        .chain
        .mine(&MineOptions::empty(1).including([old.transaction.clone()]))
        .expect("it was signed");
    let started = std::time::Instant::now();
    world.act();
    let cold: usize = world.replica(Who::Alice).cold.values().map(Vec::len).max().unwrap_or(0);
    println!(
        "966 HTLCs: punished in {:?}, cold record {cold} bytes, {} per HTLC",
        started.elapsed(),
        cold / 966
    );
    assert!(cold <= 966 * 48);
    world.run(3);
    assert_eq!(world.refused, []);
    assert_eq!(world.gross(Who::Alice), old.value_without_anchors());
}

/// `QUITTANCE_COMMITMENTS_AGO` sets how long ago: 100,000 take minutes.
#[test]
fn a_full_commitment_of_long_ago_is_punished_in_full() {
    let ago = std::env::var("QUITTANCE_COMMITMENTS_AGO")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(60_u32);
    let mut world = World::new(&Setup {
        pushed: MilliSatoshi(5_000_000_000),
        ..setup(CommitmentFormat::Anchors)
    });
    let dance = |world: &mut World| {
        for _ in 0..2 {
            world.pair.alice.commit();
            world.pair.settle();
            world.pair.bob.commit();
            world.pair.settle();
        }
    };
    world.pair.alice.set_auto_commit(false);
    world.pair.bob.set_auto_commit(false);
    for _ in 0..483 {
        for who in Who::BOTH {
            world.offer(who, MilliSatoshi(5_000_000), 1, 100);
        }
    }
    dance(&mut world);
    dance(&mut world);
    let old = RevokedCommitment::held_by(&mut world, Who::Bob);
    assert_eq!(old.commitment.htlc_outputs().len(), 966);
    for id in (0..483).map(quittance_primitives::HtlcId) {
        for who in Who::BOTH {
            world.pair.end(who).remove(id, fulfilled(1)).expect("it is there");
        }
    }
    dance(&mut world);
    dance(&mut world);
    let before = world.pair.alice.channel.state().to_checkpoint().len();
    for round in 0..ago / 2 {
        // Each round revokes a commitment of each side's, and the next one takes the change back.
        let feerate = FeeratePerKw(1_001 - round % 2);
        world.pair.alice.set_fee(feerate).expect("it can be paid");
        dance(&mut world);
    }
    world.down.push(Who::Bob);
    let options = MineOptions::empty(1).including([old.transaction.clone()]);
    world.chain.mine(&options).expect("it was signed");
    let started = std::time::Instant::now();
    world.act();
    let replica = world.replica(Who::Alice);
    let cold: usize = replica.cold.values().map(Vec::len).sum();
    let state = replica.state.to_checkpoint().len();
    println!(
        "966 HTLCs, {ago} commitments ago: found and punished in {:?}; all cold records {cold} bytes; the channel's state {state} bytes",
        started.elapsed()
    );
    // Numbers get longer, and secrets are kept by 49 of them at most.
    assert!(
        state < before + 49 * 50,
        "history does not weigh: {before} bytes then, {state} now"
    );
    world.run(3);
    assert_eq!(world.refused, []);
    assert_eq!(world.gross(Who::Alice), old.value_without_anchors());
}

/// What is not there is no evidence: the cold record of the commitment is lost, and its HTLCs have outputs that nobody can name.
#[test]
fn an_htlc_of_a_revoked_commitment_whose_record_is_lost_does_not_count_as_failed() {
    for format in FORMATS {
        let mut world = World::new(&setup(format));
        let ours = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 30);
        world.pair.settle();
        let old = RevokedCommitment::held_by(&mut world, Who::Bob);
        world.offer(Who::Bob, MilliSatoshi(20_000_000), 2, 30);
        world.pair.settle();
        world.act();
        assert_eq!(world.replicas[0].cold.len(), 1, "{format:?}: the record was there");
        world.replicas[0].cold.clear();
        world.down.push(Who::Bob);
        let options = MineOptions::empty(1).including([old.transaction.clone()]);
        world.chain.mine(&options).expect("it was signed");
        world.run(10);
        assert_eq!(
            world.outcome(Who::Alice, ours),
            (None, false),
            "{format:?}: nothing is told of it"
        );
        let htlc = Amount::from_sat(50_000);
        assert_eq!(
            world.gross(Who::Alice),
            old.value_without_anchors() - htlc,
            "{format:?}: what can be named is taken all the same"
        );
    }
}
