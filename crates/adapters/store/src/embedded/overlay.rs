//! The changes that stand in the journal's table and not yet in their own rows.
//!
//! Reads look here first. Because only the newest change of each key is kept, most of what a busy node writes is never moved at
//! all: an event that was handled, a payment row that was overwritten, an update that a checkpoint has taken in.
//!
//! Invariant: the table of records, with the changes held here on top, is what all appended batches add up to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quittance_journal::{Batch, Change, Key, KeyRange, Lsn, UpdateId};
use quittance_primitives::ChannelId;

/// Not yet moved changes, in memory.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    entries: BTreeMap<Key, Entry>,
    dropped: BTreeMap<ChannelId, Vec<Dropped>>,
    batches: VecDeque<Touched>,
    bytes: usize,
}

/// What the overlay says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The record as it stands.
    Record(Arc<Vec<u8>>),
    /// There is no record, whatever the table says.
    Absent,
}

/// Changes to make to the table of records, with which the batches up to `through` are done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) through: Lsn,
    /// To be removed first.
    pub(super) ranges: Vec<KeyRange>,
    pub(super) records: Vec<(Key, Found)>,
}

#[derive(Debug)]
struct Entry {
    lsn: Lsn,
    found: Found,
}

#[derive(Debug)]
struct Dropped {
    lsn: Lsn,
    last: UpdateId,
}

/// The keys that a batch wrote, and how many bytes it weighs.
#[derive(Debug)]
struct Touched {
    lsn: Lsn,
    keys: Vec<Key>,
    channels: Vec<ChannelId>,
    bytes: usize,
}

impl Found {
    /// The record, if there is one.
    pub(super) fn into_record(self) -> Option<Vec<u8>> {
        match self {
            Self::Record(record) => Some(Arc::unwrap_or_clone(record)),
            Self::Absent => None,
        }
    }
}

impl Overlay {
    /// Takes the changes of the batch that comes after all that are held.
    pub(super) fn apply(&mut self, lsn: Lsn, batch: Batch) {
        let mut touched = Touched {
            lsn,
            keys: Vec::new(),
            channels: Vec::new(),
            bytes: 0,
        };
        for change in batch.into_changes() {
            match change {
                Change::Put(key, record) => {
                    touched.bytes += record.len();
                    touched.keys.push(key);
                    let found = Found::Record(Arc::new(record));
                    self.entries.insert(key, Entry { lsn, found });
                }
                Change::Delete(key) => {
                    touched.keys.push(key);
                    let found = Found::Absent;
                    self.entries.insert(key, Entry { lsn, found });
                }
                Change::DeleteUpdates { channel, last } => {
                    self.drop_entries(&KeyRange::updates_through(channel, last));
                    self.dropped.entry(channel).or_default().push(Dropped { lsn, last });
                    touched.channels.push(channel);
                }
            }
        }
        touched.bytes += (touched.keys.len() + 1) * Key::BYTES_MAX;
        self.bytes += touched.bytes;
        self.batches.push_back(touched);
    }

    /// What is known of `key`; `None` when the table of records says it all.
    pub(super) fn get(&self, key: &Key) -> Option<Found> {
        match self.entries.get(key) {
            Some(entry) => Some(entry.found.clone()),
            None => self.is_dropped(key).then_some(Found::Absent),
        }
    }

    /// What is known of the keys of a range one by one; the updates that were dropped are not among them.
    pub(super) fn range(&self, range: &KeyRange) -> impl Iterator<Item = (Key, Found)> {
        let entries = self.entries.range(range.first()..=range.last());
        entries.map(|(key, entry)| (*key, entry.found.clone()))
    }

    /// How many batches are held.
    pub(super) fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// About how many bytes are held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What moves the first `count` batches to the table of records; `None` when there are none.
    pub(super) fn to_move(&self, count: usize) -> Option<Move> {
        let through = self.batches.iter().take(count).next_back()?.lsn;
        let mut ranges = Vec::new();
        let mut records = Vec::new();
        for touched in self.batches.iter().take(count) {
            for channel in &touched.channels {
                let dropped = self.dropped.get(channel).into_iter().flatten();
                let ours = dropped.filter(|dropped| dropped.lsn == touched.lsn);
                ranges.extend(ours.map(|dropped| KeyRange::updates_through(*channel, dropped.last)));
            }
            for key in &touched.keys {
                // A key written again later moves with its last write; until then the journal keeps that.
                let entry = self.entries.get(key).filter(|entry| entry.lsn == touched.lsn);
                records.extend(entry.map(|entry| (*key, entry.found.clone())));
            }
        }
        Some(Move {
            through,
            ranges,
            records,
        })
    }

    /// Forgets what a [`Move`] has moved.
    pub(super) fn moved(&mut self, moved: &Move) {
        while let Some(touched) = self.batches.pop_front_if(|touched| touched.lsn <= moved.through) {
            self.bytes -= touched.bytes;
            for channel in touched.channels {
                if let Some(dropped) = self.dropped.get_mut(&channel) {
                    dropped.retain(|dropped| dropped.lsn > moved.through);
                    if dropped.is_empty() {
                        self.dropped.remove(&channel);
                    }
                }
            }
            for key in touched.keys {
                if self.entries.get(&key).is_some_and(|entry| entry.lsn <= moved.through) {
                    self.entries.remove(&key);
                }
            }
        }
    }

    /// Whether the table's row at `key` is one of the updates that were dropped; a row of the overlay's own never is.
    pub(super) fn is_dropped(&self, key: &Key) -> bool {
        let Key::Update(channel, id) = key else {
            return false;
        };
        let mut dropped = self.dropped.get(channel).into_iter().flatten();
        dropped.any(|dropped| *id <= dropped.last)
    }

    fn drop_entries(&mut self, range: &KeyRange) {
        let doomed: Vec<Key> = self.range(range).map(|(key, _)| key).collect();
        for key in doomed {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_journal::{EventNumber, encode_record};

    const CHANNEL: ChannelId = ChannelId([1; 32]);

    fn update(id: u64) -> Key {
        Key::Update(CHANNEL, UpdateId(id))
    }

    fn put(key: Key) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, 1, b"x");
        batch
    }

    fn record(key: Key) -> Found {
        Found::Record(Arc::new(encode_record(&key, 1, b"x")))
    }

    #[test]
    fn what_was_overwritten_or_dropped_is_never_moved() {
        let event = Key::Event(EventNumber(1));
        let mut overlay = Overlay::default();
        overlay.apply(Lsn(1), put(update(1)));
        overlay.apply(Lsn(2), put(event));
        let mut batch = Batch::new();
        batch.delete(event);
        batch.delete_updates(CHANNEL, UpdateId(1));
        overlay.apply(Lsn(3), batch);
        overlay.apply(Lsn(4), put(update(2)));

        let first = overlay.to_move(2).unwrap();
        assert_eq!((first.through, first.records.len(), first.ranges.len()), (Lsn(2), 0, 0));
        overlay.moved(&first);
        let rest = overlay.to_move(9).unwrap();
        assert_eq!(rest.through, Lsn(4));
        assert_eq!(rest.ranges, [KeyRange::updates_through(CHANNEL, UpdateId(1))]);
        assert_eq!(rest.records, [(event, Found::Absent), (update(2), record(update(2)))]);
        overlay.moved(&rest);
        assert_eq!(
            (overlay.get(&update(2)), overlay.bytes(), overlay.batch_count()),
            (None, 0, 0)
        );
        assert_eq!(overlay.to_move(1), None);
    }

    #[test]
    fn dropped_updates_hide_the_tables_rows_until_they_are_moved() {
        let mut overlay = Overlay::default();
        let mut batch = Batch::new();
        batch.delete_updates(CHANNEL, UpdateId(10));
        overlay.apply(Lsn(1), batch);
        overlay.apply(Lsn(2), put(update(5)));
        let mut batch = Batch::new();
        batch.delete_updates(CHANNEL, UpdateId(3));
        overlay.apply(Lsn(3), batch);
        assert_eq!(overlay.get(&update(10)), Some(Found::Absent));
        assert_eq!(overlay.get(&update(5)), Some(record(update(5))));
        assert_eq!(overlay.get(&update(11)), None);
        overlay.moved(&overlay.to_move(2).unwrap());
        assert_eq!(overlay.get(&update(5)), None);
        assert_eq!(overlay.get(&update(3)), Some(Found::Absent));
    }
}
