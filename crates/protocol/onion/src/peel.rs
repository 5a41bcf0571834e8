//! Peeling an onion: from the packet that came to our payload and the packet for the next hop (BOLT 4, onion decryption).
//!
//! Two parts that may run in two places. The ECDH needs the node's key: [`SharedSecret::agree`]. The rest, [`peel`], is pure. Inside
//! a blinded path the onion is encrypted to our blinded id, so the ECDH is made with a tweaked key or, if the key sits in a signer that
//! only knows ECDH, on a tweaked point: [`blinded_secret_key`], [`blinded_packet_key`].

use chacha20::cipher::StreamCipher;
use quittance_wire::{BigSize, Reader, Wire};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use subtle::ConstantTimeEq;

use crate::OnionPacket;
use crate::packet::HMAC;
use crate::secret::{KeyType, SharedSecret, hmac};

/// What one hop finds under its layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeled {
    /// Our payload, a TLV stream without the length in front.
    pub payload: Vec<u8>,
    /// The packet for the next hop, or `None` when we are the last.
    pub next: Option<OnionPacket>,
}

/// Why an onion cannot be peeled. [`crate::Failure::of_onion`] is the failure that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnionError {
    /// Only version 0 is known.
    #[error("onion version {0} is unknown")]
    UnknownVersion(u8),
    /// The ephemeral key is no point of the curve.
    #[error("the onion's ephemeral key is invalid")]
    InvalidKey,
    /// The packet was altered, or made for another node or another payment.
    #[error("the onion's HMAC does not match")]
    InvalidHmac,
    /// The length in front of our payload is malformed, reserved, or points past the payload area.
    #[error("the onion's payload has no valid length")]
    InvalidPayloadLength,
}

/// Removes our layer from `packet`. `secret` is the ECDH of our key and the packet's ephemeral key.
///
/// # Errors
/// [`OnionError`]. Before the HMAC was found to match, nothing of the packet is believed.
pub fn peel(packet: &OnionPacket, secret: &SharedSecret, associated_data: &[u8]) -> Result<Peeled, OnionError> {
    peel_at(packet, &packet.public_key()?, secret, associated_data)
}

/// As [`peel`], with the packet's ephemeral key, which takes a square root to parse.
pub(crate) fn peel_at(
    packet: &OnionPacket,
    public_key: &PublicKey,
    secret: &SharedSecret,
    associated_data: &[u8],
) -> Result<Peeled, OnionError> {
    let area = packet.area();
    let expected = hmac(&*secret.key(KeyType::Mu), &[area, associated_data]);
    if !bool::from(expected.ct_eq(&packet.hmac())) {
        return Err(OnionError::InvalidHmac);
    }

    let mut stream = secret.stream(KeyType::Rho);
    let mut payloads = area.to_vec();
    stream.apply_keystream(&mut payloads);
    let (payload, next_hmac, shift) = split_payload(&payloads).ok_or(OnionError::InvalidPayloadLength)?;
    if next_hmac == [0; HMAC] {
        return Ok(Peeled { payload, next: None });
    }

    // The bytes that we append to keep the size are the stream itself, carried on over zeros.
    let kept = payloads.len() - shift;
    payloads.copy_within(shift.., 0);
    payloads[kept..].fill(0);
    stream.apply_keystream(&mut payloads[kept..]);
    let next_key = secret.next_point(public_key).ok_or(OnionError::InvalidKey)?;
    Ok(Peeled {
        payload,
        next: Some(OnionPacket::assemble(&next_key, &payloads, &next_hmac)),
    })
}

/// Our payload, the HMAC behind it, and how many bytes both and the length in front take. BOLT 4 appends as many bytes as the area has
/// and wants at least the area to remain: so all of it must stand inside the area.
fn split_payload(payloads: &[u8]) -> Option<(Vec<u8>, [u8; HMAC], usize)> {
    let mut reader = Reader::new(payloads);
    let length = usize::try_from(BigSize::read(&mut reader).ok()?.0).ok()?;
    if length < 2 {
        return None;
    }
    let payload = reader.take(length).ok()?.to_vec();
    let next_hmac = *reader.take_array().ok()?;
    Some((payload, next_hmac, payloads.len() - reader.remaining()))
}

/// Both parts at once, for a node that holds its own key: the ECDH and [`peel`]. The secret comes back too; a failure is returned
/// under it.
///
/// # Errors
/// [`OnionError`].
pub fn peel_with_key(
    packet: &OnionPacket,
    node_secret: &SecretKey,
    associated_data: &[u8],
) -> Result<(SharedSecret, Peeled), OnionError> {
    let public_key = packet.public_key()?;
    let secret = SharedSecret::agree(&public_key, node_secret);
    let peeled = peel_at(packet, &public_key, &secret, associated_data)?;
    Ok((secret, peeled))
}

/// The private key of our blinded id. `blinding` is the ECDH of our key with the path key that came beside the onion. Use it in
/// place of the node's key.
///
/// # Errors
/// [`OnionError::InvalidKey`], with a probability of 2^-128.
pub fn blinded_secret_key(node_secret: &SecretKey, blinding: &SharedSecret) -> Result<SecretKey, OnionError> {
    node_secret
        .mul_tweak(&blinding_tweak(blinding)?)
        .map_err(|_| OnionError::InvalidKey)
}

/// The point to make the ECDH with, in place of the packet's ephemeral key, where the node's key cannot be tweaked. The result is
/// the same as with [`blinded_secret_key`], at the price of one more multiplication.
///
/// # Errors
/// [`OnionError::InvalidKey`], with a probability of 2^-128.
pub fn blinded_packet_key(packet_key: &PublicKey, blinding: &SharedSecret) -> Result<PublicKey, OnionError> {
    packet_key
        .mul_tweak(SECP256K1, &blinding_tweak(blinding)?)
        .map_err(|_| OnionError::InvalidKey)
}

fn blinding_tweak(blinding: &SharedSecret) -> Result<Scalar, OnionError> {
    Scalar::from_be_bytes(*blinding.key(KeyType::BlindedNodeId)).map_err(|_| OnionError::InvalidKey)
}
