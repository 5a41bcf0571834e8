//! What a peer can break in BOLT 2, with the values compared, and how each is answered.
//!
//! Where the BOLT leaves the choice between a warning on a closed connection and failing the channel, we warn: a channel is
//! worth more than a peer's mistake is bad, and nothing of what the peer sent is kept (G6).

use bitcoin::{Amount, Txid};
use quittance_primitives::{CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_transactions::{InvalidSignatures, OpenerCannotAfford, SimpleCloseVariant};

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
    #[error("{message} with another script than the one promised when the channel opened")]
    NotUpfrontScript { message: &'static str },
    #[error("shutdown with another script than the one before")]
    ShutdownScriptChanged,
    #[error("a second shutdown on one connection")]
    ShutdownTwice,
    #[error("shutdown with an HTLC of the sender that it has not committed to")]
    ShutdownWithUpdatesPending,
    #[error("{message} with HTLCs or updates left")]
    ClosingTooEarly { message: &'static str },
    #[error("{message} belongs to the closing protocol that was not negotiated")]
    WrongClosingProtocol { message: &'static str },
    #[error("update_fee after the sender began to negotiate the closing transaction")]
    UpdateAfterClosing,
    #[error("the closing signature is invalid")]
    InvalidClosingSignature,
    #[error("an output of the closing transaction is too small to relay")]
    ClosingOutputIsDust,
    #[error("no closing transaction at a fee of {fee} has an output")]
    ClosingHasNoOutput { fee: Amount },
    #[error("a closing fee of {got}, outside {minimum} to {maximum}, which both sides would accept")]
    ClosingFeeOutsideOverlap {
        got: Amount,
        minimum: Amount,
        maximum: Amount,
    },
    #[error("a closing fee of {got} in answer to {expected}")]
    ClosingFeeNotRepeated { got: Amount, expected: Amount },
    #[error("a closing fee of {got}, not strictly between {low} and {high}")]
    ClosingFeeNotBetween { got: Amount, low: Amount, high: Amount },
    #[error("no closing fee suits both: we accept {minimum} to {maximum}, the peer {their_minimum} to {their_maximum}")]
    NoCommonClosingFee {
        minimum: Amount,
        maximum: Amount,
        their_minimum: Amount,
        their_maximum: Amount,
    },
    #[error("a closing fee of {fee} from a balance of {balance}")]
    ClosingFeeAboveBalance { fee: Amount, balance: Amount },
    #[error("closing_complete with a closer_scriptpubkey that no closing transaction may pay to")]
    InvalidClosingScript,
    #[error("closing_complete names a script that is not the last one that we sent")]
    StaleClosingScript,
    #[error("closing_complete lacks the signature for {needed:?}")]
    MissingClosingSignature { needed: SimpleCloseVariant },
    #[error("closing_sig without a closing_complete that awaits one")]
    UnexpectedClosingSig,
    #[error("closing_sig does not repeat what our closing_complete said")]
    ClosingSigMismatch,
    #[error("closing_sig with {got} signatures")]
    ClosingSigCount { got: usize },
    #[error("closing_sig for {got:?}, which our closing_complete did not offer")]
    ClosingVariantNotOffered { got: SimpleCloseVariant },
    #[error("more than {limit} closing transactions for one channel")]
    TooManyClosings { limit: usize },
    #[error("the peer does not go on with the closing negotiation")]
    ClosingStalled,
    #[error("our closing_complete is not answered")]
    ClosingSigOverdue,

    // stfu.
    #[error("stfu without option_quiesce")]
    QuiescenceNotNegotiated,
    #[error("stfu with updates of the sender pending")]
    StfuWithUpdatesPending,
    #[error("a second stfu")]
    StfuTwice,
    #[error("stfu as if it were an answer, without one of ours")]
    StfuAnswersNothing,
    #[error("an update after stfu")]
    UpdateAfterStfu,
    #[error("the channel has been quiescent for too long")]
    QuiescentTooLong,
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
            | Self::PeerFellBehind { .. }
            | Self::ClosingOutputIsDust
            | Self::ClosingHasNoOutput { .. }
            | Self::ClosingFeeOutsideOverlap { .. }
            | Self::ClosingFeeNotRepeated { .. }
            | Self::ClosingStalled => Answer::FailChannel,
            Self::ReestablishedTwice
            | Self::ReadyWithOtherPoint
            | Self::InvalidShutdownScript
            | Self::ShutdownTwice
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
            | Self::NotUpfrontScript { .. }
            | Self::ShutdownScriptChanged
            | Self::ShutdownWithUpdatesPending
            | Self::ClosingTooEarly { .. }
            | Self::WrongClosingProtocol { .. }
            | Self::UpdateAfterClosing
            | Self::InvalidClosingSignature
            | Self::ClosingFeeNotBetween { .. }
            | Self::ClosingFeeAboveBalance { .. }
            | Self::InvalidClosingScript
            | Self::StaleClosingScript
            | Self::MissingClosingSignature { .. }
            | Self::UnexpectedClosingSig
            | Self::ClosingSigMismatch
            | Self::ClosingSigCount { .. }
            | Self::ClosingVariantNotOffered { .. }
            | Self::TooManyClosings { .. }
            | Self::ClosingSigOverdue
            | Self::StfuWithUpdatesPending
            | Self::StfuTwice
            | Self::StfuAnswersNothing
            | Self::UpdateAfterStfu
            | Self::QuiescentTooLong => Answer::WarnAndDisconnect,
        }
    }
}
