//! What a channel wants done, once its steps are durable.
//!
//! A message that needs a signature or a secret goes out as a template: what to sign, for which keys. A local signer may sign
//! while the records are being written ([`SigningAhead`](crate::SigningAhead)). The revocation secret is different: [`RevocationDue`] can only be had from an effect
//! that was released, so whoever holds one holds the proof that the commitment that replaces the revoked one is durable.

use std::sync::Arc;

use bitcoin::Transaction;
use quittance_primitives::{ChannelId, CommitmentNumber, HtlcId, PaymentPreimage};
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentKeys, CommitmentSignatures, CommitmentTransaction, HtlcOutputs,
    PerCommitmentSecret,
};
use quittance_wire::{CommitmentSigned, Message, RevokeAndAck};
use secp256k1::PublicKey;

use crate::opening::{FundingCreatedToSign, FundingSignedToSign};
use crate::{ChannelFacts, ClosingToBroadcast, ClosingToSign, ColdOutcome, DecidedClaim};

/// What a channel wants done, in this order, once its steps are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEffect {
    /// Send a message that is complete as it is.
    Send(Box<Message>),
    /// Send `update_add_htlc` for this HTLC of ours. Its onion follows from its source, which the channel cannot see.
    SendHtlc(HtlcId),
    /// Sign the peer's commitment and send `commitment_signed`.
    SendCommitment(Arc<CommitmentToSign>),
    /// Reveal a revoked commitment's secret by `revoke_and_ack`.
    SendRevocation(RevocationDue),
    /// As opener: sign the peer's first commitment and send `funding_created`. There is no channel yet, and no step.
    SendFundingCreated(Box<FundingCreatedToSign>),
    /// As accepter: sign the peer's first commitment and send `funding_signed`.
    SendFundingSigned(Box<FundingSignedToSign>),
    /// As opener: broadcast the funding transaction, until it confirms.
    BroadcastFunding(Box<Transaction>),
    /// Sign closing transactions and send `closing_signed`, `closing_complete` or `closing_sig`.
    SendClosing(Box<ClosingToSign>),
    /// Sign a closing transaction that the peer signed, and broadcast it until something that spends the funding is buried.
    /// After a restart [`ChannelState::agreed_closings`](crate::ChannelState::agreed_closings) says which.
    BroadcastClosing(Box<ClosingToBroadcast>),
}

/// What follows from a decision for the rest of the node, beyond the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Both sides may use the channel from now on.
    Usable,
    /// An HTLC of the peer's is irrevocably committed: it may be forwarded, claimed or failed.
    HtlcAccepted(HtlcId),
    /// An HTLC of ours was paid. Comes once, with the first proof, whatever the peer sends later.
    HtlcFulfilled {
        /// Which HTLC.
        id: HtlcId,
        /// The proof.
        preimage: PaymentPreimage,
    },
    /// An HTLC of ours failed for good. Its outcome says how.
    HtlcFailed(HtlcId),
    /// An HTLC of ours, whose outcome was known, is irrevocably gone from the commitments.
    OfferedHtlcGone(HtlcId),
    /// An HTLC of the peer's is irrevocably gone from the commitments.
    ReceivedHtlcGone(HtlcId),
    /// The outcome of an HTLC of ours left the log: its cold record belongs in the same batch.
    OutcomeReleased(Box<ColdOutcome>),
    /// A claim left the log: its cold record belongs in the same batch.
    ClaimReleased(Box<DecidedClaim>),
    /// The peer proved that we lost state. We must not broadcast; the peer is asked to close.
    WeFellBehind,
}

/// A commitment of the peer's that waits for our signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentToSign {
    /// The channel.
    pub channel_id: ChannelId,
    /// By which the signer finds the channel's keys.
    pub signer_keys_id: [u8; 32],
    /// What the transaction is built from, for good.
    pub terms: ChannelTerms,
    /// What this one shares out.
    pub contents: CommitmentContents,
}

/// A revocation that is due: its commitment is replaced, and the replacement is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationDue {
    channel_id: ChannelId,
    signer_keys_id: [u8; 32],
    revoked: CommitmentNumber,
    next_point: PublicKey,
}

impl CommitmentToSign {
    pub(crate) fn new(facts: &ChannelFacts, contents: CommitmentContents) -> Self {
        Self {
            channel_id: facts.channel_id,
            signer_keys_id: facts.signer_keys_id,
            terms: facts.terms(),
            contents,
        }
    }

    /// The transaction to sign.
    ///
    /// # Panics
    /// When the opener cannot pay for the anchors: no commitment is signed then.
    pub fn build(&self) -> CommitmentTransaction {
        CommitmentTransaction::build_with_reduced_fee(&self.terms, &self.contents)
            .expect("no commitment is signed whose anchors cannot be paid")
    }

    /// The same with keys from elsewhere, as [`CommitmentTransaction::build_with_keys`] takes them.
    ///
    /// # Panics
    /// As [`Self::build`].
    pub fn build_with_keys(&self, derive: impl FnOnce(HtlcOutputs) -> CommitmentKeys) -> CommitmentTransaction {
        CommitmentTransaction::build_with_keys(&self.terms, &self.contents, derive)
            .expect("no commitment is signed whose anchors cannot be paid")
    }

    /// The message, with the signatures on what [`Self::build`] built.
    pub fn message(&self, signatures: CommitmentSignatures) -> Message {
        let CommitmentSignatures { funding, htlcs } = signatures;
        CommitmentSigned {
            channel_id: self.channel_id,
            signature: funding,
            htlc_signature: htlcs,
            funding_txid: Some(self.terms.funding_outpoint.txid),
        }
        .into()
    }
}

impl RevocationDue {
    pub(crate) const fn new(facts: &ChannelFacts, revoked: CommitmentNumber, next_point: PublicKey) -> Self {
        Self {
            channel_id: facts.channel_id,
            signer_keys_id: facts.signer_keys_id,
            revoked,
            next_point,
        }
    }

    /// The channel.
    pub const fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// By which the signer finds the channel's keys.
    pub const fn signer_keys_id(&self) -> [u8; 32] {
        self.signer_keys_id
    }

    /// The commitment whose secret is due.
    pub const fn revoked(&self) -> CommitmentNumber {
        self.revoked
    }

    /// The message, with the secret of [`Self::revoked`].
    pub fn message(&self, secret: PerCommitmentSecret) -> Message {
        RevokeAndAck {
            channel_id: self.channel_id,
            per_commitment_secret: secret.0,
            next_per_commitment_point: self.next_point,
        }
        .into()
    }
}
