//! What goes into the engine and what comes out of it.

mod command;
mod effect;
mod event;
mod gossip;
mod input;

pub use command::{Command, NewChannel, NewPayment, RequestId, Response};
pub use effect::{DisconnectReason, Effect, Enforcement, OpeningEnd, Outgoing, Purpose};
pub use event::{Event, NumberedEvent};
pub use gossip::{AnnouncementEnd, AnnouncementToSign, GossipToSign};
pub use input::{ChainEvent, ConnectedBlock, Context, Input, Loaded};
