//! What an input does to a channel: validated, and nothing changed. One file for each part of BOLT 2.

mod add;
mod affordability;
mod closing_signed;
mod commit;
mod fee;
mod force_close;
mod message;
mod next;
mod outcome;
mod policy;
mod ready;
mod reestablish;
mod remove;
mod sendable;
mod shutdown;
mod simple_close;
mod stfu;

pub use add::NewHtlc;
pub use message::{Attached, Need};
pub use ready::FUNDING_TIMEOUT;
pub use reestablish::SecretCheck;
