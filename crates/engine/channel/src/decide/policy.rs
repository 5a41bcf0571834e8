//! By what we forward through the channel: ours alone to set.

use quittance_primitives::{CltvExpiryDelta, MilliSatoshi};

use crate::{Channel, Decision, ForwardingPolicy, Phase, Refusal, Step};

/// BOLT 2: a smaller delta leaves no time to claim on chain from upstream what was claimed from us downstream.
const EXPIRY_DELTA_MIN: CltvExpiryDelta = CltvExpiryDelta(34);
/// `channel_update` has four bytes for it.
const FEE_BASE_MAX: MilliSatoshi = MilliSatoshi(u32::MAX as u64);

impl Channel {
    /// Sets the policy. The same one again changes nothing.
    ///
    /// # Errors
    /// [`Refusal`] when the channel is closing, or the policy is one that would lose money or cannot be said.
    pub fn decide_policy(&self, policy: ForwardingPolicy) -> Result<Decision, Refusal> {
        let state = self.state();
        if !matches!(state.phase, Phase::AwaitingReady(_) | Phase::Normal) {
            return Err(Refusal::WrongPhase(state.phase.name()));
        }
        let ForwardingPolicy {
            fee_base: got,
            fee_proportional_millionths: _,
            cltv_expiry_delta,
            htlc_minimum: minimum,
            htlc_maximum: maximum,
        } = policy;
        if got > FEE_BASE_MAX {
            let limit = FEE_BASE_MAX;
            return Err(Refusal::FeeTooLarge { got, limit });
        }
        if cltv_expiry_delta < EXPIRY_DELTA_MIN {
            let (CltvExpiryDelta(got), CltvExpiryDelta(minimum)) = (cltv_expiry_delta, EXPIRY_DELTA_MIN);
            return Err(Refusal::ExpiryDeltaTooSmall { got, minimum });
        }
        if minimum > maximum {
            return Err(Refusal::MinimumAboveMaximum { minimum, maximum });
        }
        if policy == state.policy {
            return Ok(Decision::default());
        }
        Ok(Decision::step(Step::PolicySet(policy)))
    }
}
