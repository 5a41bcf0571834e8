//! What a caller may ask for, and the answers.

use bitcoin::Amount;
use quittance_channel::opening::{ChannelType, FundingTransaction, NewChannelKeys, OpenRefusal, UnfitFunding};
use quittance_channel::{CloseRequest, ForwardingPolicy, Refusal};
use quittance_payments::{PaymentKind, PaymentStatus, RouteHop, UnfitRoute};
use quittance_primitives::{
    ChannelId, FeeratePerKw, HtlcId, MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage,
};

/// By which a caller knows the answer to its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a caller may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Pay, once for this id whatever happens.
    SendPayment(Box<NewPayment>),
    /// Make no further attempt for this payment.
    AbandonPayment(PaymentId),
    /// Claim a payment that is held.
    ClaimPayment(PaymentPreimage),
    /// Refuse a payment that is held.
    RefusePayment(PaymentHash),
    /// Send on an HTLC that was intercepted, through a channel of ours.
    ForwardIntercepted {
        /// The channel that brought it.
        upstream: ChannelId,
        /// Its number there.
        htlc: HtlcId,
        /// The channel that is to take it on.
        over: ChannelId,
        /// What it is to bring there, in msat; no more than it brought.
        amount: MilliSatoshi,
    },
    /// Fail an HTLC that was intercepted, by the channel that brought it and its number there.
    RefuseIntercepted(ChannelId, HtlcId),
    /// Change the feerate of a channel that we opened.
    SetFeerate(ChannelId, FeeratePerKw),
    /// Let a channel come to rest (BOLT 2, `stfu`): both commitments match, and no update is sent, until its connection ends. With HTLCs in
    /// it that is after 60 seconds. Its peer must offer it, and both must be connected.
    Quiesce(ChannelId),
    /// Set by what we forward through a channel. Payers that have not heard of it may go by what it replaces for ten minutes.
    SetPolicy(ChannelId, ForwardingPolicy),
    /// Close a channel by our latest commitment.
    ForceClose(ChannelId),
    /// Close a channel by agreement with its peer.
    CloseChannel(ChannelId, CloseRequest),
    /// Open a channel to a peer that is connected.
    OpenChannel(Box<NewChannel>),
    /// Fund an opening, with the transaction that the wallet made for `Effect::FundingWanted`.
    FundChannel {
        /// The peer.
        peer: NodeId,
        /// The opening.
        temporary_channel_id: ChannelId,
        /// The transaction, with every witness.
        funding: Box<FundingTransaction>,
    },
    /// Give up an opening of ours that is no channel yet: by its peer and its temporary id. The peer is told.
    AbandonOpening(NodeId, ChannelId),
}

/// A channel to be opened by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChannel {
    /// To whom.
    pub peer: NodeId,
    /// What it is to hold, all of it ours at first.
    pub capacity: Amount,
    /// What of it we give away, in msat.
    pub push: MilliSatoshi,
    /// Its type; by default the one that both sides prefer.
    pub channel_type: Option<ChannelType>,
    /// Whether it is to be announced.
    pub announce: bool,
    /// The feerate of the first commitments.
    pub feerate: FeeratePerKw,
    /// Fresh from the signer.
    pub keys: NewChannelKeys,
}

/// A payment to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayment {
    /// The caller's name for it.
    pub id: PaymentId,
    /// The hash that locks it.
    pub payment_hash: PaymentHash,
    /// What the payee is to receive, in msat.
    pub amount: MilliSatoshi,
    /// The most that it may cost in fees, in msat.
    pub fee_limit: MilliSatoshi,
    /// Who is paid, and what it must be told.
    pub kind: PaymentKind,
    /// How many further times routes may be asked for after a failure.
    pub attempts: u32,
    /// The only ways that it may go, one for each part; without any, routes are looked for. The first channel may go by any of its
    /// names. With given routes there is no second attempt.
    pub routes: Vec<Vec<RouteHop>>,
}

impl NewPayment {
    /// A probe: an attempt to pay `amount` msat that nobody can claim, since the preimage of its hash is known to none. It ends as
    /// `PaymentFailed`: with `RejectedByPayee` when it reached the payee, so that a payment would have, too; with anything else when
    /// it did not. `secret` is 32 bytes that nobody can guess.
    pub const fn probe(
        id: PaymentId,
        secret: [u8; 32],
        amount: MilliSatoshi,
        fee_limit: MilliSatoshi,
        kind: PaymentKind,
    ) -> Self {
        Self {
            id,
            payment_hash: PaymentHash(secret),
            amount,
            fee_limit,
            kind,
            attempts: 0,
            routes: Vec::new(),
        }
    }
}

/// The answer to a command. It leaves only once everything that the command changed is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The payment stands so; it is not made a second time.
    Payment(PaymentId, PaymentStatus),
    /// The id belongs to another payment, with another hash or amount. Nothing was paid.
    PaymentConflict(PaymentId),
    /// The routes that the caller gave cannot be meant. Nothing was paid, and the id is free.
    RouteRefused(UnfitRoute),
    /// There is no such payment.
    UnknownPayment(PaymentId),
    /// The claim is decided, and will be carried out whatever happens.
    Claimed(PaymentHash, MilliSatoshi),
    /// The payment is refused: every part of it is failed.
    Refused(PaymentHash),
    /// No payment with this hash is held, or not completely.
    NothingHeld(PaymentHash),
    /// No such HTLC waits for a decision: it was decided, or failed in time.
    NothingIntercepted(ChannelId, HtlcId),
    /// The HTLC cannot be sent on so; the text says what we could lose by it. It goes on waiting.
    ForwardRefused(String),
    /// The opening has begun, under this temporary id.
    Opening(ChannelId),
    /// The opening is refused, by us or by what the BOLTs allow. Nothing was sent.
    OpenRefused(OpenRefusal),
    /// There is no such opening, or it does not wait for its funding.
    UnknownOpening(ChannelId),
    /// The transaction does not fund the opening, which goes on waiting.
    UnfitFunding(UnfitFunding),
    /// The peer is not connected.
    PeerNotConnected(NodeId),
    /// Done.
    Done,
    /// There is no such channel.
    UnknownChannel(ChannelId),
    /// The channel refused it, and nothing changed.
    ChannelRefused(ChannelId, Refusal),
}
