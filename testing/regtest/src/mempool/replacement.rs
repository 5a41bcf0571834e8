//! Replacement by fee, without regard to signalling: what BIP 125 asks for in money, and what Bitcoin Core asks since
//! cluster mempools instead of the rest of it: that a miner be better off with every prefix of the mempool.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Txid};

use super::Mempool;
use super::acceptance::Candidate;
use super::chunks::{Node, improves_diagram, linearise};
use crate::rejection::{Reason, Rejected};

const REPLACED_CLUSTERS_MAX: usize = 100;

impl Mempool {
    /// The entries that a candidate with conflicts replaces, if it may.
    pub(super) fn check_replacement(&self, candidate: &Candidate) -> Result<BTreeSet<Txid>, Rejected> {
        let sibling = candidate.evicts_sibling;
        let Some(replaced) = self.replaced_by(&candidate.conflicts) else {
            return Err(if sibling {
                Reason::TooManyReplacementsForSibling
            } else {
                Reason::TooManyReplacements
            }
            .into());
        };
        self.check_pays_for_replacement(&replaced, candidate.modified_fee, candidate.vsize())
            .map_err(|details| {
                if sibling {
                    Reason::InsufficientFeeForSibling
                } else {
                    Reason::InsufficientFee
                }
                .because(details)
            })?;
        let candidates = std::slice::from_ref(candidate);
        self.check_cluster_limits(candidates, &replaced)?;
        if !self.improves(candidates, &replaced) {
            return Err(Reason::ReplacementFailed.because("insufficient feerate: does not improve feerate diagram"));
        }
        Ok(replaced)
    }

    /// All entries that go with these conflicts; `None` if they are in too many clusters.
    pub(super) fn replaced_by(&self, conflicts: &BTreeSet<Txid>) -> Option<BTreeSet<Txid>> {
        let clusters: BTreeSet<Option<Txid>> = conflicts
            .iter()
            .map(|conflict| self.cluster(conflict).first().copied())
            .collect();
        (clusters.len() <= REPLACED_CLUSTERS_MAX).then(|| {
            conflicts
                .iter()
                .flat_map(|conflict| self.descendants(conflict))
                .collect()
        })
    }

    /// BIP 125 rules 3 and 4: at least the same fees, and the own size's worth on top.
    pub(super) fn check_pays_for_replacement(
        &self,
        replaced: &BTreeSet<Txid>,
        fee: i64,
        vsize: u64,
    ) -> Result<(), String> {
        let old: i64 = replaced
            .iter()
            .filter_map(|txid| self.entry(txid))
            .map(|entry| entry.modified_fee)
            .sum();
        if fee < old {
            return Err(format!("less fees than conflicting txs; {fee} < {old}"));
        }
        let required = self
            .policy()
            .incremental_relay_feerate
            .fee_vb(vsize)
            .unwrap_or(Amount::MAX_MONEY)
            .to_sat();
        let additional = fee - old;
        if i128::from(additional) < i128::from(required) {
            return Err(format!(
                "not enough additional fees to relay; {additional} < {required}"
            ));
        }
        Ok(())
    }

    /// Whether the clusters touched are worth more to a miner afterwards.
    pub(super) fn improves(&self, candidates: &[Candidate], replaced: &BTreeSet<Txid>) -> bool {
        let touched = self.touched(candidates, replaced);
        let before = linearise(&self.nodes(&touched));
        let after = linearise(&self.nodes_after(candidates, replaced, &touched));
        improves_diagram(&after, &before)
    }

    /// No cluster that a candidate joins may become too large.
    pub(super) fn check_cluster_limits(
        &self,
        candidates: &[Candidate],
        replaced: &BTreeSet<Txid>,
    ) -> Result<(), Rejected> {
        let touched = self.touched(candidates, replaced);
        let nodes = self.nodes_after(candidates, replaced, &touched);
        for candidate in candidates {
            let cluster = connected(&nodes, candidate.txid);
            let weight: u64 = cluster.iter().map(|txid| nodes[txid].weight).sum();
            if cluster.len() > self.policy().cluster_count_max || weight > self.policy().cluster_vsize_max * 4 {
                return Err(Reason::TooLargeCluster.into());
            }
        }
        Ok(())
    }

    /// The entries of every cluster that the change touches.
    fn touched(&self, candidates: &[Candidate], replaced: &BTreeSet<Txid>) -> BTreeSet<Txid> {
        let parents = candidates.iter().flat_map(|candidate| &candidate.parents);
        replaced
            .iter()
            .chain(parents)
            .flat_map(|txid| self.cluster(txid))
            .collect()
    }

    fn nodes_after(
        &self,
        candidates: &[Candidate],
        replaced: &BTreeSet<Txid>,
        touched: &BTreeSet<Txid>,
    ) -> BTreeMap<Txid, Node> {
        let mut nodes = self.nodes(touched.difference(replaced));
        for candidate in candidates {
            let parents = candidate
                .transaction
                .input
                .iter()
                .map(|input| input.previous_output.txid)
                .collect();
            nodes.insert(
                candidate.txid,
                Node {
                    fee: candidate.modified_fee,
                    weight: candidate.weight,
                    parents,
                },
            );
        }
        nodes
    }
}

fn connected(nodes: &BTreeMap<Txid, Node>, start: Txid) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(next) = open.pop() {
        let parents = nodes[&next]
            .parents
            .iter()
            .copied()
            .filter(|parent| nodes.contains_key(parent));
        let children = nodes
            .iter()
            .filter(|(_, node)| node.parents.contains(&next))
            .map(|(txid, _)| *txid);
        for neighbour in parents.chain(children) {
            if found.insert(neighbour) {
                open.push(neighbour);
            }
        }
    }
    found
}
