//! Signatures that are made while the batch that they rest on is being written.
//!
//! What is handed out ahead is a commitment to sign, and what comes back is sealed: it opens only with the very effect that asked for it,
//! which the gate lets out once its batch is durable. So the signatures of a batch that is lost are lost with it, and none is taken for
//! another commitment. Secrets have no such way: [`RevocationDue`](crate::RevocationDue) comes out of the gate or not at all.
//!
//! What is public may be derived at any time: [`NextCommitment`] says what the peer's next signature will be checked with, and what ours
//! will be made for.

use std::sync::Arc;

use quittance_primitives::{ChannelId, CommitmentNumber};
use quittance_transactions::{ChannelTerms, CommitmentSignatures, HtlcOutputs, Role};
use quittance_wire::Message;
use secp256k1::PublicKey;

use crate::commitments::View;
use crate::{Channel, CommitmentToSign, Side};

/// A commitment that may be signed before its signatures may leave.
#[derive(Clone, Debug)]
pub struct SigningAhead(Arc<CommitmentToSign>);

/// The signatures of a commitment, until the effect that asked for them is released.
#[derive(Clone)]
pub struct SealedSignatures {
    effect: Arc<CommitmentToSign>,
    signatures: CommitmentSignatures,
}

/// The commitment of ours that the peer signs next, or that of the peer that we do, as far as it is known before: from this its keys follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextCommitment {
    /// By which the signer knows the channel's secrets.
    pub signer_keys_id: [u8; 32],
    /// The channel's terms.
    pub terms: ChannelTerms,
    /// Its owner's role.
    pub broadcaster: Role,
    /// Its point.
    pub point: PublicKey,
    /// Whether it is likely to have outputs for HTLCs. One that is alone will be gone by then, and where there is none one will have come.
    pub htlc_outputs: HtlcOutputs,
    /// Its number, if it is ours. The point of the one after it is asked for along with its signature
    /// ([`Need::Point`](crate::Need::Point)).
    pub number_of_ours: Option<CommitmentNumber>,
}

impl Channel {
    /// What is known of the next commitment of one side. `None` while its point is awaited, or if it is ours to sign at once.
    pub fn next_commitment(&self, owner: Side) -> Option<NextCommitment> {
        let state = self.state();
        let commitments = &state.commitments;
        let (point, number_of_ours) = match owner {
            Side::Local => {
                let local = &commitments.local;
                (local.next_point, Some(local.number.next()))
            }
            Side::Remote if commitments.has_news_for(owner) => return None,
            Side::Remote => (commitments.remote.next_point?, None),
        };
        Some(NextCommitment {
            signer_keys_id: state.facts.signer_keys_id,
            terms: state.facts.terms(),
            broadcaster: state.facts.role(owner),
            point,
            htlc_outputs: match commitments.htlcs(View::next_of(owner)).take(2).count() {
                1 => HtlcOutputs::None,
                _ => HtlcOutputs::Some,
            },
            number_of_ours,
        })
    }
}

impl NextCommitment {
    /// Of which channel and side the next commitment is one further once a message of the peer's is accepted.
    pub const fn moved_by(message: &Message) -> Option<(ChannelId, Side)> {
        match message {
            Message::CommitmentSigned(signed) => Some((signed.channel_id, Side::Local)),
            Message::RevokeAndAck(revoked) => Some((revoked.channel_id, Side::Remote)),
            _ => None,
        }
    }
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
