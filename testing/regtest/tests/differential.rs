//! The embedded chain beside a real node: random transactions, packages, blocks and reorgs, step by step the same verdicts and
//! the same mempool. Runs if `BITCOIND_EXE` names a bitcoind; `REGTEST_SEEDS` and `REGTEST_STEPS` make it longer.
#![allow(clippy::unwrap_used, reason = "a difference ends the run")]

use std::collections::BTreeMap;
use std::env;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use quittance_primitives::BlockHeight;
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::consensus::block::{BlockPlan, build};
use quittance_regtest::faucet::{reward_script, reward_witness};
use quittance_regtest::mempool::standard::PAY_TO_ANCHOR;
use quittance_regtest::{Chain, EmbeddedChain, Faucet, MempoolEntry, MineOptions, Policy, Reason};

const COIN: u64 = 100_000;

/// Xorshift: enough to choose, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

struct Pair {
    embedded: EmbeddedChain,
    node: BitcoindChain,
    random: Random,
    /// Outputs that existed at some time, confirmed or not, and a few that never did.
    outputs: Vec<(OutPoint, TxOut)>,
}

#[derive(Default)]
struct Tally {
    accepted: u32,
    refused: BTreeMap<String, u32>,
    blocks: u32,
    reorgs: u32,
}

impl Pair {
    fn new(node: BitcoindChain, seed: u64) -> Self {
        let mut pair = Self {
            embedded: EmbeddedChain::default(),
            node,
            random: Random(seed),
            outputs: Vec::new(),
        };
        let coin = TxOut {
            value: Amount::from_sat(COIN),
            script_pubkey: reward_script(),
        };
        let coins = vec![coin.clone(); 40];
        let outpoints = Faucet::new().fund(&mut pair.embedded, &coins);
        pair.outputs
            .extend(outpoints.into_iter().map(|outpoint| (outpoint, coin.clone())));
        pair.hand_over(1);
        pair
    }

    /// Gives the node the embedded chain's blocks from a height on.
    fn hand_over(&mut self, from: u32) {
        for height in from..=self.embedded.tip().height.0 {
            let hash = self.embedded.block_hash(BlockHeight(height)).unwrap();
            self.node.submit_block(&self.embedded.block(&hash).unwrap()).unwrap();
        }
        assert_eq!(self.embedded.tip(), self.node.tip());
    }

    fn step(&mut self, tally: &mut Tally) {
        match self.random.below(20) {
            0..=12 => {
                let transaction = self.transaction(None);
                let ours = self.embedded.submit(&transaction).map_err(|rejected| rejected.reason);
                let theirs = self.node.submit(&transaction).map_err(|rejected| rejected.reason);
                assert_eq!(ours, theirs, "{transaction:#?}");
                self.remember(ours.err(), &[transaction], tally);
            }
            13..=16 => {
                let parent = self.transaction(None);
                let child = self.transaction(Some(&parent));
                let package = [parent, child];
                let ours = self.embedded.submit_package(&package);
                assert_eq!(ours, self.node.submit_package(&package), "{package:#?}");
                self.remember(ours.err().map(|rejected| rejected.reason), &package, tally);
            }
            17 | 18 => {
                let at_least = FeeRate::from_sat_per_vb_u32(self.random.pick(&[0, 0, 2, 10]));
                self.embedded.mine(&MineOptions::at_least(1, at_least)).unwrap();
                self.hand_over(self.embedded.tip().height.0);
                tally.blocks += 1;
            }
            _ => {
                let depth = u32::try_from(1 + self.random.below(4)).unwrap();
                self.reorg(depth, u64::from(tally.reorgs));
                tally.reorgs += 1;
            }
        }
        self.compare_mempools();
    }

    /// A longer branch arrives, as it does on a network. `invalidateblock` would take blocks away one by one, and lose more.
    fn reorg(&mut self, depth: u32, number: u64) {
        let fork = self.embedded.tip().height.0 - depth;
        let mut previous = self.embedded.block_hash(BlockHeight(fork)).unwrap();
        for height in fork + 1..=fork + depth + 1 {
            let time = self.embedded.block(&previous).unwrap().header.time + 600;
            let block = build(BlockPlan {
                previous,
                height,
                time,
                extra_nonce: (1 << 40) + number,
                reward_script: reward_script(),
                reward: Amount::ZERO,
                transactions: Vec::new(),
            });
            self.embedded.submit_block(&block).unwrap();
            self.node.submit_block(&block).unwrap();
            previous = block.block_hash();
        }
        assert_eq!(self.embedded.tip(), self.node.tip());
    }

    /// Counts a verdict, and keeps outputs to spend: of all that was accepted, and of some that was not.
    fn remember(&mut self, refused: Option<Reason>, transactions: &[Transaction], tally: &mut Tally) {
        let accepted = refused.is_none();
        match refused {
            None => tally.accepted += 1,
            Some(reason) => *tally.refused.entry(reason.to_string()).or_default() += 1,
        }
        if accepted || self.random.below(20) == 0 {
            for transaction in transactions {
                let txid = transaction.compute_txid();
                let outputs = (0..).zip(&transaction.output);
                self.outputs
                    .extend(outputs.map(|(vout, output)| (OutPoint { txid, vout }, output.clone())));
            }
        }
    }

    fn compare_mempools(&self) {
        let ids = |entries: Vec<MempoolEntry>| -> Vec<Txid> { entries.iter().map(|entry| entry.txid).collect() };
        assert_eq!(
            ids(self.embedded.mempool()),
            ids(self.node.mempool()),
            "the mempools differ"
        );
    }

    /// An output that exists, spent in the mempool or not; now and then one that does not. Recent ones more often.
    fn spendable(&mut self) -> (OutPoint, TxOut) {
        loop {
            let recent = self.outputs.len().min(self.random.pick(&[6, 40, 1_000_000]));
            let (outpoint, output) = self.outputs[self.outputs.len() - 1 - self.random.below(recent)].clone();
            let exists =
                self.embedded.utxo(&outpoint).is_some() || self.embedded.mempool_transaction(&outpoint.txid).is_some();
            if exists || self.random.below(30) == 0 {
                return (outpoint, output);
            }
        }
    }

    /// Spends one to three known outputs, the parent's among them, in some way that is near a limit.
    fn transaction(&mut self, parent: Option<&Transaction>) -> Transaction {
        let mut spent: Vec<(OutPoint, TxOut)> = Vec::new();
        if let Some(parent) = parent {
            let vout = self.random.below(parent.output.len());
            let outpoint = OutPoint {
                txid: parent.compute_txid(),
                vout: u32::try_from(vout).unwrap(),
            };
            spent.push((outpoint, parent.output[vout].clone()));
        }
        for _ in 0..self.random.pick(&[1, 1, 1, 2, 3]) - spent.len().min(1) {
            let candidate = self.spendable();
            if spent.iter().all(|(outpoint, _)| *outpoint != candidate.0) {
                spent.push(candidate);
            }
        }
        let total: u64 = spent.iter().map(|(_, output)| output.value.to_sat()).sum();
        let fee = self
            .random
            .pick(&[
                0, 0, 9, 15, 20, 50, 150, 200, 400, 600, 800, 1_000, 1_200, 2_000, 3_000, 9_000,
            ])
            .min(total);
        let count = u64::try_from(self.random.pick(&[1, 1, 2, 3, 8])).unwrap();
        let script = reward_script();
        let share = TxOut {
            value: Amount::from_sat((total - fee) / count),
            script_pubkey: script.clone(),
        };
        let mut output = vec![share; usize::try_from(count).unwrap()];
        output[0].value += Amount::from_sat((total - fee) % count);
        if self.random.below(8) == 0 {
            let anchor = self.random.pick(&[0, 0, 239, 240]).min(output[0].value.to_sat());
            output[0].value -= Amount::from_sat(anchor);
            let script_pubkey = ScriptBuf::from_bytes(PAY_TO_ANCHOR.to_vec());
            output.push(TxOut {
                value: Amount::from_sat(anchor),
                script_pubkey,
            });
        }
        let sequence = match self.random.below(10) {
            0 => self.random.pick(&[Sequence::ZERO, Sequence(1), Sequence(2)]),
            1..5 => Sequence::ENABLE_RBF_NO_LOCKTIME,
            _ => Sequence::MAX,
        };
        let input = |(previous_output, output): &(OutPoint, TxOut)| TxIn {
            previous_output: *previous_output,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: if output.script_pubkey == script {
                reward_witness()
            } else {
                Witness::new()
            },
        };
        let lock_time =
            LockTime::from_consensus(
                self.random
                    .pick(&[0, 0, 0, 0, 0, 0, 0, self.embedded.tip().height.0 + 1]),
            );
        let version = Version(self.random.pick(&[1, 2, 2, 3, 3, 3]));
        let input = spent.iter().map(input).collect();
        Transaction {
            version,
            lock_time,
            input,
            output,
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[test]
fn random_histories_are_judged_alike() {
    let Some(program) = Bitcoind::program() else {
        println!("skipped: BITCOIND_EXE names no bitcoind");
        return;
    };
    for seed in 1..=setting("REGTEST_SEEDS", 2) {
        let node = Bitcoind::start(&program, &Policy::default()).expect("the node starts");
        let mut pair = Pair::new(BitcoindChain::new(node), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut tally = Tally::default();
        for _ in 0..setting("REGTEST_STEPS", 400) {
            pair.step(&mut tally);
        }
        let Tally {
            accepted,
            refused,
            blocks,
            reorgs,
        } = tally;
        println!("seed {seed}: {accepted} accepted, {blocks} blocks, {reorgs} reorgs, refused: {refused:#?}");
    }
}
