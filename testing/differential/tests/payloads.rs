//! 10,000 payloads of any records, at a forwarding and at the last hop, judged by both.
//!
//! Where both refuse, LDK's encrypted failure is read by us; how it names the fault is not compared.

use std::collections::BTreeMap;

use lightning::ln::onion_payment::InboundHTLCErr;
use quittance_differential::{HEIGHT, Node, Random, nodes, peel_by_ldk, same_forward, same_receive, session_key};
use quittance_onion::{
    Failure, FailureCode, FailureError, FailureSource, IncomingHtlc, OnionHop, PAYMENT_AREA, Payload, PayloadRecords,
    PaymentData, Refusal, ReturnPacket, SharedSecret, create_onion, open_onion,
};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash, PaymentPreimage, PaymentSecret, ShortChannelId};
use quittance_wire::TlvWriter;
use secp256k1::SECP256K1;

/// A payload of random records: known and unknown ones, of right and of wrong values.
fn random_payload(random: &mut Random) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut writer = TlvWriter::new(&mut payload);
    for record_type in [1, 2, 3, 4, 6, 8, 9, 10, 12, 16, 18, 20, 65_537, 65_538, 5_482_373_484] {
        let usual = matches!(record_type, 2 | 4 | 6 | 8);
        if random.below(16) >= if usual { 14 } else { 1 } {
            continue;
        }
        let value = match (random.below(16), record_type) {
            (0, _) => random_bytes(random, 40),
            (_, 2) => truncated(1 + random.number() % 1_000_000),
            (_, 4) => truncated(u64::from(HEIGHT) + 50 + random.number() % 20),
            (_, 6) => random.bytes(8),
            (_, 8) => [random.bytes(32), truncated(random.number() % 2_000_000)].concat(),
            (_, 12) => session_key(random).public_key(SECP256K1).serialize().to_vec(),
            (_, 18) => truncated(random.number()),
            (_, 5_482_373_484) => random.bytes(32),
            _ => random_bytes(random, 40),
        };
        writer.bytes(record_type, &value);
    }
    if random.below(20) == 0 {
        payload.extend(random_bytes(random, 5));
    }
    payload
}

fn random_bytes(random: &mut Random, bound: usize) -> Vec<u8> {
    let length = random.below(bound);
    random.bytes(length)
}

/// A truncated integer.
fn truncated(value: u64) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    // LDK refuses what we accept. BOLT 4 forbids writers these records and does not ask readers to refuse them.
    /// A forwarding hop is told of the payment: `payment_data`, metadata, a total.
    ForwardKnowsThePayment,
    /// The last hop is told a channel to forward along.
    ReceiveHasAChannel,
    /// The last hop is told the total of a blinded path.
    ReceiveHasABlindedTotal,
    // LDK refuses what we leave to those who know the payment or the chain.
    /// A receiver of LDK's wants a payment secret from everyone.
    NoPaymentSecret,
    /// The keysend preimage does not answer the hash.
    KeysendPreimageWrong,
    /// An amount beyond all bitcoin.
    MoneyBeyondAll,
    /// The outgoing expiry is too near, or too near to the incoming one.
    ExpiryTooSoon,
    // We refuse what LDK accepts.
    /// An unknown required record of an application, at a forwarding hop. BOLT 1 wants it refused: no application looks there.
    ForwardHasARequiredRecord,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Forward,
    Last,
}

/// Judges a payload on both sides.
fn compare_payload(
    random: &mut Random,
    nodes: &[Node],
    payload: &[u8],
    place: Place,
) -> Result<Option<Difference>, String> {
    let hash = PaymentHash(random.array());
    let mut hops = vec![OnionHop {
        node: nodes[0].id,
        payload: payload.to_vec(),
    }];
    if place == Place::Forward {
        hops.push(OnionHop {
            node: nodes[1].id,
            payload: vec![2, 0],
        });
    }
    let onion = create_onion(&session_key(random), &hops, &hash.0, PAYMENT_AREA).expect("a payload that fits");
    let htlc = IncomingHtlc {
        amount: MilliSatoshi(1_000_000),
        expiry: CltvExpiry(HEIGHT + 120),
        path_key: None,
    };
    let ours = open_onion(&onion.packet, &hash, &htlc, &nodes[0].secret);
    let theirs = peel_by_ldk(&nodes[0], &onion.packet, &hash, &htlc);
    let records = PayloadRecords::decode(payload);
    match (ours.map(|opened| opened.payload), theirs) {
        (Err(_), Err(theirs)) => failure_is_readable(&theirs, &onion.secrets),
        (Ok(Payload::Forward(ours)), Ok(theirs)) => {
            same_forward(&ours, &theirs);
            Ok(None)
        }
        (Ok(Payload::Receive(ours)), Ok(theirs)) => {
            same_receive(&ours, &theirs);
            Ok(None)
        }
        (Ok(_), Err(theirs)) => ldk_refuses(&records.expect("we read it"), place, &hash)
            .map(Some)
            .ok_or(format!("only LDK refuses: {}: {payload:?}", theirs.msg)),
        (
            Err(Refusal::Fail {
                failure: Failure::InvalidOnionPayload { record_type, .. },
                ..
            }),
            Ok(_),
        ) if place == Place::Forward && record_type >= 65_536 && record_type % 2 == 0 => {
            Ok(Some(Difference::ForwardHasARequiredRecord))
        }
        (ours, theirs) => Err(format!("we: {ours:?}, LDK refuses: {}: {payload:?}", theirs.is_err())),
    }
}

fn ldk_refuses(records: &PayloadRecords, place: Place, hash: &PaymentHash) -> Option<Difference> {
    use Difference as D;
    let beyond_all = |amount: Option<MilliSatoshi>| amount.is_some_and(|amount| amount > MilliSatoshi::MAX_MONEY);
    let total = records.payment_data.as_ref().map(|data| data.total);
    if beyond_all(records.amt_to_forward) || beyond_all(total) {
        return Some(D::MoneyBeyondAll);
    }
    let has_total = records.total_amount.is_some();
    match place {
        Place::Forward if records.payment_data.is_some() || records.payment_metadata.is_some() || has_total => {
            Some(D::ForwardKnowsThePayment)
        }
        Place::Forward
            if records
                .outgoing_cltv_value
                .is_some_and(|expiry| expiry.0 > HEIGHT + 120 - 48) =>
        {
            Some(D::ExpiryTooSoon)
        }
        Place::Forward if records.outgoing_cltv_value.is_some_and(|expiry| expiry.0 < HEIGHT + 2) => {
            Some(D::ExpiryTooSoon)
        }
        Place::Forward => None,
        Place::Last if records.short_channel_id.is_some() => Some(D::ReceiveHasAChannel),
        Place::Last if has_total => Some(D::ReceiveHasABlindedTotal),
        Place::Last => match (&records.keysend_preimage, &records.payment_data) {
            (Some(preimage), _) if preimage.hash() != *hash => Some(D::KeysendPreimageWrong),
            (None, None) => Some(D::NoPaymentSecret),
            _ => None,
        },
    }
}

const INVALID_ONION_PAYLOAD: u16 = 0x4016;

/// LDK's failure, encrypted to the origin, is read by us: it comes from the first hop and says what LDK says.
fn failure_is_readable(theirs: &InboundHTLCErr, secrets: &[SharedSecret]) -> Result<Option<Difference>, String> {
    if theirs.msg != "Failed to decode update add htlc onion" || theirs.err_data.is_empty() {
        return Ok(None);
    }
    let packet = ReturnPacket {
        reason: theirs.err_data.clone(),
        attribution: None,
    };
    let FailureSource::Hop { hop: 0, message } = packet.read(secrets).source else {
        return Err("LDK's failure cannot be read".to_owned());
    };
    match Failure::decode(&message) {
        // LDK leaves out which record it is, and where; the code alone still says what to do.
        Err(FailureError::Data {
            code: FailureCode(INVALID_ONION_PAYLOAD),
            ..
        }) => Ok(None),
        other => Err(format!("LDK says {other:?}")),
    }
}

#[test]
fn ten_thousand_payloads_are_judged_the_same() {
    let (mut random, nodes, mut seen) = (Random::new(14), nodes(), BTreeMap::new());
    for case in 0..10_000 {
        let mut payload = random_payload(&mut random);
        if payload.len() < 2 {
            payload.extend([1, 0]);
        }
        let place = if random.below(2) == 0 {
            Place::Forward
        } else {
            Place::Last
        };
        match compare_payload(&mut random, &nodes, &payload, place) {
            Ok(None) => {}
            Ok(Some(difference)) => *seen.entry(difference).or_insert(0) += 1,
            Err(unexplained) => panic!("case {case}, {place:?}: {unexplained}"),
        }
    }
    println!("10000 payloads, with an explained difference: {seen:?}");
    for difference in [
        Difference::ForwardKnowsThePayment,
        Difference::ReceiveHasAChannel,
        Difference::ReceiveHasABlindedTotal,
        Difference::NoPaymentSecret,
        Difference::KeysendPreimageWrong,
        Difference::MoneyBeyondAll,
        Difference::ExpiryTooSoon,
        Difference::ForwardHasARequiredRecord,
    ] {
        assert!(
            seen.contains_key(&difference),
            "{difference:?} explains nothing any more"
        );
    }
}

/// The usual records of a place, changed.
fn judged(place: Place, change: fn(&mut PayloadRecords)) -> Option<Difference> {
    let mut records = PayloadRecords {
        amt_to_forward: Some(MilliSatoshi(1_000_000)),
        outgoing_cltv_value: Some(CltvExpiry(HEIGHT + 60)),
        ..PayloadRecords::default()
    };
    match place {
        Place::Forward => records.short_channel_id = Some(ShortChannelId(7)),
        Place::Last => {
            let payment_secret = PaymentSecret([1; 32]);
            records.payment_data = Some(PaymentData {
                payment_secret,
                total: MilliSatoshi(1_000_000),
            });
        }
    }
    change(&mut records);
    compare_payload(&mut Random::new(15), &nodes(), &records.encode(), place).expect("an explained difference")
}

#[test]
fn records_that_only_writers_are_forbidden_are_passed_over() {
    assert_eq!(judged(Place::Forward, |_| {}), None);
    let with_data = judged(Place::Forward, |records| records.payment_metadata = Some(vec![1]));
    assert_eq!(with_data, Some(Difference::ForwardKnowsThePayment));
    assert_eq!(judged(Place::Last, |_| {}), None);
    let with_channel = judged(Place::Last, |records| {
        records.short_channel_id = Some(ShortChannelId(7));
    });
    assert_eq!(with_channel, Some(Difference::ReceiveHasAChannel));
    let with_total = judged(Place::Last, |records| records.total_amount = Some(MilliSatoshi(7)));
    assert_eq!(with_total, Some(Difference::ReceiveHasABlindedTotal));
}

#[test]
fn what_needs_the_invoice_or_the_chain_is_not_judged_with_the_payload() {
    let without_secret = judged(Place::Last, |records| records.payment_data = None);
    assert_eq!(without_secret, Some(Difference::NoPaymentSecret));
    let wrong = judged(Place::Last, |records| {
        records.keysend_preimage = Some(PaymentPreimage([1; 32]));
    });
    assert_eq!(wrong, Some(Difference::KeysendPreimageWrong));
    let late = judged(Place::Forward, |records| {
        records.outgoing_cltv_value = Some(CltvExpiry(HEIGHT + 119));
    });
    assert_eq!(late, Some(Difference::ExpiryTooSoon));
    let much = judged(Place::Forward, |records| {
        records.amt_to_forward = Some(MilliSatoshi(u64::MAX));
    });
    assert_eq!(much, Some(Difference::MoneyBeyondAll));
}

#[test]
fn a_required_record_of_an_application_is_for_the_last_hop_only() {
    let change: fn(&mut PayloadRecords) = |records| _ = records.others.insert(65_538, vec![1]);
    assert_eq!(judged(Place::Last, change), None);
    assert_eq!(
        judged(Place::Forward, change),
        Some(Difference::ForwardHasARequiredRecord)
    );
}
