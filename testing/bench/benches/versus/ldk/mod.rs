//! LDK's side: its nodes by its public API, in one process and one thread, with typed messages handed over in memory.

mod network;
mod node;

pub(crate) use network::{ManagerWrites, Network};
pub(crate) use node::{Node, Persistence};
