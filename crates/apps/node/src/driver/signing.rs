//! Messages that have to be signed, on the task of the connection that sends them. Commitments are signed while their batches are being
//! written: their signatures wait, sealed, until the gate has let the message out, and end with the connection otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quittance_channel::SigningAhead;
use quittance_manager::Outgoing;
use quittance_net::Outbound;
use quittance_signer::{LocalSigner, SignedAhead};

use crate::views::Figures;

/// What signs for one connection. What it makes has to go into that connection's queue, in order.
pub(super) struct ConnectionSigner {
    signer: Arc<LocalSigner>,
    /// Only the connection's own task works on it.
    ahead: Arc<Mutex<SignedAhead>>,
    count: Arc<CommitmentsSigned>,
}

/// How many commitments were signed, over all connections.
#[derive(Debug, Default)]
pub(crate) struct CommitmentsSigned {
    ahead: AtomicU64,
    late: AtomicU64,
}

impl CommitmentsSigned {
    /// Brings figures up to date.
    pub(super) fn tell(&self, figures: &mut Figures) {
        figures.commitments_signed_ahead = self.ahead.load(Ordering::Relaxed);
        figures.commitments_signed_late = self.late.load(Ordering::Relaxed);
    }
}

impl ConnectionSigner {
    pub(super) fn new(signer: &Arc<LocalSigner>, count: &Arc<CommitmentsSigned>) -> Self {
        Self {
            signer: Arc::clone(signer),
            ahead: Arc::default(),
            count: Arc::clone(count),
        }
    }

    /// Work for a message that is not released yet. It sends nothing.
    pub(super) fn prepared(&self, work: SigningAhead) -> Outbound {
        let (signer, ahead) = (Arc::clone(&self.signer), Arc::clone(&self.ahead));
        Outbound::Made(Box::new(move || {
            signer.sign_ahead(work, &mut ahead.lock().unwrap_or_else(PoisonError::into_inner));
            None
        }))
    }

    /// A message that is released.
    pub(super) fn made(&self, released: Outgoing) -> Outbound {
        if let Outgoing::Message(message) = released {
            return Outbound::Message(message);
        }
        let (signer, ahead, count) = (
            Arc::clone(&self.signer),
            Arc::clone(&self.ahead),
            Arc::clone(&self.count),
        );
        Outbound::Made(Box::new(move || {
            let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
            let is_commitment = matches!(released, Outgoing::Commitment(_));
            let waiting = ahead.len();
            let message = signer.complete_with(released, &mut ahead);
            if is_commitment {
                let was_ready = ahead.len() < waiting;
                let counter = if was_ready { &count.ahead } else { &count.late };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            message
        }))
    }
}
