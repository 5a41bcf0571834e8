//! Nodes in one process and one thread with the store's own, and what their payments cost: real engines, gates, signers and stores, real
//! syncs, and every message encoded and decoded.
//!
//! A [`town::Town`] has the nodes and the wires between them. The program of this package measures them by themselves; `testing/bench`
//! measures them beside LDK.

pub mod blocks;
pub mod cost;
pub mod node;
mod opening;
pub mod payments;
pub mod restart;
mod task;
mod threads;
pub mod town;
