//! The second stage of HTLCs: the HTLC-timeout and HTLC-success transactions of a commitment's owner (BOLT 3, HTLC-timeout
//! and HTLC-success transactions).
//!
//! The other side signs each of them with every commitment. Their digests are computed without building the transactions,
//! which only a unilateral close needs.

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute};
use quittance_primitives::FeeratePerKw;
use secp256k1::Message;

use crate::{CommitmentFormat, CommitmentScripts, Htlc, HtlcDirection, fees, sighash};

/// An HTLC's output of a commitment transaction, with its second stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtlcOutput {
    /// The HTLC.
    pub htlc: Htlc,
    /// The output's place in the commitment transaction.
    pub vout: u32,
    /// The output's witness script.
    pub witness_script: ScriptBuf,
    /// What the second stage's output holds: the HTLC in whole satoshis, less the fee of the HTLC transaction.
    pub second_stage_value: Amount,
    /// What the countersignatory signs for the second stage (`htlc_signature`), with [`CommitmentFormat::htlc_sighash_type`].
    pub sighash: Message,
}

/// The HTLC outputs of a commitment, with the digests of their second stages.
pub(crate) fn outputs(
    scripts: &CommitmentScripts,
    feerate: FeeratePerKw,
    commitment: Txid,
    htlcs: Vec<(Htlc, u32, ScriptBuf)>,
) -> Vec<HtlcOutput> {
    let format = scripts.format();
    let fee_offered = fees::htlc_transaction_fee(format, HtlcDirection::Offered, feerate);
    let fee_received = fees::htlc_transaction_fee(format, HtlcDirection::Received, feerate);
    let digests = Digests::new(scripts, commitment);
    htlcs
        .into_iter()
        .map(|(htlc, vout, witness_script)| {
            let fee = match htlc.direction {
                HtlcDirection::Offered => fee_offered,
                HtlcDirection::Received => fee_received,
            };
            let value = htlc.amount.to_sat_floor();
            let second_stage_value = value.checked_sub(fee).expect("an HTLC with an output exceeds its fee");
            let sighash = digests.sighash(&htlc, vout, &witness_script, second_stage_value);
            HtlcOutput {
                htlc,
                vout,
                witness_script,
                second_stage_value,
                sighash,
            }
        })
        .collect()
}

/// The second-stage transaction of `htlc`, without its witness.
pub(crate) fn transaction(scripts: &CommitmentScripts, commitment: Txid, htlc: &HtlcOutput) -> Transaction {
    Transaction {
        version: scripts.format().transaction_version(),
        lock_time: lock_time(&htlc.htlc),
        input: vec![TxIn {
            previous_output: OutPoint {
                txid: commitment,
                vout: htlc.vout,
            },
            script_sig: ScriptBuf::new(),
            sequence: scripts.format().htlc_sequence(),
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: htlc.second_stage_value,
            script_pubkey: scripts.delayed_output(),
        }],
    }
}

/// The lock time of the second stage: the expiry for HTLC-timeout, none for HTLC-success.
pub(crate) fn lock_time(htlc: &Htlc) -> absolute::LockTime {
    match htlc.direction {
        HtlcDirection::Offered => absolute::LockTime::from_consensus(htlc.cltv_expiry.0),
        HtlcDirection::Received => absolute::LockTime::ZERO,
    }
}

/// What the digests of all second stages of one commitment share.
struct Digests<'a> {
    format: CommitmentFormat,
    commitment: Txid,
    delayed_output: &'a bitcoin::Script,
    sequence: Sequence,
    sighash_type: EcdsaSighashType,
    hash_sequence: [u8; 32],
}

impl<'a> Digests<'a> {
    fn new(scripts: &'a CommitmentScripts, commitment: Txid) -> Self {
        let format = scripts.format();
        let sighash_type = format.htlc_sighash_type();
        Self {
            format,
            commitment,
            delayed_output: scripts.delayed_output_script(),
            sequence: format.htlc_sequence(),
            sighash_type,
            hash_sequence: match sighash_type {
                EcdsaSighashType::All => sighash::hash_sequence(format.htlc_sequence()),
                _ => [0; 32],
            },
        }
    }

    fn sighash(&self, htlc: &Htlc, vout: u32, witness_script: &bitcoin::Script, output_value: Amount) -> Message {
        let outpoint = OutPoint {
            txid: self.commitment,
            vout,
        };
        sighash::SegwitV0Digest {
            version: self.format.transaction_version(),
            hash_prevouts: match self.sighash_type {
                EcdsaSighashType::All => sighash::hash_prevout(&outpoint),
                _ => [0; 32],
            },
            hash_sequence: self.hash_sequence,
            outpoint,
            script_code: witness_script,
            value: htlc.amount.to_sat_floor(),
            sequence: self.sequence,
            // One input and one output: SIGHASH_SINGLE and SIGHASH_ALL cover the same.
            hash_outputs: sighash::hash_output(output_value, self.delayed_output),
            lock_time: lock_time(htlc),
            sighash_type: self.sighash_type,
        }
        .message()
    }
}
