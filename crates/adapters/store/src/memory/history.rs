//! Every batch since a starting state, and with them the state after each.

use std::collections::VecDeque;

use quittance_journal::{Batch, Change, Key, Lsn, Rows};

#[derive(Clone, Debug)]
pub(super) struct History {
    oldest: Lsn,
    /// The state after batch `oldest`.
    start: Rows,
    /// The batches after `oldest`.
    batches: VecDeque<Batch>,
}

impl History {
    pub(super) const fn starting_at(lsn: Lsn, rows: Rows) -> Self {
        Self {
            oldest: lsn,
            start: rows,
            batches: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, batch: Batch) -> Lsn {
        self.batches.push_back(batch);
        self.newest()
    }

    pub(super) const fn oldest(&self) -> Lsn {
        self.oldest
    }

    pub(super) fn newest(&self) -> Lsn {
        Lsn(self.oldest.0 + self.batches.len() as u64)
    }

    pub(super) fn batch(&self, lsn: Lsn) -> Option<&Batch> {
        let place = lsn.0.checked_sub(self.oldest.0 + 1)?;
        self.batches.get(usize::try_from(place).ok()?)
    }

    pub(super) fn rows_at(&self, lsn: Lsn) -> Rows {
        let mut rows = self.start.clone();
        for batch in self.batches.iter().take(self.distance(lsn)) {
            rows.apply(batch.clone());
        }
        rows
    }

    /// Drops the batches after `lsn`, but keeps the first `torn` changes of the next one as a batch.
    pub(super) fn cut_after(&mut self, lsn: Lsn, torn: usize) {
        let whole = self.distance(lsn);
        let half = self.batches.get(whole).filter(|_| torn > 0).map(|batch| {
            let mut half = Batch::new();
            batch
                .changes()
                .iter()
                .take(torn)
                .for_each(|change| half.push(change.clone()));
            half
        });
        self.batches.truncate(whole);
        self.batches.extend(half);
    }

    pub(super) fn forget_before(&mut self, lsn: Lsn) {
        for batch in self.batches.drain(..self.distance(lsn)) {
            self.start.apply(batch);
            self.oldest = self.oldest.next();
        }
    }

    /// Puts `record` wherever the newest record at `key` came from.
    pub(super) fn replace_record(&mut self, key: &Key, record: &[u8]) {
        let puts = self.batches.iter_mut().rev().find_map(|batch| {
            let holds = |change: &Change| matches!(change, Change::Put(put, _) if put == key);
            batch.changes().iter().any(holds).then_some(batch)
        });
        match puts {
            Some(batch) => {
                let changes = std::mem::take(batch).into_changes().into_iter();
                for change in changes {
                    batch.push(match change {
                        Change::Put(put, _) if put == *key => Change::Put(put, record.to_vec()),
                        other => other,
                    });
                }
            }
            None => self.start.insert(*key, record.to_vec()),
        }
    }

    fn distance(&self, lsn: Lsn) -> usize {
        let distance = usize::try_from(lsn.0.saturating_sub(self.oldest.0)).unwrap_or(usize::MAX);
        distance.min(self.batches.len())
    }
}
