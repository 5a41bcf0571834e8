//! How deep a block must be before what it holds counts.

use quittance_primitives::{BlockCount, BlockHeight};

/// An on-chain timeout, or an HTLC that the confirmed commitment lacks, becomes a failure at this depth.
pub const OUTCOME_DEPTH: BlockCount = BlockCount(6);
/// A closed channel may be forgotten once everything about it is this deep.
pub const FORGET_DEPTH: BlockCount = BlockCount(100);

/// Whether a block at `height` is buried under `tip`.
pub(crate) fn is_buried(height: BlockHeight, tip: BlockHeight) -> bool {
    #[cfg(feature = "mutants")]
    if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::TimeoutFinalTooSoon) {
        return height <= tip;
    }
    height.depth_at(tip) >= OUTCOME_DEPTH
}
