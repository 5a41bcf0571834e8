//! What the matrix does not hold: closes by agreement, lost state, another closing after a reorganisation, fees, deadlines,
//! balances, and the end.

use bitcoin::{Amount, OutPoint, Transaction};
use quittance_channel::{ForceCloseReason, Outcome};
use quittance_monitor::{
    BalanceKind, Block, ClaimReason, Closing, Fact, FeeEstimates, Holder, NotNext, Tip, close_due,
};
use quittance_onchain_tests::pair::{Setup, Who, fulfilled, preimage_of};
use quittance_onchain_tests::{RevokedCommitment, World, fee_stories};
use quittance_primitives::{BlockCount, BlockHeight, CommitmentNumber, FeeratePerKw, MilliSatoshi, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

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

#[test]
fn a_close_by_agreement_is_broadcast_until_it_confirms_and_leaves_nothing_to_claim() {
    let mut world = World::new(&setup());
    world.pair.close(Who::Alice);
    world.pair.settle();
    world.run(2);
    for who in Who::BOTH {
        assert_eq!(closing(&world, who), Some(Closing::Mutual));
        let replica = world.replica(who);
        assert_eq!(replica.monitor.claims(&replica.state), []);
        assert_eq!(replica.facts(), []);
        assert!(!replica.monitor.is_finished(&replica.state));
    }
    world.run(100);
    for who in Who::BOTH {
        let replica = world.replica(who);
        assert!(
            replica.monitor.is_finished(&replica.state),
            "100 blocks later it is forgotten"
        );
    }
    assert_eq!(world.refused, []);
}

#[test]
fn who_lost_state_saves_its_balance_and_never_broadcasts() {
    let mut world = World::new(&setup());
    // Alice's copy of the log ends while one payment is on its way, before another is made.
    let on_its_way = world.offer(Who::Alice, MilliSatoshi(40_000_000), 2, 30);
    world.pair.settle();
    world.act();
    let mut old = world.replica(Who::Alice).clone();
    let id = world.offer(Who::Alice, MilliSatoshi(500_000_000), 1, 30);
    world.pair.settle();
    world.pair.bob.remove(id, fulfilled(1)).expect("it is there");
    world.pair.settle();
    world.down.push(Who::Alice);
    world.force_close(Who::Bob);
    world.run(2);
    old.follow(&world.chain);
    assert_eq!(
        old.monitor.closing(&old.state),
        Some(Closing::StateLost(CommitmentNumber(3)))
    );
    assert_eq!(old.facts(), [Fact::FellBehind]);
    let claims = old.monitor.claims(&old.state);
    let reasons: Vec<_> = claims
        .iter()
        .map(|claim| (claim.reason, claim.input.output.value))
        .collect();
    let balance = Amount::from_sat(6_000_000 - 40_000 - 500_000 - 1_124 - 172 - 660);
    assert!(reasons.contains(&(ClaimReason::Balance, balance)), "{reasons:?}");
    world
        .chain
        .mine(&MineOptions::blocks(20))
        .expect("the mempool is valid");
    old.follow(&world.chain);
    assert!(old.state.commitments.offered.contains_key(&on_its_way));
    assert_eq!(
        old.facts(),
        [Fact::FellBehind],
        "no outcome follows from what is not understood"
    );
}

#[test]
fn after_a_reorganisation_another_commitment_closes_the_channel() {
    let mut world = World::new(&setup());
    let id = world.offer(Who::Bob, MilliSatoshi(50_000_000), 1, 40);
    world.pair.settle();
    let bobs: Transaction = RevokedCommitment::held_by(&mut world, Who::Bob).transaction;
    world.force_close(Who::Alice);
    world.run(4);
    assert_eq!(closing(&world, Who::Alice), Some(Closing::Ours(CommitmentNumber(1))));
    world
        .chain
        .reorg(BlockCount(4), &MineOptions::empty(5).including([bobs]))
        .expect("it was signed");
    world.learn(Who::Alice, id, preimage_of(1));
    world.run(30);
    assert_eq!(
        closing(&world, Who::Alice),
        Some(Closing::Peers(Holder::Latest, CommitmentNumber(1)))
    );
    assert_eq!(
        world.outcome(Who::Bob, id),
        (Some(Outcome::Fulfilled(preimage_of(1))), true)
    );
    assert_eq!(
        world.gross(Who::Alice),
        Amount::from_sat(6_000_000 - 1_124 - 172 - 660 + 50_000)
    );
    assert_eq!(world.gross(Who::Bob), Amount::from_sat(4_000_000 - 50_000));
}

#[test]
fn anchors_that_nobody_used_are_swept_once_they_are_worth_it() {
    let mut world = World::new(&setup());
    world.force_close(Who::Alice);
    world.run(12);
    world.estimates = FeeEstimates::flat(FeeratePerKw::FLOOR);
    world.down.push(Who::Bob);
    world.run(10);
    assert_eq!(
        world.gross(Who::Alice),
        Amount::from_sat(6_000_000 - 1_124),
        "both anchors are in it"
    );
}

#[test]
fn a_channel_is_closed_in_time_for_its_htlcs_and_not_before() {
    let mut world = World::new(&setup());
    let tip = world.chain.tip().height.0;
    let ours = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 50);
    let theirs = world.offer(Who::Bob, MilliSatoshi(50_000_000), 2, 60);
    world.pair.settle();
    let due = |world: &World, height: u32| close_due(world.pair.alice.channel.state(), BlockHeight(height));
    assert_eq!(due(&world, tip + 51), None);
    assert_eq!(due(&world, tip + 52), Some(ForceCloseReason::HtlcDeadline(ours)));
    // Without the preimage the peer's HTLC is the peer's problem. With it, it must be claimed before it expires.
    world.pair.alice.remove(theirs, fulfilled(2)).expect("it is there");
    assert_eq!(due(&world, tip + 41), None);
    assert_eq!(due(&world, tip + 42), Some(ForceCloseReason::HtlcDeadline(theirs)));
    world.force_close(Who::Alice);
    assert_eq!(due(&world, tip + 60), None, "it is closed already");
}

#[test]
fn the_user_sees_what_is_pending_until_when_and_why() {
    let mut world = World::new(&setup());
    let ours = world.offer(Who::Alice, MilliSatoshi(50_000_000), 1, 50);
    let theirs = world.offer(Who::Bob, MilliSatoshi(70_000_000), 2, 60);
    world.pair.settle();
    let expires = world.chain.tip().height.0 + 50;
    let balances = |world: &World| {
        let replica = world.replica(Who::Alice);
        replica.monitor.balances(&replica.state)
    };
    world.act();
    let to_local = Amount::from_sat(6_000_000 - 50_000 - 1_124 - 2 * 172 - 660);
    let of = |balances: Vec<quittance_monitor::ClaimableBalance>| -> Vec<_> {
        balances
            .into_iter()
            .map(|balance| (balance.amount, balance.kind))
            .collect()
    };
    assert_eq!(of(balances(&world)), [(to_local, BalanceKind::OnClose)]);
    world.force_close(Who::Alice);
    world.run(1);
    let closed = world.chain.tip().height.0;
    let seen = of(balances(&world));
    let wait = BalanceKind::Waiting {
        from: BlockHeight(closed + 10),
    };
    let timeout = BalanceKind::Contested {
        reason: ClaimReason::Timeout(ours),
        from: BlockHeight(expires + 1),
        until: Some(BlockHeight(expires + 36)),
    };
    let unknown = BalanceKind::IfPreimage {
        id: theirs,
        expires_at: BlockHeight(expires + 10),
    };
    assert_eq!(seen.len(), 3, "{seen:?}");
    for expected in [
        (to_local, wait),
        (Amount::from_sat(50_000), timeout),
        (Amount::from_sat(70_000), unknown),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
}

#[test]
fn a_block_that_does_not_follow_is_refused_and_one_that_was_read_changes_nothing() {
    let mut world = World::new(&setup());
    world.force_close(Who::Alice);
    world.run(3);
    let replica = world.replica(Who::Bob).clone();
    let tip: Tip = replica.monitor.tip();
    let before = replica.monitor.clone();
    let mut monitor = replica.monitor;
    let block = world.chain.block(&tip.hash).expect("it is there");
    let again = Block {
        height: tip.height,
        hash: tip.hash,
        previous: block.header.prev_blockhash,
        transactions: &block.txdata.iter().collect::<Vec<_>>(),
    };
    assert!(monitor.connect(&replica.state, &again).is_ok());
    assert_eq!(monitor, before);
    world
        .chain
        .mine(&MineOptions::empty(2))
        .expect("empty blocks are valid");
    let hash = world.chain.tip().hash;
    let skipped = world.chain.block(&hash).expect("it is there");
    let gap = Block {
        height: world.chain.tip().height,
        hash,
        previous: skipped.header.prev_blockhash,
        transactions: &[],
    };
    let refused = NotNext { tip, got: gap.height };
    assert_eq!(monitor.connect(&replica.state, &gap), Err(refused));
    assert_eq!(monitor, before);
}

#[test]
fn a_failure_is_told_at_six_confirmations_and_a_preimage_at_one() {
    let mut world = World::new(&setup());
    let dust = world.offer(Who::Alice, MilliSatoshi(300_000), 1, 40);
    let paid = world.offer(Who::Alice, MilliSatoshi(50_000_000), 2, 40);
    let expired = world.offer(Who::Alice, MilliSatoshi(60_000_000), 3, 12);
    world.pair.settle();
    world.learn(Who::Bob, paid, preimage_of(2));
    world.force_close(Who::Alice);
    let expiry = world.chain.tip().height.0 + 12;
    // The block after the next holds Bob's claim; the block after the expiry holds Alice's.
    let (closed, claimed, timed_out) = (
        world.chain.tip().height.0 + 1,
        world.chain.tip().height.0 + 2,
        expiry + 1,
    );
    while world.chain.tip().height.0 < timed_out + 7 {
        world.run(1);
        let tip = world.chain.tip().height.0;
        let failed = |at: u32| (tip >= at + 5).then_some(Outcome::FailedOnChain);
        assert_eq!(
            world.outcome(Who::Alice, dust),
            (failed(closed), tip >= closed + 5),
            "at {tip}"
        );
        let fulfilled = (tip >= claimed).then_some(Outcome::Fulfilled(preimage_of(2)));
        assert_eq!(
            world.outcome(Who::Alice, paid),
            (fulfilled, tip >= claimed + 5),
            "at {tip}"
        );
        assert_eq!(
            world.outcome(Who::Alice, expired),
            (failed(timed_out), tip >= timed_out + 5),
            "at {tip}"
        );
    }
}

#[test]
fn a_claim_is_raised_until_it_confirms_before_its_deadline_and_keeps_to_its_budget() {
    fee_stories::a_claim_is_raised_until_it_confirms(World::embedded_chain());
}

#[test]
fn a_commitment_that_pays_too_little_is_brought_in_by_its_child() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        fee_stories::a_commitment_is_brought_in_by_its_child(World::embedded_chain(), format);
    }
}

#[test]
fn a_penalty_for_many_outputs_comes_apart_when_time_runs_out_and_each_part_confirms_by_itself() {
    for format in [
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::Anchors,
        CommitmentFormat::ZeroFee,
    ] {
        fee_stories::a_penalty_comes_apart(World::embedded_chain(), format);
    }
}

#[test]
fn second_stages_that_may_be_contested_come_apart_when_time_runs_out() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        fee_stories::second_stages_come_apart(World::embedded_chain(), format);
    }
}

/// Symptom: of twenty HTLCs that were claimed on our own commitment only as many were claimed in time as the wallet had coins, and blocks were
/// left. Cause: each got a transaction of its own once its deadline was near, as it is when the deadline closes the channel.
#[test]
fn one_coin_is_enough_to_claim_many_htlcs_before_they_expire() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        fee_stories::one_coin_claims_many_htlcs(World::embedded_chain(), format);
    }
}

/// Symptom: of HTLCs of ours that expired on our own commitment, and whose deadline was near, only as many came back as the wallet had coins.
/// Cause: each got a transaction of its own, whatever there was to pay with; the one that should have made room for the others had no coin.
#[test]
fn htlcs_that_expired_share_a_coin_where_there_are_too_few() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        fee_stories::timeouts_share_a_coin(World::embedded_chain(), format);
    }
}

/// Forty HTLCs of ours expired, each a transaction that cannot be shared: 24 wait for a block at once, and the others for a place. What is
/// urgent does not wait, whoever has the places: neither an HTLC of the peer's nor, once their deadline is near, any of the forty.
#[test]
fn a_channel_has_no_more_than_24_transactions_in_flight_but_for_what_is_urgent() {
    let mut world = World::new(&setup().with_format(CommitmentFormat::StaticRemotekey));
    let expiry = world.chain.tip().height.0 + 10;
    for preimage in 1..=40 {
        world.offer(Who::Alice, MilliSatoshi(10_000_000), preimage, 10);
    }
    let theirs = world.offer(Who::Bob, MilliSatoshi(50_000_000), 41, 30);
    world.pair.settle();
    world.force_close(Who::Alice);
    world.down.push(Who::Bob);
    world.run(2);
    let empty = |world: &mut World, until: u32| {
        while world.chain.tip().height.0 < until {
            world.chain.mine(&MineOptions::empty(1)).expect("it is empty");
            world.act();
        }
    };
    let waiting = |world: &World| -> Vec<OutPoint> {
        let entries = world.chain.mempool().into_iter();
        let transactions = entries.filter_map(|entry| world.chain.mempool_transaction(&entry.txid));
        transactions
            .map(|transaction| transaction.input[0].previous_output)
            .collect()
    };
    empty(&mut world, expiry + 5);
    // Her balance is among those that wait for a place: nobody else can take it.
    assert_eq!(waiting(&world).len(), 24);
    world.learn(Who::Alice, theirs, preimage_of(41));
    world.act();
    let claims = world
        .replica(Who::Alice)
        .monitor
        .claims(&world.replica(Who::Alice).state);
    let urgent = claims
        .iter()
        .find(|claim| claim.reason == ClaimReason::Preimage(theirs));
    let urgent = urgent.expect("its preimage is known").input.outpoint;
    assert!(waiting(&world).contains(&urgent), "15 blocks are left");
    empty(&mut world, expiry + 36 - 18);
    // All forty and the peer's; and her balance, which has a place of its own where the urgent ones have all others.
    assert_eq!(waiting(&world).len(), 42, "time runs out");
    world.run(24);
    assert_eq!(world.refused, []);
    let claims = world
        .replica(Who::Alice)
        .monitor
        .claims(&world.replica(Who::Alice).state);
    assert_eq!(claims, [], "everything is hers, her balance included");
}

/// Penalties come apart into no more than 24 transactions, and what stays together is in one of them.
#[test]
fn a_penalty_comes_apart_no_further_than_24_transactions() {
    let mut world = World::new(&Setup {
        to_self_delay: ToSelfDelay(30),
        ..Setup::default()
    });
    for preimage in 1..=40 {
        world.offer(Who::Bob, MilliSatoshi(80_000_000), preimage, 200);
    }
    world.pair.settle();
    let old = RevokedCommitment::held_by(&mut world, Who::Bob);
    world.offer(Who::Bob, MilliSatoshi(100_000_000), 41, 200);
    world.pair.settle();
    world.down.push(Who::Bob);
    let include = MineOptions::empty(1).including([old.transaction.clone()]);
    world.chain.mine(&include).expect("it was signed");
    for _ in 0..25 {
        world.act();
        world.chain.mine(&MineOptions::empty(1)).expect("it is empty");
    }
    world.act();
    assert_eq!(world.chain.mempool().len(), 24);
    world.run(1);
    assert_eq!(world.refused, []);
    assert_eq!(world.gross(Who::Alice), old.value_without_anchors());
}
