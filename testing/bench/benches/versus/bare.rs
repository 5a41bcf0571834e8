//! A payment's bare work: what any node has to do for it, whoever wrote the node.

use quittance_payments_bench::node::Outcome;

use crate::counts::{Account, on_behalf_of};
use crate::curve::{Curve, Operation, of_a_hop};
use crate::disk::{COMMITS_OF_A_HOP, Pages};

/// The work of all nodes for a payment alone, one piece after the other as the protocol has it: on the curve, cut into as many parts as there
/// are commits, which the two nodes of a hop do by turns; and behind each part a page that is synced.
///
/// Operations that are measured by themselves, again and again, are cheaper: here each sync has the processor rest, and its caches are
/// other people's meanwhile.
pub(crate) struct Bare {
    curve: Curve,
    pages: Pages,
    operations: Vec<Operation>,
    accounts: Vec<Account>,
}

impl Bare {
    /// With a file of its own, each node's costs on an account.
    pub(crate) fn new(accounts: &[Account]) -> Outcome<Self> {
        Ok(Self {
            curve: Curve::new(),
            pages: Pages::new()?,
            operations: of_a_hop(),
            accounts: accounts.to_vec(),
        })
    }

    /// Does it for so many payments.
    pub(crate) fn pay(&mut self, count: u64) -> Outcome<()> {
        let part = self.operations.len().div_ceil(usize::try_from(COMMITS_OF_A_HOP)?);
        for _ in 0..count {
            for (hop, nodes) in self.accounts.windows(2).enumerate() {
                for (turn, operations) in self.operations.chunks(part).enumerate() {
                    // What a forwarder hears last of an HTLC that comes, and that it hands it on, are one commit.
                    let is_synced = hop == 0 || turn > 0;
                    let curve = &mut self.curve;
                    let pages = &mut self.pages;
                    on_behalf_of(nodes[turn % 2], || {
                        operations.iter().for_each(|operation| curve.perform(*operation));
                        if is_synced { pages.write() } else { Ok(()) }
                    })?;
                }
            }
        }
        Ok(())
    }
}
