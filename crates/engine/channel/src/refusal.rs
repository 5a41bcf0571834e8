//! Why a channel refuses what its own node asks of it. Nothing has changed.

use bitcoin::Amount;
use quittance_primitives::{FeeratePerKw, HtlcId, MilliSatoshi};

use crate::HtlcState;

/// Why a command was refused. The fields are the values compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values compared, and the text says how")]
pub enum Refusal {
    #[error("the peer is not connected")]
    PeerNotConnected,
    #[error("the channel is {0}")]
    WrongPhase(&'static str),
    #[error("the channel is being made quiescent")]
    Quiescent,
    #[error("{got} is below the peer's minimum of {minimum} for an HTLC")]
    BelowMinimum { got: MilliSatoshi, minimum: MilliSatoshi },
    #[error("the peer takes no more than {limit} HTLCs at a time")]
    TooManyHtlcs { limit: u16 },
    #[error("{got} would be in flight, and the peer takes no more than {limit}")]
    TooMuchInFlight { got: MilliSatoshi, limit: MilliSatoshi },
    #[error("our balance of {balance} does not cover {needed} for the HTLC, the reserve and the fees")]
    CannotAfford {
        balance: MilliSatoshi,
        needed: MilliSatoshi,
    },
    #[error("the peer's balance of {balance} does not cover the {needed} that its reserve and the fees would need")]
    PeerCannotAfford {
        balance: MilliSatoshi,
        needed: MilliSatoshi,
    },
    #[error("{got} in HTLCs too small to be claimed on chain, more than our limit of {limit}")]
    TooMuchDust { got: MilliSatoshi, limit: MilliSatoshi },
    #[error("an HTLC must expire at a height below 500000000")]
    ExpiryIsTime,
    #[error("{0} is not there")]
    UnknownHtlc(HtlcId),
    #[error("{id} cannot be removed in state {state:?}")]
    HtlcNotRemovable { id: HtlcId, state: HtlcState },
    #[error("the preimage does not hash to the payment hash of {0}")]
    WrongPreimage(HtlcId),
    #[error("only the opener of a channel sets its feerate, and zero-fee commitments have none")]
    NotOurFee,
    #[error("the feerate is {0} already")]
    SameFeerate(FeeratePerKw),
    #[error("our updates must be acknowledged first")]
    UpdatesPending,
    #[error("a close by agreement has begun, and the peer lets no closing transaction be replaced")]
    ShutdownSent,
    #[error("there is no script to be paid to by a closing transaction")]
    NoShutdownScript,
    #[error("the script is not one that a closing transaction may pay to")]
    InvalidShutdownScript,
    #[error("the channel was opened with the promise of another script")]
    NotUpfrontScript,
    #[error("a feerate of {got} for the closing transaction, outside {minimum} to {maximum}")]
    ClosingFeerateOutOfRange {
        got: FeeratePerKw,
        minimum: FeeratePerKw,
        maximum: FeeratePerKw,
    },
    #[error("a closing fee of {got} does not replace one of {previous}")]
    ClosingFeeNotHigher { got: Amount, previous: Amount },
    #[error("a flat fee of {got}, more than the {limit} that channel_update can say")]
    FeeTooLarge { got: MilliSatoshi, limit: MilliSatoshi },
    #[error("a CLTV delta of {got} blocks; below {minimum} there is no time to claim on chain what we forward")]
    ExpiryDeltaTooSmall { got: u16, minimum: u16 },
    #[error("a smallest HTLC of {minimum}, more than the largest of {maximum}")]
    MinimumAboveMaximum {
        minimum: MilliSatoshi,
        maximum: MilliSatoshi,
    },
    #[error("the peer does not support this: {0}")]
    NotNegotiated(&'static str),
}
