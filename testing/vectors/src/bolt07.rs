//! BOLT 7: gossip queries and the routing example.

use bitcoin::constants::ChainHash;
use quittance_primitives::{CltvExpiryDelta, MilliSatoshi, ShortChannelId};
use quittance_wire::{
    BigSize, ChannelUpdate, ChannelUpdateChecksums, ChannelUpdateTimestamps, DecodeError, EncodedShortIds,
    EncodedTimestamps, Excess, Flaw, Message, QueryChannelRange, QueryFlags, QueryShortChannelIds, ReplyChannelRange,
    TlvFlaw, WANT_CHECKSUMS, WANT_TIMESTAMPS,
};
use secp256k1::ecdsa::Signature;
use serde_json::Value;

use crate::{Check, Report, load};

pub(crate) const FILES: &[(&str, Check)] = &[
    ("bolt07/extended-queries.json", extended_queries),
    ("bolt07/routing-example.json", routing_example),
];

/// The vectors are older than the ban on zlib (BOLT 7, query messages): those that use it must be refused for it.
fn extended_queries(report: &mut Report) {
    for vector in load(report.file).as_array().expect("the file states a list") {
        let message = &vector["msg"];
        report.case(vector["hex"].to_string(), |case| {
            let bytes = hex::decode(vector["hex"].as_str().expect("a vector has hex")).expect("it is hex");
            let decoded = Message::decode(&bytes);
            if message.to_string().contains("COMPRESSED_ZLIB") {
                let flaw = match decoded {
                    Err(DecodeError::Field {
                        field: "encoded_short_ids",
                        flaw,
                        ..
                    }) => Some(flaw),
                    Err(DecodeError::Extension {
                        field: "query_flags",
                        error,
                        ..
                    }) => match error.flaw {
                        TlvFlaw::Value(flaw) => Some(flaw),
                        _ => None,
                    },
                    _ => None,
                };
                case.equal("refused", flaw, Some(Flaw::ZlibForbidden));
            } else {
                let stated = stated(message);
                case.hex("encoded", stated.encode(), &vector["hex"]);
                case.equal("decoded", decoded, Ok(stated));
            }
        });
    }
}

/// The message that a vector describes.
fn stated(message: &Value) -> Message {
    let chain_hash = chain(message);
    match message["type"].as_str() {
        Some("QueryChannelRange") => {
            let records = message["tlvStream"]["records"]
                .as_array()
                .expect("a stream has records");
            let query_option = records.first().map(|record| match record.as_str() {
                Some("WANT_TIMESTAMPS | WANT_CHECKSUMS") => BigSize(WANT_TIMESTAMPS | WANT_CHECKSUMS),
                other => panic!("a new option: {other:?}"),
            });
            QueryChannelRange {
                chain_hash,
                first_blocknum: number(message, "firstBlockNum"),
                number_of_blocks: number(message, "numberOfBlocks"),
                query_option,
            }
            .into()
        }
        Some("ReplyChannelRange") => ReplyChannelRange {
            chain_hash,
            first_blocknum: number(message, "firstBlockNum"),
            number_of_blocks: number(message, "numberOfBlocks"),
            sync_complete: number(message, "complete"),
            encoded_short_ids: short_ids(message),
            timestamps_tlv: message["timestamps"]["timestamps"].as_array().map(|timestamps| {
                EncodedTimestamps(
                    timestamps
                        .iter()
                        .map(|of_channel| ChannelUpdateTimestamps {
                            timestamp_node_id_1: number(of_channel, "timestamp1"),
                            timestamp_node_id_2: number(of_channel, "timestamp2"),
                        })
                        .collect(),
                )
            }),
            checksums_tlv: message["checksums"]["checksums"].as_array().map(|checksums| {
                checksums
                    .iter()
                    .map(|of_channel| ChannelUpdateChecksums {
                        checksum_node_id_1: number(of_channel, "checksum1"),
                        checksum_node_id_2: number(of_channel, "checksum2"),
                    })
                    .collect()
            }),
        }
        .into(),
        Some("QueryShortChannelIds") => {
            let records = message["tlvStream"]["records"]
                .as_array()
                .expect("a stream has records");
            let query_flags = records.first().map(|record| {
                let flags = record["array"].as_array().expect("flags are a list");
                QueryFlags(
                    flags
                        .iter()
                        .map(|flag| BigSize(flag.as_u64().expect("a flag is a number")))
                        .collect(),
                )
            });
            QueryShortChannelIds {
                chain_hash,
                encoded_short_ids: short_ids(message),
                query_flags,
            }
            .into()
        }
        other => panic!("a new message: {other:?}"),
    }
}

fn chain(message: &Value) -> ChainHash {
    let bytes = hex::decode(message["chainHash"].as_str().expect("a query has a chain")).expect("it is hex");
    ChainHash::from(<[u8; 32]>::try_from(bytes).expect("a chain hash has 32 bytes"))
}

fn short_ids(message: &Value) -> EncodedShortIds {
    let ids = message["shortChannelIds"]["array"]
        .as_array()
        .expect("a query has channels");
    let parse = |id: &Value| -> ShortChannelId { id.as_str().and_then(|id| id.parse().ok()).expect("an id parses") };
    EncodedShortIds(ids.iter().map(parse).collect())
}

fn number<T: TryFrom<u64>>(object: &Value, field: &str) -> T {
    let value = object[field].as_u64().unwrap_or_else(|| panic!("{field} is stated"));
    T::try_from(value).unwrap_or_else(|_| panic!("{field} is out of range"))
}

fn routing_example(report: &mut Report) {
    let file = load(report.file);
    let updates = file["channel_updates"].as_array().expect("the example has updates");
    for update in updates {
        report.case(format!("{} to {}", update["from"], update["to"]), |case| {
            let message = channel_update(update);
            let decoded = Message::decode(&Message::from(message.clone()).encode());
            case.equal("channel_update", decoded, Ok(message.into()));
        });
    }
    let final_expiry: u32 =
        number::<u32>(&file, "min_final_cltv_expiry_delta") + number::<u32>(&file, "shadow_route_cltv");
    for payment in file["payments"].as_array().expect("the example has payments") {
        let route = payment["route"].as_str().expect("a payment has a route");
        report.case(route, |case| {
            let delivered = MilliSatoshi(number(payment, "onion_amt_to_forward"));
            let mut amount = delivered;
            let mut expiry = final_expiry;
            let nodes: Vec<_> = route.split("->").collect();
            // Backwards, every hop but the payer's own: the payer charges itself nothing.
            for hop in nodes[1..].windows(2).rev() {
                let update = updates
                    .iter()
                    .find(|update| update["from"] == hop[0] && update["to"] == hop[1]);
                let update = channel_update(update.expect("each hop has an update"));
                amount = update.forwarding_fee().amount_in(amount).expect("the fee is small");
                expiry += u32::from(update.cltv_expiry_delta.0);
            }
            case.equal("amount_msat", amount, MilliSatoshi(number(payment, "amount_msat")));
            case.equal("cltv_expiry", expiry, number(payment, "cltv_expiry_over_height"));
            case.equal(
                "outgoing_cltv_value",
                final_expiry,
                number(payment, "onion_outgoing_cltv_over_height"),
            );
        });
    }
}

/// The update with the stated terms; what the example does not state has values of ours.
fn channel_update(stated: &Value) -> ChannelUpdate {
    ChannelUpdate {
        signature: Signature::from_compact(&[1; 64]).expect("a repeated small byte is a valid scalar"),
        chain_hash: ChainHash::BITCOIN,
        short_channel_id: ShortChannelId(1),
        timestamp: 1,
        message_flags: ChannelUpdate::MUST_BE_ONE,
        channel_flags: 0,
        cltv_expiry_delta: CltvExpiryDelta(number(stated, "cltv_expiry_delta")),
        htlc_minimum_msat: MilliSatoshi(1),
        fee_base_msat: number(stated, "fee_base_msat"),
        fee_proportional_millionths: number(stated, "fee_proportional_millionths"),
        htlc_maximum_msat: MilliSatoshi(1_000_000_000),
        excess: Excess::default(),
    }
}
