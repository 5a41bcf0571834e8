//! BOLT 4.

#![forbid(unsafe_code)]

mod create;
mod length_prefix;
mod packet;
mod peel;
mod secret;

pub use create::{CreateError, NewOnion, OnionHop, create_onion, session_secrets};
pub use packet::{MAX_AREA, OVERHEAD, OnionPacket, PAYMENT_AREA, PAYMENT_PACKET, PacketTooShort};
pub use peel::{OnionError, Peeled, blinded_packet_key, blinded_secret_key, peel, peel_with_key};
pub use secret::{KeyType, SharedSecret};
