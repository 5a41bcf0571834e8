//! Inputs, and the world around them as values.

use quittance_channel::{Attached, ChannelLimits, FundingConfirmation, Opening, Verifier};
use quittance_journal::{EventNumber, Generation};
use quittance_payments::{Payment, Router};
use quittance_primitives::{BlockHeight, ChannelId, Features, NodeId};
use quittance_wire::Message;

use super::{Command, RequestId};

/// Everything that can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// A connection to a peer is up, and both sides have said `init`.
    PeerConnected {
        /// The peer.
        peer: NodeId,
        /// Which connection to it.
        generation: Generation,
        /// What both sides support.
        features: Features,
    },
    /// The connection to a peer is gone.
    PeerDisconnected(NodeId),
    /// A peer sent a message about a channel.
    PeerMessage {
        /// The peer.
        peer: NodeId,
        /// The message.
        message: Box<Message>,
        /// What `ChannelManager::needs` asked for.
        attached: Attached,
    },
    /// A channel was opened with a peer: both sides signed its first commitments.
    ChannelOpened {
        /// The first step of its log.
        opening: Box<Opening>,
        /// What both sides support.
        features: Features,
        /// What leaves once it is durable: `funding_signed`, or the funding transaction.
        effect: Box<quittance_channel::ChannelEffect>,
    },
    /// The caller wants something.
    Command {
        /// By which the caller knows the answer.
        request: RequestId,
        /// What it wants.
        command: Box<Command>,
        /// What is on disk about the payment that the command names, if it finished long ago.
        finished: Option<Box<Payment>>,
    },
    /// The chain has moved.
    Chain(ChainEvent),
    /// The user has handled all events up to this one.
    EventHandled(EventNumber),
    /// Time has passed: whatever is due is done. To be sent once a second.
    Tick,
}

/// What the chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// The best chain's tip.
    Tip(BlockHeight),
    /// A channel's funding transaction stands in a block.
    FundingConfirmed(ChannelId, FundingConfirmation),
    /// A reorganisation took it out again.
    FundingUnconfirmed(ChannelId),
}

/// The world, as values. With equal inputs and contexts the engine does the same, byte for byte.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// 32 bytes that nobody can guess, fresh for each input.
    pub entropy: [u8; 32],
    /// What we put up with on a channel.
    pub limits: &'a ChannelLimits,
    /// Who checks signatures.
    pub verifier: &'a dyn Verifier,
    /// Who finds routes.
    pub router: &'a dyn Router,
}
