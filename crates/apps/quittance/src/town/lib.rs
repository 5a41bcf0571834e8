//! Alice, Bob and Carol: three nodes as processes of their own, with real sockets and stores, for the demonstration and for the
//! end-to-end tests, which take what else they need from here. Everything stays on this machine, and every process ends with the [`Town`].
//!
//! Start at [`Town`]; [`Ledger`] is what a node's user writes down.

#![forbid(unsafe_code)]

mod caller;
mod ground;
mod ledger;
mod payments;
mod people;
mod process;
mod random;
mod rows;

pub use caller::{CallFailed, Caller};
pub use ground::Ground;
pub use ledger::{Ledger, Sent, compare};
pub use payments::Order;
pub use people::{ALICE, BOB, CAPACITY_SAT, CAROL, Town};
pub use process::{Process, copy_folder};
pub use quittance_regtest::loopback::free_address;
pub use random::{Random, fresh_seed};
pub use rows::Rows;

/// A result whose error is told as it is.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
