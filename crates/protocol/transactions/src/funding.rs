//! The funding output: its script, its witness, and the check of a funding transaction (BOLT 3, funding transaction output).

use bitcoin::ecdsa::Signature;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness};
use secp256k1::{PublicKey, ecdsa};

use crate::{ChannelTerms, scripts};

/// A transaction does not fund the channel as agreed. Whoever made the transaction is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongFunding {
    /// It is another transaction than the one that was announced.
    #[error("the transaction is not the announced {expected}")]
    OtherTransaction {
        /// The announced transaction id.
        expected: bitcoin::Txid,
    },
    /// It has no output at the announced place.
    #[error("the transaction has no output {vout}")]
    NoSuchOutput {
        /// The announced output index.
        vout: u32,
    },
    /// The output is locked by another script.
    #[error("the funding output has another script than the 2-of-2 of both funding keys")]
    WrongScript,
    /// The output holds another amount.
    #[error("the funding output holds {got} instead of {expected}")]
    WrongValue {
        /// What was agreed.
        expected: Amount,
        /// What it holds.
        got: Amount,
    },
}

/// The output that a funding transaction must have for these two funding keys.
pub fn output(one: &PublicKey, other: &PublicKey, value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: scripts::funding(one, other).to_p2wsh(),
    }
}

/// Checks that `transaction` holds the funding output that `terms` name: same id, place, script and value.
///
/// # Errors
/// The first [`WrongFunding`] found.
pub fn check(terms: &ChannelTerms, transaction: &Transaction) -> Result<(), WrongFunding> {
    let outpoint = terms.funding_outpoint;
    if transaction.compute_txid() != outpoint.txid {
        return Err(WrongFunding::OtherTransaction {
            expected: outpoint.txid,
        });
    }
    let place = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
    let output = transaction
        .output
        .get(place)
        .ok_or(WrongFunding::NoSuchOutput { vout: outpoint.vout })?;
    let expected = terms.funding_output();
    if output.script_pubkey != expected.script_pubkey {
        return Err(WrongFunding::WrongScript);
    }
    if output.value != expected.value {
        return Err(WrongFunding::WrongValue {
            expected: expected.value,
            got: output.value,
        });
    }
    Ok(())
}

/// The witness that spends the funding output: both signatures in the order of the keys in the script.
pub fn witness(one: (&PublicKey, &ecdsa::Signature), other: (&PublicKey, &ecdsa::Signature)) -> Witness {
    let script: ScriptBuf = scripts::funding(one.0, other.0);
    let (first, second) = if one.0.serialize() < other.0.serialize() {
        (one.1, other.1)
    } else {
        (other.1, one.1)
    };
    let mut witness = Witness::new();
    witness.push([]);
    witness.push(Signature::sighash_all(*first).serialize());
    witness.push(Signature::sighash_all(*second).serialize());
    witness.push(script);
    witness
}
