//! The three acts by which two nodes agree on keys and the responder learns who calls (BOLT 8).
//!
//! A type for each wait, consumed by the act that ends it: an [`Initiator`] waits for act two, a [`Responder`] for act
//! three. An act is judged whole: the caller collects exactly its bytes, [`ACT_ONE_LEN`], [`ACT_TWO_LEN`] or
//! [`ACT_THREE_LEN`], and gives up when they do not come.

use std::fmt;

use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::cipher::TAG_LEN;
use crate::record::{Decryptor, Encryptor};
use crate::symmetric::{Observer, Silent, Step, Symmetric};

/// Bytes of act one: version, ephemeral key, tag.
pub const ACT_ONE_LEN: usize = 50;
/// Bytes of act two: version, ephemeral key, tag.
pub const ACT_TWO_LEN: usize = 50;
/// Bytes of act three: version, encrypted static key, its tag, tag.
pub const ACT_THREE_LEN: usize = 66;

/// The only handshake version there is.
const VERSION: u8 = 0;

/// One of the three messages of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named and numbered as in BOLT 8")]
pub enum Act {
    One = 1,
    Two = 2,
    Three = 3,
}

/// Why an act of the peer's was refused. The connection is to be closed without another byte.
///
/// [`HandshakeError::bolt_name`] is the name that BOLT 8's test vectors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The act is not of its exact length.
    #[error("{}: handshake {act} is {length} bytes long", self.bolt_name())]
    ReadFailed {
        /// The act that was awaited.
        act: Act,
        /// Bytes that came.
        length: usize,
    },
    /// The act is of a version of the handshake that we do not know.
    #[error("{} {version}: handshake {act} is of an unknown version", self.bolt_name())]
    BadVersion {
        /// The act.
        act: Act,
        /// The version that it states.
        version: u8,
    },
    /// The key in the act is no point of the curve.
    #[error("{}: the key in handshake {act} is none", self.bolt_name())]
    BadPublicKey {
        /// The act.
        act: Act,
    },
    /// The act's closing tag is wrong: in act one the initiator does not know our key; else keys differ or bytes were altered.
    #[error("{}: handshake {act} is not authentic", self.bolt_name())]
    BadTag {
        /// The act.
        act: Act,
    },
    /// The tag of the encrypted static key in act three is wrong.
    #[error("{}: the key in handshake act three is not authentic", self.bolt_name())]
    BadCiphertext,
}

/// The end that connects, waiting for act two.
pub struct Initiator<O = Silent> {
    symmetric: Symmetric<O>,
    static_key: ErasedOnDrop,
    ephemeral: ErasedOnDrop,
    remote: PublicKey,
}

/// The end that was connected to, waiting for act three.
pub struct Responder<O = Silent> {
    symmetric: Symmetric<O>,
    ephemeral: ErasedOnDrop,
}

/// A finished handshake.
#[must_use]
pub struct Established {
    /// Who the other end has proven to be.
    pub remote: PublicKey,
    /// Encrypts what we send.
    pub encryptor: Encryptor,
    /// Decrypts what we receive.
    pub decryptor: Decryptor,
}

impl Initiator {
    /// Starts a connection to the node whose static key is `remote`; gives act one, to be sent.
    ///
    /// `ephemeral` is fresh and random, and never used again.
    pub fn start(static_key: SecretKey, ephemeral: SecretKey, remote: PublicKey) -> (Self, [u8; ACT_ONE_LEN]) {
        Self::start_observed(static_key, ephemeral, remote, Silent)
    }
}

impl<O: Observer> Initiator<O> {
    /// As [`Initiator::start`], every value shown to `observer`.
    pub fn start_observed(
        static_key: SecretKey,
        ephemeral: SecretKey,
        remote: PublicKey,
        observer: O,
    ) -> (Self, [u8; ACT_ONE_LEN]) {
        let mut symmetric = Symmetric::new(&remote, observer);
        let ephemeral = ErasedOnDrop(ephemeral);
        let act_one = send_ephemeral(&mut symmetric, &ephemeral, &remote);
        let initiator = Self {
            symmetric,
            static_key: ErasedOnDrop(static_key),
            ephemeral,
            remote,
        };
        (initiator, act_one)
    }

    /// Judges act two; gives act three, to be sent, and the keys of the connection.
    ///
    /// # Errors
    /// [`HandshakeError`]: the responder is not the node that was called, or not reachable unaltered.
    pub fn finish(mut self, act_two: &[u8]) -> Result<(Established, [u8; ACT_THREE_LEN]), HandshakeError> {
        let remote_ephemeral = receive_ephemeral(&mut self.symmetric, Act::Two, act_two, &self.ephemeral)?;

        let mut act_three = [VERSION; ACT_THREE_LEN];
        let mut sealed_key = self.static_key.0.public_key(SECP256K1).serialize();
        let key_tag = self.symmetric.seal(1, &mut sealed_key);
        self.symmetric.mix_ciphertext(&sealed_key, &key_tag);
        self.symmetric.mix_key(&remote_ephemeral, &self.static_key.0);
        let tag = self.symmetric.seal(0, &mut []);
        act_three[1..34].copy_from_slice(&sealed_key);
        act_three[34..50].copy_from_slice(&key_tag);
        act_three[50..].copy_from_slice(&tag);

        let (chaining_key, ours, theirs) = self.symmetric.split();
        let established = Established {
            remote: self.remote,
            encryptor: Encryptor::new(chaining_key.clone(), ours),
            decryptor: Decryptor::new(chaining_key, theirs),
        };
        Ok((established, act_three))
    }
}

impl Responder {
    /// Judges act one; gives act two, to be sent.
    ///
    /// `ephemeral` is fresh and random, and never used again.
    ///
    /// # Errors
    /// [`HandshakeError`]: the caller does not know our static key, or its bytes were altered.
    pub fn accept(
        static_key: SecretKey,
        ephemeral: SecretKey,
        act_one: &[u8],
    ) -> Result<(Self, [u8; ACT_TWO_LEN]), HandshakeError> {
        Self::accept_observed(static_key, ephemeral, act_one, Silent)
    }
}

impl<O: Observer> Responder<O> {
    /// As [`Responder::accept`], every value shown to `observer`.
    ///
    /// # Errors
    /// As [`Responder::accept`].
    pub fn accept_observed(
        static_key: SecretKey,
        ephemeral: SecretKey,
        act_one: &[u8],
        observer: O,
    ) -> Result<(Self, [u8; ACT_TWO_LEN]), HandshakeError> {
        let (static_key, ephemeral) = (ErasedOnDrop(static_key), ErasedOnDrop(ephemeral));
        let mut symmetric = Symmetric::new(&static_key.0.public_key(SECP256K1), observer);
        let remote_ephemeral = receive_ephemeral(&mut symmetric, Act::One, act_one, &static_key)?;
        let act_two = send_ephemeral(&mut symmetric, &ephemeral, &remote_ephemeral);
        Ok((Self { symmetric, ephemeral }, act_two))
    }

    /// Judges act three; gives the keys of the connection and the initiator's static key.
    ///
    /// # Errors
    /// [`HandshakeError`]: the initiator does not hold the key that it claims, or its bytes were altered.
    pub fn finish(mut self, act_three: &[u8]) -> Result<Established, HandshakeError> {
        let act = Act::Three;
        let act_three: &[u8; ACT_THREE_LEN] = whole(act, act_three)?;
        let (mut key, mut key_tag, mut tag) = ([0; 33], [0; TAG_LEN], [0; TAG_LEN]);
        key.copy_from_slice(&act_three[1..34]);
        key_tag.copy_from_slice(&act_three[34..50]);
        tag.copy_from_slice(&act_three[50..]);

        let sealed_key = key;
        let opened = self.symmetric.open(1, &mut key, &key_tag);
        opened.map_err(|_| HandshakeError::BadCiphertext)?;
        self.symmetric.observe(Step::RemoteStatic { rs: &key });
        let remote = PublicKey::from_slice(&key).map_err(|_| HandshakeError::BadPublicKey { act })?;
        self.symmetric.mix_ciphertext(&sealed_key, &key_tag);
        self.symmetric.mix_key(&remote, &self.ephemeral.0);
        let opened = self.symmetric.open(0, &mut [], &tag);
        opened.map_err(|_| HandshakeError::BadTag { act })?;

        let (chaining_key, theirs, ours) = self.symmetric.split();
        Ok(Established {
            remote,
            encryptor: Encryptor::new(chaining_key.clone(), ours),
            decryptor: Decryptor::new(chaining_key, theirs),
        })
    }
}

impl HandshakeError {
    /// The name that BOLT 8's test vectors give it.
    pub const fn bolt_name(&self) -> &'static str {
        match self {
            Self::ReadFailed { act: Act::One, .. } => "ACT1_READ_FAILED",
            Self::ReadFailed { act: Act::Two, .. } => "ACT2_READ_FAILED",
            Self::ReadFailed { act: Act::Three, .. } => "ACT3_READ_FAILED",
            Self::BadVersion { act: Act::One, .. } => "ACT1_BAD_VERSION",
            Self::BadVersion { act: Act::Two, .. } => "ACT2_BAD_VERSION",
            Self::BadVersion { act: Act::Three, .. } => "ACT3_BAD_VERSION",
            Self::BadPublicKey { act: Act::One } => "ACT1_BAD_PUBKEY",
            Self::BadPublicKey { act: Act::Two } => "ACT2_BAD_PUBKEY",
            Self::BadPublicKey { act: Act::Three } => "ACT3_BAD_PUBKEY",
            Self::BadTag { act: Act::One } => "ACT1_BAD_TAG",
            Self::BadTag { act: Act::Two } => "ACT2_BAD_TAG",
            Self::BadTag { act: Act::Three } => "ACT3_BAD_TAG",
            Self::BadCiphertext => "ACT3_BAD_CIPHERTEXT",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "act one",
            Self::Two => "act two",
            Self::Three => "act three",
        })
    }
}

/// Acts one and two as their sender makes them: `e`, then its exchange with `remote`.
fn send_ephemeral<O: Observer>(symmetric: &mut Symmetric<O>, ephemeral: &ErasedOnDrop, remote: &PublicKey) -> [u8; 50] {
    let public = ephemeral.0.public_key(SECP256K1).serialize();
    symmetric.observe(Step::Ephemeral { e: &public });
    symmetric.mix_hash(&public);
    symmetric.mix_key(remote, &ephemeral.0);
    let tag = symmetric.seal(0, &mut []);
    symmetric.mix_ciphertext(&[], &tag);

    let mut message = [VERSION; 50];
    message[1..34].copy_from_slice(&public);
    message[34..].copy_from_slice(&tag);
    message
}

/// Acts one and two as their receiver judges them: `re`, then its exchange with `secret`.
fn receive_ephemeral<O: Observer>(
    symmetric: &mut Symmetric<O>,
    act: Act,
    message: &[u8],
    secret: &ErasedOnDrop,
) -> Result<PublicKey, HandshakeError> {
    let message: &[u8; 50] = whole(act, message)?;
    let (mut key, mut tag) = ([0; 33], [0; TAG_LEN]);
    key.copy_from_slice(&message[1..34]);
    tag.copy_from_slice(&message[34..]);

    symmetric.observe(Step::RemoteEphemeral { re: &key });
    let remote = PublicKey::from_slice(&key).map_err(|_| HandshakeError::BadPublicKey { act })?;
    symmetric.mix_hash(&key);
    symmetric.mix_key(&remote, &secret.0);
    let opened = symmetric.open(0, &mut [], &tag);
    opened.map_err(|_| HandshakeError::BadTag { act })?;
    symmetric.mix_ciphertext(&[], &tag);
    Ok(remote)
}

fn whole<const LEN: usize>(act: Act, message: &[u8]) -> Result<&[u8; LEN], HandshakeError> {
    let length = message.len();
    let whole: &[u8; LEN] = message
        .try_into()
        .map_err(|_| HandshakeError::ReadFailed { act, length })?;
    match whole.first() {
        Some(&version) if version != VERSION => Err(HandshakeError::BadVersion { act, version }),
        _ => Ok(whole),
    }
}

struct ErasedOnDrop(SecretKey);

impl Drop for ErasedOnDrop {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}
