//! Inputs, and the world around them as values.

use bitcoin::{Amount, BlockHash, Script, Transaction};
use quittance_channel::{Attached, ChannelLimits, Opening, Verifier};
use quittance_journal::{EventNumber, Generation};
use quittance_monitor::{FeeEstimates, RevokedHtlcs, Tip};
use quittance_payments::{Payment, Router};
use quittance_primitives::{BlockHeight, ChannelId, CommitmentNumber, Features, NodeId};
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
    /// What `Effect::Load` asked for, as [`crate::load`] read it.
    Loaded(Box<Loaded>),
    /// The user has handled all events up to this one.
    EventHandled(EventNumber),
    /// Time has passed: whatever is due is done. To be sent once a second.
    Tick,
}

/// What the chain says. Every block of the active chain comes, in order, from the lowest of
/// [`chain_tips`](crate::ChannelManager::chain_tips) on; blocks that were read before change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// A block of the active chain.
    Connected(Box<ConnectedBlock>),
    /// A reorganisation took back every block above this one. The new branch's blocks follow.
    Rewound(Tip),
}

/// A block of the active chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedBlock {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before it.
    pub previous: BlockHash,
    /// The height of the best chain's tip, as far as the source knows it: this block's height, or more while older blocks are caught up
    /// with. Nothing is broadcast for a chain that has moved on.
    pub best: BlockHeight,
    /// Its transactions, each with its place in the block, in order. What concerns no channel may be left out.
    pub transactions: Vec<(u32, Transaction)>,
}

/// A record that the engine does not hold in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The HTLCs of a revoked commitment; nothing when it had none with an output.
    RevokedCommitment(ChannelId, CommitmentNumber, Option<RevokedHtlcs>),
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
    /// What confirms when.
    pub fees: FeeEstimates,
    /// Where what is claimed on chain goes: a script of the wallet's.
    pub sweep_to: &'a Script,
    /// The coins that the wallet could give to claims which cannot pay for themselves, and has not promised to anything.
    pub coins: &'a [Amount],
}
