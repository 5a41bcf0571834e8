//! Making a channel quiescent (BOLT 2, `stfu`). Nothing of it is durable: a lost connection ends it.

use quittance_primitives::Feature;
use quittance_wire::Stfu;

use crate::channel::Link;
use crate::{Channel, Context, Decision, Phase, Quiescence, Refusal, Session, Side, Violation};

impl Channel {
    /// Makes the channel quiescent: `stfu` leaves once none of our updates is pending.
    ///
    /// # Errors
    /// [`Refusal`] when the channel is not open, the peer cannot do it, or it is under way.
    pub fn decide_quiesce(&self) -> Result<Decision, Refusal> {
        let session = self.live_session()?;
        let state = self.state();
        match state.phase {
            Phase::Normal => {}
            Phase::AwaitingReady(_)
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => return Err(Refusal::WrongPhase(state.phase.name())),
        }
        if !session.features.supports(Feature::Quiesce) {
            return Err(Refusal::NotNegotiated("option_quiesce"));
        }
        match session.quiescence {
            Quiescence::Off => Ok(session.quiesce(Quiescence::Wanted)),
            Quiescence::Wanted
            | Quiescence::AwaitingPeer { .. }
            | Quiescence::AwaitingUs { .. }
            | Quiescence::Quiet { .. } => Err(Refusal::Quiescent),
        }
    }

    /// The peer's `stfu`.
    ///
    /// # Errors
    /// [`Violation`] when it was not negotiated, comes twice, or comes with updates of the peer's pending.
    pub fn decide_stfu(&self, message: &Stfu, context: &Context<'_>) -> Result<Decision, Violation> {
        const NAME: &str = "stfu";
        let session = self.session_for(NAME)?;
        if !session.features.supports(Feature::Quiesce) {
            return Err(Violation::QuiescenceNotNegotiated);
        }
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Violation::WrongPhase {
                message: NAME,
                phase: state.phase.name(),
            });
        }
        let next = match session.quiescence {
            Quiescence::AwaitingUs { .. } | Quiescence::Quiet { .. } => return Err(Violation::StfuTwice),
            Quiescence::Off | Quiescence::Wanted if message.initiator == 0 => {
                return Err(Violation::StfuAnswersNothing);
            }
            Quiescence::Off | Quiescence::Wanted => Quiescence::AwaitingUs {
                since_ms: context.now_ms,
            },
            Quiescence::AwaitingPeer { .. } => Quiescence::Quiet {
                // BOLT 2: of two who ask at once, the opener of the channel is the initiator.
                initiator: match message.initiator {
                    0 => Side::Local,
                    _ => state.facts.opener,
                },
                since_ms: context.now_ms,
            },
        };
        if state.commitments.has_pending_updates_of(Side::Remote) {
            return Err(Violation::StfuWithUpdatesPending);
        }
        Ok(session.quiesce(next))
    }

    /// Sends the `stfu` that we want or owe, once none of our updates is pending for either side.
    pub(crate) fn decide_due_stfu(&self, context: &Context<'_>) -> Option<Decision> {
        let session = self.session()?;
        let since_ms = context.now_ms;
        let (initiator, next) = match session.quiescence {
            Quiescence::Off | Quiescence::AwaitingPeer { .. } | Quiescence::Quiet { .. } => return None,
            Quiescence::Wanted => (Side::Local, Quiescence::AwaitingPeer { since_ms }),
            Quiescence::AwaitingUs { .. } => {
                let initiator = Side::Remote;
                (initiator, Quiescence::Quiet { initiator, since_ms })
            }
        };
        let state = self.state();
        if !state.phase.is_operating() || state.commitments.has_pending_updates_of(Side::Local) {
            return None;
        }
        let message = Stfu {
            channel_id: state.facts.channel_id,
            initiator: u8::from(initiator == Side::Local),
        };
        Some(session.quiesce(next).send(message))
    }
}

impl Session {
    fn quiesce(&self, quiescence: Quiescence) -> Decision {
        let session = Self {
            quiescence,
            ..self.clone()
        };
        Decision {
            link: Some(Link::Up(session)),
            ..Decision::default()
        }
    }
}
