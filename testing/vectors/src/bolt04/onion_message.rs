//! BOLT 4: an onion message along two joined paths.

use std::collections::BTreeMap;

use quittance_onion::{
    BlindedPath, KeyType, MessageContents, NewBlindedPath, NextHop, OpenedMessage, PathNode, create_blinded_path,
    create_message, open_message,
};
use quittance_wire::{Message, OnionMessage};
use secp256k1::{SECP256K1, SecretKey};
use serde_json::Value;

use super::blinded_paths::{check_blinding, recipient_data, stated_path};
use super::{array, bytes, key, point, text};
use crate::{Case, Report, load};

/// A message along two joined paths.
pub(super) fn message(report: &mut Report) {
    let vector = load(report.file);
    let hops = array(&vector["generate"]["hops"]);
    let node_keys: Vec<_> = array(&vector["decrypt"]["hops"])
        .iter()
        .map(|hop| key(&hop["privkey"]))
        .collect();
    let nodes: Vec<_> = hops
        .iter()
        .zip(&node_keys)
        .map(|(hop, node_key)| PathNode {
            node: node_key.public_key(SECP256K1),
            data: recipient_data(&hop["tlvs"]),
        })
        .collect();
    // Alice is the sender's own addition, in front of the path that Dave gave out.
    let (alice, others) = nodes.split_at(1);
    let mut path = None::<BlindedPath>;
    for (part, offset) in [(alice, 0), (others, 1)] {
        let made = create_blinded_path(&key(&hops[offset]["path_key_secret"]), part).expect("a usable session key");
        for (index, stated) in hops[offset..offset + part.len()].iter().enumerate() {
            report.case(format!("blind {}", text(&stated["alias"])), |case| {
                case.hex("TLVs", part[index].data.encode(), &stated["encrypted_data_tlv"]);
                let private = key(&stated["path_key_secret"]);
                case.equal("path private key", made.path_keys[index], private.public_key(SECP256K1));
                check_blinding(
                    case,
                    &made,
                    index,
                    stated,
                    ["E", "ss", "rho", "encrypted_recipient_data"],
                );
                check_derivation(case, &made, index, stated);
            });
        }
        path = Some(path.map_or(made.path.clone(), |path| path.followed_by(&made.path)));
    }
    let path = path.expect("two parts");
    report.case("the path", |case| {
        case.equal(
            "path",
            path.clone(),
            stated_path(&vector["route"], "encrypted_recipient_data"),
        );
    });
    follow_message(report, &vector, &path, &node_keys);
}

/// The message's way: made, then opened and passed on by each hop.
fn follow_message(report: &mut Report, vector: &Value, path: &BlindedPath, node_keys: &[SecretKey]) {
    let hello = MessageContents {
        reply_path: None,
        records: BTreeMap::from([(1, bytes(&vector["onionmessage"]["unknown_tag_1"]))]),
    };
    let session_key = key(&vector["generate"]["session_key"]);
    let mut message = create_message(&session_key, path, &hello).expect("it fits");
    report.case("the message", |case| {
        let packet = &vector["onionmessage"]["onion_message_packet"];
        case.hex("packet", &message.onion_message_packet, packet);
    });
    for (stated, node_key) in array(&vector["decrypt"]["hops"]).iter().zip(node_keys) {
        report.case(format!("open at {}", text(&stated["alias"])), |case| {
            case.hex(
                "message",
                Message::OnionMessage(message.clone()).encode(),
                &stated["onion_message"],
            );
            match open_message(&message, node_key, &[]).expect("ours") {
                OpenedMessage::Forward {
                    next_hop,
                    message: next,
                } => {
                    let stated_next = NextHop::Node(point(&stated["next_node_id"]));
                    case.equal("next hop", next_hop, stated_next);
                    message = next;
                }
                OpenedMessage::Receive { path_id, contents } => {
                    case.equal("contents", contents, hello.clone());
                    case.hex("contents", &hello.records[&1], &stated["tlvs"]["unknown_tag_1"]);
                    let last = array(&vector["generate"]["hops"]).last().expect("hops");
                    case.hex("path id", path_id.expect("a path id"), &last["tlvs"]["path_id"]);
                    let sealed = &path.hops.last().expect("hops").encrypted_recipient_data;
                    case.hex("recipient data", sealed, &stated["tlvs"]["encrypted_recipient_data"]);
                    message = OnionMessage {
                        path_key: message.path_key,
                        onion_message_packet: Vec::new(),
                    };
                }
            }
        });
    }
}

/// The steps in between, which the message vector states too.
fn check_derivation(case: &mut Case, made: &NewBlindedPath, index: usize, stated: &Value) {
    let (secret, path_key) = (&made.secrets[index], &made.path_keys[index]);
    let tweak = &stated["HMAC256('blinded_node_id', ss)"];
    case.hex("tweak", *secret.key(KeyType::BlindedNodeId), tweak);
    case.hex(
        "blinding factor",
        secret.blinding_factor(path_key),
        &stated["H(E || ss)"],
    );
    // The vector writes this private key with the byte 01 behind it, as wallets export the keys of compressed points.
    let next_private = text(&stated["next_e"]).strip_suffix("01").expect("the byte 01");
    let next_private = key(&Value::from(next_private)).public_key(SECP256K1);
    case.equal("next private key", secret.next_point(path_key), Some(next_private));
}
