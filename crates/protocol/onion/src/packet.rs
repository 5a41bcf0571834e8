//! An onion packet as it travels: version, ephemeral key, payload area, HMAC (BOLT 4, packet structure).
//!
//! A packet is kept as the bytes that came; its parts are read in place. Nothing is judged before [`crate::peel`], so that a packet
//! with a bad key or version can still be hashed for the failure that names it.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
use secp256k1::PublicKey;

use crate::OnionError;

/// An onion packet: 66 bytes of header and HMAC around the payload area.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OnionPacket {
    /// At least [`OVERHEAD`] bytes.
    bytes: Vec<u8>,
}

/// The bytes are shorter than the header and the HMAC of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an onion packet has at least 66 bytes, not {0}")]
pub struct PacketTooShort(pub usize);

/// Bytes of a packet outside its payload area: version, ephemeral key, HMAC.
pub const OVERHEAD: usize = 1 + KEY + HMAC;
/// Bytes of the payload area of a payment's packet.
pub const PAYMENT_AREA: usize = 1300;
/// Bytes of the largest payload area: the length of a message's packet is a u16.
pub const MAX_AREA: usize = 65_535 - OVERHEAD;
/// Bytes of a payment's packet.
pub const PAYMENT_PACKET: usize = OVERHEAD + PAYMENT_AREA;

pub(crate) const KEY: usize = 33;
pub(crate) const HMAC: usize = 32;
const AREA_START: usize = 1 + KEY;

impl OnionPacket {
    /// Takes over the bytes of a packet of any size, such as that of an onion message.
    ///
    /// # Errors
    /// [`PacketTooShort`] when they do not even hold the fixed parts.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PacketTooShort> {
        if bytes.len() < OVERHEAD {
            return Err(PacketTooShort(bytes.len()));
        }
        Ok(Self { bytes })
    }

    /// The packet of an `update_add_htlc`.
    pub fn from_payment(bytes: &[u8; PAYMENT_PACKET]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// The packet made of its parts, in version 0.
    pub(crate) fn assemble(public_key: &PublicKey, area: &[u8], hmac: &[u8; HMAC]) -> Self {
        let mut bytes = Vec::with_capacity(OVERHEAD + area.len());
        bytes.push(0);
        bytes.extend_from_slice(&public_key.serialize());
        bytes.extend_from_slice(area);
        bytes.extend_from_slice(hmac);
        Self { bytes }
    }

    /// The packet as it travels.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packet as it travels in an `update_add_htlc`, if it has that size.
    pub fn as_payment(&self) -> Option<&[u8; PAYMENT_PACKET]> {
        self.bytes.as_slice().try_into().ok()
    }

    /// The version byte; only 0 is known.
    pub fn version(&self) -> u8 {
        self.bytes[0]
    }

    /// The ephemeral key, with which the shared secret is agreed.
    ///
    /// # Errors
    /// [`OnionError::UnknownVersion`], [`OnionError::InvalidKey`].
    pub fn public_key(&self) -> Result<PublicKey, OnionError> {
        if self.version() != 0 {
            return Err(OnionError::UnknownVersion(self.version()));
        }
        PublicKey::from_slice(&self.bytes[1..AREA_START]).map_err(|_| OnionError::InvalidKey)
    }

    /// The obfuscated payload area.
    pub fn area(&self) -> &[u8] {
        &self.bytes[AREA_START..self.bytes.len() - HMAC]
    }

    /// The HMAC. A payment whose packet carries one that was seen before is a replay (BOLT 4, onion decryption).
    pub fn hmac(&self) -> [u8; HMAC] {
        let mut hmac = [0; HMAC];
        hmac.copy_from_slice(&self.bytes[self.bytes.len() - HMAC..]);
        hmac
    }

    /// The hash by which `update_fail_malformed_htlc` and the failures with BADONION name the packet.
    pub fn sha256(&self) -> [u8; 32] {
        sha256::Hash::hash(&self.bytes).to_byte_array()
    }
}

impl fmt::Debug for OnionPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnionPacket({} bytes, hmac ", self.bytes.len())?;
        self.hmac().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_never_shorter_than_its_fixed_parts() {
        assert_eq!(OnionPacket::from_bytes(vec![0; 65]), Err(PacketTooShort(65)));
        let empty = OnionPacket::from_bytes(vec![0; 66]).unwrap();
        assert_eq!((empty.area(), empty.hmac()), (&[][..], [0; 32]));
        assert_eq!(empty.public_key(), Err(OnionError::InvalidKey));
        assert!(empty.as_payment().is_none());
    }

    #[test]
    fn the_version_is_judged_before_the_key() {
        let packet = OnionPacket::from_payment(&[1; PAYMENT_PACKET]);
        assert_eq!(packet.public_key(), Err(OnionError::UnknownVersion(1)));
    }
}
