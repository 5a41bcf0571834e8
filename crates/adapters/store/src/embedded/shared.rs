//! What the owner of a store and its threads have in common: the queue of batches, the overlay, and how far all is durable.
//!
//! The writer's work on one group is a function here, [`Shared::write_group`], so that tests can do it step by step without a thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quittance_journal::{Batch, Change, Key, KeyRange, Lsn, ReadError, StoreFailed};

use super::database::{Database, JournalRow, seal};
use super::error::store_failed;
use super::overlay::{Found, Move, Overlay};

/// Called with the last durable batch whenever it advances, and once with the failure if the store fails.
pub type OnDurable = Box<dyn Fn(Result<Lsn, StoreFailed>) + Send + Sync>;

pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Something for the writer to do.
    work: Condvar,
    /// Something became durable, or the store failed.
    progress: Condvar,
    durable: AtomicU64,
    overlay: Mutex<Overlay>,
    limits: Limits,
    on_durable: Option<OnDurable>,
    /// How many copies are being made. Held while SQLite's log is made to begin anew.
    copies: Mutex<usize>,
    /// How long a commit has taken of late, in nanoseconds: a mean in which the last one counts for an eighth.
    commit_ns: AtomicU64,
}

/// While it lives SQLite's log is not made to begin anew.
pub(super) struct LogKept<'a>(&'a Shared);

impl Drop for LogKept<'_> {
    fn drop(&mut self) {
        *self.0.lock_copies() -= 1;
    }
}

/// What a store holds in memory at most, and how it spreads its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Batches that may wait for the disk before the store has no room; twice as many make it fail.
    pub waiting_max: usize,
    /// Bytes of batches that may wait to be taken by the writer; likewise.
    pub waiting_bytes_max: usize,
    /// Batches that stay in the journal, since the next ones may make them obsolete.
    pub kept: usize,
    /// Batches that are moved at once, beyond those that the group itself brings.
    pub moved_at_once: usize,
    /// Bytes of batches in the journal above which they are moved however few they are.
    pub kept_bytes: usize,
    /// What a commit may take of late for [`Gathering::write_if_quick`](super::Gathering::write_if_quick) to write.
    pub quick: Duration,
}

/// Batches on their way to the writer. They move on to the overlay when the writer takes them, and from there to the table: a
/// reader that looks in this order misses nothing.
#[derive(Debug, Default)]
struct Queue {
    batches: Vec<Queued>,
    bytes: usize,
    appended: Lsn,
    failure: Option<StoreFailed>,
    stopping: bool,
    /// By how many the writer is held back from what is appended from then on.
    held_by: usize,
    /// The last batch that the writer may take, whoever holds it back from later ones.
    free: Lsn,
}

impl Queue {
    /// How many batches the writer may take.
    fn free_count(&self) -> usize {
        let is_free = |queued: &Queued| self.stopping || queued.lsn <= self.free;
        self.batches.partition_point(is_free)
    }
}

#[derive(Debug)]
struct Queued {
    lsn: Lsn,
    sealed: Vec<u8>,
    batch: Batch,
}

/// Batches as rows of the journal, to be written in one transaction.
pub(super) type Group = Vec<(Lsn, Vec<u8>)>;

/// Some of the records of a range.
pub(super) struct Part {
    pub(super) records: Vec<(Key, Vec<u8>)>,
    /// The key up to which these are all; `None` when they are all of the range.
    pub(super) end: Option<Key>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_max: 4_096,
            waiting_bytes_max: 64 * 1024 * 1024,
            kept: 1_024,
            moved_at_once: 1_024,
            kept_bytes: 32 * 1024 * 1024,
            // Waking a thread and being woken by it takes a tenth of it; a disk that takes longer leaves time to go on meanwhile.
            quick: Duration::from_millis(1),
        }
    }
}

impl Shared {
    /// The state of a store whose journal holds `journal`, all of it durable.
    pub(super) fn new(journal: Vec<JournalRow>, limits: Limits, on_durable: Option<OnDurable>) -> Self {
        let appended = journal.last().map_or(Lsn::NONE, |(lsn, _)| *lsn);
        let mut overlay = Overlay::default();
        for (lsn, batch) in journal {
            overlay.apply(lsn, batch);
        }
        Self {
            queue: Mutex::new(Queue {
                appended,
                ..Queue::default()
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            durable: AtomicU64::new(appended.0),
            overlay: Mutex::new(overlay),
            limits,
            on_durable,
            copies: Mutex::new(0),
            commit_ns: AtomicU64::new(u64::MAX),
        }
    }

    /// Keeps the log as it is until the guard is dropped: for whoever reads for long.
    pub(super) fn keep_log(&self) -> LogKept<'_> {
        *self.lock_copies() += 1;
        LogKept(self)
    }

    /// Does what has the log begin anew, unless somebody keeps it. Whoever wants to keep it waits meanwhile.
    pub(super) fn if_log_is_free<T>(&self, restart: impl FnOnce() -> T) -> Option<T> {
        let copies = self.lock_copies();
        (*copies == 0).then(restart)
    }

    fn lock_copies(&self) -> MutexGuard<'_, usize> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, batch: Batch) -> Result<Lsn, StoreFailed> {
        let mut queue = self.lock_queue();
        if let Some(failure) = &queue.failure {
            return Err(failure.clone());
        }
        if self.is_beyond(&queue, 2) {
            let waiting = self.waiting(&queue);
            let failure = StoreFailed::Overrun { waiting };
            drop(queue);
            self.fail(failure.clone());
            return Err(failure);
        }
        let lsn = queue.appended.next();
        queue.appended = lsn;
        let sealed = seal(lsn, &batch);
        queue.bytes += sealed.len();
        queue.batches.push(Queued { lsn, sealed, batch });
        let is_held = queue.held_by > 0;
        if !is_held {
            queue.free = lsn;
        }
        drop(queue);
        if !is_held {
            self.work.notify_one();
        }
        Ok(lsn)
    }

    pub(super) fn appended(&self) -> Lsn {
        self.lock_queue().appended
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn failure(&self) -> Option<StoreFailed> {
        self.lock_queue().failure.clone()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_beyond(&self.lock_queue(), 1)
    }

    /// Waits until batch `lsn` is durable, the store fails, or `timeout` is over; returns what is durable then.
    pub(super) fn wait_for(&self, lsn: Lsn, timeout: Duration) -> Result<Lsn, StoreFailed> {
        let end = Instant::now() + timeout;
        let mut queue = self.lock_queue();
        loop {
            if self.durable() >= lsn {
                return Ok(self.durable());
            }
            if let Some(failure) = &queue.failure {
                return Err(failure.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(self.durable());
            }
            let waited = self.progress.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there are batches for the writer; false once the store is to stop and nothing is left, or it has failed.
    pub(super) fn wait_for_work(&self) -> bool {
        let mut queue = self.lock_queue();
        loop {
            if queue.failure.is_some() {
                return false;
            }
            if queue.free_count() > 0 {
                return true;
            }
            if queue.stopping {
                return false;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes all batches that wait; perhaps none. Only for whoever has the connection that writes: groups are written as they are taken.
    pub(super) fn waiting_group(&self) -> Group {
        let mut queue = self.lock_queue();
        let all = queue.batches.len();
        self.take_group(&mut queue, all)
    }

    /// The same for the writer, which takes none that is gathered.
    pub(super) fn free_group(&self) -> Group {
        let mut queue = self.lock_queue();
        let free = queue.free_count();
        self.take_group(&mut queue, free)
    }

    /// Whether what waits may be written by whoever appended it: commits are quick, nothing is to be moved along, and nobody else has the
    /// writer wait.
    pub(super) fn may_write_here(&self) -> bool {
        let mean = Duration::from_nanos(self.commit_ns.load(Ordering::Relaxed));
        mean <= self.limits.quick && self.lock_queue().held_by == 1 && self.due_move(0).is_none()
    }

    /// Makes a group durable, and with it moves batches that have been in the journal for long enough.
    ///
    /// On failure the store has failed, and the database must not be written to again.
    pub(super) fn write_group(&self, database: &mut Database, group: &Group) -> Result<Written, StoreFailed> {
        let moved = self.due_move(group.len());
        let began = Instant::now();
        if let Err(error) = database.commit(group, moved.as_ref()) {
            let failure = store_failed(&error);
            self.fail(failure.clone());
            return Err(failure);
        }
        self.note_commit(began.elapsed());
        if let Some(moved) = &moved {
            self.lock_overlay().moved(moved);
        }
        if let Some((last, _)) = group.last() {
            self.advance(*last);
        }
        Ok(if moved.is_some() {
            Written::WithMove
        } else {
            Written::GroupOnly
        })
    }

    /// Fails the store for ever, unless it has failed before.
    pub(super) fn fail(&self, failure: StoreFailed) {
        let mut queue = self.lock_queue();
        if queue.failure.is_some() {
            return;
        }
        queue.failure = Some(failure.clone());
        queue.batches = Vec::new();
        drop(queue);
        self.work.notify_all();
        self.progress.notify_all();
        if let Some(on_durable) = &self.on_durable {
            on_durable(Err(failure));
        }
    }

    /// The writer takes no batch that is appended from now on, until it is let go as often as it was held.
    pub(super) fn hold(&self) {
        self.lock_queue().held_by += 1;
    }

    pub(super) fn let_go(&self) {
        let mut queue = self.lock_queue();
        queue.held_by -= 1;
        if queue.held_by == 0 {
            queue.free = queue.appended;
        }
        let is_wanted = queue.free_count() > 0;
        drop(queue);
        if is_wanted {
            self.work.notify_one();
        }
    }

    /// Has the writer stop once everything appended is durable.
    pub(super) fn stop(&self) {
        self.lock_queue().stopping = true;
        self.work.notify_all();
    }

    pub(super) fn get(&self, key: &Key, database: &Database) -> Result<Option<Vec<u8>>, ReadError> {
        let queued = self
            .lock_queue()
            .batches
            .iter()
            .rev()
            .find_map(|queued| last_change(&queued.batch, key));
        let found = queued.or_else(|| self.lock_overlay().get(key));
        match found {
            Some(found) => Ok(found.into_record()),
            None => database.get(key),
        }
    }

    /// The first records of `range` after `after`.
    pub(super) fn read_part(
        &self,
        range: &KeyRange,
        after: Option<Key>,
        database: &Database,
    ) -> Result<Part, ReadError> {
        let mut queued = Overlay::default();
        for Queued { lsn, batch, .. } in &self.lock_queue().batches {
            queued.apply(*lsn, batch.clone());
        }
        let overlay = self.lock_overlay();
        let rows = database.read(range, after, PART_RECORDS)?;
        let end = rows.get(PART_RECORDS - 1).map(|(key, _)| *key);
        let mut records: BTreeMap<Key, Vec<u8>> = rows.into_iter().collect();
        for layer in [&*overlay, &queued] {
            records.retain(|key, _| !layer.is_dropped(key));
            for (key, found) in layer.range(range) {
                if after.is_some_and(|after| key <= after) || end.is_some_and(|end| key > end) {
                    continue;
                }
                match found.into_record() {
                    Some(record) => records.insert(key, record),
                    None => records.remove(&key),
                };
            }
        }
        let records = records.into_iter().collect();
        Ok(Part { records, end })
    }

    /// Batches that stand in the journal and are not moved yet.
    pub(super) fn journal_batches(&self) -> usize {
        self.lock_overlay().batch_count()
    }

    fn due_move(&self, group: usize) -> Option<Move> {
        let (overlay, limits) = (self.lock_overlay(), self.limits);
        // The newest batch stays, since the journal alone knows its number.
        let movable = overlay.batch_count().saturating_sub(1);
        let surplus = movable.saturating_sub(limits.kept);
        if overlay.bytes() > limits.kept_bytes {
            overlay.to_move(movable)
        } else if surplus >= limits.moved_at_once {
            overlay.to_move(surplus.min(limits.moved_at_once.saturating_add(group)))
        } else {
            None
        }
    }

    fn note_commit(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mean = match self.commit_ns.load(Ordering::Relaxed) {
            u64::MAX => took,
            before => before - before / 8 + took / 8,
        };
        self.commit_ns.store(mean, Ordering::Relaxed);
    }

    fn advance(&self, durable: Lsn) {
        let queue = self.lock_queue();
        self.durable.store(durable.0, Ordering::Release);
        drop(queue);
        self.progress.notify_all();
        if let Some(on_durable) = &self.on_durable {
            on_durable(Ok(durable));
        }
    }

    fn take_group(&self, queue: &mut Queue, count: usize) -> Group {
        let mut overlay = self.lock_overlay();
        let taken = queue.batches.iter().take(count);
        queue.bytes -= taken.map(|queued| queued.sealed.len()).sum::<usize>();
        let take = |Queued { lsn, sealed, batch }| {
            overlay.apply(lsn, batch);
            (lsn, sealed)
        };
        queue.batches.drain(..count).map(take).collect()
    }

    /// Whether as much waits as the limits allow, so many times over.
    fn is_beyond(&self, queue: &Queue, times: usize) -> bool {
        let Limits {
            waiting_max,
            waiting_bytes_max,
            ..
        } = self.limits;
        self.waiting(queue) >= waiting_max.saturating_mul(times)
            || queue.bytes >= waiting_bytes_max.saturating_mul(times)
    }

    fn waiting(&self, queue: &Queue) -> usize {
        usize::try_from(queue.appended.0 - self.durable().0).unwrap_or(usize::MAX)
    }

    // A poisoned lock is taken all the same: every change under these locks is done before anything there can panic.
    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a write did beside making its group durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    GroupOnly,
    WithMove,
}

fn last_change(batch: &Batch, key: &Key) -> Option<Found> {
    batch.changes().iter().rev().find_map(|change| match change {
        Change::Put(put, record) if put == key => Some(Found::Record(Arc::new(record.clone()))),
        change @ (Change::Delete(_) | Change::DeleteUpdates { .. }) if change.range().contains(key) => {
            Some(Found::Absent)
        }
        Change::Put(..) | Change::Delete(_) | Change::DeleteUpdates { .. } => None,
    })
}

/// How many moved records are read at once.
const PART_RECORDS: usize = 256;
