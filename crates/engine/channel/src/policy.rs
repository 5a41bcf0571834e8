//! What we ask of those who forward through a channel of ours.

use quittance_primitives::{CltvExpiryDelta, MilliSatoshi};
use quittance_records::record;

/// By which we forward through a channel (BOLT 7 `channel_update`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardingPolicy {
    /// The flat part of our fee, in msat.
    pub fee_base: MilliSatoshi,
    /// The proportional part, in millionths of the amount that we send on.
    pub fee_proportional_millionths: u32,
    /// How much earlier than the incoming HTLC the outgoing one must expire, in blocks.
    pub cltv_expiry_delta: CltvExpiryDelta,
    /// The least that we send on, in msat.
    pub htlc_minimum: MilliSatoshi,
    /// The most that we send on, in msat.
    pub htlc_maximum: MilliSatoshi,
}

record!(ForwardingPolicy {
    fee_base,
    fee_proportional_millionths,
    cltv_expiry_delta,
    htlc_minimum,
    htlc_maximum
});
