//! The encrypted and authenticated transport between two nodes (BOLT 8): the Noise_XK handshake and the record cipher.
//!
//! Sans-IO: bytes come in as slices and go out in the caller's buffers, records are encrypted and decrypted in place.
//! Nothing here reads a socket, a clock or a source of randomness: ephemeral keys are arguments, and one that is used
//! twice gives up the secrecy of both connections. After any error the connection is to be closed without another byte.
//!
//! Keys and chaining keys are erased when they are dropped or replaced. Tags are compared in constant time, by the AEAD.
//!
//! Start at [`Initiator::start`] or [`Responder::accept`]; both end in [`Established`], whose two halves are
//! [`Encryptor`] and [`Decryptor`].
//!
//! ```
//! use quittance_noise::{Decrypted, Initiator, Responder};
//! use secp256k1::{SECP256K1, SecretKey};
//!
//! let key = |byte| SecretKey::from_slice(&[byte; 32]).unwrap();
//! let (alice, alice_ephemeral, bob, bob_ephemeral) = (key(1), key(2), key(3), key(4));
//!
//! let (initiator, act_one) = Initiator::start(alice, alice_ephemeral, bob.public_key(SECP256K1));
//! let (responder, act_two) = Responder::accept(bob, bob_ephemeral, &act_one)?;
//! let (mut at_alice, act_three) = initiator.finish(&act_two)?;
//! let mut at_bob = responder.finish(&act_three)?;
//! assert_eq!(at_bob.remote, alice.public_key(SECP256K1));
//!
//! let mut stream = Vec::new();
//! at_alice.encryptor.append(b"ping", &mut stream)?;
//! let Decrypted::Record { body, consumed } = at_bob.decryptor.decrypt(&mut stream)? else { panic!() };
//! assert_eq!((&*body, consumed), (&b"ping"[..], 38));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod cipher;
mod handshake;
mod record;
mod symmetric;

pub use handshake::{ACT_ONE_LEN, ACT_THREE_LEN, ACT_TWO_LEN, Act, Established, HandshakeError, Initiator, Responder};
pub use record::{
    BODY_LEN_MAX, BodyTooLong, Decrypted, Decryptor, Encryptor, HEADER_LEN, RECORD_OVERHEAD, RecordError, RecordKeys,
    SealError, TAG_LEN,
};
pub use symmetric::{Observer, Silent, Step};
