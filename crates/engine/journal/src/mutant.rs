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
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 22] = [
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
