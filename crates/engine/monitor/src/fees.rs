//! What a claim may cost, by how long it can wait and by what is at stake.

use bitcoin::{Amount, Weight};
use quittance_primitives::{BlockCount, BlockHeight, FeeratePerKw};

/// The feerates with which a transaction would confirm within so many blocks, from whoever watches the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeEstimates {
    /// Within 2 blocks.
    pub within_2: FeeratePerKw,
    /// Within 6 blocks.
    pub within_6: FeeratePerKw,
    /// Within 12 blocks.
    pub within_12: FeeratePerKw,
    /// Within a day.
    pub within_144: FeeratePerKw,
}

/// From here on a claim stands alone and is raised with every block (BOLT 5 recommends 18 for `security_delay`).
pub(crate) const SECURITY_DELAY: BlockCount = BlockCount(18);
/// From here on each raise doubles: estimates were wrong for long enough, and what is left of the budget is lost with the claim.
const LAST_BLOCKS: BlockCount = BlockCount(6);
/// How often a claim that can wait longer is looked at again.
const PATIENT_INTERVAL: BlockCount = BlockCount(3);
/// The share of what is at stake that fees may take, in percent: beyond it a claim is not worth making.
const BUDGET_PERCENT: u64 = 50;

impl FeeEstimates {
    /// The same feerate, however long one waits.
    pub const fn flat(feerate: FeeratePerKw) -> Self {
        Self {
            within_2: feerate,
            within_6: feerate,
            within_12: feerate,
            within_144: feerate,
        }
    }

    /// For a claim that should confirm before `deadline`; half of the time that is left is kept for raising it.
    pub(crate) fn before(&self, deadline: Option<BlockHeight>, tip: BlockHeight) -> FeeratePerKw {
        let feerate = match deadline.map(|deadline| blocks_left(deadline, tip).0) {
            None => self.within_144,
            Some(0..12) => self.within_2,
            Some(12..36) => self.within_6,
            Some(36..) => self.within_12,
        };
        feerate.max(FeeratePerKw::FLOOR)
    }
}

/// Whether a claim has so little time left that it must stand alone.
pub(crate) fn is_urgent(deadline: Option<BlockHeight>, tip: BlockHeight) -> bool {
    deadline.is_some_and(|deadline| blocks_left(deadline, tip) <= SECURITY_DELAY)
}

/// Whether it is time to raise a claim that was last raised at `since`.
pub(crate) fn is_due(deadline: Option<BlockHeight>, since: BlockHeight, tip: BlockHeight) -> bool {
    let waited = tip.0.saturating_sub(since.0);
    match deadline {
        None => false,
        Some(_) if is_urgent(deadline, tip) => waited > 0,
        Some(_) => waited >= PATIENT_INTERVAL.0,
    }
}

/// The next feerate after `last`: a quarter more, or twice as much in the last blocks, and enough for the mempool to accept the
/// replacement (BIP 125, rule 4).
pub(crate) fn raised(last: FeeratePerKw, deadline: Option<BlockHeight>, tip: BlockHeight) -> FeeratePerKw {
    let is_last = deadline.is_some_and(|deadline| blocks_left(deadline, tip) <= LAST_BLOCKS);
    let more = if is_last { last.0 } else { last.0 / 4 };
    FeeratePerKw(last.0.saturating_add(more.max(FeeratePerKw::FLOOR.0)))
}

/// The most that may be paid for `at_stake`.
pub(crate) fn budget(at_stake: Amount) -> Amount {
    Amount::from_sat(at_stake.to_sat() / 100 * BUDGET_PERCENT)
}

/// The least feerate at which `weight` pays `fee`.
pub(crate) fn feerate_for(fee: Amount, weight: Weight) -> FeeratePerKw {
    let per_kw = fee.to_sat().saturating_mul(1_000).div_ceil(weight.to_wu().max(1));
    FeeratePerKw(u32::try_from(per_kw).unwrap_or(u32::MAX))
}

fn blocks_left(deadline: BlockHeight, tip: BlockHeight) -> BlockCount {
    BlockCount(deadline.0.saturating_sub(tip.0))
}
