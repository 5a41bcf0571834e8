//! A claim: one output of a commitment or second-stage transaction, and all that spending it takes.
//!
//! Whoever watches the chain makes claims from public keys alone (see the constructors in [`crate::CommitmentScripts`],
//! [`crate::CommitmentTransaction`] and [`crate::RevokedCommitment`]); a signer turns the claim's digest into a signature; and
//! [`ClaimInput::witness`] puts the two together. BOLT 5 says which claim to make when; BOLT 3 how each is spent.

use std::borrow::Borrow;

use bitcoin::ecdsa::Signature;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Weight, Witness, absolute};
use quittance_primitives::{PaymentHash, PaymentPreimage};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa};

use crate::VerificationJob;

/// An output that we can spend, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimInput {
    /// Where the output is.
    pub outpoint: OutPoint,
    /// The output itself.
    pub output: TxOut,
    /// Which key must sign, or `None` when anyone may spend it.
    pub key: Option<ClaimKey>,
    /// What the witness holds.
    pub witness: WitnessForm,
    /// The script that the output's hash stands for, where it has one.
    pub witness_script: Option<ScriptBuf>,
    /// The input's sequence: relative delays are in it.
    pub sequence: Sequence,
    /// The lock time that the spending transaction needs: at least this, or exactly this for a second stage.
    pub lock_time: absolute::LockTime,
    /// The version that the spending transaction needs, if it matters.
    pub version: Option<Version>,
    /// What the countersignature of a second stage demands of the spending transaction.
    pub second_stage: Option<SecondStageTerms>,
}

/// What the other side signed for the second stage of an HTLC, which the spending transaction must keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondStageTerms {
    /// The output that must stand at the same place as the input.
    pub output: TxOut,
    /// With `SIGHASH_ALL`, input and output must be the whole transaction; else others may be added.
    pub sighash_type: EcdsaSighashType,
}

/// A key of ours that a claim needs, and how to get at its private part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimKey {
    /// The key itself.
    pub public_key: PublicKey,
    /// How it comes from the channel's keys.
    pub path: KeyPath,
}

/// How a key comes from a side's five channel keys (BOLT 3, key derivation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPath {
    /// The funding key itself.
    Funding,
    /// The `payment_basepoint` itself.
    Payment,
    /// From `delayed_payment_basepoint` and the point.
    DelayedPayment(PublicKey),
    /// From `htlc_basepoint` and the point.
    Htlc(PublicKey),
    /// From `revocation_basepoint` and the secret that the other side revealed.
    Revocation(SecretKey),
}

/// What the witness of a claim holds, from first to last; `script` is the witness script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessForm {
    /// Nothing at all: pay to anchor.
    Empty,
    /// `<> script`: an anchor that nobody wanted.
    NoSignature,
    /// `signature key`: a plain key hash.
    KeyHash,
    /// `signature script`: an own anchor, or `to_remote` after a block.
    Signature,
    /// `signature <> script`: a delayed output, or an HTLC that the other side received and that timed out.
    SignatureAndNothing,
    /// `signature 1 script`: a revoked delayed output.
    SignatureAndOne,
    /// `signature key script`: a revoked HTLC.
    SignatureAndKey,
    /// `signature preimage script`: an HTLC that the other side offered.
    SignatureAndPreimage(PaymentPreimage),
    /// `<> countersignature signature preimage script`, with `<>` for the preimage in an HTLC-timeout: the second stage of an
    /// HTLC of our own commitment.
    SecondStage {
        /// The other side's signature, from its `commitment_signed`.
        countersignature: ecdsa::Signature,
        /// What it covers.
        sighash_type: EcdsaSighashType,
        /// The preimage of a received HTLC.
        preimage: Option<PaymentPreimage>,
    },
}

impl ClaimInput {
    /// What the claim's key signs in `input_index` of the cached transaction (`SIGHASH_ALL`), or `None` without a key.
    ///
    /// # Panics
    /// When the transaction has no such input.
    pub fn sighash<T: Borrow<Transaction>>(&self, cache: &mut SighashCache<T>, input_index: usize) -> Option<Message> {
        self.key?;
        let (value, sighash_type) = (self.output.value, EcdsaSighashType::All);
        let digest = match &self.witness_script {
            Some(script) => cache
                .p2wsh_signature_hash(input_index, script, value, sighash_type)
                .expect("the transaction has the claim's input"),
            None => cache
                .p2wpkh_signature_hash(input_index, &self.output.script_pubkey, value, sighash_type)
                .expect("the transaction has the claim's input, which is a key hash"),
        };
        Some(Message::from_digest(digest.to_byte_array()))
    }

    /// The check of a signature that a signer gave for this claim, or `None` without a key.
    pub fn verification(&self, message: Message, signature: &ecdsa::Signature) -> Option<VerificationJob> {
        self.key.map(|key| VerificationJob {
            message,
            signature: *signature,
            public_key: key.public_key,
        })
    }

    /// The witness, or `None` when the claim has a key and no signature was given.
    pub fn witness(&self, signature: Option<&ecdsa::Signature>) -> Option<Witness> {
        match (self.key, signature) {
            (Some(_), None) => None,
            (Some(_), Some(signature)) => Some(self.witness_with(&Signature::sighash_all(*signature).serialize())),
            (None, _) => Some(self.witness_with(&[])),
        }
    }

    /// The most that the witness can weigh, with a signature of 73 bytes as BOLT 3 and BOLT 5 count it.
    pub fn witness_weight(&self) -> Weight {
        let bytes = self.witness_with(&[0; SIGNATURE_LEN_MAX]).size();
        Weight::from_witness_data_size(u64::try_from(bytes).expect("a witness has fewer than 2^64 bytes"))
    }

    /// The most that the input adds to the weight of a transaction: 41 bytes and the witness.
    pub fn input_weight(&self) -> Weight {
        Weight::from_non_witness_data_size(INPUT_LEN) + self.witness_weight()
    }

    fn witness_with(&self, signature: &[u8]) -> Witness {
        let mut witness = Witness::new();
        match &self.witness {
            WitnessForm::Empty => {}
            WitnessForm::NoSignature => witness.push([]),
            WitnessForm::KeyHash | WitnessForm::SignatureAndKey => {
                witness.push(signature);
                witness.push(self.key_bytes());
            }
            WitnessForm::Signature => witness.push(signature),
            WitnessForm::SignatureAndNothing => {
                witness.push(signature);
                witness.push([]);
            }
            WitnessForm::SignatureAndOne => {
                witness.push(signature);
                witness.push([1]);
            }
            WitnessForm::SignatureAndPreimage(preimage) => {
                witness.push(signature);
                witness.push(preimage.0);
            }
            WitnessForm::SecondStage {
                countersignature,
                sighash_type,
                preimage,
            } => {
                witness.push([]);
                let countersignature = Signature {
                    signature: *countersignature,
                    sighash_type: *sighash_type,
                };
                witness.push(countersignature.serialize());
                witness.push(signature);
                witness.push(preimage.as_ref().map_or(&[][..], |preimage| &preimage.0));
            }
        }
        if let Some(script) = &self.witness_script {
            witness.push(script);
        }
        witness
    }

    fn key_bytes(&self) -> Vec<u8> {
        self.key
            .map(|key| key.public_key.serialize().to_vec())
            .unwrap_or_default()
    }
}

/// The preimage of `payment_hash` that an input's witness reveals, whoever made it and for whatever script: how a payment is
/// learned from the chain (BOLT 5).
pub fn revealed_preimage(witness: &Witness, payment_hash: &PaymentHash) -> Option<PaymentPreimage> {
    let preimages = witness.iter().filter_map(|element| <[u8; 32]>::try_from(element).ok());
    preimages
        .map(PaymentPreimage)
        .find(|preimage| payment_hash.is_paid_by(preimage))
}

/// The length of a signature with its sighash byte that the expected weights of BOLT 3 are computed with.
const SIGNATURE_LEN_MAX: usize = 73;
/// Outpoint, an empty script and the sequence.
const INPUT_LEN: u64 = 41;
