//! The first commitment of each side: the peer's to be signed, ours to be checked.

use quittance_primitives::{ChannelId, CommitmentNumber};
use quittance_transactions::{ChannelTerms, CommitmentContents, CommitmentTransaction, InvalidSignatures};
use quittance_wire::{FundingCreated, FundingSigned, Message};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use super::OpenRefusal;
use crate::effect::CommitmentToSign;
use crate::{ChannelFacts, Context, Side};

/// The fundee's first commitment, which waits for our signature as the funder's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingCreatedToSign {
    temporary_channel_id: ChannelId,
    funding_output_index: u16,
    commitment: CommitmentToSign,
}

/// The funder's first commitment, which waits for our signature as the fundee's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingSignedToSign {
    commitment: CommitmentToSign,
}

impl FundingCreatedToSign {
    pub(super) const fn new(
        temporary_channel_id: ChannelId,
        funding_output_index: u16,
        commitment: CommitmentToSign,
    ) -> Self {
        Self {
            temporary_channel_id,
            funding_output_index,
            commitment,
        }
    }

    /// What to sign, for which keys.
    pub const fn commitment(&self) -> &CommitmentToSign {
        &self.commitment
    }

    /// The message, with our signature on the commitment.
    pub fn message(&self, signature: Signature) -> Message {
        FundingCreated {
            temporary_channel_id: self.temporary_channel_id,
            funding_txid: self.commitment.terms.funding_outpoint.txid,
            funding_output_index: self.funding_output_index,
            signature,
        }
        .into()
    }
}

impl FundingSignedToSign {
    pub(super) const fn new(commitment: CommitmentToSign) -> Self {
        Self { commitment }
    }

    /// What to sign, for which keys.
    pub const fn commitment(&self) -> &CommitmentToSign {
        &self.commitment
    }

    /// The message, with our signature on the commitment.
    pub fn message(&self, signature: Signature) -> Message {
        FundingSigned {
            channel_id: self.commitment.channel_id,
            signature,
        }
        .into()
    }
}

/// What commitment 0 of `owner` shares out, under the owner's first point.
pub(super) fn first_contents(facts: &ChannelFacts, owner: Side, point: PublicKey) -> CommitmentContents {
    CommitmentContents {
        broadcaster: facts.role(owner),
        number: CommitmentNumber(0),
        per_commitment_point: point,
        feerate: facts.initial_feerate,
        to_broadcaster: *facts.initial_balance.of(owner),
        to_countersignatory: *facts.initial_balance.of(owner.other()),
        htlcs: Vec::new(),
    }
}

/// Checks the peer's signature on our first commitment.
pub(super) fn check_signature(
    terms: &ChannelTerms,
    contents: &CommitmentContents,
    signature: &Signature,
    context: &Context<'_>,
) -> Result<(), OpenRefusal> {
    let commitment = CommitmentTransaction::build(terms, contents).map_err(OpenRefusal::FunderCannotAfford)?;
    let jobs = [commitment.funding_verification(signature)];
    match context.verifier.first_invalid(&jobs) {
        None => Ok(()),
        Some(_) => Err(OpenRefusal::InvalidSignature(InvalidSignatures::Funding)),
    }
}
