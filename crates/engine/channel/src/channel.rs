//! A live channel: the state that its log folds to, and the connection that it has at the moment.
//!
//! Every input goes through a `decide_…` method, which validates it and changes nothing, and then through
//! [`Channel::adopt`], which folds the decision's steps. [`Channel::take_update`] hands out what was folded since the last
//! time, as the next entry of the log: it must be written in the same batch as everything else that the input caused.

use quittance_primitives::Features;

use crate::closing::Negotiation;
use crate::quiescence::Quiescence;
use crate::{ChannelEffect, ChannelMonitorUpdate, ChannelState, Consequence, Opening, Phase, Refusal, Step, Violation};

/// A live channel.
#[derive(Clone, Debug)]
pub struct Channel {
    state: ChannelState,
    link: Link,
    unlogged: Vec<Step>,
}

/// The connection that a channel has, if any. It is not part of the log: a restart is a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// None.
    Down,
    /// Connected: our `channel_reestablish` is sent, the peer's has not come.
    AwaitingReestablish(Features),
    /// In use.
    Up(Session),
}

/// What holds for one connection only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What both sides support.
    pub features: Features,
    /// Whether the channel is being made quiescent.
    pub quiescence: Quiescence,
    /// How far the negotiation of a closing transaction has come.
    pub negotiation: Negotiation,
}

/// What an input does: the steps to be logged, and what follows once they are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a decision changes nothing until it is adopted"]
pub struct Decision {
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What is to be done once the steps are durable, in order.
    pub effects: Vec<ChannelEffect>,
    /// What follows for the rest of the node.
    pub consequences: Vec<Consequence>,
    /// What the connection becomes, if it changes.
    pub link: Option<Link>,
}

/// What is left of a decision once its steps are folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "effects must be held until the steps are durable, and then carried out"]
pub struct Reaction {
    /// What is to be done once the steps are durable, in order.
    pub effects: Vec<ChannelEffect>,
    /// What follows for the rest of the node.
    pub consequences: Vec<Consequence>,
}

impl Channel {
    /// A channel that has just been opened, with its first step still to be logged.
    pub fn open(opening: Opening, features: Features) -> Self {
        let step = Step::Opened(Box::new(opening.clone()));
        let link = Link::Up(Session::new(features));
        Self {
            state: ChannelState::open(opening),
            link,
            unlogged: vec![step],
        }
    }

    /// A channel as it was read back from its log.
    pub const fn restore(state: ChannelState) -> Self {
        Self {
            state,
            link: Link::Down,
            unlogged: Vec::new(),
        }
    }

    /// Everything durable about it.
    pub const fn state(&self) -> &ChannelState {
        &self.state
    }

    /// Its connection.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Folds a decision. Its effects must not be carried out before the steps are durable.
    pub fn adopt(&mut self, decision: Decision) -> Reaction {
        let Decision {
            steps,
            effects,
            consequences,
            link,
        } = decision;
        for step in steps {
            self.state.apply(&step);
            self.unlogged.push(step);
        }
        if let Some(link) = link {
            self.link = link;
        }
        Reaction { effects, consequences }
    }

    /// The next entry of the log: all steps folded since the last one. `None` when there are none.
    pub fn take_update(&mut self) -> Option<ChannelMonitorUpdate> {
        if self.unlogged.is_empty() {
            return None;
        }
        self.state.last_update = self.state.last_update.next();
        Some(ChannelMonitorUpdate {
            id: self.state.last_update,
            steps: std::mem::take(&mut self.unlogged),
        })
    }

    /// The connection is lost: whatever held only for it is forgotten.
    pub fn disconnect(&mut self) {
        self.link = Link::Down;
    }

    pub(crate) const fn session(&self) -> Option<&Session> {
        match &self.link {
            Link::Up(session) => Some(session),
            Link::Down | Link::AwaitingReestablish(_) => None,
        }
    }

    /// The session, for a message that may only come in one.
    pub(crate) fn session_for(&self, message: &'static str) -> Result<&Session, Violation> {
        self.session().ok_or(Violation::BeforeReestablish { message })
    }

    /// The session, for a command that needs one.
    pub(crate) fn live_session(&self) -> Result<&Session, Refusal> {
        self.session().ok_or(Refusal::PeerNotConnected)
    }
}

impl Session {
    pub(crate) fn new(features: Features) -> Self {
        Self {
            features,
            quiescence: Quiescence::default(),
            negotiation: Negotiation::default(),
        }
    }
}

impl Phase {
    /// The phase in a word, for errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AwaitingReady(_) => "waiting for its funding",
            Self::Normal => "open",
            Self::ShuttingDown(_) => "shutting down",
            Self::ClosingAgreed(_) => "closed by agreement",
            Self::ForceClosed(_) => "force-closed",
            Self::FellBehind => "waiting for the peer to close it, since we lost state",
            Self::Abandoned(_) => "abandoned",
        }
    }

    /// Whether the funding may still be given up, if it is not in the chain.
    pub(crate) const fn may_lack_funding(&self) -> bool {
        matches!(
            self,
            Self::AwaitingReady(_) | Self::ShuttingDown(_) | Self::ClosingAgreed(_)
        )
    }

    /// Whether HTLCs may be in the commitments, and commitments may be signed.
    pub const fn is_operating(&self) -> bool {
        match self {
            Self::Normal => true,
            Self::ShuttingDown(shutting_down) => shutting_down.ready.local && shutting_down.ready.remote,
            Self::AwaitingReady(_)
            | Self::ClosingAgreed(_)
            | Self::ForceClosed(_)
            | Self::FellBehind
            | Self::Abandoned(_) => false,
        }
    }
}

impl Decision {
    /// A decision of one step.
    pub fn step(step: Step) -> Self {
        Self {
            steps: vec![step],
            ..Self::default()
        }
    }

    /// The decision with one more effect.
    pub fn then(mut self, effect: ChannelEffect) -> Self {
        self.effects.push(effect);
        self
    }

    /// The decision with one more effect: a message that is complete.
    pub fn send(self, message: impl Into<quittance_wire::Message>) -> Self {
        self.then(ChannelEffect::Send(Box::new(message.into())))
    }

    /// The decision with one more consequence.
    pub fn so(mut self, consequence: Consequence) -> Self {
        self.consequences.push(consequence);
        self
    }
}
