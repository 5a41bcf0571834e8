//! Closing a channel by our latest commitment. Final: nothing is signed or accepted afterwards.

use quittance_journal::mark;

use crate::{Channel, Decision, ForceCloseReason, Phase, Step};

impl Channel {
    /// Closes the channel by our latest commitment, to be broadcast once this is durable. `None` when the channel is closed already,
    /// when our commitment must not be broadcast, or when it would only compete with a closing transaction that both sides
    /// signed.
    pub fn decide_force_close(&self, reason: ForceCloseReason) -> Option<Decision> {
        match (&self.state().phase, &reason) {
            // G6: the channel is closed for all that a peer can want. It may well have forgotten it, and say so by an error.
            (
                Phase::ClosingAgreed(_),
                ForceCloseReason::PeerMisbehaved(_) | ForceCloseReason::PeerFailed(_) | ForceCloseReason::PeerFellBehind,
            )
            // I-8: a commitment that may be revoked is never broadcast.
            | (Phase::FellBehind | Phase::ForceClosed(_) | Phase::Abandoned(_), _) => {
                mark!("a close that must not be, or is not needed");
                None
            }
            (
                Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_),
                ForceCloseReason::Ordered
                | ForceCloseReason::PeerMisbehaved(_)
                | ForceCloseReason::PeerFailed(_)
                | ForceCloseReason::PeerFellBehind
                | ForceCloseReason::HtlcDeadline(_)
                | ForceCloseReason::CommitmentConfirmed(_),
            ) => {
                mark!("channel closed by its commitment");
                Some(Decision::step(Step::ForceClosed(reason)))
            }
        }
    }
}
