//! BOLT 4: onions, failures, blinded paths.

mod blinded_paths;
mod blinded_payment;
mod failures;
mod onion_message;
#[cfg(test)]
mod tables;

use quittance_onion::{OnionHop, OnionPacket, PAYMENT_AREA, create_onion, peel_with_key};
use secp256k1::{PublicKey, SecretKey};
use serde_json::Value;

use crate::{Check, Report, load};

pub(crate) const FILES: &[(&str, Check)] = &[
    ("bolt04/onion-test.json", onions),
    ("bolt04/onion-error-test.json", failures::return_packets),
    ("bolt04/returning-errors-attribution.json", failures::attribution),
    ("bolt04/route-blinding-test.json", blinded_paths::paths),
    ("bolt04/blinded-payment-onion-test.json", blinded_payment::payment),
    ("bolt04/blinded-onion-message-onion-test.json", onion_message::message),
];

/// Packet construction, then peeling at each hop.
fn onions(report: &mut Report) {
    let vector = load(report.file);
    let generate = &vector["generate"];
    let hops: Vec<_> = array(&generate["hops"])
        .iter()
        .map(|hop| OnionHop {
            node: point(&hop["pubkey"]),
            payload: without_length(bytes(&hop["payload"])),
        })
        .collect();
    let associated_data = bytes(&generate["associated_data"]);
    let onion = create_onion(&key(&generate["session_key"]), &hops, &associated_data, PAYMENT_AREA).expect("it fits");
    report.case("create", |case| {
        case.hex("onion", onion.packet.as_bytes(), &vector["onion"]);
    });

    let mut packet = OnionPacket::from_bytes(bytes(&vector["onion"]));
    let last = hops.len() - 1;
    for (index, node) in array(&vector["decode"]).iter().enumerate() {
        report.case(format!("peel at hop {index}"), |case| {
            let (secret, peeled) =
                peel_with_key(packet.as_ref().expect("not the last"), &key(node), &associated_data).expect("ours");
            case.equal("payload", peeled.payload, hops[index].payload.clone());
            case.equal("shared secret", secret, onion.secrets[index].clone());
            case.equal("is last", peeled.next.is_none(), index == last);
            packet = peeled.next.ok_or(quittance_onion::PacketTooShort(0));
        });
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("the vector has a list here")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the vector has a string here")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).expect("the vector has hex here")
}

fn key(value: &Value) -> SecretKey {
    SecretKey::from_slice(&bytes(value)).expect("the vector has a private key here")
}

fn point(value: &Value) -> PublicKey {
    PublicKey::from_slice(&bytes(value)).expect("the vector has a public key here")
}

/// The vectors state payloads with the length in front, which the onion writes itself.
fn without_length(payload: Vec<u8>) -> Vec<u8> {
    let prefix = if payload[0] < 0xfd { 1 } else { 3 };
    payload[prefix..].to_vec()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let number = value.as_u64().expect("the vector has a number here");
    T::try_from(number).unwrap_or_else(|_| panic!("{number} is out of range"))
}
