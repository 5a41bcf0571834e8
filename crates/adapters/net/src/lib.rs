//! Peers over TCP: BOLT 8's encrypted transport, BOLT 1's `init`, keep-alive, limits and reconnection.
//!
//! It moves messages and knows nothing of channels: whatever is not BOLT 1's own business (ping, pong, a second `init`, messages
//! that nobody knows) goes to a [`Sink`], and what is to be sent goes into the [`Outbox`] that came with the connection.
//!
//! Invariants: every queue is bounded. A sink that is slow makes its peers slow, through TCP's own window; a peer that does not read
//! loses its connection, and never makes anyone wait. Whoever has not finished the handshake costs a few hundred bytes, for a few
//! seconds. A connection has a [`Generation`](quittance_journal::Generation) that is larger than those of all connections before it.
//!
//! Start at [`Network`], then `connection`.

#![forbid(unsafe_code)]

mod address;
mod admission;
mod config;
mod connection;
mod greeting;
mod handshake;
mod network;
mod outbox;
mod pace;
mod redial;

pub use address::{InvalidAddress, PeerAddress};
pub use config::{Config, Limits, Timing};
pub use connection::{Direction, Sink, SinkClosed, Tidings, Why};
pub use greeting::InitRefused;
pub use network::{ConnectError, Connected, Network};
pub use outbox::{NotSent, Outbound, Outbox};
