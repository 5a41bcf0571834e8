//! What a peer can break in BOLT 2, with the values compared, and how each is answered.
//!
//! Where the BOLT leaves the choice between a warning on a closed connection and failing the channel, we warn: a channel is
//! worth more than a peer's mistake is bad, and nothing of what the peer sent is kept (G6).

use bitcoin::{Amount, Txid};
use quittance_primitives::{CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_transactions::{InvalidSignatures, OpenerCannotAfford};

use crate::HtlcState;

/// How a violation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `warning`; the message is ignored and the connection goes on.
    Warn,
    /// `warning`, and the connection is closed. What the peer had not committed to is forgotten.
    WarnAndDisconnect,
    /// `error`, and the channel is closed by our latest commitment.
    FailChannel,
}

/// What the peer did wrong. Nothing of ours has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values compared, and the text says how")]
pub enum Violation {
    // Messages out of place.
    #[error("{message} before channel_reestablish")]
    BeforeReestablish { message: &'static str },
    #[error("{message} while the channel is {phase}")]
    WrongPhase { message: &'static str, phase: &'static str },
    #[error("{message} on a quiescent channel")]
    WhileQuiescent { message: &'static str },

    // update_add_htlc.
    #[error("HTLC id {got} where {expected} is next")]
    HtlcIdOutOfOrder { got: HtlcId, expected: HtlcId },
    #[error("an HTLC of nothing")]
    HtlcOfNothing,
    #[error("an HTLC of {got}, below our htlc_minimum_msat of {minimum}")]
    HtlcBelowMinimum { got: MilliSatoshi, minimum: MilliSatoshi },
    #[error("cltv_expiry {0} is a time, not a height")]
    ExpiryIsTime(CltvExpiry),
    #[error("{got} HTLCs, more than our max_accepted_htlcs of {limit}")]
    TooManyHtlcs { got: u16, limit: u16 },
    #[error("{got} in flight, more than our max_htlc_value_in_flight_msat of {limit}")]
    TooMuchInFlight { got: MilliSatoshi, limit: MilliSatoshi },
    #[error("a balance of {balance} does not cover {needed} for the HTLC, the reserve and the fees")]
    CannotAfford {
        balance: MilliSatoshi,
        needed: MilliSatoshi,
    },
    #[error("update_add_htlc after shutdown")]
    AddAfterShutdown,

    // Removals.
    #[error("{0} is not one of ours")]
    UnknownHtlc(HtlcId),
    #[error("{id} cannot be removed in state {state:?}")]
    HtlcNotRemovable { id: HtlcId, state: HtlcState },
    #[error("the preimage for {0} does not hash to its payment hash")]
    WrongPreimage(HtlcId),
    #[error("failure code {failure_code:#06x} of update_fail_malformed_htlc for {id} lacks the BADONION bit")]
    NotBadOnion { id: HtlcId, failure_code: u16 },

    // update_fee.
    #[error("update_fee from the side that does not pay the fee")]
    FeeFromAccepter,
    #[error("update_fee on a channel of zero-fee commitments")]
    FeeOnZeroFeeChannel,
    #[error("a feerate of {got} outside {minimum} to {maximum}")]
    FeerateOutOfRange {
        got: FeeratePerKw,
        minimum: FeeratePerKw,
        maximum: FeeratePerKw,
    },

    // The commitment dance.
    #[error("commitment_signed without an update")]
    CommitmentWithoutUpdate,
    #[error("commitment_signed for funding {got}, which is not ours")]
    UnknownFunding { got: Txid },
    #[error("the commitment cannot be built: {0}")]
    OpenerCannotAfford(OpenerCannotAfford),
    #[error("{0}")]
    InvalidSignatures(InvalidSignatures),
    #[error("revoke_and_ack without a commitment_signed that awaits one")]
    NoRevocationAwaited,
    #[error("per_commitment_secret does not belong to {0}")]
    WrongSecret(CommitmentNumber),
    #[error("per_commitment_secret of {0} does not derive the ones before it")]
    SecretNotDerived(CommitmentNumber),

    // channel_ready.
    #[error("channel_ready with another point than before")]
    ReadyWithOtherPoint,

    // channel_reestablish.
    #[error("channel_reestablish on a connection that has had one")]
    ReestablishedTwice,
    #[error("next_commitment_number is zero")]
    ReestablishAtZero,
    #[error("next_commitment_number {got} where {expected} is next")]
    CommitmentNumberAhead { got: u64, expected: u64 },
    #[error("next_revocation_number {got} where {expected} is next, without proof")]
    RevocationNumberAhead { got: u64, expected: u64 },
    #[error("your_last_per_commitment_secret is not ours")]
    WrongLastSecret,
    #[error("the peer fell behind: it awaits {what} {got} and we are at {expected}")]
    PeerFellBehind {
        what: &'static str,
        got: u64,
        expected: u64,
    },

    // shutdown and closing.
    #[error("shutdown with a script that no closing transaction may pay to")]
    InvalidShutdownScript,
    #[error("shutdown with another script than the one promised when the channel opened")]
    NotUpfrontScript,
    #[error("a second shutdown with another script")]
    ShutdownScriptChanged,
    #[error("{message} with HTLCs or updates left")]
    ClosingTooEarly { message: &'static str },
    #[error("the closing signature is invalid")]
    InvalidClosingSignature,
    #[error("a closing fee of {got}, outside {minimum} to {maximum}")]
    ClosingFeeOutOfRange {
        got: Amount,
        minimum: Amount,
        maximum: Amount,
    },
    #[error("no closing fee suits both: the peer's range ends at {theirs}, ours begins at {ours}")]
    NoCommonClosingFee { theirs: Amount, ours: Amount },
    #[error("a closing fee of {fee} from a balance of {balance}")]
    ClosingFeeAboveBalance { fee: Amount, balance: Amount },
    #[error("{message} names a script that is not the last one sent")]
    StaleClosingScript { message: &'static str },
    #[error("{message} lacks the signature that the outputs ask for")]
    MissingClosingSignature { message: &'static str },
    #[error("closing_sig does not answer our closing_complete")]
    UnexpectedClosingSig,

    // stfu.
    #[error("stfu without option_quiesce")]
    QuiescenceNotNegotiated,
    #[error("stfu with updates of the sender pending")]
    StfuWithUpdatesPending,
    #[error("a second stfu")]
    StfuTwice,
    #[error("an update after stfu")]
    UpdateAfterStfu,
}

impl Violation {
    /// How BOLT 2 wants it answered.
    pub const fn answer(&self) -> Answer {
        match self {
            // BOLT 2 leaves no choice: without the secret, or against our own proof, there is no channel to go on with.
            Self::WrongSecret(_)
            | Self::SecretNotDerived(_)
            | Self::ReestablishAtZero
            | Self::CommitmentNumberAhead { .. }
            | Self::RevocationNumberAhead { .. }
            | Self::WrongLastSecret
            | Self::PeerFellBehind { .. } => Answer::FailChannel,
            Self::ReestablishedTwice
            | Self::ReadyWithOtherPoint
            | Self::InvalidShutdownScript
            | Self::NoCommonClosingFee { .. }
            | Self::QuiescenceNotNegotiated => Answer::Warn,
            Self::BeforeReestablish { .. }
            | Self::WrongPhase { .. }
            | Self::WhileQuiescent { .. }
            | Self::HtlcIdOutOfOrder { .. }
            | Self::HtlcOfNothing
            | Self::HtlcBelowMinimum { .. }
            | Self::ExpiryIsTime(_)
            | Self::TooManyHtlcs { .. }
            | Self::TooMuchInFlight { .. }
            | Self::CannotAfford { .. }
            | Self::AddAfterShutdown
            | Self::UnknownHtlc(_)
            | Self::HtlcNotRemovable { .. }
            | Self::WrongPreimage(_)
            | Self::NotBadOnion { .. }
            | Self::FeeFromAccepter
            | Self::FeeOnZeroFeeChannel
            | Self::FeerateOutOfRange { .. }
            | Self::CommitmentWithoutUpdate
            | Self::UnknownFunding { .. }
            | Self::OpenerCannotAfford(_)
            | Self::InvalidSignatures(_)
            | Self::NoRevocationAwaited
            | Self::NotUpfrontScript
            | Self::ShutdownScriptChanged
            | Self::ClosingTooEarly { .. }
            | Self::InvalidClosingSignature
            | Self::ClosingFeeOutOfRange { .. }
            | Self::ClosingFeeAboveBalance { .. }
            | Self::StaleClosingScript { .. }
            | Self::MissingClosingSignature { .. }
            | Self::UnexpectedClosingSig
            | Self::StfuWithUpdatesPending
            | Self::StfuTwice
            | Self::UpdateAfterStfu => Answer::WarnAndDisconnect,
        }
    }
}
