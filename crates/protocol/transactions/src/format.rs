//! The three formats of commitment transactions, and the constants of BOLT 3 that differ between them.

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::transaction::Version;
use bitcoin::{Amount, Sequence, Weight};
use quittance_primitives::{Feature, Features};

/// How a channel's commitment transactions are built; fixed by the channel type when the channel opens (BOLT 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitmentFormat {
    /// `option_static_remotekey`: fees are in the commitment and in its HTLC transactions.
    StaticRemotekey,
    /// `option_anchors`: an anchor for each side, HTLC transactions without fee.
    Anchors,
    /// `zero_fee_commitments`: no fee at all, one anchor that anyone can spend, transactions of version 3.
    ZeroFee,
}

/// The value of each of the two outputs `to_local_anchor` and `to_remote_anchor` (BOLT 3).
pub const ANCHOR_VALUE: Amount = Amount::from_sat(330);
/// The most that a shared anchor holds: the dust threshold of its script (BOLT 3, `shared_anchor`).
pub const SHARED_ANCHOR_VALUE_MAX: Amount = Amount::from_sat(240);
/// What each untrimmed HTLC adds to the expected weight of a commitment (BOLT 3, fee calculation).
pub const HTLC_OUTPUT_WEIGHT: Weight = Weight::from_wu(172);
/// Blocks after which anyone may spend an anchor of `option_anchors` (BOLT 3).
pub const ANCHOR_DELAY_BLOCKS: u16 = 16;

impl CommitmentFormat {
    /// The format that a channel type asks for, or `None` when it asks for two at once or for none.
    ///
    /// ```
    /// use quittance_primitives::{Feature, Features};
    /// use quittance_transactions::CommitmentFormat;
    ///
    /// let channel_type = Features::empty().requiring(Feature::StaticRemotekey).requiring(Feature::Anchors);
    /// assert_eq!(CommitmentFormat::of_channel_type(&channel_type), Some(CommitmentFormat::Anchors));
    /// ```
    pub fn of_channel_type(channel_type: &Features) -> Option<Self> {
        let asks = |feature| channel_type.requires(feature);
        match (
            asks(Feature::ZeroFeeCommitments),
            asks(Feature::Anchors),
            asks(Feature::StaticRemotekey),
        ) {
            (true, false, _) => Some(Self::ZeroFee),
            (false, true, _) => Some(Self::Anchors),
            (false, false, true) => Some(Self::StaticRemotekey),
            (true, true, _) | (false, false, false) => None,
        }
    }

    /// The version of commitment and HTLC transactions.
    pub const fn transaction_version(self) -> Version {
        match self {
            Self::StaticRemotekey | Self::Anchors => Version::TWO,
            Self::ZeroFee => Version(3),
        }
    }

    /// The expected weight of a commitment transaction without HTLCs (BOLT 3, appendix A).
    /// Zero-fee commitments pay no fee, so BOLT 3 gives no number; theirs is computed in the same way.
    pub const fn base_weight(self) -> Weight {
        match self {
            Self::StaticRemotekey => Weight::from_wu(724),
            Self::Anchors => Weight::from_wu(1_124),
            // The 724 of both balances, and an anchor output of 8 + 1 + 4 bytes.
            Self::ZeroFee => Weight::from_wu(724 + 4 * 13),
        }
    }

    /// The expected weight of an HTLC-timeout transaction (BOLT 3).
    pub const fn htlc_timeout_weight(self) -> Weight {
        match self {
            Self::StaticRemotekey | Self::ZeroFee => Weight::from_wu(663),
            Self::Anchors => Weight::from_wu(666),
        }
    }

    /// The expected weight of an HTLC-success transaction (BOLT 3).
    pub const fn htlc_success_weight(self) -> Weight {
        match self {
            Self::StaticRemotekey | Self::ZeroFee => Weight::from_wu(703),
            Self::Anchors => Weight::from_wu(706),
        }
    }

    /// What the opener pays for anchors, beside the fee (BOLT 3, fee payment).
    pub fn anchors_cost(self) -> Amount {
        match self {
            Self::Anchors => ANCHOR_VALUE * 2,
            Self::StaticRemotekey | Self::ZeroFee => Amount::ZERO,
        }
    }

    /// Whether the commitment and HTLC transactions carry fees of their own.
    pub const fn htlc_transactions_pay_fees(self) -> bool {
        matches!(self, Self::StaticRemotekey)
    }

    /// Whether every output but the anchors waits for a confirmation, as `option_anchors` has it.
    pub const fn outputs_wait_one_block(self) -> bool {
        matches!(self, Self::Anchors)
    }

    /// The sequence of the input of an HTLC transaction (BOLT 3).
    pub const fn htlc_sequence(self) -> Sequence {
        match self {
            Self::Anchors => Sequence(1),
            Self::StaticRemotekey | Self::ZeroFee => Sequence::ZERO,
        }
    }

    /// What a signature sent in `commitment_signed` for an HTLC transaction covers (BOLT 3).
    pub const fn htlc_sighash_type(self) -> EcdsaSighashType {
        match self {
            Self::StaticRemotekey => EcdsaSighashType::All,
            Self::Anchors | Self::ZeroFee => EcdsaSighashType::SinglePlusAnyoneCanPay,
        }
    }

    /// The largest `max_accepted_htlcs` that a side may set (BOLT 2).
    /// A transaction of version 3 is limited to 10 kvB, hence the lower bound.
    pub const fn accepted_htlcs_max(self) -> u16 {
        match self {
            Self::StaticRemotekey | Self::Anchors => 483,
            Self::ZeroFee => 114,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_type(features: &[Feature]) -> Option<CommitmentFormat> {
        let all = features
            .iter()
            .fold(Features::empty(), |sum, feature| sum.requiring(*feature));
        CommitmentFormat::of_channel_type(&all)
    }

    #[test]
    fn a_channel_type_names_one_format() {
        use Feature::{Anchors, ScidAlias, StaticRemotekey, ZeroFeeCommitments};
        assert_eq!(
            channel_type(&[StaticRemotekey, ScidAlias]),
            Some(CommitmentFormat::StaticRemotekey)
        );
        assert_eq!(
            channel_type(&[StaticRemotekey, Anchors]),
            Some(CommitmentFormat::Anchors)
        );
        assert_eq!(channel_type(&[ZeroFeeCommitments]), Some(CommitmentFormat::ZeroFee));
        assert_eq!(channel_type(&[Anchors, ZeroFeeCommitments]), None);
        assert_eq!(channel_type(&[]), None);
    }
}
