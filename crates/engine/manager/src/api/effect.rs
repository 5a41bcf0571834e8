//! What the engine wants done. Nobody but the gate can read it, and the gate gives it out once it may leave.

use std::sync::Arc;

use bitcoin::{Transaction, TxOut};
use quittance_channel::opening::{Forgotten, OpenRefusal};
use quittance_channel::{ClosingToSign, CommitmentToSign, RevocationDue, SigningAhead};
use quittance_journal::{Ahead, Key};
use quittance_monitor::Broadcast;
use quittance_primitives::{ChannelId, NodeId};
use quittance_wire::Message;

use super::{GossipToSign, NumberedEvent, RequestId, Response};

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
    /// An opening of ours is over, and there is no channel. What is told of it is not durable, as nothing of it was: after a start it is not told.
    OpeningEnded(Box<Forgotten>, OpeningEnd),
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
    /// Complete a transaction that closes a channel or claims what is ours of it, and broadcast it: the signer signs, and the wallet
    /// adds coins where they are asked for. Comes again with every block until it is confirmed: what is in the mempool already is
    /// no error.
    Enforce(Box<Enforcement>),
    /// Read a record, by [`crate::load`], and hand it back by `Input::Loaded`.
    Load(Key),
}

impl Effect {
    /// Whether nobody minds that it leaves a little later: what it rests on may be made durable together with what comes next, when nothing
    /// else waits for it. A user who has handled an event has been promised no more than that.
    pub const fn has_time(&self) -> bool {
        matches!(self, Self::HandledConfirmed(_))
    }
}

/// Why an opening of ours is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpeningEnd {
    /// What the peer answered is not acceptable. It was told so.
    Refused(OpenRefusal),
    /// The peer sent `error`, with this text.
    RefusedByPeer(String),
    /// The connection was lost (BOLT 2: openings are forgotten with it).
    Disconnected,
    /// We gave it up: by [`Command::AbandonOpening`](super::Command::AbandonOpening), or with its batch.
    GivenUp,
}

/// A message to a peer, complete or with what is still to be signed or revealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Complete.
    Message(Box<Message>),
    /// `commitment_signed`, to be signed.
    Commitment(Arc<CommitmentToSign>),
    /// `revoke_and_ack`, whose secret is now due.
    Revocation(RevocationDue),
    /// What closes a channel by agreement, to be signed.
    Closing(Box<ClosingToSign>),
    /// What is said of our channels, to be signed.
    Gossip(Box<GossipToSign>),
    /// What opens a channel, to be signed.
    Opening(Box<quittance_channel::ChannelEffect>),
}

/// A transaction that closes a channel, or claims what is ours of it, for signer and wallet to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// The channel.
    pub channel: ChannelId,
    /// By which the signer finds the channel's keys.
    pub signer_keys_id: [u8; 32],
    /// What is to be signed, paid for and broadcast.
    pub broadcast: Broadcast,
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

impl Ahead for Effect {
    type Work = SigningAhead;

    fn ahead(&self) -> Option<SigningAhead> {
        match self {
            Self::Send(_, Outgoing::Commitment(to_sign)) => Some(SigningAhead::new(to_sign)),
            _ => None,
        }
    }
}
