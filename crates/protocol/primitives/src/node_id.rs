//! A node's public key, as it travels.

use std::fmt;

use secp256k1::PublicKey;

/// A node's id: its compressed public key. Gossip names nodes by the thousand, so the point is only checked when asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 33]);

/// The 33 bytes are not a point on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node id {0} is not a public key")]
pub struct InvalidNodeId(pub NodeId);

impl NodeId {
    /// The key itself.
    ///
    /// # Errors
    /// [`InvalidNodeId`] when the bytes are no compressed point of the curve.
    pub fn public_key(&self) -> Result<PublicKey, InvalidNodeId> {
        PublicKey::from_slice(&self.0).map_err(|_| InvalidNodeId(*self))
    }
}

impl From<PublicKey> for NodeId {
    fn from(key: PublicKey) -> Self {
        Self(key.serialize())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}
