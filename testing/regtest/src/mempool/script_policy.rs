//! The part of script policy that goes beyond consensus and that a Lightning node can trip over by mistake: signatures with a
//! high S value, uncompressed keys, and arguments of `OP_IF` that are neither empty nor one.
//!
//! It reads witnesses instead of running them: whatever parses as a signature is taken for one, and of `OP_IF` arguments
//! only those are seen that a script takes first. Bitcoin Core finds more.

use bitcoin::opcodes::all::{OP_IF, OP_NOTIF};
use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::{Transaction, TxOut};

/// What is wrong, in the words of Bitcoin Core's script errors, or nothing.
pub(super) fn violation(transaction: &Transaction, spent: &[TxOut]) -> Option<&'static str> {
    transaction.input.iter().zip(spent).find_map(|(input, output)| {
        let items: Vec<&[u8]> = input.witness.iter().collect();
        let script = &output.script_pubkey;
        if (script.is_p2wpkh() || script.is_p2wsh()) && items.iter().any(|item| has_high_s(item)) {
            return Some("Non-canonical signature: S value is unnecessarily high");
        }
        match items.as_slice() {
            [_, key] if script.is_p2wpkh() && key.len() != 33 => Some("Using non-compressed keys in segwit"),
            [.., argument, witness_script] if script.is_p2wsh() => {
                let first = witness_script.first().copied();
                let branches = first == Some(OP_IF.to_u8()) || first == Some(OP_NOTIF.to_u8());
                let minimal = argument.is_empty() || *argument == [1];
                (branches && !minimal).then_some("OP_IF/NOTIF argument must be minimal")
            }
            _ => None,
        }
    })
}

fn has_high_s(item: &[u8]) -> bool {
    let Some((_sighash_type, der)) = item.split_last() else {
        return false;
    };
    Signature::from_der(der).is_ok_and(|signature| {
        let mut normalised = signature;
        normalised.normalize_s();
        normalised != signature
    })
}
