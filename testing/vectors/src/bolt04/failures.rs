//! BOLT 4: return packets and attribution data.

use quittance_onion::{
    AttributionData, Failure, FailureSource, HoldTime, KeyType, ReturnPacket, ReturnReport, SharedSecret,
    session_secrets,
};
use quittance_primitives::{BlockHeight, MilliSatoshi};
use quittance_wire::TlvWriter;
use serde_json::Value;

use super::{array, bytes, key, number, point};
use crate::{Case, Report, load};

/// The vectors with attribution data pad a message to 1024 bytes, not to 256.
const ATTRIBUTION_PADDED: usize = 1024;

/// A failure without attribution data: made, wrapped by each hop, read.
pub(super) fn return_packets(report: &mut Report) {
    let vector = load(report.file);
    let hops = array(&vector["generate"]["hops"]);
    let secrets = route_secrets(&vector["generate"]["session_key"], hops);
    for (index, (hop, secret)) in hops.iter().zip(&secrets).enumerate() {
        report.case(format!("keys of hop {index}"), |case| {
            case.hex("shared secret", secret.to_bytes(), &hop["hop_shared_secret"]);
            case.hex("ammag", *secret.key(KeyType::Ammag), &hop["ammag_key"]);
        });
    }
    report.case("create, wrap, read", |case| {
        let (last, forwarding) = secrets.split_last().expect("hops");
        let stated = &hops[hops.len() - 1];
        case.hex("um", *last.key(KeyType::Um), &stated["um_key"]);
        let message = Failure::TemporaryNodeFailure.encode();
        case.hex("message", &message, &vector["generate"]["failure_message"]);
        let packet = ReturnPacket::create(last, &message, None);
        case.hex("payload", &plain(&packet, last)[32..], &stated["payload"]);
        let packet = forwarding
            .iter()
            .rev()
            .fold(packet, |packet, secret| packet.wrap(secret, None));
        case.hex("packet at the origin", &packet.reason, &vector["errorpacket"]);
        let source = FailureSource::Hop {
            hop: hops.len() - 1,
            message,
        };
        let hold_times = Vec::new();
        case.equal("report", packet.read(&secrets), ReturnReport { source, hold_times });
    });
}

/// A failure with attribution data, then a fulfilment: each hop's packet and block, and the hold times that the origin reads.
pub(super) fn attribution(report: &mut Report) {
    let vector = load(report.file);
    let hops = array(&vector["hops"]);
    let secrets = route_secrets(&vector["session_key"], hops);
    // The BOLT's list of hold times counts from the erring node: so say the bytes of every block, where node 4 held for 1.
    let held: Vec<_> = hops
        .iter()
        .rev()
        .map(|hop| HoldTime(number(&hop["hold_time"])))
        .collect();
    let source = number::<usize>(&vector["failure_source_node"]);
    let message = failure_message(&vector["failure_message"]);

    report.case("create", |case| {
        check_creation(case, &vector["creating_error"], &secrets[source], &message);
    });
    let mut packet = ReturnPacket::create_padded(&secrets[source], &message, ATTRIBUTION_PADDED, Some(held[source]));
    for step in array(&vector["forwarding"]) {
        let node: usize = number(&step["node"]);
        let secret = &secrets[node];
        if node < source {
            packet = packet.wrap(secret, Some(held[node]));
        }
        report.case(format!("failure leaves node {node}"), |case| {
            case.hex("shared secret", secret.to_bytes(), &step["shared_secret"]);
            case.hex("ammag", *secret.key(KeyType::Ammag), &step["ammag_key"]);
            case.hex("stream", stream(secret, packet.reason.len()), &step["stream"]);
            case.hex("packet", &packet.reason, &step["error_packet"]);
            case.hex(
                "attribution data",
                attribution_bytes(packet.attribution.as_ref()),
                &step["attribution_data"],
            );
        });
    }
    report.case("failure at the origin", |case| {
        let expected = ReturnReport {
            source: FailureSource::Hop {
                hop: source,
                message: message.clone(),
            },
            hold_times: held.clone(),
        };
        case.equal("report", packet.read(&secrets), expected);
    });

    let mut block = None;
    for step in array(&vector["success_attribution"]) {
        let node: usize = number(&step["node"]);
        block = Some(AttributionData::of_fulfilment(block.take(), &secrets[node], held[node]));
        report.case(format!("fulfilment leaves node {node}"), |case| {
            case.hex(
                "attribution data",
                attribution_bytes(block.as_ref()),
                &step["attribution_data"],
            );
        });
    }
    report.case("fulfilment at the origin", |case| {
        let read = block.expect("a block").read_fulfilment(&secrets);
        case.equal("hold times", read, held);
    });
}

fn check_creation(case: &mut Case, stated: &Value, secret: &SharedSecret, message: &[u8]) {
    let packet = plain(
        &ReturnPacket::create_padded(secret, message, ATTRIBUTION_PADDED, None),
        secret,
    );
    case.hex("shared secret", secret.to_bytes(), &stated["shared_secret"]);
    case.hex("um", *secret.key(KeyType::Um), &stated["um_key"]);
    // What the vector calls the encoded message is all that follows its length: message and padding.
    case.hex("message and padding", &packet[34..], &stated["encoded_failure_message"]);
    case.hex("payload", &packet[32..], &stated["payload"]);
    case.hex("raw packet", &packet, &stated["raw_error_packet"]);
}

fn failure_message(stated: &Value) -> Vec<u8> {
    let mut message = Failure::IncorrectOrUnknownPaymentDetails {
        htlc: MilliSatoshi(number(&stated["htlc_msat"])),
        height: BlockHeight(number(&stated["height"])),
    }
    .encode();
    TlvWriter::new(&mut message).bytes(number(&stated["tlv_type"]), &bytes(&stated["tlv_value_hex"]));
    message
}

fn route_secrets(session_key: &Value, hops: &[Value]) -> Vec<SharedSecret> {
    let route: Vec<_> = hops.iter().map(|hop| point(&hop["pubkey"])).collect();
    session_secrets(&key(session_key), &route).expect("a usable session key")
}

/// The packet without the one layer of `secret`: the obfuscation undoes itself.
fn plain(packet: &ReturnPacket, secret: &SharedSecret) -> Vec<u8> {
    packet.clone().wrap(secret, None).reason
}

fn stream(secret: &SharedSecret, length: usize) -> Vec<u8> {
    let zeros = ReturnPacket {
        reason: vec![0; length],
        attribution: None,
    };
    zeros.wrap(secret, None).reason
}

fn attribution_bytes(block: Option<&AttributionData>) -> &[u8] {
    block.map_or(&[], |block| block.as_bytes().as_slice())
}
