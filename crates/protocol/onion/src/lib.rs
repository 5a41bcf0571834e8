//! BOLT 4.

#![forbid(unsafe_code)]

mod attribution;
mod create;
mod failure;
mod packet;
mod peel;
mod return_packet;
mod secret;

pub use attribution::{ATTRIBUTED_HOPS, AttributionData, HoldTime};
pub use create::{CreateError, NewOnion, OnionHop, create_onion, session_secrets};
pub use failure::{ChannelUpdateBytes, Failure, FailureCode, FailureError, OnionHash};
pub use packet::{MAX_AREA, OVERHEAD, OnionPacket, PAYMENT_AREA, PAYMENT_PACKET, PacketTooShort};
pub use peel::{OnionError, Peeled, blinded_packet_key, blinded_secret_key, peel, peel_with_key};
pub use return_packet::{FailureSource, PADDED_MESSAGE, ReturnPacket, ReturnReport};
pub use secret::{KeyType, SharedSecret};
