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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(minimum: u64, maximum: u64) -> FeeRange {
        FeeRange {
            min_fee_satoshis: Amount::from_sat(minimum),
            max_fee_satoshis: Amount::from_sat(maximum),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "as the negotiation holds it")]
    fn offered(fee: u64, minimum: u64, maximum: u64) -> Option<LegacyOffer> {
        Some(LegacyOffer {
            fee: Amount::from_sat(fee),
            range: range(minimum, maximum),
        })
    }

    #[test]
    fn an_accepter_takes_what_suits_it_and_picks_the_nearest_fee_that_does() {
        let fees = LegacyFees {
            role: Role::Accepter,
            range: range(200, 900),
            offered: None,
            received: None,
        };
        let answer = |got, theirs| fees.answer(Amount::from_sat(got), theirs).unwrap();
        assert_eq!(answer(500, Some(range(100, 600))), FeeAnswer::Agree);
        assert_eq!(
            answer(150, Some(range(100, 600))),
            FeeAnswer::Offer(Amount::from_sat(200))
        );
        assert_eq!(
            answer(1_000, Some(range(800, 1_000))),
            FeeAnswer::Offer(Amount::from_sat(900))
        );
        assert_eq!(answer(1_000, None), FeeAnswer::Offer(Amount::from_sat(900)));
    }

    #[test]
    fn without_a_range_we_meet_half_way_and_never_beyond_our_own() {
        let fees = LegacyFees {
            role: Role::Opener,
            range: range(200, 900),
            offered: offered(300, 200, 900),
            received: None,
        };
        let answer = |got| fees.answer(Amount::from_sat(got), None);
        assert_eq!(answer(300), Ok(FeeAnswer::Agreed));
        assert_eq!(answer(850), Ok(FeeAnswer::Agree));
        assert_eq!(answer(1_000), Ok(FeeAnswer::Offer(Amount::from_sat(650))));
        assert_eq!(answer(100_000), Ok(FeeAnswer::Offer(Amount::from_sat(900))));
        assert_eq!(answer(10), Ok(FeeAnswer::Offer(Amount::from_sat(200))));
        let exhausted = LegacyFees {
            offered: offered(900, 200, 900),
            ..fees
        };
        assert_eq!(
            exhausted.answer(Amount::from_sat(1_000), None),
            Err(Violation::NoCommonClosingFee {
                minimum: Amount::from_sat(200),
                maximum: Amount::from_sat(900),
                their_minimum: Amount::from_sat(1_000),
                their_maximum: Amount::from_sat(1_000),
            })
        );
    }

    /// Two sides by these rules, the opener first, each telling its range or not, until they agree or one is blamed.
    fn negotiate(
        first: Amount,
        ranges: [FeeRange; 2],
        told: [bool; 2],
        mut offers: u32,
    ) -> Result<Amount, (Violation, u32)> {
        let mut sides = [Role::Opener, Role::Accepter].map(|role| LegacyFees {
            role,
            range: ranges[usize::from(role == Role::Accepter)],
            offered: None,
            received: None,
        });
        let (mut fee, mut speaks) = (first, 0);
        loop {
            offers += 1;
            let theirs = told[speaks].then_some(ranges[speaks]);
            let range = ranges[speaks];
            sides[speaks].offered = Some(LegacyOffer { fee, range });
            let hears = &mut sides[1 - speaks];
            let answer = hears.answer(fee, theirs).map_err(|violation| (violation, offers))?;
            hears.received = Some(fee);
            match answer {
                FeeAnswer::Agreed | FeeAnswer::Agree => return Ok(fee),
                FeeAnswer::Offer(next) => (fee, speaks) = (next, 1 - speaks),
            }
        }
    }

    proptest! {
        #[test]
        fn two_honest_sides_agree_where_they_can_and_know_at_once_where_they_cannot(
            (low, width, at) in (1..20_000_u64, 0..20_000_u64, 0..=100_u64),
            (other_low, other_width) in (1..20_000_u64, 0..20_000_u64),
            told: [bool; 2],
        ) {
            let ranges = [range(low, low + width), range(other_low, other_low + other_width)];
            let first = Amount::from_sat(low + width * at / 100);
            let overlap = low.max(other_low)..=(low + width).min(other_low + other_width);
            match negotiate(first, ranges, told, 0) {
                Ok(fee) => prop_assert!(overlap.contains(&fee.to_sat()), "{fee} in {overlap:?}"),
                Err((Violation::NoCommonClosingFee { .. }, offers)) => {
                    prop_assert!(overlap.is_empty(), "the two could have met in {overlap:?}");
                    // Where the first range is told there is nothing to try.
                    prop_assert!(!told[0] || offers == 1);
                    prop_assert!(offers < 64, "half-way takes no more steps than a number has bits: {offers}");
                }
                Err((violation, _)) => prop_assert!(false, "an honest side is blamed: {violation}"),
            }
        }
    }
}
