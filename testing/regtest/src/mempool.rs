//! Transactions that wait for confirmation, and the rules by which they are let in, replaced and thrown out.
//!
//! The rules are those of Bitcoin Core 31 (cluster mempool) as far as a Lightning node meets them; the order of the checks
//! is Core's too, so that a transaction that breaks two rules is refused for the same reason.
//!
//! Left out, each stated so that nobody relies on it: script policy beyond low S values, compressed keys and minimal `OP_IF`
//! arguments (no NULLFAIL, no MINIMALDATA), expiry after two weeks, and eviction by memory use: a full mempool is simulated
//! by [`Mempool::set_min_feerate`]. Clusters are linearised by ancestor feerate, which is optimal for a parent with its
//! child and nearly so for larger clusters.
//!
//! This file is the container and its graph. Start at [`acceptance`] for the rules.

pub mod acceptance;
pub mod chunks;
mod ephemeral;
mod packages;
mod policy;
mod reorganisation;
mod replacement;
mod script_policy;
pub mod standard;
mod truc;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::{Amount, Block, FeeRate, OutPoint, Transaction, Txid, Wtxid};

use chunks::Node;
pub use policy::Policy;

/// A transaction in the mempool.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its id, and with the witness.
    pub txid: Txid,
    /// Its id that covers the witness.
    pub wtxid: Wtxid,
    /// Its weight, or what its signature operations count for if that is more.
    pub weight: u64,
    /// What it pays.
    pub fee: Amount,
    /// What it pays, in satoshis, with the caller's priority added.
    pub modified_fee: i64,
}

/// The mempool; see the module's documentation.
#[derive(Clone, Debug)]
pub struct Mempool {
    policy: Policy,
    entries: BTreeMap<Txid, Entry>,
    /// Which entry spends an output.
    spends: BTreeMap<OutPoint, Txid>,
    priorities: BTreeMap<Txid, i64>,
    min_feerate: FeeRate,
}

impl Entry {
    /// Its size as policy counts it, in virtual bytes.
    pub fn vsize(&self) -> u64 {
        self.weight.div_ceil(4)
    }
}

impl Mempool {
    /// An empty mempool.
    pub fn new(policy: Policy) -> Self {
        let (entries, spends, priorities) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            policy,
            entries,
            spends,
            priorities,
            min_feerate: FeeRate::ZERO,
        }
    }

    /// The limits it applies.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// An entry by txid.
    pub fn entry(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// All entries, by txid.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry that spends an output.
    pub fn spent_by(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spends.get(outpoint).copied()
    }

    /// The least feerate that gets in, as long as the mempool is full.
    pub fn min_feerate(&self) -> FeeRate {
        self.min_feerate
    }

    /// Behaves as if the mempool were full of transactions that pay `feerate`: what pays less is thrown out, and refused
    /// from now on. Zero ends it.
    pub fn set_min_feerate(&mut self, feerate: FeeRate) {
        self.min_feerate = feerate;
        for cluster in self.clusters() {
            for chunk in chunks::linearise(&self.nodes(&cluster)) {
                let required = feerate.fee_vb(chunk.weight.div_ceil(4)).unwrap_or(Amount::MAX_MONEY);
                if i128::from(chunk.fee) < i128::from(required.to_sat()) {
                    for txid in &chunk.txids {
                        self.remove_with_descendants(txid);
                    }
                }
            }
        }
    }

    /// Adds `delta_sat` to what a transaction is taken to pay, now or when it arrives.
    pub fn prioritise(&mut self, txid: Txid, delta_sat: i64) {
        let priority = self.priorities.entry(txid).or_insert(0);
        *priority = priority.saturating_add(delta_sat);
        if let Some(entry) = self.entries.get_mut(&txid) {
            entry.modified_fee = entry.modified_fee.saturating_add(delta_sat);
        }
    }

    /// The entries that spend an output of `txid`.
    pub fn children(&self, txid: &Txid) -> BTreeSet<Txid> {
        let outputs = OutPoint { txid: *txid, vout: 0 }..=OutPoint {
            txid: *txid,
            vout: u32::MAX,
        };
        self.spends.range(outputs).map(|(_, child)| *child).collect()
    }

    /// The entries whose outputs a transaction spends.
    pub fn parents(&self, transaction: &Transaction) -> BTreeSet<Txid> {
        let spent = transaction.input.iter().map(|input| input.previous_output.txid);
        spent.filter(|txid| self.entries.contains_key(txid)).collect()
    }

    /// An entry and all that it depends on.
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        reach(txid, |next| {
            self.entries
                .get(next)
                .map(|entry| self.parents(&entry.transaction))
                .unwrap_or_default()
        })
    }

    /// An entry and all that depends on it.
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        reach(txid, |next| self.children(next))
    }

    /// An entry and all that is connected with it.
    pub fn cluster(&self, txid: &Txid) -> BTreeSet<Txid> {
        reach(txid, |next| {
            let mut neighbours = self.children(next);
            if let Some(entry) = self.entries.get(next) {
                neighbours.append(&mut self.parents(&entry.transaction));
            }
            neighbours
        })
    }

    /// All clusters, by their first txid.
    pub fn clusters(&self) -> Vec<BTreeSet<Txid>> {
        let mut seen = BTreeSet::new();
        let mut clusters = Vec::new();
        for txid in self.entries.keys() {
            if !seen.contains(txid) {
                let cluster = self.cluster(txid);
                seen.extend(cluster.iter().copied());
                clusters.push(cluster);
            }
        }
        clusters
    }

    /// These entries as nodes of a fee graph.
    pub fn nodes<'a>(&self, txids: impl IntoIterator<Item = &'a Txid>) -> BTreeMap<Txid, Node> {
        txids
            .into_iter()
            .filter_map(|txid| self.entries.get(txid))
            .map(|entry| (entry.txid, self.node(entry)))
            .collect()
    }

    fn node(&self, entry: &Entry) -> Node {
        Node {
            fee: entry.modified_fee,
            weight: entry.weight,
            parents: self.parents(&entry.transaction),
        }
    }

    fn insert(&mut self, entry: Entry) {
        for input in &entry.transaction.input {
            let former = self.spends.insert(input.previous_output, entry.txid);
            assert_eq!(former, None, "no two entries spend the same output");
        }
        self.entries.insert(entry.txid, entry);
    }

    /// Removes an entry if it is there, and all that depends on it even if it is not.
    fn remove_with_descendants(&mut self, txid: &Txid) {
        for descendant in self.descendants(txid) {
            self.remove(&descendant);
        }
    }

    fn remove(&mut self, txid: &Txid) {
        if let Some(entry) = self.entries.remove(txid) {
            for input in &entry.transaction.input {
                self.spends.remove(&input.previous_output);
            }
        }
    }

    /// Forgets what the block confirms, and what conflicts with it.
    pub(crate) fn block_connected(&mut self, block: &Block) {
        for transaction in &block.txdata {
            let txid = transaction.compute_txid();
            self.remove(&txid);
            self.priorities.remove(&txid);
            for input in &transaction.input {
                if let Some(conflict) = self.spent_by(&input.previous_output) {
                    self.remove_with_descendants(&conflict);
                }
            }
        }
    }
}

fn reach(txid: &Txid, neighbours: impl Fn(&Txid) -> BTreeSet<Txid>) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([*txid]);
    let mut open = vec![*txid];
    while let Some(next) = open.pop() {
        for neighbour in neighbours(&next) {
            if found.insert(neighbour) {
                open.push(neighbour);
            }
        }
    }
    found
}
