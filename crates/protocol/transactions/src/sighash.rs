//! What signatures commit to, for transactions whose shape is known (BIP 143).
//!
//! The same digests as [`bitcoin::sighash::SighashCache`] gives, without building or copying a transaction for each of
//! several hundred HTLCs. Tests hold the two against each other.

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, Sequence, TxOut, absolute};
use secp256k1::Message;

/// The parts of a BIP 143 digest for one input.
pub(crate) struct SegwitV0Digest<'a> {
    pub(crate) version: Version,
    pub(crate) hash_prevouts: [u8; 32],
    pub(crate) hash_sequence: [u8; 32],
    pub(crate) outpoint: OutPoint,
    pub(crate) script_code: &'a Script,
    pub(crate) value: Amount,
    pub(crate) sequence: Sequence,
    pub(crate) hash_outputs: [u8; 32],
    pub(crate) lock_time: absolute::LockTime,
    pub(crate) sighash_type: EcdsaSighashType,
}

impl SegwitV0Digest<'_> {
    /// The message to sign.
    pub(crate) fn message(&self) -> Message {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.version.0.to_le_bytes());
        engine.input(&self.hash_prevouts);
        engine.input(&self.hash_sequence);
        engine.input(&outpoint_bytes(&self.outpoint));
        encode(self.script_code, &mut engine);
        engine.input(&self.value.to_sat().to_le_bytes());
        engine.input(&self.sequence.0.to_le_bytes());
        engine.input(&self.hash_outputs);
        engine.input(&self.lock_time.to_consensus_u32().to_le_bytes());
        engine.input(&self.sighash_type.to_u32().to_le_bytes());
        Message::from_digest(sha256d::Hash::from_engine(engine).to_byte_array())
    }
}

/// The digest of a transaction's only input, signed with `SIGHASH_ALL`.
pub(crate) fn only_input_sighash(transaction: &bitcoin::Transaction, script_code: &Script, value: Amount) -> Message {
    let [input] = transaction.input.as_slice() else {
        unreachable!("commitment and closing transactions have one input");
    };
    SegwitV0Digest {
        version: transaction.version,
        hash_prevouts: hash_prevout(&input.previous_output),
        hash_sequence: hash_sequence(input.sequence),
        outpoint: input.previous_output,
        script_code,
        value,
        sequence: input.sequence,
        hash_outputs: hash_outputs(&transaction.output),
        lock_time: transaction.lock_time,
        sighash_type: EcdsaSighashType::All,
    }
    .message()
}

/// `hashPrevouts` of a transaction with one input.
pub(crate) fn hash_prevout(outpoint: &OutPoint) -> [u8; 32] {
    sha256d::Hash::hash(&outpoint_bytes(outpoint)).to_byte_array()
}

/// `hashSequence` of a transaction with one input.
pub(crate) fn hash_sequence(sequence: Sequence) -> [u8; 32] {
    sha256d::Hash::hash(&sequence.0.to_le_bytes()).to_byte_array()
}

/// `hashOutputs` over all of `outputs`.
pub(crate) fn hash_outputs(outputs: &[TxOut]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    for output in outputs {
        encode_output(output.value, &output.script_pubkey, &mut engine);
    }
    sha256d::Hash::from_engine(engine).to_byte_array()
}

/// `hashOutputs` over one output.
pub(crate) fn hash_output(value: Amount, script_pubkey: &Script) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    encode_output(value, script_pubkey, &mut engine);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

fn encode_output(value: Amount, script_pubkey: &Script, engine: &mut sha256::HashEngine) {
    engine.input(&value.to_sat().to_le_bytes());
    encode(script_pubkey, engine);
}

fn encode(script: &Script, engine: &mut sha256::HashEngine) {
    script.consensus_encode(engine).expect("a hash engine takes every byte");
}

fn outpoint_bytes(outpoint: &OutPoint) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..32].copy_from_slice(outpoint.txid.as_byte_array());
    bytes[32..].copy_from_slice(&outpoint.vout.to_le_bytes());
    bytes
}
