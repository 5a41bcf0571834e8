//! BOLT 4: onions, their payloads and failures, blinded paths, onion messages.

#![forbid(unsafe_code)]

mod attribution;
mod blinded_path;
mod blinded_payment;
mod create;
mod failure;
mod onion_message;
mod open;
mod packet;
mod payload;
mod payload_records;
mod peel;
mod recipient_data;
mod return_packet;
mod secret;

pub use attribution::{ATTRIBUTED_HOPS, AttributionData, HoldTime};
pub use blinded_path::{
    BlindedHop, BlindedPath, ChannelEnd, IntroductionNode, NewBlindedPath, PathNode, create_blinded_path, unblind,
};
pub use blinded_payment::{BlindedPathCost, FinalHtlc};
pub use create::{CreateError, NewOnion, OnionHop, create_onion, session_secrets};
pub use failure::{ChannelUpdateBytes, Failure, FailureCode, FailureError, OnionHash};
pub use onion_message::{IgnoredMessage, MessageContents, OpenedMessage, create_message, message_path, open_message};
pub use open::{NodeKey, OpenedOnion, PathRole, Refusal, open_onion};
pub use packet::{MAX_AREA, OVERHEAD, OnionPacket, PAYMENT_AREA, PAYMENT_PACKET, PacketTooShort};
pub use payload::{
    BlindedForward, BlindedReceive, Blinding, Forward, IncomingHtlc, NextHop, Payload, Receive, judge_payload,
};
pub use payload_records::{InvalidPayload, PayloadRecords, PaymentData};
pub use peel::{OnionError, Peeled, blinded_packet_key, blinded_secret_key, peel, peel_with_key};
pub use recipient_data::{PaymentConstraints, PaymentRelay, RecipientData, RecipientDataError};
pub use return_packet::{FailureSource, PADDED_MESSAGE, ReturnPacket, ReturnReport};
pub use secret::{KeyType, SharedSecret};
