//! Ephemeral dust: an output below the dust limit is standard if its transaction pays no fee, so that nobody mines it
//! alone, and if whoever spends the transaction while it is unconfirmed spends the dust too.
//! Zero-fee commitments rest on it with their pay-to-anchor output.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, Txid};

use super::Mempool;
use super::standard::dust_outputs;
use crate::rejection::{Reason, Rejected};

impl Mempool {
    /// A transaction with dust must pay nothing, priority included.
    pub(super) fn check_dust_is_free(
        &self,
        transaction: &Transaction,
        fee_sat: u64,
        modified_fee: i64,
    ) -> Result<(), Rejected> {
        let has_dust = !dust_outputs(transaction, self.policy().dust_relay_feerate).is_empty();
        if has_dust && (fee_sat != 0 || modified_fee != 0) {
            return Err(Reason::Dust.because("tx with dust output must be 0-fee"));
        }
        Ok(())
    }

    /// Every transaction must spend all dust of the unconfirmed parents it spends; names the one that does not.
    pub(super) fn check_dust_is_spent(&self, transactions: &[&Transaction]) -> Result<(), (Txid, Rejected)> {
        let package: BTreeMap<Txid, &Transaction> = transactions
            .iter()
            .map(|transaction| (transaction.compute_txid(), *transaction))
            .collect();
        for (txid, child) in &package {
            let spent: BTreeSet<OutPoint> = child.input.iter().map(|input| input.previous_output).collect();
            let parents: BTreeSet<Txid> = spent.iter().map(|outpoint| outpoint.txid).collect();
            for parent_id in parents {
                let in_mempool = || self.entry(&parent_id).map(|entry| &*entry.transaction);
                let Some(parent) = package.get(&parent_id).copied().or_else(in_mempool) else {
                    continue;
                };
                let dust = dust_outputs(parent, self.policy().dust_relay_feerate);
                if dust.iter().any(|vout| {
                    !spent.contains(&OutPoint {
                        txid: parent_id,
                        vout: *vout,
                    })
                }) {
                    let details = format!("tx {txid} did not spend parent's ephemeral dust");
                    return Err((*txid, Reason::MissingEphemeralSpends.because(details)));
                }
            }
        }
        Ok(())
    }
}
