//! Deaths: a node is killed, and what is left of its manager's rows is whole, from an earlier moment, or nothing.

use std::path::Path;

use crate::people::Town;
use crate::{Outcome, Process, copy_folder};

/// What is left of a dead node's manager rows. Its channels' logs are always whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All of them.
    Whole,
    /// Those of an earlier moment.
    RolledBack,
    /// None.
    Deleted,
}

impl Rows {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Whole, Self::RolledBack, Self::Deleted];

    /// In words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Whole => "rows whole",
            Self::RolledBack => "rows rolled back",
            Self::Deleted => "rows deleted",
        }
    }
}

impl Process {
    /// Stops it, to copy its store as it is before what comes. It is to be started again.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn stop_and_copy(&mut self, copy: &Path) -> Outcome<()> {
        self.kill()?;
        copy_folder(&self.store(), copy)?;
        Ok(())
    }

    /// Damages its rows while it is dead; `older` is a copy of its store.
    ///
    /// # Errors
    /// When the command refuses.
    pub fn damage(&self, rows: Rows, older: &Path) -> Outcome<()> {
        match rows {
            Rows::Whole => Ok(()),
            Rows::RolledBack => self.lose_manager_rows(Some(older)),
            Rows::Deleted => self.lose_manager_rows(None),
        }
    }
}

impl Town {
    /// Stops a node in between, to copy its store as it is before what comes.
    ///
    /// # Errors
    /// When it cannot be copied, or does not start again.
    pub fn restart_with_copy(&mut self, node: usize, copy: &Path) -> Outcome<()> {
        self.nodes[node].stop_and_copy(copy)?;
        self.start(node)?;
        Ok(())
    }
}
