//! Version 3 transactions (BIP 431, "topologically restricted until confirmation"): at most one unconfirmed parent and one
//! unconfirmed child, both of version 3; a small child; and a second child may push out the first by paying more.

use bitcoin::transaction::Version;
use bitcoin::{Transaction, Txid};

use super::Mempool;
use super::acceptance::Candidate;
use crate::rejection::{Reason, Rejected};

const VSIZE_MAX: u64 = 10_000;
const CHILD_VSIZE_MAX: u64 = 1_000;

/// A TRUC rule is broken.
pub(super) struct TrucViolation {
    pub(super) rejected: Rejected,
    /// The other child, if the violation ends when that is replaced.
    pub(super) evictable_sibling: Option<Txid>,
}

impl From<String> for TrucViolation {
    fn from(details: String) -> Self {
        Self {
            rejected: Reason::Truc.because(details),
            evictable_sibling: None,
        }
    }
}

impl Mempool {
    /// The rules for a transaction whose unconfirmed parents are in the mempool.
    pub(super) fn check_truc(&self, candidate: &Candidate) -> Result<(), TrucViolation> {
        let (transaction, txid) = (&candidate.transaction, candidate.txid);
        for parent in &candidate.parents {
            check_inheritance(transaction, txid, &self.entries[parent].transaction, *parent)?;
        }
        if !is_truc(transaction) {
            return Ok(());
        }
        check_vsize(candidate, !candidate.parents.is_empty())?;
        let mut parents = candidate.parents.iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            let too_many = candidate.parents.len() > 1;
            return if too_many {
                Err(too_many_ancestors(txid).into())
            } else {
                Ok(())
            };
        };
        if self.ancestors(parent).len() > 1 {
            return Err(too_many_ancestors(txid).into());
        }
        let mut siblings = self.descendants(parent);
        siblings.remove(parent);
        if siblings.is_empty() || siblings.iter().any(|sibling| candidate.conflicts.contains(sibling)) {
            return Ok(());
        }
        let only_sibling = siblings
            .first()
            .filter(|sibling| siblings.len() == 1 && self.ancestors(sibling).len() == 2);
        Err(TrucViolation {
            rejected: Reason::Truc.because(format!("tx {parent} would exceed descendant count limit")),
            evictable_sibling: only_sibling.copied(),
        })
    }

    /// The rules for the transactions of a package, where parents may come with their children.
    pub(super) fn check_truc_package(&self, package: &[Candidate]) -> Result<(), Rejected> {
        for candidate in package {
            let spends = |txid: &Txid| {
                candidate
                    .transaction
                    .input
                    .iter()
                    .any(|input| input.previous_output.txid == *txid)
            };
            let new_parents: Vec<&Candidate> = package.iter().filter(|other| spends(&other.txid)).collect();
            for parent in &new_parents {
                check_inheritance(&candidate.transaction, candidate.txid, &parent.transaction, parent.txid)
                    .map_err(|details| Reason::Truc.because(details))?;
            }
            if is_truc(&candidate.transaction) {
                self.check_truc_topology(candidate, &new_parents, package)
                    .map_err(|details| Reason::Truc.because(details))?;
            }
        }
        Ok(())
    }

    fn check_truc_topology(
        &self,
        candidate: &Candidate,
        new_parents: &[&Candidate],
        package: &[Candidate],
    ) -> Result<(), String> {
        let txid = candidate.txid;
        let old_ancestors = candidate
            .parents
            .iter()
            .map(|parent| self.ancestors(parent).len())
            .max()
            .unwrap_or(0);
        if candidate.parents.len() + new_parents.len() > 1 || old_ancestors + new_parents.len() > 1 {
            return Err(too_many_ancestors(txid));
        }
        let Some(parent) = candidate
            .parents
            .first()
            .copied()
            .or(new_parents.first().map(|parent| parent.txid))
        else {
            return Ok(());
        };
        check_vsize(candidate, true)?;
        for other in package.iter().filter(|other| other.txid != txid) {
            for input in &other.transaction.input {
                if input.previous_output.txid == parent {
                    return Err(format!("tx {parent} would exceed descendant count limit"));
                }
                if input.previous_output.txid == txid {
                    return Err(too_many_ancestors(other.txid));
                }
            }
        }
        if self.entry(&parent).is_some() && self.descendants(&parent).len() > 1 {
            return Err(format!("tx {parent} would exceed descendant count limit"));
        }
        Ok(())
    }
}

fn is_truc(transaction: &Transaction) -> bool {
    transaction.version == Version(3)
}

fn check_inheritance(child: &Transaction, child_id: Txid, parent: &Transaction, parent_id: Txid) -> Result<(), String> {
    match (is_truc(child), is_truc(parent)) {
        (false, true) => Err(format!(
            "non-version=3 tx {child_id} cannot spend from version=3 tx {parent_id}"
        )),
        (true, false) => Err(format!(
            "version=3 tx {child_id} cannot spend from non-version=3 tx {parent_id}"
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

fn check_vsize(candidate: &Candidate, is_child: bool) -> Result<(), String> {
    let max = if is_child { CHILD_VSIZE_MAX } else { VSIZE_MAX };
    let (vsize, txid) = (candidate.vsize(), candidate.txid);
    if vsize > max {
        Err(format!("version=3 tx {txid} is too big: {vsize} > {max} virtual bytes"))
    } else {
        Ok(())
    }
}

fn too_many_ancestors(txid: Txid) -> String {
    format!("tx {txid} would have too many ancestors")
}
