//! What a reorg does to the mempool: transactions of the blocks that left return, oldest first, whatever they pay; then
//! everything goes that the next block could not contain any more.

use std::sync::Arc;

use bitcoin::{Block, Txid};

use super::acceptance::{Acceptance, Limits};
use crate::consensus::locks::{is_final, sequence_locks_met};

impl Acceptance<'_> {
    /// Brings the mempool in line after these blocks, the former tip first, left the active chain.
    pub fn blocks_disconnected(&mut self, blocks: &[Arc<Block>]) {
        for block in blocks.iter().rev() {
            for transaction in &block.txdata {
                let txid = transaction.compute_txid();
                if self.ledger.confirmed_at(&txid).is_some() {
                    continue;
                }
                match self.judge_alone(transaction, Limits::ReturningFromBlock) {
                    Ok(admission) => self.admit(admission),
                    // What depends on it has lost its inputs.
                    Err(_) => self.mempool.remove_with_descendants(&txid),
                }
            }
        }
        let stranded: Vec<Txid> = self
            .mempool
            .entries
            .keys()
            .filter(|txid| !self.fits_next_block(txid))
            .copied()
            .collect();
        for txid in stranded {
            self.mempool.remove_with_descendants(&txid);
        }
    }

    /// Whether an entry's lock times are met, its inputs exist, and rewards that it spends are mature.
    fn fits_next_block(&self, txid: &Txid) -> bool {
        let Some(entry) = self.mempool.entry(txid) else {
            return true;
        };
        let next = self.ledger.next_block();
        let maturity = self.ledger.parameters().coinbase_maturity;
        let heights: Option<Vec<u32>> = entry
            .transaction
            .input
            .iter()
            .map(|input| {
                if self.mempool.entry(&input.previous_output.txid).is_some() {
                    return Some(next.height);
                }
                let coin = self.ledger.coin(&input.previous_output)?;
                (!coin.coinbase || next.height - coin.height >= maturity).then_some(coin.height)
            })
            .collect();
        heights.is_some_and(|heights| {
            is_final(&entry.transaction, next)
                && sequence_locks_met(
                    &entry.transaction,
                    &heights,
                    |height| self.ledger.median_time_past(height),
                    next,
                )
        })
    }
}
