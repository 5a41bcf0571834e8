//! LDK's types of message, reached by their numbers.

use lightning::ln::msgs::{self, DecodeError};
use lightning::ln::wire::Type;
use lightning::util::ser::LengthReadable;

/// A message as LDK decoded it.
#[derive(Debug)]
pub struct LdkMessage {
    /// LDK's number for the type.
    pub number: u16,
    /// The message as LDK writes it, its type first.
    pub bytes: Vec<u8>,
}

macro_rules! by_number {
    ($number:expr, $body:expr, $($known:literal => $message:ident,)*) => {
        match $number {
            $($known => Some(read::<msgs::$message>($body)),)*
            _ => None,
        }
    };
}

impl LdkMessage {
    /// Decodes `bytes`, whose first two name the type. `None` when LDK does not know it.
    pub fn decode(bytes: &[u8]) -> Option<Result<Self, DecodeError>> {
        let (number, body) = bytes.split_first_chunk()?;
        by_number!(u16::from_be_bytes(*number), body,
            1 => WarningMessage,
            2 => Stfu,
            7 => PeerStorage,
            9 => PeerStorageRetrieval,
            16 => Init,
            17 => ErrorMessage,
            18 => Ping,
            19 => Pong,
            32 => OpenChannel,
            33 => AcceptChannel,
            34 => FundingCreated,
            35 => FundingSigned,
            36 => ChannelReady,
            38 => Shutdown,
            39 => ClosingSigned,
            40 => ClosingComplete,
            41 => ClosingSig,
            64 => OpenChannelV2,
            65 => AcceptChannelV2,
            66 => TxAddInput,
            67 => TxAddOutput,
            68 => TxRemoveInput,
            69 => TxRemoveOutput,
            70 => TxComplete,
            71 => TxSignatures,
            72 => TxInitRbf,
            73 => TxAckRbf,
            74 => TxAbort,
            77 => SpliceLocked,
            80 => SpliceInit,
            81 => SpliceAck,
            127 => StartBatch,
            128 => UpdateAddHTLC,
            130 => UpdateFulfillHTLC,
            131 => UpdateFailHTLC,
            132 => CommitmentSigned,
            133 => RevokeAndACK,
            134 => UpdateFee,
            135 => UpdateFailMalformedHTLC,
            136 => ChannelReestablish,
            256 => ChannelAnnouncement,
            257 => NodeAnnouncement,
            258 => ChannelUpdate,
            259 => AnnouncementSignatures,
            261 => QueryShortChannelIds,
            262 => ReplyShortChannelIdsEnd,
            263 => QueryChannelRange,
            264 => ReplyChannelRange,
            265 => GossipTimestampFilter,
            513 => OnionMessage,
        )
    }
}

fn read<T: LengthReadable + Type>(mut body: &[u8]) -> Result<LdkMessage, DecodeError> {
    let message = T::read_from_fixed_length_buffer(&mut body)?;
    let mut bytes = message.type_id().to_be_bytes().to_vec();
    bytes.extend(message.encode());
    Ok(LdkMessage {
        number: message.type_id(),
        bytes,
    })
}
