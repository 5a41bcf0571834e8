//! Money in millisatoshi, and the feerate that commitment transactions are priced in.
//!
//! Whole satoshis are [`bitcoin::Amount`]. All arithmetic is checked; rounding is in the method's name.

use std::fmt;

use bitcoin::Amount;

/// An amount in millisatoshi (a thousandth of a satoshi), the unit of HTLCs and fees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliSatoshi(pub u64);

/// A sum or difference left the range of the unit, or an amount exceeds all bitcoin there will ever be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is out of range")]
pub struct AmountOutOfRange;

impl MilliSatoshi {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All bitcoin there will ever be, in msat.
    pub const MAX_MONEY: Self = Self(21_000_000 * 100_000_000 * 1_000);

    /// The exact value of whole satoshis.
    ///
    /// # Errors
    /// [`AmountOutOfRange`] above [`Self::MAX_MONEY`].
    pub fn try_from_sat(amount: Amount) -> Result<Self, AmountOutOfRange> {
        let msat = amount.to_sat().checked_mul(1_000).ok_or(AmountOutOfRange)?;
        if msat > Self::MAX_MONEY.0 {
            Err(AmountOutOfRange)
        } else {
            Ok(Self(msat))
        }
    }

    /// The exact value of whole satoshis that are known to be in range, such as those of a transaction's output.
    ///
    /// # Panics
    /// Above [`Self::MAX_MONEY`]: no output of a valid transaction holds more.
    pub fn from_sat(amount: Amount) -> Self {
        Self::try_from_sat(amount).expect("an output never exceeds all bitcoin")
    }

    /// Whole satoshis, rounded down.
    pub const fn to_sat_floor(self) -> Amount {
        Amount::from_sat(self.0 / 1_000)
    }

    /// Whole satoshis, rounded up.
    pub const fn to_sat_ceil(self) -> Amount {
        Amount::from_sat(self.0.div_ceil(1_000))
    }

    /// The sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(msat) => Some(Self(msat)),
            None => None,
        }
    }

    /// The difference, or `None` when `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(msat) => Some(Self(msat)),
            None => None,
        }
    }

    /// The difference, or zero when `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum of all, or `None` on overflow.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for MilliSatoshi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.0)
    }
}

/// A feerate in satoshi per 1000 units of weight (BOLT 2 `feerate_per_kw`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeratePerKw(pub u32);

impl FeeratePerKw {
    /// The lowest rate that relays: 1 sat per vbyte is 250; rounding of weight to vbytes makes it 253.
    pub const FLOOR: Self = Self(253);

    /// The fee for `weight` in whole satoshis, rounded down (BOLT 3, fee calculation).
    pub fn fee_floor(self, weight: bitcoin::Weight) -> Amount {
        let fee = u128::from(self.0) * u128::from(weight.to_wu()) / 1_000;
        Amount::from_sat(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    /// The fee for `weight` in whole satoshis, rounded up.
    pub fn fee_ceil(self, weight: bitcoin::Weight) -> Amount {
        let fee = (u128::from(self.0) * u128::from(weight.to_wu())).div_ceil(1_000);
        Amount::from_sat(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    /// This rate times `factor`, held at the largest representable rate.
    #[must_use]
    pub const fn saturating_mul(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl fmt::Display for FeeratePerKw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sat/kw", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_beyond_all_bitcoin_is_refused() {
        assert_eq!(
            MilliSatoshi::try_from_sat(Amount::MAX_MONEY),
            Ok(MilliSatoshi::MAX_MONEY)
        );
        assert_eq!(
            MilliSatoshi::try_from_sat(Amount::from_sat(21_000_000 * 100_000_000 + 1)),
            Err(AmountOutOfRange)
        );
        assert_eq!(
            MilliSatoshi::try_from_sat(Amount::from_sat(u64::MAX)),
            Err(AmountOutOfRange)
        );
    }

    #[test]
    fn fee_is_rounded_as_its_name_says() {
        let weight = bitcoin::Weight::from_wu(1_124);
        assert_eq!(FeeratePerKw(253).fee_floor(weight).to_sat(), 284);
        assert_eq!(FeeratePerKw(253).fee_ceil(weight).to_sat(), 285);
    }

    proptest! {
        #[test]
        fn floor_and_ceil_enclose_the_amount(msat in 0..=MilliSatoshi::MAX_MONEY.0) {
            let amount = MilliSatoshi(msat);
            let (floor, ceil) = (MilliSatoshi::from_sat(amount.to_sat_floor()), amount.to_sat_ceil().to_sat() * 1_000);
            prop_assert!(floor <= amount && msat <= ceil && ceil - floor.0 <= 1_000);
        }
    }
}
