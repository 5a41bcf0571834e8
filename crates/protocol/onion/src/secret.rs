//! The secret that the origin shares with one hop, and the keys derived from it (BOLT 4, shared secret, key generation).
//!
//! An ECDH with the node's key yields a [`SharedSecret`]; everything after that is pure and needs no private key. So a signer
//! has one operation to offer, [`SharedSecret::agree`], and the rest of this crate works on what it returns.

use std::fmt;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use secp256k1::{PublicKey, Scalar, SecretKey, ecdh};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The 32 bytes that origin and hop agree on by ECDH. Not shown by `Debug`, wiped when dropped, compared in constant time.
#[derive(Clone)]
pub struct SharedSecret([u8; 32]);

/// What a derived key is for; the name is the HMAC key under which it is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Obfuscates the payload area; encrypts the recipient data of a blinded hop.
    Rho,
    /// Authenticates the packet.
    Mu,
    /// Authenticates a return packet and the attribution data.
    Um,
    /// Fills the payload area before the first payload is written.
    Pad,
    /// Obfuscates a return packet.
    Ammag,
    /// Obfuscates attribution data.
    AmmagExt,
    /// Turns a node id into a blinded one.
    BlindedNodeId,
}

impl SharedSecret {
    /// The ECDH of a node's (or the session's) private key with the other side's point: the one operation that needs the key.
    pub fn agree(point: &PublicKey, secret: &SecretKey) -> Self {
        Self(ecdh::SharedSecret::new(point, secret).secret_bytes())
    }

    /// A secret that a signer computed or that was stored with an HTLC.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to store them with an HTLC: its failure will be wrapped with them.
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The key for one purpose.
    pub fn key(&self, purpose: KeyType) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac(purpose.label(), &[&self.0]))
    }

    /// What the ephemeral key of the next hop is multiplied by: SHA256 of this hop's `point` and this secret (BOLT 4, blinding
    /// ephemeral onion keys; route blinding derives its path keys in the same way).
    pub fn blinding_factor(&self, point: &PublicKey) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(&point.serialize());
        engine.input(&self.0);
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// `point` times [`Self::blinding_factor`]: the next hop's ephemeral or path key, as a hop computes it. `None` with a
    /// probability of 2^-128, when the factor is no scalar of the curve.
    pub fn next_point(&self, point: &PublicKey) -> Option<PublicKey> {
        let factor = Scalar::from_be_bytes(self.blinding_factor(point)).ok()?;
        point.mul_tweak(secp256k1::SECP256K1, &factor).ok()
    }

    /// The scalar behind [`Self::next_point`], as whoever knows the scalar `secret` behind `point` computes it: cheaper than
    /// multiplying the point.
    pub(crate) fn next_scalar(&self, point: &PublicKey, secret: &SecretKey) -> Option<SecretKey> {
        let factor = Scalar::from_be_bytes(self.blinding_factor(point)).ok()?;
        secret.mul_tweak(&factor).ok()
    }

    /// Applies the pseudo-random stream of a derived key, from its start, to `bytes`.
    pub(crate) fn apply_stream(&self, purpose: KeyType, bytes: &mut [u8]) {
        self.stream(purpose).apply_keystream(bytes);
    }

    /// The pseudo-random stream of a derived key: ChaCha20 with a zero nonce.
    pub(crate) fn stream(&self, purpose: KeyType) -> ChaCha20 {
        stream(&self.key(purpose))
    }
}

impl KeyType {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Rho => b"rho",
            Self::Mu => b"mu",
            Self::Um => b"um",
            Self::Pad => b"pad",
            Self::Ammag => b"ammag",
            Self::AmmagExt => b"ammagext",
            Self::BlindedNodeId => b"blinded_node_id",
        }
    }
}

impl PartialEq for SharedSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SharedSecret {}

impl Drop for SharedSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// HMAC-SHA256 over the concatenated parts.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    Hmac::from_engine(engine).to_byte_array()
}

/// ChaCha20 with a zero nonce. The keys are never reused, which makes the fixed nonce safe (BOLT 4, pseudo random byte stream).
pub(crate) fn stream(key: &[u8; 32]) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_nobody_prints_it() {
        let (ours, theirs) = (
            SecretKey::from_slice(&[1; 32]).unwrap(),
            SecretKey::from_slice(&[2; 32]).unwrap(),
        );
        let secp = secp256k1::SECP256K1;
        let secret = SharedSecret::agree(&theirs.public_key(secp), &ours);
        assert_eq!(secret, SharedSecret::agree(&ours.public_key(secp), &theirs));
        assert_eq!(format!("{secret:?}"), "SharedSecret(..)");
    }

    #[test]
    fn point_and_scalar_move_to_the_next_hop_together() {
        let secp = secp256k1::SECP256K1;
        let scalar = SecretKey::from_slice(&[3; 32]).unwrap();
        let point = scalar.public_key(secp);
        let secret = SharedSecret::from_bytes([4; 32]);
        assert_eq!(
            secret.next_point(&point),
            secret
                .next_scalar(&point, &scalar)
                .map(|scalar| scalar.public_key(secp))
        );
    }
}
