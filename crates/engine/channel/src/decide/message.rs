//! A message of the peer's, to the decision that it calls for. What needs a secret key to be understood is attached by the
//! driver before the channel sees the message: [`Channel::needs`] says what.

use quittance_primitives::CommitmentNumber;
use quittance_wire::Message;
use secp256k1::PublicKey;

use super::SecretCheck;
use crate::opening::NewChannelKeys;
use crate::{Channel, Context, Decision, ReceivedOnion, Violation};

/// What a message needs from the signer before the channel can judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The message's onion, peeled.
    Onion,
    /// Our point for this commitment.
    Point(CommitmentNumber),
    /// Whether the secret in the message is that of this commitment of ours.
    SecretCheck(CommitmentNumber),
    /// Keys for a channel that the peer wants to open.
    NewChannel,
}

/// What was asked for by [`Channel::needs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Nothing was.
    Nothing,
    /// The message's onion.
    Onion(ReceivedOnion),
    /// Our point for the commitment after the next.
    Point(PublicKey),
    /// The signer's word on the secret.
    Secret(SecretCheck),
    /// Keys for a new channel.
    NewChannel(Box<NewChannelKeys>),
}

impl Channel {
    /// What the driver attaches to this message before it is handled, in the channel's present state.
    pub fn needs(&self, message: &Message) -> Need {
        match message {
            Message::UpdateAddHtlc(_) => Need::Onion,
            Message::CommitmentSigned(_) => Need::Point(self.state().commitments.local.number.next().next()),
            Message::ChannelReestablish(message) => {
                // A number that no commitment of ours can have has no secret either.
                let number = message.next_revocation_number.checked_sub(1).map(CommitmentNumber);
                number
                    .filter(|number| *number <= CommitmentNumber::MAX)
                    .map_or(Need::Nothing, Need::SecretCheck)
            }
            _ => Need::Nothing,
        }
    }

    /// Judges a message of the peer's. Messages that do not concern an open channel are ignored.
    ///
    /// # Errors
    /// [`Violation`] when the peer may not send this now.
    ///
    /// # Panics
    /// When what [`Self::needs`] asked for is not attached: a fault of ours.
    pub fn decide_message(
        &self,
        message: &Message,
        attached: Attached,
        context: &Context<'_>,
    ) -> Result<Decision, Violation> {
        match message {
            Message::UpdateAddHtlc(message) => {
                let Attached::Onion(onion) = attached else {
                    panic!("the onion of update_add_htlc is attached")
                };
                self.decide_add(message, onion, context)
            }
            Message::UpdateFulfillHtlc(message) => self.decide_fulfill(message),
            Message::UpdateFailHtlc(message) => self.decide_fail(message),
            Message::UpdateFailMalformedHtlc(message) => self.decide_fail_malformed(message),
            Message::UpdateFee(message) => self.decide_update_fee(message, context),
            Message::CommitmentSigned(message) => {
                let Attached::Point(point) = attached else {
                    panic!("the next point is attached to commitment_signed")
                };
                self.decide_commitment_signed(message, point, context)
            }
            Message::RevokeAndAck(message) => self.decide_revocation(message, context),
            Message::ChannelReady(message) => self.decide_channel_ready(message),
            Message::Shutdown(message) => self.decide_peer_shutdown(message),
            Message::ClosingSigned(message) => self.decide_closing_signed(message, context),
            Message::ClosingComplete(message) => self.decide_closing_complete(message, context),
            Message::ClosingSig(message) => self.decide_closing_sig(message, context),
            Message::Stfu(message) => self.decide_stfu(message, context),
            Message::ChannelReestablish(message) => {
                let check = match attached {
                    Attached::Secret(check) => check,
                    Attached::Nothing | Attached::Onion(_) | Attached::Point(_) | Attached::NewChannel(_) => {
                        SecretCheck::NotOurs
                    }
                };
                self.decide_reestablish(message, check)
            }
            _ => Ok(Decision::default()),
        }
    }
}
