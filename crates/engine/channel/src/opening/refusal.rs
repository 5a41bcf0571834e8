//! Why an opening is refused: which field, which value, and which bound.
//!
//! The text of an [`OpenRefusal`] is both what the peer reads in `error` and what the user reads.

use bitcoin::constants::ChainHash;
use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::{BlockCount, ChannelId, Feature, Features, FeeratePerKw, MilliSatoshi, ToSelfDelay};
use quittance_transactions::{CommitmentFormat, InvalidSignatures, OpenerCannotAfford};
use quittance_wire::ErrorMessage;

/// Why a channel is not opened. The fields are the values compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values compared, and the text says how")]
pub enum OpenRefusal {
    // open_channel.
    #[error("chain_hash {got} is not that of our chain, {ours}")]
    UnknownChain { got: ChainHash, ours: ChainHash },
    #[error("temporary_channel_id is zero, which stands for all channels")]
    TemporaryIdZero,
    #[error("temporary_channel_id {0} is in use")]
    TemporaryIdTaken(ChannelId),
    #[error("{0} channels of yours are being opened, which is the most at a time")]
    TooManyOpenings(usize),
    #[error("{0} channels wait for fundings of others, which is the most")]
    TooManyUnfunded(usize),
    #[error("open_channel where option_dual_fund asks for open_channel2")]
    DualFundNegotiated,
    #[error("funding_satoshis of {} is below the minimum of {}", .got.to_sat(), .minimum.to_sat())]
    FundingTooSmall { got: Amount, minimum: Amount },
    #[error("funding_satoshis of {} is above the maximum of {}", .got.to_sat(), .maximum.to_sat())]
    FundingTooLarge { got: Amount, maximum: Amount },
    #[error("funding_satoshis of {} is not below {}, which needs option_support_large_channel", .got.to_sat(), .limit.to_sat())]
    FundingNeedsLargeChannel { got: Amount, limit: Amount },
    #[error("push_msat of {} is above the {} that fund the channel", .push.0, .funding.0)]
    PushAboveFunding { push: MilliSatoshi, funding: MilliSatoshi },
    #[error("feerate_per_kw of {} is outside {} to {}", .got.0, .minimum.0, .maximum.0)]
    FeerateOutOfRange {
        got: FeeratePerKw,
        minimum: FeeratePerKw,
        maximum: FeeratePerKw,
    },
    #[error("feerate_per_kw of {} with zero_fee_commitments, where it must be 0", .got.0)]
    FeerateNotZero { got: FeeratePerKw },
    #[error("channel_flags ask for a channel that is not announced, and we want it announced")]
    AnnouncementRequired,
    #[error("channel_flags ask for a channel that is announced, and we do not want it announced")]
    AnnouncementForbidden,
    #[error("funding_satoshis less push_msat leave the opener {}, which does not cover fee and anchors of {} sat", .0.balance, .0.cost.to_sat())]
    FunderCannotAfford(OpenerCannotAfford),
    #[error("channel_reserve_satoshis of {} is not below the larger first balance: {to_opener} after fees, and {to_accepter}", .reserve.to_sat())]
    BothBelowReserve {
        to_opener: MilliSatoshi,
        to_accepter: MilliSatoshi,
        reserve: Amount,
    },

    // channel_type.
    #[error("channel_type is missing")]
    ChannelTypeMissing,
    #[error("channel_type {got:?} is none that is defined")]
    ChannelTypeUndefined { got: Features },
    #[error("channel_type has {0:?}, which was not negotiated")]
    ChannelTypeNotNegotiated(Feature),
    #[error("channel_type has commitments of format {0:?}, which we do not use")]
    ChannelTypeUnwanted(CommitmentFormat),
    #[error("channel_type has option_scid_alias, and channel_flags ask for an announcement")]
    ScidAliasAnnounced,
    #[error("channel_type has option_zeroconf, and we do not trust the peer to open a channel without confirmation")]
    ZeroconfNotTrusted,
    #[error("channel_type {got:?} is not the {expected:?} of open_channel")]
    ChannelTypeChanged { got: Features, expected: Features },

    // What either message asks of the other side.
    #[error("dust_limit_satoshis of {} is below the minimum of {}", .got.to_sat(), .minimum.to_sat())]
    DustLimitTooSmall { got: Amount, minimum: Amount },
    #[error("dust_limit_satoshis of {} is above the maximum of {}", .got.to_sat(), .maximum.to_sat())]
    DustLimitTooLarge { got: Amount, maximum: Amount },
    #[error("dust_limit_satoshis of {} is above the channel_reserve_satoshis of {}", .dust_limit.to_sat(), .reserve.to_sat())]
    DustLimitAboveReserve { dust_limit: Amount, reserve: Amount },
    #[error("dust_limit_satoshis of {} is above the other side's channel_reserve_satoshis of {}", .dust_limit.to_sat(), .reserve.to_sat())]
    DustLimitAboveOthersReserve { dust_limit: Amount, reserve: Amount },
    #[error("channel_reserve_satoshis of {} is below the other side's dust_limit_satoshis of {}", .reserve.to_sat(), .dust_limit.to_sat())]
    ReserveBelowOthersDustLimit { reserve: Amount, dust_limit: Amount },
    #[error("channel_reserve_satoshis of {} is above the maximum of {}", .got.to_sat(), .maximum.to_sat())]
    ReserveTooLarge { got: Amount, maximum: Amount },
    #[error("htlc_minimum_msat of {} is above the maximum of {}", .got.0, .maximum.0)]
    HtlcMinimumTooLarge { got: MilliSatoshi, maximum: MilliSatoshi },
    #[error("max_htlc_value_in_flight_msat of {} is below the minimum of {}", .got.0, .minimum.0)]
    InFlightTooSmall { got: MilliSatoshi, minimum: MilliSatoshi },
    #[error("to_self_delay of {} is above the maximum of {}", .got.0, .maximum.0)]
    DelayTooLarge { got: ToSelfDelay, maximum: ToSelfDelay },
    #[error("max_accepted_htlcs of {got} is below the minimum of {minimum}")]
    AcceptedHtlcsTooFew { got: u16, minimum: u16 },
    #[error("max_accepted_htlcs of {got} is above the maximum of {maximum}")]
    AcceptedHtlcsTooMany { got: u16, maximum: u16 },
    #[error("upfront_shutdown_script {got:x} is none that a closing transaction may pay to")]
    InvalidShutdownScript { got: ScriptBuf },

    // accept_channel.
    #[error("minimum_depth of {} is above the maximum of {}", .got.0, .maximum.0)]
    DepthTooLarge { got: BlockCount, maximum: BlockCount },
    #[error("minimum_depth of {} with option_zeroconf, where it must be 0", .got.0)]
    DepthNotZero { got: BlockCount },

    // funding_created and funding_signed.
    #[error("channel_id {got} where {expected} is being opened")]
    OtherChannel { got: ChannelId, expected: ChannelId },
    #[error("funding_txid and funding_output_index give channel_id {0}, which is in use")]
    ChannelIdTaken(ChannelId),
    #[error("signature: {0}")]
    InvalidSignature(InvalidSignatures),
    #[error("{message} while the opening waits for {awaited}")]
    OutOfPlace {
        message: &'static str,
        awaited: &'static str,
    },

    /// We do not want the channel, for a reason of our own.
    #[error("{0}")]
    Unwanted(String),
}

/// A peer's message was refused, and the opening is over. Nothing of it was ever durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// The id by which the peer knows the opening at this stage (BOLT 1, `error`).
    pub channel_id: ChannelId,
    /// Why.
    pub why: OpenRefusal,
}

impl Refused {
    /// The `error` that the peer gets.
    pub fn message(&self) -> ErrorMessage {
        ErrorMessage {
            channel_id: self.channel_id,
            data: self.why.to_string().into_bytes(),
        }
    }
}

/// What our own side asked for is not possible, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unchanged<S, W> {
    /// The opening, as it was.
    pub state: S,
    /// Why.
    pub why: W,
}
