//! The records that messages travel in once the handshake is done (BOLT 8, Lightning message specification).
//!
//! A record is an encrypted length (2 + 16 bytes) and an encrypted body (up to 65535 + 16 bytes). Both directions have keys
//! of their own, which are replaced after 1000 uses, that is after 500 records. Works in place on the caller's bytes; a
//! [`Decryptor`] takes a stream cut anywhere, and refuses everything after the first record that it refused.

use crate::cipher::{self, SecretBytes};

pub use crate::cipher::TAG_LEN;

/// Bytes of the longest body, the length of the longest Lightning message.
pub const BODY_LEN_MAX: usize = 65_535;
/// Bytes in front of a body: the encrypted length and its tag.
pub const HEADER_LEN: usize = 2 + TAG_LEN;
/// Bytes that a record is longer than its body.
pub const RECORD_OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// A key is replaced once it was used this often.
const USES_MAX: u64 = 1_000;

/// The keys of one direction. They open everything that is sent in it from here on.
pub struct RecordKeys {
    /// From which the key's successor is derived.
    pub chaining_key: SecretBytes,
    /// The key in use.
    pub key: SecretBytes,
    /// How often it was used: the next nonce.
    pub nonce: u64,
}

/// Encrypts what we send.
pub struct Encryptor {
    keys: RecordKeys,
}

/// Decrypts what we receive.
pub struct Decryptor {
    keys: RecordKeys,
    awaits: Awaits,
}

/// What the bytes at hand gave.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Decrypted<'a> {
    /// The stream does not hold a whole record yet. Come again with the same bytes and at least `missing` more behind them.
    Incomplete {
        /// Bytes that are needed to make progress.
        missing: usize,
    },
    /// The first record of the stream.
    Record {
        /// The message, decrypted in place.
        body: &'a mut [u8],
        /// Bytes of the record, for the caller to drop from the front of the stream.
        consumed: usize,
    },
}

/// A body exceeds [`BODY_LEN_MAX`]. Nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes does not fit a record, which holds {BODY_LEN_MAX}")]
pub struct BodyTooLong {
    /// Bytes of the body.
    pub length: usize,
}

/// A buffer is no room for a record. Nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Its body would be too long.
    #[error(transparent)]
    BodyTooLong(#[from] BodyTooLong),
    /// It is shorter than a record without a body.
    #[error("a record takes {RECORD_OVERHEAD} bytes more than its message; there are {length} in all")]
    BufferTooShort {
        /// Bytes of the buffer.
        length: usize,
    },
}

/// The stream was altered, cut or is none of the peer's: close the connection. Every later call gives the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The tag of a record's length is wrong.
    #[error("the length of a record is not authentic")]
    BadLengthTag,
    /// The tag of a record's body is wrong.
    #[error("the body of a record is not authentic")]
    BadBodyTag,
}

#[derive(Clone, Copy)]
enum Awaits {
    Header,
    /// The header is decrypted, though its bytes still stand in the stream.
    Body {
        length: u16,
    },
    Nothing(RecordError),
}

impl Encryptor {
    pub(crate) fn new(chaining_key: SecretBytes, key: SecretBytes) -> Self {
        let keys = RecordKeys {
            chaining_key,
            key,
            nonce: 0,
        };
        Self { keys }
    }

    /// Encrypts a record in place: [`HEADER_LEN`] bytes of room, the body, [`TAG_LEN`] bytes of room.
    ///
    /// # Errors
    /// [`SealError`] when there is no room, or too much of it.
    pub fn seal(&mut self, record: &mut [u8]) -> Result<(), SealError> {
        let length = record.len();
        let too_short = SealError::BufferTooShort { length };
        let body_len = length.checked_sub(RECORD_OVERHEAD).ok_or(too_short)?;
        let encoded = u16::try_from(body_len)
            .map_err(|_| BodyTooLong { length: body_len })?
            .to_be_bytes();

        let (header, rest) = record.split_at_mut(HEADER_LEN);
        let (text, tag) = header.split_at_mut(encoded.len());
        text.copy_from_slice(&encoded);
        tag.copy_from_slice(&self.keys.seal(text));
        let (body, tag) = rest.split_at_mut(body_len);
        tag.copy_from_slice(&self.keys.seal(body));
        Ok(())
    }

    /// Appends `body` to `stream` as a record.
    ///
    /// # Errors
    /// [`BodyTooLong`], with `stream` as it was.
    pub fn append(&mut self, body: &[u8], stream: &mut Vec<u8>) -> Result<(), BodyTooLong> {
        let length = body.len();
        let start = stream.len();
        if length > BODY_LEN_MAX {
            return Err(BodyTooLong { length });
        }
        stream.reserve(length + RECORD_OVERHEAD);
        stream.extend_from_slice(&[0; HEADER_LEN]);
        stream.extend_from_slice(body);
        stream.extend_from_slice(&[0; TAG_LEN]);
        self.seal(&mut stream[start..])
            .expect("there is room for the record, and its length was checked");
        Ok(())
    }

    /// The keys in use. Whoever has them reads all that is sent from here on: they are for tests and for decrypting captures.
    pub const fn expose_keys(&self) -> &RecordKeys {
        &self.keys
    }
}

impl Decryptor {
    pub(crate) fn new(chaining_key: SecretBytes, key: SecretBytes) -> Self {
        let keys = RecordKeys {
            chaining_key,
            key,
            nonce: 0,
        };
        Self {
            keys,
            awaits: Awaits::Header,
        }
    }

    /// Decrypts the first record of `stream`, whose first byte is the first one after the last record.
    ///
    /// Never needs more than [`BODY_LEN_MAX`] + [`RECORD_OVERHEAD`] bytes; a record is authentic as a whole or not given at all.
    ///
    /// # Errors
    /// [`RecordError`]: close the connection.
    pub fn decrypt<'a>(&mut self, stream: &'a mut [u8]) -> Result<Decrypted<'a>, RecordError> {
        let available = stream.len();
        let length = match self.awaits {
            Awaits::Nothing(error) => return Err(error),
            Awaits::Body { length } => length,
            Awaits::Header => match stream.first_chunk::<HEADER_LEN>() {
                None => {
                    return Ok(Decrypted::Incomplete {
                        missing: HEADER_LEN - available,
                    });
                }
                Some(header) => self.open_header(header)?,
            },
        };
        let consumed = usize::from(length) + RECORD_OVERHEAD;
        self.awaits = Awaits::Body { length };
        let Some(record) = stream.get_mut(..consumed) else {
            return Ok(Decrypted::Incomplete {
                missing: consumed - available,
            });
        };
        let body = &mut record[HEADER_LEN..];
        if self.keys.open(body).is_err() {
            return Err(self.refuse(RecordError::BadBodyTag));
        }
        self.awaits = Awaits::Header;
        let body = &mut body[..usize::from(length)];
        Ok(Decrypted::Record { body, consumed })
    }

    /// The keys in use. Whoever has them reads all that is received from here on: they are for tests and for decrypting captures.
    pub const fn expose_keys(&self) -> &RecordKeys {
        &self.keys
    }

    fn open_header(&mut self, header: &[u8; HEADER_LEN]) -> Result<u16, RecordError> {
        let mut header = *header;
        match self.keys.open(&mut header) {
            Ok(()) => Ok(u16::from_be_bytes([header[0], header[1]])),
            Err(cipher::TagMismatch) => Err(self.refuse(RecordError::BadLengthTag)),
        }
    }

    fn refuse(&mut self, error: RecordError) -> RecordError {
        self.awaits = Awaits::Nothing(error);
        error
    }
}

impl RecordKeys {
    fn seal(&mut self, text: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = cipher::seal(&self.key, self.nonce, &[], text);
        self.count_use();
        tag
    }

    /// Decrypts in place a ciphertext that ends in its tag.
    fn open(&mut self, sealed: &mut [u8]) -> Result<(), cipher::TagMismatch> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(cipher::TagMismatch)?;
        cipher::open(&self.key, self.nonce, &[], text, tag)?;
        self.count_use();
        Ok(())
    }

    /// BOLT 8, key rotation: with the nonce at 1000 the key gives way to its successor, and is erased.
    fn count_use(&mut self) {
        self.nonce += 1;
        if self.nonce == USES_MAX {
            (self.chaining_key, self.key) = cipher::hkdf(&self.chaining_key, &*self.key);
            self.nonce = 0;
        }
    }
}
