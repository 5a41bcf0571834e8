//! A payment of our own, from the command to its one outcome. A manager row: when it is lost, the channels' logs still know every HTLC
//! of it; what cannot be had from them is how to try again.

use quittance_channel::{PaymentFailureReason, ReportedEnd};
use quittance_journal::{EventNumber, UpdateId};
use quittance_primitives::{ChannelId, MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage, ShortChannelId};
use quittance_records::{record, tagged};

use crate::onion::ForPayee;
use crate::route::HintHop;

/// A payment of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The caller's name for it.
    pub id: PaymentId,
    /// The hash that all its HTLCs are locked by.
    pub payment_hash: PaymentHash,
    /// What the payee is to receive, in msat.
    pub amount: MilliSatoshi,
    /// The most that it may cost in fees, in msat.
    pub fee_limit: MilliSatoshi,
    /// Who is paid, and how; `None` when the row was lost and the payment is known from its HTLCs alone.
    pub kind: Option<PaymentKind>,
    /// How it may be tried again.
    pub retry: Retry,
    /// Where it stands.
    pub status: PaymentStatus,
    /// The updates of the channels' logs that this row rests on: a row ahead of them is never acted upon.
    pub rests_on: Vec<(ChannelId, UpdateId)>,
}

record!(Payment {
    id,
    payment_hash,
    amount,
    fee_limit,
    kind,
    retry,
    status,
    rests_on
});

impl Payment {
    /// What is kept of a payment for ever: what was asked for and how it ended, not the ways to try it again.
    #[must_use]
    pub fn finished(self) -> Self {
        let kind = self.kind.map(|kind| PaymentKind {
            hints: Vec::new(),
            ..kind
        });
        Self {
            kind,
            retry: Retry {
                attempts_left: 0,
                avoid: Vec::new(),
            },
            rests_on: Vec::new(),
            ..self
        }
    }
}

/// Who is paid, and what it must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentKind {
    /// Who is paid.
    pub payee: NodeId,
    /// What it is told.
    pub for_payee: ForPayee,
    /// The distance that its HTLCs must keep to the tip, in blocks.
    pub min_final_cltv_expiry_delta: u16,
    /// Ways to it.
    pub hints: Vec<Vec<HintHop>>,
    /// Until when it may be tried, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// How a payment may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many further times routes may be asked for after a failure.
    pub attempts_left: u32,
    /// Channels that failed it.
    pub avoid: Vec<ShortChannelId>,
}

record!(Retry { attempts_left, avoid });

/// Where a payment stands. Sent and failed are for ever (G1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    /// HTLCs of it are on their way.
    Pending,
    /// The user gave it up, and HTLCs of it are still on their way.
    Abandoned,
    /// It was paid.
    Sent {
        /// The proof.
        preimage: PaymentPreimage,
        /// What it cost in fees, in msat.
        fee_paid: MilliSatoshi,
        /// The event that says so.
        event: EventNumber,
    },
    /// It failed, and no HTLC of it can be claimed any more.
    Failed {
        /// Why.
        reason: PaymentFailureReason,
        /// The event that says so.
        event: EventNumber,
    },
}

tagged!(PaymentStatus {
    1 => Pending,
    2 => Abandoned,
    3 => Sent { preimage, fee_paid, event },
    4 => Failed { reason, event },
});

impl PaymentStatus {
    /// Whether the payment has its outcome.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Sent { .. } | Self::Failed { .. })
    }

    /// The event of the outcome, if there is one.
    pub const fn event(&self) -> Option<EventNumber> {
        match self {
            Self::Sent { event, .. } | Self::Failed { event, .. } => Some(*event),
            Self::Pending | Self::Abandoned => None,
        }
    }

    /// What the log is to say of it, if it has its outcome.
    pub const fn reported(&self) -> Option<ReportedEnd> {
        match self {
            Self::Sent { fee_paid, .. } => Some(ReportedEnd::Sent { fee_paid: *fee_paid }),
            Self::Failed { reason, .. } => Some(ReportedEnd::Failed(*reason)),
            Self::Pending | Self::Abandoned => None,
        }
    }
}

record!(PaymentKind {
    payee,
    for_payee,
    min_final_cltv_expiry_delta,
    hints,
    expires_at_ms
});
record!(ForPayee {
    payment_secret,
    total,
    metadata,
    keysend_preimage
});
