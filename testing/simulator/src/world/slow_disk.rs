//! Disks whose sync takes time: what arrives while a sync runs is handled and appended, and shares the next one.
//!
//! A node here does what the driver does: whenever somebody waits for what was appended and no sync runs, one begins, and covers all that was
//! appended when it began. Whatever rests on a later batch waits for the one after it. Wires take as long as [`World::slow_down`] says.

use std::collections::BTreeMap;

use quittance_journal::{Lsn, Store};

use super::{NodeIndex, World};

/// The sync that each disk does: when it is done, and the last batch that it covers.
type Syncs = BTreeMap<NodeIndex, (u64, Lsn)>;

impl World {
    /// Time passes until every wire is empty and every disk synced, with disks that work and take `sync_ms` for a sync.
    pub fn settle_on_slow_disks(&mut self, sync_ms: u64) {
        let waited: Vec<_> = self.nodes.iter().map(|node| node.syncs_wait).collect();
        for node in &mut self.nodes {
            node.syncs_wait = true;
        }
        let mut syncs = Syncs::new();
        loop {
            self.complete(&mut syncs);
            while let Some((from, to)) = self.due_wires().first().copied() {
                self.deliver(from, to);
            }
            self.begin_syncs(&mut syncs, sync_ms);
            if syncs.is_empty() && self.busy_wires().is_empty() {
                break;
            }
            self.now_ms += 1;
        }
        for node in 0..self.nodes.len() {
            self.sync(node);
        }
        for (node, waited) in self.nodes.iter_mut().zip(waited) {
            node.syncs_wait = waited;
        }
    }

    fn complete(&mut self, syncs: &mut Syncs) {
        for (node, (_, last)) in syncs
            .extract_if(.., |_, (due, _)| *due <= self.now_ms)
            .collect::<Vec<_>>()
        {
            self.sync_through(node, last);
        }
    }

    fn begin_syncs(&self, syncs: &mut Syncs, sync_ms: u64) {
        for (index, node) in self.nodes.iter().enumerate() {
            let appended = node.store.appended();
            if node.is_awaited() && appended > node.store.durable() {
                syncs.entry(index).or_insert((self.now_ms + sync_ms, appended));
            }
        }
    }
}
