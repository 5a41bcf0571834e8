//! Failure messages: every code of BOLT 4 with the bytes of its data, and what is read from others.

use bitcoin::hex::DisplayHex;
use proptest::collection::vec;
use proptest::prelude::*;
use quittance_onion::{ChannelUpdateBytes, Failure, FailureCode, FailureError, OnionHash};
use quittance_primitives::{BlockHeight, CltvExpiry, MilliSatoshi};
use quittance_wire::Flaw;

const HASH: OnionHash = OnionHash([0xab; 32]);

fn policy() -> ChannelUpdateBytes {
    ChannelUpdateBytes(vec![1, 2, 3])
}

/// Each failure with its code and data as they travel.
fn all() -> Vec<(Failure, u16, String)> {
    [of_nodes_and_onions(), of_channels_and_payees()].concat()
}

fn of_nodes_and_onions() -> Vec<(Failure, u16, String)> {
    let hash = "ab".repeat(32);
    let none = String::new;
    vec![
        (Failure::TemporaryNodeFailure, 0x2002, none()),
        (Failure::PermanentNodeFailure, 0x6002, none()),
        (Failure::RequiredNodeFeatureMissing, 0x6003, none()),
        (Failure::InvalidOnionVersion(HASH), 0xc004, hash.clone()),
        (Failure::InvalidOnionHmac(HASH), 0xc005, hash.clone()),
        (Failure::InvalidOnionKey(HASH), 0xc006, hash.clone()),
        (
            Failure::InvalidOnionPayload {
                record_type: 0x0100,
                offset: 7,
            },
            0x4016,
            "fd01000007".into(),
        ),
        (Failure::InvalidOnionBlinding(HASH), 0xc018, hash),
    ]
}

fn of_channels_and_payees() -> Vec<(Failure, u16, String)> {
    let htlc = MilliSatoshi(0x0102);
    let none = String::new;
    vec![
        (Failure::TemporaryChannelFailure(policy()), 0x1007, "0003010203".into()),
        (Failure::PermanentChannelFailure, 0x4008, none()),
        (Failure::RequiredChannelFeatureMissing, 0x4009, none()),
        (Failure::UnknownNextPeer, 0x400a, none()),
        (
            Failure::AmountBelowMinimum {
                htlc,
                channel_update: policy(),
            },
            0x100b,
            "00000000000001020003010203".into(),
        ),
        (
            Failure::FeeInsufficient {
                htlc,
                channel_update: ChannelUpdateBytes::default(),
            },
            0x100c,
            "00000000000001020000".into(),
        ),
        (
            Failure::IncorrectCltvExpiry {
                expiry: CltvExpiry(800_000),
                channel_update: policy(),
            },
            0x100d,
            "000c35000003010203".into(),
        ),
        (Failure::ExpiryTooSoon(policy()), 0x100e, "0003010203".into()),
        (
            Failure::IncorrectOrUnknownPaymentDetails {
                htlc,
                height: BlockHeight(800_000),
            },
            0x400f,
            "0000000000000102000c3500".into(),
        ),
        (
            Failure::FinalIncorrectCltvExpiry(CltvExpiry(800_000)),
            18,
            "000c3500".into(),
        ),
        (Failure::FinalIncorrectHtlcAmount(htlc), 19, "0000000000000102".into()),
        (
            Failure::ChannelDisabled {
                flags: 0,
                channel_update: policy(),
            },
            0x1014,
            "00000003010203".into(),
        ),
        (Failure::ExpiryTooFar, 21, none()),
        (Failure::MppTimeout, 23, none()),
    ]
}

#[test]
fn every_failure_travels_as_bolt_4_writes_it() {
    assert_eq!(all().len(), 22);
    for (failure, code, data) in all() {
        assert_eq!(failure.code(), FailureCode(code));
        let hex = failure.encode().to_lower_hex_string();
        assert_eq!(hex, format!("{code:04x}{data}"), "{failure:?}");
        assert_eq!(Failure::decode(&failure.encode()), Ok(failure));
    }
}

#[test]
fn what_follows_the_data_is_passed_over_and_what_is_cut_off_is_named() {
    for (failure, code, data) in all() {
        let mut message = failure.encode();
        message.extend_from_slice(&[0xfd, 0x84, 0xd1, 1, 9]);
        assert_eq!(Failure::decode(&message), Ok(failure.clone()));
        let whole = 2 + data.len() / 2;
        for length in 2..whole {
            let error = Failure::decode(&message[..length]).unwrap_err();
            assert!(
                matches!(error, FailureError::Data { code: named, .. } if named.0 == code),
                "{failure:?}"
            );
        }
    }
    assert_eq!(Failure::decode(&[0x40]), Err(FailureError::NoCode));
    let flaw = Flaw::UnexpectedEnd { needed: 4, left: 1 };
    assert_eq!(
        Failure::decode(&[0, 18, 1]),
        Err(FailureError::Data {
            code: FailureCode(18),
            flaw
        })
    );
}

#[test]
fn flags_say_what_follows_even_of_codes_that_are_unknown() {
    let flags = |code: FailureCode| {
        (
            code.is_bad_onion(),
            code.is_permanent(),
            code.is_of_node(),
            code.is_of_policy(),
        )
    };
    assert_eq!(flags(Failure::PermanentNodeFailure.code()), (false, true, true, false));
    assert_eq!(
        flags(Failure::ExpiryTooSoon(policy()).code()),
        (false, false, false, true)
    );
    assert_eq!(flags(Failure::InvalidOnionKey(HASH).code()), (true, true, false, false));
    let unknown = Failure::decode(&[0x60, 0x63, 5]).unwrap();
    assert_eq!(
        unknown,
        Failure::Unknown {
            code: FailureCode(0x6063),
            data: vec![5]
        }
    );
    assert_eq!(flags(unknown.code()), (false, true, true, false));
}

#[test]
fn a_malformed_onion_downstream_is_told_upstream_with_its_hash() {
    let told = |code| Failure::of_malformed(FailureCode(code), HASH);
    for (failure, code, _) in all() {
        assert_eq!(told(code), (code & FailureCode::BADONION != 0).then_some(failure));
    }
    let unknown = Failure::Unknown {
        code: FailureCode(0x8063),
        data: vec![0xab; 32],
    };
    assert_eq!(told(0x8063), Some(unknown));
    assert_eq!(told(0x4063), None);
}

proptest! {
    #[test]
    fn arbitrary_messages_are_read_without_a_panic(message in vec(any::<u8>(), 0..100)) {
        if let Ok(failure) = Failure::decode(&message) {
            let encoded = failure.encode();
            prop_assert_eq!(&encoded, &message[..encoded.len()]);
        }
    }
}
