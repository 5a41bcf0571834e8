//! A Lightning node as a library.
//!
//! [`NodeBuilder`] sets a node up, [`Node`] is the handle to it while it runs. One task owns engine, gate and store (`driver`): inputs
//! come from peers, chain, callers and the clock; each is handled and its records are appended; one sync of the disk covers whatever was
//! appended while the last one ran; only then do messages, events and answers leave. Everything that a caller is told, answers to
//! questions included, waits for the disk as well.
//!
//! What is not here: what Lightning says (the engine's), bytes on wires (`quittance-net`), HTTP and commands (`quittance-api`, the binary).
//!
//! ```no_run
//! # async fn example(chain: std::sync::Arc<quittance_node::Chain>, wallet: Box<dyn quittance_node::Wallet>) -> Result<(), Box<dyn std::error::Error>> {
//! use quittance_node::{Event, NodeBuilder, PayLimits};
//! use quittance_primitives::PaymentId;
//!
//! let node = NodeBuilder::new("my-node", [7; 32], bitcoin::Network::Regtest).start(chain, wallet).await?;
//! let invoice = "lnbcrt1…".parse()?;
//! node.pay_invoice(PaymentId([1; 32]), &invoice, None, PayLimits::default()).await?;
//!
//! let mut events = node.events(None).await?;
//! while let Some(event) = events.next().await {
//!     if let Event::PaymentSent { preimage, .. } = &event.event {
//!         assert!(invoice.terms().payment_hash.is_paid_by(preimage), "this is the receipt");
//!     }
//!     // From here on it never comes again.
//!     node.handled(event.number).await?;
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod address_book;
mod builder;
mod chain;
mod driver;
mod error;
mod events;
mod invoices;
mod node;
mod payment_pages;
mod payment_times;
mod peers;
mod policy;
mod received;
mod restored;
mod routes;
mod stored_wallet;
mod views;
mod wallet;
mod whole_file;

pub use builder::{EventHandling, NodeBuilder, Policy};
pub use chain::Chain;
pub use error::{NodeError, StartError, StopReason};
pub use events::EventStream;
pub use invoices::{InvoiceRequest, PayLimits};
pub use node::{Node, OpenRequest, Probe};
pub use payment_pages::PaymentPage;
pub use payment_times::PaymentTimes;
pub use policy::PolicyChange;
pub use quittance_manager::{Event, NumberedEvent};
pub use quittance_monitor::{BalanceKind, ClaimReason, ClaimableBalance};
pub use quittance_net::{ConnectError, Limits as PeerLimits, PeerAddress, Timing};
pub use quittance_payments::{Payment, PaymentStatus};
pub use quittance_signer::who_signed;
pub use received::{Received, ReceivedPage};
pub use restored::{declare_restored, node_id};
pub use routes::{GivenHop, HopAmount, HopExpiry, IncompleteRoute};
pub use stored_wallet::StoredWallet;
pub use views::{Channel, ChannelStage, Figures, Info, Latency, Peer, PeerTerms};
pub use wallet::{Balance, Wallet, WalletError};
pub use whole_file::write_whole;
