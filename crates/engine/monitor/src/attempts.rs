//! With which feerate each transaction that claims something was tried last: all that a monitor must remember of its own doing.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};
use quittance_primitives::{BlockHeight, FeeratePerKw};
use quittance_records::{Listed, record};

/// Everything that was broadcast to claim outputs, by the first output that it claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts(pub(crate) BTreeMap<OutPoint, Attempt>);

record!(Attempts(attempts));

/// A transaction that was broadcast, as far as it must be remembered to replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it claims.
    pub inputs: Vec<OutPoint>,
    /// What it pays.
    pub feerate: FeeratePerKw,
    /// What that comes to, or came to at least.
    pub fee: Amount,
    /// The height at which it was made or raised last.
    pub since: BlockHeight,
}

record!(Attempt {
    inputs,
    feerate,
    fee,
    since
});
impl Listed for Attempt {}

impl Attempts {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn note(&mut self, attempt: Attempt) {
        if let Some(first) = attempt.inputs.first() {
            self.0.insert(*first, attempt);
        }
    }
}
