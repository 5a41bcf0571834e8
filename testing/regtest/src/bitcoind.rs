//! The same interface over a real node: a `bitcoind -regtest` of our own, started for a test and stopped with it.
//!
//! [`Bitcoind`] is the process, [`BitcoindChain`] the [`crate::Chain`] that speaks to it. The node has no wallet and no peers;
//! blocks are built here, by the code that builds the embedded chain's, and submitted to it, so that options such as feerate
//! floors mean the same on both, and a real node checks every block.

mod chain;
mod process;

pub use chain::BitcoindChain;
pub use process::{Bitcoind, StartError};
