//! Feerates: what the source estimates, within bounds, and what stands in where it cannot.

use quittance_monitor::FeeEstimates;
use quittance_primitives::FeeratePerKw;

/// How estimates are made use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// What stands in for an estimate that the source cannot give: a chain without traffic has none.
    pub fallbacks: FeeEstimates,
    /// No estimate above this is believed.
    pub ceiling: FeeratePerKw,
}

/// The feerates to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feerates {
    /// By how long one can wait. Never below what the source's mempool asks, and never less for less time.
    pub estimates: FeeEstimates,
    /// What the source's mempool asks at least, now.
    pub mempool_minimum: FeeratePerKw,
    /// How many of the four are fallbacks.
    pub fallbacks: u8,
}

/// The targets that are asked for, in blocks.
pub(crate) const TARGETS: [u16; 4] = [2, 6, 12, 144];

impl Default for FeePolicy {
    /// 20, 10, 5 and 1 satoshi per virtual byte without estimates; 1,000 at most.
    fn default() -> Self {
        Self {
            fallbacks: FeeEstimates {
                within_2: FeeratePerKw(5_000),
                within_6: FeeratePerKw(2_500),
                within_12: FeeratePerKw(1_250),
                within_144: FeeratePerKw::FLOOR,
            },
            ceiling: FeeratePerKw(250_000),
        }
    }
}

impl FeePolicy {
    /// The feerates that follow from what the source said for each of [`TARGETS`], and from its mempool's minimum.
    pub(crate) fn apply(&self, estimated: [Option<FeeratePerKw>; 4], mempool_minimum: FeeratePerKw) -> Feerates {
        let minimum = mempool_minimum.max(FeeratePerKw::FLOOR);
        let FeeEstimates {
            within_2,
            within_6,
            within_12,
            within_144,
        } = self.fallbacks;
        let fallbacks = [within_2, within_6, within_12, within_144];
        let mut feerates = [FeeratePerKw(0); 4];
        for (feerate, (estimate, fallback)) in feerates.iter_mut().zip(estimated.into_iter().zip(fallbacks)) {
            *feerate = estimate
                .map_or(fallback, |estimate| estimate.min(self.ceiling))
                .max(minimum);
        }
        let [within_2, within_6, within_12, within_144] = feerates;
        // Estimates for different targets come from different statistics, and fallbacks from nowhere: waiting less never costs less.
        let within_12 = within_12.max(within_144);
        let within_6 = within_6.max(within_12);
        let within_2 = within_2.max(within_6);
        let missing = estimated.iter().filter(|estimate| estimate.is_none()).count();
        Feerates {
            estimates: FeeEstimates {
                within_2,
                within_6,
                within_12,
                within_144,
            },
            mempool_minimum: minimum,
            fallbacks: u8::try_from(missing).unwrap_or(u8::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KW: fn(u32) -> FeeratePerKw = FeeratePerKw;

    #[test]
    fn estimates_are_taken_within_bounds() {
        let estimated = [Some(KW(9_000_000)), Some(KW(2_000)), Some(KW(1_500)), Some(KW(100))];
        let feerates = FeePolicy::default().apply(estimated, KW(300));
        let expected = FeeEstimates {
            within_2: KW(250_000),
            within_6: KW(2_000),
            within_12: KW(1_500),
            within_144: KW(300),
        };
        assert_eq!(
            feerates,
            Feerates {
                estimates: expected,
                mempool_minimum: KW(300),
                fallbacks: 0
            }
        );
    }

    #[test]
    fn a_fallback_stands_in_and_less_time_never_costs_less() {
        let feerates = FeePolicy::default().apply([None, None, Some(KW(4_000)), None], KW(1));
        let expected = FeeEstimates {
            within_2: KW(5_000),
            within_6: KW(4_000),
            within_12: KW(4_000),
            within_144: KW(253),
        };
        assert_eq!(
            feerates,
            Feerates {
                estimates: expected,
                mempool_minimum: KW(253),
                fallbacks: 3
            }
        );
    }

    #[test]
    fn a_full_mempool_lifts_everything() {
        let feerates = FeePolicy::default().apply([None; 4], KW(10_000));
        assert_eq!(feerates.estimates, FeeEstimates::flat(KW(10_000)));
    }
}
