//! Failures on their way back: who is blamed, whatever happens to the packet.

mod route;

use proptest::collection::vec;
use proptest::prelude::*;
use quittance_onion::{
    ATTRIBUTED_HOPS, ATTRIBUTED_REASON_MAX, AttributionData, Failure, FailureSource, HoldTime, ReturnPacket,
    ReturnReport, SharedSecret, session_secrets,
};
use quittance_primitives::{BlockHeight, ChannelId, HtlcId, MilliSatoshi};
use quittance_wire::{MESSAGE_LEN_MAX, Message, UpdateFailHtlc};
use route::{node_id, session_key};

fn secrets(hops: usize) -> Vec<SharedSecret> {
    let route: Vec<_> = (0..hops).map(node_id).collect();
    session_secrets(&session_key(), &route).expect("a usable session key")
}

fn message() -> Vec<u8> {
    Failure::IncorrectOrUnknownPaymentDetails {
        htlc: MilliSatoshi(1_000),
        height: BlockHeight(800_000),
    }
    .encode()
}

fn held(hop: usize) -> HoldTime {
    HoldTime(u32::try_from(hop).expect("few hops") + 1)
}

/// The packet as it leaves hop 0, made at `source`; `on_the_way(hop, packet)` may tamper with it before `hop` wraps it.
fn returned(
    secrets: &[SharedSecret],
    source: usize,
    mut on_the_way: impl FnMut(usize, ReturnPacket) -> ReturnPacket,
) -> ReturnPacket {
    let made = ReturnPacket::create(&secrets[source], &message(), Some(held(source)));
    (0..source).rev().fold(made, |packet, hop| {
        on_the_way(hop, packet).wrap(&secrets[hop], Some(held(hop)))
    })
}

#[test]
fn a_failure_is_attributed_to_the_hop_that_made_it_and_all_hold_times_are_read() {
    for hops in [1, 2, 5, 20, 21, 27] {
        let secrets = secrets(hops);
        for source in 0..hops {
            let expected = ReturnReport {
                source: FailureSource::Hop {
                    hop: source,
                    message: message(),
                },
                hold_times: (0..=source).take(ATTRIBUTED_HOPS).map(held).collect(),
            };
            assert_eq!(
                returned(&secrets, source, |_, packet| packet).read(&secrets),
                expected,
                "{source} of {hops}"
            );
        }
    }
}

#[test]
fn a_hop_that_garbles_the_packet_or_its_data_is_named_with_its_neighbour() {
    let secrets = secrets(6);
    let garblings: [fn(&mut ReturnPacket); 4] = [
        |packet| packet.reason[40] ^= 1,
        |packet| packet.reason.truncate(100),
        |packet| packet.reason.clear(),
        |packet| packet.reason.push(0),
    ];
    for garble in garblings {
        for by in 0..5 {
            let report = returned(&secrets, 5, |hop, mut packet| {
                if hop == by {
                    garble(&mut packet);
                }
                packet
            })
            .read(&secrets);
            // What hop `by` signs is what it passes on, so the first that does not match is what its downstream neighbour signed.
            assert_eq!(report.source, FailureSource::GarbledAt { hop: by + 1 });
            assert_eq!(report.hold_times, (0..=by).map(held).collect::<Vec<_>>());
        }
    }
}

/// A peer may send a reason so long that ours would not fit a message beside attribution data.
#[test]
fn attribution_data_ends_where_the_reason_leaves_it_no_room() {
    let secrets = secrets(2);
    let passed_on = |length: usize| {
        let packet = ReturnPacket::create_padded(&secrets[1], &message(), length - 36, None);
        assert_eq!(packet.reason.len(), length);
        packet.wrap(&secrets[0], Some(held(0)))
    };
    let message_of = |packet: &ReturnPacket| {
        let fail = UpdateFailHtlc {
            channel_id: ChannelId([1; 32]),
            id: HtlcId(1),
            reason: packet.reason.clone(),
            attribution_data: packet.attribution.clone().map(AttributionData::into_bytes),
        };
        Message::from(fail).encode()
    };
    let longest = passed_on(ATTRIBUTED_REASON_MAX);
    assert!(longest.attribution.is_some());
    assert_eq!(message_of(&longest).len(), MESSAGE_LEN_MAX);
    let without = passed_on(MESSAGE_LEN_MAX - 44);
    assert_eq!(without.attribution, None);
    assert_eq!(message_of(&without).len(), MESSAGE_LEN_MAX);
    assert_eq!(passed_on(ATTRIBUTED_REASON_MAX + 1).attribution, None);
    let source = without.read(&secrets).source;
    assert_eq!(
        source,
        FailureSource::Hop {
            hop: 1,
            message: message()
        },
        "the payer still reads it"
    );
}

#[test]
fn the_last_hop_is_named_when_it_makes_a_packet_that_is_none() {
    let secrets = secrets(3);
    let nonsense = ReturnPacket {
        reason: vec![9; 292],
        attribution: None,
    };
    let packet = (0..3)
        .rev()
        .fold(nonsense, |packet, hop| packet.wrap(&secrets[hop], Some(held(hop))));
    let report = packet.read(&secrets);
    assert_eq!(report.source, FailureSource::GarbledAt { hop: 2 });
    assert_eq!(report.hold_times.len(), 3);
}

#[test]
fn without_attribution_data_a_garbled_packet_has_no_author() {
    let secrets = secrets(4);
    let mut packet = (0..4)
        .rev()
        .skip(1)
        .fold(ReturnPacket::create(&secrets[3], &message(), None), |packet, hop| {
            packet.wrap(&secrets[hop], None)
        });
    let whole = packet.clone().read(&secrets);
    assert_eq!(
        whole,
        ReturnReport {
            source: FailureSource::Hop {
                hop: 3,
                message: message()
            },
            hold_times: vec![]
        }
    );
    packet.reason[0] ^= 1;
    assert_eq!(
        packet.read(&secrets),
        ReturnReport {
            source: FailureSource::Unknown,
            hold_times: vec![]
        }
    );
}

#[test]
fn hold_times_reach_as_far_as_every_hop_supports_them() {
    let secrets = secrets(5);
    // Hop 2 passes the packet on without attribution data; hop 1 starts it afresh.
    let packet = returned(&secrets, 4, |_, packet| packet);
    assert_eq!(packet.read(&secrets).hold_times.len(), 5);
    let packet = (0..4).rev().fold(
        ReturnPacket::create(&secrets[4], &message(), Some(held(4))),
        |packet, hop| packet.wrap(&secrets[hop], (hop != 2).then_some(held(hop))),
    );
    assert_eq!(
        packet.read(&secrets),
        ReturnReport {
            source: FailureSource::Hop {
                hop: 4,
                message: message()
            },
            hold_times: vec![held(0), held(1)],
        }
    );
}

#[test]
fn spoiled_attribution_data_does_not_hide_a_readable_failure() {
    let secrets = secrets(5);
    let spoil = |hop, mut packet: ReturnPacket| {
        if hop == 1 {
            let mut bytes = packet.attribution.expect("attribution data").into_bytes();
            // Of hop 2's HMACs, the one for a hop two places before the end: the others say nothing on this route.
            bytes[80 + (19 - 2) * 4] ^= 1;
            packet.attribution = Some(AttributionData::from_bytes(bytes));
        }
        packet
    };
    let report = returned(&secrets, 4, spoil).read(&secrets);
    assert_eq!(
        report.source,
        FailureSource::Hop {
            hop: 4,
            message: message()
        }
    );
    assert_eq!(report.hold_times, [held(0), held(1)]);
}

#[test]
fn a_lie_about_another_hops_hold_time_exposes_the_liar() {
    let secrets = secrets(5);
    let lie = |hop, mut packet: ReturnPacket| {
        if hop == 2 {
            let mut bytes = packet.attribution.expect("attribution data").into_bytes();
            bytes[3] ^= 1;
            packet.attribution = Some(AttributionData::from_bytes(bytes));
        }
        packet
    };
    assert_eq!(
        returned(&secrets, 4, lie).read(&secrets).hold_times,
        [held(0), held(1), held(2)]
    );
}

#[test]
fn a_fulfilment_tells_every_hop_s_hold_time() {
    for hops in [1, 5, 20, 25] {
        let secrets = secrets(hops);
        let mut data = None;
        for hop in (0..hops).rev() {
            data = Some(AttributionData::of_fulfilment(data, &secrets[hop], held(hop)));
        }
        let data = data.expect("at least one hop");
        let read: Vec<_> = (0..hops).take(ATTRIBUTED_HOPS).map(held).collect();
        assert_eq!(data.clone().read_fulfilment(&secrets), read);
        let mut bytes = data.into_bytes();
        bytes[919] ^= 1;
        let spoiled = AttributionData::from_bytes(bytes).read_fulfilment(&secrets);
        // The last byte belongs to the hop in the twentieth place; only routes of that length cover it.
        assert_eq!(spoiled.len(), if hops < ATTRIBUTED_HOPS { hops } else { 0 });
    }
}

#[test]
fn a_message_with_an_impossible_length_still_has_an_author() {
    let secrets = secrets(2);
    let made = ReturnPacket::create(&secrets[1], &[], None).wrap(&secrets[0], None);
    let report = made.read(&secrets);
    assert_eq!(
        report.source,
        FailureSource::Hop {
            hop: 1,
            message: vec![]
        }
    );
    assert_eq!(Failure::decode(&[]), Err(quittance_onion::FailureError::NoCode));
}

#[test]
fn hops_beyond_the_twentieth_are_not_accused() {
    let secrets = secrets(25);
    let garbled_by = |by| {
        let garble = |hop, mut packet: ReturnPacket| {
            if hop == by {
                packet.reason[0] ^= 1;
            }
            packet
        };
        returned(&secrets, 24, garble).read(&secrets).source
    };
    assert_eq!(garbled_by(18), FailureSource::GarbledAt { hop: 19 });
    assert_eq!(garbled_by(19), FailureSource::Unknown);
    assert_eq!(garbled_by(23), FailureSource::Unknown);
}

#[test]
fn what_only_the_origin_s_spare_rounds_can_read_was_made_by_nobody() {
    let secrets = secrets(2);
    // The origin goes on decrypting with a constant secret, which a hop may know.
    let constant = SharedSecret::from_bytes([1; 32]);
    let wrap = |packet: ReturnPacket, held: Option<HoldTime>| packet.wrap(&secrets[1], held).wrap(&secrets[0], held);
    let forged = wrap(ReturnPacket::create(&constant, &message(), None), None);
    assert_eq!(forged.read(&secrets).source, FailureSource::Unknown);

    let nonsense = ReturnPacket {
        reason: vec![9; 292],
        attribution: None,
    };
    let report = wrap(nonsense.wrap(&constant, Some(held(7))), Some(held(0))).read(&secrets);
    assert_eq!(report.source, FailureSource::GarbledAt { hop: 1 });
    assert_eq!(report.hold_times, [held(0), held(0)]);
}

#[test]
fn no_hold_time_is_believed_from_behind_the_source() {
    let secrets = secrets(3);
    // Hops 1 and 2 conspire: hop 2 signs what hop 1's own packet looks like under its secret.
    let plain = ReturnPacket::create(&secrets[1], &message(), None).wrap(&secrets[1], None);
    let as_seen_by_2 = ReturnPacket {
        reason: plain.wrap(&secrets[2], None).reason,
        attribution: None,
    };
    let packet = (0..3)
        .rev()
        .fold(as_seen_by_2, |packet, hop| packet.wrap(&secrets[hop], Some(held(hop))));
    assert_eq!(
        packet.read(&secrets),
        ReturnReport {
            source: FailureSource::Hop {
                hop: 1,
                message: message()
            },
            hold_times: vec![held(0), held(1)],
        }
    );
}

#[test]
fn a_report_without_a_route_blames_nobody() {
    let packet = returned(&secrets(1), 0, |_, packet| packet);
    assert_eq!(
        packet.read(&[]),
        ReturnReport {
            source: FailureSource::Unknown,
            hold_times: vec![]
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn arbitrary_return_packets_are_read_without_a_panic(
        reason in vec(any::<u8>(), 0..400),
        data in proptest::option::of(vec(any::<u8>(), 920)),
        hops in 0..30_usize,
    ) {
        let attribution = data.map(|data| AttributionData::from_bytes(data.try_into().expect("920 bytes")));
        let garbled = attribution.is_some() && hops > 0;
        let report = ReturnPacket { reason, attribution }.read(&secrets(hops));
        let expected = if garbled { FailureSource::GarbledAt { hop: 0 } } else { FailureSource::Unknown };
        prop_assert_eq!(report.source, expected);
    }

    #[test]
    fn any_message_comes_back(message in vec(any::<u8>(), 0..2_000), source in 0..6_usize) {
        let secrets = secrets(6);
        let made = ReturnPacket::create(&secrets[source], &message, Some(held(source)));
        prop_assert_eq!(made.reason.len(), 32 + 4 + message.len().max(256));
        let packet = (0..source).rev().fold(made, |packet, hop| packet.wrap(&secrets[hop], Some(held(hop))));
        prop_assert_eq!(packet.read(&secrets).source, FailureSource::Hop { hop: source, message });
    }
}
