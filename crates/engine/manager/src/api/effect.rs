//! What the engine wants done. Nobody but the gate can read it, and the gate gives it out once it may leave.

use bitcoin::{Transaction, TxOut};
use quittance_channel::{ClosingToBroadcast, ClosingToSign, CommitmentToSign, RevocationDue};
use quittance_primitives::{ChannelId, NodeId};
use quittance_wire::Message;

use super::{NumberedEvent, RequestId, Response};

/// Something to be done, once all that it rests on is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send to a peer.
    Send(NodeId, Outgoing),
    /// Make a transaction with this output, signed and not broadcast, and hand it back by `Command::FundChannel`.
    FundingWanted {
        /// The peer of the opening.
        peer: NodeId,
        /// The opening.
        temporary_channel_id: ChannelId,
        /// What the transaction has to pay to.
        output: TxOut,
    },
    /// Close the connection to a peer, after what was sent before.
    Disconnect(NodeId, DisconnectReason),
    /// Show the user an event.
    Notify(Box<NumberedEvent>),
    /// The user's confirmation up to this event is durable.
    HandledConfirmed(quittance_journal::EventNumber),
    /// The user confirmed an event that it was never shown: nothing was changed.
    HandledRefused(quittance_journal::EventNumber),
    /// Answer a command.
    Respond(RequestId, Box<Response>),
    /// Broadcast a transaction.
    Broadcast(Box<Transaction>, Purpose),
    /// Broadcast our latest commitment of a channel: the signer adds our signature.
    BroadcastCommitment(ChannelId),
    /// Broadcast a closing transaction that the peer signed: the signer adds our signature.
    BroadcastClosing(Box<ClosingToBroadcast>),
}

/// A message to a peer, complete or with what is still to be signed or revealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Complete.
    Message(Box<Message>),
    /// `commitment_signed`, to be signed.
    Commitment(Box<CommitmentToSign>),
    /// `revoke_and_ack`, whose secret is now due.
    Revocation(RevocationDue),
    /// What closes a channel by agreement, to be signed.
    Closing(Box<ClosingToSign>),
    /// What opens a channel, to be signed.
    Opening(Box<quittance_channel::ChannelEffect>),
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It funds a channel.
    Funding(ChannelId),
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The peer broke the protocol on this channel; the text was sent as a warning.
    PeerMisbehaved(ChannelId, String),
}
