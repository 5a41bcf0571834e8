//! The block store, the active chain and its unspent outputs.
//!
//! Every block is checked in full when it becomes part of the active chain. Spent outputs go to an undo log with their
//! block, so that a reorg of any depth costs what the blocks in it cost, and nothing is ever copied whole.
//! The most work wins; among equals the branch seen first. On regtest all blocks weigh the same, so work is height.
//!
//! Start at [`Ledger::accept_block`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, Transaction, TxOut, Txid};

use crate::consensus::block;
use crate::consensus::locks::{NextBlock, is_final, sequence_locks_met};
use crate::consensus::scripts::ScriptVerifier;
use crate::consensus::transaction::{Coin, check_amounts, check_form};
use crate::rejection::{Reason, Rejected};

/// BIP 113: how many blocks the median time is taken over.
const MEDIAN_TIME_SPAN: usize = 11;
const BLOCK_SIGOP_COST_MAX: usize = 80_000;

/// What may differ from regtest as Bitcoin Core runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainParameters {
    /// How many blocks a miner's reward has to wait, itself included; 100 in Bitcoin.
    pub coinbase_maturity: u32,
    /// After how many blocks the subsidy halves; 150 on regtest.
    pub subsidy_halving_interval: u32,
}

impl Default for ChainParameters {
    fn default() -> Self {
        Self {
            coinbase_maturity: 100,
            subsidy_halving_interval: 150,
        }
    }
}

/// The chain's state; see the module's documentation.
#[derive(Clone, Debug)]
pub struct Ledger {
    parameters: ChainParameters,
    blocks: BTreeMap<BlockHash, StoredBlock>,
    children: BTreeMap<BlockHash, Vec<BlockHash>>,
    /// The blocks not known to be invalid, the best one last.
    valid: BTreeSet<Rank>,
    active: Vec<BlockHash>,
    coins: BTreeMap<OutPoint, Coin>,
    confirmed: BTreeMap<Txid, u32>,
    spends: BTreeMap<OutPoint, Txid>,
}

/// More work first, and among equals the earlier block: height, order of arrival, hash.
type Rank = (u32, Reverse<u64>, BlockHash);

#[derive(Clone, Debug)]
struct StoredBlock {
    block: Arc<Block>,
    height: u32,
    /// The order of arrival, which decides between branches of equal work.
    sequence: u64,
    invalid: bool,
    /// The outputs this block spent, in order; filled while it is part of the active chain.
    undo: Vec<(OutPoint, Coin)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    Valid,
    Invalid,
}

/// How the active chain changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainChange {
    /// Blocks that left it, the old tip first.
    pub disconnected: Vec<Arc<Block>>,
    /// Blocks that joined it, the new tip last.
    pub connected: Vec<Arc<Block>>,
}

impl Ledger {
    /// A chain of regtest's genesis block alone.
    pub fn new(parameters: ChainParameters) -> Self {
        let genesis = genesis_block(Network::Regtest);
        let hash = genesis.block_hash();
        // The genesis reward is no coin: consensus never made it spendable.
        let stored = StoredBlock {
            block: Arc::new(genesis),
            height: 0,
            sequence: 0,
            invalid: false,
            undo: Vec::new(),
        };
        Self {
            parameters,
            blocks: BTreeMap::from([(hash, stored)]),
            children: BTreeMap::new(),
            valid: BTreeSet::from([(0, Reverse(0), hash)]),
            active: vec![hash],
            coins: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            spends: BTreeMap::new(),
        }
    }

    /// Stores a block and makes its branch the active chain if that has most work now.
    ///
    /// A block that turns out invalid when it would be connected is remembered as such, and refused.
    pub fn accept_block(&mut self, block: Block, scripts: &mut ScriptVerifier) -> Result<ChainChange, Rejected> {
        let hash = block.block_hash();
        if let Some(known) = self.blocks.get(&hash) {
            return Err(if known.invalid {
                Reason::DuplicateInvalidBlock
            } else {
                Reason::DuplicateBlock
            }
            .into());
        }
        let previous = self
            .blocks
            .get(&block.header.prev_blockhash)
            .ok_or(Reason::PreviousBlockUnknown)?;
        if previous.invalid {
            return Err(Reason::PreviousBlockInvalid.into());
        }
        let height = previous.height + 1;
        block::check_form(&block, height)?;
        if block.header.time <= self.median_time_past_of(&block.header.prev_blockhash) {
            return Err(Reason::TimeTooOld.into());
        }
        self.store(hash, block, height);
        if self.blocks[&hash].block.header.prev_blockhash == self.tip_hash() {
            // The usual case: no other branch can have become better.
            if let Err(rejected) = self.connect(&hash, scripts) {
                self.mark_invalid(&hash);
                return Err(rejected);
            }
            let connected = vec![Arc::clone(&self.blocks[&hash].block)];
            return Ok(ChainChange {
                disconnected: Vec::new(),
                connected,
            });
        }
        let (change, failure) = self.activate_best_branch(scripts);
        match failure {
            Some((failed, rejected)) if failed == hash => {
                assert_eq!(
                    change,
                    ChainChange::default(),
                    "a branch that fails at its end was no better before"
                );
                Err(rejected)
            }
            _ => Ok(change),
        }
    }

    /// Marks a block and its descendants invalid, and follows the best remaining branch.
    pub fn invalidate(&mut self, hash: &BlockHash, scripts: &mut ScriptVerifier) -> ChainChange {
        if self.height_of(hash).is_none_or(|height| height == 0) {
            return ChainChange::default();
        }
        self.mark_invalid(hash);
        self.activate_best_branch(scripts).0
    }

    /// Forgives a block, its ancestors and its descendants, and follows the best branch.
    pub fn reconsider(&mut self, hash: &BlockHash, scripts: &mut ScriptVerifier) -> ChainChange {
        let mut forgiven = self.descendants(hash);
        let mut ancestor = *hash;
        while let Some(stored) = self.blocks.get(&ancestor).filter(|stored| stored.invalid) {
            forgiven.push(ancestor);
            ancestor = stored.block.header.prev_blockhash;
        }
        for block in forgiven {
            self.set_validity(&block, Validity::Valid);
        }
        self.activate_best_branch(scripts).0
    }

    /// The parameters given at the start.
    pub fn parameters(&self) -> ChainParameters {
        self.parameters
    }

    /// The height of the tip.
    pub fn height(&self) -> u32 {
        u32::try_from(self.active.len() - 1).expect("heights fit 32 bits")
    }

    /// The tip's hash.
    pub fn tip_hash(&self) -> BlockHash {
        self.active[self.active.len() - 1]
    }

    /// The tip.
    pub fn tip(&self) -> &Block {
        &self.blocks[&self.tip_hash()].block
    }

    /// The active chain's block at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// A block of any branch.
    pub fn block(&self, hash: &BlockHash) -> Option<&Arc<Block>> {
        self.blocks.get(hash).map(|stored| &stored.block)
    }

    /// The height of a block of any branch.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.blocks.get(hash).map(|stored| stored.height)
    }

    /// Whether a block belongs to the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.height_of(hash)
            .is_some_and(|height| self.hash_at(height) == Some(*hash))
    }

    /// An unspent output of the active chain.
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// Whether a transaction is confirmed and has an unspent output, which is how bitcoind tells that it is known.
    pub fn has_output_of(&self, transaction: &Transaction) -> bool {
        let txid = transaction.compute_txid();
        let outputs = u32::try_from(transaction.output.len()).expect("outputs fit 32 bits");
        (0..outputs).any(|vout| self.coins.contains_key(&OutPoint { txid, vout }))
    }

    /// The height at which the active chain confirms a transaction.
    pub fn confirmed_at(&self, txid: &Txid) -> Option<u32> {
        self.confirmed.get(txid).copied()
    }

    /// A transaction that the active chain confirms.
    pub fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        let hash = self.hash_at(self.confirmed_at(txid)?)?;
        self.blocks[&hash]
            .block
            .txdata
            .iter()
            .find(|transaction| transaction.compute_txid() == *txid)
    }

    /// The confirmed transaction that spends an output.
    pub fn spent_by(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spends.get(outpoint).copied()
    }

    /// What lock times are compared with in the next block.
    pub fn next_block(&self) -> NextBlock {
        NextBlock {
            height: self.height() + 1,
            median_time_past: self.median_time_past(self.height()),
        }
    }

    /// The median time of the eleven blocks up to and including `height` of the active chain.
    pub fn median_time_past(&self, height: u32) -> u32 {
        self.hash_at(height).map_or(0, |hash| self.median_time_past_of(&hash))
    }

    /// What a block at this height may create.
    pub fn subsidy(&self, height: u32) -> Amount {
        let halvings = height / self.parameters.subsidy_halving_interval;
        Amount::from_sat(Amount::from_int_btc(50).to_sat().checked_shr(halvings).unwrap_or(0))
    }

    fn median_time_past_of(&self, hash: &BlockHash) -> u32 {
        let mut times = Vec::with_capacity(MEDIAN_TIME_SPAN);
        let mut next = *hash;
        while let Some(stored) = self.blocks.get(&next).filter(|_| times.len() < MEDIAN_TIME_SPAN) {
            times.push(stored.block.header.time);
            next = stored.block.header.prev_blockhash;
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn activate_best_branch(&mut self, scripts: &mut ScriptVerifier) -> (ChainChange, Option<(BlockHash, Rejected)>) {
        let mut disconnected = Vec::new();
        let mut connected: Vec<Arc<Block>> = Vec::new();
        let mut failure = None;
        loop {
            let (_, _, best) = *self.valid.last().expect("the genesis block is valid");
            let branch = self.branch_to(&best);
            let fork_height = self.blocks[&branch[0]].height;
            while self.height() > fork_height {
                let block = self.disconnect_tip();
                // A block joined by an attempt that failed further up is as if it had never been.
                if connected
                    .last()
                    .is_some_and(|last| last.block_hash() == block.block_hash())
                {
                    connected.pop();
                } else {
                    disconnected.push(block);
                }
            }
            let mut complete = true;
            for hash in &branch[1..] {
                if let Err(rejected) = self.connect(hash, scripts) {
                    self.mark_invalid(hash);
                    failure = Some((*hash, rejected));
                    complete = false;
                    break;
                }
                connected.push(Arc::clone(&self.blocks[hash].block));
            }
            if complete {
                break;
            }
        }
        // Blocks that left and came back did not move.
        while let (Some(left), Some(joined)) = (disconnected.last(), connected.first()) {
            if !Arc::ptr_eq(left, joined) {
                break;
            }
            disconnected.pop();
            connected.remove(0);
        }
        (
            ChainChange {
                disconnected,
                connected,
            },
            failure,
        )
    }

    fn store(&mut self, hash: BlockHash, block: Block, height: u32) {
        let sequence = self.blocks.len() as u64;
        self.children.entry(block.header.prev_blockhash).or_default().push(hash);
        self.valid.insert((height, Reverse(sequence), hash));
        let block = Arc::new(block);
        self.blocks.insert(
            hash,
            StoredBlock {
                block,
                height,
                sequence,
                invalid: false,
                undo: Vec::new(),
            },
        );
    }

    /// The way from the active chain to a block: the fork point first, the block last.
    fn branch_to(&self, hash: &BlockHash) -> Vec<BlockHash> {
        let mut branch = vec![*hash];
        while !self.is_active(&branch[branch.len() - 1]) {
            branch.push(self.blocks[&branch[branch.len() - 1]].block.header.prev_blockhash);
        }
        branch.reverse();
        branch
    }

    /// A block and all that build on it.
    fn descendants(&self, hash: &BlockHash) -> Vec<BlockHash> {
        let mut found = vec![*hash];
        let mut next = 0;
        while next < found.len() {
            found.extend(self.children.get(&found[next]).into_iter().flatten());
            next += 1;
        }
        found
    }

    fn mark_invalid(&mut self, hash: &BlockHash) {
        for descendant in self.descendants(hash) {
            self.set_validity(&descendant, Validity::Invalid);
        }
    }

    fn set_validity(&mut self, hash: &BlockHash, validity: Validity) {
        if let Some(stored) = self.blocks.get_mut(hash) {
            let rank = (stored.height, Reverse(stored.sequence), *hash);
            match validity {
                Validity::Valid => self.valid.insert(rank),
                Validity::Invalid => self.valid.remove(&rank),
            };
            stored.invalid = validity == Validity::Invalid;
        }
    }

    fn disconnect_tip(&mut self) -> Arc<Block> {
        assert!(self.active.len() > 1, "the genesis block is never disconnected");
        let hash = self.active.pop().expect("the active chain has a tip");
        let stored = self.blocks.get_mut(&hash).expect("an active block is stored");
        let undo = std::mem::take(&mut stored.undo);
        let block = Arc::clone(&stored.block);
        self.undo_transactions(&block.txdata, undo);
        block
    }

    fn undo_transactions(&mut self, transactions: &[Transaction], undo: Vec<(OutPoint, Coin)>) {
        for (outpoint, coin) in undo {
            self.coins.insert(outpoint, coin);
            self.spends.remove(&outpoint);
        }
        // Last, since a coin made and spent within the block is in the undo log too.
        for transaction in transactions {
            let txid = transaction.compute_txid();
            self.confirmed.remove(&txid);
            for vout in 0..u32::try_from(transaction.output.len()).expect("outputs fit 32 bits") {
                self.coins.remove(&OutPoint { txid, vout });
            }
        }
    }

    fn connect(&mut self, hash: &BlockHash, scripts: &mut ScriptVerifier) -> Result<(), Rejected> {
        let block = Arc::clone(&self.blocks[hash].block);
        let next = self.next_block();
        let mut undo = Vec::new();
        let result = self.connect_transactions(&block, next, scripts, &mut undo);
        match result {
            Ok(()) => {
                self.blocks.get_mut(hash).expect("the block is stored").undo = undo;
                self.active.push(*hash);
                Ok(())
            }
            Err((applied, rejected)) => {
                self.undo_transactions(&block.txdata[..applied], undo);
                Err(rejected)
            }
        }
    }

    /// Applies the block's transactions; on failure says how many have been.
    fn connect_transactions(
        &mut self,
        block: &Block,
        next: NextBlock,
        scripts: &mut ScriptVerifier,
        undo: &mut Vec<(OutPoint, Coin)>,
    ) -> Result<(), (usize, Rejected)> {
        let mut fees = Amount::ZERO;
        let mut sigops = 0;
        for (index, transaction) in block.txdata.iter().enumerate() {
            let coins = if index == 0 {
                check_form(transaction).map(|()| Vec::new())
            } else {
                self.check_in_block(transaction, next, scripts).map(|(fee, coins)| {
                    fees += fee;
                    coins
                })
            };
            let coins = coins.map_err(|rejected| (index, rejected))?;
            let spent: BTreeMap<OutPoint, TxOut> = transaction
                .input
                .iter()
                .zip(&coins)
                .map(|(input, coin)| (input.previous_output, coin.output.clone()))
                .collect();
            sigops += transaction.total_sigop_cost(|outpoint| spent.get(outpoint).cloned());
            if sigops > BLOCK_SIGOP_COST_MAX {
                return Err((index, Reason::BlockSigops.into()));
            }
            self.apply(transaction, coins, next.height, undo);
        }
        let reward: Amount = block.txdata[0].output.iter().map(|output| output.value).sum();
        if reward > self.subsidy(next.height) + fees {
            return Err((block.txdata.len(), Reason::CoinbaseAmount.into()));
        }
        Ok(())
    }

    fn check_in_block(
        &self,
        transaction: &Transaction,
        next: NextBlock,
        scripts: &mut ScriptVerifier,
    ) -> Result<(Amount, Vec<Coin>), Rejected> {
        check_form(transaction)?;
        if !is_final(transaction, next) {
            return Err(Reason::BlockNonFinal.into());
        }
        let coins: Vec<Coin> = transaction
            .input
            .iter()
            .map(|input| {
                self.coins
                    .get(&input.previous_output)
                    .cloned()
                    .ok_or(Reason::MissingInputs)
            })
            .collect::<Result<_, _>>()?;
        let fee = check_amounts(transaction, &coins, next.height, self.parameters.coinbase_maturity)?;
        let heights: Vec<u32> = coins.iter().map(|coin| coin.height).collect();
        if !sequence_locks_met(transaction, &heights, |height| self.median_time_past(height), next) {
            return Err(Reason::BlockNonFinal.into());
        }
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        scripts
            .verify(transaction, &spent)
            .map_err(|invalid| Reason::BlockScriptFailed.because(format!("input {}", invalid.input)))?;
        Ok((fee, coins))
    }

    fn apply(&mut self, transaction: &Transaction, coins: Vec<Coin>, height: u32, undo: &mut Vec<(OutPoint, Coin)>) {
        let txid = transaction.compute_txid();
        for (input, coin) in transaction.input.iter().zip(coins) {
            self.coins.remove(&input.previous_output);
            self.spends.insert(input.previous_output, txid);
            undo.push((input.previous_output, coin));
        }
        for (vout, output) in (0..).zip(&transaction.output) {
            if !output.script_pubkey.is_op_return() {
                let coin = Coin {
                    output: output.clone(),
                    height,
                    coinbase: transaction.is_coinbase(),
                };
                self.coins.insert(OutPoint { txid, vout }, coin);
            }
        }
        self.confirmed.insert(txid, height);
    }
}
