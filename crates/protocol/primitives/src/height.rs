//! Places on the chain, and distances between them.

use std::fmt;

/// The height of a block; the genesis block has height 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHeight(pub u32);

/// A number of blocks: a depth, a delay, a distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockCount(pub u32);

/// The absolute height from which an HTLC can be timed out (BOLT 2 `cltv_expiry`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CltvExpiry(pub u32);

/// The distance, in blocks, that a node wants between an incoming HTLC's expiry and the outgoing one's (BOLT 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CltvExpiryDelta(pub u16);

/// The delay, in blocks, that the other side imposes on our own outputs of our own commitment (BOLT 2 `to_self_delay`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToSelfDelay(pub u16);

impl BlockHeight {
    /// The height `count` blocks later, held at the largest height.
    #[must_use]
    pub const fn saturating_add(self, count: BlockCount) -> Self {
        Self(self.0.saturating_add(count.0))
    }

    /// The height `count` blocks earlier, held at zero.
    #[must_use]
    pub const fn saturating_sub(self, count: BlockCount) -> Self {
        Self(self.0.saturating_sub(count.0))
    }

    /// How many confirmations something has at `tip` that was confirmed at this height: 1 in its own block, 0 before.
    pub const fn depth_at(self, tip: Self) -> BlockCount {
        BlockCount((tip.0 + 1).saturating_sub(self.0))
    }
}

impl CltvExpiry {
    /// BOLT 2: an expiry must be below this, since larger values are seconds to Bitcoin.
    pub const LIMIT: Self = Self(500_000_000);

    /// Blocks left at `tip`, or zero once it has expired.
    pub const fn blocks_left(self, tip: BlockHeight) -> BlockCount {
        BlockCount(self.0.saturating_sub(tip.0))
    }

    /// The expiry `delta` blocks earlier, or `None` below zero.
    pub const fn checked_sub(self, delta: CltvExpiryDelta) -> Option<Self> {
        match self.0.checked_sub(delta.0 as u32) {
            Some(height) => Some(Self(height)),
            None => None,
        }
    }

    /// The expiry `delta` blocks later, or `None` at or past [`Self::LIMIT`].
    pub const fn checked_add(self, delta: CltvExpiryDelta) -> Option<Self> {
        match self.0.checked_add(delta.0 as u32) {
            Some(height) if height < Self::LIMIT.0 => Some(Self(height)),
            _ => None,
        }
    }
}

impl fmt::Display for BlockHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {}", self.0)
    }
}

impl fmt::Display for CltvExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {}", self.0)
    }
}

impl fmt::Display for BlockCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_in_the_tip_has_one_confirmation() {
        assert_eq!(BlockHeight(100).depth_at(BlockHeight(100)), BlockCount(1));
        assert_eq!(BlockHeight(100).depth_at(BlockHeight(105)), BlockCount(6));
        assert_eq!(BlockHeight(100).depth_at(BlockHeight(98)), BlockCount(0));
    }

    #[test]
    fn an_expiry_never_becomes_a_time() {
        assert_eq!(
            CltvExpiry(499_999_990).checked_add(CltvExpiryDelta(9)),
            Some(CltvExpiry(499_999_999))
        );
        assert_eq!(CltvExpiry(499_999_990).checked_add(CltvExpiryDelta(10)), None);
        assert_eq!(CltvExpiry(5).checked_sub(CltvExpiryDelta(6)), None);
    }
}
