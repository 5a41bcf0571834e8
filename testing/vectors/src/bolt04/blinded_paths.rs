//! BOLT 4: blinded paths, and how the vectors write them down.

use quittance_onion::{
    BlindedHop, BlindedPath, IntroductionNode, KeyType, NewBlindedPath, PathNode, PaymentConstraints, PaymentRelay,
    RecipientData, SharedSecret, blinded_secret_key, create_blinded_path, unblind,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, Features, MilliSatoshi, ShortChannelId};
use secp256k1::SECP256K1;
use serde_json::Value;

use super::{array, bytes, key, number, point, text};
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

/// What both kinds of vectors state of a blinded hop; `names` are theirs for path key, secret, rho and sealed data.
pub(super) fn check_blinding(case: &mut Case, made: &NewBlindedPath, index: usize, stated: &Value, names: [&str; 4]) {
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

pub(super) fn stated_path(stated: &Value, sealed: &str) -> BlindedPath {
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

pub(super) fn path_node(hop: &Value, node: &str) -> PathNode {
    PathNode {
        node: point(&hop[node]),
        data: recipient_data(&hop["tlvs"]),
    }
}

pub(super) fn recipient_data(stated: &Value) -> RecipientData {
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

pub(super) fn relay(stated: &Value) -> Option<PaymentRelay> {
    optional(stated, |relay| PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(number(&relay["cltv_expiry_delta"])),
        fee_proportional_millionths: number(&relay["fee_proportional_millionths"]),
        fee_base_msat: optional(&relay["fee_base_msat"], number).unwrap_or(0),
    })
}

pub(super) fn channel(stated: &Value) -> ShortChannelId {
    text(stated).parse().expect("a short channel id")
}

pub(super) fn optional<T>(value: &Value, read: impl FnOnce(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}
