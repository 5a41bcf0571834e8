//! The feerate of the commitments (BOLT 2, `update_fee`): set by the opener, checked by the other side.

use quittance_primitives::FeeratePerKw;
use quittance_transactions::CommitmentFormat;
use quittance_wire::UpdateFee;

use super::affordability::{Prospect, Shortfall, pending_of};
use crate::{Channel, Context, Decision, Phase, Refusal, Side, Step, View, Violation};

impl Channel {
    /// Proposes another feerate to the peer. Only the opener may, and only within what it can pay beside its reserve.
    ///
    /// # Errors
    /// [`Refusal`] with the bound that stands against it.
    pub fn decide_fee(&self, feerate: FeeratePerKw, context: &Context<'_>) -> Result<Decision, Refusal> {
        let state = self.state();
        let session = self.live_session()?;
        if !state.phase.is_operating() {
            return Err(Refusal::WrongPhase(state.phase.name()));
        }
        if state.facts.opener != Side::Local || state.facts.format == CommitmentFormat::ZeroFee {
            return Err(Refusal::NotOurFee);
        }
        if !session.quiescence.lets_us_update() {
            return Err(Refusal::Quiescent);
        }
        if matches!(state.phase, Phase::ShuttingDown(_)) && !state.commitments.has_lasting_htlc() {
            // BOLT 2, shutdown: once nothing is pending the peer may sign a closing transaction, so no update follows. The
            // feerate matters only to HTLCs that stay.
            return Err(Refusal::WrongPhase(state.phase.name()));
        }
        let current = state.commitments.feerate(View::RemotePending);
        if feerate == current {
            return Err(Refusal::SameFeerate(feerate));
        }
        for owner in [Side::Remote, Side::Local] {
            let prospect = Prospect::at(state, pending_of(owner), feerate);
            prospect
                .check_balance(Side::Local)
                .map_err(|Shortfall { balance, needed }| Refusal::CannotAfford { balance, needed })?;
            let (got, limit) = (prospect.dust(), context.limits.max_dust_htlc_exposure);
            if feerate > current && got > limit {
                return Err(Refusal::TooMuchDust { got, limit });
            }
        }
        let message = UpdateFee {
            channel_id: state.facts.channel_id,
            feerate_per_kw: feerate,
        };
        Ok(Decision::step(Step::FeeProposed(feerate)).send(message))
    }

    /// The peer's `update_fee`.
    ///
    /// # Errors
    /// [`Violation`] when the peer does not pay the fee, cannot pay it, or sets it too low or too high.
    pub fn decide_update_fee(&self, message: &UpdateFee, context: &Context<'_>) -> Result<Decision, Violation> {
        const NAME: &str = "update_fee";
        let session = self.session_for(NAME)?;
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Violation::WrongPhase {
                message: NAME,
                phase: state.phase.name(),
            });
        }
        if state.facts.opener != Side::Remote {
            return Err(Violation::FeeFromAccepter);
        }
        if state.facts.format == CommitmentFormat::ZeroFee {
            return Err(Violation::FeeOnZeroFeeChannel);
        }
        if !session.quiescence.lets_peer_update() {
            return Err(Violation::UpdateAfterStfu);
        }
        if session.negotiation.peer_began {
            return Err(Violation::UpdateAfterClosing);
        }
        let (got, minimum, maximum) = (
            message.feerate_per_kw,
            context.limits.feerate_min,
            context.limits.feerate_max,
        );
        if got < minimum || got > maximum {
            return Err(Violation::FeerateOutOfRange { got, minimum, maximum });
        }
        let prospect = Prospect::at(state, View::LocalNext, got);
        prospect
            .check_fees()
            .map_err(|Shortfall { balance, needed }| Violation::CannotAfford { balance, needed })?;
        Ok(Decision::step(Step::FeeProposed(got)))
    }
}
