//! How much can be sent through a channel now, for whoever looks for a route.

use quittance_primitives::{FeeratePerKw, MilliSatoshi};
use quittance_transactions::CommitmentFormat;

use super::affordability::{Prospect, pending_of};
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
        for owner in [Side::Remote, Side::Local] {
            let prospect = Prospect::of(state, pending_of(owner));
            if prospect.count_of(Side::Local) >= usize::from(theirs.max_accepted_htlcs) {
                return MilliSatoshi::ZERO;
            }
            sendable = sendable.min(
                theirs
                    .max_htlc_value_in_flight
                    .saturating_sub(prospect.in_flight_of(Side::Local)),
            );
            let feerate = state.commitments.feerate(pending_of(owner));
            let spiked = match state.facts.format {
                CommitmentFormat::ZeroFee => FeeratePerKw(0),
                CommitmentFormat::StaticRemotekey | CommitmentFormat::Anchors => feerate.saturating_mul(2),
            };
            sendable = sendable.min(prospect.at(spiked).spare_of(Side::Local, 2));
        }
        sendable
    }
}
