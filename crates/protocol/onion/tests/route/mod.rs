//! A route of nodes whose keys are known.

use quittance_onion::OnionHop;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// The key of node `index`.
pub(crate) fn node_key(index: usize) -> SecretKey {
    SecretKey::from_slice(&[u8::try_from(index + 1).expect("few nodes"); 32]).expect("a scalar")
}

/// The id of node `index`.
pub(crate) fn node_id(index: usize) -> PublicKey {
    node_key(index).public_key(SECP256K1)
}

/// A session key that no node has.
pub(crate) fn session_key() -> SecretKey {
    SecretKey::from_slice(&[0x77; 32]).expect("a scalar")
}

/// Nodes 0, 1, .. with these payloads.
#[allow(dead_code, reason = "not every test file makes onions by hand")]
pub(crate) fn hops(payloads: Vec<Vec<u8>>) -> Vec<OnionHop> {
    payloads
        .into_iter()
        .enumerate()
        .map(|(index, payload)| OnionHop {
            node: node_id(index),
            payload,
        })
        .collect()
}
