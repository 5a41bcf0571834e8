//! What both ends of a handshake keep in common: the handshake hash, the chaining key and the key in use.
//!
//! Every value that goes into or comes out of it can be shown to an [`Observer`], which is how the intermediate values of
//! BOLT 8's test vectors are compared. Connections use [`Silent`], which sees nothing and costs nothing.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use secp256k1::ecdh::SharedSecret;
use secp256k1::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::cipher::{self, SecretBytes, TAG_LEN, TagMismatch};

/// A value of the handshake, in the order in which BOLT 8 computes them. Most are secret: they are for tests.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the fields have BOLT 8's own names")]
pub enum Step<'a> {
    /// Our ephemeral public key.
    Ephemeral { e: &'a [u8; 33] },
    /// The peer's ephemeral key, as it arrived.
    RemoteEphemeral { re: &'a [u8; 33] },
    /// The peer's static key, as it was decrypted and before it is parsed.
    RemoteStatic { rs: &'a [u8; 33] },
    /// The handshake hash after something was mixed into it.
    Hash { h: &'a [u8; 32] },
    /// The result of a Diffie-Hellman exchange.
    SharedSecret { ss: &'a [u8; 32] },
    /// What goes into a key derivation; the last one's `secret` is empty.
    Hkdf { ck: &'a [u8; 32], secret: &'a [u8] },
    /// What a key derivation gave.
    Derived { ck: &'a [u8; 32], temp_k: &'a [u8; 32] },
    /// What goes into an encryption.
    Encrypt {
        key: &'a [u8; 32],
        nonce: u64,
        h: &'a [u8; 32],
        text: &'a [u8],
    },
    /// What an encryption gave: the ciphertext, then its tag.
    Ciphertext { text: &'a [u8], tag: &'a [u8] },
    /// What goes into a decryption.
    Decrypt {
        key: &'a [u8; 32],
        nonce: u64,
        h: &'a [u8; 32],
        text: &'a [u8],
        tag: &'a [u8],
    },
}

/// Is shown the values of a handshake as they are computed.
pub trait Observer {
    /// The next value.
    fn observe(&mut self, step: Step<'_>);
}

/// Observes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: Step<'_>) {}
}

impl<F: FnMut(Step<'_>)> Observer for F {
    fn observe(&mut self, step: Step<'_>) {
        self(step);
    }
}

pub(crate) struct Symmetric<O> {
    hash: [u8; 32],
    chaining_key: SecretBytes,
    temporary_key: SecretBytes,
    observer: O,
}

impl<O: Observer> Symmetric<O> {
    /// BOLT 8, handshake state initialization.
    pub(crate) fn new(responder: &PublicKey, observer: O) -> Self {
        let protocol = sha256::Hash::hash(b"Noise_XK_secp256k1_ChaChaPoly_SHA256").to_byte_array();
        let hash = hash_of(&protocol, &[b"lightning"]);
        Self {
            hash: hash_of(&hash, &[&responder.serialize()]),
            chaining_key: Zeroizing::new(protocol),
            temporary_key: Zeroizing::new([0; 32]),
            observer,
        }
    }

    pub(crate) fn observe(&mut self, step: Step<'_>) {
        self.observer.observe(step);
    }

    pub(crate) fn mix_hash(&mut self, key: &[u8; 33]) {
        self.hash = hash_of(&self.hash, &[key]);
        self.observer.observe(Step::Hash { h: &self.hash });
    }

    /// Mixes the Diffie-Hellman secret of the two keys into the chaining key, which also gives the next temporary key.
    pub(crate) fn mix_key(&mut self, public: &PublicKey, secret: &SecretKey) {
        let mut shared = SharedSecret::new(public, secret);
        let secret = Zeroizing::new(shared.secret_bytes());
        shared.non_secure_erase();
        self.observer.observe(Step::SharedSecret { ss: &secret });
        let ck = &self.chaining_key;
        self.observer.observe(Step::Hkdf { ck, secret: &*secret });
        (self.chaining_key, self.temporary_key) = cipher::hkdf(ck, &*secret);
        let (ck, temp_k) = (&self.chaining_key, &self.temporary_key);
        self.observer.observe(Step::Derived { ck, temp_k });
    }

    /// Encrypts in place under the temporary key, the handshake hash authenticated.
    pub(crate) fn seal(&mut self, nonce: u64, text: &mut [u8]) -> [u8; TAG_LEN] {
        let (key, h) = (&self.temporary_key, &self.hash);
        self.observer.observe(Step::Encrypt { key, nonce, h, text });
        let tag = cipher::seal(key, nonce, h, text);
        self.observer.observe(Step::Ciphertext { text, tag: &tag });
        tag
    }

    /// Decrypts in place what the other end sealed.
    pub(crate) fn open(&mut self, nonce: u64, text: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), TagMismatch> {
        let (key, h) = (&self.temporary_key, &self.hash);
        self.observer.observe(Step::Decrypt {
            key,
            nonce,
            h,
            text,
            tag,
        });
        cipher::open(key, nonce, h, text, tag)
    }

    /// Mixes a ciphertext, sent or received, into the handshake hash.
    pub(crate) fn mix_ciphertext(&mut self, text: &[u8], tag: &[u8; TAG_LEN]) {
        self.hash = hash_of(&self.hash, &[text, tag]);
        self.observer.observe(Step::Hash { h: &self.hash });
    }

    /// The chaining key, the initiator's sending key and the responder's sending key.
    pub(crate) fn split(mut self) -> (SecretBytes, SecretBytes, SecretBytes) {
        let ck = &self.chaining_key;
        self.observer.observe(Step::Hkdf { ck, secret: &[] });
        let (from_initiator, from_responder) = cipher::hkdf(ck, &[]);
        (self.chaining_key, from_initiator, from_responder)
    }
}

fn hash_of(hash: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(hash);
    for part in parts {
        engine.input(part);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
}
