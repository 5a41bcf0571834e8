//! Closing begins (BOLT 2, `shutdown`): by order of our user, or of the peer's.
//!
//! An order stands in the log from the moment it is accepted, and `shutdown` leaves once no update of ours is uncommitted,
//! on this connection or a later one. From then on neither side adds an HTLC.

use quittance_transactions::{ShutdownForms, ShutdownScript};
use quittance_wire::Shutdown;

use crate::channel::Link;
use crate::closing::{EVERY_FORM, WantedClose};
use crate::opening::shutdown_forms;
use crate::{
    Channel, ChannelState, CloseRequest, Context, Decision, HtlcState, Phase, Quiescence, Refusal, Session, Step,
    Violation,
};

impl Channel {
    /// Closes the channel by agreement, once what is in flight is resolved. While a closing transaction may be replaced (BOLT 2,
    /// simple close), the order can be repeated with a higher feerate or another script.
    ///
    /// # Errors
    /// [`Refusal`] when the channel is closed otherwise, or the script or the feerate cannot be.
    pub fn decide_shutdown(&self, request: CloseRequest, context: &Context<'_>) -> Result<Decision, Refusal> {
        let state = self.state();
        match state.phase {
            Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => {}
            Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => {
                return Err(Refusal::WrongPhase(state.phase.name()));
            }
        }
        let policy = &context.limits.closing;
        if let Some(got) = request.feerate {
            let (minimum, maximum) = (policy.feerate_min, policy.feerate_max);
            if got < minimum || got > maximum {
                return Err(Refusal::ClosingFeerateOutOfRange { got, minimum, maximum });
            }
        }
        let sent = state.shutting_down().and_then(|closing| closing.scripts.local.as_ref());
        let promised = state.facts.sides.local.upfront_shutdown_script.as_ref();
        let script = request.script.as_ref().or(sent).or(promised).or(policy.script.as_ref());
        let script = script.ok_or(Refusal::NoShutdownScript)?.clone();
        if promised.is_some_and(|promised| *promised != script) {
            return Err(Refusal::NotUpfrontScript);
        }
        // Without a connection nobody knows what the peer will support: then the script waits for a peer that takes it.
        let forms = self.session().map_or(EVERY_FORM, Session::shutdown_forms);
        ShutdownScript::new(script.clone(), forms).map_err(|_| Refusal::InvalidShutdownScript)?;
        let wanted = WantedClose {
            script,
            feerate: request.feerate,
        };
        if sent.is_some() {
            self.check_replacement(&wanted, context)?;
        }
        Ok(Decision::step(Step::CloseWanted(wanted)))
    }

    /// The peer's `shutdown`.
    ///
    /// # Errors
    /// [`Violation`] when the script is not allowed or not the one that was promised, or the peer's state is not clean.
    pub fn decide_peer_shutdown(&self, message: &Shutdown) -> Result<Decision, Violation> {
        const NAME: &str = "shutdown";
        let session = self.session_for(NAME)?;
        let state = self.state();
        match state.phase {
            Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => {}
            Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => {
                return Err(Violation::WrongPhase {
                    message: NAME,
                    phase: state.phase.name(),
                });
            }
        }
        if session.negotiation.peer_sent_shutdown {
            return Err(Violation::ShutdownTwice);
        }
        let script = &message.scriptpubkey;
        ShutdownScript::new(script.clone(), session.shutdown_forms()).map_err(|_| Violation::InvalidShutdownScript)?;
        state.check_promise(script, NAME)?;
        let known = state
            .shutting_down()
            .and_then(|closing| closing.scripts.remote.as_ref());
        let mut decision = Decision::default();
        match known {
            Some(known) if known == script => {}
            // BOLT 2, simple close: a new connection brings the latest script.
            Some(_) if !session.has_simple_close() => return Err(Violation::ShutdownScriptChanged),
            None if state.has_uncommitted_add_of_peer() => return Err(Violation::ShutdownWithUpdatesPending),
            Some(_) | None => decision.steps.push(Step::ShutdownReceived(script.clone())),
        }
        let mut session = session.clone();
        session.negotiation.peer_sent_shutdown = true;
        decision.link = Some(Link::Up(session));
        Ok(decision)
    }

    /// Sends the `shutdown` that our user wants or that the peer's asks for, once it may be sent.
    pub(crate) fn decide_due_shutdown(&self, context: &Context<'_>) -> Option<Decision> {
        let session = self.session()?;
        let state = self.state();
        let Phase::ShuttingDown(closing) = &state.phase else {
            return None;
        };
        // BOLT 2: not while updates of ours are uncommitted; the next `commitment_signed` comes first.
        if closing.scripts.local.is_some() || !state.commitments.sent.unsigned.is_empty() {
            return None;
        }
        // A wish of ours waits for the end of quiescence; the peer's own `shutdown` is answered.
        let is_disturbing = match session.quiescence {
            Quiescence::Off | Quiescence::Wanted => false,
            Quiescence::AwaitingPeer { .. } | Quiescence::AwaitingUs { .. } | Quiescence::Quiet { .. } => true,
        };
        if is_disturbing && closing.scripts.remote.is_none() {
            return None;
        }
        let wanted = closing.wanted.as_ref().map(|wanted| &wanted.script);
        let promised = state.facts.sides.local.upfront_shutdown_script.as_ref();
        let script = wanted.or(promised).or(context.limits.closing.script.as_ref())?.clone();
        ShutdownScript::new(script.clone(), session.shutdown_forms()).ok()?;
        let message = state.shutdown_message(script.clone());
        Some(Decision::step(Step::ShutdownSent(script)).send(message))
    }
}

impl Session {
    /// The forms of scripts that both sides support.
    pub(crate) fn shutdown_forms(&self) -> ShutdownForms {
        shutdown_forms(&self.features)
    }
}

impl ChannelState {
    pub(crate) const fn shutdown_message(&self, scriptpubkey: bitcoin::ScriptBuf) -> Shutdown {
        Shutdown {
            channel_id: self.facts.channel_id,
            scriptpubkey,
        }
    }

    /// A peer that promised its script when the channel opened is paid nowhere else.
    pub(crate) fn check_promise(&self, script: &bitcoin::Script, message: &'static str) -> Result<(), Violation> {
        match &self.facts.sides.remote.upfront_shutdown_script {
            Some(promised) if *promised.as_script() != *script => Err(Violation::NotUpfrontScript { message }),
            Some(_) | None => Ok(()),
        }
    }

    /// Only additions count: a peer that comes back may well repeat a removal before its `shutdown`.
    fn has_uncommitted_add_of_peer(&self) -> bool {
        let mut received = self.commitments.received.values();
        received.any(|htlc| htlc.state == HtlcState::RcvdAddHtlc)
    }
}
