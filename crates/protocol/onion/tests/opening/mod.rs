//! Node 0 opens the onion of an HTLC, with its key and with a signer that knows ECDH alone.

#![allow(dead_code, reason = "each test file uses a part of it")]

use quittance_onion::{
    Failure, IncomingHtlc, NodeKey, OpenedOnion, PAYMENT_AREA, PayloadRecords, Refusal, SharedSecret,
    blinded_secret_key, create_onion, open_onion,
};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash};
use secp256k1::{PublicKey, SecretKey};

use crate::route::{hops, node_key, session_key};

pub(crate) const PAYMENT_HASH: PaymentHash = PaymentHash([9; 32]);
pub(crate) const HTLC: IncomingHtlc = IncomingHtlc {
    amount: MilliSatoshi(1_000_000),
    expiry: CltvExpiry(800_100),
    path_key: None,
};

/// A node whose signer knows nothing but ECDH.
struct EcdhOnly(SecretKey);

impl NodeKey for EcdhOnly {
    fn agree(&self, point: &PublicKey) -> SharedSecret {
        SharedSecret::agree(point, &self.0)
    }
}

/// Node 0 opens an onion with this payload, as the last hop or with another one behind it.
pub(crate) fn open(payload: Vec<u8>, place: Place, htlc: &IncomingHtlc) -> Result<OpenedOnion, Refusal> {
    let mut payloads = vec![payload];
    if place == Place::Forwarding {
        payloads.push(vec![1, 0]);
    }
    let mut hops = hops(payloads);
    if let Some(path_key) = htlc.path_key {
        let blinding = SharedSecret::agree(&path_key, &node_key(0));
        let blinded = blinded_secret_key(&node_key(0), &blinding).expect("a scalar");
        hops[0].node = blinded.public_key(secp256k1::SECP256K1);
    }
    let onion = create_onion(&session_key(), &hops, &PAYMENT_HASH.0, PAYMENT_AREA).expect("it fits");
    let opened = open_onion(&onion.packet, &PAYMENT_HASH, htlc, &node_key(0));
    assert_eq!(
        opened,
        open_onion(&onion.packet, &PAYMENT_HASH, htlc, &EcdhOnly(node_key(0)))
    );
    opened
}

/// Whether another hop comes behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Forwarding,
    Last,
}

/// The failure told to the origin for these records.
pub(crate) fn failure(records: &PayloadRecords, place: Place) -> Failure {
    failure_of_bytes(records.encode(), place)
}

pub(crate) fn failure_of_bytes(payload: Vec<u8>, place: Place) -> Failure {
    match open(payload, place, &HTLC).expect_err("refused") {
        Refusal::Fail { failure, .. } => failure,
        Refusal::Malformed { code, .. } => panic!("refused as malformed: {code}"),
    }
}

pub(crate) fn invalid(record_type: u64, offset: u16) -> Failure {
    Failure::InvalidOnionPayload { record_type, offset }
}
