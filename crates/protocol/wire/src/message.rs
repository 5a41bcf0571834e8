//! The message as a whole: its type, then its body.
//!
//! [`message!`] declares one message: its fields and the records of its extension, in the BOLT's order and by the
//! BOLT's names. From that one table follow the struct, its codec and its entry in [`MESSAGES`].

use crate::DecodeError;
#[allow(clippy::wildcard_imports, reason = "this file is about all of them")]
use crate::messages::*;

/// The most bytes that a message has, its type included (BOLT 1): what fits a record of the transport (BOLT 8).
pub const MESSAGE_LEN_MAX: usize = 65_535;

/// A message with a number and a name of its own.
pub trait WireMessage: Sized {
    /// What the message is made of.
    const DEFINITION: MessageDefinition;
    /// The number in front of the message.
    const TYPE: u16 = Self::DEFINITION.number;

    /// Appends the message without its type.
    fn encode_body_into(&self, out: &mut Vec<u8>);

    /// Reads the message from everything that follows its type.
    ///
    /// # Errors
    /// [`DecodeError::Field`] or [`DecodeError::Extension`].
    fn decode_body(body: &[u8]) -> Result<Self, DecodeError>;

    /// Appends the message, its type first.
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::TYPE.to_be_bytes());
        self.encode_body_into(out);
    }

    /// The message, its type first.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }
}

/// A row of the table of messages, for checks against the BOLTs' own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageDefinition {
    /// The message's type.
    pub number: u16,
    /// The BOLT's name of the message.
    pub name: &'static str,
    /// The BOLT's names of its fields, in order, lengths and counts left out.
    pub fields: &'static [&'static str],
    /// The types and names of the records that its extension may have.
    pub records: &'static [(u64, &'static str)],
}

/// Declares a message: `Name = type "bolt_name" { fields } records { type => name: value }`.
macro_rules! message {
    (
        $(#[$attr:meta])*
        $name:ident = $number:literal $bolt_name:literal {
            $($(#[$field_attr:meta])* $field:ident: $field_type:ty,)*
        }
    ) => {
        $crate::message::message! {
            $(#[$attr])*
            $name = $number $bolt_name { $($(#[$field_attr])* $field: $field_type,)* }
            records {}
        }
    };
    (
        $(#[$attr:meta])*
        $name:ident = $number:literal $bolt_name:literal {
            $($(#[$field_attr:meta])* $field:ident: $field_type:ty,)*
        }
        records {
            $($(#[$record_attr:meta])* $record_type:literal => $record:ident: $value_type:ty,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "a field without a word of ours means what the BOLT says")]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $field_type,)*
            $($(#[$record_attr])* pub $record: Option<$value_type>,)*
        }

        impl $crate::WireMessage for $name {
            const DEFINITION: $crate::MessageDefinition = $crate::MessageDefinition {
                number: $number,
                name: $bolt_name,
                fields: &[$(stringify!($field)),*],
                records: &[$(($record_type, stringify!($record))),*],
            };

            fn encode_body_into(&self, out: &mut Vec<u8>) {
                $($crate::Wire::write(&self.$field, out);)*
                #[allow(unused_variables, unused_mut, reason = "not every message has records of its own")]
                let mut extension = $crate::TlvWriter::new(out);
                $(extension.optional($record_type, self.$record.as_ref());)*
            }

            fn decode_body(body: &[u8]) -> Result<Self, $crate::DecodeError> {
                let mut reader = $crate::Reader::new(body);
                $(let $field = $crate::Wire::read(&mut reader).map_err(|flaw| $crate::DecodeError::Field {
                    message: $bolt_name,
                    field: stringify!($field),
                    flaw,
                })?;)*
                $(let mut $record = None;)*
                for record in $crate::TlvStream::new(reader.take_rest()) {
                    let refused = |field| {
                        move |error| $crate::DecodeError::Extension { message: $bolt_name, field, error }
                    };
                    let record = record.map_err(refused("extension"))?;
                    match record.record_type {
                        $($record_type => {
                            $record = Some(record.value().map_err(refused(stringify!($record)))?);
                        })*
                        _ => record.ignore().map_err(refused("extension"))?,
                    }
                }
                Ok(Self { $($field,)* $($record,)* })
            }
        }

        #[cfg(any(test, feature = "generate"))]
        impl $crate::generate::Generate for $name {
            fn generate(source: &mut $crate::generate::Source<'_>) -> Self {
                Self {
                    $($field: $crate::generate::Generate::generate(source),)*
                    $($record: $crate::generate::Generate::generate(source),)*
                }
            }
        }
    };
}

pub(crate) use message;

/// Declares [`Message`] over all messages.
macro_rules! all_messages {
    ($($variant:ident($message:ident),)*) => {
        /// Any message that a peer may send.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant holds the struct of its name, which is documented")]
        #[allow(clippy::large_enum_variant, reason = "a message is handled where it arrives, not kept in lists")]
        pub enum Message {
            $($variant($message),)*
            /// A message that we do not know and may ignore, since its type is odd.
            Unknown {
                /// The message's type.
                message_type: u16,
                /// Everything after the type.
                body: Vec<u8>,
            },
        }

        /// Every message that we know, by the order of its BOLT.
        pub const MESSAGES: &[MessageDefinition] = &[$(<$message as WireMessage>::DEFINITION),*];

        impl Message {
            /// Reads a message, its type first.
            ///
            /// # Errors
            /// A [`DecodeError`]; a message of an unknown odd type is no error but [`Message::Unknown`].
            pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                let (message_type, body) = bytes
                    .split_first_chunk()
                    .ok_or(DecodeError::TypeMissing { length: bytes.len() })?;
                match u16::from_be_bytes(*message_type) {
                    $(<$message as WireMessage>::TYPE => $message::decode_body(body).map(Self::$variant),)*
                    unknown if unknown % 2 == 0 => Err(DecodeError::UnknownRequiredType(unknown)),
                    message_type => Ok(Self::Unknown {
                        message_type,
                        body: body.to_vec(),
                    }),
                }
            }

            /// Appends the message, its type first.
            ///
            /// # Panics
            /// If a list is longer than the `u16` in front of it can say. [`Self::encode`] sees to the length of the whole.
            pub fn encode_into(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(message) => message.encode_into(out),)*
                    Self::Unknown { message_type, body } => {
                        out.extend_from_slice(&message_type.to_be_bytes());
                        out.extend_from_slice(body);
                    }
                }
            }

            /// The number in front of the message.
            pub const fn message_type(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => <$message as WireMessage>::TYPE,)*
                    Self::Unknown { message_type, .. } => *message_type,
                }
            }

            /// The BOLT's name of the message.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$message as WireMessage>::DEFINITION.name,)*
                    Self::Unknown { .. } => "unknown",
                }
            }
        }

        $(impl From<$message> for Message {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })*

        /// For each message that we know, one made from a source.
        #[cfg(any(test, feature = "generate"))]
        pub(crate) const GENERATORS: &[fn(&mut crate::generate::Source<'_>) -> Message] = &[$(
            |source| Message::$variant(crate::generate::Generate::generate(source)),
        )*];
    };
}

all_messages! {
    // BOLT 1
    Init(Init),
    Warning(Warning),
    Error(ErrorMessage),
    Ping(Ping),
    Pong(Pong),
    PeerStorage(PeerStorage),
    PeerStorageRetrieval(PeerStorageRetrieval),
    // BOLT 2, establishment
    OpenChannel(OpenChannel),
    AcceptChannel(AcceptChannel),
    FundingCreated(FundingCreated),
    FundingSigned(FundingSigned),
    ChannelReady(ChannelReady),
    OpenChannel2(OpenChannel2),
    AcceptChannel2(AcceptChannel2),
    // BOLT 2, interactive transactions
    TxAddInput(TxAddInput),
    TxAddOutput(TxAddOutput),
    TxRemoveInput(TxRemoveInput),
    TxRemoveOutput(TxRemoveOutput),
    TxComplete(TxComplete),
    TxSignatures(TxSignatures),
    TxInitRbf(TxInitRbf),
    TxAckRbf(TxAckRbf),
    TxAbort(TxAbort),
    // BOLT 2, quiescence and splicing
    Stfu(Stfu),
    SpliceInit(SpliceInit),
    SpliceAck(SpliceAck),
    SpliceLocked(SpliceLocked),
    // BOLT 2, close
    Shutdown(Shutdown),
    ClosingSigned(ClosingSigned),
    ClosingComplete(ClosingComplete),
    ClosingSig(ClosingSig),
    // BOLT 2, operation
    UpdateAddHtlc(UpdateAddHtlc),
    UpdateFulfillHtlc(UpdateFulfillHtlc),
    UpdateFailHtlc(UpdateFailHtlc),
    UpdateFailMalformedHtlc(UpdateFailMalformedHtlc),
    UpdateFee(UpdateFee),
    StartBatch(StartBatch),
    CommitmentSigned(CommitmentSigned),
    RevokeAndAck(RevokeAndAck),
    ChannelReestablish(ChannelReestablish),
    // BOLT 4
    OnionMessage(OnionMessage),
    // BOLT 7
    AnnouncementSignatures(AnnouncementSignatures),
    ChannelAnnouncement(ChannelAnnouncement),
    NodeAnnouncement(NodeAnnouncement),
    ChannelUpdate(ChannelUpdate),
    QueryShortChannelIds(QueryShortChannelIds),
    ReplyShortChannelIdsEnd(ReplyShortChannelIdsEnd),
    QueryChannelRange(QueryChannelRange),
    ReplyChannelRange(ReplyChannelRange),
    GossipTimestampFilter(GossipTimestampFilter),
}

impl Message {
    /// The message, its type first.
    ///
    /// # Panics
    /// As [`Self::encode_into`], and when it is longer than [`MESSAGE_LEN_MAX`]: whoever makes a message out of what a peer sent sees to it
    /// that it fits, and one that was cut would be another message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        let (name, length) = (self.name(), out.len());
        assert!(
            length <= MESSAGE_LEN_MAX,
            "BOLT 1: no message is longer than {MESSAGE_LEN_MAX} bytes, and {name} has {length}"
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generate, Source};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn generated(choice: usize, tape: &[u8]) -> Message {
        GENERATORS[choice % GENERATORS.len()](&mut Source::new(tape))
    }

    #[test]
    fn every_number_and_every_name_is_given_once() {
        let numbers: BTreeSet<_> = MESSAGES.iter().map(|message| message.number).collect();
        let names: BTreeSet<_> = MESSAGES.iter().map(|message| message.name).collect();
        assert_eq!((numbers.len(), names.len()), (MESSAGES.len(), MESSAGES.len()));
        for message in MESSAGES {
            assert!(
                message.records.is_sorted_by(|one, next| one.0 < next.0),
                "{}",
                message.name
            );
        }
    }

    #[test]
    fn each_of_the_messages_comes_back_from_a_tape_of_ones() {
        for (choice, definition) in MESSAGES.iter().enumerate() {
            let message = generated(choice, &[1; 2_000]);
            assert_eq!(message.message_type(), definition.number);
            assert_eq!(message.name(), definition.name);
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn the_longest_message_is_encoded() {
        let message = Message::Unknown {
            message_type: 0x8001,
            body: vec![7; MESSAGE_LEN_MAX - 2],
        };
        assert_eq!(message.encode().len(), 65_535);
    }

    #[test]
    #[should_panic(expected = "BOLT 1: no message is longer than 65535 bytes, and unknown has 65536")]
    fn a_message_that_no_record_holds_is_not_encoded() {
        let message = Message::Unknown {
            message_type: 0x8001,
            body: vec![7; MESSAGE_LEN_MAX - 1],
        };
        let _ = message.encode();
    }

    #[test]
    fn unknown_messages_are_ignored_if_odd_and_refused_if_even() {
        assert_eq!(
            Message::decode(&[0x80, 0x01, 7]),
            Ok(Message::Unknown {
                message_type: 0x8001,
                body: vec![7]
            })
        );
        assert_eq!(
            Message::decode(&[0x80, 0x02, 7]),
            Err(DecodeError::UnknownRequiredType(0x8002))
        );
        assert_eq!(Message::decode(&[0]), Err(DecodeError::TypeMissing { length: 1 }));
    }

    #[test]
    fn unknown_records_behind_a_message_are_ignored_if_odd_and_refused_if_even() {
        let message = Message::from(TxComplete {
            channel_id: quittance_primitives::ChannelId([3; 32]),
        });
        let mut bytes = message.encode();
        bytes.extend([7, 1, 0xaa]);
        assert_eq!(Message::decode(&bytes), Ok(message));
        bytes.extend([8, 0]);
        let error = crate::TlvError {
            offset: 3,
            record_type: Some(8),
            flaw: crate::TlvFlaw::UnknownRequired,
        };
        assert_eq!(
            Message::decode(&bytes),
            Err(DecodeError::Extension {
                message: "tx_complete",
                field: "extension",
                error
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_message_comes_back(choice: usize, tape in vec(any::<u8>(), 0..1_500)) {
            let message = generated(choice, &tape);
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn a_message_cut_short_is_refused_or_lacks_only_its_extension(choice: usize, tape in vec(any::<u8>(), 0..800), cut: usize) {
            let bytes = generated(choice, &tape).encode();
            let cut = &bytes[..cut % bytes.len()];
            if let Ok(message) = Message::decode(cut) {
                prop_assert_eq!(message.encode(), cut);
            }
        }

        #[test]
        fn altered_messages_decode_or_are_refused(
            choice: usize,
            tape in vec(any::<u8>(), 0..800),
            alterations in vec((any::<usize>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = generated(choice, &tape).encode();
            for (place, value) in alterations {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(choice: usize, body in vec(any::<u8>(), 0..600)) {
            let mut bytes = MESSAGES[choice % MESSAGES.len()].number.to_be_bytes().to_vec();
            bytes.extend(body);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }

        #[test]
        fn signed_gossip_encodes_to_the_bytes_it_came_from(
            choice in 0..3_usize,
            tape in vec(any::<u8>(), 0..800),
            alterations in vec((any::<usize>(), any::<u8>()), 0..4),
            excess in vec(any::<u8>(), 0..20),
        ) {
            let source = &mut Source::new(&tape);
            let mut bytes = match choice {
                0 => ChannelAnnouncement::generate(source).encode(),
                1 => NodeAnnouncement::generate(source).encode(),
                _ => ChannelUpdate::generate(source).encode(),
            };
            bytes.extend(excess);
            for (place, value) in alterations {
                let place = 2 + place % (bytes.len() - 2);
                bytes[place] = value;
            }
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
