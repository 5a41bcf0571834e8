//! The order in which a miner would take connected transactions, and the pieces in which it takes them.
//!
//! A cluster is linearised by repeatedly taking the transaction that, with all it still depends on, pays most per weight.
//! Neighbours in that order are merged into one chunk as long as the later one pays more: the child that pays for its
//! parent ends in the parent's chunk. Two states of the mempool are compared by what a miner earns from every prefix.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Txid;

/// A transaction in a fee graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it pays, in satoshis, priority included.
    pub fee: i64,
    /// Its weight.
    pub weight: u64,
    /// What it depends on; those outside of the graph are confirmed.
    pub parents: BTreeSet<Txid>,
}

/// Transactions that a miner takes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What they pay, in satoshis.
    pub fee: i64,
    /// Their weight.
    pub weight: u64,
    /// Parents first.
    pub txids: Vec<Txid>,
}

impl Chunk {
    /// Compares what two chunks pay per weight.
    pub fn compare_feerate(&self, other: &Self) -> Ordering {
        compare_feerates((self.fee, self.weight), (other.fee, other.weight))
    }
}

/// The chunks of a graph, best first, each before what depends on it.
pub fn linearise(nodes: &BTreeMap<Txid, Node>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for txid in order(nodes) {
        let node = &nodes[&txid];
        let mut chunk = Chunk {
            fee: node.fee,
            weight: node.weight,
            txids: vec![txid],
        };
        while chunks
            .last()
            .is_some_and(|last| chunk.compare_feerate(last) == Ordering::Greater)
        {
            let mut merged = chunks.pop().expect("there is a last chunk");
            merged.fee += chunk.fee;
            merged.weight += chunk.weight;
            merged.txids.append(&mut chunk.txids);
            chunk = merged;
        }
        chunks.push(chunk);
    }
    chunks
}

/// Whether `new` earns a miner at least what `old` does from every amount of weight, and more from some.
pub fn improves_diagram(new: &[Chunk], old: &[Chunk]) -> bool {
    let mut better = false;
    for weight in breakpoints(new).into_iter().chain(breakpoints(old)) {
        // Both are fractions with positive denominators.
        let ((new_fee, new_divisor), (old_fee, old_divisor)) = (earned(new, weight), earned(old, weight));
        match (new_fee * old_divisor).cmp(&(old_fee * new_divisor)) {
            Ordering::Less => return false,
            Ordering::Equal => {}
            Ordering::Greater => better = true,
        }
    }
    better
}

fn compare_feerates(left: (i64, u64), right: (i64, u64)) -> Ordering {
    (i128::from(left.0) * i128::from(right.1)).cmp(&(i128::from(right.0) * i128::from(left.1)))
}

fn order(nodes: &BTreeMap<Txid, Node>) -> Vec<Txid> {
    if nodes.len() == 1 {
        return nodes.keys().copied().collect();
    }
    let ancestors: BTreeMap<Txid, BTreeSet<Txid>> = nodes.keys().map(|txid| (*txid, ancestors(nodes, txid))).collect();
    let mut remaining: BTreeSet<Txid> = nodes.keys().copied().collect();
    let mut order = Vec::with_capacity(nodes.len());
    while !remaining.is_empty() {
        let mut best: Option<((i64, u64), Vec<Txid>)> = None;
        for txid in &remaining {
            let mut set: Vec<Txid> = ancestors[txid].intersection(&remaining).copied().collect();
            let total = set.iter().fold((0, 0), |(fee, weight), txid| {
                (fee + nodes[txid].fee, weight + nodes[txid].weight)
            });
            let better = best.as_ref().is_none_or(|(best_total, best_set)| {
                compare_feerates(total, *best_total).then(best_set.len().cmp(&set.len())) == Ordering::Greater
            });
            if better {
                // An ancestor always has fewer ancestors.
                set.sort_by_key(|txid| (ancestors[txid].len(), *txid));
                best = Some((total, set));
            }
        }
        let (_, set) = best.expect("something remains");
        for txid in set {
            remaining.remove(&txid);
            order.push(txid);
        }
    }
    order
}

/// A transaction and all it depends on within the graph.
fn ancestors(nodes: &BTreeMap<Txid, Node>, txid: &Txid) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([*txid]);
    let mut open = vec![*txid];
    while let Some(next) = open.pop() {
        for parent in &nodes[&next].parents {
            if nodes.contains_key(parent) && found.insert(*parent) {
                open.push(*parent);
            }
        }
    }
    found
}

fn breakpoints(chunks: &[Chunk]) -> Vec<u64> {
    let sums = chunks.iter().scan(0, |sum, chunk| {
        *sum += chunk.weight;
        Some(*sum)
    });
    sums.collect()
}

/// What the first `weight` units earn, as numerator and denominator.
fn earned(chunks: &[Chunk], weight: u64) -> (i128, i128) {
    let mut fee = 0;
    let mut left = weight;
    for chunk in chunks {
        if left < chunk.weight {
            let divisor = i128::from(chunk.weight);
            return (fee * divisor + i128::from(chunk.fee) * i128::from(left), divisor);
        }
        fee += i128::from(chunk.fee);
        left -= chunk.weight;
    }
    (fee, 1)
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn id(number: u8) -> Txid {
        Txid::from_byte_array([number; 32])
    }

    fn graph(nodes: &[(u8, i64, u64, &[u8])]) -> BTreeMap<Txid, Node> {
        let node = |(number, fee, weight, parents): &(u8, i64, u64, &[u8])| {
            let parents = parents.iter().map(|parent| id(*parent)).collect();
            (
                id(*number),
                Node {
                    fee: *fee,
                    weight: *weight,
                    parents,
                },
            )
        };
        nodes.iter().map(node).collect()
    }

    fn fees(chunks: &[Chunk]) -> Vec<(i64, u64, usize)> {
        chunks
            .iter()
            .map(|chunk| (chunk.fee, chunk.weight, chunk.txids.len()))
            .collect()
    }

    #[test]
    fn a_child_that_pays_more_is_taken_with_its_parent() {
        let chunks = linearise(&graph(&[(1, 0, 1000, &[]), (2, 5000, 1000, &[1])]));
        assert_eq!(fees(&chunks), [(5000, 2000, 2)]);
        assert_eq!(chunks[0].txids, [id(1), id(2)]);
    }

    #[test]
    fn a_child_that_pays_less_waits_behind_its_parent() {
        let chunks = linearise(&graph(&[(1, 5000, 1000, &[]), (2, 100, 1000, &[1])]));
        assert_eq!(fees(&chunks), [(5000, 1000, 1), (100, 1000, 1)]);
    }

    #[test]
    fn the_better_of_two_children_pays_for_the_parent_alone() {
        let chunks = linearise(&graph(&[
            (1, 100, 1000, &[]),
            (2, 200, 1000, &[1]),
            (3, 9000, 1000, &[1]),
        ]));
        assert_eq!(fees(&chunks), [(9100, 2000, 2), (200, 1000, 1)]);
    }

    #[test]
    fn a_diagram_improves_only_if_no_prefix_earns_less() {
        let chunk = |fee, weight| Chunk {
            fee,
            weight,
            txids: Vec::new(),
        };
        assert!(improves_diagram(&[chunk(200, 100)], &[chunk(100, 100)]));
        assert!(!improves_diagram(&[chunk(100, 100)], &[chunk(100, 100)]));
        // More in total, but worse for a miner who has little room left.
        assert!(!improves_diagram(&[chunk(300, 1000)], &[chunk(200, 100)]));
        assert!(improves_diagram(&[chunk(300, 100), chunk(1, 100)], &[chunk(200, 100)]));
    }
}
