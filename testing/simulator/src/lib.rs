//! Whole networks of real engines on simulated time, network, disks and users.
//!
//! The nodes run the code of the daemon: codec, channel, manager, gate, journal, `restore`. Everything around them is here, and
//! is a function of a seed or of a script: when messages arrive, when a sync ends, when a process dies and what its disk keeps.
//! What must hold is checked after every step, against what the simulator itself saw happen; start at [`World`], then
//! [`Checker`].

#![forbid(unsafe_code)]

mod checker;
mod expand;
mod node;
mod random;
mod signer;
mod world;

pub use checker::{Broken, Checker, End};
pub use expand::Schedule;
pub use node::{Node, RowsAfterCrash};
pub use random::Random;
pub use signer::Signer;
pub use world::{ChannelSetup, CrashPlan, NodeIndex, World};
