//! Whole networks of real engines on simulated time, network, disks, chain and users.
//!
//! The nodes run the code of the daemon: codec, channel, manager, gate, journal, `restore`. Everything around them is here, and
//! is a function of a seed or of a script: when messages arrive, when a sync ends, when a process dies and what its disk keeps.
//! What must hold is checked after every step, against what the simulator itself saw happen, and once more at the end of a run.
//!
//! Start at [`World`], then [`Checker`]; [`Schedule`] runs a script once for each way to die in it, and [`scenarios`] holds the
//! rows of `docs/SCENARIOS.md`.

#![forbid(unsafe_code)]

mod checker;
mod expand;
mod harm;
mod hash;
mod node;
mod random;
pub mod scenarios;
mod signer;
pub mod sweep;
mod verdict;
mod world;

pub use checker::{Broken, Checker, End};
pub use expand::{Deaths, Effort, Report, Rows, Schedule};
pub use harm::{Arrives, CrashPlan, Cut, Harm};
pub use hash::RunHash;
pub use node::{Node, Process, RowsAfterCrash, User};
pub use random::Random;
pub use signer::Signer;
pub use world::{
    ChannelSetup, Garbage, Halved, Hold, Latency, Lie, NodeIndex, Part, Requested, WantedFunding, World, WorldChain,
};

/// Whether failing runs tell their story on standard error.
fn tells_stories() -> bool {
    std::env::var_os("QUITTANCE_QUIET").is_none()
}
