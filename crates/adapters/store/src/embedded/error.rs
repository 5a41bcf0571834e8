//! What can be wrong with a store that one tries to open, and how SQLite's words become ours.

use std::path::{Path, PathBuf};

use quittance_journal::StoreFailed;
use rusqlite::ErrorCode;

/// A store that cannot be opened. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no store. A node that had one must not go on with a new one.
    #[error("there is no store at {}", .0.display())]
    NotFound(PathBuf),
    /// There is a store already, where a new one was to be made.
    #[error("there is a store at {} already", .0.display())]
    Exists(PathBuf),
    /// Another process has the store open.
    #[error("the store at {} is in use by {holder}; two nodes must never act on one store", .path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// What the other process says of itself.
        holder: String,
    },
    /// The file is not a store of this software.
    #[error("{} is not a store of ours: {detail}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        detail: String,
    },
    /// The store was written by a newer version.
    #[error("the store at {} is of format version {found}; this version of the software knows up to {known}", .path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format version.
        found: i32,
        /// The newest that is known here.
        known: i32,
    },
    /// The store is ours, but not whole.
    #[error("the store at {} is damaged: {detail}", .path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is missing or wrong, and where.
        detail: String,
    },
    /// The system refused to read or write.
    #[error("the store at {} cannot be used: {detail}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        detail: String,
    },
}

/// What stands behind a failed call of SQLite.
pub(super) fn store_failed(error: &rusqlite::Error) -> StoreFailed {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreFailed::Full(error.to_string()),
        _ => StoreFailed::Io(error.to_string()),
    }
}

/// Why a file could not be opened as a store.
pub(super) fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path, detail },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, detail },
        _ => OpenError::Io { path, detail },
    }
}

/// Why the system's own calls on a file or folder failed.
pub(super) fn io_error(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}
