//! Adding an HTLC (BOLT 2, `update_add_htlc`), by us and by the peer.

use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash};
use quittance_wire::UpdateAddHtlc;
use secp256k1::PublicKey;

use super::affordability::{Prospect, Shortfall};
use crate::{
    Channel, ChannelEffect, ChannelState, Context, Decision, HtlcSource, HtlcTerms, Phase, ReceivedOnion, Refusal,
    Side, Step, View, Violation,
};

/// An HTLC that we want to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHtlc {
    /// What is paid, in msat.
    pub amount: MilliSatoshi,
    /// The hash that locks it.
    pub payment_hash: PaymentHash,
    /// The height from which we may take it back.
    pub cltv_expiry: CltvExpiry,
    /// The key for the next hop inside a blinded path.
    pub path_key: Option<PublicKey>,
    /// Why we offer it.
    pub source: HtlcSource,
}

impl Channel {
    /// Offers an HTLC to the peer. It is sent at once, and committed to by the next [`Channel::decide_commitment`].
    ///
    /// # Errors
    /// [`Refusal`] with the bound that stands against it, ours or the peer's.
    pub fn decide_offer(&self, htlc: NewHtlc, context: &Context<'_>) -> Result<Decision, Refusal> {
        let state = self.state();
        let session = self.live_session()?;
        match state.phase {
            Phase::Normal => {}
            Phase::AwaitingReady(_)
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => return Err(Refusal::WrongPhase(state.phase.name())),
        }
        if !session.quiescence.lets_us_update() {
            return Err(Refusal::Quiescent);
        }
        let NewHtlc {
            amount,
            payment_hash,
            cltv_expiry,
            path_key,
            source,
        } = htlc;
        let id = state.commitments.next_htlc_id.local;
        let terms = HtlcTerms {
            id,
            amount,
            payment_hash,
            cltv_expiry,
            path_key,
        };
        state.check_offer(&terms, context)?;
        Ok(Decision::step(Step::HtlcOffered { terms, source }).then(ChannelEffect::SendHtlc(id)))
    }

    /// The peer's `update_add_htlc`, with what its onion told us.
    ///
    /// # Errors
    /// [`Violation`] when the peer may not add it.
    pub fn decide_add(
        &self,
        message: &UpdateAddHtlc,
        onion: ReceivedOnion,
        context: &Context<'_>,
    ) -> Result<Decision, Violation> {
        const NAME: &str = "update_add_htlc";
        let session = self.session_for(NAME)?;
        let state = self.state();
        match &state.phase {
            Phase::Normal => {}
            Phase::ShuttingDown(shutting_down) if shutting_down.scripts.remote.is_some() => {
                return Err(Violation::AddAfterShutdown);
            }
            Phase::ShuttingDown(_) if state.phase.is_operating() => {}
            Phase::AwaitingReady(_)
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => {
                return Err(Violation::WrongPhase {
                    message: NAME,
                    phase: state.phase.name(),
                });
            }
        }
        if !session.quiescence.lets_peer_update() {
            return Err(Violation::UpdateAfterStfu);
        }
        let terms = HtlcTerms {
            id: message.id,
            amount: message.amount_msat,
            payment_hash: message.payment_hash,
            cltv_expiry: message.cltv_expiry,
            path_key: message.blinded_path,
        };
        state.check_add(&terms)?;
        Ok(Decision::step(Step::HtlcReceived {
            terms,
            onion,
            received_at_ms: context.now_ms,
        }))
    }
}

impl ChannelState {
    fn check_offer(&self, terms: &HtlcTerms, context: &Context<'_>) -> Result<(), Refusal> {
        let theirs = &self.facts.sides.remote;
        let minimum = theirs.htlc_minimum.max(MilliSatoshi(1));
        if terms.amount < minimum {
            return Err(Refusal::BelowMinimum {
                got: terms.amount,
                minimum,
            });
        }
        if terms.cltv_expiry >= CltvExpiry::LIMIT {
            return Err(Refusal::ExpiryIsTime);
        }
        let ours = |short: Shortfall| Refusal::CannotAfford {
            balance: short.balance,
            needed: short.needed,
        };
        let peers = |short: Shortfall| Refusal::PeerCannotAfford {
            balance: short.balance,
            needed: short.needed,
        };
        let pending = Prospect::pending(self);
        for (owner, before) in [(Side::Remote, pending.remote), (Side::Local, pending.local)] {
            let dust_before = before.dust();
            let prospect = before.with(Side::Local, terms).map_err(ours)?;
            prospect.check_balance(Side::Local).map_err(ours)?;
            match self.facts.opener {
                Side::Remote => prospect.check_fees().map_err(peers)?,
                Side::Local => prospect.check_fee_spike_buffer().map_err(ours)?,
            }
            let (got, limit) = (prospect.dust(), context.limits.max_dust_htlc_exposure);
            if got > limit && got > dust_before {
                return Err(Refusal::TooMuchDust { got, limit });
            }
            if owner == Side::Remote {
                if prospect.count_of(Side::Local) > u32::from(theirs.max_accepted_htlcs) {
                    return Err(Refusal::TooManyHtlcs {
                        limit: theirs.max_accepted_htlcs,
                    });
                }
                let (got, limit) = (prospect.in_flight_of(Side::Local), theirs.max_htlc_value_in_flight);
                if got > limit {
                    return Err(Refusal::TooMuchInFlight { got, limit });
                }
            }
        }
        Ok(())
    }

    fn check_add(&self, terms: &HtlcTerms) -> Result<(), Violation> {
        let ours = &self.facts.sides.local;
        let expected = self.commitments.next_htlc_id.remote;
        if terms.id != expected {
            return Err(Violation::HtlcIdOutOfOrder {
                got: terms.id,
                expected,
            });
        }
        if terms.amount.is_zero() {
            return Err(Violation::HtlcOfNothing);
        }
        if terms.amount < ours.htlc_minimum {
            return Err(Violation::HtlcBelowMinimum {
                got: terms.amount,
                minimum: ours.htlc_minimum,
            });
        }
        if terms.cltv_expiry >= CltvExpiry::LIMIT {
            return Err(Violation::ExpiryIsTime(terms.cltv_expiry));
        }
        let unaffordable = |short: Shortfall| Violation::CannotAfford {
            balance: short.balance,
            needed: short.needed,
        };
        let prospect = Prospect::of(self, View::LocalNext)
            .with(Side::Remote, terms)
            .map_err(unaffordable)?;
        let (got, limit) = (prospect.count_of(Side::Remote), ours.max_accepted_htlcs);
        if got > u32::from(limit) {
            return Err(Violation::TooManyHtlcs {
                got: u16::try_from(got).unwrap_or(u16::MAX),
                limit,
            });
        }
        let (got, limit) = (prospect.in_flight_of(Side::Remote), ours.max_htlc_value_in_flight);
        if got > limit {
            return Err(Violation::TooMuchInFlight { got, limit });
        }
        prospect.check_balance(Side::Remote).map_err(unaffordable)
    }
}
