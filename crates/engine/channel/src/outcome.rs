//! What became of the HTLCs that we offered, and of the payments that we claimed, until everyone concerned knows it.
//!
//! An outcome is kept in the channel until two things are true: whoever waits for it has it for good (the user confirmed the
//! event, or the upstream HTLC is irrevocably gone), and the HTLC itself is irrevocably removed or resolved on chain and
//! buried. A fulfilment is an outcome on arrival; a failure only once nobody can claim the HTLC any more (G1, G3).

use quittance_journal::EventNumber;
use quittance_primitives::{ChannelId, HtlcId, MilliSatoshi, PaymentHash, PaymentId, PaymentPreimage};
use quittance_records::{Listed, record, tagged};

use crate::{HtlcSource, OfferedHtlc, Removal};

/// The newest version of the format of a channel's cold records: [`ColdOutcome`], and [`DecidedClaim`] as a receipt.
pub const COLD_VERSION: u16 = 1;

/// What became of an HTLC that we offered. Once it is here, it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer showed the preimage, by message or on chain.
    Fulfilled(PaymentPreimage),
    /// The peer's failure is irrevocable.
    Failed(Removal),
    /// The HTLC was taken back on chain, or a buried commitment lacks it.
    FailedOnChain,
}

tagged!(Outcome { 1 => Fulfilled(preimage), 2 => Failed(removal), 3 => FailedOnChain });

/// How the user was told of a payment's end, in the log of the channel whose outcome ended it: the same event, with the same
/// content, can be made again from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The event's number.
    pub event: EventNumber,
    /// What it said.
    pub content: ReportedEnd,
}

record!(Report { event, content });

/// What the event at the end of a payment said, beside what the HTLC's source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedEnd {
    /// `PaymentSent`.
    Sent {
        /// What all parts that were still on their way cost in fees, in msat.
        fee_paid: MilliSatoshi,
    },
    /// `PaymentFailed`.
    Failed(PaymentFailureReason),
}

tagged!(ReportedEnd { 1 => Sent { fee_paid }, 2 => Failed(reason) });

/// Why a payment failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaymentFailureReason {
    /// The payee refused it.
    RejectedByPayee,
    /// The user gave it up.
    Abandoned,
    /// No route was left to be tried.
    RouteNotFound,
    /// Every attempt that was allowed failed.
    RetriesExhausted,
    /// The invoice expired before another attempt could be made.
    Expired,
    /// Every HTLC of it failed, and the records that would have allowed another attempt are lost.
    RecordsLost,
}

tagged!(PaymentFailureReason {
    1 => RejectedByPayee,
    2 => Abandoned,
    3 => RouteNotFound,
    4 => RetriesExhausted,
    5 => Expired,
    6 => RecordsLost,
});

/// What stays of an outcome once nobody waits for it: a cold record, not loaded at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdOutcome {
    /// Which HTLC.
    pub id: HtlcId,
    /// The hash that locked it.
    pub payment_hash: PaymentHash,
    /// What it paid, fees included, in msat.
    pub amount: MilliSatoshi,
    /// Whose payment it was.
    pub origin: ColdOrigin,
    /// The preimage, if it was paid; nothing if it failed.
    pub preimage: Option<PaymentPreimage>,
    /// How the user was told, if this outcome ended the payment.
    pub report: Option<Report>,
}

record!(ColdOutcome {
    id,
    payment_hash,
    amount,
    origin,
    preimage,
    report
});

/// Whose payment an HTLC was a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColdOrigin {
    /// Our own.
    Payment(PaymentId),
    /// Somebody else's, brought by this channel under this id.
    Forward(ChannelId, HtlcId),
}

tagged!(ColdOrigin { 1 => Payment(id), 2 => Forward(channel, htlc) });

impl OfferedHtlc {
    /// What stays of its outcome once nobody waits for it, or `None` while it has none.
    pub fn cold_outcome(&self) -> Option<ColdOutcome> {
        let preimage = match self.outcome.as_ref()? {
            Outcome::Fulfilled(preimage) => Some(*preimage),
            Outcome::Failed(_) | Outcome::FailedOnChain => None,
        };
        Some(ColdOutcome {
            id: self.terms.id,
            payment_hash: self.terms.payment_hash,
            amount: self.terms.amount,
            origin: match &self.source {
                HtlcSource::Payment(part) => ColdOrigin::Payment(part.payment_id),
                HtlcSource::Forward(source) => ColdOrigin::Forward(source.channel, source.htlc),
            },
            preimage,
            report: self.report,
        })
    }
}

/// A decision to claim a payment, with all its parts on all channels. It stands in the log of each channel that has a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedClaim {
    /// The hash that the parts are locked by.
    pub payment_hash: PaymentHash,
    /// What claims them.
    pub preimage: PaymentPreimage,
    /// What they bring together, in msat.
    pub total: MilliSatoshi,
    /// All of them.
    pub parts: Vec<ClaimedPart>,
    /// The number of the event `PaymentClaimed`.
    pub event: EventNumber,
}

record!(DecidedClaim {
    payment_hash,
    preimage,
    total,
    parts,
    event
});

/// A part of a claimed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimedPart {
    /// The channel that brought it.
    pub channel: ChannelId,
    /// Its number there.
    pub htlc: HtlcId,
    /// What it brings, in msat.
    pub amount: MilliSatoshi,
}

record!(ClaimedPart { channel, htlc, amount });
impl Listed for ClaimedPart {}

/// A decided claim, until the user has confirmed `PaymentClaimed` and no part of it is left in this channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreleasedClaim {
    /// The decision.
    pub claim: DecidedClaim,
    /// Whether the user confirmed the event.
    pub handled: bool,
}

record!(UnreleasedClaim { claim, handled });
