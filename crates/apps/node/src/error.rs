//! What a node says when it cannot: to its caller, at its start, and at its end.

use quittance_chain::ChainError;
use quittance_channel::Refusal;
use quittance_channel::opening::{OpenRefusal, UnfitFunding};
use quittance_invoice::{BuildError, SignError};
use quittance_journal::{EventNumber, ReadError, StoreFailed};
use quittance_manager::RestoreError;
use quittance_net::ConnectError;
use quittance_payments::UnfitRoute;
use quittance_primitives::{ChannelId, HtlcId, MilliSatoshi, NodeId, PaymentHash, PaymentId};
use quittance_store::embedded::OpenError;

use crate::routes::IncompleteRoute;
use crate::wallet::WalletError;

/// Why a node did not do what it was asked for. Nothing has changed, unless the text says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the texts say")]
pub enum NodeError {
    #[error("the node is stopping, or has stopped")]
    Stopped,
    #[error("the system has no randomness to give: {0}")]
    NoRandomness(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0} is not connected: connect to it first")]
    PeerNotConnected(NodeId),
    #[error("a channel with {0} cannot be used before it confirms: both nodes must name each other in zeroconf-peers")]
    ZeroconfNotOffered(NodeId),
    #[error("there is no channel {0}")]
    UnknownChannel(ChannelId),
    #[error("channel {0}: {1}")]
    ChannelRefused(ChannelId, Refusal),
    #[error("the channel cannot be opened: {0}")]
    OpenRefused(OpenRefusal),
    #[error("the peer refused the channel: {0}")]
    RefusedByPeer(String),
    #[error("the connection to the peer ended in the middle of the opening; nothing was spent")]
    OpeningCutOff,
    #[error(
        "the opening took more than {0} seconds; it goes on if the peer answers, and then the channel is listed: nothing was spent so far"
    )]
    OpenTimedOut(u64),
    #[error("the wallet's transaction does not fund the channel: {0}")]
    UnfitFunding(UnfitFunding),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error("payment id {0} belongs to another payment, with another hash or amount: nothing was paid")]
    PaymentConflict(PaymentId),
    #[error("the route cannot be taken: {0}; nothing was paid")]
    RouteRefused(UnfitRoute),
    #[error("the route is not complete: {0}")]
    IncompleteRoute(#[from] IncompleteRoute),
    #[error("there is no payment {0}")]
    UnknownPayment(PaymentId),
    #[error("no payment with hash {0} is held, or not completely")]
    NothingHeld(PaymentHash),
    #[error("HTLC {1} of channel {0} does not wait for a decision: it was decided, or failed in time")]
    NothingIntercepted(ChannelId, HtlcId),
    #[error("the HTLC cannot be sent on so: {0}")]
    ForwardRefused(String),
    #[error("event {} was not shown yet, so it cannot have been handled", .0.0)]
    NotShown(EventNumber),
    #[error("the invoice has expired")]
    Expired,
    #[error("the invoice is for another network")]
    OtherNetwork,
    #[error("the invoice leaves the amount to you: say how much")]
    AmountMissing,
    #[error("the invoice asks for {asked}, which is not what you want to pay: {given}")]
    AmountDiffers { asked: MilliSatoshi, given: MilliSatoshi },
    #[error("the invoice cannot be written: {0}")]
    Invoice(BuildError),
    #[error("the invoice cannot be signed: {0}")]
    Signature(SignError),
    #[error("the chain source cannot be asked: {0}")]
    Chain(String),
    #[error("a record cannot be read: {0}")]
    Record(String),
    #[error("the connection is as you wish, but the file of peers cannot be written: {0}")]
    AddressBook(String),
    #[error("the store cannot be copied: {0}")]
    Copy(String),
}

/// Why a node does not start. Nothing was written and nothing has left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A record stands against it.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed at once.
    #[error(transparent)]
    StoreFailed(#[from] StoreFailed),
    /// The store belongs to somebody else.
    #[error(
        "the store in {folder} belongs to node {owner} on another seed or chain; this seed is that of {us}: use the right seed or another folder"
    )]
    OtherOwner {
        /// Where the store is.
        folder: String,
        /// Whose it is.
        owner: NodeId,
        /// Who we are.
        us: NodeId,
    },
    /// The chain source does not answer.
    #[error("the chain source does not answer: {0}")]
    Chain(#[from] ChainError),
    /// The wallet does not work.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The address to listen at cannot be had.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The system has no thread or no randomness to give.
    #[error("the system refuses: {0}")]
    System(String),
}

impl StartError {
    /// Whether the same start may succeed later, with nothing changed but the chain source: one that does not answer, or is not ready.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Chain(error) if error.may_pass())
    }
}

/// Why a node has stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was asked to.
    #[error("the node was asked to stop")]
    Asked,
    /// It could not write, and so must not act (G10). Nothing that was not written has left.
    #[error("the node has stopped because its store failed: {0}; nothing that was not written has left")]
    StoreFailed(StoreFailed),
    /// A record could not be read.
    #[error("the node has stopped because a record cannot be read: {0}")]
    Unreadable(String),
    /// A bug of ours: the engine's own checks failed.
    #[error("the node has stopped because of a fault of its own; start it again")]
    Fault,
}
