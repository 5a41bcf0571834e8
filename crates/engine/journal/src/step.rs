//! The result of one step of the engine: what to write, and what may happen once it is written.

use std::fmt;

use quittance_primitives::NodeId;

use crate::Batch;

/// What a step changes and what follows from it. The changes can be read; the effects cannot: only a [`crate::Gate`] takes them.
/// What may be prepared for them before is told by [`Step::ahead`].
#[must_use = "a step that does not pass the gate is neither written nor acted upon"]
pub struct Step<E> {
    changes: Batch,
    effects: Vec<Effect<E>>,
}

/// How long an effect means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// As long as the process lives.
    Global,
    /// As long as this connection lives: what was queued for it must never reach the next one.
    Connection {
        /// The peer at its other end.
        peer: NodeId,
        /// Which of the connections to that peer.
        generation: Generation,
    },
}

/// Tells the connections to one peer apart: each new one has a larger number than those before it in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// An effect of which something may be prepared while its batch is being written. What is handed out for that must be of no use to anyone
/// before the effect itself has left the gate.
pub trait Ahead {
    /// What may be prepared.
    type Work;

    /// The work that this effect will ask for, if it is any that can be done before.
    fn ahead(&self) -> Option<Self::Work>;
}

#[derive(Clone)]
pub(crate) struct Effect<E> {
    pub(crate) scope: Scope,
    pub(crate) effect: E,
}

impl<E> Step<E> {
    /// A step that changes nothing and has no effect.
    pub const fn new() -> Self {
        Self {
            changes: Batch::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be written.
    pub const fn changes(&self) -> &Batch {
        &self.changes
    }

    /// What is to be written, to add to it.
    pub const fn changes_mut(&mut self) -> &mut Batch {
        &mut self.changes
    }

    /// Adds an effect behind those that are there.
    pub fn emit(&mut self, scope: Scope, effect: E) {
        self.effects.push(Effect { scope, effect });
    }

    /// Adds the changes and effects of `other` behind those that are there: both become one atomic write.
    pub fn append(&mut self, other: Self) {
        self.changes.append(other.changes);
        self.effects.extend(other.effects);
    }

    /// The same step, its effects in the words of a caller.
    pub fn lift<F: From<E>>(self) -> Step<F> {
        let effects = self.effects.into_iter();
        Step {
            changes: self.changes,
            effects: effects
                .map(|Effect { scope, effect }| Effect {
                    scope,
                    effect: effect.into(),
                })
                .collect(),
        }
    }

    /// What may be prepared for the step's effects while its changes are being written, in their order.
    pub fn ahead(&self) -> impl Iterator<Item = (Scope, E::Work)>
    where
        E: Ahead,
    {
        let effects = self.effects.iter();
        effects.filter_map(|Effect { scope, effect }| effect.ahead().map(|work| (*scope, work)))
    }

    /// How many effects wait in the step.
    pub fn effect_count(&self) -> usize {
        self.effects.len()
    }

    pub(crate) fn into_parts(self) -> (Batch, Vec<Effect<E>>) {
        (self.changes, self.effects)
    }
}

impl<E> Default for Step<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Step<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("changes", &self.changes)
            .field("effects", &self.effects.len())
            .finish()
    }
}
