//! The arithmetic on the curve that a pair needs. Points and keys of commitments are computed once in each thread and remembered: every
//! pair has the same keys, so histories need the same ones again and again.
//!
//! Signatures are real, or, for most histories of a soak, stand-ins: a hash over the digest and the public key of whoever must have
//! signed. A stand-in verifies only over the very digest and for the very key, so a commitment, a second stage or an HTLC key on which the
//! two ends differ is refused as a real signature would be. What it cannot show is that libsecp256k1 and consensus accept it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::thread::LocalKey;

use bitcoin::hashes::{Hash as _, HashEngine, sha256};
use quittance_channel::{CommitmentToSign, Verifier};
use quittance_primitives::CommitmentNumber;
use quittance_transactions::signing::derive_private_key;
use quittance_transactions::{
    ChannelTerms, ClosingTransaction, CommitmentContents, CommitmentKeys, CommitmentSignatures, HtlcOutputs,
    PerCommitmentSecret, VerificationJob,
};
use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use super::facts::Keys;

/// How the two ends of a pair sign and verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    Real,
    StandIn,
}

impl Curve {
    pub fn verifier(self) -> &'static dyn Verifier {
        match self {
            Self::Real => &Self::Real,
            Self::StandIn => &Self::StandIn,
        }
    }

    pub fn countersign(self, keys: &Keys, to_sign: &CommitmentToSign) -> CommitmentSignatures {
        let contents = &to_sign.contents;
        let commitment = to_sign.build_with_keys(|outputs| self.keys_of(&to_sign.terms, contents, outputs));
        if self == Self::Real {
            return keys.channel.countersign(&commitment);
        }
        let outputs = commitment.htlc_outputs();
        CommitmentSignatures {
            funding: stand_in(&commitment.funding_sighash(), &public(&keys.channel.funding)),
            htlcs: if outputs.is_empty() {
                Vec::new()
            } else {
                let key = htlc_public(&keys.channel.htlc_basepoint, &contents.per_commitment_point);
                outputs.iter().map(|output| stand_in(&output.sighash, &key)).collect()
            },
        }
    }

    pub fn sign_closing(self, keys: &Keys, closing: &ClosingTransaction) -> Signature {
        match self {
            Self::Real => keys.channel.sign_closing(closing),
            Self::StandIn => stand_in(&closing.sighash(), &public(&keys.channel.funding)),
        }
    }
}

impl Verifier for Curve {
    fn first_invalid(&self, jobs: &[VerificationJob]) -> Option<usize> {
        jobs.iter().position(|job| match self {
            Self::Real => !job.is_valid(),
            Self::StandIn => stand_in(&job.message, &job.public_key) != job.signature,
        })
    }

    fn keys_of(
        &self,
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        htlc_outputs: HtlcOutputs,
    ) -> CommitmentKeys {
        let (broadcaster, point) = (contents.broadcaster, contents.per_commitment_point);
        let own = &terms.side(broadcaster).keys;
        let other = &terms.side(broadcaster.other()).keys;
        let inputs = [
            point,
            own.delayed_payment_basepoint,
            own.htlc_basepoint,
            other.htlc_basepoint,
            other.revocation_basepoint,
        ];
        remembered(&COMMITMENT_KEYS, (inputs, htlc_outputs == HtlcOutputs::Some), || {
            CommitmentKeys::derive(terms, broadcaster, point, htlc_outputs)
        })
    }

    fn is_secret_of(&self, secret: &PerCommitmentSecret, point: &PublicKey) -> bool {
        secret.private_key().is_ok_and(|key| public(&key) == *point)
    }
}

impl Keys {
    /// Our secret for a commitment.
    pub fn secret(&self, number: CommitmentNumber) -> PerCommitmentSecret {
        let owner = self.channel.funding.secret_bytes();
        remembered(&SECRETS, (owner, number), || self.seed.secret(number))
    }

    /// Our point for a commitment.
    pub fn point(&self, number: CommitmentNumber) -> PublicKey {
        public(&self.secret(number).private_key().expect("a hash is a private key"))
    }
}

/// The public key of a private one.
pub fn public(key: &SecretKey) -> PublicKey {
    remembered(&PUBLIC_KEYS, key.secret_bytes(), || key.public_key(SECP256K1))
}

fn htlc_public(basepoint: &SecretKey, point: &PublicKey) -> PublicKey {
    remembered(&HTLC_KEYS, (basepoint.secret_bytes(), *point), || {
        derive_private_key(basepoint, point).public_key(SECP256K1)
    })
}

/// What stands for a signature of the holder of `key` over `message`. It has the form of one with a low S.
pub fn stand_in(message: &Message, key: &PublicKey) -> Signature {
    let mut engine = sha256::Hash::engine();
    engine.input(message.as_ref());
    engine.input(&key.serialize());
    let mut half = sha256::Hash::from_engine(engine).to_byte_array();
    half[0] &= 0x3f;
    let mut compact = [0; 64];
    compact[..32].copy_from_slice(&half);
    compact[32..].copy_from_slice(&half);
    Signature::from_compact(&compact).expect("both halves are below the order of the group")
}

type Memory<K, V> = RefCell<HashMap<K, V>>;

thread_local! {
    static PUBLIC_KEYS: Memory<[u8; 32], PublicKey> = RefCell::default();
    static SECRETS: Memory<([u8; 32], CommitmentNumber), PerCommitmentSecret> = RefCell::default();
    static HTLC_KEYS: Memory<([u8; 32], PublicKey), PublicKey> = RefCell::default();
    static COMMITMENT_KEYS: Memory<([PublicKey; 5], bool), CommitmentKeys> = RefCell::default();
}

fn remembered<K: Eq + Hash, V: Copy>(
    memory: &'static LocalKey<Memory<K, V>>,
    key: K,
    compute: impl FnOnce() -> V,
) -> V {
    if let Some(known) = memory.with_borrow(|memory| memory.get(&key).copied()) {
        return known;
    }
    let value = compute();
    memory.with_borrow_mut(|memory| memory.insert(key, value));
    value
}
