//! Invoices and payments, in and out.

use quittance_channel::PaymentFailureReason;
use quittance_node::{PaymentStatus, PaymentTimes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Hex, RouteHop};

/// Ask for a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvoice {
    /// How much; nothing leaves it to the payer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<u64>,
    /// What for.
    #[serde(default)]
    pub description: String,
    /// How long it can be paid; an hour by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_s: Option<u32>,
    /// The hash of a preimage that only you have: the payment is held until you claim it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hold_hash: Option<Hex<32>>,
}

/// An invoice of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invoice {
    /// The invoice, to be given to the payer.
    pub invoice: String,
    /// Its hash.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
    /// When it expires, in seconds since 1970.
    pub expires_at_s: u64,
}

/// Read an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decode {
    /// The invoice.
    pub invoice: String,
}

/// What an invoice says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decoded {
    /// Who is paid.
    #[schema(value_type = String)]
    pub payee: Hex<33>,
    /// Its hash.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
    /// How much is asked for; nothing leaves it to the payer.
    pub amount_msat: Option<u64>,
    /// What for: the payee's words.
    pub description: String,
    /// When it expires, in seconds since 1970.
    pub expires_at_s: u64,
    /// The network.
    pub network: String,
    /// Ways to the payee over channels that nobody else knows.
    pub hints: Vec<DecodedHint>,
}

/// A channel on the way to a payee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecodedHint {
    /// The node at its start.
    #[schema(value_type = String)]
    pub node: Hex<33>,
    /// The channel.
    pub short_channel_id: String,
    /// What that node takes, flat.
    pub fee_base_msat: u32,
    /// What it takes besides, in millionths of the amount.
    pub fee_proportional_millionths: u32,
}

/// Pay an invoice, once for this id whatever happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// Your name for the payment. Asking again under it never pays twice; without one the invoice's hash is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub id: Option<Hex<32>>,
    /// The invoice.
    pub invoice: String,
    /// How much, where the invoice leaves it to you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<u64>,
    /// The most that it may cost in fees; by default a hundredth of the amount, and 5 sat at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_limit_msat: Option<u64>,
    /// How long it may be tried; a minute by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_s: Option<u32>,
    /// The only ways that it may go, one for each part; without any, the node looks for some. With given ways there is no second attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Vec<RouteHop>>,
    /// How long the answer may wait for the payment's end; 0 answers at once.
    #[serde(default)]
    pub wait_s: u32,
}

/// Pay a node that has not asked for it, once for this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keysend {
    /// Your name for the payment. Asking again under it never pays twice.
    #[schema(value_type = String)]
    pub id: Hex<32>,
    /// Who is paid.
    #[schema(value_type = String)]
    pub node: Hex<33>,
    /// How much.
    pub amount_msat: u64,
    /// The most that it may cost in fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_limit_msat: Option<u64>,
    /// The only ways that it may go, one for each part; without any, the node looks for some. With given ways there is no second attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Vec<RouteHop>>,
    /// How long the answer may wait for the payment's end; 0 answers at once.
    #[serde(default)]
    pub wait_s: u32,
}

/// A payment of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// Your name for it.
    #[schema(value_type = String)]
    pub id: Hex<32>,
    /// Its hash.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
    /// What the payee is to receive.
    pub amount_msat: u64,
    /// Where it stands. `sent` and `failed` are for ever.
    pub state: PaymentState,
    /// Of a payment that was made: the proof of it.
    #[schema(value_type = Option<String>)]
    pub preimage: Option<Hex<32>>,
    /// Of a payment that was made: what it cost beside.
    pub fee_msat: Option<u64>,
    /// Of a payment that failed: why.
    pub reason: Option<String>,
    /// The event that tells of its end.
    pub event: Option<u64>,
    /// When it began, in seconds since 1970 by the node's clock; nothing where that is not known: of payments that older versions made.
    #[serde(default)]
    pub began_at_s: Option<u64>,
    /// When it ended, likewise; nothing also where the end was found at a start of the node.
    #[serde(default)]
    pub ended_at_s: Option<u64>,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// On its way.
    Pending,
    /// Given up, and still on its way.
    Abandoned,
    /// Made.
    Sent,
    /// Failed: nobody was paid, and nobody can claim it any more.
    Failed,
}

/// Payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentList {
    /// On the first page those without an end; then those that ended, the last one first.
    pub payments: Vec<Payment>,
    /// Where the next page begins, if there is one: ask for those `before` this event.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A payment that was made to us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// Its hash, which its invoice has. An invoice that was paid twice has two payments.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
    /// What claimed it: the payer has it too.
    #[schema(value_type = String)]
    pub preimage: Hex<32>,
    /// What it brought.
    pub amount_msat: u64,
    /// When it was claimed, in seconds since 1970 by the node's clock.
    pub claimed_at_s: u64,
    /// The number of the event that told of it.
    pub event: u64,
}

/// Payments that were made to us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceivedList {
    /// The last one first.
    pub payments: Vec<Received>,
    /// Where the next page begins, if there is one: ask for those `before` this event.
    #[serde(default)]
    pub next: Option<u64>,
}

/// Make no further attempt for a payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Abandon {}

/// The proof of a payment, to show and to verify: SHA-256 of the preimage is the hash that the payee's invoice has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The payer's name for the payment.
    #[schema(value_type = String)]
    pub id: Hex<32>,
    /// The hash.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
    /// What the payee revealed for being paid.
    #[schema(value_type = String)]
    pub preimage: Hex<32>,
    /// What the payee received.
    pub amount_msat: u64,
    /// What it cost beside.
    pub fee_msat: u64,
}

impl Receipt {
    /// Whether the preimage is that of the hash.
    pub fn is_valid(&self) -> bool {
        let preimage = quittance_primitives::PaymentPreimage(self.preimage.0);
        quittance_primitives::PaymentHash(self.payment_hash.0).is_paid_by(&preimage)
    }
}

/// Claim a payment that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The preimage of its hash.
    #[schema(value_type = String)]
    pub preimage: Hex<32>,
}

/// A payment that is claimed: that is decided, and will be carried out whatever happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// What it brings.
    pub amount_msat: u64,
}

/// Refuse a payment that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Its hash.
    #[schema(value_type = String)]
    pub payment_hash: Hex<32>,
}

/// A failure, in words.
pub const fn reason(reason: PaymentFailureReason) -> &'static str {
    match reason {
        PaymentFailureReason::RejectedByPayee => "the payee refused it",
        PaymentFailureReason::Abandoned => "it was given up",
        PaymentFailureReason::RouteNotFound => "no route was left to be tried",
        PaymentFailureReason::RetriesExhausted => "every attempt that was allowed failed",
        PaymentFailureReason::Expired => "its time was over before another attempt could be made",
        PaymentFailureReason::RecordsLost => "the records that would have allowed another attempt are lost",
    }
}

impl From<(quittance_node::Payment, PaymentTimes)> for Payment {
    fn from((payment, times): (quittance_node::Payment, PaymentTimes)) -> Self {
        let (state, preimage, fee, why) = match payment.status {
            PaymentStatus::Pending => (PaymentState::Pending, None, None, None),
            PaymentStatus::Abandoned => (PaymentState::Abandoned, None, None, None),
            PaymentStatus::Sent { preimage, fee_paid, .. } => {
                (PaymentState::Sent, Some(preimage), Some(fee_paid), None)
            }
            PaymentStatus::Failed { reason, .. } => (PaymentState::Failed, None, None, Some(reason)),
        };
        Self {
            id: Hex(payment.id.0),
            payment_hash: Hex(payment.payment_hash.0),
            amount_msat: payment.amount.0,
            state,
            preimage: preimage.map(|preimage| Hex(preimage.0)),
            fee_msat: fee.map(|fee| fee.0),
            reason: why.map(|why| reason(why).to_owned()),
            event: payment.status.event().map(|event| event.0),
            began_at_s: times.began_ms.map(|ms| ms / 1_000),
            ended_at_s: times.ended_ms.map(|ms| ms / 1_000),
        }
    }
}

impl From<quittance_node::ReceivedPage> for ReceivedList {
    fn from(page: quittance_node::ReceivedPage) -> Self {
        let payments = page.payments.into_iter().map(|(event, received)| Received {
            payment_hash: Hex(received.payment_hash.0),
            preimage: Hex(received.preimage.0),
            amount_msat: received.amount.0,
            claimed_at_s: received.claimed_ms / 1_000,
            event: event.0,
        });
        Self {
            payments: payments.collect(),
            next: page.next.map(|event| event.0),
        }
    }
}

impl From<&quittance_invoice::Invoice> for Decoded {
    fn from(invoice: &quittance_invoice::Invoice) -> Self {
        let terms = invoice.terms();
        let hints = terms.route_hints.iter().flatten().map(|hop| DecodedHint {
            node: Hex(hop.node.serialize()),
            short_channel_id: hop.short_channel_id.to_string(),
            fee_base_msat: hop.fee_base_msat,
            fee_proportional_millionths: hop.fee_proportional_millionths,
        });
        Self {
            payee: Hex(invoice.payee().serialize()),
            payment_hash: Hex(terms.payment_hash.0),
            amount_msat: terms.amount.map(|amount| amount.0),
            description: terms.description.to_string(),
            expires_at_s: terms.expires_at().as_secs(),
            network: terms.network.to_string(),
            hints: hints.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_limit_is_refused_and_not_ignored() {
        let text = r#"{"invoice":"lnbcrt1","fee_limit_mast":1}"#;
        let error = serde_json::from_str::<Pay>(text).unwrap_err().to_string();
        assert!(error.contains("unknown field `fee_limit_mast`"), "{error}");
        let pay: Pay = serde_json::from_str(r#"{"invoice":"lnbcrt1","wait_s":5}"#).unwrap();
        assert_eq!((pay.wait_s, pay.id, pay.fee_limit_msat), (5, None, None));
    }

    #[test]
    fn a_receipt_is_valid_only_with_the_preimage_of_its_hash() {
        let preimage = quittance_primitives::PaymentPreimage([3; 32]);
        let mut receipt = Receipt {
            id: Hex([1; 32]),
            payment_hash: Hex(preimage.hash().0),
            preimage: Hex(preimage.0),
            amount_msat: 1,
            fee_msat: 0,
        };
        assert!(receipt.is_valid());
        receipt.preimage = Hex([4; 32]);
        assert!(!receipt.is_valid());
    }
}
