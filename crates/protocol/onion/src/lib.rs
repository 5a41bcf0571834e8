//! BOLT 4: onion packets, what their payloads say, how failures come back, blinded paths, onion messages.
//!
//! - Send: [`create_onion`] makes a packet from [`PayloadRecords`] for each hop; [`BlindedPath::payment_hops`] writes those of a
//!   blinded path.
//! - Receive: [`open_onion`] yields a [`Payload`], what to do with the HTLC, or the [`Refusal`] that BOLT 4 demands. Its parts stand alone
//!   as well: [`SharedSecret::agree`] is all that needs the node's key; [`peel`] and [`judge_payload`] are pure.
//! - Fail: [`ReturnPacket`] carries a [`Failure`] back; [`ReturnPacket::read`] tells who failed, or who garbled the packet.
//!   [`AttributionData`] tells how long each hop held the HTLC, for fulfilments too.
//! - Hide: [`create_blinded_path`] for a recipient; [`create_message`] and [`open_message`] for onion messages.
//!
//! Nothing here draws random numbers: session keys are arguments, and each must be used once. Secrets are compared in constant time and are
//! not shown by `Debug`. Whether an HTLC is forwarded, by which channel and at what fee, is decided elsewhere.
//!
//! ```
//! use quittance_onion::{
//!     Failure, FailureSource, HoldTime, IncomingHtlc, OnionHop, PAYMENT_AREA, Payload, PayloadRecords, ReturnPacket,
//!     create_onion, open_onion,
//! };
//! use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash, ShortChannelId};
//! use secp256k1::{SECP256K1, SecretKey};
//!
//! let (alice, bob) = (SecretKey::from_slice(&[1; 32])?, SecretKey::from_slice(&[2; 32])?);
//! let session_key = SecretKey::from_slice(&[3; 32])?; // Random, in earnest.
//! let payment_hash = PaymentHash([4; 32]);
//!
//! // A payment by Alice to Bob: 5 sat, of which Alice keeps 1,000 msat.
//! let for_alice = PayloadRecords {
//!     amt_to_forward: Some(MilliSatoshi(5_000)),
//!     outgoing_cltv_value: Some(CltvExpiry(800_040)),
//!     short_channel_id: Some("800000x1x0".parse::<ShortChannelId>()?),
//!     ..PayloadRecords::default()
//! };
//! let for_bob = PayloadRecords { short_channel_id: None, ..for_alice.clone() };
//! let hops = [(alice, for_alice), (bob, for_bob)].map(|(key, payload)| OnionHop {
//!     node: key.public_key(SECP256K1),
//!     payload: payload.encode(),
//! });
//! let onion = create_onion(&session_key, &hops, &payment_hash.0, PAYMENT_AREA)?;
//!
//! // Alice is told to forward.
//! let htlc = IncomingHtlc { amount: MilliSatoshi(6_000), expiry: CltvExpiry(800_080), path_key: None };
//! let at_alice = open_onion(&onion.packet, &payment_hash, &htlc, &alice).expect("made for her");
//! let Payload::Forward(forward) = at_alice.payload else { panic!("Alice is not the last") };
//! assert_eq!(forward.amount, MilliSatoshi(5_000));
//!
//! // Bob knows no such payment. His failure comes back by Alice.
//! let htlc = IncomingHtlc { amount: forward.amount, expiry: forward.expiry, path_key: None };
//! let at_bob = open_onion(&forward.next, &payment_hash, &htlc, &bob).expect("made for him");
//! let failure = Failure::MppTimeout;
//! let packet = ReturnPacket::create(&at_bob.secret, &failure.encode(), Some(HoldTime(2)));
//! let packet = packet.wrap(&at_alice.secret, Some(HoldTime(5)));
//!
//! let report = packet.read(&onion.secrets);
//! assert_eq!(report.source, FailureSource::Hop { hop: 1, message: failure.encode() });
//! assert_eq!(report.hold_times, [HoldTime(5), HoldTime(2)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use create::{CreateError, NewOnion, OnionHop, check_hops, create_onion, session_secrets};
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
pub use return_packet::{ATTRIBUTED_REASON_MAX, FailureSource, PADDED_MESSAGE, ReturnPacket, ReturnReport};
pub use secret::{KeyType, SharedSecret};
