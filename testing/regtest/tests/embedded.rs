//! What the embedded chain has beyond the contract: determinism, parameters, and a mempool that can be full.

#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut};
use quittance_primitives::BlockCount;
use quittance_regtest::faucet::{reward_script, reward_witness};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy, Reason, Selection};

/// Spends an output of 10,000 satoshis that anyone can spend.
fn spend(previous_output: OutPoint, fee: u64) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: reward_witness(),
        }],
        output: vec![coin(10_000 - fee)],
    }
}

fn coin(sat: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: reward_script(),
    }
}

fn run(chain: &mut EmbeddedChain) {
    let outpoints = Faucet::new().fund(chain, &[coin(10_000), coin(10_000)]);
    for (outpoint, fee) in outpoints.iter().zip([100, 200]) {
        chain.submit(&spend(*outpoint, fee)).unwrap();
    }
    chain.mine(&MineOptions::blocks(2)).unwrap();
    chain.reorg(BlockCount(3), &MineOptions::empty(4)).unwrap();
    chain.submit(&spend(outpoints[0], 300)).unwrap();
}

#[test]
fn the_same_calls_give_the_same_chain() {
    let mut chains = [EmbeddedChain::default(), EmbeddedChain::default()];
    for chain in &mut chains {
        run(chain);
    }
    let [one, other] = chains;
    assert_eq!(one.tip(), other.tip());
    assert_eq!(one.mempool(), other.mempool());
    let mut snapshot = one.clone();
    snapshot.mine(&MineOptions::blocks(1)).unwrap();
    assert_ne!(snapshot.tip(), one.tip());
}

#[test]
fn a_full_mempool_throws_out_what_pays_least() {
    let mut chain = EmbeddedChain::default();
    let outpoints = Faucet::new().fund(&mut chain, &[coin(10_000), coin(10_000), coin(10_000)]);
    let cheap = chain.submit(&spend(outpoints[0], 479)).unwrap();
    let fair = chain.submit(&spend(outpoints[1], 480)).unwrap();
    // A child that pays for both keeps its parent.
    let parent = spend(outpoints[2], 10);
    let parent_id = chain.submit(&parent).unwrap();
    let child = spend(
        OutPoint {
            txid: parent_id,
            vout: 0,
        },
        1_000,
    );
    let child_id = chain.submit(&child).unwrap();

    chain.set_mempool_min_feerate(FeeRate::from_sat_per_vb_u32(5));
    assert_eq!(chain.confirmations(&cheap), None);
    assert!(
        [fair, parent_id, child_id]
            .iter()
            .all(|txid| chain.confirmations(txid) == Some(BlockCount(0)))
    );
    assert_eq!(
        chain.submit(&spend(outpoints[0], 479)).unwrap_err().reason,
        Reason::MempoolMinFee
    );
    assert_eq!(
        chain.estimate_feerate(BlockCount(1)),
        Some(FeeRate::from_sat_per_vb_u32(5))
    );
    chain.submit(&spend(outpoints[0], 480)).unwrap();
    chain.set_mempool_min_feerate(FeeRate::ZERO);
    chain.submit(&spend(outpoints[0], 500)).unwrap();
}

#[test]
fn the_maturity_of_rewards_can_be_shorter() {
    let parameters = ChainParameters {
        coinbase_maturity: 2,
        ..ChainParameters::default()
    };
    let mut chain = EmbeddedChain::new(parameters, Policy::ONE_SAT_PER_VBYTE);
    let hashes = chain.mine(&MineOptions::blocks(1)).unwrap();
    let reward = chain.block(&hashes[0]).unwrap().txdata[0].clone();
    let mut payment = spend(
        OutPoint {
            txid: reward.compute_txid(),
            vout: 0,
        },
        0,
    );
    payment.output[0].value = reward.output[0].value - Amount::from_sat(95);
    assert_eq!(chain.submit(&payment).unwrap_err().reason, Reason::ImmatureCoinbase);
    chain.mine(&MineOptions::blocks(1)).unwrap();
    assert_eq!(chain.submit(&payment).unwrap_err().reason, Reason::MinRelayFee);
    payment.output[0].value -= Amount::from_sat(1);
    chain.submit(&payment).unwrap();
}

#[test]
fn a_full_block_takes_the_best_paying_and_the_estimate_follows() {
    let mut chain = EmbeddedChain::default();
    let outpoints = Faucet::new().fund(&mut chain, &[coin(10_000), coin(10_000)]);
    let cheap = chain.submit(&spend(outpoints[0], 1_000)).unwrap();
    let dear = chain.submit(&spend(outpoints[1], 2_000)).unwrap();
    // There is room for one transaction of 381 weight units.
    let selection = Selection::Paying {
        at_least: FeeRate::ZERO,
        weight_max: bitcoin::Weight::from_wu(500),
    };
    chain
        .mine(&MineOptions {
            selection,
            ..MineOptions::blocks(1)
        })
        .unwrap();
    assert_eq!(chain.confirmations(&dear), Some(BlockCount(1)));
    assert_eq!(chain.confirmations(&cheap), Some(BlockCount(0)));
    chain
        .mine(&MineOptions::at_least(1, FeeRate::from_sat_per_vb_u32(20)))
        .unwrap();
    assert_eq!(chain.confirmations(&cheap), Some(BlockCount(0)));
    assert_eq!(
        chain.estimate_feerate(BlockCount(6)),
        Some(FeeRate::from_sat_per_vb_u32(20))
    );
}

#[test]
fn a_child_never_confirms_before_a_parent_that_does_not_fit() {
    let mut chain = EmbeddedChain::default();
    let outpoints = Faucet::new().fund(&mut chain, &[coin(100_000)]);
    let mut parent = spend(outpoints[0], 0);
    parent.output = vec![coin(4_000); 20];
    let parent_id = chain.submit(&parent).unwrap();
    let mut child = spend(
        OutPoint {
            txid: parent_id,
            vout: 0,
        },
        0,
    );
    child.output[0].value = Amount::from_sat(3_900);
    let child_id = chain.submit(&child).unwrap();
    let selection = Selection::Paying {
        at_least: FeeRate::ZERO,
        weight_max: bitcoin::Weight::from_wu(500),
    };
    chain
        .mine(&MineOptions {
            selection,
            ..MineOptions::blocks(1)
        })
        .unwrap();
    assert!(
        [parent_id, child_id]
            .iter()
            .all(|txid| chain.confirmations(txid) == Some(BlockCount(0)))
    );
}
