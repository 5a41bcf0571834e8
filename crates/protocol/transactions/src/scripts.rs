//! The witness scripts of BOLT 3, byte for byte.
//!
//! Pure functions from keys and numbers to scripts; which script a commitment needs is decided elsewhere. Space is reserved
//! up front, since a commitment can hold close to a thousand of these.

use bitcoin::WPubkeyHash;
use bitcoin::hashes::{Hash, hash160, ripemd160};
use bitcoin::opcodes::all as op;
use bitcoin::script::{Builder, ScriptBuf};
use quittance_primitives::{CltvExpiry, PaymentHash, ToSelfDelay};
use secp256k1::PublicKey;

use crate::format::ANCHOR_DELAY_BLOCKS;
use crate::{CommitmentFormat, HtlcKeys};

/// The 2-of-2 that locks the funding output: the lesser key first (BOLT 3, funding transaction output).
pub fn funding(one: &PublicKey, other: &PublicKey) -> ScriptBuf {
    let (one, other) = (one.serialize(), other.serialize());
    let (lesser, greater) = if one < other { (one, other) } else { (other, one) };
    with_capacity(71)
        .push_opcode(op::OP_PUSHNUM_2)
        .push_slice(lesser)
        .push_slice(greater)
        .push_opcode(op::OP_PUSHNUM_2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .into_script()
}

/// The script of `to_local` and of every second-stage output: the owner after its delay, or the other side by penalty.
pub fn delayed(revocation: &PublicKey, delay: ToSelfDelay, broadcaster_delayed: &PublicKey) -> ScriptBuf {
    with_capacity(80)
        .push_opcode(op::OP_IF)
        .push_slice(revocation.serialize())
        .push_opcode(op::OP_ELSE)
        .push_int(i64::from(delay.0))
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_DROP)
        .push_slice(broadcaster_delayed.serialize())
        .push_opcode(op::OP_ENDIF)
        .push_opcode(op::OP_CHECKSIG)
        .into_script()
}

/// The witness script of `to_remote` where it waits for one block (`option_anchors`).
pub fn to_remote_one_block(payment: &PublicKey) -> ScriptBuf {
    with_capacity(37)
        .push_slice(payment.serialize())
        .push_opcode(op::OP_CHECKSIGVERIFY)
        .push_opcode(op::OP_PUSHNUM_1)
        .push_opcode(op::OP_CSV)
        .into_script()
}

/// The output script of `to_remote` where it is a plain key hash (all formats but `option_anchors`).
pub fn to_remote_key_hash(payment: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&payment.serialize()))
}

/// The witness script of an anchor: its owner at once, anyone after 16 blocks (BOLT 3, `option_anchors`).
pub fn anchor(funding: &PublicKey) -> ScriptBuf {
    with_capacity(40)
        .push_slice(funding.serialize())
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_IFDUP)
        .push_opcode(op::OP_NOTIF)
        .push_int(i64::from(ANCHOR_DELAY_BLOCKS))
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_ENDIF)
        .into_script()
}

/// The output script of a shared anchor: pay to anchor (BOLT 3, `zero_fee_commitments`).
pub fn shared_anchor() -> ScriptBuf {
    ScriptBuf::new_p2a()
}

/// What all HTLC scripts of one commitment share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HtlcScripts {
    revocation_hash: hash160::Hash,
    broadcaster_htlc: [u8; 33],
    countersignatory_htlc: [u8; 33],
    waits_one_block: bool,
}

impl HtlcScripts {
    /// Prepares the scripts of a commitment with these keys.
    pub fn new(format: CommitmentFormat, revocation: &PublicKey, htlc: &HtlcKeys) -> Self {
        Self {
            revocation_hash: hash160::Hash::hash(&revocation.serialize()),
            broadcaster_htlc: htlc.broadcaster.serialize(),
            countersignatory_htlc: htlc.countersignatory.serialize(),
            waits_one_block: format.outputs_wait_one_block(),
        }
    }

    /// The witness script of an HTLC that the broadcaster offered.
    pub fn offered(&self, payment_hash: &PaymentHash) -> ScriptBuf {
        let script = self
            .penalty_or_htlc(OFFERED_SCRIPT_LEN_MAX)
            .push_opcode(op::OP_NOTIF)
            .push_opcode(op::OP_DROP)
            .push_opcode(op::OP_PUSHNUM_2)
            .push_opcode(op::OP_SWAP)
            .push_slice(self.broadcaster_htlc)
            .push_opcode(op::OP_PUSHNUM_2)
            .push_opcode(op::OP_CHECKMULTISIG)
            .push_opcode(op::OP_ELSE)
            .push_opcode(op::OP_HASH160)
            .push_slice(ripemd160::Hash::hash(&payment_hash.0).to_byte_array())
            .push_opcode(op::OP_EQUALVERIFY)
            .push_opcode(op::OP_CHECKSIG);
        self.finish(script)
    }

    /// The witness script of an HTLC that the broadcaster received.
    pub fn received(&self, payment_hash: &PaymentHash, cltv_expiry: CltvExpiry) -> ScriptBuf {
        let script = self
            .penalty_or_htlc(RECEIVED_SCRIPT_LEN_MAX)
            .push_opcode(op::OP_IF)
            .push_opcode(op::OP_HASH160)
            .push_slice(ripemd160::Hash::hash(&payment_hash.0).to_byte_array())
            .push_opcode(op::OP_EQUALVERIFY)
            .push_opcode(op::OP_PUSHNUM_2)
            .push_opcode(op::OP_SWAP)
            .push_slice(self.broadcaster_htlc)
            .push_opcode(op::OP_PUSHNUM_2)
            .push_opcode(op::OP_CHECKMULTISIG)
            .push_opcode(op::OP_ELSE)
            .push_opcode(op::OP_DROP)
            .push_int(i64::from(cltv_expiry.0))
            .push_opcode(op::OP_CLTV)
            .push_opcode(op::OP_DROP)
            .push_opcode(op::OP_CHECKSIG);
        self.finish(script)
    }

    fn penalty_or_htlc(&self, capacity: usize) -> Builder {
        with_capacity(capacity)
            .push_opcode(op::OP_DUP)
            .push_opcode(op::OP_HASH160)
            .push_slice(self.revocation_hash.to_byte_array())
            .push_opcode(op::OP_EQUAL)
            .push_opcode(op::OP_IF)
            .push_opcode(op::OP_CHECKSIG)
            .push_opcode(op::OP_ELSE)
            .push_slice(self.countersignatory_htlc)
            .push_opcode(op::OP_SWAP)
            .push_opcode(op::OP_SIZE)
            .push_int(32)
            .push_opcode(op::OP_EQUAL)
    }

    fn finish(&self, script: Builder) -> ScriptBuf {
        let script = script.push_opcode(op::OP_ENDIF);
        let script = if self.waits_one_block {
            script
                .push_opcode(op::OP_PUSHNUM_1)
                .push_opcode(op::OP_CSV)
                .push_opcode(op::OP_DROP)
        } else {
            script
        };
        script.push_opcode(op::OP_ENDIF).into_script()
    }
}

fn with_capacity(bytes: usize) -> Builder {
    Builder::from(Vec::with_capacity(bytes))
}

const OFFERED_SCRIPT_LEN_MAX: usize = 136;
const RECEIVED_SCRIPT_LEN_MAX: usize = 144;
