//! The two primitives that the handshake and the record cipher share: HKDF and ChaCha20-Poly1305 as BOLT 8 uses them.

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};
use zeroize::Zeroizing;

/// Bytes of a Poly1305 tag.
pub const TAG_LEN: usize = 16;

/// Thirty-two secret bytes, erased when dropped.
pub(crate) type SecretBytes = Zeroizing<[u8; 32]>;

/// A ciphertext or its associated data was altered, or the keys differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TagMismatch;

/// HKDF of RFC 5869 with SHA-256, no info and 64 bytes out, as its two halves.
pub(crate) fn hkdf(salt: &[u8; 32], input: &[u8]) -> (SecretBytes, SecretBytes) {
    let pseudorandom_key = hmac(salt, &[input]);
    let first = hmac(&pseudorandom_key, &[&[1]]);
    let second = hmac(&pseudorandom_key, &[&*first, &[2]]);
    (first, second)
}

/// Encrypts `text` in place and returns the tag over it and `associated_data`.
pub(crate) fn seal(key: &[u8; 32], nonce: u64, associated_data: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    ChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt_in_place_detached(&encoded(nonce), associated_data, text)
        .expect("a record is far shorter than the cipher's limit of 256 GiB")
        .into()
}

/// Decrypts `text` in place; on a mismatch it is left as it was.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: u64,
    associated_data: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), TagMismatch> {
    ChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt_in_place_detached(&encoded(nonce), associated_data, text, Tag::from_slice(tag))
        .map_err(|_| TagMismatch)
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> SecretBytes {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    Zeroizing::new(Hmac::from_engine(engine).to_byte_array())
}

/// BOLT 8: 32 zero bits, then the counter in little-endian.
fn encoded(nonce: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_le_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_ciphertext_is_left_as_it_was() {
        let mut text = *b"secret";
        let mut tag = seal(&[1; 32], 7, b"data", &mut text);
        let sealed = text;
        tag[15] ^= 1;
        assert_eq!(open(&[1; 32], 7, b"data", &mut text, &tag), Err(TagMismatch));
        assert_eq!(text, sealed);
        tag[15] ^= 1;
        assert_eq!(open(&[1; 32], 8, b"data", &mut text, &tag), Err(TagMismatch));
        assert_eq!(open(&[1; 32], 7, b"Data", &mut text, &tag), Err(TagMismatch));
        assert_eq!(open(&[1; 32], 7, b"data", &mut text, &tag), Ok(()));
        assert_eq!(&text, b"secret");
    }
}
