//! The SQLite file under the embedded store: its schema, and every statement that is run on it.
//!
//! Two tables: `journal` has one row per batch, which is all that a commit on the critical path writes; `record` has one row per
//! key, to which batches are moved later (see [`super::overlay`]). The batches of the journal, on top of the records, are the
//! store. The layout is in `docs/formats/store.md`.
//!
//! Invariants: every commit is synced before it returns; the newest batch never leaves the journal, so that its number is never
//! lost; batches leave the journal in the very transaction that moves them. Nothing here runs on a thread of its own.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use quittance_journal::{Batch, InvalidKey, Key, KeyRange, Lsn, ReadError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::error::{OpenError, io_error, open_error};
use super::log::check_log;
use super::overlay::{Found, Move};

/// Where a store's file is, and through which of SQLite's layers to the system it is reached.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// `None` for the system's own files.
    pub(super) layer: Option<&'static str>,
    pub(super) syncs: Syncs,
    /// Makes what is cached of a file safe, and has it read from the disk from then on.
    ///
    /// The process before this one may have been killed before it synced; and after a failed sync a cache shows what the disk does
    /// not hold, and calls it clean.
    pub(super) settle: fn(&Path) -> io::Result<()>,
    /// Reads a whole file.
    pub(super) read: fn(&Path) -> io::Result<Vec<u8>>,
    /// Makes a file at least so long, with zeros that are on the disk: what is written over them is synced twice as fast as what makes a
    /// file longer. SQLite takes them for the end of its log, as it takes what an earlier round has left there.
    pub(super) reserve: fn(&Path, u64) -> io::Result<()>,
}

impl Place {
    /// SQLite's log.
    fn log(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        path.into()
    }
}

/// Whether commits are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syncs {
    EveryCommit,
    /// Only to show that the tests of power loss notice it.
    #[cfg(test)]
    CheckpointsOnly,
    /// Likewise: what a killed process has not synced is taken as it is found.
    #[cfg(test)]
    NotAtStart,
}

/// A connection to the file, for one thread.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
}

/// A batch of the journal, as read at the start.
pub(super) type JournalRow = (Lsn, Batch);

/// How hard a checkpoint of SQLite's log tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// Moves what it can without making the writer wait.
    Passive,
    /// Moves all, makes the writer wait for it, and has the log begin anew.
    Restart,
    /// Moves all and empties the log.
    Truncate,
}

impl Database {
    /// Makes a new, empty store in a file that does not exist yet.
    pub(super) fn create(place: &Place) -> Result<Self, OpenError> {
        let failed = |error| open_error(&place.path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let database = Self::connect(place, flags).map_err(failed)?;
        database.connection.execute_batch(&schema()).map_err(failed)?;
        database.checkpoint(Checkpoint::Truncate).map_err(failed)?;
        Ok(database)
    }

    /// Opens a store for writing. What is readable afterwards is durable, even if the process that wrote it never synced it.
    pub(super) fn open(place: &Place) -> Result<Self, OpenError> {
        for path in [place.path.clone(), place.log()] {
            match (place.settle)(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                settled => settled.map_err(|error| io_error(&path, &error))?,
            }
        }
        check_log_at(place)?;
        // A disk that has no room for it now may have some later; the store is whole without it.
        let _ = (place.reserve)(&place.log(), LOG_RESERVED);
        Self::open_again(place)
    }

    /// Opens another connection to a store that is open already.
    pub(super) fn open_again(place: &Place) -> Result<Self, OpenError> {
        Self::connect_checked(place, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a store that is not to be changed.
    pub(super) fn open_to_read(place: &Place) -> Result<Self, OpenError> {
        check_log_at(place)?;
        let database = Self::open_again(place)?;
        let query_only = database.connection.pragma_update(None, "query_only", true);
        query_only.map_err(|error| open_error(&place.path, &error))?;
        Ok(database)
    }

    /// Opens a fresh copy, and gives it a log as every store has.
    pub(super) fn open_copy(place: &Place) -> Result<Self, OpenError> {
        let database = Self::open_again(place)?;
        let failed = |error| open_error(&place.path, &error);
        let mode = database
            .connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            .map_err(failed)?;
        if mode != "wal" {
            let detail = format!("it takes no log: its journal mode stays {mode}");
            return Err(OpenError::Io {
                path: place.path.clone(),
                detail,
            });
        }
        database.checkpoint(Checkpoint::Truncate).map_err(failed)?;
        Ok(database)
    }

    /// Writes all that one transaction sees to a new file, which is not synced yet.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), OpenError> {
        let text = path.to_str().ok_or_else(|| OpenError::Io {
            path: path.to_owned(),
            detail: "SQLite takes names in UTF-8 only".to_owned(),
        })?;
        let copied = self.connection.execute("VACUUM INTO ?1", [text]);
        copied.map(drop).map_err(|error| open_error(path, &error))
    }

    fn connect_checked(place: &Place, flags: OpenFlags) -> Result<Self, OpenError> {
        let failed = |error| open_error(&place.path, &error);
        let database = Self::connect(place, flags).map_err(failed)?;
        let path = place.path.clone();
        let number = |pragma| {
            database
                .connection
                .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
        };
        let format = number("application_id").map_err(failed)?;
        if format != FORMAT_NAME {
            let detail = format!("its format is named {format:#010x}, not {FORMAT_NAME:#010x}");
            return Err(OpenError::Foreign { path, detail });
        }
        match number("user_version").map_err(failed)? {
            FORMAT_VERSION => Ok(database),
            found if found > FORMAT_VERSION => Err(OpenError::Newer {
                path,
                found,
                known: FORMAT_VERSION,
            }),
            found => {
                let detail = format!("there has never been a format version {found}");
                Err(OpenError::Damaged { path, detail })
            }
        }
    }

    fn connect(place: &Place, flags: OpenFlags) -> rusqlite::Result<Self> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match place.layer {
            Some(layer) => Connection::open_with_flags_and_vfs(&place.path, flags, layer)?,
            None => Connection::open_with_flags(&place.path, flags)?,
        };
        // A failed store must not write again, not even to tidy up when it is closed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let synchronous = match place.syncs {
            Syncs::EveryCommit => "FULL",
            #[cfg(test)]
            Syncs::NotAtStart => "FULL",
            #[cfg(test)]
            Syncs::CheckpointsOnly => "NORMAL",
        };
        connection.execute_batch(&format!(
            "{SETTINGS} PRAGMA synchronous=FULL; PRAGMA synchronous={synchronous};"
        ))?;
        Ok(Self {
            connection,
            path: place.path.clone(),
        })
    }

    /// Writes batches to the journal and makes a move, if there is one, in one transaction that is durable when this returns.
    pub(super) fn commit(&mut self, batches: &[(Lsn, Vec<u8>)], moved: Option<&Move>) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO journal(lsn, batch) VALUES (?1, ?2)")?;
            for (lsn, bytes) in batches {
                insert.execute(params![sql_number(*lsn), bytes])?;
            }
        }
        if let Some(moved) = moved {
            make_move(&transaction, moved)?;
        }
        transaction.commit()
    }

    /// Writes what SQLite's log holds to its place in the file, as far as `how` says, and returns how many frames the log has.
    pub(super) fn checkpoint(&self, how: Checkpoint) -> rusqlite::Result<i64> {
        let statement = match how {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        self.connection.query_row(statement, [], |row| row.get(1))
    }

    /// The batches of the journal, checked to be whole and without a gap.
    pub(super) fn journal(&self) -> Result<Vec<JournalRow>, OpenError> {
        let rows = self.journal_rows().map_err(|error| open_error(&self.path, &error))?;
        let mut batches: Vec<JournalRow> = Vec::with_capacity(rows.len());
        for (number, bytes) in rows {
            let damaged = |detail: String| OpenError::Damaged {
                path: self.path.clone(),
                detail,
            };
            let lsn = u64::try_from(number)
                .map(Lsn)
                .map_err(|_| damaged(format!("batch {number} is out of range")))?;
            if let Some((before, _)) = batches.last().filter(|(before, _)| before.next() != lsn) {
                return Err(damaged(format!("{lsn} follows {before}")));
            }
            let batch = unseal(lsn, &bytes).map_err(|detail| damaged(format!("{lsn}: {detail}")))?;
            batches.push((lsn, batch));
        }
        if batches.is_empty() && self.holds_records().map_err(|error| open_error(&self.path, &error))? {
            return Err(OpenError::Damaged {
                path: self.path.clone(),
                detail: "there are records, but the journal that wrote them is empty".to_owned(),
            });
        }
        Ok(batches)
    }

    fn journal_rows(&self) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
        let mut statement = self.connection.prepare("SELECT lsn, batch FROM journal ORDER BY lsn")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn holds_records(&self) -> rusqlite::Result<bool> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM record)", [], |row| row.get(0))
    }

    /// The moved record at `key`.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        let select = "SELECT value FROM record WHERE key = ?1";
        let row = self.connection.prepare_cached(select).and_then(|mut statement| {
            let row = statement.query_row([key.to_bytes()], |row| row.get(0));
            row.optional()
        });
        row.map_err(|error| read_error(key, &error))
    }

    /// The first `count` moved records of `range` after `after`, in the order of their keys.
    pub(super) fn read(
        &self,
        range: &KeyRange,
        after: Option<Key>,
        count: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, ReadError> {
        let first = match after {
            Some(after) => Bound::Excluded(after.to_bytes()),
            None => Bound::Included(range.first().to_bytes()),
        };
        let rows = self
            .rows(first, &range.last(), count)
            .map_err(|error| read_error(range, &error))?;
        let parse = |(key, value): (Vec<u8>, _)| Ok((Key::from_bytes(&key)?, value));
        rows.into_iter()
            .map(parse)
            .collect::<Result<_, InvalidKey>>()
            .map_err(ReadError::Key)
    }

    fn rows(&self, first: Bound<Vec<u8>>, last: &Key, count: usize) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (select, first) = match first {
            Bound::Excluded(key) => (
                "SELECT key, value FROM record WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
                key,
            ),
            Bound::Included(key) => (
                "SELECT key, value FROM record WHERE key >= ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
                key,
            ),
            Bound::Unbounded => (
                "SELECT key, value FROM record WHERE key >= ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
                vec![],
            ),
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(select)?;
        let rows = statement.query_map(params![first, last.to_bytes(), count], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect()
    }

    /// Checks that every moved row stands at a key.
    pub(super) fn check_keys(&self) -> Result<(), ReadError> {
        let keys = self.keys().map_err(|error| read_error(&"the keys", &error))?;
        keys.iter()
            .try_for_each(|key| Key::from_bytes(key).map(|_| ()).map_err(ReadError::Key))
    }

    fn keys(&self) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement = self.connection.prepare("SELECT key FROM record")?;
        let keys = statement.query_map([], |row| row.get(0))?;
        keys.collect()
    }

    /// What SQLite finds wrong with the file's pages and indexes; nothing if all is well.
    pub(super) fn complaints(&self) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let lines: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}

// Before SQLite sees the log: it would cut off what follows the damage.
fn check_log_at(place: &Place) -> Result<(), OpenError> {
    let path = place.log();
    match (place.read)(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(&path, &error)),
        Ok(log) => check_log(&log).map_err(|damage| OpenError::Damaged {
            path: place.path.clone(),
            detail: damage.to_string(),
        }),
    }
}

/// A batch as a row of the journal: the batch's bytes, and the checksum of its number and them.
pub(super) fn seal(lsn: Lsn, batch: &Batch) -> Vec<u8> {
    let mut bytes = batch.to_bytes();
    bytes.extend(checksum(lsn, &bytes).to_be_bytes());
    bytes
}

fn unseal(lsn: Lsn, bytes: &[u8]) -> Result<Batch, String> {
    let (bytes, stored) = bytes.split_last_chunk::<4>().ok_or("it is cut off")?;
    let (stored, computed) = (u32::from_be_bytes(*stored), checksum(lsn, bytes));
    if stored != computed {
        return Err(format!(
            "its checksum is {stored:08x}, its content gives {computed:08x}"
        ));
    }
    Batch::from_bytes(bytes).map_err(|fault| fault.to_string())
}

fn checksum(lsn: Lsn, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&lsn.0.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn make_move(transaction: &Transaction<'_>, moved: &Move) -> rusqlite::Result<()> {
    let mut delete_range = transaction.prepare_cached("DELETE FROM record WHERE key BETWEEN ?1 AND ?2")?;
    for range in &moved.ranges {
        delete_range.execute([range.first().to_bytes(), range.last().to_bytes()])?;
    }
    let mut put = transaction
        .prepare_cached("INSERT INTO record(key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")?;
    let mut delete = transaction.prepare_cached("DELETE FROM record WHERE key = ?1")?;
    for (key, found) in &moved.records {
        match found {
            Found::Record(record) => put.execute(params![key.to_bytes(), &record[..]])?,
            Found::Absent => delete.execute([key.to_bytes()])?,
        };
    }
    let mut forget = transaction.prepare_cached("DELETE FROM journal WHERE lsn <= ?1")?;
    forget.execute([sql_number(moved.through)])?;
    Ok(())
}

fn read_error(what: &impl ToString, error: &rusqlite::Error) -> ReadError {
    ReadError::Io {
        what: what.to_string(),
        detail: error.to_string(),
    }
}

// 2^63 batches take a million years at a quarter of a million a second.
fn sql_number(lsn: Lsn) -> i64 {
    i64::try_from(lsn.0).expect("batch numbers fit 63 bits")
}

fn schema() -> String {
    format!(
        "PRAGMA page_size=4096;
         PRAGMA journal_mode=WAL;
         BEGIN;
         PRAGMA application_id={FORMAT_NAME};
         PRAGMA user_version={FORMAT_VERSION};
         CREATE TABLE journal(lsn INTEGER PRIMARY KEY, batch BLOB NOT NULL) STRICT;
         CREATE TABLE record(key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
         COMMIT;"
    )
}

/// As long as SQLite's log gets before its records are moved and it begins anew.
const LOG_RESERVED: u64 = 16 * 1024 * 1024;

/// The letters QTNC.
const FORMAT_NAME: i32 = 0x5154_4e43;
const FORMAT_VERSION: i32 = 1;

// No mapped file: a read error would be a signal, not an error. Checkpoints have their own thread and time.
const SETTINGS: &str = "PRAGMA mmap_size=0;
    PRAGMA wal_autocheckpoint=0;
    PRAGMA busy_timeout=60000;
    PRAGMA temp_store=MEMORY;
    PRAGMA trusted_schema=OFF;
    PRAGMA cell_size_check=ON;
    PRAGMA cache_size=-16000;";
