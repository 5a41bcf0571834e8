//! Payments in, out and through, as far as they concern no single channel: pure functions and the state of a payment.
//!
//! - [`InvoiceKey`] makes invoices that need no row, and recognises the HTLCs that pay them.
//! - [`Payment`] is a payment of our own, from the command to its one outcome.
//! - [`Route`] and [`Router`] say how a payment may go; [`onion`] makes its onion, again and again the same.
//! - [`forward`] judges what someone wants us to forward; [`failure`] reads and writes what went wrong.
//!
//! Nothing here touches a channel: that is the manager's part.

#![forbid(unsafe_code)]

pub mod failure;
pub mod forward;
mod given;
mod invoice_key;
pub mod onion;
mod payment;
mod route;

pub use given::{GivenRoutes, UnfitRoute, Wanted};
pub use invoice_key::{InvoiceKey, InvoiceTerms, NewInvoice, Recognised};
pub use onion::ForPayee;
pub use payment::{Payment, PaymentKind, PaymentStatus, Retry};
pub use route::{DirectRouter, FirstHop, HintHop, Route, RouteHop, RouteRequest, Router};
