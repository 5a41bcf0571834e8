//! What the signer is asked for in a close by agreement: signatures for the peer, and ours on what is broadcast.

use SimpleCloseVariant::{CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
use bitcoin::{Amount, Transaction};
use quittance_primitives::ChannelId;
use quittance_transactions::{ClosingTransaction, Role, SimpleCloseVariant};
use quittance_wire::{ClosingComplete, ClosingSig, ClosingSigned, FeeRange, Message};
use secp256k1::ecdsa::Signature;

use super::Proposal;
use crate::{ChannelFacts, Side};

/// Closing transactions that wait for our signatures, and the message that carries these to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingToSign {
    /// The channel.
    pub channel_id: ChannelId,
    /// By which the signer finds the channel's keys.
    pub signer_keys_id: [u8; 32],
    transactions: Vec<ClosingTransaction>,
    message: Unsigned,
}

/// The message, but for its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// `closing_signed`, with one transaction to sign.
    Signed { fee: Amount, range: FeeRange },
    /// `closing_complete`, with one transaction to sign for each variant.
    Complete(Proposal),
    /// `closing_sig`, with the one variant of the peer's proposal that we sign.
    Sig(Proposal),
}

/// A closing transaction that the peer signed and that waits for our signature, to be broadcast until it confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingToBroadcast {
    /// The channel.
    pub channel_id: ChannelId,
    /// By which the signer finds the channel's keys.
    pub signer_keys_id: [u8; 32],
    transaction: ClosingTransaction,
    our_role: Role,
    signature: Signature,
}

impl ClosingToSign {
    pub(crate) fn new(facts: &ChannelFacts, transactions: Vec<ClosingTransaction>, message: Unsigned) -> Self {
        Self {
            channel_id: facts.channel_id,
            signer_keys_id: facts.signer_keys_id,
            transactions,
            message,
        }
    }

    /// What to sign with the funding key, in order.
    pub fn transactions(&self) -> &[ClosingTransaction] {
        &self.transactions
    }

    /// The message, with one signature for each of [`Self::transactions`].
    ///
    /// # Panics
    /// When there are more or fewer signatures.
    pub fn message(&self, signatures: &[Signature]) -> Message {
        assert_eq!(
            signatures.len(),
            self.transactions.len(),
            "each transaction has one signature"
        );
        let channel_id = self.channel_id;
        match &self.message {
            Unsigned::Signed { fee, range } => ClosingSigned {
                channel_id,
                fee_satoshis: *fee,
                signature: signatures[0],
                fee_range: Some(*range),
            }
            .into(),
            Unsigned::Complete(proposal) => {
                let of = |variant| proposal.signature(variant, signatures);
                ClosingComplete {
                    channel_id,
                    closer_scriptpubkey: proposal.scripts.local.clone(),
                    closee_scriptpubkey: proposal.scripts.remote.clone(),
                    fee_satoshis: proposal.fee,
                    locktime: proposal.lock_time,
                    closer_output_only: of(CloserOutputOnly),
                    closee_output_only: of(CloseeOutputOnly),
                    closer_and_closee_outputs: of(CloserAndCloseeOutputs),
                }
                .into()
            }
            Unsigned::Sig(proposal) => {
                let of = |variant| proposal.signature(variant, signatures);
                ClosingSig {
                    channel_id,
                    closer_scriptpubkey: proposal.scripts.remote.clone(),
                    closee_scriptpubkey: proposal.scripts.local.clone(),
                    fee_satoshis: proposal.fee,
                    locktime: proposal.lock_time,
                    closer_output_only: of(CloserOutputOnly),
                    closee_output_only: of(CloseeOutputOnly),
                    closer_and_closee_outputs: of(CloserAndCloseeOutputs),
                }
                .into()
            }
        }
    }
}

impl Proposal {
    fn signature(&self, variant: SimpleCloseVariant, signatures: &[Signature]) -> Option<Signature> {
        let mut signed = self.variants.iter().zip(signatures);
        signed
            .find(|(signed, _)| **signed == variant)
            .map(|(_, signature)| *signature)
    }
}

impl ClosingToBroadcast {
    pub(crate) fn new(facts: &ChannelFacts, transaction: ClosingTransaction, signature: Signature) -> Self {
        Self {
            channel_id: facts.channel_id,
            signer_keys_id: facts.signer_keys_id,
            transaction,
            our_role: facts.role(Side::Local),
            signature,
        }
    }

    /// What to sign with the funding key.
    pub const fn transaction(&self) -> &ClosingTransaction {
        &self.transaction
    }

    /// The transaction, complete with our signature.
    pub fn signed(&self, ours: &Signature) -> Transaction {
        match self.our_role {
            Role::Opener => self.transaction.signed(ours, &self.signature),
            Role::Accepter => self.transaction.signed(&self.signature, ours),
        }
    }
}
