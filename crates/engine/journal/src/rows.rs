//! What batches add up to.
//!
//! [`Rows`] is the meaning of a batch: every store, whatever it is made of, must hold what folding its batches into rows gives.
//! [`InstantStore`] is the least store there is, for tests of the engine: everything is durable at once, and nothing ever fails.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::{Batch, Change, Key, KeyRange, Lsn, ReadError, Store, StoreFailed};

/// Framed records by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    records: BTreeMap<Key, Vec<u8>>,
}

/// A store in memory, whose batches are durable as soon as they are appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstantStore {
    rows: Rows,
    appended: Lsn,
}

impl Rows {
    /// No records.
    pub const fn new() -> Self {
        Self {
            records: BTreeMap::new(),
        }
    }

    /// Makes the changes of a batch.
    pub fn apply(&mut self, batch: Batch) {
        for change in batch.into_changes() {
            match change {
                Change::Put(key, record) => {
                    self.records.insert(key, record);
                }
                Change::Delete(key) => {
                    self.records.remove(&key);
                }
                Change::DeleteUpdates { channel, last } => {
                    let doomed: Vec<Key> = self
                        .range(&KeyRange::updates_through(channel, last))
                        .map(|(key, _)| *key)
                        .collect();
                    for key in doomed {
                        self.records.remove(&key);
                    }
                }
            }
        }
    }

    /// The record at a key.
    pub fn get(&self, key: &Key) -> Option<&Vec<u8>> {
        self.records.get(key)
    }

    /// The record at a key, to be tampered with or replaced.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Vec<u8>> {
        self.records.get_mut(key)
    }

    /// Puts a framed record at a key.
    pub fn insert(&mut self, key: Key, record: Vec<u8>) {
        self.records.insert(key, record);
    }

    /// The records of a range, in the order of their keys.
    pub fn range(&self, range: &KeyRange) -> impl Iterator<Item = (&Key, &Vec<u8>)> {
        self.records.range(range.first()..=range.last())
    }

    /// All records, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Vec<u8>)> {
        self.records.iter()
    }

    /// Keeps only the records that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&Key) -> bool) {
        self.records.retain(|key, _| keep(key));
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl FromIterator<(Key, Vec<u8>)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Key, Vec<u8>)>>(records: I) -> Self {
        Self {
            records: records.into_iter().collect(),
        }
    }
}

impl InstantStore {
    /// An empty store.
    pub const fn new() -> Self {
        Self {
            rows: Rows::new(),
            appended: Lsn::NONE,
        }
    }

    /// What the store holds.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }
}

impl Store for InstantStore {
    fn append(&mut self, batch: Batch) -> Result<Lsn, StoreFailed> {
        self.rows.apply(batch);
        self.appended = self.appended.next();
        Ok(self.appended)
    }

    fn appended(&self) -> Lsn {
        self.appended
    }

    fn durable(&self) -> Lsn {
        self.appended
    }

    fn failure(&self) -> Option<StoreFailed> {
        None
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>) -> Result<(), ReadError> {
        // The visitor breaks off the walk; that is no error.
        let _ = self
            .rows
            .range(range)
            .try_for_each(|(key, record)| visit(*key, record.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UpdateId;
    use quittance_primitives::ChannelId;

    #[test]
    fn a_checkpoint_takes_its_own_channels_updates_with_it_and_no_others() {
        let (ours, other) = (ChannelId([1; 32]), ChannelId([2; 32]));
        let mut rows = Rows::new();
        let mut batch = Batch::new();
        for id in 1..=3 {
            batch.put(Key::Update(ours, UpdateId(id)), 1, b"u");
            batch.put(Key::Update(other, UpdateId(id)), 1, b"u");
        }
        batch.put(Key::Checkpoint(ours), 1, b"c");
        batch.delete_updates(ours, UpdateId(2));
        rows.apply(batch);
        let left: Vec<Key> = rows.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            left,
            [
                Key::Checkpoint(ours),
                Key::Update(ours, UpdateId(3)),
                Key::Update(other, UpdateId(1)),
                Key::Update(other, UpdateId(2)),
                Key::Update(other, UpdateId(3)),
            ]
        );
    }

    #[test]
    fn of_two_changes_to_one_key_the_later_one_wins() {
        let mut store = InstantStore::new();
        let mut batch = Batch::new();
        batch.put(Key::Wallet(1), 1, b"one");
        batch.delete(Key::Wallet(1));
        batch.put(Key::Wallet(2), 1, b"old");
        batch.put(Key::Wallet(2), 1, b"new");
        assert_eq!(store.append(batch), Ok(Lsn(1)));
        assert_eq!(store.get(&Key::Wallet(1)), Ok(None));
        let record = store.get(&Key::Wallet(2)).unwrap().unwrap();
        assert_eq!(crate::decode_record(&Key::Wallet(2), &record, 1).unwrap().body, b"new");
    }
}
