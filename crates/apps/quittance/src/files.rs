//! The files beside the store: the seed, the tokens, and where a running node listens. None is readable by anyone else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use quittance_api::{Hex, Scope};

/// Makes the node's folder, for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// One process at a time in a folder. The system lets go of it when its holder dies, however it dies.
#[must_use = "the folder is free again when this is dropped"]
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes a node's folder.
    pub(crate) fn take(folder: &Path) -> Result<Self, String> {
        Self::take_if_free(folder)?.ok_or_else(|| {
            format!(
                "a node runs in {} already\n  next: stop it with `quittance stop`, or name another folder with --dir",
                folder.display()
            )
        })
    }

    /// Takes a node's folder; nothing when another process has it.
    pub(crate) fn take_if_free(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join("in-use");
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(told)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told(error)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing alone does not do: a child that this process is starting just now holds a copy of the file until it runs its program.
        // What cannot be unlocked is let go with the last copy.
        let _ = self.file.unlock();
    }
}

/// Where the seed is.
pub(crate) fn seed(folder: &Path) -> PathBuf {
    folder.join("seed")
}

/// A token, by what it allows. Made at the first start.
pub(crate) fn token(folder: &Path, scope: Scope) -> io::Result<String> {
    let path = token_path(folder, scope);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
            let token = Hex(bytes).to_string();
            write_private(&path, &token)?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}

/// Where a token is.
pub(crate) fn token_path(folder: &Path, scope: Scope) -> PathBuf {
    folder.join(format!("token-{}", scope.name()))
}

/// Notes where a running node listens for commands.
pub(crate) fn note_api(folder: &Path, address: SocketAddr) -> io::Result<()> {
    write_private(&folder.join(API), &address.to_string())
}

/// Where the node in a folder listens for commands.
pub(crate) fn api(folder: &Path) -> Result<SocketAddr, String> {
    let path = folder.join(API);
    let text = fs::read_to_string(&path).map_err(|_| {
        format!(
            "no node has run in {}: start it with `quittance run --dir {}`, or name another folder",
            folder.display(),
            folder.display()
        )
    })?;
    text.trim()
        .parse()
        .map_err(|_| format!("{} holds no address", path.display()))
}

const API: &str = "api-address";

/// Writes a text that nobody else may read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    quittance_node::write_whole(path, format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_for_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let refused = FolderLock::take(folder.path()).unwrap_err();
        assert!(
            refused.contains("runs in") && refused.contains("quittance stop"),
            "{refused}"
        );
        let in_child = held.file.try_clone().unwrap();
        drop(held);
        let _held = FolderLock::take(folder.path()).unwrap();
        drop(in_child);
    }

    #[test]
    fn tokens_are_made_once_differ_and_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let read = token(folder.path(), Scope::Read).unwrap();
        assert_eq!(token(folder.path(), Scope::Read).unwrap(), read);
        assert_ne!(token(folder.path(), Scope::Admin).unwrap(), read);
        assert_eq!(read.len(), 64);
        let mode = fs::metadata(token_path(folder.path(), Scope::Read))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
