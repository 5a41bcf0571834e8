//! A store in memory that can suffer whatever a disk can do to a store, on command and never by chance.
//!
//! It tells what was appended (the page cache) from what is durable (the disk): [`MemoryStore::sync`] moves the line, and
//! [`MemoryStore::crash`] gives the store that the next process finds. It keeps every batch, so that a restart can be tried from
//! any batch, with manager rows from another, or without any.
//!
//! It stays true to the contract in all of this: faults make it fail, not lie. Only a [`Defect`], which a simulation switches on
//! to see itself go red, makes it break its word. Start at [`MemoryStore`]; the faults are those of [`MemoryStore::break_`].

use std::ops::ControlFlow;

use quittance_journal::{Batch, Key, KeyRange, Lsn, ReadError, Rows, Store, StoreFailed};

use history::History;

mod history;

/// A store in memory, and the disk under it.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    history: History,
    /// All that was appended, added up.
    rows: Rows,
    durable: Lsn,
    /// What was durable, added up, so that a crash need not begin at the oldest batch.
    durable_rows: Rows,
    disk: Disk,
    defect: Option<Defect>,
    failure: Option<StoreFailed>,
    /// The first batch that a failed sync has lost, though the system may claim later that it is written.
    lost_from: Option<Lsn>,
    waiting_max: usize,
}

/// What is wrong with the disk. Lasts over crashes until [`MemoryStore::repair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next sync fails; so does this process's store, for ever.
    SyncFails,
    /// Syncs do not end, but nothing fails.
    SyncHangs,
    /// The disk holds so many bytes of keys and records, and not one more.
    Full {
        /// Bytes of keys and records; what the disk needs for itself is not counted.
        bytes_max: usize,
    },
    /// Reading a record in this range fails with an I/O error.
    ReadFails(KeyRange),
    /// Records in this range are listed, but not found.
    RecordsMissing(KeyRange),
}

/// What a crash leaves of the batches that were appended and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None of them.
    None,
    /// All of them.
    All,
    /// The first so many, or all if there are fewer.
    First(usize),
    /// The first so many, and of the next one only some changes: which a store drops whole.
    Torn {
        /// Batches that are whole.
        whole: usize,
        /// Changes of the next batch that reached the disk.
        changes: usize,
    },
}

/// A known way for a store to break its contract, for simulations that must notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A torn batch is not dropped: half of it is there after a crash.
    KeepsTornBatches,
    /// What was appended is reported as durable, synced or not.
    ReportsAppendedAsDurable,
    /// A failed sync is tried again, and its success is believed although the batches are gone.
    RetriesFailedSyncs,
    /// A record that cannot be read is reported as absent.
    ReportsFailedReadsAsAbsent,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    sync_fails: bool,
    sync_hangs: bool,
    bytes_max: Option<usize>,
    failing_reads: Vec<KeyRange>,
    missing: Vec<KeyRange>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::holding(Lsn::NONE, Rows::new())
    }

    /// A store that was left with these records after batch `lsn`.
    pub fn holding(lsn: Lsn, rows: Rows) -> Self {
        Self {
            history: History::starting_at(lsn, rows.clone()),
            durable_rows: rows.clone(),
            rows,
            durable: lsn,
            disk: Disk::default(),
            defect: None,
            failure: None,
            lost_from: None,
            waiting_max: Self::WAITING_MAX,
        }
    }

    /// The same store with a known defect.
    #[must_use]
    pub fn with_defect(mut self, defect: Defect) -> Self {
        self.defect = Some(defect);
        self
    }

    /// Whether batches that it calls durable were lost by a failed sync: they are gone with the process. No store without a defect does so.
    pub fn believes_what_is_lost(&self) -> bool {
        self.lost_from.is_some_and(|lost| lost <= self.durable)
    }

    /// The same store with room for `waiting_max` batches that wait to become durable; twice as many make it fail.
    #[must_use]
    pub fn with_waiting_max(mut self, waiting_max: usize) -> Self {
        self.waiting_max = waiting_max;
        self
    }

    /// Batches that may wait to become durable before the store has no room.
    pub const WAITING_MAX: usize = 1024;

    /// Completes a sync of all that was appended, and returns what is durable then.
    ///
    /// # Errors
    /// [`StoreFailed`] when the sync fails, or the store has failed before.
    pub fn sync(&mut self) -> Result<Lsn, StoreFailed> {
        self.sync_through(self.appended())
    }

    /// Completes a sync that was begun when `last` was the last batch; later ones stay unsynced.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub fn sync_through(&mut self, last: Lsn) -> Result<Lsn, StoreFailed> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.disk.sync_hangs {
            return Ok(self.durable());
        }
        if std::mem::take(&mut self.disk.sync_fails) {
            let failure = StoreFailed::Io("the sync failed: input/output error".to_owned());
            self.lost_from.get_or_insert(self.durable.next());
            if self.defect != Some(Defect::RetriesFailedSyncs) {
                self.failure = Some(failure.clone());
            }
            return Err(failure);
        }
        while self.durable < last {
            let Some(batch) = self.history.batch(self.durable.next()) else {
                break;
            };
            self.durable_rows.apply(batch.clone());
            self.durable = self.durable.next();
        }
        Ok(self.durable())
    }

    /// Makes the disk faulty, from now on.
    pub fn break_(&mut self, fault: Fault) {
        match fault {
            Fault::SyncFails => self.disk.sync_fails = true,
            Fault::SyncHangs => self.disk.sync_hangs = true,
            Fault::Full { bytes_max } => self.disk.bytes_max = Some(bytes_max),
            Fault::ReadFails(range) => self.disk.failing_reads.push(range),
            Fault::RecordsMissing(range) => self.disk.missing.push(range),
        }
    }

    /// Takes all faults from the disk. A store that has failed stays failed until the next process opens it.
    pub fn repair(&mut self) {
        self.disk = Disk::default();
    }

    /// Damages the record at `key`, on disk, by whatever `change` does to its bytes. Returns whether there is such a record.
    pub fn damage(&mut self, key: &Key, change: impl Fn(&mut Vec<u8>)) -> bool {
        let Some(record) = self.rows.get_mut(key) else {
            return false;
        };
        let whole = record.clone();
        change(record);
        let damaged = record.clone();
        self.history.replace_record(key, &damaged);
        if let Some(record) = self.durable_rows.get_mut(key).filter(|record| **record == whole) {
            *record = damaged;
        }
        true
    }

    /// Ends the process, and perhaps the power: the store as the next process finds it.
    #[must_use]
    pub fn crash(mut self, keep: Keep) -> Self {
        let unsynced = usize::try_from(self.appended().0 - self.durable.0).unwrap_or(usize::MAX);
        let (whole, torn) = match keep {
            Keep::None => (0, 0),
            Keep::All => (unsynced, 0),
            Keep::First(whole) => (whole.min(unsynced), 0),
            Keep::Torn { whole, changes } => (whole.min(unsynced), changes),
        };
        let mut last = Lsn(self.durable.0 + whole as u64);
        if let Some(lost) = self.lost_from {
            last = last.min(Lsn(lost.0 - 1));
        }
        let torn = (self.defect == Some(Defect::KeepsTornBatches)).then_some(torn);
        self.history.cut_after(last, torn.unwrap_or(0));
        if last < self.durable {
            return self.reopened_as_in_history();
        }
        let mut rows = std::mem::take(&mut self.durable_rows);
        for lsn in self.durable.0 + 1..=self.appended().0 {
            if let Some(batch) = self.history.batch(Lsn(lsn)) {
                rows.apply(batch.clone());
            }
        }
        self.reopened(rows)
    }

    /// The store after a backup from the time of batch `lsn` was put back.
    ///
    /// # Panics
    /// When the store does not go back that far, or was never there.
    #[must_use]
    pub fn restored(mut self, lsn: Lsn) -> Self {
        assert!(self.reaches(lsn), "the store holds no state at {lsn}");
        self.history.cut_after(lsn, 0);
        self.reopened_as_in_history()
    }

    /// The store with its manager rows as of batch `manager` and everything else as of batch `rest`; it goes on after `rest`.
    ///
    /// # Panics
    /// When the store does not go back that far, or was never there.
    #[must_use]
    pub fn mixed(self, manager: Lsn, rest: Lsn) -> Self {
        let mut rows = self.rows_at(rest);
        rows.retain(|key| !key.space().is_manager());
        for (key, record) in self.rows_at(manager).iter().filter(|(key, _)| key.space().is_manager()) {
            rows.insert(*key, record.clone());
        }
        self.replaced(rest, rows)
    }

    /// The store with all its manager rows gone.
    #[must_use]
    pub fn without_manager_rows(self) -> Self {
        let mut rows = self.rows.clone();
        rows.retain(|key| !key.space().is_manager());
        let lsn = self.appended();
        self.replaced(lsn, rows)
    }

    /// What the store held after batch `lsn`.
    ///
    /// # Panics
    /// When the store does not go back that far, or was never there.
    pub fn rows_at(&self, lsn: Lsn) -> Rows {
        assert!(self.reaches(lsn), "the store holds no state at {lsn}");
        self.history.rows_at(lsn)
    }

    /// What the store holds.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The oldest batch whose state can be given.
    pub const fn oldest(&self) -> Lsn {
        self.history.oldest()
    }

    /// Forgets states before batch `lsn`, for long runs.
    pub fn forget_before(&mut self, lsn: Lsn) {
        self.history.forget_before(lsn.min(self.durable));
    }

    /// The batch with this number, unless it was forgotten or never there.
    pub fn batch(&self, lsn: Lsn) -> Option<&Batch> {
        self.history.batch(lsn)
    }

    fn reaches(&self, lsn: Lsn) -> bool {
        (self.oldest()..=self.appended()).contains(&lsn)
    }

    fn reopened_as_in_history(self) -> Self {
        let rows = self.history.rows_at(self.history.newest());
        self.reopened(rows)
    }

    fn reopened(mut self, rows: Rows) -> Self {
        self.durable = self.history.newest();
        self.durable_rows = rows.clone();
        self.rows = rows;
        self.failure = None;
        self.lost_from = None;
        self.disk.sync_fails = false;
        self
    }

    fn replaced(mut self, lsn: Lsn, rows: Rows) -> Self {
        self.history = History::starting_at(lsn, rows.clone());
        self.reopened(rows)
    }

    fn waiting(&self) -> usize {
        usize::try_from(self.appended().0 - self.durable.0).unwrap_or(usize::MAX)
    }

    fn refusal(&self, batch: &Batch) -> Option<StoreFailed> {
        if self.waiting() >= self.waiting_max.saturating_mul(2) {
            return Some(StoreFailed::Overrun {
                waiting: self.waiting(),
            });
        }
        let bytes_max = self.disk.bytes_max?;
        let needed = size_of_rows(&self.rows) + batch.to_bytes().len();
        (needed > bytes_max).then(|| StoreFailed::Full(format!("{needed} bytes needed, {bytes_max} there")))
    }

    fn fault_at(&self, key: &Key) -> Option<ReadError> {
        if self.disk.failing_reads.iter().any(|range| range.contains(key)) {
            return Some(ReadError::Io {
                what: key.to_string(),
                detail: "input/output error".to_owned(),
            });
        }
        let missing = self.disk.missing.iter().any(|range| range.contains(key));
        (missing && self.rows.get(key).is_some()).then_some(ReadError::Missing(*key))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn append(&mut self, batch: Batch) -> Result<Lsn, StoreFailed> {
        if self.failure.is_none() {
            self.failure = self.refusal(&batch);
        }
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.rows.apply(batch.clone());
        Ok(self.history.push(batch))
    }

    fn appended(&self) -> Lsn {
        self.history.newest()
    }

    fn durable(&self) -> Lsn {
        match self.defect {
            Some(Defect::ReportsAppendedAsDurable) => self.appended(),
            _ => self.durable,
        }
    }

    fn failure(&self) -> Option<StoreFailed> {
        self.failure.clone()
    }

    fn has_room(&self) -> bool {
        self.waiting() < self.waiting_max
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        match self.fault_at(key) {
            Some(_) if self.defect == Some(Defect::ReportsFailedReadsAsAbsent) => Ok(None),
            Some(error) => Err(error),
            None => Ok(self.rows.get(key).cloned()),
        }
    }

    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>) -> Result<(), ReadError> {
        for (key, record) in self.rows.range(range) {
            match self.fault_at(key) {
                Some(_) if self.defect == Some(Defect::ReportsFailedReadsAsAbsent) => {}
                Some(error) => return Err(error),
                None if visit(*key, record.clone()).is_break() => break,
                None => {}
            }
        }
        Ok(())
    }
}

fn size_of_rows(rows: &Rows) -> usize {
    rows.iter()
        .map(|(key, record)| key.to_bytes().len() + record.len())
        .sum()
}

#[cfg(test)]
mod tests;
