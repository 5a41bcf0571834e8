//! Removing an HTLC (BOLT 2): fulfilled, failed, or failed as malformed; by us and by the peer.

use quittance_journal::mark;
use quittance_primitives::HtlcId;
use quittance_wire::{Message, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFulfillHtlc};

use crate::{Channel, ChannelState, Consequence, Decision, OfferedHtlc, Refusal, Removal, Step, Violation};

/// The bit of a failure code that says that the onion could not be read (BOLT 4).
const BADONION: u16 = 0x8000;

impl Channel {
    /// Fulfils or fails one of the peer's HTLCs. It is sent at once if the peer is connected, or on the next connection.
    ///
    /// # Errors
    /// [`Refusal`] when the HTLC is not there, not irrevocably committed, already being removed, or the preimage is wrong.
    pub fn decide_removal(&self, id: HtlcId, removal: Removal) -> Result<Decision, Refusal> {
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Refusal::WrongPhase(state.phase.name()));
        }
        let htlc = state.commitments.received.get(&id).ok_or(Refusal::UnknownHtlc(id))?;
        if !htlc.state.is_irrevocably_added() {
            return Err(Refusal::HtlcNotRemovable { id, state: htlc.state });
        }
        if removal
            .preimage()
            .is_some_and(|preimage| !htlc.terms.payment_hash.is_paid_by(&preimage))
        {
            return Err(Refusal::WrongPreimage(id));
        }
        let message = state.removal_message(id, &removal);
        let decision = Decision::step(Step::RemovalSent { id, removal });
        Ok(match self.session() {
            Some(session) if session.quiescence.lets_us_remove() => decision.send(message),
            // Sent with the next session's first messages: quiescence ends with the connection.
            Some(_) | None => {
                mark!("removal decided while nothing can be sent");
                decision
            }
        })
    }

    /// The peer's `update_fulfill_htlc`. Its preimage is the HTLC's outcome on arrival.
    ///
    /// # Errors
    /// [`Violation`] when the HTLC cannot be removed now, or the preimage is wrong.
    pub fn decide_fulfill(&self, message: &UpdateFulfillHtlc) -> Result<Decision, Violation> {
        let htlc = self.removable_by_peer("update_fulfill_htlc", message.id)?;
        let (id, preimage) = (message.id, message.payment_preimage);
        if !htlc.terms.payment_hash.is_paid_by(&preimage) {
            return Err(Violation::WrongPreimage(id));
        }
        let removal = Removal::Fulfilled {
            preimage,
            attribution: None,
        };
        let decision = Decision::step(Step::RemovalReceived { id, removal });
        Ok(if htlc.outcome.is_some() {
            mark!("HTLC fulfilled again");
            decision
        } else {
            mark!("HTLC fulfilled");
            decision.so(Consequence::HtlcFulfilled { id, preimage })
        })
    }

    /// The peer's `update_fail_htlc`. It is no outcome before it is irrevocable.
    ///
    /// # Errors
    /// [`Violation`] when the HTLC cannot be removed now.
    pub fn decide_fail(&self, message: &UpdateFailHtlc) -> Result<Decision, Violation> {
        self.removable_by_peer("update_fail_htlc", message.id)?;
        let removal = Removal::Failed {
            reason: message.reason.clone(),
            attribution: message.attribution_data.clone(),
        };
        #[cfg(feature = "mutants")]
        {
            use quittance_journal::mutant::{Mutant, is_on};
            let is_payment = matches!(
                self.state().offered_htlc(message.id).map(|htlc| &htlc.source),
                Some(crate::HtlcSource::Payment(_))
            );
            if is_on(Mutant::RevocableFailureEndsPayment) && is_payment
                || is_on(Mutant::RevocableFailurePassedUpstream) && !is_payment
            {
                let id = message.id;
                return Ok(Decision::step(Step::RemovalReceived { id, removal }).so(Consequence::HtlcFailed(id)));
            }
        }
        mark!("HTLC failed, and not yet for good");
        Ok(Decision::step(Step::RemovalReceived {
            id: message.id,
            removal,
        }))
    }

    /// The peer's `update_fail_malformed_htlc`. It is no outcome before it is irrevocable.
    ///
    /// # Errors
    /// [`Violation`] when the HTLC cannot be removed now, or the code is not one for an unreadable onion.
    pub fn decide_fail_malformed(&self, message: &UpdateFailMalformedHtlc) -> Result<Decision, Violation> {
        let (id, failure_code) = (message.id, message.failure_code);
        self.removable_by_peer("update_fail_malformed_htlc", id)?;
        if failure_code & BADONION == 0 {
            return Err(Violation::NotBadOnion { id, failure_code });
        }
        let removal = Removal::Malformed {
            failure_code,
            sha256_of_onion: message.sha256_of_onion,
        };
        Ok(Decision::step(Step::RemovalReceived { id, removal }))
    }

    fn removable_by_peer(&self, message: &'static str, id: HtlcId) -> Result<&OfferedHtlc, Violation> {
        let session = self.session_for(message)?;
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Violation::WrongPhase {
                message,
                phase: state.phase.name(),
            });
        }
        if !session.quiescence.lets_peer_update() {
            return Err(Violation::UpdateAfterStfu);
        }
        let htlc = state.commitments.offered.get(&id).ok_or(Violation::UnknownHtlc(id))?;
        if htlc.state.is_irrevocably_added() {
            Ok(htlc)
        } else {
            Err(Violation::HtlcNotRemovable { id, state: htlc.state })
        }
    }
}

impl ChannelState {
    /// The message by which one of the peer's HTLCs is removed.
    pub(crate) fn removal_message(&self, id: HtlcId, removal: &Removal) -> Message {
        let channel_id = self.facts.channel_id;
        match removal {
            Removal::Fulfilled { preimage, attribution } => UpdateFulfillHtlc {
                channel_id,
                id,
                payment_preimage: *preimage,
                attribution_data: attribution.clone(),
            }
            .into(),
            Removal::Failed { reason, attribution } => UpdateFailHtlc {
                channel_id,
                id,
                reason: reason.clone(),
                attribution_data: attribution.clone(),
            }
            .into(),
            Removal::Malformed {
                failure_code,
                sha256_of_onion,
            } => UpdateFailMalformedHtlc {
                channel_id,
                id,
                sha256_of_onion: *sha256_of_onion,
                failure_code: *failure_code,
            }
            .into(),
        }
    }
}
