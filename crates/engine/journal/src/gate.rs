//! The gate: nothing leaves before it is durable.
//!
//! It hands a step's changes to the store, holds the step's effects, and gives each out once the store says that the batch it
//! depends on is durable. It is sans-IO, the same code in the daemon and in the simulator; it runs nothing and waits for nothing.
//!
//! Invariants: an effect never leaves before its batch, and every batch before it, is durable; effects leave in the order in
//! which they were appended; an effect of a dead connection never leaves; once the store has failed nothing leaves any more (G10).
//! Every write of the process goes through one gate, which therefore sees every batch number. Start at [`Gate::append`].

use std::collections::{BTreeMap, VecDeque};

use quittance_primitives::NodeId;

use crate::step::Effect;
use crate::{Generation, Lsn, Scope, Step, Store, StoreFailed};

/// Holds effects back until what they depend on is durable. A copy is for simulations that go on twice from one moment.
#[derive(Clone, Debug)]
pub struct Gate<E> {
    /// In ascending order of batch numbers.
    held: VecDeque<Held<E>>,
    appended: Lsn,
    durable: Lsn,
    connections: BTreeMap<NodeId, Generation>,
    failure: Option<StoreFailed>,
}

/// The effects that a call of [`Gate::release`] lets out, in order. What is not taken out of it stays in the gate.
#[derive(Debug)]
#[must_use = "an effect that is not taken stays in the gate"]
pub struct Released<'a, E> {
    gate: &'a mut Gate<E>,
}

#[derive(Clone)]
struct Held<E> {
    lsn: Lsn,
    effect: Effect<E>,
}

impl<E> Gate<E> {
    /// A gate for a store that was just opened, and whose batches up to `durable` are all there is.
    pub const fn new(durable: Lsn) -> Self {
        Self {
            held: VecDeque::new(),
            appended: durable,
            durable,
            connections: BTreeMap::new(),
            failure: None,
        }
    }

    /// Appends the step's changes as one batch, holds its effects, and returns the batch that they wait for.
    ///
    /// A step without changes writes nothing; its effects wait for all that was appended before, which they may rest on.
    ///
    /// # Errors
    /// [`StoreFailed`] when the store fails or has failed. The step's effects, and all that were held, are dropped.
    ///
    /// # Panics
    /// When the store's numbers skip one: something was written past the gate, or lost.
    pub fn append<S: Store + ?Sized>(&mut self, step: Step<E>, store: &mut S) -> Result<Lsn, StoreFailed> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (changes, effects) = step.into_parts();
        if !changes.is_empty() {
            match store.append(changes) {
                Ok(lsn) => {
                    assert_eq!(lsn, self.appended.next(), "every batch passes the gate, in order");
                    self.appended = lsn;
                }
                Err(failure) => {
                    self.fail(failure.clone());
                    return Err(failure);
                }
            }
        }
        let lsn = self.appended;
        self.held.extend(effects.into_iter().map(|effect| Held { lsn, effect }));
        Ok(lsn)
    }

    /// The effects whose batches are durable, now that those up to `durable` are; in order, without those of dead connections.
    ///
    /// # Panics
    /// When `durable` is beyond the last appended batch.
    pub fn release(&mut self, durable: Lsn) -> Released<'_, E> {
        assert!(durable <= self.appended, "only what was appended can be durable");
        self.durable = self.durable.max(durable);
        Released { gate: self }
    }

    /// A connection to `peer` was made; effects for an earlier one will not leave any more. To be told before the engine is.
    ///
    /// # Panics
    /// When `generation` is not above that of the connection it replaces.
    pub fn connected(&mut self, peer: NodeId, generation: Generation) {
        let replaced = self.connections.insert(peer, generation);
        assert!(
            replaced < Some(generation),
            "each connection to a peer has a larger number than the one before"
        );
    }

    /// The connection to `peer` is gone; effects for it will not leave any more.
    pub fn disconnected(&mut self, peer: &NodeId) {
        self.connections.remove(peer);
    }

    /// The store has failed: nothing leaves from now on. [`Gate::append`] does the same when it meets the failure itself.
    pub fn fail(&mut self, failure: StoreFailed) {
        self.held = VecDeque::new();
        self.failure.get_or_insert(failure);
    }

    /// Why nothing leaves any more, if so.
    pub const fn failure(&self) -> Option<&StoreFailed> {
        self.failure.as_ref()
    }

    /// How many effects are held; what a driver bounds by taking no input while it is large.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether something waits to leave that is such an effect. What only others wait for may be written with what comes next.
    pub fn holds_any(&self, is_such: impl Fn(&E) -> bool) -> bool {
        let mut held = self.held.iter().map(|held| &held.effect);
        held.any(|held| self.is_alive(held.scope) && is_such(&held.effect))
    }

    /// The last batch that was appended.
    pub const fn appended(&self) -> Lsn {
        self.appended
    }

    /// The last batch that the gate knows to be durable.
    pub const fn durable(&self) -> Lsn {
        self.durable
    }

    fn is_alive(&self, scope: Scope) -> bool {
        #[cfg(feature = "mutants")]
        if crate::mutant::is_on(crate::mutant::Mutant::EffectOfDeadConnection) {
            return true;
        }
        match scope {
            Scope::Global => true,
            Scope::Connection { peer, generation } => self.connections.get(&peer) == Some(&generation),
        }
    }
}

impl<E> Iterator for Released<'_, E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        let gate = &mut *self.gate;
        #[cfg(feature = "mutants")]
        if crate::mutant::is_on(crate::mutant::Mutant::EffectBeforeSync) {
            return gate.held.pop_front().map(|held| held.effect.effect);
        }
        while gate.held.front()?.lsn <= gate.durable {
            let Effect { scope, effect } = gate.held.pop_front()?.effect;
            if gate.is_alive(scope) {
                return Some(effect);
            }
        }
        None
    }
}

impl<E> std::fmt::Debug for Held<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an effect of {} ({:?})", self.lsn, self.effect.scope)
    }
}

#[cfg(test)]
mod tests;
