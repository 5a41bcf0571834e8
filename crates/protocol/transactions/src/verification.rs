//! Checking the signatures of `commitment_signed` (BOLT 2): pure, and split into jobs that may run on several cores.

use secp256k1::{Message, PublicKey, SECP256K1, ecdsa};

use crate::{CommitmentTransaction, Htlc, Party};

/// What a countersignatory sends for one commitment of the other side (`commitment_signed`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentSignatures {
    /// On the commitment transaction.
    pub funding: ecdsa::Signature,
    /// On the second stage of each untrimmed HTLC, in the order of the commitment's outputs.
    pub htlcs: Vec<ecdsa::Signature>,
}

/// One signature to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationJob {
    /// What was signed.
    pub message: Message,
    /// The signature. One with a high S, which would not be relayed, never verifies.
    pub signature: ecdsa::Signature,
    /// Who must have signed.
    pub public_key: PublicKey,
}

/// A commitment's signatures do not fit it. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignatures {
    /// The commitment transaction's signature is wrong.
    #[error("the signature of the commitment transaction is invalid")]
    Funding,
    /// There are too few or too many HTLC signatures.
    #[error("{got} HTLC signatures for {expected} HTLC outputs")]
    HtlcCount {
        /// Untrimmed HTLCs.
        expected: usize,
        /// Signatures received.
        got: usize,
    },
    /// An HTLC's signature is wrong.
    #[error("the signature of the {:?} {} is invalid", .htlc.direction, .htlc.id)]
    Htlc {
        /// The HTLC, as the broadcaster sees it.
        htlc: Htlc,
    },
}

impl VerificationJob {
    /// Checks the signature.
    pub fn is_valid(&self) -> bool {
        SECP256K1
            .verify_ecdsa(&self.message, &self.signature, &self.public_key)
            .is_ok()
    }
}

impl CommitmentTransaction {
    /// The check of the countersignatory's signature on the commitment transaction.
    pub fn funding_verification(&self, signature: &ecdsa::Signature) -> VerificationJob {
        VerificationJob {
            message: self.funding_sighash(),
            signature: *signature,
            public_key: *self.scripts().funding_key(Party::Countersignatory),
        }
    }

    /// The checks of the HTLC signatures, in order.
    ///
    /// # Errors
    /// [`InvalidSignatures::HtlcCount`] when there is not one signature for each HTLC output.
    pub fn htlc_verifications(
        &self,
        signatures: &[ecdsa::Signature],
    ) -> Result<Vec<VerificationJob>, InvalidSignatures> {
        let outputs = self.htlc_outputs();
        if signatures.len() != outputs.len() {
            return Err(InvalidSignatures::HtlcCount {
                expected: outputs.len(),
                got: signatures.len(),
            });
        }
        let Some(keys) = self.scripts().keys().htlc else {
            return Ok(Vec::new());
        };
        let jobs = outputs
            .iter()
            .zip(signatures)
            .map(|(output, signature)| VerificationJob {
                message: output.sighash,
                signature: *signature,
                public_key: keys.countersignatory,
            });
        Ok(jobs.collect())
    }

    /// Checks the countersignatory's signature on the commitment transaction.
    ///
    /// # Errors
    /// [`InvalidSignatures::Funding`].
    pub fn verify_funding_signature(&self, signature: &ecdsa::Signature) -> Result<(), InvalidSignatures> {
        let is_valid = self.funding_verification(signature).is_valid();
        is_valid.then_some(()).ok_or(InvalidSignatures::Funding)
    }

    /// Checks the countersignatory's HTLC signatures.
    ///
    /// # Errors
    /// [`InvalidSignatures::HtlcCount`], or [`InvalidSignatures::Htlc`] for the first wrong one.
    pub fn verify_htlc_signatures(&self, signatures: &[ecdsa::Signature]) -> Result<(), InvalidSignatures> {
        let jobs = self.htlc_verifications(signatures)?;
        match jobs.iter().zip(self.htlc_outputs()).find(|(job, _)| !job.is_valid()) {
            None => Ok(()),
            Some((_, output)) => Err(InvalidSignatures::Htlc { htlc: output.htlc }),
        }
    }

    /// Checks everything that a `commitment_signed` brings.
    ///
    /// # Errors
    /// The first [`InvalidSignatures`].
    pub fn verify(&self, signatures: &CommitmentSignatures) -> Result<(), InvalidSignatures> {
        self.verify_funding_signature(&signatures.funding)?;
        self.verify_htlc_signatures(&signatures.htlcs)
    }
}
