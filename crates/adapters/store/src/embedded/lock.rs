//! One process at a time: a lock on a file beside the store, held as long as the process lives.
//!
//! The system lets go of the lock when its holder dies, however it dies, so that nothing is to be cleaned up; a holder that is
//! frozen keeps it. The file's content only names the holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::error::{OpenError, io_error};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the store in `folder`.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("lock");
        let failed = |error| io_error(&path, &error);
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: folder.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        let program = std::env::current_exe().unwrap_or_default();
        write!(file, "process {} ({})", std::process::id(), program.display()).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone does not do: a child that this process is starting just now holds a copy of the file until it runs its program.
        // What cannot be unlocked is let go with the last copy.
        let _ = self.file.unlock();
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // The holder may be writing its name just now; then it stays unnamed.
    match file.take(HOLDER_BYTES_MAX).read_to_string(&mut text) {
        Ok(length) if length > 0 => text,
        _ => "another process".to_owned(),
    }
}

const HOLDER_BYTES_MAX: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_file_in_a_child_that_starts_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let in_child = lock.file.try_clone().unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(OpenError::Locked { .. })));
        drop(lock);
        assert!(Lock::take(folder.path()).is_ok());
        drop(in_child);
    }
}
