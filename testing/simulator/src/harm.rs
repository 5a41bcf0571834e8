//! What a plan may do to a node, and where.

use quittance_store::memory::Keep;

use crate::{NodeIndex, RowsAfterCrash};

/// Which node suffers what, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPlan {
    /// Who.
    pub node: NodeIndex,
    /// At which of its points, counted from 0.
    pub point: u64,
    /// What happens there.
    pub harm: Harm,
    /// What is left of the manager's rows after the death that follows.
    pub rows: RowsAfterCrash,
    /// How many starts after it die as well, at the first thing that they write.
    pub starts_that_die: u32,
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The process dies, and the disk keeps this of what was not synced.
    Dies(Keep),
    /// The next sync fails: the process must stop.
    SyncFails,
    /// The disk has no byte left: the process must stop at its next batch, and again after each start until there is space.
    DiskFills,
}

/// A cut of the wire at the next message of this name from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Who sends it.
    pub from: NodeIndex,
    /// To whom.
    pub to: NodeIndex,
    /// The BOLT's name of the message.
    pub message: &'static str,
    /// Whether it still arrives.
    pub arrives: Arrives,
}

/// Whether the message at which a wire is cut still arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrives {
    /// It does, and nothing after it.
    Yes,
    /// It is lost.
    No,
}
