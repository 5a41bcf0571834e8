//! Which transactions a miner takes: the best-paying chunks first, each complete, until the block is full.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, FeeRate, Txid};

use crate::chain::Selection;
use crate::mempool::chunks::{Chunk, Node, linearise};

/// The transactions of the next block, parents first.
///
/// `exclude` are left out with all that depends on them.
pub fn select(nodes: &BTreeMap<Txid, Node>, selection: Selection, exclude: &BTreeSet<Txid>) -> Vec<Txid> {
    let Selection::Paying { at_least, weight_max } = selection else {
        return Vec::new();
    };
    let nodes = without(nodes, exclude);
    let mut left = weight_max.to_wu();
    // Once a chunk does not get in, those behind it in its cluster may depend on it.
    let mut closed = BTreeSet::new();
    let mut selected = Vec::new();
    for (cluster, chunk) in ranked(&nodes) {
        if closed.contains(&cluster) {
            continue;
        }
        if chunk.fee > 0 && pays(&chunk, at_least) && chunk.weight <= left {
            left -= chunk.weight;
            selected.extend(chunk.txids);
        } else {
            closed.insert(cluster);
        }
    }
    selected
}

/// The feerate that a transaction must beat to be among the first `weight` units, or `None` if there is less waiting.
pub fn feerate_at(nodes: &BTreeMap<Txid, Node>, weight: u64) -> Option<FeeRate> {
    let mut seen = 0;
    ranked(nodes).into_iter().find_map(|(_, chunk)| {
        seen += chunk.weight;
        let fee = u64::try_from(chunk.fee).unwrap_or(0);
        (seen > weight).then(|| FeeRate::from_sat_per_kwu((fee * 1000).div_ceil(chunk.weight) + 1))
    })
}

/// All chunks of all clusters, best first, each with the number of its cluster.
fn ranked(nodes: &BTreeMap<Txid, Node>) -> Vec<(usize, Chunk)> {
    let mut ranked: Vec<(usize, Chunk)> = clusters(nodes)
        .iter()
        .enumerate()
        .flat_map(|(number, cluster)| linearise(cluster).into_iter().map(move |chunk| (number, chunk)))
        .collect();
    // The sort is stable, so chunks of one cluster keep their order.
    ranked.sort_by(|(_, left), (_, right)| right.compare_feerate(left));
    ranked
}

fn pays(chunk: &Chunk, at_least: FeeRate) -> bool {
    let required = at_least.fee_vb(chunk.weight.div_ceil(4)).unwrap_or(Amount::MAX_MONEY);
    i128::from(chunk.fee) >= i128::from(required.to_sat())
}

fn without(nodes: &BTreeMap<Txid, Node>, exclude: &BTreeSet<Txid>) -> BTreeMap<Txid, Node> {
    let mut left = nodes.clone();
    let mut gone: Vec<Txid> = exclude.iter().copied().collect();
    while let Some(txid) = gone.pop() {
        left.remove(&txid);
        gone.extend(
            left.iter()
                .filter(|(_, node)| node.parents.contains(&txid))
                .map(|(child, _)| *child),
        );
    }
    left
}

/// The connected parts of the graph, largest first and then by txid, so that equals are taken in a stable order.
fn clusters(nodes: &BTreeMap<Txid, Node>) -> Vec<BTreeMap<Txid, Node>> {
    let mut children: BTreeMap<Txid, Vec<Txid>> = BTreeMap::new();
    for (txid, node) in nodes {
        for parent in &node.parents {
            children.entry(*parent).or_default().push(*txid);
        }
    }
    let mut seen = BTreeSet::new();
    let mut clusters: Vec<BTreeMap<Txid, Node>> = Vec::new();
    for start in nodes.keys() {
        let mut cluster = BTreeMap::new();
        let mut open = vec![*start];
        while let Some(txid) = open.pop() {
            let Some(node) = nodes.get(&txid).filter(|_| seen.insert(txid)) else {
                continue;
            };
            open.extend(node.parents.iter().chain(children.get(&txid).into_iter().flatten()));
            cluster.insert(txid, node.clone());
        }
        if !cluster.is_empty() {
            clusters.push(cluster);
        }
    }
    clusters.sort_by_key(|cluster| Reverse(cluster.len()));
    clusters
}
