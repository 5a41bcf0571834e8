//! BOLT 3: transactions, secrets and keys.

mod commitments;
mod dual_funding;
mod keys;
mod signers;

use bitcoin::hex::FromHex;
use bitcoin::{Amount, Transaction};
use secp256k1::{PublicKey, SecretKey};
use serde_json::Value;

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[
    ("bolt03/appendix-b-funding-tx.json", keys::funding),
    ("bolt03/appendix-c-commitment-tx.json", commitments::static_remotekey),
    (
        "bolt03/appendix-d-per-commitment-secret.json",
        keys::per_commitment_secrets,
    ),
    ("bolt03/appendix-e-key-derivation.json", keys::derivation),
    ("bolt03/appendix-f-commitment-tx-anchors.json", commitments::anchors),
    ("bolt03/appendix-g-dual-funding.json", dual_funding::dual_funding),
    ("bolt03/appendix-h-zero-fee-commitments.json", commitments::zero_fee),
];

fn text(value: &Value) -> &str {
    value.as_str().expect("the vector has a text here")
}

/// Hex, with or without `0x`.
fn bytes(value: &Value) -> Vec<u8> {
    let text = text(value).trim_start_matches("0x");
    Vec::from_hex(text).expect("the vector has hex here")
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("the vector has this many bytes here")
}

/// A private key of 32 bytes, with or without the byte 01 that marks compressed keys in appendices B and C.
fn secret_key(value: &Value) -> SecretKey {
    SecretKey::from_slice(&bytes(value)[..32]).expect("the vector has a private key here")
}

fn point(value: &Value) -> PublicKey {
    PublicKey::from_slice(&bytes(value)).expect("the vector has a public key here")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let number = value.as_u64().expect("the vector has a number here");
    T::try_from(number).unwrap_or_else(|_| panic!("{number} is out of range"))
}

fn sat(value: &Value) -> Amount {
    Amount::from_sat(number(value))
}

fn transaction(value: &Value) -> Transaction {
    bitcoin::consensus::deserialize(&bytes(value)).expect("the vector has a transaction here")
}
