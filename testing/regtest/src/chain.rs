//! What a test, a simulator or a node under test may ask of a chain: [`Chain`], and the values it speaks.
//!
//! Two implementations keep the same contract: [`crate::EmbeddedChain`] in memory, and one over a real bitcoind.
//! Events are derived, not queued: a consumer remembers the last block it processed and asks for what changed since,
//! so that it can crash, restart and catch up at will.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::{Amount, Block, BlockHash, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Weight};
use quittance_primitives::{BlockCount, BlockHeight};

use crate::rejection::{PackageRejected, Rejected};

/// A regtest chain with its mempool and its miner.
///
/// Methods panic only if the backend itself is lost (a bitcoind that died): no test can go on from there.
pub trait Chain {
    /// The last block of the active chain.
    fn tip(&self) -> Tip;

    /// How many blocks a miner's reward has to wait, its own included.
    fn coinbase_maturity(&self) -> BlockCount;

    /// The active chain's block at `height`.
    fn block_hash(&self, height: BlockHeight) -> Option<BlockHash>;

    /// A block of the active chain or of a stale branch.
    fn block(&self, hash: &BlockHash) -> Option<Arc<Block>>;

    /// Where a known block is.
    fn block_position(&self, hash: &BlockHash) -> Option<BlockPosition>;

    /// Offers a transaction to the mempool. Idempotent: one that is already there is accepted again.
    fn submit(&mut self, transaction: &Transaction) -> Result<Txid, Rejected>;

    /// Offers a child and its parents, parents first, judged by their common feerate where single ones fail.
    fn submit_package(&mut self, package: &[Transaction]) -> Result<(), PackageRejected>;

    /// Judges a transaction as [`Chain::submit`] does, and leaves the mempool as it is.
    fn test_accept(&mut self, transaction: &Transaction) -> Result<MempoolEntry, Rejected>;

    /// What waits for confirmation, by txid.
    fn mempool(&self) -> Vec<MempoolEntry>;

    /// A transaction that waits for confirmation.
    fn mempool_transaction(&self, txid: &Txid) -> Option<Arc<Transaction>>;

    /// Adds `delta` satoshis to the fee by which the miner and the mempool judge a transaction, now or when it arrives.
    fn prioritise(&mut self, txid: Txid, delta_sat: i64);

    /// Mines blocks on the tip; returns their hashes. Refused, with nothing changed, if a block would be invalid, which only
    /// [`MineOptions::include`] and [`MineOptions::time`] can bring about.
    fn mine(&mut self, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected>;

    /// Takes a block that somebody else mined, on any known branch.
    fn submit_block(&mut self, block: &Block) -> Result<(), Rejected>;

    /// Disconnects this block and all that build on it; their transactions return to the mempool where they still may.
    /// The best remaining branch becomes the active chain. Nothing happens if the block is unknown or the genesis block.
    fn invalidate(&mut self, hash: &BlockHash);

    /// Forgives a block and all that build on it; the best branch becomes the active chain.
    fn reconsider(&mut self, hash: &BlockHash);

    /// Replaces the last `depth` blocks by a branch mined with `options`, which should be at least one block longer.
    fn reorg(&mut self, depth: BlockCount, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected> {
        let tip = self.tip().height;
        if depth.0 > 0 {
            let first = tip.saturating_sub(BlockCount(depth.0.saturating_sub(1)));
            let hash = self.block_hash(first).expect("a height up to the tip has a block");
            self.invalidate(&hash);
        }
        self.mine(options)
    }

    /// The height at which a transaction is confirmed in the active chain.
    fn confirmed_at(&self, txid: &Txid) -> Option<BlockHeight>;

    /// How often a transaction is confirmed: 1 in the tip; 0 if it only waits in the mempool; `None` if unknown.
    fn confirmations(&self, txid: &Txid) -> Option<BlockCount> {
        match self.confirmed_at(txid) {
            Some(height) => Some(height.depth_at(self.tip().height)),
            None => self.mempool_transaction(txid).map(|_| BlockCount(0)),
        }
    }

    /// An output that is unspent in the active chain, whatever the mempool says.
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo>;

    /// The transaction that spends an output, in the active chain or in the mempool.
    fn spent_by(&self, outpoint: &OutPoint) -> Option<Spend>;

    /// The least feerates for entering and replacing.
    fn relay_feerates(&self) -> RelayFeerates;

    /// The feerate with which a transaction would confirm within `target` blocks, or `None` if that cannot be told.
    fn estimate_feerate(&self, target: BlockCount) -> Option<FeeRate>;

    /// What a consumer that last processed block `last` has to undo and to process, in order.
    /// An unknown `last` is an error of the caller's and yields `None`.
    fn events_since(&self, last: &BlockHash) -> Option<Vec<ChainEvent>> {
        let mut events = Vec::new();
        let mut hash = *last;
        let mut position = self.block_position(&hash)?;
        while !position.active {
            let block = self.block(&hash)?;
            events.push(ChainEvent::BlockDisconnected {
                height: position.height,
                header: block.header,
            });
            hash = block.header.prev_blockhash;
            position = self.block_position(&hash)?;
        }
        for height in position.height.0 + 1..=self.tip().height.0 {
            let height = BlockHeight(height);
            let block = self.block(&self.block_hash(height)?)?;
            events.push(ChainEvent::BlockConnected { height, block });
        }
        Some(events)
    }
}

/// The last block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// Its time stamp, in seconds since 1970.
    pub time: u32,
}

/// Where a known block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPosition {
    /// Its height.
    pub height: BlockHeight,
    /// Whether it belongs to the active chain.
    pub active: bool,
}

/// A change of the active chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// The block that was the tip no longer is part of the active chain.
    BlockDisconnected {
        /// Its height.
        height: BlockHeight,
        /// Its header.
        header: Header,
    },
    /// This block is the new tip.
    BlockConnected {
        /// Its height.
        height: BlockHeight,
        /// Its header and transactions, shared with the chain.
        block: Arc<Block>,
    },
}

/// A transaction in the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolEntry {
    /// The transaction.
    pub txid: Txid,
    /// Its size as policy counts it, in virtual bytes.
    pub vsize: u64,
    /// The fee it pays.
    pub fee: Amount,
    /// The fee by which it is judged, in satoshis, priority included.
    pub modified_fee_sat: i64,
}

/// The least feerates of a mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayFeerates {
    /// To enter at all.
    pub min_relay: FeeRate,
    /// To enter while the mempool is full; the same if it is not.
    pub mempool_min: FeeRate,
    /// What a replacement pays for its own size.
    pub incremental: FeeRate,
}

/// An unspent output of the active chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utxo {
    /// The output.
    pub output: TxOut,
    /// Where it was confirmed.
    pub height: BlockHeight,
    /// Whether it is a miner's reward, to be spent only when mature.
    pub coinbase: bool,
}

/// Who spends an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The spending transaction.
    pub txid: Txid,
    /// Where it was confirmed; `None` in the mempool.
    pub height: Option<BlockHeight>,
}

/// How to mine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MineOptions {
    /// How many blocks.
    pub blocks: BlockCount,
    /// What the miner takes from the mempool.
    pub selection: Selection,
    /// Transactions that the first block contains whatever the mempool's policy says, parents first. They must be valid.
    pub include: Vec<Transaction>,
    /// Transactions that the miner leaves out, with their descendants.
    pub exclude: BTreeSet<Txid>,
    /// Time stamp of the first block, in seconds since 1970; each later one is an interval after the last.
    /// Without it the first block, too, comes one interval after the tip.
    pub time: Option<u32>,
    /// By how many seconds each block is later than the one before.
    pub interval: u32,
    /// Who gets subsidy and fees; anyone can spend the reward otherwise (see [`crate::faucet`]).
    pub reward: Option<ScriptBuf>,
}

/// What the miner takes from the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Nothing: an empty block.
    Nothing,
    /// The best-paying transactions, as long as they pay this feerate together with what they depend on, and fit.
    Paying {
        /// The least feerate. Transactions without any fee are left out even at zero.
        at_least: FeeRate,
        /// The most that all transactions, without the coinbase, may weigh.
        weight_max: Weight,
    },
}

/// The time between two blocks unless the caller says otherwise.
pub const BLOCK_INTERVAL_SECONDS: u32 = 600;

impl MineOptions {
    /// `blocks` blocks with everything that pays at all.
    pub fn blocks(blocks: u32) -> Self {
        Self {
            blocks: BlockCount(blocks),
            selection: Selection::paying(FeeRate::ZERO),
            include: Vec::new(),
            exclude: BTreeSet::new(),
            time: None,
            interval: BLOCK_INTERVAL_SECONDS,
            reward: None,
        }
    }

    /// `blocks` blocks that leave the mempool alone.
    pub fn empty(blocks: u32) -> Self {
        Self {
            selection: Selection::Nothing,
            ..Self::blocks(blocks)
        }
    }

    /// `blocks` blocks in which nothing confirms below `feerate`.
    pub fn at_least(blocks: u32, feerate: FeeRate) -> Self {
        Self {
            selection: Selection::paying(feerate),
            ..Self::blocks(blocks)
        }
    }

    /// The same, with `transactions` in the first block.
    #[must_use]
    pub fn including(mut self, transactions: impl IntoIterator<Item = Transaction>) -> Self {
        self.include.extend(transactions);
        self
    }

    /// The same, without `txids`.
    #[must_use]
    pub fn excluding(mut self, txids: impl IntoIterator<Item = Txid>) -> Self {
        self.exclude.extend(txids);
        self
    }

    /// The same, with the first block at `time`.
    #[must_use]
    pub fn at_time(mut self, time: u32) -> Self {
        self.time = Some(time);
        self
    }
}

impl Selection {
    /// All that pays `at_least`, up to a full block.
    pub fn paying(at_least: FeeRate) -> Self {
        // Bitcoin Core keeps 8,000 weight units for the header and the coinbase.
        Self::Paying {
            at_least,
            weight_max: Weight::from_wu(Weight::MAX_BLOCK.to_wu() - 8_000),
        }
    }
}
