//! What has become possible and was only waited for: `stfu`, `shutdown`, the offers of a closing negotiation; and what has been
//! waited for in vain.

use crate::{Channel, Context, Decision, Phase, Quiescence, Violation};

/// BOLT 2, quiescence: a channel with HTLCs does not stay quiescent for longer.
const QUIESCENCE_MAX_MS: u64 = 60_000;
/// How long a `closing_complete` may go unanswered before the connection is closed.
const CLOSING_SIG_PATIENCE_MS: u64 = 60_000;
/// How long a peer may keep the legacy negotiation waiting before the channel is failed: long, since that is expensive (G6).
const CLOSING_SIGNED_PATIENCE_MS: u64 = 600_000;

impl Channel {
    /// The next thing to send that was only waiting for its time. To be asked again after each input, behind
    /// [`Channel::decide_commitment`], until there is nothing left.
    pub fn decide_next(&self, context: &Context<'_>) -> Option<Decision> {
        self.decide_due_stfu(context)
            .or_else(|| self.decide_due_shutdown(context))
            .or_else(|| self.decide_due_close(context))
    }

    fn decide_due_close(&self, context: &Context<'_>) -> Option<Decision> {
        let scripts = self.state().scripts_to_close()?;
        if self.session()?.has_simple_close() {
            self.decide_due_simple_close(&scripts, context)
        } else {
            self.decide_due_legacy_close(&scripts, context)
        }
    }

    /// What the peer has kept us waiting for too long, at `now_ms` milliseconds since 1970; to be answered like any violation.
    pub fn overdue(&self, now_ms: u64) -> Option<Violation> {
        let session = self.session()?;
        let commitments = &self.state().commitments;
        let has_passed = |since_ms: u64, patience_ms: u64| now_ms.saturating_sub(since_ms) >= patience_ms;
        match session.quiescence {
            Quiescence::Off | Quiescence::Wanted => {}
            Quiescence::AwaitingPeer { since_ms } | Quiescence::AwaitingUs { since_ms } => {
                if has_passed(since_ms, QUIESCENCE_MAX_MS) {
                    return Some(Violation::QuiescentTooLong);
                }
            }
            Quiescence::Quiet { since_ms, .. } => {
                let has_htlcs = !commitments.offered.is_empty() || !commitments.received.is_empty();
                if has_htlcs && has_passed(since_ms, QUIESCENCE_MAX_MS) {
                    return Some(Violation::QuiescentTooLong);
                }
            }
        }
        let since_ms = session.negotiation.waiting_since_ms?;
        if session.has_simple_close() {
            has_passed(since_ms, CLOSING_SIG_PATIENCE_MS).then_some(Violation::ClosingSigOverdue)
        } else {
            let awaited = matches!(self.state().phase, Phase::ShuttingDown(_));
            (awaited && has_passed(since_ms, CLOSING_SIGNED_PATIENCE_MS)).then_some(Violation::ClosingStalled)
        }
    }
}
