//! What the closing transaction was recognised as, kept as long as everything that it follows from stays the same. No part of the
//! monitor's record: a monitor that was read back works it out again.

use std::sync::Arc;

use bitcoin::{Transaction, Txid};
use quittance_channel::ChannelState;
use quittance_primitives::CommitmentNumber;
use quittance_records::{BadRecord, Record};

use crate::closing::OnChainCommitment;
use crate::{Closing, RevokedHtlcs};

/// What the closing transaction is.
#[derive(Clone, Debug)]
pub(crate) struct Recognition {
    basis: Basis,
    pub(crate) closing: Closing,
    /// Nothing for a closing that both sides signed.
    pub(crate) commitment: Option<Arc<OnChainCommitment>>,
}

/// Everything that a recognition follows from, beside what never changes: contents of commitments follow from their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    txid: Txid,
    revoked: Option<CommitmentNumber>,
    local: CommitmentNumber,
    remote: CommitmentNumber,
    is_previous_revoked: bool,
    closings_signed: usize,
}

/// A recognition, if there is one. All are equal: it is no part of what a monitor is.
#[derive(Clone, Debug)]
pub(crate) struct Remembered(Option<Recognition>);

impl Basis {
    fn of(state: &ChannelState, transaction: &Transaction, revoked: Option<&RevokedHtlcs>) -> Self {
        let commitments = &state.commitments;
        Self {
            txid: transaction.compute_txid(),
            revoked: revoked.map(|revoked| revoked.number),
            local: commitments.local.number,
            remote: commitments.remote.number,
            is_previous_revoked: commitments.remote.unrevoked_previous.is_none(),
            closings_signed: state.closings.len(),
        }
    }
}

impl Remembered {
    pub(crate) const NOTHING: Self = Self(None);

    pub(crate) const fn new(recognition: Recognition) -> Self {
        Self(Some(recognition))
    }

    /// What is remembered, if it still holds; otherwise what `transaction` is.
    pub(crate) fn get_or_make(
        &self,
        state: &ChannelState,
        transaction: &Transaction,
        revoked: Option<&RevokedHtlcs>,
    ) -> Recognition {
        let basis = Basis::of(state, transaction, revoked);
        if let Some(remembered) = self.0.as_ref().filter(|remembered| remembered.basis == basis) {
            return remembered.clone();
        }
        let commitment = OnChainCommitment::of(state, transaction, revoked).map(Arc::new);
        Recognition {
            basis,
            closing: commitment
                .as_ref()
                .map_or(Closing::Mutual, |commitment| commitment.closing),
            commitment,
        }
    }
}

impl PartialEq for Remembered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Remembered {}

impl Record for Remembered {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(Self::NOTHING)
    }
}
