//! A change of a channel's forwarding policy.

use quittance_channel::ForwardingPolicy;
use quittance_primitives::{CltvExpiryDelta, MilliSatoshi};

/// What is to change in the policy of a channel; nothing leaves a term as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// The flat part of the fee, in msat.
    pub fee_base: Option<MilliSatoshi>,
    /// The proportional part, in millionths of the amount that is sent on.
    pub fee_proportional_millionths: Option<u32>,
    /// How much earlier than the incoming HTLC the outgoing one must expire, in blocks.
    pub cltv_expiry_delta: Option<CltvExpiryDelta>,
    /// The least that is sent on, in msat.
    pub htlc_minimum: Option<MilliSatoshi>,
    /// The most that is sent on, in msat.
    pub htlc_maximum: Option<MilliSatoshi>,
}

impl PolicyChange {
    pub(crate) fn of(self, policy: ForwardingPolicy) -> ForwardingPolicy {
        let proportional = self.fee_proportional_millionths;
        ForwardingPolicy {
            fee_base: self.fee_base.unwrap_or(policy.fee_base),
            fee_proportional_millionths: proportional.unwrap_or(policy.fee_proportional_millionths),
            cltv_expiry_delta: self.cltv_expiry_delta.unwrap_or(policy.cltv_expiry_delta),
            htlc_minimum: self.htlc_minimum.unwrap_or(policy.htlc_minimum),
            htlc_maximum: self.htlc_maximum.unwrap_or(policy.htlc_maximum),
        }
    }
}
