//! Closing a channel by our latest commitment. Final: nothing is signed or accepted afterwards.

use crate::{Channel, Decision, ForceCloseReason, Phase, Step};

impl Channel {
    /// Closes the channel by our latest commitment, to be broadcast once this is durable. `None` when the channel is closed already, or
    /// when our commitment must not be broadcast.
    pub fn decide_force_close(&self, reason: ForceCloseReason) -> Option<Decision> {
        match self.state().phase {
            Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => {
                Some(Decision::step(Step::ForceClosed(reason)))
            }
            // I-4: a commitment that may be revoked is never broadcast.
            Phase::FellBehind | Phase::ForceClosed(_) | Phase::Abandoned(_) => None,
        }
    }
}
