//! The embedded store: one folder, one process, no server; SQLite underneath.
//!
//! [`EmbeddedStore::append`] queues; a writer thread takes whatever waits and makes it durable in one transaction with one sync
//! (group commit). A second thread moves SQLite's own log to its file, so that commits do not wait for that. Whoever waits for
//! durability takes a [`Watch`] or gives a callback. Where commits are quick the owner may write what it has appended itself
//! ([`Gathering::write_if_quick`]), and saves the waking of a thread and the waiting for it.
//!
//! Invariants: one process by lock; nothing is called durable before its sync has returned; after one failure nothing is written
//! again in this process, and the next one trusts only what it reads back. Why SQLite, and what it costs: `docs/adr/`.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use quittance_journal::{Batch, Key, KeyRange, Lsn, ReadError, Store, StoreFailed};

use database::{Checkpoint, Database, Place, Syncs};
use error::io_error;
use lock::Lock;
use shared::{Group, Shared, Written};

pub use error::OpenError;
pub use inspect::{Inspection, Report, read_any_version};
pub use shared::{Limits, OnDurable};

mod database;
mod error;
mod inspect;
mod lock;
mod log;
mod overlay;
mod shared;

/// A store in a folder of its own.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    path: PathBuf,
    reader: Mutex<Database>,
    /// The connection that writes. Whoever has it takes what waits, and writes it before he lets it go.
    database: Arc<Mutex<Database>>,
    writer: Option<JoinHandle<()>>,
    // Released last: until then no other process may come.
    _lock: Lock,
}

/// How a store is opened.
#[derive(Default)]
pub struct Options {
    /// What it holds in memory.
    pub limits: Limits,
    /// Told, from the writer's thread, that more is durable, or that the store has failed. It must be quick.
    pub on_durable: Option<OnDurable>,
}

/// Waits for a store's batches to become durable. Can be cloned, and used on any thread.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

/// Copies a store while it is in use. Can be cloned, and used on any thread.
#[derive(Clone)]
pub struct Copier {
    shared: Arc<Shared>,
    path: PathBuf,
}

/// While it lives the writer takes no batch that is appended, unless the store is about to be closed. What was let go before it takes.
#[must_use = "the writer waits as long as this lives"]
pub struct Gathering {
    shared: Arc<Shared>,
    database: Arc<Mutex<Database>>,
}

impl Gathering {
    /// Ends it, and writes what waits here and now if commits have been quick of late ([`Limits::quick`]); otherwise the writer does. Returns
    /// whether all that was appended before is durable now, or has failed.
    pub fn write_if_quick(self) -> bool {
        if !self.shared.may_write_here() {
            return false;
        }
        let _guard = FailOnPanic(&self.shared);
        write_waiting(&self.shared, &self.database, Shared::waiting_group);
        true
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.shared.let_go();
    }
}

impl EmbeddedStore {
    /// Makes a new, empty store in `folder`, which is made if need be. Either there is a whole store afterwards, or none.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is one already; [`OpenError`] otherwise.
    pub fn create(folder: &Path, options: Options) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder).map_err(|error| io_error(folder, &error))?;
        let lock = Lock::take(folder)?;
        let path = folder.join(FILE_NAME);
        if path.exists() {
            return Err(OpenError::Exists(folder.to_owned()));
        }
        create_whole(folder, &path)?;
        Self::start(path, lock, options)
    }

    /// Opens the store in `folder`. All that it holds then is durable.
    ///
    /// # Errors
    /// [`OpenError`], and nothing was changed.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Err(OpenError::NotFound(folder.to_owned()));
        }
        let lock = Lock::take(folder)?;
        Self::start(path, lock, options)
    }

    fn start(path: PathBuf, lock: Lock, options: Options) -> Result<Self, OpenError> {
        let place = Place::on_system(path);
        let database = Database::open(&place)?;
        let shared = Arc::new(Shared::new(database.journal()?, options.limits, options.on_durable));
        let database = Arc::new(Mutex::new(database));
        let reader = Mutex::new(Database::open_again(&place)?);
        let keeper = Database::open_again(&place)?;
        let started = {
            let (shared, database) = (Arc::clone(&shared), Arc::clone(&database));
            let thread = std::thread::Builder::new().name("store-writer".to_owned());
            thread.spawn(move || run_writer(&shared, &database, keeper))
        };
        let writer = Some(started.map_err(|error| io_error(&place.path, &error))?);
        Ok(Self {
            shared,
            path: place.path,
            reader,
            database,
            writer,
            _lock: lock,
        })
    }

    /// A handle to wait with.
    pub fn watch(&self) -> Watch {
        Watch {
            shared: Arc::clone(&self.shared),
        }
    }

    /// A handle to copy the store with.
    pub fn copier(&self) -> Copier {
        Copier {
            shared: Arc::clone(&self.shared),
            path: self.path.clone(),
        }
    }

    /// Lets the writer wait until the guard is dropped: what is appended meanwhile shares one transaction and one sync. For a driver that
    /// has more inputs at hand: otherwise the first batch goes alone, and all that follow it within the same moment wait for two syncs.
    /// Whoever waits for durability while it holds the guard waits in vain.
    pub fn gather(&self) -> Gathering {
        self.shared.hold();
        Gathering {
            shared: Arc::clone(&self.shared),
            database: Arc::clone(&self.database),
        }
    }

    /// Closes the store once everything appended is durable, and returns the last batch.
    ///
    /// # Errors
    /// [`StoreFailed`] when the store fails at that, or has failed before.
    pub fn close(mut self) -> Result<Lsn, StoreFailed> {
        self.join();
        self.shared.failure().map_or(Ok(self.shared.durable()), Err)
    }

    fn join(&mut self) {
        self.shared.stop();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has failed the store.
            let _ = writer.join();
        }
    }
}

impl Store for EmbeddedStore {
    fn append(&mut self, batch: Batch) -> Result<Lsn, StoreFailed> {
        self.shared.append(batch)
    }

    fn appended(&self) -> Lsn {
        self.shared.appended()
    }

    fn durable(&self) -> Lsn {
        self.shared.durable()
    }

    fn failure(&self) -> Option<StoreFailed> {
        self.shared.failure()
    }

    fn has_room(&self) -> bool {
        self.shared.has_room()
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        self.shared
            .get(key, &self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>) -> Result<(), ReadError> {
        let read = |after| {
            self.shared.read_part(
                range,
                after,
                &self.reader.lock().unwrap_or_else(PoisonError::into_inner),
            )
        };
        visit_parts(read, visit)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.join();
    }
}

impl Copier {
    /// Copies the store as it is at one moment, all that was durable before included, into a folder that has none. The folder is made if need
    /// be, in one that is there: whoever has removed that one wants no copy any more. The writer goes on meanwhile. Returns the last batch
    /// of the copy, which is durable then.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is a store already; [`OpenError`] when one of the two files cannot be used, or is not whole.
    pub fn copy(&self, to: &Path) -> Result<Lsn, OpenError> {
        match std::fs::create_dir(to) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io_error(to, &error)),
            Ok(()) | Err(_) => {}
        }
        let path = to.join(FILE_NAME);
        if path.exists() {
            return Err(OpenError::Exists(to.to_owned()));
        }
        let mut last = Lsn::NONE;
        make_whole(to, &path, |unfinished| {
            // A log that must begin anew would have the writer wait for us.
            let _reading = self.shared.keep_log();
            Database::open_again(&Place::on_system(self.path.clone()))?.copy_to(unfinished)?;
            let copy = Database::open_copy(&Place::on_system(unfinished.to_owned()))?;
            last = copy.journal()?.last().map_or(Lsn::NONE, |(lsn, _)| *lsn);
            Ok(())
        })?;
        Ok(last)
    }
}

impl Watch {
    /// Waits until batch `lsn` is durable or `timeout` is over, and returns what is durable then.
    ///
    /// # Errors
    /// [`StoreFailed`] when the store fails before that, or has failed.
    pub fn wait_for(&self, lsn: Lsn, timeout: Duration) -> Result<Lsn, StoreFailed> {
        self.shared.wait_for(lsn, timeout)
    }

    /// The last durable batch.
    pub fn durable(&self) -> Lsn {
        self.shared.durable()
    }
}

impl Place {
    fn on_system(path: PathBuf) -> Self {
        Self {
            path,
            layer: None,
            syncs: Syncs::EveryCommit,
            settle,
            read: |path| std::fs::read(path),
            reserve,
        }
    }
}

fn reserve(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = std::fs::File::options().append(true).create(true).open(path)?;
    let there = file.metadata()?.len();
    let missing = bytes.saturating_sub(there);
    let disk = rustix::fs::fstatvfs(&file)?;
    // On a small disk, or one that is nearly full, there is better use for it.
    if missing > disk.f_bavail.saturating_mul(disk.f_frsize) / SHARE_OF_FREE {
        return Ok(());
    }
    let written = std::io::copy(&mut std::io::repeat(0).take(missing), &mut file).and_then(|_| file.sync_all());
    if written.is_err() {
        file.set_len(there)?;
    }
    written
}

/// The log's room may be such a part of what is free on the disk.
const SHARE_OF_FREE: u64 = 8;

fn settle(path: &Path) -> std::io::Result<()> {
    let file = std::fs::File::options().read(true).write(true).open(path)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

fn create_whole(folder: &Path, path: &Path) -> Result<(), OpenError> {
    make_whole(folder, path, |unfinished| {
        Database::create(&Place::on_system(unfinished.to_owned())).map(drop)
    })
}

// The file gets its name only when it is whole and synced.
fn make_whole(folder: &Path, path: &Path, make: impl FnOnce(&Path) -> Result<(), OpenError>) -> Result<(), OpenError> {
    let unfinished = folder.join("unfinished.sqlite");
    for left_over in ["unfinished.sqlite", "unfinished.sqlite-wal", "unfinished.sqlite-shm"] {
        let left_over = folder.join(left_over);
        if left_over.exists() {
            std::fs::remove_file(&left_over).map_err(|error| io_error(&left_over, &error))?;
        }
    }
    make(&unfinished)?;
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(&unfinished).map_err(|error| io_error(&unfinished, &error))?;
    std::fs::rename(&unfinished, path).map_err(|error| io_error(path, &error))?;
    for log in ["unfinished.sqlite-wal", "unfinished.sqlite-shm"] {
        // The log was emptied before; without its file it is nothing.
        let _ = std::fs::remove_file(folder.join(log));
    }
    sync(folder).map_err(|error| io_error(folder, &error))
}

fn visit_parts(
    read: impl Fn(Option<Key>) -> Result<shared::Part, ReadError>,
    visit: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut after = None;
    loop {
        let part = read(after)?;
        for (key, record) in part.records {
            if visit(key, record).is_break() {
                return Ok(());
            }
        }
        after = part.end;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn run_writer(shared: &Arc<Shared>, database: &Mutex<Database>, keeper: Database) {
    let _guard = FailOnPanic(shared);
    let (wake, woken) = sync_channel(1);
    std::thread::scope(|threads| {
        threads.spawn(move || run_keeper(shared, &keeper, woken));
        write_groups(shared, database, wake);
    });
}

fn write_groups(shared: &Shared, database: &Mutex<Database>, wake_keeper: SyncSender<()>) {
    while shared.wait_for_work() {
        match write_waiting(shared, database, Shared::free_group) {
            Some(Written::GroupOnly) => {}
            Some(Written::WithMove) => match wake_keeper.try_send(()) {
                // A full channel means that the keeper is about to look anyway.
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => return,
            },
            None => return,
        }
    }
}

// What is taken is written before anybody else takes anything, so that nothing is durable before what was appended earlier. Nothing when
// the store fails, or has failed.
fn write_waiting(shared: &Shared, database: &Mutex<Database>, take: fn(&Shared) -> Group) -> Option<Written> {
    let Ok(mut database) = database.lock() else {
        shared.fail(StoreFailed::Io(PANICKED.to_owned()));
        return None;
    };
    if shared.failure().is_some() {
        return None;
    }
    match take(shared) {
        group if group.is_empty() => Some(Written::GroupOnly),
        group => shared.write_group(&mut database, &group).ok(),
    }
}

// Moves SQLite's log to its file while the writer goes on, and the rest of it once the writer has ended in good order.
fn run_keeper(shared: &Shared, keeper: &Database, woken: Receiver<()>) {
    let mut ended = false;
    while !ended {
        ended = woken.recv().is_err();
        if shared.failure().is_some() {
            return;
        }
        let moved = if ended {
            keeper.checkpoint(Checkpoint::Truncate)
        } else {
            move_log(shared, keeper)
        };
        if let Err(error) = moved {
            return shared.fail(error::store_failed(&error));
        }
    }
}

// Commits that come meanwhile keep the log from beginning anew; when it has outgrown its bound the writer must wait for that, but only
// for what has come since.
fn move_log(shared: &Shared, keeper: &Database) -> rusqlite::Result<i64> {
    let frames = keeper.checkpoint(Checkpoint::Passive)?;
    if frames <= LOG_FRAMES_MAX {
        return Ok(frames);
    }
    // Not while somebody copies: SQLite would make the writer wait until the copy is finished.
    let restarted = shared.if_log_is_free(|| keeper.checkpoint(Checkpoint::Restart));
    restarted.unwrap_or(Ok(frames))
}

struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StoreFailed::Io(PANICKED.to_owned()));
        }
    }
}

const PANICKED: &str = "the store's writer has panicked";

const FILE_NAME: &str = "journal.sqlite";

/// Frames of 4 KiB that SQLite's log has before it is made to begin anew: 16 MiB.
const LOG_FRAMES_MAX: i64 = 4_096;

#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod tests;
