//! Stores for the journal: each implements [`quittance_journal::Store`].
//!
//! - [`embedded`]: the default, one folder on the node's own disk.
//! - [`memory`]: the twin for simulations and tests. It knows what was synced, and loses, tears, fails and fills up on command.
//! - [`manager_rows`]: loses or rolls back manager rows, for tests of the rebuild.
//! - [`contract`]: what every store must do, as a suite of checks that each store's tests run.

pub mod contract;
pub mod embedded;
pub mod manager_rows;
pub mod memory;
