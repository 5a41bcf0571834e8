//! BOLT 4: blinded paths, payments along them, onion messages.

use std::collections::BTreeMap;

use quittance_onion::{
    BlindedHop, BlindedPath, BlindedPathCost, FinalHtlc, IncomingHtlc, IntroductionNode, KeyType, MessageContents,
    NewBlindedPath, NextHop, OnionHop, OnionPacket, OpenedMessage, PAYMENT_AREA, PathNode, PathRole, Payload,
    PayloadRecords, PaymentConstraints, PaymentRelay, RecipientData, SharedSecret, blinded_secret_key,
    create_blinded_path, create_message, create_onion, open_message, open_onion, unblind,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, Features, MilliSatoshi, PaymentHash, ShortChannelId};
use quittance_wire::{Message, OnionMessage};
use secp256k1::SECP256K1;
use serde_json::Value;

use super::{array, bytes, key, number, point, text, without_length};
use crate::{Case, Report, load};

/// A blinded path made of two, and its hops' view of it.
pub(super) fn paths(report: &mut Report) {
    let vector = load(report.file);
    let hops = array(&vector["generate"]["hops"]);
    let mut parts = Vec::new();
    for part in hops.chunk_by(|_, next| next["session_key"].is_null()) {
        let nodes: Vec<_> = part.iter().map(|hop| path_node(hop, "node_id")).collect();
        let made = create_blinded_path(&key(&part[0]["session_key"]), &nodes).expect("a usable session key");
        for (index, stated) in part.iter().enumerate() {
            report.case(format!("blind {}", text(&stated["alias"])), |case| {
                case.hex("TLVs", nodes[index].data.encode(), &stated["encoded_tlvs"]);
                let decoded = RecipientData::decode(&bytes(&stated["encoded_tlvs"]));
                case.equal("decoded TLVs", decoded.as_ref(), Ok(&nodes[index].data));
                let private = key(&stated["path_privkey"]).public_key(SECP256K1);
                case.equal("path private key", made.path_keys[index], private);
                check_blinding(
                    case,
                    &made,
                    index,
                    stated,
                    ["path_key", "shared_secret", "rho", "encrypted_data"],
                );
            });
        }
        parts.push(made.path);
    }
    report.case("the path", |case| {
        let path = parts[0].clone().followed_by(&parts[1]);
        case.equal("path", path, stated_path(&vector["route"], "encrypted_data"));
    });
    for (stated, hop) in array(&vector["unblind"]["hops"])
        .iter()
        .zip(array(&vector["route"]["hops"]))
    {
        report.case(format!("unblind {}", text(&stated["alias"])), |case| {
            let (node_key, path_key) = (key(&stated["node_privkey"]), point(&stated["path_key"]));
            let secret = SharedSecret::agree(&path_key, &node_key);
            let blinded_key = blinded_secret_key(&node_key, &secret).expect("a scalar");
            case.hex("blinded key", blinded_key.secret_bytes(), &stated["blinded_privkey"]);
            let (data, next) = unblind(&path_key, &secret, &bytes(&hop["encrypted_data"])).expect("ours");
            case.hex("data", data.encode(), &stated["decrypted_data"]);
            let chained = secret.next_point(&path_key).expect("a point");
            case.hex("next path key", chained.serialize(), &stated["next_path_key"]);
            let replaced = &stated["next_path_key_override"];
            let stated_next = if replaced.is_null() {
                &stated["next_path_key"]
            } else {
                replaced
            };
            case.hex("path key handed on", next.serialize(), stated_next);
        });
    }
}

/// A payment whose last hops are a blinded path.
pub(super) fn payment(report: &mut Report) {
    let vector = load(report.file);
    let generate = &vector["generate"];
    let path = stated_path(&generate["blinded_route"], "encrypted_data");
    let (final_amount, final_expiry) = (
        MilliSatoshi(number(&generate["final_amount_msat"])),
        CltvExpiry(number(&generate["final_cltv"])),
    );
    let stated_hops = array(&generate["full_route"]["hops"]);
    let cost = check_cost(report, generate, stated_hops);

    let alice = &stated_hops[0]["tlvs"];
    let to_introduction = OnionHop {
        node: point(&stated_hops[0]["pubkey"]),
        payload: PayloadRecords {
            amt_to_forward: cost.amount_in(final_amount),
            outgoing_cltv_value: cost.expiry_in(final_expiry),
            short_channel_id: Some(channel(&alice["outgoing_channel_id"])),
            ..PayloadRecords::default()
        }
        .encode(),
    };
    let introduction = point(&generate["blinded_route"]["first_node_id"]);
    let at_the_end = FinalHtlc {
        amount: final_amount,
        expiry: final_expiry,
        total: MilliSatoshi(number(&stated_hops[4]["tlvs"]["total_amount_msat"])),
    };
    let mut hops = vec![to_introduction];
    hops.extend(path.payment_hops(introduction, &at_the_end));
    for (hop, stated) in hops.iter().zip(stated_hops) {
        report.case(format!("payload of {}", text(&stated["alias"])), |case| {
            case.hex("node", hop.node.serialize(), &stated["pubkey"]);
            case.equal(
                "payload",
                hop.payload.clone(),
                without_length(bytes(&stated["payload"])),
            );
            check_payload(case, &hop.payload, &stated["tlvs"]);
        });
    }
    let associated_data = bytes(&generate["associated_data"]);
    let onion = create_onion(&key(&generate["session_key"]), &hops, &associated_data, PAYMENT_AREA).expect("it fits");
    report.case("the onion", |case| {
        case.hex("onion", onion.packet.as_bytes(), &generate["onion"])
    });
    let payment_hash = PaymentHash(associated_data.try_into().expect("32 bytes"));
    follow_payment(report, &vector, &payment_hash, at_the_end);
}

/// The sum of a path's terms.
fn check_cost(report: &mut Report, generate: &Value, hops: &[Value]) -> BlindedPathCost {
    let relays: Vec<_> = hops
        .iter()
        .filter_map(|hop| relay(&hop["tlvs"]["encrypted_recipient_data"]["payment_relay"]))
        .collect();
    let cost = BlindedPathCost::of_path(&relays, CltvExpiryDelta(0)).expect("in range");
    report.case("the path's cost", |case| {
        let stated = &generate["blinded_payinfo"];
        let stated = BlindedPathCost {
            fee_base_msat: number(&stated["fee_base_msat"]),
            fee_proportional_millionths: number(&stated["fee_proportional_millionths"]),
            cltv_expiry_delta: CltvExpiryDelta(number(&stated["cltv_expiry_delta"])),
        };
        case.equal("cost", cost, stated);
        let alice = &hops[0]["tlvs"];
        let amount = MilliSatoshi(number(&generate["final_amount_msat"]));
        case.equal(
            "amount in",
            cost.amount_in(amount),
            Some(MilliSatoshi(number(&alice["amt_to_forward"]))),
        );
        let expiry = CltvExpiry(number(&generate["final_cltv"]));
        let stated_expiry = CltvExpiry(number(&alice["outgoing_cltv_value"]));
        case.equal("expiry in", cost.expiry_in(expiry), Some(stated_expiry));
    });
    cost
}

/// What a payload says outside its sealed part, as the vector spells it out.
fn check_payload(case: &mut Case, payload: &[u8], stated: &Value) {
    let records = PayloadRecords::decode(payload).expect("a payload of ours");
    let amount = |value: &Value| value.as_u64().map(MilliSatoshi);
    case.equal("amount", records.amt_to_forward, amount(&stated["amt_to_forward"]));
    case.equal("total", records.total_amount, amount(&stated["total_amount_msat"]));
    let expiry = stated["outgoing_cltv_value"].as_u64();
    case.equal(
        "expiry",
        records.outgoing_cltv_value.map(|expiry| u64::from(expiry.0)),
        expiry,
    );
    let stated_channel = optional(&stated["outgoing_channel_id"], channel);
    case.equal("channel", records.short_channel_id, stated_channel);
    let path_key = optional(&stated["current_path_key"], point);
    case.equal("path key", records.current_path_key, path_key);
}

/// The payment's way through the hops: what each opens, and what it passes on.
fn follow_payment(report: &mut Report, vector: &Value, payment_hash: &PaymentHash, at_the_end: FinalHtlc) {
    let stated_route = array(&vector["generate"]["full_route"]["hops"]);
    let stated_hops = array(&vector["decrypt"]["hops"]);
    // Alice takes no fee, so what comes to her is what she passes on.
    let mut htlc = IncomingHtlc {
        amount: MilliSatoshi(number(&stated_route[0]["tlvs"]["amt_to_forward"])),
        expiry: CltvExpiry(number(&stated_route[0]["tlvs"]["outgoing_cltv_value"])),
        path_key: None,
    };
    for (index, stated) in stated_hops.iter().enumerate() {
        let packet = OnionPacket::from_bytes(bytes(&stated["onion"])).expect("long enough");
        let node_key = key(&stated["node_privkey"]);
        let opened = open_onion(&packet, payment_hash, &htlc, &node_key).expect("ours");
        let instructions = &stated_route[index]["tlvs"]["encrypted_recipient_data"];
        report.case(format!("open at {}", text(&stated["alias"])), |case| {
            let role = [PathRole::Open, PathRole::Introduction][usize::from(index == 1)];
            let role = if index > 1 { PathRole::Inside } else { role };
            case.equal("role", opened.role, role);
            let next_onion = |case: &mut Case, next: &OnionPacket| {
                case.hex("next onion", next.as_bytes(), &stated_hops[index + 1]["onion"])
            };
            match &opened.payload {
                Payload::Forward(forward) => {
                    htlc = IncomingHtlc {
                        amount: forward.amount,
                        expiry: forward.expiry,
                        path_key: None,
                    };
                    next_onion(case, &forward.next);
                }
                Payload::BlindedForward(forward) => {
                    let stated_hop = NextHop::Channel(channel(&instructions["short_channel_id"]));
                    case.equal("next hop", forward.next_hop, stated_hop);
                    case.hex(
                        "next path key",
                        forward.next_path_key.serialize(),
                        &stated["next_path_key"],
                    );
                    htlc = IncomingHtlc {
                        amount: forward.amount,
                        expiry: forward.expiry,
                        path_key: Some(forward.next_path_key),
                    };
                    next_onion(case, &forward.next);
                }
                Payload::BlindedReceive(receive) => {
                    case.equal("last", index, stated_hops.len() - 1);
                    case.equal(
                        "amount",
                        (receive.amount, receive.total),
                        (at_the_end.amount, at_the_end.total),
                    );
                    case.equal(
                        "arrives",
                        (htlc.amount, htlc.expiry),
                        (at_the_end.amount, at_the_end.expiry),
                    );
                    case.hex(
                        "path id",
                        receive.path_id.as_ref().expect("a path id"),
                        &instructions["path_id"],
                    );
                    let ss = SharedSecret::agree(&receive.path_key, &node_key);
                    let next = ss.next_point(&receive.path_key).expect("a point");
                    case.hex("next path key", next.serialize(), &stated["next_path_key"]);
                }
                Payload::Receive(_) => case.holds("the path ends blinded", false),
            }
            if !instructions.is_null() {
                let path_key = htlc_path_key(vector, index);
                let sealed = &vector["generate"]["blinded_route"]["hops"][index - 1]["encrypted_data"];
                let data = RecipientData::open(&bytes(sealed), &SharedSecret::agree(&path_key, &node_key));
                case.equal("instructions", data, Ok(recipient_data(instructions)));
            }
        });
    }
}

/// The path key with which hop `index` of the vector opens its instructions.
fn htlc_path_key(vector: &Value, index: usize) -> secp256k1::PublicKey {
    match index {
        1 => point(&vector["generate"]["blinded_route"]["first_path_key"]),
        later => point(&vector["decrypt"]["hops"][later - 1]["next_path_key"]),
    }
}

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
fn follow_message(report: &mut Report, vector: &Value, path: &BlindedPath, node_keys: &[secp256k1::SecretKey]) {
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

/// What both kinds of vectors state of a blinded hop; `names` are theirs for path key, secret, rho and sealed data.
fn check_blinding(case: &mut Case, made: &NewBlindedPath, index: usize, stated: &Value, names: [&str; 4]) {
    let (hop, secret) = (&made.path.hops[index], &made.secrets[index]);
    case.hex("path key", made.path_keys[index].serialize(), &stated[names[0]]);
    case.hex("shared secret", secret.to_bytes(), &stated[names[1]]);
    case.hex("rho", *secret.key(KeyType::Rho), &stated[names[2]]);
    case.hex("sealed data", &hop.encrypted_recipient_data, &stated[names[3]]);
    case.hex(
        "blinded node id",
        hop.blinded_node_id.serialize(),
        &stated["blinded_node_id"],
    );
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

fn stated_path(stated: &Value, sealed: &str) -> BlindedPath {
    BlindedPath {
        introduction: IntroductionNode::Node(point(&stated["first_node_id"])),
        first_path_key: point(&stated["first_path_key"]),
        hops: array(&stated["hops"])
            .iter()
            .map(|hop| BlindedHop {
                blinded_node_id: point(&hop["blinded_node_id"]),
                encrypted_recipient_data: bytes(&hop[sealed]),
            })
            .collect(),
    }
}

fn path_node(hop: &Value, node: &str) -> PathNode {
    PathNode {
        node: point(&hop[node]),
        data: recipient_data(&hop["tlvs"]),
    }
}

fn recipient_data(stated: &Value) -> RecipientData {
    let unknown = stated.as_object().expect("TLVs").iter().filter_map(|(name, value)| {
        let record_type = name.strip_prefix("unknown_tag_")?;
        Some((record_type.parse().expect("a type"), bytes(value)))
    });
    RecipientData {
        padding: optional(&stated["padding"], |padding| {
            u16::try_from(bytes(padding).len()).expect("short")
        }),
        short_channel_id: optional(&stated["short_channel_id"], channel),
        next_node_id: optional(&stated["next_node_id"], point),
        path_id: optional(&stated["path_id"], bytes),
        next_path_key_override: optional(&stated["next_path_key_override"], point),
        payment_relay: relay(&stated["payment_relay"]),
        payment_constraints: optional(&stated["payment_constraints"], |constraints| PaymentConstraints {
            max_cltv_expiry: CltvExpiry(number(&constraints["max_cltv_expiry"])),
            htlc_minimum: MilliSatoshi(number(&constraints["htlc_minimum_msat"])),
        }),
        allowed_features: optional(&stated["allowed_features"], |allowed| {
            let mut features = Features::empty();
            for bit in array(&allowed["features"]) {
                features.set_bit(number(bit));
            }
            features
        }),
        others: unknown.collect(),
    }
}

fn relay(stated: &Value) -> Option<PaymentRelay> {
    optional(stated, |relay| PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(number(&relay["cltv_expiry_delta"])),
        fee_proportional_millionths: number(&relay["fee_proportional_millionths"]),
        fee_base_msat: optional(&relay["fee_base_msat"], number).unwrap_or(0),
    })
}

fn channel(stated: &Value) -> ShortChannelId {
    text(stated).parse().expect("a short channel id")
}

fn optional<T>(value: &Value, read: impl FnOnce(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}
