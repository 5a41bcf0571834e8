//! How much can be sent through a channel now, for whoever looks for a route.

use quittance_primitives::MilliSatoshi;

use super::affordability::Prospect;
use crate::{Channel, Phase, Side};

impl Channel {
    /// The largest HTLC, in msat, that we may offer now, as far as balances, reserves, fees and the peer's limits tell. Zero when the
    /// channel cannot be used.
    pub fn sendable(&self) -> MilliSatoshi {
        let state = self.state();
        let usable = matches!(state.phase, Phase::Normal);
        if !usable
            || self
                .session()
                .is_none_or(|session| !session.quiescence.lets_us_update())
        {
            return MilliSatoshi::ZERO;
        }
        let theirs = &state.facts.sides.remote;
        let mut sendable = theirs.max_htlc_value_in_flight;
        let pending = Prospect::pending(state);
        for prospect in [pending.remote, pending.local] {
            if prospect.count_of(Side::Local) >= u32::from(theirs.max_accepted_htlcs) {
                return MilliSatoshi::ZERO;
            }
            let room = theirs
                .max_htlc_value_in_flight
                .saturating_sub(prospect.in_flight_of(Side::Local));
            sendable = sendable.min(room).min(prospect.spare_of(Side::Local));
        }
        sendable
    }
}
