//! How a channel is named between its two ends.

use std::fmt;

use bitcoin::OutPoint;
use bitcoin::hashes::{Hash, sha256};
use secp256k1::PublicKey;

/// The 32 bytes by which both ends name a channel (BOLT 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub [u8; 32]);

impl ChannelId {
    /// Names the connection as a whole in `error` and `warning` (BOLT 1).
    pub const ALL: Self = Self([0; 32]);

    /// The id of a v1 channel: the funding transaction's id, its last two bytes altered by the output's index.
    pub fn v1(funding: OutPoint) -> Self {
        let mut id = funding.txid.to_byte_array();
        let vout = (funding.vout & 0xffff) as u16;
        id[30] ^= (vout >> 8) as u8;
        id[31] ^= (vout & 0xff) as u8;
        Self(id)
    }

    /// The id of a v2 channel: the hash of both revocation basepoints, the lesser key first (BOLT 2).
    pub fn v2(one: &PublicKey, other: &PublicKey) -> Self {
        let (one, other) = (one.serialize(), other.serialize());
        let (lesser, greater) = if one < other { (one, other) } else { (other, one) };
        let mut both = [0; 66];
        both[..33].copy_from_slice(&lesser);
        both[33..].copy_from_slice(&greater);
        Self(sha256::Hash::hash(&both).to_byte_array())
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Txid;

    #[test]
    fn output_index_alters_the_last_two_bytes() {
        let funding = OutPoint {
            txid: Txid::from_byte_array([0xff; 32]),
            vout: 0x0102,
        };
        let id = ChannelId::v1(funding).0;
        assert_eq!((id[29], id[30], id[31]), (0xff, 0xfe, 0xfd));
    }

    #[test]
    fn v2_id_does_not_depend_on_whose_basepoint_comes_first() {
        let key = |byte| {
            secp256k1::SecretKey::from_slice(&[byte; 32])
                .unwrap()
                .public_key(secp256k1::SECP256K1)
        };
        assert_eq!(ChannelId::v2(&key(1), &key(2)), ChannelId::v2(&key(2), &key(1)));
        assert_ne!(ChannelId::v2(&key(1), &key(2)), ChannelId::v2(&key(1), &key(3)));
    }
}
