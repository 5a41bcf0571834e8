//! The two counters of a channel.

use std::fmt;

/// The number of a commitment transaction, counted up from 0 on each side (BOLT 3); below 2^48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitmentNumber(pub u64);

impl CommitmentNumber {
    /// The last number that fits the 48 bits of the obscured commitment number.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The number after this one.
    ///
    /// # Panics
    /// After [`Self::MAX`]: at a thousand commitments a second that is nine thousand years away.
    #[must_use]
    pub fn next(self) -> Self {
        assert!(self < Self::MAX, "commitment numbers fit 48 bits");
        Self(self.0 + 1)
    }

    /// The number before this one, or `None` for the first.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The index of this commitment's secret in the peer's or our own chain of secrets, which counts down (BOLT 3).
    pub const fn secret_index(self) -> u64 {
        Self::MAX.0 - self.0
    }
}

impl fmt::Display for CommitmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commitment {}", self.0)
    }
}

/// The number of an HTLC among those that one side offered in a channel (BOLT 2 `id`), counted up from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HtlcId(pub u64);

impl HtlcId {
    /// The id after this one.
    ///
    /// # Panics
    /// After 2^64 - 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("HTLC ids fit 64 bits"))
    }
}

impl fmt::Display for HtlcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTLC {}", self.0)
    }
}
