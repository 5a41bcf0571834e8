//! Blinded paths and onion messages: what each hop sees, what nobody else does, and what is ignored.

mod route;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use quittance_onion::{
    BlindedHop, BlindedPath, BlindedPathCost, ChannelEnd, CreateError, IgnoredMessage, IntroductionNode,
    MessageContents, NextHop, OnionError, OpenedMessage, PacketTooShort, PathNode, PaymentConstraints, PaymentRelay,
    RecipientData, RecipientDataError, SharedSecret, create_blinded_path, create_message, message_path, open_message,
    unblind,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, Features, MilliSatoshi, ShortChannelId};
use quittance_wire::{Flaw, OnionMessage, Reader, TlvValue, Wire};
use route::{node_id, node_key, session_key};

fn path_key() -> secp256k1::SecretKey {
    node_key(70)
}

/// A path through nodes `from`, .., `to`, the last with this path id.
fn path_to(from: usize, to: usize, path_id: &[u8]) -> BlindedPath {
    let nodes: Vec<_> = (from..=to)
        .map(|index| PathNode {
            node: node_id(index),
            data: RecipientData {
                next_node_id: (index < to).then(|| node_id(index + 1)),
                path_id: (index == to).then(|| path_id.to_vec()),
                ..RecipientData::default()
            },
        })
        .collect();
    create_blinded_path(&path_key(), &nodes)
        .expect("a usable session key")
        .path
}

fn contents(records: &[(u64, &[u8])]) -> MessageContents {
    MessageContents {
        reply_path: None,
        records: records
            .iter()
            .map(|(record_type, value)| (*record_type, value.to_vec()))
            .collect(),
    }
}

/// Follows a message from node `first` on and returns who received it, and what.
fn deliver(mut message: OnionMessage, first: usize, known: &[u64]) -> (usize, Option<Vec<u8>>, MessageContents) {
    let mut node = first;
    loop {
        match open_message(&message, &node_key(node), known).expect("for this node") {
            OpenedMessage::Forward {
                next_hop,
                message: next,
            } => {
                assert_eq!(next_hop, NextHop::Node(node_id(node + 1)));
                (node, message) = (node + 1, next);
            }
            OpenedMessage::Receive { path_id, contents } => return (node, path_id, contents),
        }
    }
}

#[test]
fn a_message_travels_by_our_hops_and_then_by_theirs_and_is_answered() {
    let offered = path_to(3, 5, b"offer");
    let ours = message_path(&node_key(80), &[node_id(1), node_id(2), node_id(3)], Some(&offered)).unwrap();
    assert_eq!(ours.hops.len(), 5);
    let request = MessageContents {
        reply_path: Some(path_to(1, 2, b"reply")),
        ..contents(&[(64, b"invoice?")])
    };
    let message = create_message(&session_key(), &ours, &request).unwrap();
    assert_eq!(message.onion_message_packet.len(), 1366);
    let (node, path_id, received) = deliver(message, 1, &[64]);
    assert_eq!((node, path_id.as_deref()), (5, Some(&b"offer"[..])));
    assert_eq!(received, request);

    let reply_path = received.reply_path.expect("it was sent");
    let answer = create_message(&session_key(), &reply_path, &contents(&[(66, b"invoice!")])).unwrap();
    let (node, path_id, received) = deliver(answer, 1, &[66]);
    assert_eq!((node, path_id.as_deref()), (2, Some(&b"reply"[..])));
    assert_eq!(received, contents(&[(66, b"invoice!")]));
}

#[test]
fn a_message_to_a_node_by_its_name_needs_no_path_of_its_making() {
    let path = message_path(&node_key(80), &[node_id(1), node_id(2)], None).unwrap();
    let message = create_message(&session_key(), &path, &contents(&[(65, b"hello")])).unwrap();
    assert_eq!(deliver(message, 1, &[]), (2, None, contents(&[(65, b"hello")])));
    assert_eq!(message_path(&node_key(80), &[], None), Err(CreateError::NoHops));
    let offered = path_to(1, 2, b"offer");
    assert_eq!(message_path(&node_key(80), &[node_id(1)], Some(&offered)), Ok(offered));
}

#[test]
fn larger_messages_have_the_one_larger_size_and_then_any() {
    let path = path_to(1, 2, b"");
    let send = |length: usize| create_message(&session_key(), &path, &contents(&[(65, &vec![7; length])]));
    let sizes = [100, 1_000, 2_000, 30_000, 40_000].map(|length| send(length).unwrap().onion_message_packet.len());
    assert_eq!(sizes, [1_366, 1_366, 32_834, 32_834, 65_535]);
    assert_eq!(deliver(send(40_000).unwrap(), 1, &[]).2.records[&65].len(), 40_000);
    assert!(matches!(send(66_000), Err(CreateError::TooLong { area: 65_469, .. })));
    let nowhere = BlindedPath {
        hops: vec![],
        ..path.clone()
    };
    assert_eq!(
        create_message(&session_key(), &nowhere, &contents(&[])),
        Err(CreateError::NoHops)
    );
}

#[test]
fn what_cannot_be_used_is_ignored() {
    let with = |data: RecipientData, said: &MessageContents| {
        let nodes = [PathNode { node: node_id(1), data }];
        let path = create_blinded_path(&path_key(), &nodes).unwrap().path;
        create_message(&session_key(), &path, said).unwrap()
    };
    let ignored = |message: &OnionMessage| open_message(message, &node_key(1), &[64, 66]).unwrap_err();
    let fine = with(RecipientData::default(), &contents(&[]));
    assert!(open_message(&fine, &node_key(1), &[]).is_ok());
    assert_eq!(
        open_message(&fine, &node_key(2), &[]),
        Err(IgnoredMessage::Unpeelable(OnionError::InvalidHmac))
    );

    let two = with(RecipientData::default(), &contents(&[(64, b"a"), (66, b"b")]));
    assert_eq!(ignored(&two), IgnoredMessage::SeveralPayloads(2));
    let unknown = with(RecipientData::default(), &contents(&[(68, b"a")]));
    assert!(matches!(ignored(&unknown), IgnoredMessage::Malformed(error) if error.record_type == Some(68)));
    let mut features = Features::empty();
    features.set_bit(1);
    let featured = with(
        RecipientData {
            allowed_features: Some(features),
            ..RecipientData::default()
        },
        &contents(&[]),
    );
    assert_eq!(ignored(&featured), IgnoredMessage::UnknownFeatures);
    let strange = RecipientData {
        others: BTreeMap::from([(16, vec![])]),
        ..RecipientData::default()
    };
    let strange = with(strange, &contents(&[]));
    assert!(matches!(
        ignored(&strange),
        IgnoredMessage::RecipientData(RecipientDataError::Malformed(_))
    ));
    let other_key = OnionMessage {
        path_key: node_id(9),
        ..fine.clone()
    };
    assert_eq!(ignored(&other_key), IgnoredMessage::Unpeelable(OnionError::InvalidHmac));
    let short = OnionMessage {
        onion_message_packet: vec![0; 60],
        ..fine
    };
    assert_eq!(ignored(&short), IgnoredMessage::TooShort(PacketTooShort(60)));
}

#[test]
fn a_forwarding_hop_is_told_no_more_than_where_to_forward_to() {
    let send = |data: RecipientData| {
        let last = PathNode {
            node: node_id(2),
            data: RecipientData::default(),
        };
        let nodes = [PathNode { node: node_id(1), data }, last];
        let path = create_blinded_path(&path_key(), &nodes).unwrap().path;
        open_message(
            &create_message(&session_key(), &path, &contents(&[])).unwrap(),
            &node_key(1),
            &[],
        )
    };
    let to_channel = RecipientData {
        short_channel_id: Some(ShortChannelId(5)),
        ..RecipientData::default()
    };
    let forwarded = send(to_channel.clone()).unwrap();
    assert!(matches!(
        forwarded,
        OpenedMessage::Forward {
            next_hop: NextHop::Channel(ShortChannelId(5)),
            ..
        }
    ));
    let both = RecipientData {
        next_node_id: Some(node_id(2)),
        ..to_channel.clone()
    };
    assert!(
        matches!(send(both), Ok(OpenedMessage::Forward { next_hop: NextHop::Node(node), .. }) if node == node_id(2))
    );
    let with_id = RecipientData {
        path_id: Some(vec![1]),
        ..to_channel
    };
    assert_eq!(send(with_id), Err(IgnoredMessage::ForwardWithContents));
    assert_eq!(send(RecipientData::default()), Err(IgnoredMessage::NoNextHop));
}

#[test]
fn padding_makes_all_hops_equally_long() {
    for lengths in [
        vec![0],
        vec![0, 1],
        vec![0, 3, 4, 40],
        vec![0, 254, 255, 256, 257, 258],
        vec![300, 40, 45],
    ] {
        let mut data: Vec<_> = lengths
            .iter()
            .map(|length| RecipientData {
                path_id: Some(vec![1; *length]),
                ..RecipientData::default()
            })
            .collect();
        RecipientData::pad_to_one_length(&mut data);
        let sealed: Vec<_> = data.iter().map(RecipientData::sealed_len).collect();
        assert!(
            sealed.iter().all(|length| *length == sealed[0]),
            "{lengths:?}: {sealed:?}"
        );
        let longest = lengths.iter().max().unwrap() + 16 + 4;
        assert!(sealed[0] <= longest + 3 * lengths.len(), "{lengths:?}: {sealed:?}");
    }
}

#[test]
fn only_the_hop_it_is_sealed_for_opens_recipient_data() {
    let nodes = [PathNode {
        node: node_id(1),
        data: RecipientData::default(),
    }];
    let made = create_blinded_path(&path_key(), &nodes).unwrap();
    let sealed = &made.path.hops[0].encrypted_recipient_data;
    let open = |node: usize, sealed: &[u8]| {
        let secret = SharedSecret::agree(&made.path.first_path_key, &node_key(node));
        unblind(&made.path.first_path_key, &secret, sealed).map(|(data, _)| data)
    };
    assert_eq!(open(1, sealed), Ok(RecipientData::default()));
    assert_eq!(open(2, sealed), Err(RecipientDataError::NotForUs));
    assert_eq!(open(1, &sealed[..15]), Err(RecipientDataError::NotForUs));
}

#[test]
fn a_path_beyond_its_fields_cannot_be_offered() {
    let relay = |fee_base_msat, fee_proportional_millionths, delta| PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(delta),
        fee_proportional_millionths,
        fee_base_msat,
    };
    let cost = |relays: &[PaymentRelay]| BlindedPathCost::of_path(relays, CltvExpiryDelta(18));
    assert_eq!(cost(&[]).unwrap().cltv_expiry_delta, CltvExpiryDelta(18));
    assert_eq!(cost(&[relay(u32::MAX, 0, 1), relay(1, 0, 1)]), None);
    assert_eq!(cost(&[relay(0, u32::MAX, 1), relay(0, 1, 1)]), None);
    assert_eq!(cost(&[relay(0, 0, u16::MAX)]), None);
    assert_eq!(cost(&vec![relay(u32::MAX, u32::MAX, u16::MAX); 1_000]), None);
}

#[test]
fn a_hop_takes_its_fee_and_never_more_than_there_is() {
    let relay = PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(40),
        fee_proportional_millionths: 0,
        fee_base_msat: 10,
    };
    assert_eq!(relay.amount_to_forward(MilliSatoshi(10)), Some(MilliSatoshi(0)));
    assert_eq!(relay.amount_to_forward(MilliSatoshi(9)), None);
    assert_eq!(
        relay.amount_to_forward(MilliSatoshi(u64::MAX)),
        Some(MilliSatoshi(u64::MAX - 10))
    );
    assert_eq!(relay.outgoing_expiry(CltvExpiry(39)), None);
}

#[test]
fn a_path_names_its_first_node_by_id_or_by_channel() {
    let by_channel = IntroductionNode::Channel {
        end: ChannelEnd::Node2,
        short_channel_id: ShortChannelId(0x0102),
    };
    let mut bytes = Vec::new();
    by_channel.write(&mut bytes);
    assert_eq!(bytes, [1, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(IntroductionNode::read(&mut Reader::new(&bytes)), Ok(by_channel));
    assert_eq!(
        IntroductionNode::read(&mut Reader::new(&bytes[..5])),
        Err(Flaw::UnexpectedEnd { needed: 8, left: 4 })
    );
    assert_eq!(
        IntroductionNode::read(&mut Reader::new(&[4; 33])),
        Err(Flaw::InvalidPublicKey)
    );
}

fn arbitrary_data() -> impl Strategy<Value = RecipientData> {
    let number = || proptest::option::of(any::<u32>());
    let others = btree_map(
        (20..9_000_u64).prop_map(|half| half * 2 + 1),
        vec(any::<u8>(), 0..20),
        0..3,
    );
    (number(), number(), number(), number(), number(), number(), others).prop_map(
        |(padding, channel, node, path_id, relay, constraints, others)| RecipientData {
            padding: padding.map(|length| (length % 400) as u16),
            short_channel_id: channel.map(|channel| ShortChannelId(u64::from(channel) << 20)),
            next_node_id: node.map(|index| node_id((index % 50) as usize)),
            path_id: path_id.map(|id| id.to_be_bytes().to_vec()),
            next_path_key_override: node.map(|index| node_id((index % 40) as usize)),
            payment_relay: relay.map(|fee| PaymentRelay {
                cltv_expiry_delta: CltvExpiryDelta((fee >> 16) as u16),
                fee_proportional_millionths: fee,
                fee_base_msat: fee >> (fee % 32),
            }),
            payment_constraints: constraints.map(|least| PaymentConstraints {
                max_cltv_expiry: CltvExpiry(least),
                htlc_minimum: MilliSatoshi(u64::from(least) << 9),
            }),
            allowed_features: relay.map(|bits| Features::from_be_bytes(&bits.to_be_bytes())),
            others,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn recipient_data_comes_back(data in arbitrary_data(), secret: [u8; 32]) {
        let secret = SharedSecret::from_bytes(secret);
        let sealed = data.seal(&secret);
        prop_assert_eq!(sealed.len(), data.sealed_len());
        prop_assert_eq!(RecipientData::open(&sealed, &secret), Ok(data));
    }

    #[test]
    fn arbitrary_recipient_data_is_read_without_a_panic(bytes in vec(any::<u8>(), 0..100)) {
        let _ = RecipientData::decode(&bytes);
        let _ = RecipientData::open(&bytes, &SharedSecret::from_bytes([1; 32]));
    }

    #[test]
    fn paths_come_back(hops in vec((0..50_usize, vec(any::<u8>(), 0..100)), 0..5), by_channel: Option<u64>) {
        let path = BlindedPath {
            introduction: by_channel.map_or(IntroductionNode::Node(node_id(4)), |channel| IntroductionNode::Channel {
                end: ChannelEnd::Node1,
                short_channel_id: ShortChannelId(channel),
            }),
            first_path_key: node_id(3),
            hops: hops
                .into_iter()
                .map(|(node, encrypted_recipient_data)| BlindedHop {
                    blinded_node_id: node_id(node),
                    encrypted_recipient_data,
                })
                .collect(),
        };
        let mut bytes = Vec::new();
        path.write(&mut bytes);
        prop_assert_eq!(BlindedPath::read_value(&bytes), Ok(path));
        bytes.pop();
        prop_assert!(BlindedPath::read_value(&bytes).is_err());
    }

    #[test]
    fn arbitrary_paths_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = BlindedPath::read_value(&bytes);
    }

    #[test]
    fn arbitrary_messages_are_ignored_without_a_panic(packet in vec(any::<u8>(), 0..200)) {
        let message = OnionMessage { path_key: node_id(7), onion_message_packet: packet };
        prop_assert!(open_message(&message, &node_key(1), &[]).is_err());
    }
}
