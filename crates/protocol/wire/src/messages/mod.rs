//! The messages themselves, one file for each family, in the order of the BOLTs.

mod close;
mod gossip;
mod gossip_query;
mod interactive;
mod onion_message;
mod open;
mod operation;
mod setup;
mod splice;

pub use close::*;
pub use gossip::*;
pub use gossip_query::*;
pub use interactive::*;
pub use onion_message::*;
pub use open::*;
pub use operation::*;
pub use setup::*;
pub use splice::*;
