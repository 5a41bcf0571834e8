//! A Bitcoin chain for tests: embedded, or a real `bitcoind -regtest`, behind one interface.
//!
//! [`EmbeddedChain`] mines valid regtest blocks in memory. Scripts are judged by Bitcoin Core's consensus code, lock times
//! and amounts by our own, and loose transactions by the mempool rules of Bitcoin Core 31 as far as a Lightning node meets
//! them: minimum fees, replacement, one-parent-one-child packages, TRUC, ephemeral dust, standardness.
//! It is a function of its inputs: no clock, no randomness, no threads, so that a simulator can replay it bit for bit.
//!
//! [`bitcoind::BitcoindChain`] is the same interface over a real node, and [`rpc::RpcServer`] puts the embedded chain behind
//! bitcoind's own interface, so that whatever is written for one can be tested on the other.
//!
//! The embedded chain is no node: no peers, no wallet, no disk. What it leaves out of Core's policy is listed in [`mempool`].
//! Start at [`Chain`], then [`EmbeddedChain`]; the contract tests in `tests/` show every rule once.
#![forbid(unsafe_code)]

pub mod assembly;
pub mod bitcoind;
mod boxed;
pub mod chain;
pub mod consensus;
mod embedded;
pub mod faucet;
pub mod ledger;
pub mod loopback;
pub mod mempool;
pub mod rejection;
pub mod rpc;
pub mod served;

pub use chain::{
    BlockPosition, Chain, ChainEvent, MempoolEntry, MineOptions, RelayFeerates, Selection, Spend, Tip, Utxo,
};
pub use embedded::{ChainParameters, EmbeddedChain};
pub use faucet::Faucet;
pub use mempool::Policy;
pub use rejection::{PackageRejected, Reason, Rejected};
pub use served::ServedChain;
