//! Invoices: what a user asks for as an invoice that needs no row, and an invoice of somebody else's as a payment.

use std::time::Duration;

use bitcoin::Network;
use quittance_channel::Phase;
use quittance_invoice::{Description, Invoice, RouteHintHop, Terms, UnsignedInvoice};
use quittance_manager::NewPayment;
use quittance_payments::{ForPayee, HintHop, InvoiceKey, InvoiceTerms, PaymentKind};
use quittance_primitives::{
    BlockCount, CltvExpiryDelta, Feature, MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage, PaymentSecret,
};
use quittance_signer::LocalSigner;

use crate::error::NodeError;
use crate::views::View;

/// What an invoice is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceRequest {
    /// What is asked for; nothing leaves it to the payer.
    pub amount: Option<MilliSatoshi>,
    /// What it is for.
    pub description: String,
    /// How long it can be paid.
    pub expiry: Duration,
    /// The hash of a preimage that only the caller has: the payment is held until it is claimed by it.
    pub hold: Option<PaymentHash>,
}

impl InvoiceRequest {
    /// An invoice for so much, that can be paid as long as is usual.
    pub fn of(amount: MilliSatoshi, description: impl Into<String>) -> Self {
        Self {
            amount: Some(amount),
            description: description.into(),
            ..Self::default()
        }
    }
}

impl Default for InvoiceRequest {
    fn default() -> Self {
        Self {
            amount: None,
            description: String::new(),
            expiry: Terms::DEFAULT_EXPIRY,
            hold: None,
        }
    }
}

/// What a payment may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayLimits {
    /// The most in fees; by default a hundredth of the amount, and 5 sat at least.
    pub fee: Option<MilliSatoshi>,
    /// How many further times routes may be asked for after a failure.
    pub attempts: u32,
    /// How long it may be tried.
    pub patience: Duration,
}

impl Default for PayLimits {
    fn default() -> Self {
        Self {
            fee: None,
            attempts: 5,
            patience: Duration::from_mins(1),
        }
    }
}

/// The distance that HTLCs for our invoices must keep to the tip: time to claim on chain if need be.
const MIN_FINAL_CLTV_EXPIRY_DELTA: u16 = 30;
/// Blocks that may be found while a payment is on its way.
const FINAL_EXPIRY_MARGIN: u16 = 3;
/// What is left to a payee who has not asked for a payment, and so has not said what it needs. LDK refuses less than 40 blocks; nobody is
/// known to want more than this.
const KEYSEND_FINAL_CLTV_EXPIRY_DELTA: u16 = 80;
/// Hints in an invoice: a few are enough, and each makes it longer.
const HINTS_MAX: usize = 3;

/// An invoice of ours, signed.
pub(crate) fn write(
    request: InvoiceRequest,
    hints: Vec<Vec<RouteHintHop>>,
    signer: &LocalSigner,
    network: Network,
    now: Duration,
    entropy: [u8; 32],
) -> Result<Invoice, NodeError> {
    let key = InvoiceKey::new(signer.invoice_key());
    let expires_at = now.saturating_add(request.expiry).as_secs();
    let terms = InvoiceTerms {
        amount: request.amount,
        expires_at_s: u32::try_from(expires_at).unwrap_or(u32::MAX),
        min_final_cltv_expiry_delta: MIN_FINAL_CLTV_EXPIRY_DELTA,
    };
    let mut head = [0; 16];
    head.copy_from_slice(&entropy[..16]);
    let new = match request.hold {
        Some(hash) => key.hold_invoice(terms, hash),
        None => key.own_invoice(terms, head),
    };
    let created_at = Duration::from_secs(now.as_secs());
    let description = Description::Text(request.description);
    let mut written = Terms::new(network, created_at, new.payment_hash, new.payment_secret, description);
    written.amount = request.amount;
    written.expiry = Duration::from_secs(request.expiry.as_secs());
    written.min_final_cltv_expiry_delta = BlockCount(u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA));
    written.features = written.features.offering(Feature::BasicMpp);
    written.route_hints = hints;
    let unsigned = UnsignedInvoice::new(written).map_err(NodeError::Invoice)?;
    let signature = signer.sign_invoice(unsigned.hash());
    let us = signer.transport_key().public_key(secp256k1::SECP256K1);
    unsigned.sign(signature, &us).map_err(NodeError::Signature)
}

/// The ways to us, the widest first, by what their peers ask for. A peer that has told us no terms cannot be hinted at. Channels that are
/// announced are hinted at after the others: a payer may not know the graph.
pub(crate) fn hints(view: &View<'_>) -> Vec<Vec<RouteHintHop>> {
    let mut hints = Vec::new();
    for channel in view.manager.channels() {
        let (state, facts) = (channel.state(), &channel.state().facts);
        // BOLT 7: by the peer's own name for the channel, which it knows when a payer names it.
        let (Some(terms), Some(name)) = (view.manager.terms_of_peer(&facts.channel_id), state.name_at_peer()) else {
            continue;
        };
        let (Ok(node), Phase::Normal) = (facts.peer.public_key(), &state.phase) else {
            continue;
        };
        let hop = RouteHintHop {
            node,
            short_channel_id: name,
            fee_base_msat: terms.fee_base_msat,
            fee_proportional_millionths: terms.fee_proportional_millionths,
            cltv_expiry_delta: terms.cltv_expiry_delta,
        };
        hints.push((
            (facts.announce, std::cmp::Reverse(state.commitments.settled.remote)),
            vec![hop],
        ));
    }
    hints.sort_by_key(|(order, _)| *order);
    hints.into_iter().take(HINTS_MAX).map(|(_, hint)| hint).collect()
}

/// The payment that pays an invoice.
pub(crate) fn payment(
    id: PaymentId,
    invoice: &Invoice,
    given: Option<MilliSatoshi>,
    limits: PayLimits,
    network: Network,
    now: Duration,
) -> Result<NewPayment, NodeError> {
    let terms = invoice.terms();
    let is_ours = match network {
        Network::Testnet4 => terms.network == Network::Testnet,
        network => terms.network == network,
    };
    if !is_ours {
        return Err(NodeError::OtherNetwork);
    }
    if terms.is_expired_at(now) {
        return Err(NodeError::Expired);
    }
    let amount = match (terms.amount, given) {
        (None, None) => return Err(NodeError::AmountMissing),
        (Some(asked), Some(given)) if asked != given => return Err(NodeError::AmountDiffers { asked, given }),
        (Some(amount), _) | (None, Some(amount)) => amount,
    };
    let delta = u16::try_from(terms.min_final_cltv_expiry_delta.0).unwrap_or(u16::MAX);
    let hints = terms.route_hints.iter().map(|hint| hint.iter().map(hint_hop).collect());
    let kind = PaymentKind {
        payee: NodeId::from(*invoice.payee()),
        for_payee: ForPayee {
            payment_secret: Some(terms.payment_secret),
            total: amount,
            metadata: terms.metadata.clone(),
            keysend_preimage: None,
        },
        min_final_cltv_expiry_delta: delta,
        hints: hints.collect(),
        expires_at_ms: deadline_ms(now, limits).min(as_ms(terms.expires_at())),
    };
    Ok(NewPayment {
        id,
        payment_hash: terms.payment_hash,
        amount,
        fee_limit: limits.fee.unwrap_or_else(|| fee_limit(amount)),
        kind,
        attempts: limits.attempts,
        routes: Vec::new(),
    })
}

/// A spontaneous payment (bLIP 3): the payee learns the preimage from its onion.
pub(crate) fn keysend(
    id: PaymentId,
    payee: NodeId,
    amount: MilliSatoshi,
    limits: PayLimits,
    now: Duration,
    preimage: PaymentPreimage,
) -> NewPayment {
    NewPayment {
        id,
        payment_hash: preimage.hash(),
        amount,
        fee_limit: limits.fee.unwrap_or_else(|| fee_limit(amount)),
        kind: PaymentKind {
            payee,
            for_payee: ForPayee {
                payment_secret: None,
                total: amount,
                metadata: None,
                keysend_preimage: Some(preimage),
            },
            min_final_cltv_expiry_delta: KEYSEND_FINAL_CLTV_EXPIRY_DELTA,
            hints: Vec::new(),
            expires_at_ms: deadline_ms(now, limits),
        },
        attempts: limits.attempts,
        routes: Vec::new(),
    }
}

/// An attempt that nobody can claim.
pub(crate) fn probe(
    id: PaymentId,
    payee: NodeId,
    amount: MilliSatoshi,
    limits: PayLimits,
    now: Duration,
    secret: [u8; 32],
) -> NewPayment {
    let kind = PaymentKind {
        payee,
        for_payee: ForPayee {
            // A payee that knows no invoice with this secret answers as it answers a payment that it refuses.
            payment_secret: Some(PaymentSecret(secret)),
            total: amount,
            metadata: None,
            keysend_preimage: None,
        },
        min_final_cltv_expiry_delta: MIN_FINAL_CLTV_EXPIRY_DELTA,
        hints: Vec::new(),
        expires_at_ms: deadline_ms(now, limits),
    };
    let fee_limit = limits.fee.unwrap_or_else(|| fee_limit(amount));
    NewPayment::probe(id, secret, amount, fee_limit, kind)
}

/// How far beyond the tip the HTLCs of a payment expire at its payee: as far as it wants, and blocks that may be found meanwhile.
pub(crate) fn final_delta(payment: &NewPayment) -> CltvExpiryDelta {
    CltvExpiryDelta(
        payment
            .kind
            .min_final_cltv_expiry_delta
            .saturating_add(FINAL_EXPIRY_MARGIN),
    )
}

fn hint_hop(hop: &RouteHintHop) -> HintHop {
    let CltvExpiryDelta(cltv_expiry_delta) = hop.cltv_expiry_delta;
    HintHop {
        node: NodeId::from(hop.node),
        short_channel_id: hop.short_channel_id,
        fee_base: MilliSatoshi(u64::from(hop.fee_base_msat)),
        fee_proportional_millionths: hop.fee_proportional_millionths,
        cltv_expiry_delta,
    }
}

/// A hundredth of the amount, and 5 sat at least.
fn fee_limit(amount: MilliSatoshi) -> MilliSatoshi {
    MilliSatoshi((amount.0 / 100).max(5_000))
}

fn deadline_ms(now: Duration, limits: PayLimits) -> u64 {
    as_ms(now.saturating_add(limits.patience))
}

fn as_ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An LDK node refused what we sent without an invoice: it got as many blocks as we ask for in our own invoices, and LDK needs 40.
    #[test]
    fn a_payee_that_did_not_ask_is_left_time_enough_for_any_node() {
        let (id, payee) = (PaymentId([1; 32]), NodeId([2; 33]));
        let (now, preimage) = (Duration::from_secs(1), PaymentPreimage([3; 32]));
        let payment = keysend(id, payee, MilliSatoshi(1_000), PayLimits::default(), now, preimage);
        assert_eq!(payment.kind.min_final_cltv_expiry_delta, 80);
        assert_eq!(payment.payment_hash, preimage.hash());
    }
}
