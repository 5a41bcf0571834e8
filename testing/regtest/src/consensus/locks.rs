//! Absolute (`nLockTime`) and relative (BIP 68) lock times, as they decide about the next block.
//!
//! The opcodes CLTV and CSV compare a transaction with its own fields and belong to the scripts; whether those fields are
//! met by the chain is decided here.

use bitcoin::Transaction;
use bitcoin::transaction::Version;

/// Values below are heights, values from here on are seconds since 1970.
const LOCK_TIME_THRESHOLD: u32 = 500_000_000;
const SEQUENCE_FINAL: u32 = 0xffff_ffff;
const SEQUENCE_DISABLE_FLAG: u32 = 1 << 31;
const SEQUENCE_TIME_FLAG: u32 = 1 << 22;
const SEQUENCE_MASK: u32 = 0xffff;
/// Relative times count in units of 512 seconds.
const SEQUENCE_GRANULARITY_BITS: u32 = 9;

/// The place that is checked: the block that would come next.
#[derive(Clone, Copy, Debug)]
pub struct NextBlock {
    /// Its height.
    pub height: u32,
    /// The median time of the eleven blocks before it (BIP 113).
    pub median_time_past: u32,
}

/// Whether `nLockTime` allows the transaction in this block.
pub fn is_final(transaction: &Transaction, next: NextBlock) -> bool {
    let lock_time = transaction.lock_time.to_consensus_u32();
    let limit = if lock_time < LOCK_TIME_THRESHOLD {
        next.height
    } else {
        next.median_time_past
    };
    lock_time == 0 || lock_time < limit || transaction.input.iter().all(|input| input.sequence.0 == SEQUENCE_FINAL)
}

/// Whether all relative lock times allow the transaction in this block.
///
/// `input_heights` are the heights at which the inputs' outputs were confirmed, or the next block's for unconfirmed ones;
/// `median_time_past` gives the median time of the eleven blocks up to and including a height.
pub fn sequence_locks_met(
    transaction: &Transaction,
    input_heights: &[u32],
    median_time_past: impl Fn(u32) -> u32,
    next: NextBlock,
) -> bool {
    debug_assert_eq!(transaction.input.len(), input_heights.len(), "every input has a height");
    // The version is unsigned to consensus: all but 0 and 1 have relative lock times.
    if matches!(transaction.version, Version(0) | Version::ONE) {
        return true;
    }
    transaction.input.iter().zip(input_heights).all(|(input, height)| {
        let sequence = input.sequence.0;
        let distance = sequence & SEQUENCE_MASK;
        if sequence & SEQUENCE_DISABLE_FLAG != 0 {
            true
        } else if sequence & SEQUENCE_TIME_FLAG != 0 {
            // Time runs from the earliest stamp that the confirming block could have had: the median before it.
            let start = u64::from(median_time_past(height.saturating_sub(1)));
            u64::from(next.median_time_past) >= start + (u64::from(distance) << SEQUENCE_GRANULARITY_BITS)
        } else {
            u64::from(next.height) >= u64::from(*height) + u64::from(distance)
        }
    })
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::{Sequence, TxIn};

    use super::*;

    fn transaction(version: i32, lock_time: u32, sequence: u32) -> Transaction {
        Transaction {
            version: Version(version),
            lock_time: LockTime::from_consensus(lock_time),
            input: vec![TxIn {
                sequence: Sequence(sequence),
                ..TxIn::default()
            }],
            output: Vec::new(),
        }
    }

    const NEXT: NextBlock = NextBlock {
        height: 100,
        median_time_past: 1_600_000_000,
    };

    #[test]
    fn a_lock_height_is_the_last_height_that_is_too_early() {
        assert!(is_final(&transaction(2, 99, 0), NEXT));
        assert!(!is_final(&transaction(2, 100, 0), NEXT));
        assert!(is_final(&transaction(2, 100, SEQUENCE_FINAL), NEXT));
    }

    #[test]
    fn a_lock_time_is_compared_with_the_median_time_past() {
        assert!(is_final(&transaction(2, 1_599_999_999, 0), NEXT));
        assert!(!is_final(&transaction(2, 1_600_000_000, 0), NEXT));
    }

    #[test]
    fn a_relative_height_counts_from_the_confirming_block() {
        let met = |version, sequence| sequence_locks_met(&transaction(version, 0, sequence), &[90], |_| 0, NEXT);
        assert!(met(2, 10));
        assert!(!met(2, 11));
        assert!(met(1, 11));
        assert!(met(2, SEQUENCE_DISABLE_FLAG | 0xb));
    }

    #[test]
    fn a_relative_time_counts_from_the_median_before_the_confirming_block() {
        let median = |height: u32| {
            assert_eq!(height, 89);
            1_600_000_000 - 1_024
        };
        let met = |units| sequence_locks_met(&transaction(2, 0, SEQUENCE_TIME_FLAG | units), &[90], median, NEXT);
        assert!(met(2));
        assert!(!met(3));
    }
}
