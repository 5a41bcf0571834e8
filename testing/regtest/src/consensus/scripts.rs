//! Every input's script, run by Bitcoin Core's consensus code with all soft forks active, taproot included.
//!
//! A transaction id commits to the outputs that it spends, so a verdict holds for ever: transactions that passed are
//! remembered by wtxid, and confirm or return after a reorg without running a script again.

use std::collections::BTreeSet;

use bitcoin::consensus::encode::serialize;
use bitcoin::{Transaction, TxOut, Wtxid};

/// Remembered verdicts are dropped when there are this many: some tens of megabytes.
const REMEMBERED_MAX: usize = 500_000;

/// Runs scripts, each transaction's once.
#[derive(Clone, Debug, Default)]
pub struct ScriptVerifier {
    valid: BTreeSet<Wtxid>,
}

/// The script of this input fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScript {
    /// Which input.
    pub input: usize,
}

impl ScriptVerifier {
    /// Runs the scripts of all inputs. `spent` are the outputs spent, in the order of the inputs.
    pub fn verify(&mut self, transaction: &Transaction, spent: &[TxOut]) -> Result<(), InvalidScript> {
        assert_eq!(transaction.input.len(), spent.len(), "every input spends one output");
        let wtxid = transaction.compute_wtxid();
        if self.valid.contains(&wtxid) {
            return Ok(());
        }
        verify_scripts(transaction, spent)?;
        if self.valid.len() >= REMEMBERED_MAX {
            self.valid.clear();
        }
        self.valid.insert(wtxid);
        Ok(())
    }
}

fn verify_scripts(transaction: &Transaction, spent: &[TxOut]) -> Result<(), InvalidScript> {
    let bytes = serialize(transaction);
    let utxos: Vec<bitcoinconsensus::Utxo> = spent
        .iter()
        .map(|output| bitcoinconsensus::Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len()).expect("a script fits a block"),
            value: i64::try_from(output.value.to_sat()).expect("an amount is at most 21 million bitcoin"),
        })
        .collect();
    // Only taproot's signature hash covers all outputs spent; leaving them out keeps large transactions linear.
    let taproot = spent.iter().any(|output| output.script_pubkey.is_p2tr());
    let (utxos, flags) = if taproot {
        (
            Some(utxos.as_slice()),
            bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT,
        )
    } else {
        (None, bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT)
    };
    for (input, output) in spent.iter().enumerate() {
        let script = output.script_pubkey.as_bytes();
        bitcoinconsensus::verify_with_flags(script, output.value.to_sat(), &bytes, utxos, input, flags)
            .map_err(|_| InvalidScript { input })?;
    }
    Ok(())
}
