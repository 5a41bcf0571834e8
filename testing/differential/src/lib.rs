//! What the comparisons with LDK share: random bytes from a seed, LDK's messages by their numbers, nodes
//! whose keys both sides hold.
//!
//! Each test makes its cases from one seed that is written there, so that a case that failed fails again.

mod ldk_messages;
mod nodes;
mod peeling;
mod random;

pub use ldk_messages::LdkMessage;
pub use nodes::{HEIGHT, Node, Quiet, nodes, our_packet, session_key, update_add_htlc};
pub use peeling::{peel_by_ldk, same_forward, same_receive};
pub use random::Random;
