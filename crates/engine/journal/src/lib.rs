//! The one ordered journal that everything durable goes through, and the gate that holds back what must wait for it.
//!
//! A step of the engine yields [`Batch`]es of [`Change`]s under typed [`Key`]s, and effects. A [`Store`] makes batches durable in
//! order; the [`Gate`] is the only reader of effects and lets each out once every batch that it depends on is durable.
//!
//! What this crate is not: a store. It does no I/O, waits for nothing and knows no clock; adapters implement [`Store`].
//!
//! Invariants: batches are totally ordered and numbered without a gap ([`Lsn`]); what survives a crash is a prefix of them;
//! a record that cannot be read is an error that names its key, never an absence. Start reading at [`Gate`].

#![forbid(unsafe_code)]

mod batch;
mod gate;
mod key;
pub mod marks;
#[cfg(feature = "mutants")]
pub mod mutant;
mod record;
mod rows;
mod step;
mod store;

pub use batch::{Batch, BatchFault, Change};
pub use gate::{Gate, Released};
pub use key::{ColdId, EventNumber, HeaderRow, InvalidKey, Key, KeyRange, Space, UpdateId};
pub use record::{RECORD_BYTES_MAX, Record, RecordError, RecordFault, decode_record, encode_record};
pub use rows::{InstantStore, Rows};
pub use step::{Ahead, Generation, Scope, Step};
pub use store::{Lsn, ReadError, Store, StoreFailed};
