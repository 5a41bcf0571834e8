//! `ChannelManager`: channels, payments, forwards and events as one deterministic engine.
//!
//! `handle(input, context) -> Step`: a step carries the records that the input causes, for every channel, payment and event that it
//! touches, as one atomic batch; and the effects, which only the gate can read, once the batch is durable. The manager is the third
//! reader of the channels' logs: whatever it keeps for itself is derived from them, or corrected by them at start (G9).
//!
//! Start at [`ChannelManager::handle`], then `outbound`, `inbound`, `forwarding`, `chain`, then `restore`.

#![forbid(unsafe_code)]

mod api;
mod chain;
mod declared;
mod events;
mod forwarding;
mod gossip;
mod inbound;
mod interception;
mod manager;
mod misbehaviour;
mod opening;
mod outbound;
mod readiness;
mod restore;
mod turn;
mod upgrade;

pub use api::{
    AnnouncementEnd, AnnouncementToSign, ChainEvent, Command, ConnectedBlock, Context, DisconnectReason, Effect,
    Enforcement, Event, GossipToSign, Input, Loaded, NewChannel, NewPayment, NumberedEvent, OpeningEnd, Outgoing,
    Purpose, RequestId, Response,
};
pub use chain::load;
pub use declared::{channels_of, declare_restored};
pub use events::EVENT_VERSION;
pub use gossip::Face;
pub use manager::{ChannelManager, ForwardConfig, ManagerConfig, PAYMENT_VERSION, Signing};
pub use restore::{RestoreError, Restored};
pub use upgrade::{FINISHED_PAYMENT_VERSION, STORE_FORMAT, Upgrade, check_format};
