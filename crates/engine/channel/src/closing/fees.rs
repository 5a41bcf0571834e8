//! The fee of `closing_signed` (BOLT 2, legacy closing negotiation): what to answer to an offer of the peer's.
//!
//! Both sides end on one fee, or know at once that they cannot. The side that pays never goes beyond its own range, even
//! where a peer without `fee_range` would have us meet it half-way: what is above the range would be burnt.

use bitcoin::Amount;
use quittance_transactions::Role;
use quittance_wire::FeeRange;

use super::LegacyOffer;
use crate::Violation;

/// What we know when an offer of the peer's comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegacyFees {
    /// Our part: the opener pays.
    pub(crate) role: Role,
    /// What we would accept.
    pub(crate) range: FeeRange,
    /// What we offered last on this connection.
    pub(crate) offered: Option<LegacyOffer>,
    /// What the peer offered before on this connection.
    pub(crate) received: Option<Amount>,
}

/// What follows from an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeeAnswer {
    /// It is what we offered: nothing more is to be said.
    Agreed,
    /// We agree, and say so by offering the same.
    Agree,
    /// We offer another fee.
    Offer(Amount),
}

impl LegacyFees {
    /// What to answer to an offer of `got`, with `theirs` as the peer's `fee_range`.
    ///
    /// # Errors
    /// [`Violation`] when the two cannot meet, or the peer does not keep to the rules by which they would.
    pub(crate) fn answer(&self, got: Amount, theirs: Option<FeeRange>) -> Result<FeeAnswer, Violation> {
        match self.offered {
            Some(offered) if offered.fee == got => return Ok(FeeAnswer::Agreed),
            Some(offered) if contains(offered.range, got) => return Ok(FeeAnswer::Agree),
            Some(_) | None => {}
        }
        match theirs {
            Some(theirs) => self.answer_within(got, theirs),
            None => self.answer_between(got),
        }
    }

    /// By the ranges of both: the opener offers, the accepter picks, the opener repeats.
    fn answer_within(&self, got: Amount, theirs: FeeRange) -> Result<FeeAnswer, Violation> {
        let minimum = self.range.min_fee_satoshis.max(theirs.min_fee_satoshis);
        let maximum = self.range.max_fee_satoshis.min(theirs.max_fee_satoshis);
        if minimum > maximum {
            return Err(self.no_common_fee(theirs));
        }
        match (self.role, self.offered) {
            (Role::Accepter, Some(LegacyOffer { fee: expected, .. })) => {
                Err(Violation::ClosingFeeNotRepeated { got, expected })
            }
            (Role::Opener, _) if got < minimum || got > maximum => {
                Err(Violation::ClosingFeeOutsideOverlap { got, minimum, maximum })
            }
            (Role::Accepter, None) if got < minimum || got > maximum => {
                Ok(FeeAnswer::Offer(got.clamp(minimum, maximum)))
            }
            (Role::Opener, _) | (Role::Accepter, None) => Ok(FeeAnswer::Agree),
        }
    }

    /// Without the peer's range: each offer lies strictly between the two before it, until one is acceptable.
    fn answer_between(&self, got: Amount) -> Result<FeeAnswer, Violation> {
        let Some(offered) = self.offered else {
            return Ok(if contains(self.range, got) {
                FeeAnswer::Agree
            } else {
                FeeAnswer::Offer(got.clamp(self.range.min_fee_satoshis, self.range.max_fee_satoshis))
            });
        };
        if let Some(received) = self.received {
            let (low, high) = (offered.fee.min(received), offered.fee.max(received));
            if got <= low || got >= high {
                return Err(Violation::ClosingFeeNotBetween { got, low, high });
            }
        }
        let (low, high) = (got.min(offered.fee).to_sat(), got.max(offered.fee).to_sat());
        let lowest = (low + 1).max(self.range.min_fee_satoshis.to_sat());
        let highest = high.saturating_sub(1).min(self.range.max_fee_satoshis.to_sat());
        if lowest > highest {
            let only = FeeRange {
                min_fee_satoshis: got,
                max_fee_satoshis: got,
            };
            return Err(self.no_common_fee(only));
        }
        let middle = low + (high - low) / 2;
        Ok(FeeAnswer::Offer(Amount::from_sat(middle.clamp(lowest, highest))))
    }

    const fn no_common_fee(&self, theirs: FeeRange) -> Violation {
        Violation::NoCommonClosingFee {
            minimum: self.range.min_fee_satoshis,
            maximum: self.range.max_fee_satoshis,
            their_minimum: theirs.min_fee_satoshis,
            their_maximum: theirs.max_fee_satoshis,
        }
    }
}

fn contains(range: FeeRange, fee: Amount) -> bool {
    range.min_fee_satoshis <= fee && fee <= range.max_fee_satoshis
}
