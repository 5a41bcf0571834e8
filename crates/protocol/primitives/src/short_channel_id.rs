//! Where a channel's funding output stands in the chain (BOLT 7), or an alias in that form.

use std::fmt;
use std::str::FromStr;

use crate::BlockHeight;

/// Block height (3 bytes), transaction index (3 bytes), output index (2 bytes) (BOLT 7).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortChannelId(pub u64);

/// The text is not `block x transaction x output` with values in range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a short channel id; it looks like 800000x12x1")]
pub struct InvalidShortChannelId(pub String);

impl ShortChannelId {
    /// The id of output `output` of transaction `transaction` in block `block`, or `None` past 2^24 - 1 blocks or transactions.
    pub const fn new(block: BlockHeight, transaction: u32, output: u16) -> Option<Self> {
        if block.0 >= 1 << 24 || transaction >= 1 << 24 {
            return None;
        }
        Some(Self(
            (block.0 as u64) << 40 | (transaction as u64) << 16 | output as u64,
        ))
    }

    /// The block that holds the funding transaction.
    pub const fn block(self) -> BlockHeight {
        BlockHeight((self.0 >> 40) as u32)
    }

    /// The funding transaction's place in its block.
    pub const fn transaction(self) -> u32 {
        (self.0 >> 16 & 0x00ff_ffff) as u32
    }

    /// The funding output's place in its transaction.
    pub const fn output(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for ShortChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.block().0, self.transaction(), self.output())
    }
}

impl fmt::Debug for ShortChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortChannelId({self})")
    }
}

impl FromStr for ShortChannelId {
    type Err = InvalidShortChannelId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('x');
            let block = BlockHeight(parts.next()?.parse().ok()?);
            let id = Self::new(block, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)?;
            parts.next().is_none().then_some(id)
        };
        parse().ok_or_else(|| InvalidShortChannelId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_parts_agree() {
        let id: ShortChannelId = "539268x845x1".parse().unwrap();
        assert_eq!(
            (id.block(), id.transaction(), id.output()),
            (BlockHeight(539_268), 845, 1)
        );
        assert_eq!(id.to_string(), "539268x845x1");
    }

    #[test]
    fn values_out_of_range_are_refused_with_an_example() {
        for text in [
            "16777216x0x0",
            "1x16777216x0",
            "1x1x65536",
            "1x1",
            "1x1x1x1",
            "",
            "axbxc",
        ] {
            let error = text.parse::<ShortChannelId>().unwrap_err();
            assert_eq!(error, InvalidShortChannelId(text.to_owned()));
        }
    }
}
