//! The two sides of the channel in appendices C, F and H, and the comparison of one commitment with what is stated.

use std::collections::BTreeMap;

use bitcoin::consensus::serialize;
use bitcoin::{Transaction, ecdsa};
use quittance_primitives::{PaymentHash, PaymentPreimage};
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{
    ChannelTerms, ClaimTransaction, CommitmentContents, CommitmentSignatures, CommitmentTransaction, HtlcOutput,
};
use serde_json::Value;

use crate::Case;

/// The owner of the commitments, and the side that countersigns them.
pub(super) struct Signers {
    pub(super) terms: ChannelTerms,
    pub(super) local: ChannelSecretKeys,
    pub(super) remote: ChannelSecretKeys,
    pub(super) preimages: BTreeMap<[u8; 32], PaymentPreimage>,
}

/// A commitment with all its signatures.
pub(super) struct Signed {
    pub(super) commitment: CommitmentTransaction,
    pub(super) countersignatures: CommitmentSignatures,
    pub(super) own_signature: secp256k1::ecdsa::Signature,
    pub(super) transaction: Transaction,
}

impl Signers {
    /// Builds and signs a commitment of the local side, and checks that verification accepts it.
    pub(super) fn sign(&self, case: &mut Case, contents: &CommitmentContents) -> Signed {
        // One vector asks for more fee than the opener has.
        let commitment = CommitmentTransaction::build(&self.terms, contents)
            .or_else(|_| CommitmentTransaction::build_with_reduced_fee(&self.terms, contents))
            .expect("the opener pays for the anchors");
        let countersignatures = self.remote.countersign(&commitment);
        case.equal("verification", commitment.verify(&countersignatures), Ok(()));
        let own_signature = self.local.sign_own_commitment(&commitment);
        Signed {
            transaction: commitment.signed(&own_signature, &countersignatures.funding),
            commitment,
            countersignatures,
            own_signature,
        }
    }

    /// The signed second stage of the HTLC output at `place` among the HTLC outputs.
    pub(super) fn second_stage(&self, signed: &Signed, place: usize) -> Transaction {
        let output: &HtlcOutput = &signed.commitment.htlc_outputs()[place];
        let PaymentHash(hash) = output.htlc.payment_hash;
        let claim = signed
            .commitment
            .second_stage_claim(
                output,
                &signed.countersignatures.htlcs[place],
                self.preimages.get(&hash).copied(),
            )
            .expect("the preimages are known");
        let transaction = ClaimTransaction::new(vec![claim], Vec::new(), Vec::new()).expect("one claim is compatible");
        self.local.sign_claims(&transaction)
    }
}

/// Compares a transaction with the stated hex.
pub(super) fn equal_transaction(case: &mut Case, what: &str, ours: &Transaction, stated: &Value) {
    case.hex(what, serialize(ours), stated);
}

/// Compares a signature with the stated one, in DER without the sighash byte.
pub(super) fn equal_signature(case: &mut Case, what: &str, ours: &secp256k1::ecdsa::Signature, stated: &Value) {
    case.hex(what, ours.serialize_der(), stated);
}

/// The local signature inside a second stage's witness.
pub(super) fn local_signature(second_stage: &Transaction) -> secp256k1::ecdsa::Signature {
    let bytes = second_stage.input[0].witness.nth(2).expect("the third element is ours");
    ecdsa::Signature::from_slice(bytes).expect("a signature").signature
}
