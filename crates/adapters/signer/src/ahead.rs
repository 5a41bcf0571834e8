//! Commitments that are signed while their batches are being written. A signature stays sealed until its effect is released, and is
//! dropped with the connection, or the process, that it was made for. Start at [`LocalSigner::sign_ahead`].

use std::collections::VecDeque;

use quittance_channel::{SealedSignatures, SigningAhead};
use quittance_manager::Outgoing;
use quittance_wire::Message;

use crate::LocalSigner;

/// What was signed ahead, for messages that leave in the order in which they were asked for: those of one connection, or of one gate.
#[derive(Clone, Debug, Default)]
pub struct SignedAhead {
    sealed: VecDeque<SealedSignatures>,
}

impl SignedAhead {
    /// How many commitments are signed and not released.
    pub fn len(&self) -> usize {
        self.sealed.len()
    }

    /// Puts others behind these.
    pub fn append(&mut self, others: Self) {
        self.sealed.extend(others.sealed);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty()
    }
}

impl LocalSigner {
    /// Signs a commitment whose batch is being written.
    pub fn sign_ahead(&self, work: SigningAhead, ahead: &mut SignedAhead) {
        ahead.sealed.push_back(work.sign(|template| self.countersign(template)));
    }

    /// As [`Self::complete`], with the signatures that were made ahead, where they were made for this very effect.
    pub fn complete_with(&self, released: Outgoing, ahead: &mut SignedAhead) -> Option<Message> {
        let signed = match &released {
            Outgoing::Commitment(effect) => {
                let place = ahead.sealed.iter().position(|sealed| sealed.fits(effect));
                // Those before it were for effects that have been dropped.
                let sealed = place.and_then(|place| ahead.sealed.drain(..=place).next_back());
                sealed.and_then(|sealed| sealed.open(effect))
            }
            _ => None,
        };
        signed.or_else(|| self.complete(released))
    }
}
