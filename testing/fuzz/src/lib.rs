//! What the fuzz targets share: keys, and the ways into code that stands behind a MAC or a checksum.
//!
//! Random bytes never pass a MAC. So the targets seal the fuzzer's bytes themselves, and the code behind the MAC meets them.

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use quittance_onion::{KeyType, OnionPacket, SharedSecret};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// A key that is the same in every run.
pub fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a valid key")
}

/// Its public key.
pub fn public(byte: u8) -> PublicKey {
    key(byte).public_key(SECP256K1)
}

/// A packet that peels, under `secret`, to what `payloads` holds: a length, a payload, an HMAC, the layers of other hops.
pub fn sealed_packet(ephemeral: &PublicKey, secret: &SharedSecret, payloads: &[u8], associated_data: &[u8]) -> Vec<u8> {
    let mut area = payloads.to_vec();
    ChaCha20::new(&(*secret.key(KeyType::Rho)).into(), &[0; 12].into()).apply_keystream(&mut area);
    let mut engine = HmacEngine::<sha256::Hash>::new(&*secret.key(KeyType::Mu));
    engine.input(&area);
    engine.input(associated_data);
    let hmac = Hmac::from_engine(engine).to_byte_array();
    [&[0][..], &ephemeral.serialize(), &area, &hmac].concat()
}

/// A packet whose ephemeral key is `public(1)`, for the node whose key is `node`.
pub fn packet_for(node: &SecretKey, payloads: &[u8], associated_data: &[u8]) -> OnionPacket {
    let secret = SharedSecret::agree(&public(1), node);
    let bytes = sealed_packet(&public(1), &secret, payloads, associated_data);
    OnionPacket::from_bytes(bytes).expect("a packet with a key, a payload area and an HMAC")
}

/// The first byte, to choose what the rest is for.
pub fn choice(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}
