//! From a route to an onion: the payload of each hop, and the packet, which can be made again from the HTLC's source alone.

use quittance_channel::{OnionHop, PaymentPart};
use quittance_onion::{
    CreateError, PAYMENT_AREA, PayloadRecords, PaymentData, SharedSecret, check_hops, create_onion, session_secrets,
};
use quittance_primitives::{MilliSatoshi, PaymentHash, PaymentId, PaymentPreimage, PaymentSecret};
use secp256k1::SecretKey;

use crate::Route;

/// What the payee is told, beside amount and expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForPayee {
    /// By which it recognises us; none for a spontaneous payment.
    pub payment_secret: Option<PaymentSecret>,
    /// What all parts bring together, in msat.
    pub total: MilliSatoshi,
    /// What its invoice wants back.
    pub metadata: Option<Vec<u8>>,
    /// The preimage of a spontaneous payment (bLIP 3).
    pub keysend_preimage: Option<PaymentPreimage>,
}

/// The hops of an onion for `route`: each forwards to the next, and the last receives.
pub fn hops(route: &Route, payee: &ForPayee) -> Vec<OnionHop> {
    let nexts = route.hops.iter().skip(1).map(Some).chain([None]);
    let pairs = route.hops.iter().zip(nexts);
    pairs
        .map(|(hop, next)| {
            let records = match next {
                Some(next) => PayloadRecords {
                    amt_to_forward: Some(next.amount),
                    outgoing_cltv_value: Some(next.cltv_expiry),
                    short_channel_id: Some(next.short_channel_id),
                    ..PayloadRecords::default()
                },
                None => PayloadRecords {
                    amt_to_forward: Some(hop.amount),
                    outgoing_cltv_value: Some(hop.cltv_expiry),
                    payment_data: payee.payment_secret.map(|payment_secret| PaymentData {
                        payment_secret,
                        total: payee.total,
                    }),
                    payment_metadata: payee.metadata.clone(),
                    keysend_preimage: payee.keysend_preimage,
                    ..PayloadRecords::default()
                },
            };
            OnionHop {
                node: hop.node,
                payload: records.encode(),
            }
        })
        .collect()
}

/// Whether an onion has room for what the hops of `route` and the payee are told.
pub fn fits(route: &Route, payee: &ForPayee) -> bool {
    let part = PaymentPart {
        payment_id: PaymentId([0; 32]),
        total: payee.total,
        delivers: payee.total,
        fee_limit: MilliSatoshi::ZERO,
        // What the packet is locked by does not matter to its length.
        session_key: [1; 32],
        hops: hops(route, payee),
    };
    packet(&part, &PaymentHash([0; 32])).is_ok()
}

/// The onion packet of a part, the same each time it is made.
///
/// # Errors
/// [`CreateError`] when the payloads do not fit, or the session key is no key.
pub fn packet(part: &PaymentPart, payment_hash: &PaymentHash) -> Result<Box<[u8; 1366]>, CreateError> {
    let onion = create_onion(&session_key(part)?, &onion_hops(part), &payment_hash.0, PAYMENT_AREA)?;
    let packet = onion
        .packet
        .as_payment()
        .expect("an onion for a payment has the length of one");
    Ok(Box::new(*packet))
}

/// Whether [`packet`] can be made of a part, without the work of making it.
///
/// # Errors
/// [`CreateError`], as [`packet`] has it.
pub fn check(part: &PaymentPart) -> Result<(), CreateError> {
    session_key(part)?;
    check_hops(&onion_hops(part), PAYMENT_AREA)
}

/// The secrets that we share with the hops of a part: failures are read with them.
///
/// # Errors
/// [`CreateError`] when the session key is no key.
pub fn secrets(part: &PaymentPart) -> Result<Vec<SharedSecret>, CreateError> {
    let nodes: Vec<_> = part.hops.iter().map(|hop| hop.node).collect();
    session_secrets(&session_key(part)?, &nodes)
}

fn onion_hops(part: &PaymentPart) -> Vec<quittance_onion::OnionHop> {
    let hops = part.hops.iter();
    hops.map(|hop| quittance_onion::OnionHop {
        node: hop.node,
        payload: hop.payload.clone(),
    })
    .collect()
}

fn session_key(part: &PaymentPart) -> Result<SecretKey, CreateError> {
    SecretKey::from_slice(&part.session_key).map_err(|_| CreateError::UnusableSessionKey)
}
