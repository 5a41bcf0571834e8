//! Two channels, their monitors and a chain that checks every script: whoever closes, whatever happens.
//!
//! The channels are the pair that the channel crate's own tests use, with a funding output that is really mined. Each end has a
//! [`Replica`]: a monitor that sees nothing of the channel but the bytes of its log, and nothing of the chain but its blocks.
//! Start at [`World`]; the tests are tables of closings over it.

#[allow(
    missing_docs,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    clippy::unwrap_used,
    clippy::should_implement_trait,
    clippy::cast_possible_truncation,
    reason = "the harness of the channel's tests, shared as it is"
)]
#[path = "../../../crates/engine/channel/tests/pair/mod.rs"]
pub mod pair;

mod cell;
mod cheat;
pub mod fee_stories;
mod replica;
mod wallet;
mod world;

pub use cell::{Cell, Closer, Disturbance, FORMATS, Known, Size, format_name};
pub use cheat::RevokedCommitment;
pub use replica::Replica;
pub use wallet::Wallet;
pub use world::{Restarts, World};
