//! Known bugs of the field, each switched on alone by a simulation that must catch it. Only in builds with the feature `mutants`.
//!
//! The switch is one for each thread, so that the engine's values carry no trace of it.

use std::cell::Cell;

thread_local! {
    static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The preimage of a fulfilled HTLC of ours is not kept in the channel's log.
    PreimageNotKept,
    /// An outcome leaves the log with the peer's final `revoke_and_ack`, handled or not.
    OutcomeReleasedAtRevocation,
    /// An outcome leaves the log when it is handled, although its HTLC is still there.
    OutcomeReleasedOnHandling,
    /// A failure that the peer may still take back ends a payment.
    RevocableFailureEndsPayment,
    /// A failure that the peer may still take back is passed upstream.
    RevocableFailurePassedUpstream,
    /// A payment's row is written only when it has ended.
    PaymentRowAfterSend,
    /// Effects leave before their batch is durable.
    EffectBeforeSync,
    /// Effects for a connection that is gone leave on the next one.
    EffectOfDeadConnection,
    /// At start an HTLC that is not in the commitments counts as failed.
    FailureFromAbsence,
    /// Unsigned updates are sent twice on a new connection.
    UpdatesDoubled,
    /// `revoke_and_ack` and `commitment_signed` are sent again in the wrong order.
    RetransmissionReordered,
    /// Only one of the channels with a part of a payment claims it.
    ClaimedInPart,
    /// A claim's decision is not in the log.
    ClaimNotLogged,
    /// Every third event is lost.
    EventLost,
    /// What was handled stays on disk.
    HandledEventKept,
    /// Events that are shown together come in the wrong order.
    EventsReordered,
    /// Numbers of events are given again after a start.
    EventNumberReused,
    /// A payment is made again under an id that is known.
    IdReused,
    /// A failed forward is not failed upstream.
    ForwardForgotten,
    /// A forward that is in the downstream log is made again after a start.
    ForwardedTwice,
    /// An upstream HTLC is not claimed when the downstream one is.
    UpstreamNotClaimed,
    /// At start a payment that ended long ago is taken up again from an older row.
    OldRowBelieved,
    /// An event is queued twice, under two numbers.
    EventDoubled,
    /// A commitment that is signed again has the newest feerate, not its own.
    SignedAgainOtherwise,
    /// A revocation that the peer lacks is not sent again.
    RevocationNotRepeated,
    /// What the peer sent and did not commit to is kept over a new connection.
    UncommittedKept,
    /// `channel_ready` is not sent again when the peer lacks it.
    ReadyNotRepeated,
    /// A peer's claim that we lost state is believed without its proof.
    FalseProofBelieved,
    /// A node that lost state broadcasts its commitment.
    FellBehindBroadcasts,
    /// A fundee gives a channel up long before its time.
    FundingForgottenEarly,
    /// A failed part of a payment is replaced by the whole payment.
    RetrySendsAll,
    /// An abandoned payment counts as failed at once.
    AbandonedIsFailed,
    /// Only one of the logs with parts of a payment learns that its end was handled.
    HandledInOneLog,
    /// A payment to us is claimed before all its parts are there.
    ClaimedIncomplete,
    /// A held payment is failed at a start, since no row knows of it.
    HeldFailedAtStart,
    /// A forward passes on all that it received.
    FeeNotTaken,
    /// A forward expires downstream when it expires upstream.
    ForwardExpiryKept,
    /// A claimed HTLC is credited in whole satoshis.
    MsatLost,
    /// The store keeps half of a torn batch.
    TornBatchKept,
    /// The store reports as durable what it has only appended.
    AppendedIsDurable,
    /// The store tries a failed sync again, and believes it.
    FailedSyncRetried,
    /// The store reports a record that it cannot read as absent.
    UnreadableIsAbsent,
    /// What one block decided counts as buried.
    TimeoutFinalTooSoon,
    /// An HTLC that the confirmed commitment lacks fails before that is buried.
    MissingFailsAtOnce,
    /// A preimage that the peer shows on chain is not seen.
    PreimageOnChainIgnored,
    /// A preimage that is learned after the close claims nothing.
    LatePreimageIgnored,
    /// The HTLCs of a revoked commitment are left to the cheater.
    PenaltyMissesHtlc,
    /// What a cheater made of an HTLC is left to it.
    SecondStageUnpunished,
    /// The HTLCs of revoked commitments are not kept.
    RevokedHtlcsNotKept,
    /// A monitor keeps what it saw in blocks that are gone.
    ReorgForgotten,
    /// A channel is not closed in time to claim its HTLCs.
    ClaimDeadlineIgnored,
    /// The alias that a channel gets is not in its log.
    AliasNotLogged,
    /// An upgrade rewrites records before it says so.
    UpgradeUnannounced,
    /// A state that its peer has not confirmed is broadcast after a reorganisation took back what closed the channel.
    BarredUntilSeen,
    /// What a peer says of its terms is believed without its signature.
    UnsignedTermsBelieved,
    /// What a peer calls itself is believed without its signature.
    UnsignedNameBelieved,
    /// Everybody is told the terms of a channel that is not announced.
    PrivateTermsTold,
    /// An answer about blocks leaves out the last of their channels.
    AnswerLeavesOut,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 58] = [
        Self::PreimageNotKept,
        Self::OutcomeReleasedAtRevocation,
        Self::OutcomeReleasedOnHandling,
        Self::RevocableFailureEndsPayment,
        Self::RevocableFailurePassedUpstream,
        Self::PaymentRowAfterSend,
        Self::EffectBeforeSync,
        Self::EffectOfDeadConnection,
        Self::FailureFromAbsence,
        Self::UpdatesDoubled,
        Self::RetransmissionReordered,
        Self::ClaimedInPart,
        Self::ClaimNotLogged,
        Self::EventLost,
        Self::HandledEventKept,
        Self::EventsReordered,
        Self::EventNumberReused,
        Self::IdReused,
        Self::ForwardForgotten,
        Self::ForwardedTwice,
        Self::UpstreamNotClaimed,
        Self::OldRowBelieved,
        Self::EventDoubled,
        Self::SignedAgainOtherwise,
        Self::RevocationNotRepeated,
        Self::UncommittedKept,
        Self::ReadyNotRepeated,
        Self::FalseProofBelieved,
        Self::FellBehindBroadcasts,
        Self::FundingForgottenEarly,
        Self::RetrySendsAll,
        Self::AbandonedIsFailed,
        Self::HandledInOneLog,
        Self::ClaimedIncomplete,
        Self::HeldFailedAtStart,
        Self::FeeNotTaken,
        Self::ForwardExpiryKept,
        Self::MsatLost,
        Self::TornBatchKept,
        Self::AppendedIsDurable,
        Self::FailedSyncRetried,
        Self::UnreadableIsAbsent,
        Self::TimeoutFinalTooSoon,
        Self::MissingFailsAtOnce,
        Self::PreimageOnChainIgnored,
        Self::LatePreimageIgnored,
        Self::PenaltyMissesHtlc,
        Self::SecondStageUnpunished,
        Self::RevokedHtlcsNotKept,
        Self::ReorgForgotten,
        Self::ClaimDeadlineIgnored,
        Self::AliasNotLogged,
        Self::UpgradeUnannounced,
        Self::BarredUntilSeen,
        Self::UnsignedTermsBelieved,
        Self::UnsignedNameBelieved,
        Self::PrivateTermsTold,
        Self::AnswerLeavesOut,
    ];
}

/// Switches one bug on in this thread, and any other off.
pub fn switch_on(mutant: Option<Mutant>) {
    ON.set(mutant);
}

/// Whether a bug is switched on in this thread.
pub fn is_on(mutant: Mutant) -> bool {
    ON.get() == Some(mutant)
}
