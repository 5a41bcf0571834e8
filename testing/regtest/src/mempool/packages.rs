//! A child and its parents, offered together: those that fail for their fee alone are judged once more by the feerate of
//! all that is left. This is how a commitment without sufficient fee enters, paid by the child on its anchor, and how such
//! a pair replaces another.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::acceptance::{Acceptance, Admission, Candidate, Limits};
use crate::rejection::{PackageRejected, Reason};

const COUNT_MAX: usize = 25;
const WEIGHT_MAX: u64 = 404_000;

impl From<Reason> for PackageRejected {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            transactions: BTreeMap::new(),
        }
    }
}

impl PackageRejected {
    fn single(txid: Txid, reason: Reason) -> Self {
        Self {
            reason: Reason::TransactionFailed,
            transactions: BTreeMap::from([(txid, reason)]),
        }
    }
}

impl Acceptance<'_> {
    /// Judges a package, parents first, and lets in what passes.
    pub fn submit_package(&mut self, package: &[Transaction]) -> Result<(), PackageRejected> {
        check_form(package)?;
        let mut failures = BTreeMap::new();
        let mut unpaid = Vec::new();
        let mut hopeless = false;
        for transaction in package {
            let txid = transaction.compute_txid();
            // Fees count once: what gets in alone, or is in already, does not pay for the rest.
            if self.mempool.entry(&txid).is_some() {
                continue;
            }
            match self.judge(transaction) {
                Ok(admission) => self.admit(admission),
                Err(rejected) => {
                    hopeless |= package.len() == 1 || !rejected.reason.may_pass_in_package();
                    failures.insert(txid, rejected.reason);
                    unpaid.push(transaction);
                }
            }
        }
        if unpaid.is_empty() {
            return Ok(());
        }
        if hopeless || unpaid.len() == 1 {
            return Err(PackageRejected {
                reason: Reason::TransactionFailed,
                transactions: failures,
            });
        }
        match self.judge_together(&unpaid) {
            Ok(admission) => {
                self.admit(admission);
                Ok(())
            }
            Err(rejected) => {
                failures.extend(rejected.transactions);
                Err(PackageRejected {
                    reason: rejected.reason,
                    transactions: failures,
                })
            }
        }
    }

    fn judge_together(&mut self, package: &[&Transaction]) -> Result<Admission, PackageRejected> {
        let mut candidates = Vec::with_capacity(package.len());
        let mut outputs: BTreeMap<OutPoint, TxOut> = BTreeMap::new();
        for transaction in package {
            let txid = transaction.compute_txid();
            let candidate = self
                .inspect(transaction, Limits::InPackage, &outputs)
                .map_err(|rejected| PackageRejected::single(txid, rejected.reason))?;
            candidates.push(candidate);
            outputs.extend(
                (0..)
                    .zip(&transaction.output)
                    .map(|(vout, output)| (OutPoint { txid, vout }, output.clone())),
            );
        }
        self.mempool
            .check_truc_package(&candidates)
            .map_err(|rejected| rejected.reason)?;

        let vsize = candidates.iter().map(Candidate::vsize).sum();
        let fee = candidates.iter().map(|candidate| candidate.modified_fee).sum();
        let child = &candidates[candidates.len() - 1];
        self.mempool
            .check_feerate(vsize, fee)
            .map_err(|rejected| PackageRejected::single(child.txid, rejected.reason))?;
        let replaced = self.check_package_replacement(&candidates, fee, vsize)?;
        self.mempool
            .check_cluster_limits(&candidates, &replaced)
            .map_err(|rejected| rejected.reason)?;
        self.mempool
            .check_dust_is_spent(package)
            .map_err(|(txid, rejected)| PackageRejected {
                reason: Reason::UnspentDust,
                transactions: BTreeMap::from([(txid, rejected.reason)]),
            })?;
        for candidate in &candidates {
            self.check_scripts(candidate)
                .map_err(|rejected| PackageRejected::single(candidate.txid, rejected.reason))?;
        }
        Ok(Admission { candidates, replaced })
    }

    /// What the package replaces, if it may.
    fn check_package_replacement(
        &self,
        candidates: &[Candidate],
        fee: i64,
        vsize: u64,
    ) -> Result<BTreeSet<Txid>, Reason> {
        let conflicts: BTreeSet<Txid> = candidates
            .iter()
            .flat_map(|candidate| candidate.conflicts.iter().copied())
            .collect();
        if conflicts.is_empty() {
            return Ok(conflicts);
        }
        let [parent, _child] = candidates else {
            return Err(Reason::PackageReplacementTopology);
        };
        if candidates.iter().any(|candidate| !candidate.parents.is_empty()) {
            return Err(Reason::PackageReplacementAncestors);
        }
        let replaced = self
            .mempool
            .replaced_by(&conflicts)
            .ok_or(Reason::PackageReplacementTooMany)?;
        self.mempool
            .check_pays_for_replacement(&replaced, fee, vsize)
            .map_err(|_| Reason::PackageReplacementFees)?;
        // The child must do more than to pay for the replacement: it must lift its parent.
        if i128::from(fee) * i128::from(parent.vsize()) <= i128::from(parent.modified_fee) * i128::from(vsize) {
            return Err(Reason::PackageReplacementFeerate);
        }
        self.mempool
            .check_cluster_limits(candidates, &replaced)
            .map_err(|rejected| rejected.reason)?;
        if !self.mempool.improves(candidates, &replaced) {
            return Err(Reason::PackageReplacementDiagram);
        }
        Ok(replaced)
    }
}

/// The rules for packages that need no context, in the order in which bitcoind's `submitpackage` meets them.
fn check_form(package: &[Transaction]) -> Result<(), Reason> {
    let Some((child, parents)) = package.split_last() else {
        return Err(Reason::PackageTooMany);
    };
    if package.len() > COUNT_MAX {
        return Err(Reason::PackageTooMany);
    }
    let spends = |transaction: &Transaction, txid: Txid| {
        transaction.input.iter().any(|input| input.previous_output.txid == txid)
    };
    for parent in parents {
        let txid = parent.compute_txid();
        if !spends(child, txid) || parents.iter().any(|other| spends(other, txid)) {
            return Err(Reason::PackageTopology);
        }
    }
    let weight: u64 = package.iter().map(|transaction| transaction.weight().to_wu()).sum();
    if package.len() > 1 && weight > WEIGHT_MAX {
        return Err(Reason::PackageTooLarge);
    }
    let txids: BTreeSet<Txid> = package.iter().map(Transaction::compute_txid).collect();
    if txids.len() < package.len() {
        return Err(Reason::PackageDuplicates);
    }
    let mut spent = BTreeSet::new();
    for transaction in package {
        let inputs: BTreeSet<OutPoint> = transaction.input.iter().map(|input| input.previous_output).collect();
        if inputs.is_empty() || inputs.iter().any(|outpoint| spent.contains(outpoint)) {
            return Err(Reason::PackageConflict);
        }
        spent.extend(inputs);
    }
    Ok(())
}
