//! Any chain behind a pointer is a chain: for worlds that are told at run time whether theirs is embedded or real.

use std::sync::Arc;

use bitcoin::{Block, BlockHash, FeeRate, OutPoint, Transaction, Txid};
use quittance_primitives::{BlockCount, BlockHeight};

use crate::chain::{BlockPosition, Chain, ChainEvent, MempoolEntry, MineOptions, RelayFeerates, Spend, Tip, Utxo};
use crate::rejection::{PackageRejected, Rejected};

impl<C: Chain + ?Sized> Chain for Box<C> {
    fn tip(&self) -> Tip {
        (**self).tip()
    }

    fn coinbase_maturity(&self) -> BlockCount {
        (**self).coinbase_maturity()
    }

    fn block_hash(&self, height: BlockHeight) -> Option<BlockHash> {
        (**self).block_hash(height)
    }

    fn block(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        (**self).block(hash)
    }

    fn block_position(&self, hash: &BlockHash) -> Option<BlockPosition> {
        (**self).block_position(hash)
    }

    fn submit(&mut self, transaction: &Transaction) -> Result<Txid, Rejected> {
        (**self).submit(transaction)
    }

    fn submit_package(&mut self, package: &[Transaction]) -> Result<(), PackageRejected> {
        (**self).submit_package(package)
    }

    fn test_accept(&mut self, transaction: &Transaction) -> Result<MempoolEntry, Rejected> {
        (**self).test_accept(transaction)
    }

    fn mempool(&self) -> Vec<MempoolEntry> {
        (**self).mempool()
    }

    fn mempool_transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        (**self).mempool_transaction(txid)
    }

    fn prioritise(&mut self, txid: Txid, delta_sat: i64) {
        (**self).prioritise(txid, delta_sat);
    }

    fn mine(&mut self, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected> {
        (**self).mine(options)
    }

    fn submit_block(&mut self, block: &Block) -> Result<(), Rejected> {
        (**self).submit_block(block)
    }

    fn invalidate(&mut self, hash: &BlockHash) {
        (**self).invalidate(hash);
    }

    fn reconsider(&mut self, hash: &BlockHash) {
        (**self).reconsider(hash);
    }

    fn reorg(&mut self, depth: BlockCount, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected> {
        (**self).reorg(depth, options)
    }

    fn confirmed_at(&self, txid: &Txid) -> Option<BlockHeight> {
        (**self).confirmed_at(txid)
    }

    fn confirmations(&self, txid: &Txid) -> Option<BlockCount> {
        (**self).confirmations(txid)
    }

    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        (**self).utxo(outpoint)
    }

    fn spent_by(&self, outpoint: &OutPoint) -> Option<Spend> {
        (**self).spent_by(outpoint)
    }

    fn relay_feerates(&self) -> RelayFeerates {
        (**self).relay_feerates()
    }

    fn estimate_feerate(&self, target: BlockCount) -> Option<FeeRate> {
        (**self).estimate_feerate(target)
    }

    fn events_since(&self, last: &BlockHash) -> Option<Vec<ChainEvent>> {
        (**self).events_since(last)
    }
}
