//! What the user is told: numbered, in order, at least once each, under one number for ever (G8).

use quittance_channel::PaymentFailureReason;
use quittance_journal::EventNumber;
use quittance_primitives::{
    ChannelId, CltvExpiry, HtlcId, MilliSatoshi, PaymentHash, PaymentId, PaymentPreimage, ShortChannelId,
};
use quittance_records::{record, tagged};

/// An event with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedEvent {
    /// Its number: the order of delivery.
    pub number: EventNumber,
    /// What happened.
    pub event: Event,
}

record!(NumberedEvent { number, event });

/// What happened.
///
/// `PaymentSent`, `PaymentFailed` of a payment that had an HTLC, and `PaymentClaimed` survive the loss of all manager rows, under the
/// same number and with the same content. The others do not: `PaymentClaimable` comes again under a new number as long as it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A payment of ours was made. This is its receipt.
    PaymentSent {
        /// The caller's name for it.
        payment_id: PaymentId,
        /// Its hash.
        payment_hash: PaymentHash,
        /// The proof of payment.
        preimage: PaymentPreimage,
        /// What the payee was to receive, in msat.
        amount: MilliSatoshi,
        /// What it cost beside, in msat.
        fee_paid: MilliSatoshi,
    },
    /// A payment of ours failed, and no HTLC of it can be claimed any more.
    PaymentFailed {
        /// The caller's name for it.
        payment_id: PaymentId,
        /// Its hash.
        payment_hash: PaymentHash,
        /// Why.
        reason: PaymentFailureReason,
    },
    /// A payment to us is complete and waits for `claim` or `refuse`.
    PaymentClaimable {
        /// Its hash.
        payment_hash: PaymentHash,
        /// What it brings, in msat.
        amount: MilliSatoshi,
    },
    /// A payment to us is claimed.
    PaymentClaimed {
        /// Its hash.
        payment_hash: PaymentHash,
        /// What claims it.
        preimage: PaymentPreimage,
        /// What it brings, in msat.
        amount: MilliSatoshi,
    },
    /// An HTLC that we forwarded was claimed, and we have claimed it upstream.
    PaymentForwarded {
        /// The channel that brought it.
        upstream: ChannelId,
        /// Its number there.
        upstream_htlc: HtlcId,
        /// The channel that took it on.
        downstream: ChannelId,
        /// What we earn, in msat.
        fee_earned: MilliSatoshi,
    },
    /// A part of a payment of ours failed, and how. Told only where `ManagerConfig::tell_path_failures` asks for it; does not survive the
    /// loss of all rows.
    PaymentPathFailed {
        /// The caller's name for the payment.
        payment_id: PaymentId,
        /// Its hash.
        payment_hash: PaymentHash,
        /// The channel that the part left by.
        channel: ChannelId,
        /// Its number there.
        htlc: HtlcId,
        /// The hop that failed it, 0 for our peer; nothing when nobody can tell.
        hop: Option<u32>,
        /// What the hop said, as BOLT 4 numbers it, if it could be read.
        failure_code: Option<u16>,
        /// The channel at fault, if one is.
        avoid: Option<ShortChannelId>,
    },
    /// An HTLC waits for `ForwardIntercepted` or `RefuseIntercepted`: its payer named a channel about which the user decides. After the
    /// loss of all rows it is asked again, under a new number.
    HtlcIntercepted {
        /// The channel that brought it.
        upstream: ChannelId,
        /// Its number there.
        htlc: HtlcId,
        /// Its hash.
        payment_hash: PaymentHash,
        /// What it brings, in msat.
        amount_in: MilliSatoshi,
        /// What the payer wants to be sent on, in msat.
        amount_out: MilliSatoshi,
        /// When the HTLC that we are to offer expires.
        expiry_out: CltvExpiry,
        /// The channel that the payer named.
        next: ShortChannelId,
    },
    /// A channel may be used.
    ChannelReady(ChannelId),
    /// A channel was closed by its commitment, or never opened.
    ChannelClosed(ChannelId, String),
}

tagged!(Event {
    1 => PaymentSent { payment_id, payment_hash, preimage, amount, fee_paid },
    2 => PaymentFailed { payment_id, payment_hash, reason },
    3 => PaymentClaimable { payment_hash, amount },
    4 => PaymentClaimed { payment_hash, preimage, amount },
    5 => PaymentForwarded { upstream, upstream_htlc, downstream, fee_earned },
    6 => ChannelReady(channel),
    7 => ChannelClosed(channel, why),
    8 => PaymentPathFailed { payment_id, payment_hash, channel, htlc, hop, failure_code, avoid },
    9 => HtlcIntercepted { upstream, htlc, payment_hash, amount_in, amount_out, expiry_out, next },
});
