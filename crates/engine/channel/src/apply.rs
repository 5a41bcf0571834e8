//! Folding steps into the state. Nothing here checks what a peer may do: that was decided before the step was written.

use quittance_primitives::HtlcId;
use quittance_transactions::PerCommitmentSecret;

use crate::commitments::{add, subtract};
use crate::states::{AwaitingReady, ClosingAgreed, ShuttingDown};
use crate::{
    AgreedClosing, BySide, ChannelMonitorUpdate, ChannelState, HtlcState, OfferedHtlc, OnChain, Outcome, Phase, Side,
    Step, UnreleasedClaim,
};

impl ChannelState {
    /// Folds a whole update. Of a log, each update is folded once and in order.
    ///
    /// # Panics
    /// When the update is not the next one, or a step does not fit the state: both are faults of ours.
    pub fn apply_update(&mut self, update: &ChannelMonitorUpdate) {
        assert_eq!(
            update.id,
            self.last_update.next(),
            "I-5: updates are folded in order, without a gap"
        );
        self.last_update = update.id;
        for step in &update.steps {
            self.apply(step);
        }
    }

    /// Folds one step.
    ///
    /// # Panics
    /// When the step does not fit the state: a fault of ours.
    #[allow(
        clippy::too_many_lines,
        reason = "one arm for each step, and the whole story in one place"
    )]
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Opened(_) => panic!("I-5: a log is opened once"),
            Step::FundingConfirmed(confirmation) => self.funding = Some(*confirmation),
            Step::FundingUnconfirmed => self.funding = None,
            Step::FundingAbandoned(why) => self.phase = Phase::Abandoned(*why),
            Step::ReadySent(alias) => {
                self.aliases.local = alias.or(self.aliases.local);
                self.note_ready(Side::Local);
            }
            Step::ReadyReceived { next_point, alias } => {
                self.aliases.remote = alias.or(self.aliases.remote);
                self.commitments.remote.next_point = Some(*next_point);
                self.note_ready(Side::Remote);
            }
            Step::ResolvedOnChain { id, outcome } => self.resolve_on_chain(*id, outcome),
            Step::OutcomeReported { id, report } => self.offered_mut(*id).report = Some(*report),
            Step::OutcomeAcknowledged(id) => self.offered_mut(*id).acknowledged = true,
            Step::OutcomeReleased(id) => self.release_outcome(*id),
            Step::PreimageKnown { id, preimage } => {
                let htlc = self.commitments.received.get_mut(id);
                htlc.expect("a preimage belongs to an HTLC that is there").preimage = Some(*preimage);
            }
            Step::HtlcBuried { offered_by, id } => self.bury(*offered_by, *id),
            Step::ClaimDecided(claim) => {
                let unreleased = UnreleasedClaim {
                    claim: claim.as_ref().clone(),
                    handled: false,
                };
                self.claims.insert(claim.event, unreleased);
            }
            Step::ClaimHandled(event) => {
                self.claims
                    .get_mut(event)
                    .expect("only an unreleased claim is handled")
                    .handled = true;
            }
            Step::ClaimReleased(event) => {
                self.claims.remove(event).expect("a claim is released once");
            }
            Step::CloseWanted(wanted) => self.shutdown_mut().wanted = Some(wanted.clone()),
            Step::ShutdownSent(script) => self.shutdown_mut().scripts.local = Some(script.clone()),
            Step::ShutdownReceived(script) => self.shutdown_mut().scripts.remote = Some(script.clone()),
            Step::ClosingSigned(txid) => {
                assert!(
                    self.commitments.is_empty_and_at_rest(),
                    "I-4: no closing transaction is signed while an HTLC is pending"
                );
                self.closings.push(*txid);
            }
            Step::ClosingAgreed(agreed) => self.note_agreed(agreed),
            Step::ForceClosed(reason) => self.phase = Phase::ForceClosed(reason.clone()),
            Step::FellBehind => self.phase = Phase::FellBehind,
            Step::PolicySet(policy) => self.policy = *policy,
            Step::PeerAddresses(addresses) => self.peer_addresses.clone_from(addresses),
            Step::AnnouncementSigned { node, bitcoin } => self.announcement = Some((*node, *bitcoin)),
            Step::RevocationReceived { secret, next_point } => {
                self.commitments
                    .receive_revocation(PerCommitmentSecret(*secret), *next_point);
                self.settle_offered();
            }
            Step::HtlcOffered { terms, source } => self.commitments.offer(*terms, source.clone()),
            Step::HtlcReceived {
                terms,
                onion,
                received_at_ms,
            } => {
                self.commitments.receive(*terms, onion.clone(), *received_at_ms);
            }
            Step::RemovalSent { id, removal } => self.commitments.remove_received(*id, removal.clone()),
            Step::RemovalReceived { id, removal } => self.commitments.remove_offered(*id, removal.clone()),
            Step::FeeProposed(feerate) => self.commitments.propose_fee(*feerate, self.facts.opener),
            Step::CommitmentSent => self.commitments.send_commitment(),
            Step::CommitmentReceived {
                signature,
                htlc_signatures,
                next_point,
            } => {
                self.commitments
                    .receive_commitment(*signature, htlc_signatures.clone(), *next_point);
            }
            Step::UncommittedForgotten => self.commitments.forget_uncommitted(),
        }
    }

    fn note_ready(&mut self, side: Side) {
        match &mut self.phase {
            Phase::AwaitingReady(awaiting) => {
                *awaiting.sent.of_mut(side) = true;
                if awaiting.sent.local && awaiting.sent.remote {
                    self.phase = Phase::Normal;
                }
            }
            Phase::ShuttingDown(shutdown) | Phase::ClosingAgreed(ClosingAgreed { shutdown, .. }) => {
                *shutdown.ready.of_mut(side) = true;
            }
            Phase::Normal | Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => {}
        }
    }

    /// The closing, which begins with this if it has not begun.
    fn shutdown_mut(&mut self) -> &mut ShuttingDown {
        let ready = match &self.phase {
            Phase::AwaitingReady(AwaitingReady { sent }) => *sent,
            Phase::Normal
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => BySide {
                local: true,
                remote: true,
            },
        };
        if !matches!(self.phase, Phase::ShuttingDown(_) | Phase::ClosingAgreed(_)) {
            self.phase = Phase::ShuttingDown(ShuttingDown {
                ready,
                ..ShuttingDown::default()
            });
        }
        match &mut self.phase {
            Phase::ShuttingDown(shutdown) | Phase::ClosingAgreed(ClosingAgreed { shutdown, .. }) => shutdown,
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => unreachable!("the phase was set above"),
        }
    }

    fn note_agreed(&mut self, agreed: &AgreedClosing) {
        let payer = self.payer_of(&agreed.closing);
        let shutdown = self.shutting_down().cloned();
        let shutdown = shutdown.expect("a closing is agreed after both shutdowns");
        let mut closings = match &self.phase {
            Phase::ClosingAgreed(ClosingAgreed { closings, .. }) => closings.clone(),
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ShuttingDown(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => BySide::default(),
        };
        *closings.of_mut(payer) = Some(Box::new(agreed.clone()));
        self.phase = Phase::ClosingAgreed(ClosingAgreed { shutdown, closings });
    }

    fn offered_mut(&mut self, id: HtlcId) -> &mut OfferedHtlc {
        let here = self.commitments.offered.get_mut(&id);
        here.or_else(|| self.gone.get_mut(&id))
            .expect("an outcome belongs to an HTLC that is not released")
    }

    /// Moves the HTLCs of ours that no unrevoked commitment holds any more out of the commitments. What the peer's removal
    /// says of them is final now; an outcome that they have already stays as it is.
    fn settle_offered(&mut self) {
        let removed = |_: &HtlcId, htlc: &mut OfferedHtlc| htlc.state == HtlcState::RcvdRemoveAckRevocation;
        let settled: Vec<_> = self.commitments.offered.extract_if(.., removed).collect();
        for (id, htlc) in settled {
            if htlc
                .removal
                .as_ref()
                .is_some_and(|removal| removal.preimage().is_some())
            {
                subtract(&mut self.commitments.settled.local, htlc.terms.amount);
                add(&mut self.commitments.settled.remote, htlc.terms.amount);
            }
            self.gone.insert(id, htlc.removed_for_good());
        }
    }

    /// An outcome leaves with its HTLC. On a closed channel the HTLC stays, since the confirmed commitment is made from it.
    fn release_outcome(&mut self, id: HtlcId) {
        match self.commitments.offered.get_mut(&id) {
            #[cfg(feature = "mutants")]
            Some(htlc)
                if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::OutcomeReleasedOnHandling) =>
            {
                (htlc.outcome, htlc.report, htlc.acknowledged) = (None, None, false);
            }
            Some(htlc) => htlc.on_chain = OnChain::Released,
            None => {
                self.gone.remove(&id).expect("an outcome is released once");
            }
        }
    }

    fn bury(&mut self, offered_by: Side, id: HtlcId) {
        let commitments = &mut self.commitments;
        let on_chain = match offered_by {
            Side::Local => commitments.offered.get_mut(&id).map(|htlc| &mut htlc.on_chain),
            Side::Remote => commitments.received.get_mut(&id).map(|htlc| &mut htlc.on_chain),
        };
        *on_chain.expect("an HTLC is buried with the commitment that holds it") = OnChain::Buried;
    }

    /// The chain's word on an HTLC of ours. A fulfilment is kept as the outcome at once; that its
    /// resolution is buried is a step of its own. A first fulfilment stands against every later failure (G1).
    fn resolve_on_chain(&mut self, id: HtlcId, outcome: &Outcome) {
        let known = &mut self.offered_mut(id).outcome;
        match (&known, outcome) {
            (Some(_), Outcome::Failed(_) | Outcome::FailedOnChain)
            | (Some(Outcome::Fulfilled(_)), Outcome::Fulfilled(_)) => {}
            (None, _) => *known = Some(outcome.clone()),
            (Some(Outcome::Failed(_) | Outcome::FailedOnChain), Outcome::Fulfilled(_)) => {
                panic!("G1: a failure is an outcome only once nobody can claim the HTLC")
            }
        }
    }
}
