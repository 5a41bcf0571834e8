//! Looking into a store from outside the node: whether it is whole, and what it holds. Nothing is changed.
//!
//! Both take the store's lock, so that they never see it in the middle of something: the node must be stopped.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use quittance_journal::{Key, KeyRange, Lsn, ReadError, Record, RecordError, Space, decode_record};

use super::database::{Database, Place};
use super::error::{OpenError, open_error};
use super::lock::Lock;
use super::shared::{Limits, Shared};
use super::{FILE_NAME, visit_parts};

/// A store that is open to be looked at.
pub struct Inspection {
    database: Database,
    shared: Shared,
    path: std::path::PathBuf,
    _lock: Lock,
}

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last batch.
    pub last: Lsn,
    /// Batches that stand in the journal and are not moved to their rows yet.
    pub journal_batches: usize,
    /// By space: how many records, and how many bytes they have.
    pub spaces: BTreeMap<Space, (usize, usize)>,
    /// Everything that is wrong; nothing if the store is whole.
    pub faults: Vec<String>,
}

impl Inspection {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be opened, or is so damaged that its records cannot be told.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Err(OpenError::NotFound(folder.to_owned()));
        }
        let lock = Lock::take(folder)?;
        let place = Place::on_system(path.clone());
        let database = Database::open_to_read(&place)?;
        let shared = Shared::new(database.journal()?, Limits::default(), None);
        Ok(Self {
            database,
            shared,
            path,
            _lock: lock,
        })
    }

    /// Checks every page, every batch of the journal, and every record's key, frame and checksum.
    ///
    /// # Errors
    /// [`OpenError`] when the system refuses to read.
    pub fn verify(&self) -> Result<Report, OpenError> {
        let mut report = Report {
            last: self.shared.durable(),
            journal_batches: self.shared.journal_batches(),
            faults: self
                .database
                .complaints()
                .map_err(|error| open_error(&self.path, &error))?,
            ..Report::default()
        };
        for space in Space::ALL {
            let read = self.records(&KeyRange::space(space), &mut |key, record| {
                let (count, bytes) = report.spaces.entry(space).or_default();
                *count += 1;
                *bytes += key.to_bytes().len() + record.len();
                if let Err(error) = read_any_version(&key, &record) {
                    report.faults.push(error.to_string());
                }
                ControlFlow::Continue(())
            });
            if let Err(error) = read {
                report.faults.push(error.to_string());
            }
        }
        if let Err(error) = self.database.check_keys() {
            report.faults.push(error.to_string());
        }
        Ok(report)
    }

    /// Shows `visit` the records of a range as they are stored, in the order of their keys, until it breaks off.
    ///
    /// # Errors
    /// [`ReadError`] when a record cannot be read.
    pub fn records(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        visit_parts(|after| self.shared.read_part(range, after, &self.database), visit)
    }
}

/// Reads a record whatever version its body has.
///
/// # Errors
/// [`RecordError`] when it is not whole.
pub fn read_any_version<'a>(key: &Key, record: &'a [u8]) -> Result<Record<'a>, RecordError> {
    decode_record(key, record, u16::MAX)
}
