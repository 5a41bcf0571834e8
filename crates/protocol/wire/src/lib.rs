//! The messages of BOLT 1, 2 and 7 (and `onion_message` of BOLT 4), as types, with their codec.
//!
//! [`Message`] is any of them; each is a struct with the BOLT's name and field names, its TLV records as options. One
//! table declares each message ([`MESSAGES`] lists them); [`Wire`] and [`TlvValue`] say how a type of field stands on
//! the wire. [`TlvStream`], [`TlvWriter`], [`BigSize`] and [`Tu64`] also serve the payloads of onions.
//!
//! Decoding is pure and total: any bytes give a message or a [`DecodeError`] that names message, field and flaw, and
//! memory is never taken beyond a small multiple of the input. What a value *means* is judged by its reader, not here;
//! only what no reader could use (a point off the curve, more satoshi than there are) is refused. Unknown odd messages
//! come out as [`Message::Unknown`], unknown odd records are passed over, unknown even ones of either are refused.
//! Signed gossip encodes to exactly the bytes it was decoded from.
//!
//! ```
//! use quittance_primitives::{ChannelId, HtlcId};
//! use quittance_wire::{DecodeError, Message, UpdateFailHtlc};
//!
//! let fail = UpdateFailHtlc {
//!     channel_id: ChannelId([1; 32]),
//!     id: HtlcId(7),
//!     reason: vec![0xfe; 256],
//!     attribution_data: None,
//! };
//! let bytes = Message::from(fail.clone()).encode();
//! assert_eq!(bytes[..2], [0, 131]);
//! assert_eq!(Message::decode(&bytes), Ok(Message::UpdateFailHtlc(fail)));
//!
//! let error = Message::decode(&bytes[..100]).unwrap_err();
//! assert_eq!(error.to_string(), "update_fail_htlc: reason: 256 bytes are needed and 56 are left");
//! assert_eq!(Message::decode(&[0x12, 0x34]), Err(DecodeError::UnknownRequiredType(0x1234)));
//! ```

#![forbid(unsafe_code)]

mod address;
mod crc32c;
mod error;
mod field;
mod forwarding_fee;
#[cfg(any(test, feature = "generate"))]
pub mod generate;
mod integer;
mod message;
mod messages;
mod reader;
mod tlv;

pub use address::{NodeAddress, NodeAddresses};
pub use error::{DecodeError, Flaw, TlvError, TlvFlaw};
pub use field::{TlvValue, Wire};
pub use forwarding_fee::ForwardingFee;
pub use integer::{BigSize, Tu16, Tu32, Tu64};
pub use message::{MESSAGE_LEN_MAX, MESSAGES, Message, MessageDefinition, WireMessage};
pub use messages::*;
pub use reader::Reader;
pub use tlv::{TlvRecord, TlvStream, TlvWriter, read_exactly};
