//! Payloads judged: every check of BOLT 4's reader outside blinded paths, with the exact failure.

mod opening;
mod route;

use std::collections::BTreeMap;

use opening::{HTLC, PAYMENT_HASH, Place, failure, failure_of_bytes, invalid, open};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use quittance_onion::{
    Failure, FailureCode, Forward, IncomingHtlc, InvalidPayload, OnionHash, OnionPacket, PAYMENT_AREA, PathRole,
    Payload, PayloadRecords, PaymentData, Receive, Refusal, SharedSecret, create_onion, open_onion,
};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentPreimage, PaymentSecret, ShortChannelId};
use route::{hops, node_id, node_key, session_key};

fn forward() -> PayloadRecords {
    PayloadRecords {
        amt_to_forward: Some(MilliSatoshi(999_000)),
        outgoing_cltv_value: Some(CltvExpiry(800_060)),
        short_channel_id: Some(ShortChannelId(7)),
        ..PayloadRecords::default()
    }
}

fn receive() -> PayloadRecords {
    PayloadRecords {
        short_channel_id: None,
        payment_data: Some(PaymentData {
            payment_secret: PaymentSecret([3; 32]),
            total: MilliSatoshi(2_000_000),
        }),
        ..forward()
    }
}

#[test]
fn a_forward_says_channel_amount_and_expiry() {
    let mut records = forward();
    records.others.insert(601, vec![1]);
    let opened = open(records.encode(), Place::Forwarding, &HTLC).unwrap();
    assert_eq!(opened.role, PathRole::Open);
    let Payload::Forward(Forward {
        short_channel_id,
        amount,
        expiry,
        next,
    }) = opened.payload
    else {
        panic!("not a forward");
    };
    assert_eq!(short_channel_id, ShortChannelId(7));
    assert_eq!((amount, expiry), (MilliSatoshi(999_000), CltvExpiry(800_060)));
    assert_eq!(next.as_bytes().len(), 1366);
}

#[test]
fn a_payment_for_us_says_secret_total_metadata_and_custom_records() {
    let records = PayloadRecords {
        payment_metadata: Some(vec![5; 300]),
        keysend_preimage: Some(PaymentPreimage([4; 32])),
        others: BTreeMap::from([(65_537, vec![1]), (65_536, vec![2]), (999, vec![3])]),
        ..receive()
    };
    let expected = Receive {
        amount: MilliSatoshi(999_000),
        expiry: CltvExpiry(800_060),
        payment_data: records.payment_data,
        payment_metadata: records.payment_metadata.clone(),
        keysend_preimage: records.keysend_preimage,
        custom_records: BTreeMap::from([(65_537, vec![1]), (65_536, vec![2])]),
    };
    let opened = open(records.encode(), Place::Last, &HTLC).unwrap();
    assert_eq!(opened.payload, Payload::Receive(expected.clone()));
    assert_eq!(expected.total(), MilliSatoshi(2_000_000));
    assert_eq!(expected.refuse_custom_record(&[65_536]), None);
    assert_eq!(expected.refuse_custom_record(&[]), Some(invalid(65_536, 0)));
}

#[test]
fn without_a_stated_total_the_amount_is_the_total() {
    let records = PayloadRecords {
        payment_data: None,
        ..receive()
    };
    let opened = open(records.encode(), Place::Last, &HTLC).unwrap();
    let Payload::Receive(receive) = opened.payload else {
        panic!("not for us")
    };
    assert_eq!(receive.total(), MilliSatoshi(999_000));
}

#[test]
fn what_is_missing_is_named() {
    let missing = |records: PayloadRecords, place| failure(&records, place);
    let no_amount = || PayloadRecords {
        amt_to_forward: None,
        ..forward()
    };
    let no_expiry = || PayloadRecords {
        outgoing_cltv_value: None,
        ..forward()
    };
    for place in [Place::Forwarding, Place::Last] {
        assert_eq!(missing(no_amount(), place), invalid(2, 0));
        assert_eq!(missing(no_expiry(), place), invalid(4, 0));
    }
    assert_eq!(missing(receive(), Place::Forwarding), invalid(6, 0));
}

#[test]
fn what_is_malformed_or_unknown_is_named_with_its_place() {
    // One byte of length stands in front, then the records.
    assert_eq!(failure_of_bytes(vec![2, 2, 0, 1, 4, 0], Place::Last), invalid(2, 1));
    assert_eq!(failure_of_bytes(vec![2, 1, 9, 4, 2, 0, 1], Place::Last), invalid(4, 4));
    assert_eq!(
        failure_of_bytes(vec![2, 1, 9, 4, 1, 9, 6, 7, 0, 0, 0, 0, 0, 0, 0], Place::Forwarding),
        invalid(6, 7)
    );
    assert_eq!(failure_of_bytes(vec![4, 1, 9, 2, 1, 9], Place::Last), invalid(2, 4));
    assert_eq!(failure_of_bytes(vec![2, 1, 9, 2, 1, 9], Place::Last), invalid(2, 4));
    assert_eq!(failure_of_bytes(vec![2, 1, 9, 0xfd, 0, 1], Place::Last), invalid(0, 4));
    assert_eq!(failure_of_bytes(vec![2, 9, 9], Place::Last), invalid(2, 1));
    let unknown = |record_type| PayloadRecords {
        others: BTreeMap::from([(record_type, vec![1])]),
        ..forward()
    };
    assert_eq!(failure(&unknown(14), Place::Last), invalid(14, 1 + 5 + 5 + 10));
    assert_eq!(failure(&unknown(14), Place::Forwarding), invalid(14, 1 + 5 + 5 + 10));
    assert_eq!(
        failure(&unknown(65_536), Place::Forwarding),
        invalid(65_536, 1 + 5 + 5 + 10)
    );
    let mut long = unknown(14);
    long.payment_metadata = Some(vec![0; 300]);
    assert_eq!(failure(&long, Place::Last), invalid(14, 3 + 5 + 5 + 10));
}

#[test]
fn the_last_htlc_must_hold_what_the_onion_says_for_as_long() {
    let more = PayloadRecords {
        amt_to_forward: Some(MilliSatoshi(1_000_001)),
        ..receive()
    };
    assert_eq!(
        failure(&more, Place::Last),
        Failure::FinalIncorrectHtlcAmount(MilliSatoshi(1_000_000))
    );
    let longer = PayloadRecords {
        outgoing_cltv_value: Some(CltvExpiry(800_101)),
        ..receive()
    };
    assert_eq!(
        failure(&longer, Place::Last),
        Failure::FinalIncorrectCltvExpiry(CltvExpiry(800_100))
    );
    let just = PayloadRecords {
        amt_to_forward: Some(MilliSatoshi(1_000_000)),
        outgoing_cltv_value: Some(CltvExpiry(800_100)),
        ..receive()
    };
    assert!(open(just.encode(), Place::Last, &HTLC).is_ok());
}

#[test]
fn a_path_key_without_instructions_is_refused() {
    let in_payload = PayloadRecords {
        current_path_key: Some(node_id(5)),
        ..receive()
    };
    assert_eq!(failure(&in_payload, Place::Last), invalid(12, 1 + 5 + 5 + 37));
    let htlc = IncomingHtlc {
        path_key: Some(node_id(5)),
        ..HTLC
    };
    let refusal = open(receive().encode(), Place::Last, &htlc).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Malformed {
            code: FailureCode(0xc018),
            ..
        }
    ));
    let instructions_alone = PayloadRecords {
        encrypted_recipient_data: Some(vec![1; 50]),
        ..PayloadRecords::default()
    };
    assert_eq!(failure(&instructions_alone, Place::Last), invalid(12, 0));
}

#[test]
fn an_onion_that_does_not_peel_is_told_to_the_peer_before_us() {
    let onion = create_onion(
        &session_key(),
        &hops(vec![receive().encode()]),
        &PAYMENT_HASH.0,
        PAYMENT_AREA,
    )
    .unwrap();
    for (byte, code) in [(0, 0xc004), (33, 0xc005), (1, 0xc006), (700, 0xc005)] {
        let mut bytes = onion.packet.as_bytes().to_vec();
        bytes[byte] ^= 0x40;
        let packet = OnionPacket::from_bytes(bytes).unwrap();
        if byte == 33 && packet.public_key().is_err() {
            continue;
        }
        let hash = OnionHash(packet.sha256());
        let opened = |htlc: &IncomingHtlc| open_onion(&packet, &PAYMENT_HASH, htlc, &node_key(0)).unwrap_err();
        assert_eq!(
            opened(&HTLC),
            Refusal::Malformed {
                code: FailureCode(code),
                hash
            }
        );
        let inside = IncomingHtlc {
            path_key: Some(node_id(5)),
            ..HTLC
        };
        assert_eq!(
            opened(&inside),
            Refusal::Malformed {
                code: FailureCode(0xc018),
                hash
            }
        );
    }
}

#[test]
fn a_failure_from_downstream_is_told_as_our_place_demands() {
    let (secret, hash) = (SharedSecret::from_bytes([1; 32]), OnionHash([2; 32]));
    let refuse = |role: PathRole| role.refuse(Failure::ExpiryTooFar, &secret, hash);
    let fail = |failure| Refusal::Fail {
        secret: secret.clone(),
        failure,
    };
    assert_eq!(refuse(PathRole::Open), fail(Failure::ExpiryTooFar));
    assert_eq!(
        refuse(PathRole::Introduction),
        fail(Failure::InvalidOnionBlinding(hash))
    );
    assert_eq!(
        refuse(PathRole::Inside),
        Refusal::Malformed {
            code: FailureCode(0xc018),
            hash
        }
    );
}

fn arbitrary_records() -> impl Strategy<Value = PayloadRecords> {
    let option = proptest::option::of::<BoxedStrategy<u64>>;
    let others = btree_map(
        prop_oneof![20..1_000_u64, 65_536..u64::MAX / 2],
        vec(any::<u8>(), 0..40),
        0..4,
    );
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..300));
    let number = || option(any::<u64>().boxed());
    (
        number(),
        number(),
        number(),
        number(),
        number(),
        bytes(),
        bytes(),
        others,
    )
        .prop_map(
            |(amount, expiry, channel, data, key, sealed, metadata, others)| PayloadRecords {
                amt_to_forward: amount.map(MilliSatoshi),
                outgoing_cltv_value: expiry.map(|expiry| CltvExpiry((expiry >> 32) as u32)),
                short_channel_id: channel.map(ShortChannelId),
                payment_data: data.map(|total| PaymentData {
                    payment_secret: PaymentSecret([6; 32]),
                    total: MilliSatoshi(total),
                }),
                encrypted_recipient_data: sealed,
                current_path_key: key.map(|index| node_id((index % 50) as usize)),
                payment_metadata: metadata,
                total_amount: data.map(MilliSatoshi),
                keysend_preimage: amount.map(|_| PaymentPreimage([7; 32])),
                others,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_back(records in arbitrary_records()) {
        prop_assert_eq!(PayloadRecords::decode(&records.encode()), Ok(records));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(bytes in vec(any::<u8>(), 0..60)) {
        if let Ok(records) = PayloadRecords::decode(&bytes) {
            prop_assert_eq!(records.encode(), bytes);
        }
    }

    #[test]
    fn a_payload_cut_short_is_named(records in arbitrary_records(), cut in any::<prop::sample::Index>()) {
        let bytes = records.encode();
        if !bytes.is_empty() {
            let cut = cut.index(bytes.len());
            match PayloadRecords::decode(&bytes[..cut]) {
                Ok(fewer) => prop_assert_eq!(fewer.encode(), &bytes[..cut]),
                Err(InvalidPayload { offset, .. }) => prop_assert!(usize::from(offset) <= cut + 3),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn arbitrary_payloads_open_or_are_refused(payload in vec(any::<u8>(), 2..200)) {
        for place in [Place::Forwarding, Place::Last] {
            for path_key in [None, Some(node_id(5))] {
                let _ = open(payload.clone(), place, &IncomingHtlc { path_key, ..HTLC });
            }
        }
    }
}
