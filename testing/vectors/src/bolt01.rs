//! BOLT 1: BigSize, TLV streams, the init message, signed integers.

use quittance_primitives::{MilliSatoshi, NodeId, ShortChannelId};
use quittance_wire::{
    BigSize, DecodeError, Flaw, Message, TlvError, TlvFlaw, TlvStream, TlvWriter, Tu32, Tu64, Wire, read_exactly,
};
use secp256k1::PublicKey;
use serde_json::{Value, json};

use crate::{Case, Check, Report, load};

pub(crate) const FILES: &[(&str, Check)] = &[
    ("bolt01/bigsize-test.json", bigsize),
    ("bolt01/tlv-test.json", tlv_streams),
    ("bolt01/init-extension-test.json", init_extension),
    ("bolt01/signed-integers-test.json", signed_integers),
];

fn bigsize(report: &mut Report) {
    let file = load(report.file);
    for vector in cases(&file["decoding"]) {
        report.case(format!("decoding {}", vector["name"]), |case| {
            let decoded = read_exactly::<BigSize>(&bytes(&vector["bytes"]));
            match vector.get("exp_error") {
                None => case.equal(
                    "value",
                    decoded,
                    Ok(BigSize(vector["value"].as_u64().expect("a number is stated"))),
                ),
                Some(error) => {
                    let ours = match decoded {
                        Ok(value) => panic!("{value:?} must not decode"),
                        Err(Flaw::NotMinimal) => "decoded bigsize is not canonical",
                        Err(Flaw::UnexpectedEnd { needed: 1, left: 0 }) => "EOF",
                        Err(Flaw::UnexpectedEnd { .. }) => "unexpected EOF",
                        Err(flaw) => panic!("no such error is stated: {flaw}"),
                    };
                    case.equal("error", ours, error.as_str().expect("text is stated"));
                }
            }
        });
    }
    for vector in cases(&file["encoding"]) {
        report.case(format!("encoding {}", vector["name"]), |case| {
            case.hex(
                "bytes",
                written(&BigSize(vector["value"].as_u64().expect("a number is stated"))),
                &vector["bytes"],
            );
        });
    }
}

fn signed_integers(report: &mut Report) {
    fn check<T: Wire + TryFrom<i64> + Into<i64>>(case: &mut Case, vector: &Value) {
        let value = vector["value"].as_i64().expect("a number is stated");
        let ours = T::try_from(value).unwrap_or_else(|_| panic!("{value} does not fit its stated width"));
        case.hex("bytes", written(&ours), &vector["bytes"]);
        let decoded = read_exactly::<T>(&bytes(&vector["bytes"])).map(Into::into);
        case.equal("value", decoded, Ok(value));
    }

    for vector in cases(&load(report.file)["vectors"]) {
        report.case(vector["value"].to_string(), |case| {
            match bytes(&vector["bytes"]).len() {
                1 => check::<i8>(case, vector),
                2 => check::<i16>(case, vector),
                4 => check::<i32>(case, vector),
                8 => check::<i64>(case, vector),
                length => panic!("no integer has {length} bytes"),
            }
        });
    }
}

fn init_extension(report: &mut Report) {
    for vector in cases(&load(report.file)["vectors"]) {
        report.case(vector["comment"].to_string(), |case| {
            let decoded = Message::decode(&bytes(&vector["init_message"]));
            case.equal(
                "valid",
                decoded.is_ok(),
                vector["valid"].as_bool().expect("it is stated whether it is valid"),
            );
            match decoded {
                Ok(message) => case.equal("without what we do not know", message.encode(), vec![0, 16, 0, 0, 0, 0]),
                Err(DecodeError::Extension { message, error, .. }) => {
                    case.equal("message", message, "init");
                    let stated = match vector["init_message"].as_str().expect("text is stated") {
                        "00100000000001" => TlvFlaw::Length(Flaw::UnexpectedEnd { needed: 1, left: 0 }),
                        "001000000000ca012a" => TlvFlaw::UnknownRequired,
                        "001000000000c90101c90102" => TlvFlaw::NotIncreasing { previous: 0xc9 },
                        other => panic!("a new vector: {other}"),
                    };
                    case.equal("flaw", error.flaw, stated);
                }
                Err(error) => panic!("the flaw is in the extension: {error}"),
            }
        });
    }
}

fn tlv_streams(report: &mut Report) {
    for vector in cases(&load(report.file)["vectors"]) {
        let stream = bytes(&vector["stream"]);
        for namespace in namespaces(vector) {
            report.case(format!("{namespace} {}", vector["stream_as_printed"]), |case| {
                let decoded = match *namespace {
                    "n1" => decode::<N1>(&stream, case),
                    _ => decode::<N2>(&stream, case),
                };
                case.equal(
                    "valid",
                    decoded.is_ok(),
                    vector["valid"].as_bool().expect("it is stated whether it is valid"),
                );
                match (decoded, vector.get("reason").and_then(Value::as_str)) {
                    (Err(error), Some(reason)) => case.equal("reason", class(error.flaw), stated_class(reason)),
                    (Ok(values), None) => {
                        let stated = vector.get("decoded").cloned().into_iter().collect::<Vec<_>>();
                        case.equal("values", values, stated);
                    }
                    (decoded, reason) => panic!("{decoded:?} beside {reason:?}"),
                }
            });
        }
    }
}

/// The namespaces of BOLT 1, appendix B: their records, decoded to what the vectors state, and encoded again.
trait Namespace: Sized {
    fn read(record: &quittance_wire::TlvRecord<'_>) -> Result<Option<Self>, TlvError>;
    fn write(&self, writer: &mut TlvWriter<'_>);
    fn stated(&self) -> Value;
}

enum N1 {
    Tlv1(Tu64),
    Tlv2(ShortChannelId),
    Tlv3(PublicKey, MilliSatoshi, MilliSatoshi),
    Tlv4(u16),
}

enum N2 {
    Tlv1(Tu64),
    Tlv2(Tu32),
}

impl Namespace for N1 {
    fn read(record: &quittance_wire::TlvRecord<'_>) -> Result<Option<Self>, TlvError> {
        Ok(Some(match record.record_type {
            1 => Self::Tlv1(record.value()?),
            2 => Self::Tlv2(record.value()?),
            3 => {
                let mut reader = quittance_wire::Reader::new(record.bytes);
                let mut read = || {
                    let values = (
                        Wire::read(&mut reader)?,
                        Wire::read(&mut reader)?,
                        Wire::read(&mut reader)?,
                    );
                    reader.clone().finish().map(|()| values)
                };
                let (node_id, amount_1, amount_2) = read().map_err(|flaw| record.error(TlvFlaw::Value(flaw)))?;
                Self::Tlv3(node_id, amount_1, amount_2)
            }
            254 => Self::Tlv4(record.value()?),
            _ => return record.ignore().map(|()| None),
        }))
    }

    fn write(&self, writer: &mut TlvWriter<'_>) {
        match self {
            Self::Tlv1(amount) => writer.record(1, amount),
            Self::Tlv2(scid) => writer.record(2, scid),
            Self::Tlv3(node_id, amount_1, amount_2) => {
                writer.bytes(3, &[written(node_id), written(amount_1), written(amount_2)].concat())
            }
            Self::Tlv4(delta) => writer.record(254, delta),
        };
    }

    fn stated(&self) -> Value {
        match self {
            Self::Tlv1(amount) => json!({"record": "tlv1", "amount_msat": amount.0.to_string()}),
            Self::Tlv2(scid) => json!({"record": "tlv2", "scid": scid.to_string()}),
            Self::Tlv3(node_id, amount_1, amount_2) => json!({
                "record": "tlv3",
                "node_id": NodeId::from(*node_id).to_string(),
                "amount_msat_1": amount_1.0.to_string(),
                "amount_msat_2": amount_2.0.to_string(),
            }),
            Self::Tlv4(delta) => json!({"record": "tlv4", "cltv_delta": delta.to_string()}),
        }
    }
}

impl Namespace for N2 {
    fn read(record: &quittance_wire::TlvRecord<'_>) -> Result<Option<Self>, TlvError> {
        Ok(Some(match record.record_type {
            0 => Self::Tlv1(record.value()?),
            11 => Self::Tlv2(record.value()?),
            _ => return record.ignore().map(|()| None),
        }))
    }

    fn write(&self, writer: &mut TlvWriter<'_>) {
        match self {
            Self::Tlv1(amount) => writer.record(0, amount),
            Self::Tlv2(expiry) => writer.record(11, expiry),
        };
    }

    fn stated(&self) -> Value {
        match self {
            Self::Tlv1(amount) => json!({"record": "tlv1", "amount_msat": amount.0.to_string()}),
            Self::Tlv2(expiry) => json!({"record": "tlv2", "cltv_expiry": expiry.0.to_string()}),
        }
    }
}

/// The known records of a stream, as the vectors state them. They must encode to the bytes they came from.
fn decode<N: Namespace>(stream: &[u8], case: &mut Case) -> Result<Vec<Value>, TlvError> {
    let mut stated = Vec::new();
    for record in TlvStream::new(stream) {
        let record = record?;
        if let Some(value) = N::read(&record)? {
            let mut again = Vec::new();
            value.write(&mut TlvWriter::new(&mut again));
            let end = record.offset + again.len();
            case.equal("encoded again", Some(again.as_slice()), stream.get(record.offset..end));
            stated.push(value.stated());
        }
    }
    Ok(stated)
}

fn namespaces(vector: &Value) -> &'static [&'static str] {
    match vector["namespace"].as_str().expect("text is stated") {
        "n1" => &["n1"],
        "n2" => &["n2"],
        "any" | "n1|n2" => &["n1", "n2"],
        other => panic!("no namespace {other} is stated"),
    }
}

/// What our error says, in one word.
fn class(flaw: TlvFlaw) -> &'static str {
    match flaw {
        TlvFlaw::Type(Flaw::UnexpectedEnd { .. }) => "type truncated",
        TlvFlaw::Type(Flaw::NotMinimal) => "type not minimal",
        TlvFlaw::Length(Flaw::UnexpectedEnd { .. }) => "length truncated",
        TlvFlaw::Length(Flaw::NotMinimal) => "length not minimal",
        TlvFlaw::ValueTruncated { .. } => "value truncated",
        TlvFlaw::NotIncreasing { .. } => "order",
        TlvFlaw::UnknownRequired => "unknown even",
        TlvFlaw::Value(Flaw::NotMinimal) => "value not minimal",
        TlvFlaw::Value(Flaw::LeftOver(_)) => "value too long",
        TlvFlaw::Value(Flaw::UnexpectedEnd { .. }) => "value too short",
        TlvFlaw::Value(Flaw::InvalidPublicKey) => "not a point",
        other => panic!("no such error is stated: {other}"),
    }
}

/// What the vector says, in the same words.
fn stated_class(reason: &str) -> &'static str {
    const REASONS: &[(&str, &str)] = &[
        ("type truncated", "type truncated"),
        ("not minimally encoded type", "type not minimal"),
        ("missing length", "length truncated"),
        ("length truncated", "length truncated"),
        ("not minimally encoded length", "length not minimal"),
        ("missing value", "value truncated"),
        ("value truncated", "value truncated"),
        ("unknown even", "unknown even"),
        ("greater than encoding length", "value too long"),
        ("less than encoding length", "value too short"),
        ("is not minimal", "value not minimal"),
        ("not a valid point", "not a point"),
        ("invalid ordering", "order"),
        ("duplicate TLV type", "order"),
    ];
    REASONS
        .iter()
        .find(|(words, _)| reason.contains(words))
        .unwrap_or_else(|| panic!("a new reason: {reason}"))
        .1
}

fn cases(list: &Value) -> &Vec<Value> {
    list.as_array().expect("the file states a list here")
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().expect("the file states hex here")).expect("the file states hex here")
}

fn written(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    bytes
}
