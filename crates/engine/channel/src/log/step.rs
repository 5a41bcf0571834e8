//! The steps of a channel's log: every fact that the channel's state, and its enforcement on chain, is folded from.

use bitcoin::{ScriptBuf, Txid};
use quittance_journal::EventNumber;
use quittance_primitives::{BlockHeight, FeeratePerKw, HtlcId, PaymentPreimage, ShortChannelId};
use quittance_records::{Listed, record, tagged};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::{
    AgreedClosing, ChannelFacts, DecidedClaim, ForwardingPolicy, HtlcSource, HtlcTerms, Outcome, ReceivedOnion,
    Removal, Report, Side, WantedClose,
};

/// One fact of a channel's life. `decide` produces steps, `apply` folds them; nothing else changes a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first step of every log: what the channel is, and its first commitments.
    Opened(Box<Opening>),
    /// The funding transaction stands in the chain.
    FundingConfirmed(FundingConfirmation),
    /// A reorganisation took the funding transaction out of the chain again.
    FundingUnconfirmed,
    /// The funding will never be used: it was not seen in 2016 blocks, or an input of it was spent otherwise.
    FundingAbandoned(AbandonedFunding),
    /// We sent `channel_ready`, under this alias if any.
    ReadySent(Option<ShortChannelId>),
    /// The peer's `channel_ready`: its point for commitment 1, and its alias for the channel.
    ReadyReceived {
        /// The peer's per-commitment point for its commitment 1.
        next_point: PublicKey,
        /// By which the peer knows the channel in our invoices' hints.
        alias: Option<ShortChannelId>,
    },
    /// We sent `update_add_htlc`.
    HtlcOffered {
        /// What it pays.
        terms: HtlcTerms,
        /// Why we offer it.
        source: HtlcSource,
    },
    /// The peer sent `update_add_htlc`.
    HtlcReceived {
        /// What it pays.
        terms: HtlcTerms,
        /// What its onion told us.
        onion: ReceivedOnion,
        /// When it came, in milliseconds since 1970.
        received_at_ms: u64,
    },
    /// We sent `update_fulfill_htlc`, `update_fail_htlc` or `update_fail_malformed_htlc`.
    RemovalSent {
        /// Which of the peer's HTLCs.
        id: HtlcId,
        /// How.
        removal: Removal,
    },
    /// The peer sent one of the three. A fulfilment is the HTLC's outcome from here on, whatever follows.
    RemovalReceived {
        /// Which of our HTLCs.
        id: HtlcId,
        /// How.
        removal: Removal,
    },
    /// The opener sent `update_fee`.
    FeeProposed(FeeratePerKw),
    /// We signed the peer's next commitment.
    CommitmentSent,
    /// The peer signed our next commitment. The one before it is revoked by the same step.
    CommitmentReceived {
        /// For the funding input.
        signature: Signature,
        /// For the second stage of each untrimmed HTLC, in the order of BOLT 3.
        htlc_signatures: Vec<Signature>,
        /// Our point for the commitment after this one; it goes out with our `revoke_and_ack`.
        next_point: PublicKey,
    },
    /// The peer revoked its commitment before the one that we signed last.
    RevocationReceived {
        /// The revoked commitment's secret.
        secret: [u8; 32],
        /// The peer's point for the commitment after the one that we signed last.
        next_point: PublicKey,
    },
    /// A new connection reversed what the peer had sent without committing to it (BOLT 2, message retransmission).
    UncommittedForgotten,
    /// The chain decided an HTLC that we offered.
    ResolvedOnChain {
        /// Which of our HTLCs.
        id: HtlcId,
        /// What became of it.
        outcome: Outcome,
    },
    /// What the chain made of an HTLC is buried: nothing can change it any more.
    HtlcBuried {
        /// Who offered it.
        offered_by: Side,
        /// Which one.
        id: HtlcId,
    },
    /// What claims one of the peer's HTLCs on a channel that is closed: it is claimed on chain.
    PreimageKnown {
        /// Which of the peer's HTLCs.
        id: HtlcId,
        /// What claims it.
        preimage: PaymentPreimage,
    },
    /// The outcome of one of our HTLCs ended its payment, and the user is told so.
    OutcomeReported {
        /// Which of our HTLCs.
        id: HtlcId,
        /// By which event, and what it says.
        report: Report,
    },
    /// The user confirmed the event, or the upstream HTLC is irrevocably gone. May come before the outcome.
    OutcomeAcknowledged(HtlcId),
    /// Nobody needs the outcome here any more; a cold record of it stands in the same batch.
    OutcomeReleased(HtlcId),
    /// A payment is claimed, and this channel has a part of it.
    ClaimDecided(Box<DecidedClaim>),
    /// The user confirmed `PaymentClaimed`.
    ClaimHandled(EventNumber),
    /// The claim has no part here any more and was confirmed; a cold record of it stands in the same batch.
    ClaimReleased(EventNumber),
    /// Our user ordered to close the channel by agreement, or to replace the closing transaction.
    CloseWanted(WantedClose),
    /// We sent `shutdown`, or `closing_complete`, with this script.
    ShutdownSent(ScriptBuf),
    /// The peer sent `shutdown`, or `closing_complete`, with this script.
    ShutdownReceived(ScriptBuf),
    /// We signed a closing transaction: it may confirm from now on.
    ClosingSigned(Txid),
    /// The peer signed a closing transaction, and so did we.
    ClosingAgreed(Box<AgreedClosing>),
    /// The channel is closed by the latest commitment; nothing is signed or accepted any more.
    ForceClosed(ForceCloseReason),
    /// The peer proved that we lost state: our commitment must never be broadcast.
    FellBehind,
    /// The policy by which we forward through this channel.
    PolicySet(ForwardingPolicy),
    /// Where the peer was reached last, as BOLT 7 encodes addresses.
    PeerAddresses(Vec<u8>),
    /// The peer's `announcement_signatures`.
    AnnouncementSigned {
        /// With its node key.
        node: Signature,
        /// With its funding key.
        bitcoin: Signature,
    },
}

tagged!(Step {
    1 => Opened(opening),
    2 => FundingConfirmed(confirmation),
    3 => FundingUnconfirmed,
    4 => FundingAbandoned(why),
    5 => ReadySent(alias),
    6 => ReadyReceived { next_point, alias },
    7 => HtlcOffered { terms, source },
    8 => HtlcReceived { terms, onion, received_at_ms },
    9 => RemovalSent { id, removal },
    10 => RemovalReceived { id, removal },
    11 => FeeProposed(feerate),
    12 => CommitmentSent,
    13 => CommitmentReceived { signature, htlc_signatures, next_point },
    14 => RevocationReceived { secret, next_point },
    15 => UncommittedForgotten,
    16 => ResolvedOnChain { id, outcome },
    17 => OutcomeReported { id, report },
    18 => OutcomeAcknowledged(id),
    19 => OutcomeReleased(id),
    20 => ClaimDecided(claim),
    21 => ClaimHandled(event),
    22 => ClaimReleased(event),
    23 => ShutdownSent(script),
    24 => ShutdownReceived(script),
    25 => ClosingSigned(txid),
    26 => ClosingAgreed(closing),
    27 => ForceClosed(reason),
    28 => FellBehind,
    29 => PolicySet(policy),
    30 => PeerAddresses(addresses),
    31 => AnnouncementSigned { node, bitcoin },
    32 => HtlcBuried { offered_by, id },
    33 => PreimageKnown { id, preimage },
    34 => CloseWanted(wanted),
});

impl Listed for Step {}

/// The first step of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the channel is.
    pub facts: ChannelFacts,
    /// The peer's signature on our commitment 0.
    pub signature: Signature,
    /// Our per-commitment points for commitments 0 and 1.
    pub local_points: (PublicKey, PublicKey),
    /// The peer's per-commitment point for its commitment 0.
    pub remote_point: PublicKey,
    /// The policy by which we forward through this channel.
    pub policy: ForwardingPolicy,
}

record!(Opening {
    facts,
    signature,
    local_points,
    remote_point,
    policy
});

/// Where the funding transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingConfirmation {
    /// The block that holds it.
    pub height: BlockHeight,
    /// The short channel id that follows from its place.
    pub short_channel_id: ShortChannelId,
}

record!(FundingConfirmation {
    height,
    short_channel_id
});

/// Why a funding will never be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonedFunding {
    /// It was not confirmed within 2016 blocks (BOLT 2).
    TimedOut,
    /// A buried transaction spends one of its inputs otherwise.
    DoubleSpent,
    /// It was to fund several channels at once, and one of them did not open: we never broadcast it.
    NeverBroadcast,
}

tagged!(AbandonedFunding { 1 => TimedOut, 2 => DoubleSpent, 3 => NeverBroadcast });

/// Why a channel is closed by our commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceCloseReason {
    /// The user ordered it.
    Ordered,
    /// The peer broke the protocol; the text is what we sent it.
    PeerMisbehaved(String),
    /// The peer sent `error`.
    PeerFailed(String),
    /// The peer lost state: only our latest commitment can resolve the channel.
    PeerFellBehind,
    /// An HTLC came too near to its expiry.
    HtlcDeadline(HtlcId),
    /// The peer's or our own commitment was seen in the chain.
    CommitmentConfirmed(Txid),
}

tagged!(ForceCloseReason {
    1 => Ordered,
    2 => PeerMisbehaved(text),
    3 => PeerFailed(text),
    4 => PeerFellBehind,
    5 => HtlcDeadline(htlc),
    6 => CommitmentConfirmed(txid),
});
