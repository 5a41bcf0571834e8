//! Signatures that are made while the batch that they rest on is being written.
//!
//! What is handed out ahead is a commitment to sign, and what comes back is sealed: it opens only with the very effect that asked for it,
//! which the gate lets out once its batch is durable. So the signatures of a batch that is lost are lost with it, and none is taken for
//! another commitment. Secrets have no such way: [`RevocationDue`](crate::RevocationDue) comes out of the gate or not at all.

use std::sync::Arc;

use quittance_transactions::CommitmentSignatures;
use quittance_wire::Message;

use crate::CommitmentToSign;

/// A commitment that may be signed before its signatures may leave.
#[derive(Clone, Debug)]
pub struct SigningAhead(Arc<CommitmentToSign>);

/// The signatures of a commitment, until the effect that asked for them is released.
#[derive(Clone)]
pub struct SealedSignatures {
    effect: Arc<CommitmentToSign>,
    signatures: CommitmentSignatures,
}

impl SigningAhead {
    /// The work that this effect will ask for.
    pub fn new(effect: &Arc<CommitmentToSign>) -> Self {
        Self(Arc::clone(effect))
    }

    /// Does it.
    pub fn sign(self, sign: impl FnOnce(&CommitmentToSign) -> CommitmentSignatures) -> SealedSignatures {
        SealedSignatures {
            signatures: sign(&self.0),
            effect: self.0,
        }
    }
}

impl SealedSignatures {
    /// Whether they were made for this effect: for this one, and not for one with the same contents.
    pub fn fits(&self, effect: &Arc<CommitmentToSign>) -> bool {
        Arc::ptr_eq(&self.effect, effect)
    }

    /// The message that a released effect stands for. `None` when they were made for another.
    pub fn open(self, released: &Arc<CommitmentToSign>) -> Option<Message> {
        self.fits(released).then(|| released.message(self.signatures))
    }
}

impl std::fmt::Debug for SealedSignatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.effect.contents.number;
        write!(
            f,
            "sealed signatures for commitment {number} of {}",
            self.effect.channel_id
        )
    }
}
