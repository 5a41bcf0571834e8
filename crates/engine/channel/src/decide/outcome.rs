//! The life of an outcome in the log, up to its release (G1, G2): reported, acknowledged, buried, released; and the same for
//! claims of received payments (G4).
//!
//! An outcome is released when two things are true, in either order: it is acknowledged, and its HTLC is gone. Whichever comes
//! second releases it, in the same step.

use quittance_journal::{EventNumber, mark};
use quittance_primitives::{HtlcId, PaymentPreimage};

use crate::{
    Channel, ChannelState, Consequence, DecidedClaim, Decision, OfferedHtlc, OnChain, Outcome, Refusal, Removal,
    Report, Side, Step,
};

impl Channel {
    /// The outcome of `id` ended its payment, and the user is told so.
    pub fn decide_reported(&self, id: HtlcId, report: Report) -> Decision {
        match self.state().offered_htlc(id) {
            Some(htlc) if htlc.report.is_none() => Decision::step(Step::OutcomeReported { id, report }),
            Some(_) | None => Decision::default(),
        }
    }

    /// Whoever waits for the outcome of `id` has it for good: the user confirmed the event, or the upstream HTLC is gone. May
    /// come before the outcome itself: then it yields no event (seed rule 4).
    pub fn decide_acknowledged(&self, id: HtlcId) -> Decision {
        let Some(htlc) = self.state().offered_htlc(id).filter(|htlc| !htlc.acknowledged) else {
            return Decision::default();
        };
        let decision = Decision::step(Step::OutcomeAcknowledged(id));
        let acknowledged = OfferedHtlc {
            acknowledged: true,
            ..htlc.clone()
        };
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::OutcomeReleasedOnHandling)
            && acknowledged.outcome.is_some()
        {
            return decision.release(&acknowledged);
        }
        if acknowledged.is_releasable() {
            mark!("outcome released when it is acknowledged");
            decision.release(&acknowledged)
        } else {
            mark!("outcome acknowledged before its HTLC is gone");
            decision
        }
    }

    /// The chain's word on an HTLC of ours: its preimage was seen, or a failure is buried.
    pub fn decide_resolved_on_chain(&self, id: HtlcId, outcome: Outcome) -> Decision {
        let Some(htlc) = self.state().offered_htlc(id).filter(|htlc| htlc.outcome.is_none()) else {
            return Decision::default();
        };
        let consequence = match &outcome {
            Outcome::Fulfilled(preimage) => {
                mark!("HTLC fulfilled on chain");
                Consequence::HtlcFulfilled {
                    id,
                    preimage: *preimage,
                }
            }
            Outcome::Failed(_) | Outcome::FailedOnChain => {
                mark!("HTLC failed on chain");
                Consequence::HtlcFailed(htlc.terms.id)
            }
        };
        Decision::step(Step::ResolvedOnChain { id, outcome }).so(consequence)
    }

    /// What claims one of the peer's HTLCs is known, and the channel is closed: it is to be claimed on chain.
    pub fn decide_preimage_known(&self, id: HtlcId, preimage: PaymentPreimage) -> Decision {
        let htlc = self.state().commitments.received.get(&id);
        match htlc.filter(|htlc| htlc.preimage.is_none() && htlc.terms.payment_hash.is_paid_by(&preimage)) {
            Some(_) => {
                mark!("preimage learned for a closed channel");
                Decision::step(Step::PreimageKnown { id, preimage })
            }
            None => Decision::default(),
        }
    }

    /// What the chain made of an HTLC is buried.
    pub fn decide_buried(&self, offered_by: Side, id: HtlcId) -> Decision {
        let commitments = &self.state().commitments;
        let decision = Decision::step(Step::HtlcBuried { offered_by, id });
        match offered_by {
            Side::Local => match commitments.offered.get(&id) {
                Some(htlc) if htlc.on_chain == OnChain::Open => {
                    let buried = OfferedHtlc {
                        on_chain: OnChain::Buried,
                        ..htlc.clone()
                    };
                    if buried.is_releasable() {
                        mark!("outcome released when it is buried");
                        decision.release(&buried)
                    } else {
                        mark!("outcome buried before it is acknowledged");
                        decision.so(Consequence::OfferedHtlcGone(id))
                    }
                }
                Some(_) | None => Decision::default(),
            },
            Side::Remote => match commitments.received.get(&id) {
                Some(htlc) if htlc.on_chain == OnChain::Open => {
                    mark!("received HTLC buried");
                    let decision = decision.so(Consequence::ReceivedHtlcGone(id));
                    self.state().release_claims(decision, &[id])
                }
                Some(_) | None => Decision::default(),
            },
        }
    }

    /// Decides to claim a payment: the decision is recorded, and every part of it that this channel brought is fulfilled.
    ///
    /// # Errors
    /// [`Refusal`] when a part is not there any more, or is already being removed otherwise. Nothing is claimed then.
    pub fn decide_claim(&self, claim: &DecidedClaim, removals: Vec<(HtlcId, Removal)>) -> Result<Decision, Refusal> {
        let mut decision = Decision::step(Step::ClaimDecided(Box::new(claim.clone())));
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ClaimNotLogged) {
            decision.steps.clear();
        }
        for (id, removal) in removals {
            decision.absorb(self.decide_removal(id, removal)?);
        }
        Ok(decision)
    }

    /// The user confirmed `PaymentClaimed`.
    pub fn decide_claim_handled(&self, event: EventNumber) -> Decision {
        match self.state().claims.get(&event) {
            Some(claim) if !claim.handled => {
                let decision = Decision::step(Step::ClaimHandled(event));
                if self.state().has_part_of(&claim.claim, &[]) {
                    mark!("claim handled before its HTLCs are gone");
                    decision
                } else {
                    mark!("claim released when it is handled");
                    decision.release_claim(&claim.claim)
                }
            }
            Some(_) | None => Decision::default(),
        }
    }
}

impl ChannelState {
    /// Releases the claims that were handled and lose their last part here by this decision.
    pub(crate) fn release_claims(&self, mut decision: Decision, removed: &[HtlcId]) -> Decision {
        for unreleased in self.claims.values().filter(|unreleased| unreleased.handled) {
            let claim = &unreleased.claim;
            let loses_a_part = claim
                .parts
                .iter()
                .any(|part| self.is_part_here(part.channel) && removed.contains(&part.htlc));
            if loses_a_part && !self.has_part_of(claim, removed) {
                mark!("claim released with its last HTLC");
                decision = decision.release_claim(claim);
            }
        }
        decision
    }

    fn is_part_here(&self, channel: quittance_primitives::ChannelId) -> bool {
        channel == self.facts.channel_id
    }

    /// Whether a part of the claim is still in this channel, `removed` ones aside.
    fn has_part_of(&self, claim: &DecidedClaim, removed: &[HtlcId]) -> bool {
        let here = claim
            .parts
            .iter()
            .filter(|part| self.is_part_here(part.channel) && !removed.contains(&part.htlc));
        here.into_iter().any(|part| {
            let htlc = self.commitments.received.get(&part.htlc);
            htlc.is_some_and(|htlc| htlc.on_chain == OnChain::Open)
        })
    }
}

impl Decision {
    /// Adds another decision's steps, effects and consequences.
    pub fn absorb(&mut self, other: Self) {
        let Self {
            steps,
            effects,
            consequences,
            link,
        } = other;
        self.steps.extend(steps);
        self.effects.extend(effects);
        self.consequences.extend(consequences);
        self.link = link.or(self.link.take());
    }

    /// Releases what is acknowledged among the HTLCs of ours that this decision removes for good.
    pub(crate) fn releasing<'a>(mut self, removed: impl Iterator<Item = &'a OfferedHtlc>) -> Self {
        let is_due = |htlc: &OfferedHtlc| {
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::OutcomeReleasedAtRevocation) {
                return htlc.outcome.is_some();
            }
            htlc.acknowledged
        };
        for htlc in removed.filter(|htlc| is_due(htlc)) {
            mark!("outcome released with the revocation that removes its HTLC");
            self = self.release(&htlc.clone().removed_for_good());
        }
        self
    }

    fn release(mut self, htlc: &OfferedHtlc) -> Self {
        self.steps.push(Step::OutcomeReleased(htlc.terms.id));
        let cold = htlc.cold_outcome().expect("an outcome is released once it is known");
        self.so(Consequence::OutcomeReleased(Box::new(cold)))
    }

    fn release_claim(mut self, claim: &DecidedClaim) -> Self {
        self.steps.push(Step::ClaimReleased(claim.event));
        self.so(Consequence::ClaimReleased(Box::new(claim.clone())))
    }
}
