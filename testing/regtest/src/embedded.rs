//! The chain in memory: a ledger, a mempool and a miner, tied together.
//!
//! Start at [`EmbeddedChain::new`]; everything else is the [`Chain`] interface, plus two knobs that a real node lacks:
//! parameters such as the coinbase maturity, and a mempool that behaves as if it were full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::{Amount, Block, BlockHash, FeeRate, OutPoint, Transaction, TxOut, Txid, Weight};
use quittance_primitives::{BlockCount, BlockHeight};

use crate::assembly;
use crate::chain::{BlockPosition, Chain, MempoolEntry, MineOptions, RelayFeerates, Selection, Spend, Tip, Utxo};
use crate::consensus::block::{self, BlockPlan};
use crate::consensus::scripts::ScriptVerifier;
use crate::faucet;
use crate::ledger::{ChainChange, Ledger};
use crate::mempool::acceptance::Acceptance;
use crate::mempool::{Entry, Mempool, Policy};
use crate::rejection::{PackageRejected, Reason, Rejected};

pub use crate::ledger::ChainParameters;

/// A regtest chain in memory.
#[derive(Clone, Debug)]
pub struct EmbeddedChain {
    ledger: Ledger,
    mempool: Mempool,
    scripts: ScriptVerifier,
    /// Blocks built so far; makes each coinbase unique.
    blocks_built: u64,
    /// What the miner asked for last, which is all that an estimator can learn from blocks.
    miner_feerate: FeeRate,
}

impl Default for EmbeddedChain {
    fn default() -> Self {
        Self::new(ChainParameters::default(), Policy::default())
    }
}

impl EmbeddedChain {
    /// A chain of the genesis block alone.
    pub fn new(parameters: ChainParameters, policy: Policy) -> Self {
        Self {
            ledger: Ledger::new(parameters),
            mempool: Mempool::new(policy),
            scripts: ScriptVerifier::default(),
            blocks_built: 0,
            miner_feerate: FeeRate::ZERO,
        }
    }

    /// Blocks, coins and what is confirmed.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What waits, with its fee graph.
    pub fn mempool_state(&self) -> &Mempool {
        &self.mempool
    }

    /// Lets the mempool behave as if it were full of transactions that pay `feerate`; zero ends it.
    pub fn set_mempool_min_feerate(&mut self, feerate: FeeRate) {
        self.mempool.set_min_feerate(feerate);
    }

    fn acceptance(&mut self) -> Acceptance<'_> {
        Acceptance {
            mempool: &mut self.mempool,
            ledger: &self.ledger,
            scripts: &mut self.scripts,
        }
    }

    fn follow(&mut self, change: &ChainChange) {
        for block in &change.connected {
            self.mempool.block_connected(block);
        }
        if !change.disconnected.is_empty() {
            self.acceptance().blocks_disconnected(&change.disconnected);
        }
    }

    fn mine_one(&mut self, options: &MineOptions, include: &[Transaction], time: u32) -> Result<BlockHash, Rejected> {
        let mut transactions = include.to_vec();
        transactions.extend(
            self.select(options, include)
                .iter()
                .map(|transaction| (**transaction).clone()),
        );
        let height = self.ledger.height() + 1;
        let block = block::build(BlockPlan {
            previous: self.ledger.tip_hash(),
            height,
            time,
            extra_nonce: self.blocks_built,
            reward_script: options.reward.clone().unwrap_or_else(faucet::reward_script),
            reward: self.ledger.subsidy(height) + self.fees(&transactions),
            transactions,
        });
        self.blocks_built += 1;
        let hash = block.block_hash();
        self.submit_block(&block)?;
        Ok(hash)
    }

    /// What the miner takes from the mempool next to the transactions that it includes anyway.
    fn select(&self, options: &MineOptions, include: &[Transaction]) -> Vec<Arc<Transaction>> {
        if options.selection == Selection::Nothing {
            return Vec::new();
        }
        let included: BTreeSet<Txid> = include.iter().map(Transaction::compute_txid).collect();
        let inputs = include.iter().flat_map(|transaction| &transaction.input);
        let conflicts = inputs.filter_map(|input| self.mempool.spent_by(&input.previous_output));
        let mut exclude = options.exclude.clone();
        exclude.extend(conflicts.filter(|conflict| !included.contains(conflict)));
        let mut nodes = self.mempool.nodes(self.mempool.entries().map(|entry| &entry.txid));
        nodes.retain(|txid, _| !included.contains(txid));
        assembly::select(&nodes, options.selection, &exclude)
            .iter()
            .filter_map(|txid| self.mempool_transaction(txid))
            .collect()
    }

    /// What these transactions pay; inputs that do not exist count nothing and fail when the block is checked.
    fn fees(&self, transactions: &[Transaction]) -> Amount {
        let mut outputs: BTreeMap<OutPoint, TxOut> = BTreeMap::new();
        let mut fees = Amount::ZERO;
        for transaction in transactions {
            let value = |outpoint: &OutPoint| {
                let in_block = outputs.get(outpoint).map(|output| output.value);
                in_block
                    .or_else(|| self.ledger.coin(outpoint).map(|coin| coin.output.value))
                    .unwrap_or(Amount::ZERO)
            };
            let paid_in: Amount = transaction
                .input
                .iter()
                .map(|input| value(&input.previous_output))
                .sum();
            let paid_out: Amount = transaction.output.iter().map(|output| output.value).sum();
            fees += paid_in.checked_sub(paid_out).unwrap_or(Amount::ZERO);
            let txid = transaction.compute_txid();
            outputs.extend(
                (0..)
                    .zip(&transaction.output)
                    .map(|(vout, output)| (OutPoint { txid, vout }, output.clone())),
            );
        }
        fees
    }
}

impl Chain for EmbeddedChain {
    fn tip(&self) -> Tip {
        let (height, hash) = (BlockHeight(self.ledger.height()), self.ledger.tip_hash());
        Tip {
            height,
            hash,
            time: self.ledger.tip().header.time,
        }
    }

    fn coinbase_maturity(&self) -> BlockCount {
        BlockCount(self.ledger.parameters().coinbase_maturity)
    }

    fn block_hash(&self, height: BlockHeight) -> Option<BlockHash> {
        self.ledger.hash_at(height.0)
    }

    fn block(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        self.ledger.block(hash).cloned()
    }

    fn block_position(&self, hash: &BlockHash) -> Option<BlockPosition> {
        let height = BlockHeight(self.ledger.height_of(hash)?);
        Some(BlockPosition {
            height,
            active: self.ledger.is_active(hash),
        })
    }

    fn submit(&mut self, transaction: &Transaction) -> Result<Txid, Rejected> {
        let txid = transaction.compute_txid();
        if self.ledger.has_output_of(transaction) {
            return Err(Reason::AlreadyKnown.into());
        }
        if self.mempool.entry(&txid).is_none() {
            let mut acceptance = self.acceptance();
            let admission = acceptance.judge(transaction)?;
            acceptance.admit(admission);
        }
        Ok(txid)
    }

    fn submit_package(&mut self, package: &[Transaction]) -> Result<(), PackageRejected> {
        self.acceptance().submit_package(package)
    }

    fn test_accept(&mut self, transaction: &Transaction) -> Result<MempoolEntry, Rejected> {
        let admission = self.acceptance().judge(transaction)?;
        let candidate = &admission.candidates[0];
        let (txid, vsize, fee) = (candidate.txid, candidate.vsize(), candidate.fee);
        Ok(MempoolEntry {
            txid,
            vsize,
            fee,
            modified_fee_sat: candidate.modified_fee,
        })
    }

    fn mempool(&self) -> Vec<MempoolEntry> {
        let entry = |entry: &Entry| {
            let (txid, vsize, fee) = (entry.txid, entry.vsize(), entry.fee);
            MempoolEntry {
                txid,
                vsize,
                fee,
                modified_fee_sat: entry.modified_fee,
            }
        };
        self.mempool.entries().map(entry).collect()
    }

    fn mempool_transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.mempool.entry(txid).map(|entry| Arc::clone(&entry.transaction))
    }

    fn prioritise(&mut self, txid: Txid, delta_sat: i64) {
        self.mempool.prioritise(txid, delta_sat);
    }

    fn mine(&mut self, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected> {
        if let Selection::Paying { at_least, .. } = options.selection {
            self.miner_feerate = at_least;
        }
        let mut time = options.time.unwrap_or(self.tip().time.saturating_add(options.interval));
        let mut include = options.include.as_slice();
        let mut hashes = Vec::new();
        for _ in 0..options.blocks.0 {
            hashes.push(self.mine_one(options, include, time)?);
            time = time.saturating_add(options.interval);
            include = &[];
        }
        Ok(hashes)
    }

    fn submit_block(&mut self, block: &Block) -> Result<(), Rejected> {
        let change = self.ledger.accept_block(block.clone(), &mut self.scripts)?;
        self.follow(&change);
        Ok(())
    }

    fn invalidate(&mut self, hash: &BlockHash) {
        let change = self.ledger.invalidate(hash, &mut self.scripts);
        self.follow(&change);
    }

    fn reconsider(&mut self, hash: &BlockHash) {
        let change = self.ledger.reconsider(hash, &mut self.scripts);
        self.follow(&change);
    }

    fn confirmed_at(&self, txid: &Txid) -> Option<BlockHeight> {
        self.ledger.confirmed_at(txid).map(BlockHeight)
    }

    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        let coin = self.ledger.coin(outpoint)?;
        Some(Utxo {
            output: coin.output.clone(),
            height: BlockHeight(coin.height),
            coinbase: coin.coinbase,
        })
    }

    fn spent_by(&self, outpoint: &OutPoint) -> Option<Spend> {
        if let Some(txid) = self.ledger.spent_by(outpoint) {
            return Some(Spend {
                txid,
                height: self.confirmed_at(&txid),
            });
        }
        self.mempool.spent_by(outpoint).map(|txid| Spend { txid, height: None })
    }

    fn relay_feerates(&self) -> RelayFeerates {
        let policy = self.mempool.policy();
        let (min_relay, incremental) = (policy.min_relay_feerate, policy.incremental_relay_feerate);
        RelayFeerates {
            min_relay,
            mempool_min: min_relay.max(self.mempool.min_feerate()),
            incremental,
        }
    }

    fn estimate_feerate(&self, target: BlockCount) -> Option<FeeRate> {
        let nodes = self.mempool.nodes(self.mempool.entries().map(|entry| &entry.txid));
        let depth = Weight::MAX_BLOCK.to_wu() * u64::from(target.0);
        let from_mempool = assembly::feerate_at(&nodes, depth).unwrap_or(FeeRate::ZERO);
        let floor = self.relay_feerates().mempool_min;
        Some(floor.max(from_mempool).max(self.miner_feerate))
    }
}
