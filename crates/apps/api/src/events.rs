//! Events: what happened, each under one number for ever.

use quittance_primitives::{ChannelId, HtlcId, MilliSatoshi, PaymentHash, PaymentId, PaymentPreimage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hex;

/// An event. After `handled` it never comes again; until then it comes again after every restart, with the same number and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number: the order of delivery.
    pub number: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "fields are named as everywhere in this interface")]
pub enum EventKind {
    /// A payment of ours was made. The preimage is its receipt.
    PaymentSent {
        #[schema(value_type = String)]
        id: Hex<32>,
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        #[schema(value_type = String)]
        preimage: Hex<32>,
        amount_msat: u64,
        fee_msat: u64,
    },
    /// A payment of ours failed, and nothing of it can be claimed any more.
    PaymentFailed {
        #[schema(value_type = String)]
        id: Hex<32>,
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        reason: String,
    },
    /// A payment to us is complete, and waits to be claimed or refused.
    PaymentClaimable {
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        amount_msat: u64,
    },
    /// A payment to us is claimed.
    PaymentClaimed {
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        #[schema(value_type = String)]
        preimage: Hex<32>,
        amount_msat: u64,
    },
    /// An HTLC that we forwarded was claimed.
    PaymentForwarded {
        #[schema(value_type = String)]
        from_channel: Hex<32>,
        #[schema(value_type = String)]
        to_channel: Hex<32>,
        fee_msat: u64,
    },
    /// A part of a payment of ours failed. Told only where the node is set up for it.
    PaymentPathFailed {
        #[schema(value_type = String)]
        id: Hex<32>,
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        #[schema(value_type = String)]
        channel: Hex<32>,
        /// The hop that failed it, 0 for our peer.
        hop: Option<u32>,
        /// What it said, as BOLT 4 numbers it.
        failure_code: Option<u16>,
    },
    /// An HTLC waits for a decision.
    HtlcIntercepted {
        #[schema(value_type = String)]
        channel: Hex<32>,
        htlc: u64,
        #[schema(value_type = String)]
        payment_hash: Hex<32>,
        amount_in_msat: u64,
        amount_out_msat: u64,
    },
    /// A channel may be used.
    ChannelReady {
        #[schema(value_type = String)]
        channel: Hex<32>,
    },
    /// A channel is closed, or never opened.
    ChannelClosed {
        #[schema(value_type = String)]
        channel: Hex<32>,
        reason: String,
    },
}

/// All events up to this one are handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Handled {
    /// The last one that is.
    pub number: u64,
}

impl From<quittance_node::NumberedEvent> for Event {
    fn from(event: quittance_node::NumberedEvent) -> Self {
        use quittance_node::Event as Told;
        let kind = match event.event {
            Told::PaymentSent {
                payment_id,
                payment_hash,
                preimage,
                amount,
                fee_paid,
            } => sent(payment_id, payment_hash, preimage, amount, fee_paid),
            Told::PaymentFailed {
                payment_id,
                payment_hash,
                reason,
            } => EventKind::PaymentFailed {
                id: Hex(payment_id.0),
                payment_hash: Hex(payment_hash.0),
                reason: crate::payments::reason(reason).to_owned(),
            },
            Told::PaymentClaimable { payment_hash, amount } => EventKind::PaymentClaimable {
                payment_hash: Hex(payment_hash.0),
                amount_msat: amount.0,
            },
            Told::PaymentClaimed {
                payment_hash,
                preimage,
                amount,
            } => EventKind::PaymentClaimed {
                payment_hash: Hex(payment_hash.0),
                preimage: Hex(preimage.0),
                amount_msat: amount.0,
            },
            Told::PaymentForwarded {
                upstream,
                downstream,
                fee_earned,
                ..
            } => EventKind::PaymentForwarded {
                from_channel: Hex(upstream.0),
                to_channel: Hex(downstream.0),
                fee_msat: fee_earned.0,
            },
            Told::PaymentPathFailed {
                payment_id,
                payment_hash,
                channel,
                hop,
                failure_code,
                ..
            } => path_failed(payment_id, payment_hash, channel, hop, failure_code),
            Told::HtlcIntercepted {
                upstream,
                htlc,
                payment_hash,
                amount_in,
                amount_out,
                ..
            } => intercepted(upstream, htlc, payment_hash, (amount_in, amount_out)),
            Told::ChannelReady(channel) => EventKind::ChannelReady {
                channel: Hex(channel.0),
            },
            Told::ChannelClosed(channel, reason) => EventKind::ChannelClosed {
                channel: Hex(channel.0),
                reason,
            },
        };
        Self {
            number: event.number.0,
            event: kind,
        }
    }
}

const fn sent(
    id: PaymentId,
    payment_hash: PaymentHash,
    preimage: PaymentPreimage,
    amount: MilliSatoshi,
    fee: MilliSatoshi,
) -> EventKind {
    EventKind::PaymentSent {
        id: Hex(id.0),
        payment_hash: Hex(payment_hash.0),
        preimage: Hex(preimage.0),
        amount_msat: amount.0,
        fee_msat: fee.0,
    }
}

const fn path_failed(
    id: PaymentId,
    payment_hash: PaymentHash,
    channel: ChannelId,
    hop: Option<u32>,
    failure_code: Option<u16>,
) -> EventKind {
    EventKind::PaymentPathFailed {
        id: Hex(id.0),
        payment_hash: Hex(payment_hash.0),
        channel: Hex(channel.0),
        hop,
        failure_code,
    }
}

const fn intercepted(
    upstream: ChannelId,
    htlc: HtlcId,
    payment_hash: PaymentHash,
    (amount_in, amount_out): (MilliSatoshi, MilliSatoshi),
) -> EventKind {
    EventKind::HtlcIntercepted {
        channel: Hex(upstream.0),
        htlc: htlc.0,
        payment_hash: Hex(payment_hash.0),
        amount_in_msat: amount_in.0,
        amount_out_msat: amount_out.0,
    }
}
