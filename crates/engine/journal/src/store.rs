//! The port to whatever keeps batches: what every store promises, and how it fails.

use std::fmt;
use std::ops::ControlFlow;

use crate::{Batch, InvalidKey, Key, KeyRange, RecordError};

/// The number of a batch in the journal, counted up from 1 without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// Keeps batches, in order.
///
/// The contract, which `quittance-store` tests for every implementation:
/// - Batches are atomic and totally ordered: what survives a crash is a prefix of what was appended, up to [`Store::durable`] at
///   least, and never a part of a batch.
/// - [`Store::append`] does not wait for the disk. How a driver learns that more became durable is the adapter's own business.
/// - Reads see every batch that was appended before them, durable or not.
/// - After one failure the store is failed for ever: it accepts nothing more, and `durable` does not advance again.
pub trait Store {
    /// Takes `batch` as the next one and returns its number.
    ///
    /// # Errors
    /// [`StoreFailed`]: now, and from then on at every call. It is unknown how many of the batches above `durable` survive.
    fn append(&mut self, batch: Batch) -> Result<Lsn, StoreFailed>;

    /// The last batch that was appended; [`Lsn::NONE`] in a new store.
    fn appended(&self) -> Lsn;

    /// The last batch that survives a crash of the process and of the machine; with it, all before it.
    fn durable(&self) -> Lsn;

    /// Why the store has failed, if it has.
    fn failure(&self) -> Option<StoreFailed>;

    /// Whether the store keeps up. While it does not, a driver takes no further input: stores bound what waits for the disk, and
    /// fail when that bound is ignored.
    fn has_room(&self) -> bool {
        true
    }

    /// The record at `key`, framed as it was put, or `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError`] when that cannot be told. An error is never an absence.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError>;

    /// Shows `visit` the records of `range` in the order of their keys, until it breaks off.
    ///
    /// # Errors
    /// [`ReadError`] when a record or the list of them cannot be read. What was visited before is right, but not all there is.
    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>) -> Result<(), ReadError>;

    /// The records of `range`, in the order of their keys.
    ///
    /// # Errors
    /// As [`Store::scan`].
    fn read(&self, range: &KeyRange) -> Result<Vec<(Key, Vec<u8>)>, ReadError> {
        let mut records = Vec::new();
        self.scan(range, &mut |key, record| {
            records.push((key, record));
            ControlFlow::Continue(())
        })?;
        Ok(records)
    }
}

/// The store could not write, and will never write again in this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailed {
    /// No space is left.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Writing or syncing failed.
    #[error("writing to the store failed: {0}")]
    Io(String),
    /// Another process may own the store now.
    #[error("the store is no longer ours: {0}")]
    LeaseLost(String),
    /// The driver went on although the store had no room.
    #[error("{waiting} batches wait for the disk, more than the store holds")]
    Overrun {
        /// Batches that wait to become durable.
        waiting: usize,
    },
}

/// The store could not tell what stands at a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Reading failed.
    #[error("reading {what} failed: {detail}")]
    Io {
        /// The key or range that was asked for.
        what: String,
        /// The store's own words.
        detail: String,
    },
    /// The store lists the key, but does not find its record.
    #[error("the record {0} is listed, but is not there")]
    Missing(Key),
    /// A record is there, but cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is a record whose key this version does not know.
    #[error("the store holds a record that this version of the software does not know: {0}")]
    Key(#[from] InvalidKey),
}

impl Lsn {
    /// Before the first batch.
    pub const NONE: Self = Self(0);

    /// The number of the batch after this one.
    ///
    /// # Panics
    /// After 2^64 - 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("batch numbers fit 64 bits"))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {}", self.0)
    }
}
