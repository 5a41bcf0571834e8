//! Random messages, read and written by both: 10,000 of ours as they are, and 10,000 with one byte altered.
//!
//! Each message of ours goes to LDK; what LDK read it writes, and we read that. So both encoders and both decoders are compared.
//! Where they differ, the difference is a [`Difference`], says which side is off the BOLT or why neither is, and has an example
//! in a test of its own.

use std::collections::BTreeMap;

use lightning::ln::msgs::DecodeError as LdkError;
use quittance_differential::{LdkMessage, Random};
use quittance_primitives::{ChannelId, Features, ShortChannelId};
use quittance_wire::generate::{Generate, Source};
use quittance_wire::{
    DecodeError, EncodedShortIds, ErrorMessage, Flaw, Init, Message, NodeAddress, Ping, QueryChannelRange, Stfu,
    TlvError, TlvFlaw, TxAddInput, TxInitRbf, Warning, WireMessage,
};

const CASES: u32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    // LDK refuses what we read.
    /// `data` of `error` and `warning` that is no UTF-8. BOLT 1 wants it shown only if printable: we keep the bytes, and the
    /// channel still fails as the peer meant.
    TextNotUtf8,
    /// A host name with characters that LDK does not allow. BOLT 7 wants ASCII.
    HostnameOutsideLdksAlphabet,
    /// `remote_addr` of `init` of an unknown type: it concerns only us, and need not end the connection.
    RemoteAddressOfUnknownType,
    /// `must_be_one` of `channel_update` is zero. BOLT 7: it is ignored by receivers.
    MustBeOneIsZero,
    /// A number that stands for yes and no is neither 0 nor 1. We leave it to its reader.
    NeitherZeroNorOne,
    /// The onion of an `onion_message` is cut short or has no valid key. We read it when it is peeled.
    OnionMessageUnpeelable,
    /// `prevtx` is no transaction. We read it when the input is judged.
    PreviousTransactionMalformed,
    /// `require_confirmed_inputs` (BOLT 2, a required record) in `tx_init_rbf` and `tx_ack_rbf` is unknown to LDK.
    ConfirmedInputsUnknownToLdk,
    // LDK drops what we keep.
    /// Both feature fields of `init` become one.
    FeaturesMerged,
    /// The ignored bytes of `ping` and `pong` become zeros.
    IgnoredBytesZeroed,
    /// LDK has no `gossip_queries_ex`.
    QueryRecordsDropped,
    /// An invalid ephemeral key of a payment's onion becomes zeros. We keep it: its hash goes into the failure.
    OnionKeyZeroed,
    // We refuse what LDK reads.
    /// An amount beyond all bitcoin. BOLT 1 wants the connection failed.
    MoneyBeyondAll,
    /// A key of `channel_announcement` that is no point of the curve: no signature can be valid under it.
    AnnouncedKeyOffTheCurve,
    /// The extension is no TLV stream or has an unknown even record: LDK does not look at that of a message without records.
    ExtensionMalformed,
}

/// Why LDK refuses `message`, if it does.
fn ldk_refuses(message: &Message) -> Option<Difference> {
    use Difference as D;
    let hostname_is_foreign = |hostname: &str| {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        !hostname.chars().all(allowed)
    };
    let differs = |condition, difference| if condition { Some(difference) } else { None };
    match message {
        Message::Error(ErrorMessage { data, .. }) | Message::Warning(Warning { data, .. }) => {
            differs(std::str::from_utf8(data).is_err(), D::TextNotUtf8)
        }
        Message::Init(init) => match &init.remote_addr {
            Some(NodeAddress::DnsHostname { hostname, .. }) => {
                differs(hostname_is_foreign(hostname), D::HostnameOutsideLdksAlphabet)
            }
            Some(NodeAddress::Unknown { .. }) => Some(D::RemoteAddressOfUnknownType),
            _ => None,
        },
        Message::NodeAnnouncement(announcement) => {
            let foreign = announcement.addresses.iter().any(|address| match address {
                NodeAddress::DnsHostname { hostname, .. } => hostname_is_foreign(&hostname),
                _ => false,
            });
            differs(foreign, D::HostnameOutsideLdksAlphabet)
        }
        Message::ChannelUpdate(update) => differs(update.message_flags & 1 == 0, D::MustBeOneIsZero),
        Message::Stfu(stfu) => differs(stfu.initiator > 1, D::NeitherZeroNorOne),
        Message::ReplyShortChannelIdsEnd(reply) => differs(reply.full_information > 1, D::NeitherZeroNorOne),
        Message::ReplyChannelRange(reply) => differs(reply.sync_complete > 1, D::NeitherZeroNorOne),
        Message::OnionMessage(message) => {
            let packet = &message.onion_message_packet;
            let key = packet
                .get(1..34)
                .and_then(|key| secp256k1::PublicKey::from_slice(key).ok());
            differs(packet.len() < 66 || key.is_none(), D::OnionMessageUnpeelable)
        }
        Message::TxAddInput(input) => {
            let transaction = bitcoin::consensus::deserialize::<bitcoin::Transaction>(&input.prevtx);
            differs(
                !input.prevtx.is_empty() && transaction.is_err(),
                D::PreviousTransactionMalformed,
            )
        }
        Message::TxInitRbf(rbf) => differs(rbf.require_confirmed_inputs.is_some(), D::ConfirmedInputsUnknownToLdk),
        Message::TxAckRbf(rbf) => differs(rbf.require_confirmed_inputs.is_some(), D::ConfirmedInputsUnknownToLdk),
        _ => None,
    }
}

/// What is left of `message` once LDK has read and written it, and what was lost.
fn as_ldk_keeps(message: &Message) -> (Message, Option<Difference>) {
    use Difference as D;
    let mut kept = message.clone();
    let loss = match &mut kept {
        Message::Init(init) => {
            init.features = init.all_features();
            init.globalfeatures = Features::empty();
            for bit in init.features.bits().filter(|bit| *bit <= 13) {
                init.globalfeatures.set_bit(bit);
            }
            D::FeaturesMerged
        }
        Message::Ping(ping) => {
            ping.ignored.fill(0);
            D::IgnoredBytesZeroed
        }
        Message::Pong(pong) => {
            pong.ignored.fill(0);
            D::IgnoredBytesZeroed
        }
        Message::QueryShortChannelIds(query) => {
            query.query_flags = None;
            D::QueryRecordsDropped
        }
        Message::QueryChannelRange(query) => {
            query.query_option = None;
            D::QueryRecordsDropped
        }
        Message::ReplyChannelRange(reply) => {
            reply.timestamps_tlv = None;
            reply.checksums_tlv = None;
            D::QueryRecordsDropped
        }
        Message::UpdateAddHtlc(add) => {
            if secp256k1::PublicKey::from_slice(&add.onion_routing_packet[1..34]).is_err() {
                add.onion_routing_packet[1..34].fill(0);
            }
            D::OnionKeyZeroed
        }
        _ => return (kept, None),
    };
    let lost = kept != *message;
    (kept, if lost { Some(loss) } else { None })
}

/// Why we refuse what LDK reads, if that is known.
fn we_refuse(error: &DecodeError) -> Option<Difference> {
    match error {
        DecodeError::Field {
            flaw: Flaw::AmountOutOfRange,
            ..
        }
        | DecodeError::Extension {
            error:
                TlvError {
                    flaw: TlvFlaw::Value(Flaw::AmountOutOfRange),
                    ..
                },
            ..
        } => Some(Difference::MoneyBeyondAll),
        DecodeError::Field {
            message: "channel_announcement",
            flaw: Flaw::InvalidPublicKey,
            ..
        } => Some(Difference::AnnouncedKeyOffTheCurve),
        DecodeError::Extension { message, .. } if READ_BY_LDK_WITHOUT_EXTENSION.contains(message) => {
            Some(Difference::ExtensionMalformed)
        }
        _ => None,
    }
}

const READ_BY_LDK_WITHOUT_EXTENSION: [&str; 8] = [
    "error",
    "onion_message",
    "ping",
    "pong",
    "query_channel_range",
    "query_short_channel_ids",
    "reply_channel_range",
    "warning",
];

/// Reads `bytes` on both sides. The difference that explains what differs, or in words one that nothing explains.
fn compare(bytes: &[u8]) -> Result<Option<Difference>, String> {
    let ours = Message::decode(bytes);
    let Some(theirs) = LdkMessage::decode(bytes) else {
        return match ours {
            Ok(Message::Unknown { .. }) | Err(DecodeError::UnknownRequiredType(_)) => Ok(None),
            known => Err(format!("LDK does not know {known:?}")),
        };
    };
    match (ours, theirs) {
        (Err(_), Err(_)) => Ok(None),
        (Err(error), Ok(_)) => we_refuse(&error).map(Some).ok_or(format!("only we refuse: {error}")),
        (Ok(message), Err(error)) => match ldk_refuses(&message) {
            Some(difference) => Ok(Some(difference)),
            None => Err(format!("only LDK refuses: {error:?}: {message:?}")),
        },
        (Ok(message), Ok(theirs)) => {
            if let Some(difference) = ldk_refuses(&message) {
                return Err(format!("LDK does not refuse, despite {difference:?}: {message:?}"));
            }
            let (kept, loss) = as_ldk_keeps(&message);
            match Message::decode(&theirs.bytes) {
                Ok(again) if again == kept => Ok(loss),
                again => Err(format!("read otherwise: {message:?}\nLDK: {again:?}")),
            }
        }
    }
}

fn random_message(random: &mut Random) -> Message {
    let length = random.below(1_500);
    Message::generate(&mut Source::new(&random.bytes(length)))
}

/// Compares [`CASES`] messages; gives how often each difference was seen.
fn compare_many(seed: u64, mut next: impl FnMut(&mut Random) -> Vec<u8>) -> BTreeMap<Difference, u32> {
    let (mut random, mut seen) = (Random::new(seed), BTreeMap::new());
    for case in 0..CASES {
        match compare(&next(&mut random)) {
            Ok(None) => {}
            Ok(Some(difference)) => *seen.entry(difference).or_insert(0) += 1,
            Err(unexplained) => panic!("seed {seed}, case {case}: {unexplained}"),
        }
    }
    let explained: u32 = seen.values().sum();
    println!(
        "{CASES} messages: {} the same, {explained} with an explained difference: {seen:?}",
        CASES - explained
    );
    seen
}

#[test]
fn ten_thousand_messages_are_read_and_written_the_same() {
    let seen = compare_many(1, |random| random_message(random).encode());
    for difference in [
        Difference::TextNotUtf8,
        Difference::HostnameOutsideLdksAlphabet,
        Difference::RemoteAddressOfUnknownType,
        Difference::MustBeOneIsZero,
        Difference::NeitherZeroNorOne,
        Difference::OnionMessageUnpeelable,
        Difference::PreviousTransactionMalformed,
        Difference::ConfirmedInputsUnknownToLdk,
        Difference::FeaturesMerged,
        Difference::IgnoredBytesZeroed,
        Difference::QueryRecordsDropped,
        Difference::OnionKeyZeroed,
    ] {
        assert!(
            seen.contains_key(&difference),
            "{difference:?} explains nothing any more"
        );
    }
}

#[test]
fn ten_thousand_altered_messages_are_read_or_refused_the_same() {
    let seen = compare_many(2, |random| {
        let mut bytes = random_message(random).encode();
        if bytes.len() > 2 {
            let place = 2 + random.below(bytes.len() - 2);
            bytes[place] = random.array::<1>()[0];
        }
        bytes
    });
    for difference in [
        Difference::MoneyBeyondAll,
        Difference::AnnouncedKeyOffTheCurve,
        Difference::ExtensionMalformed,
    ] {
        assert!(
            seen.contains_key(&difference),
            "{difference:?} explains nothing any more"
        );
    }
}

#[test]
fn ten_thousand_arbitrary_bodies_are_read_or_refused_the_same() {
    compare_many(3, |random| {
        let definition = &quittance_wire::MESSAGES[random.below(quittance_wire::MESSAGES.len())];
        let length = random.below(300);
        let mut bytes = definition.number.to_be_bytes().to_vec();
        bytes.extend(random.bytes(length));
        bytes
    });
}

fn ldk_error(message: &impl WireMessage) -> Option<LdkError> {
    LdkMessage::decode(&message.encode())
        .expect("a message that LDK knows")
        .err()
}

const CHANNEL: ChannelId = ChannelId([3; 32]);

#[test]
fn an_error_that_is_no_text_fails_the_channel_all_the_same() {
    let error = ErrorMessage {
        channel_id: CHANNEL,
        data: vec![0xff],
    };
    assert_eq!(Message::decode(&error.encode()), Ok(error.clone().into()));
    assert_eq!(ldk_error(&error), Some(LdkError::InvalidValue));
}

#[test]
fn an_address_of_ours_that_we_cannot_read_does_not_end_the_connection() {
    let init = |remote_addr| Init {
        globalfeatures: Features::empty(),
        features: Features::empty(),
        networks: None,
        remote_addr: Some(remote_addr),
    };
    let unknown = init(NodeAddress::Unknown {
        descriptor: 9,
        data: vec![1],
    });
    assert_eq!(
        compare(&unknown.encode()),
        Ok(Some(Difference::RemoteAddressOfUnknownType))
    );
    assert_eq!(ldk_error(&unknown), Some(LdkError::UnknownVersion));
    let hostname = |hostname: &str| NodeAddress::DnsHostname {
        hostname: hostname.to_owned(),
        port: 9_735,
    };
    assert_eq!(compare(&init(hostname("a.example")).encode()), Ok(None));
    let spaced = init(hostname("a example"));
    assert_eq!(
        compare(&spaced.encode()),
        Ok(Some(Difference::HostnameOutsideLdksAlphabet))
    );
    assert_eq!(ldk_error(&spaced), Some(LdkError::InvalidValue));
}

#[test]
fn a_yes_that_is_no_one_is_left_to_its_reader() {
    let stfu = |initiator| Stfu {
        channel_id: CHANNEL,
        initiator,
    };
    assert_eq!(compare(&stfu(1).encode()), Ok(None));
    assert_eq!(ldk_error(&stfu(2)), Some(LdkError::InvalidValue));
}

#[test]
fn a_previous_transaction_is_read_when_the_input_is_judged() {
    let input = TxAddInput {
        channel_id: CHANNEL,
        serial_id: 4,
        prevtx: vec![2, 0, 0],
        prevtx_vout: 0,
        sequence: 0,
        shared_input_txid: None,
    };
    assert_eq!(
        compare(&input.encode()),
        Ok(Some(Difference::PreviousTransactionMalformed))
    );
    assert_eq!(ldk_error(&input), Some(LdkError::ShortRead));
    assert_eq!(
        compare(
            &TxAddInput {
                prevtx: Vec::new(),
                ..input
            }
            .encode()
        ),
        Ok(None)
    );
}

#[test]
fn confirmed_inputs_are_a_requirement_that_ldk_does_not_know_in_an_rbf() {
    let rbf = TxInitRbf {
        channel_id: CHANNEL,
        locktime: 0,
        feerate: quittance_primitives::FeeratePerKw(253),
        funding_output_contribution: None,
        require_confirmed_inputs: Some(()),
    };
    assert_eq!(ldk_error(&rbf), Some(LdkError::UnknownRequiredFeature));
}

#[test]
fn both_fields_of_features_are_one_to_ldk() {
    let init = Init {
        globalfeatures: Features::from_be_bytes(&[0b10]),
        features: Features::from_be_bytes(&[0b100, 0]),
        networks: None,
        remote_addr: None,
    };
    assert_eq!(compare(&init.encode()), Ok(Some(Difference::FeaturesMerged)));
}

#[test]
fn what_is_to_be_ignored_is_kept_by_us_and_not_by_ldk() {
    let ping = |ignored| Ping {
        num_pong_bytes: 1,
        ignored,
    };
    assert_eq!(compare(&ping(vec![0; 3]).encode()), Ok(None));
    assert_eq!(
        compare(&ping(vec![0, 1, 0]).encode()),
        Ok(Some(Difference::IgnoredBytesZeroed))
    );
}

#[test]
fn ldk_has_no_options_in_its_queries() {
    let query = |query_option| QueryChannelRange {
        chain_hash: bitcoin::constants::ChainHash::BITCOIN,
        first_blocknum: 1,
        number_of_blocks: 2,
        query_option,
    };
    assert_eq!(compare(&query(None).encode()), Ok(None));
    let wants_timestamps = query(Some(quittance_wire::BigSize(1)));
    assert_eq!(
        compare(&wants_timestamps.encode()),
        Ok(Some(Difference::QueryRecordsDropped))
    );
}

#[test]
fn a_required_record_behind_a_ping_is_noticed_by_us_alone() {
    let mut bytes = Ping {
        num_pong_bytes: 1,
        ignored: Vec::new(),
    }
    .encode();
    bytes.extend([2, 0]);
    assert_eq!(compare(&bytes), Ok(Some(Difference::ExtensionMalformed)));
    // Behind a message with records of its own, LDK looks.
    let mut bytes = Stfu {
        channel_id: CHANNEL,
        initiator: 0,
    }
    .encode();
    bytes.extend([2, 0]);
    assert_eq!(compare(&bytes), Ok(None));
}

#[test]
fn more_than_all_bitcoin_is_refused_by_us_alone() {
    let output = quittance_wire::TxAddOutput {
        channel_id: CHANNEL,
        serial_id: 2,
        sats: bitcoin::Amount::MAX_MONEY,
        script: bitcoin::ScriptBuf::new(),
    };
    let mut bytes = output.encode();
    assert_eq!(compare(&bytes), Ok(None));
    bytes[2 + 32 + 8 + 7] += 1;
    assert_eq!(compare(&bytes), Ok(Some(Difference::MoneyBeyondAll)));
}

#[test]
fn a_list_of_channels_is_written_the_same() {
    let query = quittance_wire::QueryShortChannelIds {
        chain_hash: bitcoin::constants::ChainHash::BITCOIN,
        encoded_short_ids: EncodedShortIds(vec![ShortChannelId(1), ShortChannelId(2)]),
        query_flags: None,
    };
    let bytes = query.encode();
    let theirs = LdkMessage::decode(&bytes).expect("LDK knows it").expect("LDK reads it");
    assert_eq!(theirs.bytes, bytes);
}
