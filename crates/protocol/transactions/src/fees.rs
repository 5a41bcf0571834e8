//! Fees, weights and dust: what a commitment costs its opener, and which HTLCs are too small for an output (BOLT 3, fee
//! calculation and trimmed outputs).
//!
//! The same functions decide what a commitment transaction contains and what a channel may promise, so the two agree.

use bitcoin::{Amount, Weight};
use quittance_primitives::{FeeratePerKw, MilliSatoshi};

use crate::format::HTLC_OUTPUT_WEIGHT;
use crate::{CommitmentFormat, Htlc, HtlcDirection};

/// The expected weight of a commitment transaction with `untrimmed_htlcs` HTLC outputs.
pub const fn commitment_weight(format: CommitmentFormat, untrimmed_htlcs: u32) -> Weight {
    Weight::from_wu(format.base_weight().to_wu() + HTLC_OUTPUT_WEIGHT.to_wu() * untrimmed_htlcs as u64)
}

/// The base fee of a commitment transaction, which the opener pays, anchors not included. Rounded down (BOLT 3).
pub fn commitment_fee(format: CommitmentFormat, feerate: FeeratePerKw, untrimmed_htlcs: u32) -> Amount {
    match format {
        CommitmentFormat::StaticRemotekey | CommitmentFormat::Anchors => {
            feerate.fee_floor(commitment_weight(format, untrimmed_htlcs))
        }
        CommitmentFormat::ZeroFee => Amount::ZERO,
    }
}

/// What the opener pays for a commitment transaction: the base fee and the anchors.
pub fn opener_cost(format: CommitmentFormat, feerate: FeeratePerKw, untrimmed_htlcs: u32) -> Amount {
    commitment_fee(format, feerate, untrimmed_htlcs) + format.anchors_cost()
}

/// The fee inside an HTLC transaction: nothing, but in [`CommitmentFormat::StaticRemotekey`]. Rounded down (BOLT 3).
pub fn htlc_transaction_fee(format: CommitmentFormat, direction: HtlcDirection, feerate: FeeratePerKw) -> Amount {
    if !format.htlc_transactions_pay_fees() {
        return Amount::ZERO;
    }
    feerate.fee_floor(match direction {
        HtlcDirection::Offered => format.htlc_timeout_weight(),
        HtlcDirection::Received => format.htlc_success_weight(),
    })
}

/// The least amount that an HTLC needs for an output of its own.
///
/// `direction` and `dust_limit` are those of the commitment's owner: the same HTLC can be trimmed on one side's commitment and
/// present on the other's.
pub fn htlc_output_min(
    format: CommitmentFormat,
    direction: HtlcDirection,
    feerate: FeeratePerKw,
    dust_limit: Amount,
) -> Amount {
    let fee = htlc_transaction_fee(format, direction, feerate);
    dust_limit.checked_add(fee).unwrap_or(Amount::MAX)
}

/// Whether an HTLC of this amount has no output of its own: below [`htlc_output_min`], once rounded down to whole satoshis.
pub fn is_trimmed(
    format: CommitmentFormat,
    direction: HtlcDirection,
    feerate: FeeratePerKw,
    dust_limit: Amount,
    amount: MilliSatoshi,
) -> bool {
    amount.to_sat_floor() < htlc_output_min(format, direction, feerate, dust_limit)
}

/// What an HTLC adds to the dust balance of a commitment: all of it when it is trimmed, else nothing (BOLT 2, bounding
/// exposure to trimmed in-flight HTLCs).
pub fn dust_exposure(format: CommitmentFormat, feerate: FeeratePerKw, dust_limit: Amount, htlc: &Htlc) -> MilliSatoshi {
    if is_trimmed(format, htlc.direction, feerate, dust_limit, htlc.amount) {
        htlc.amount
    } else {
        MilliSatoshi::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUST_LIMIT: Amount = Amount::from_sat(546);
    const FEERATE: FeeratePerKw = FeeratePerKw(5_000);

    /// The worked example of BOLT 3, fee calculation.
    #[test]
    fn the_example_of_bolt_3_holds() {
        let format = CommitmentFormat::StaticRemotekey;
        let fee = |direction| htlc_transaction_fee(format, direction, FEERATE).to_sat();
        assert_eq!(fee(HtlcDirection::Offered), 3_315);
        assert_eq!(fee(HtlcDirection::Received), 3_515);
        let trimmed = |direction, msat| is_trimmed(format, direction, FEERATE, DUST_LIMIT, MilliSatoshi(msat));
        assert!(!trimmed(HtlcDirection::Offered, 5_000_000));
        assert!(trimmed(HtlcDirection::Offered, 1_000_000));
        assert!(!trimmed(HtlcDirection::Received, 7_000_000));
        assert!(trimmed(HtlcDirection::Received, 800_000));
        assert_eq!(commitment_weight(format, 2).to_wu(), 1_068);
        assert_eq!(commitment_fee(format, FEERATE, 2).to_sat(), 5_340);
    }

    #[test]
    fn an_htlc_is_trimmed_below_the_limit_plus_its_own_fee_and_not_at_it() {
        let format = CommitmentFormat::StaticRemotekey;
        let trimmed = |msat| is_trimmed(format, HtlcDirection::Offered, FEERATE, DUST_LIMIT, MilliSatoshi(msat));
        assert!(trimmed((546 + 3_315) * 1_000 - 1));
        assert!(!trimmed((546 + 3_315) * 1_000));
    }

    #[test]
    fn without_fees_in_htlc_transactions_only_the_dust_limit_counts() {
        for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
            for direction in [HtlcDirection::Offered, HtlcDirection::Received] {
                assert!(is_trimmed(
                    format,
                    direction,
                    FEERATE,
                    DUST_LIMIT,
                    MilliSatoshi(545_999)
                ));
                assert!(!is_trimmed(
                    format,
                    direction,
                    FEERATE,
                    DUST_LIMIT,
                    MilliSatoshi(546_000)
                ));
            }
        }
    }

    #[test]
    fn the_opener_pays_for_both_anchors_and_nothing_where_there_is_no_fee() {
        assert_eq!(
            opener_cost(CommitmentFormat::Anchors, FeeratePerKw(253), 0).to_sat(),
            284 + 660
        );
        assert_eq!(
            opener_cost(CommitmentFormat::StaticRemotekey, FeeratePerKw(253), 0).to_sat(),
            183
        );
        assert_eq!(opener_cost(CommitmentFormat::ZeroFee, FeeratePerKw(253), 5).to_sat(), 0);
    }
}
