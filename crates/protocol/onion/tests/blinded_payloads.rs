//! Payloads judged inside blinded paths: every check of BOLT 4's reader, and who is told what.

mod opening;
mod route;

use std::collections::BTreeMap;

use opening::{HTLC, Place, failure, invalid, open};
use quittance_onion::{
    BlindedReceive, Failure, FailureCode, IncomingHtlc, NextHop, PathNode, PathRole, Payload, PayloadRecords,
    PaymentConstraints, PaymentRelay, RecipientData, Refusal, SharedSecret, create_blinded_path,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, Features, MilliSatoshi, ShortChannelId};
use route::{node_id, node_key};
use secp256k1::PublicKey;

/// A path of nodes 0 and 1 whose first hop has `data`, or of node 0 alone.
fn blinded(data: RecipientData, place: Place) -> (PayloadRecords, PublicKey) {
    let mut nodes = vec![PathNode { node: node_id(0), data }];
    if place == Place::Forwarding {
        nodes.push(PathNode {
            node: node_id(1),
            data: RecipientData::default(),
        });
    }
    let made = create_blinded_path(&node_key(50), &nodes).expect("a usable session key");
    let sealed = made.path.hops[0].encrypted_recipient_data.clone();
    let records = PayloadRecords {
        encrypted_recipient_data: Some(sealed),
        ..PayloadRecords::default()
    };
    (records, made.path.first_path_key)
}

fn relay_data() -> RecipientData {
    RecipientData {
        short_channel_id: Some(ShortChannelId(7)),
        payment_relay: Some(PaymentRelay {
            cltv_expiry_delta: CltvExpiryDelta(40),
            fee_proportional_millionths: 1_000,
            fee_base_msat: 500,
        }),
        payment_constraints: Some(PaymentConstraints {
            max_cltv_expiry: CltvExpiry(800_100),
            htlc_minimum: MilliSatoshi(1_000_000),
        }),
        allowed_features: Some(Features::empty()),
        ..RecipientData::default()
    }
}

fn last_data() -> RecipientData {
    RecipientData {
        path_id: Some(vec![8; 32]),
        ..RecipientData::default()
    }
}

fn last_records(records: PayloadRecords) -> PayloadRecords {
    PayloadRecords {
        amt_to_forward: Some(MilliSatoshi(1_000_000)),
        outgoing_cltv_value: Some(CltvExpiry(800_100)),
        total_amount: Some(MilliSatoshi(3_000_000)),
        ..records
    }
}

#[test]
fn the_first_hop_of_a_blinded_path_finds_the_path_key_in_its_payload() {
    let (mut records, path_key) = blinded(relay_data(), Place::Forwarding);
    records.current_path_key = Some(path_key);
    let opened = open(records.encode(), Place::Forwarding, &HTLC).unwrap();
    assert_eq!(opened.role, PathRole::Introduction);
    let Payload::BlindedForward(forward) = opened.payload else {
        panic!("not a blinded forward")
    };
    assert_eq!(forward.next_hop, NextHop::Channel(ShortChannelId(7)));
    // (1,000,000 - 500) / 1.001 = 998,501.498.., rounded up.
    assert_eq!(
        (forward.amount, forward.expiry),
        (MilliSatoshi(998_502), CltvExpiry(800_060))
    );
    let secret = SharedSecret::agree(&path_key, &node_key(0));
    assert_eq!(Some(forward.next_path_key), secret.next_point(&path_key));
}

#[test]
fn a_later_hop_is_given_the_path_key_beside_the_onion() {
    let data = RecipientData {
        short_channel_id: None,
        next_node_id: Some(node_id(1)),
        next_path_key_override: Some(node_id(9)),
        ..relay_data()
    };
    let (records, path_key) = blinded(data, Place::Forwarding);
    let htlc = IncomingHtlc {
        path_key: Some(path_key),
        ..HTLC
    };
    let opened = open(records.encode(), Place::Forwarding, &htlc).unwrap();
    assert_eq!(opened.role, PathRole::Inside);
    let Payload::BlindedForward(forward) = opened.payload else {
        panic!("not a blinded forward")
    };
    assert_eq!(
        (forward.next_hop, forward.next_path_key),
        (NextHop::Node(node_id(1)), node_id(9))
    );
}

#[test]
fn the_end_of_a_blinded_path_recognises_it() {
    let (records, path_key) = blinded(last_data(), Place::Last);
    let expected = Payload::BlindedReceive(BlindedReceive {
        amount: MilliSatoshi(1_000_000),
        expiry: CltvExpiry(800_100),
        total: MilliSatoshi(3_000_000),
        path_id: Some(vec![8; 32]),
        path_key,
    });
    let beside = IncomingHtlc {
        path_key: Some(path_key),
        ..HTLC
    };
    let opened = open(last_records(records.clone()).encode(), Place::Last, &beside).unwrap();
    assert_eq!((opened.role, &opened.payload), (PathRole::Inside, &expected));
    let within = PayloadRecords {
        current_path_key: Some(path_key),
        ..last_records(records)
    };
    let opened = open(within.encode(), Place::Last, &HTLC).unwrap();
    assert_eq!((opened.role, &opened.payload), (PathRole::Open, &expected));
}

/// What the last hop, being the first one too, tells for a path with this data and these changes to its payload.
fn blinded_failure(data: RecipientData, change: impl FnOnce(&mut PayloadRecords)) -> Failure {
    let (records, path_key) = blinded(data, Place::Last);
    let mut records = PayloadRecords {
        current_path_key: Some(path_key),
        ..last_records(records)
    };
    change(&mut records);
    failure(&records, Place::Last)
}

#[test]
fn the_end_of_a_blinded_path_refuses_what_bolt_4_lists() {
    let data_at = 1 + 5 + 5;
    assert_eq!(
        blinded_failure(last_data(), |records| records.amt_to_forward = None),
        invalid(2, 0)
    );
    assert_eq!(
        blinded_failure(last_data(), |records| records.outgoing_cltv_value = None),
        invalid(4, 0)
    );
    assert_eq!(
        blinded_failure(last_data(), |records| records.total_amount = None),
        invalid(18, 0)
    );
    let foreign = |record_type| {
        move |records: &mut PayloadRecords| {
            records.others.insert(record_type, vec![]);
        }
    };
    assert!(matches!(
        blinded_failure(last_data(), foreign(19)),
        Failure::InvalidOnionPayload { record_type: 19, .. }
    ));
    assert!(matches!(
        blinded_failure(last_data(), foreign(65_537)),
        Failure::InvalidOnionPayload {
            record_type: 65_537,
            ..
        }
    ));
    let metadata = |records: &mut PayloadRecords| records.payment_metadata = Some(vec![]);
    assert!(matches!(
        blinded_failure(last_data(), metadata),
        Failure::InvalidOnionPayload { record_type: 16, .. }
    ));
    let spoil = |records: &mut PayloadRecords| records.encrypted_recipient_data = Some(vec![0; 50]);
    assert_eq!(blinded_failure(last_data(), spoil), invalid(10, data_at));
    let more = |records: &mut PayloadRecords| records.amt_to_forward = Some(MilliSatoshi(1_000_001));
    assert_eq!(
        blinded_failure(last_data(), more),
        Failure::FinalIncorrectHtlcAmount(MilliSatoshi(1_000_000))
    );
}

#[test]
fn instructions_that_do_not_allow_the_payment_or_are_not_understood_are_refused() {
    let data_at = 1 + 5 + 5;
    let constrained = |max_cltv_expiry, htlc_minimum| RecipientData {
        payment_constraints: Some(PaymentConstraints {
            max_cltv_expiry: CltvExpiry(max_cltv_expiry),
            htlc_minimum: MilliSatoshi(htlc_minimum),
        }),
        ..last_data()
    };
    assert_eq!(blinded_failure(constrained(800_099, 0), |_| {}), invalid(10, data_at));
    assert_eq!(
        blinded_failure(constrained(800_100, 1_000_001), |_| {}),
        invalid(10, data_at)
    );
    let mut features = Features::empty();
    features.set_bit(113);
    let featured = RecipientData {
        allowed_features: Some(features),
        ..last_data()
    };
    assert_eq!(blinded_failure(featured, |_| {}), invalid(10, data_at));
    let unknown = RecipientData {
        others: BTreeMap::from([(16, vec![1])]),
        ..last_data()
    };
    assert_eq!(blinded_failure(unknown, |_| {}), invalid(10, data_at));
    let two_ways = RecipientData {
        short_channel_id: Some(ShortChannelId(1)),
        next_node_id: Some(node_id(1)),
        ..last_data()
    };
    assert_eq!(blinded_failure(two_ways, |_| {}), invalid(10, data_at));
}

#[test]
fn forwarding_hops_of_a_blinded_path_tell_nothing_but_that_it_failed() {
    let no_relay = RecipientData {
        payment_relay: None,
        ..relay_data()
    };
    let nowhere = RecipientData {
        short_channel_id: None,
        ..relay_data()
    };
    let too_dear = RecipientData {
        payment_relay: Some(PaymentRelay {
            fee_base_msat: 1_000_001,
            ..PaymentRelay::default()
        }),
        ..relay_data()
    };
    let amount_too: fn(&mut PayloadRecords) = |records| records.amt_to_forward = Some(MilliSatoshi(1));
    let cases = [
        (no_relay, None),
        (nowhere, None),
        (too_dear, None),
        (relay_data(), Some(amount_too)),
    ];
    for (data, change) in cases {
        let (mut records, path_key) = blinded(data, Place::Forwarding);
        if let Some(change) = change {
            change(&mut records);
        }
        let beside = IncomingHtlc {
            path_key: Some(path_key),
            ..HTLC
        };
        let refusal = open(records.encode(), Place::Forwarding, &beside).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed { code: FailureCode(0xc018), hash } if hash.0 != [0; 32]));

        records.current_path_key = Some(path_key);
        let refusal = open(records.encode(), Place::Forwarding, &HTLC).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::Fail {
                failure: Failure::InvalidOnionBlinding(_),
                ..
            }
        ));
        // Both a path key beside the onion and one within.
        let refusal = open(records.encode(), Place::Forwarding, &beside).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::Malformed {
                code: FailureCode(0xc018),
                ..
            }
        ));
    }
}

#[test]
fn a_first_hop_with_a_malformed_payload_still_tells_nothing() {
    let mut payload = PayloadRecords {
        current_path_key: Some(node_id(5)),
        ..PayloadRecords::default()
    }
    .encode();
    payload.extend_from_slice(&[18, 2, 0, 1]);
    let refusal = open(payload, Place::Forwarding, &HTLC).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Fail {
            failure: Failure::InvalidOnionBlinding(_),
            ..
        }
    ));
}
