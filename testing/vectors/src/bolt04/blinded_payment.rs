//! BOLT 4: a payment by a blinded path.

use quittance_onion::{
    BlindedPathCost, FinalHtlc, IncomingHtlc, NextHop, OnionHop, OnionPacket, PAYMENT_AREA, PathRole, Payload,
    PayloadRecords, SharedSecret, create_onion, open_onion, unblind,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, MilliSatoshi, PaymentHash};
use secp256k1::PublicKey;
use serde_json::Value;

use super::blinded_paths::{channel, optional, recipient_data, relay, stated_path};
use super::{array, bytes, key, number, point, text, without_length};
use crate::{Case, Report, load};

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
        case.hex("onion", onion.packet.as_bytes(), &generate["onion"]);
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
    let to_alice = &vector["generate"]["full_route"]["hops"][0]["tlvs"];
    let stated_hops = array(&vector["decrypt"]["hops"]);
    // Alice takes no fee, so what comes to her is what she passes on.
    let mut htlc = IncomingHtlc {
        amount: MilliSatoshi(number(&to_alice["amt_to_forward"])),
        expiry: CltvExpiry(number(&to_alice["outgoing_cltv_value"])),
        path_key: None,
    };
    for (index, stated) in stated_hops.iter().enumerate() {
        let packet = OnionPacket::from_bytes(bytes(&stated["onion"])).expect("long enough");
        let node_key = key(&stated["node_privkey"]);
        let opened = open_onion(&packet, payment_hash, &htlc, &node_key).expect("ours");
        let outgoing = outgoing(&opened.payload);
        report.case(format!("open at {}", text(&stated["alias"])), |case| {
            let role = match index {
                0 => PathRole::Open,
                1 => PathRole::Introduction,
                _ => PathRole::Inside,
            };
            case.equal("role", opened.role, role);
            let next_onion = outgoing.as_ref().map(|(_, next)| hex::encode(next.as_bytes()));
            let stated_onion = stated_hops.get(index + 1).map(|next| text(&next["onion"]).to_owned());
            case.equal("next onion", next_onion, stated_onion);
            check_instructions(case, vector, index, &opened.payload);
            if let Payload::BlindedReceive(receive) = &opened.payload {
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
            }
        });
        if let Some((next_htlc, _)) = outgoing {
            htlc = next_htlc;
        }
    }
}

/// The HTLC that a hop offers to the next one, and its onion.
fn outgoing(payload: &Payload) -> Option<(IncomingHtlc, &OnionPacket)> {
    let (amount, expiry, path_key, next) = match payload {
        Payload::Forward(forward) => (forward.amount, forward.expiry, None, &forward.next),
        Payload::BlindedForward(forward) => (
            forward.amount,
            forward.expiry,
            Some(forward.next_path_key),
            &forward.next,
        ),
        Payload::Receive(_) | Payload::BlindedReceive(_) => return None,
    };
    Some((
        IncomingHtlc {
            amount,
            expiry,
            path_key,
        },
        next,
    ))
}

/// What the path's maker told a hop, and what the hop makes of it.
fn check_instructions(case: &mut Case, vector: &Value, index: usize, payload: &Payload) {
    let Some(place) = index.checked_sub(1) else { return };
    let stated = &vector["generate"]["full_route"]["hops"][index]["tlvs"]["encrypted_recipient_data"];
    let stated_hop = &vector["decrypt"]["hops"][index];
    let path_key = path_key(vector, index);
    let secret = SharedSecret::agree(&path_key, &key(&stated_hop["node_privkey"]));
    let sealed = &vector["generate"]["blinded_route"]["hops"][place]["encrypted_data"];
    let (data, next_path_key) = unblind(&path_key, &secret, &bytes(sealed)).expect("ours");
    case.hex("next path key", next_path_key.serialize(), &stated_hop["next_path_key"]);
    match payload {
        Payload::BlindedForward(forward) => {
            let stated_next = NextHop::Channel(channel(&stated["short_channel_id"]));
            case.equal("next hop", forward.next_hop, stated_next);
            case.equal("path key handed on", forward.next_path_key, next_path_key);
        }
        Payload::BlindedReceive(receive) => {
            case.equal("path id", receive.path_id.as_ref(), data.path_id.as_ref());
        }
        Payload::Forward(_) | Payload::Receive(_) => case.holds("the hop is blinded", false),
    }
    case.equal("instructions", data, recipient_data(stated));
}

/// The path key with which hop `index` of the vector opens its instructions.
fn path_key(vector: &Value, index: usize) -> PublicKey {
    match index {
        1 => point(&vector["generate"]["blinded_route"]["first_path_key"]),
        later => point(&vector["decrypt"]["hops"][later - 1]["next_path_key"]),
    }
}
