//! Fees and assembly of a transaction that both sides build together (BOLT 2, interactive transaction construction; BOLT 3,
//! calculating fees for collaborative transactions).
//!
//! Each side pays for the inputs and outputs that it adds; the initiator also pays for what is common to both.

use bitcoin::transaction::Version;
use bitcoin::{Amount, Script, Transaction, TxIn, TxOut, Weight, absolute};
use quittance_primitives::FeeratePerKw;

/// What one side adds to a common transaction, as far as its weight goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// How many inputs it adds.
    pub inputs: u32,
    /// The serialised size in bytes of all their witnesses, counts included.
    pub witness_bytes: u64,
    /// The output scripts that it adds; the initiator's include the funding output.
    pub output_script_bytes: Vec<u64>,
}

/// Who pays for version, lock time, counts, marker and flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The initiator: it does.
    Initiator,
    /// The other side: it pays for its own additions only.
    Contributor,
}

impl Contribution {
    /// Adds an output with this script.
    #[must_use]
    pub fn with_output(mut self, script: &Script) -> Self {
        self.output_script_bytes
            .push(u64::try_from(script.len()).expect("a script has fewer than 2^64 bytes"));
        self
    }

    /// The weight that this side pays for (BOLT 3, appendix G). Witnesses count for at least 107 bytes each, so that neither side
    /// pays for the other's unusually small ones.
    pub fn weight(&self, share: Share) -> Weight {
        let common = match share {
            Share::Initiator => COMMON_FIELDS_WEIGHT,
            Share::Contributor => Weight::ZERO,
        };
        let inputs = Weight::from_non_witness_data_size(INPUT_BYTES * u64::from(self.inputs));
        let outputs = self
            .output_script_bytes
            .iter()
            .map(|script| OUTPUT_BYTES + script)
            .sum();
        let witness_bytes = self.witness_bytes.max(WITNESS_BYTES_MIN * u64::from(self.inputs));
        common + inputs + Weight::from_non_witness_data_size(outputs) + Weight::from_witness_data_size(witness_bytes)
    }

    /// The least fee that this side pays, rounded up as in BOLT 3, appendix G.
    pub fn fee(&self, share: Share, feerate: FeeratePerKw) -> Amount {
        feerate.fee_ceil(self.weight(share))
    }
}

/// Puts the common transaction together, without witnesses: inputs and outputs in the order of their `serial_id`s (BOLT 2).
pub fn assemble(
    mut inputs: Vec<(u64, TxIn)>,
    mut outputs: Vec<(u64, TxOut)>,
    lock_time: absolute::LockTime,
) -> Transaction {
    inputs.sort_by_key(|(serial_id, _)| *serial_id);
    outputs.sort_by_key(|(serial_id, _)| *serial_id);
    Transaction {
        version: Version::TWO,
        lock_time,
        input: inputs.into_iter().map(|(_, input)| input).collect(),
        output: outputs.into_iter().map(|(_, output)| output).collect(),
    }
}

/// Two counts of a byte each, version and lock time; marker and flag.
const COMMON_FIELDS_WEIGHT: Weight = Weight::from_wu((1 + 1 + 4 + 4) * 4 + 2);
/// Outpoint, an empty script and the sequence.
const INPUT_BYTES: u64 = 41;
/// The value, and the length of a standard script.
const OUTPUT_BYTES: u64 = 9;
/// The least that a witness counts for: that of a key hash.
const WITNESS_BYTES_MIN: u64 = 107;
