//! The funding confirms, and both sides say so (BOLT 2, `channel_ready`), or it never does.

use quittance_journal::mark;
use quittance_primitives::{BlockCount, BlockHeight, ShortChannelId};
use quittance_wire::ChannelReady;

use crate::states::AwaitingReady;
use crate::{AbandonedFunding, Channel, Consequence, Decision, FundingConfirmation, Phase, Side, Step, Violation};

/// BOLT 2: the fundee forgets a channel whose funding is not seen within this many blocks.
pub const FUNDING_TIMEOUT: BlockCount = BlockCount(2016);

impl Channel {
    /// The funding transaction stands in a block.
    pub fn decide_funding_confirmed(&self, confirmation: FundingConfirmation) -> Decision {
        if self.state().funding == Some(confirmation) {
            return Decision::default();
        }
        Decision::step(Step::FundingConfirmed(confirmation))
    }

    /// A reorganisation took the funding transaction out of the chain.
    pub fn decide_funding_unconfirmed(&self) -> Decision {
        match self.state().funding {
            Some(_) => Decision::step(Step::FundingUnconfirmed),
            None => Decision::default(),
        }
    }

    /// Sends `channel_ready`, under `alias` if any, once the funding is deep enough at `tip` and the peer is connected.
    pub fn decide_ready(&self, tip: BlockHeight, alias: Option<ShortChannelId>) -> Option<Decision> {
        self.session()?;
        let state = self.state();
        let Phase::AwaitingReady(AwaitingReady { sent }) = state.phase else {
            return None;
        };
        let depth = state
            .funding
            .map_or(BlockCount(0), |funding| funding.height.depth_at(tip));
        if sent.local || depth < state.facts.minimum_depth {
            return None;
        }
        let message = ChannelReady {
            short_channel_id: alias,
            ..state.ready_message()
        };
        let decision = Decision::step(Step::ReadySent(alias)).send(message);
        Some(if sent.remote {
            decision.so(Consequence::Usable)
        } else {
            decision
        })
    }

    /// The peer's `channel_ready`.
    ///
    /// # Errors
    /// [`Violation`] when it comes before `channel_reestablish`, or contradicts an earlier one.
    pub fn decide_channel_ready(&self, message: &ChannelReady) -> Result<Decision, Violation> {
        self.session_for("channel_ready")?;
        let state = self.state();
        let next_point = message.second_per_commitment_point;
        let alias = message.short_channel_id;
        let step = Step::ReadyReceived { next_point, alias };
        if let Phase::ShuttingDown(closing) = &state.phase
            && !closing.ready.remote
        {
            // It crossed our `shutdown`: HTLCs may follow it, and the point is needed to commit to them.
            return Ok(Decision::step(step));
        }
        let Phase::AwaitingReady(AwaitingReady { sent }) = state.phase else {
            // BOLT 2: a redundant channel_ready is ignored; another alias is welcome at any time.
            return match (alias, state.commitments.remote.next_point) {
                (Some(_), Some(known)) if alias != state.aliases.remote => Ok(Decision::step(Step::ReadyReceived {
                    next_point: known,
                    alias,
                })),
                (Some(_) | None, _) => Ok(Decision::default()),
            };
        };
        if !sent.remote {
            let decision = Decision::step(step);
            return Ok(if sent.local {
                decision.so(Consequence::Usable)
            } else {
                decision
            });
        }
        match state.commitments.remote.next_point {
            Some(known) if known != next_point => Err(Violation::ReadyWithOtherPoint),
            Some(_) | None if alias.is_some() && alias != state.aliases.remote => Ok(Decision::step(step)),
            Some(_) | None => Ok(Decision::default()),
        }
    }

    /// Gives a channel up whose funding was not seen in time. The opener never does: its funding may still confirm.
    pub fn decide_funding_timeout(&self, tip: BlockHeight) -> Option<Decision> {
        let state = self.state();
        let deadline = state.facts.opened_at.saturating_add(FUNDING_TIMEOUT);
        #[cfg(feature = "mutants")]
        let deadline = if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::FundingForgottenEarly) {
            state.facts.opened_at.saturating_add(BlockCount(144))
        } else {
            deadline
        };
        // Closed by a commitment that never had anything to spend: whoever opened it may have failed it at once.
        let waits = state.phase.may_lack_funding() || matches!(state.phase, Phase::ForceClosed(_));
        // A channel that was used before a block had its funding keeps what its HTLCs wait for.
        let is_unused = state.commitments.offered.is_empty() && state.commitments.received.is_empty();
        let is_theirs = state.facts.opener == Side::Remote;
        let timed_out = waits && is_unused && state.funding.is_none() && is_theirs && tip >= deadline;
        timed_out.then(|| {
            mark!("a funding was never seen");
            Decision::step(Step::FundingAbandoned(AbandonedFunding::TimedOut))
        })
    }

    /// An input of the unconfirmed funding was spent otherwise, and that is buried.
    pub fn decide_double_spent(&self) -> Option<Decision> {
        let state = self.state();
        // Whatever it was used for meanwhile, without a confirmation: no commitment of it can ever be in a block.
        let is_given_up = matches!(state.phase, Phase::Abandoned(_));
        (!is_given_up && state.funding.is_none()).then(|| {
            mark!("a funding was spent otherwise");
            Decision::step(Step::FundingAbandoned(AbandonedFunding::DoubleSpent))
        })
    }
}
