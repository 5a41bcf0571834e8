//! BOLT 11 invoices: read and verified, or written and signed.
//!
//! The codec is that of the crate `lightning-invoice`; what an invoice must be is decided here, by the BOLT. Where they differ:
//!
//! - `payment_secret` is assumed (BOLT 9): its feature bit may be missing, and so may the whole `9` field.
//! - A required feature that has no meaning in an invoice, or lacks another that it depends on, is refused.
//! - An amount beyond all bitcoin is refused; the codec would take it for an invoice without an amount. So is a zero.
//! - The signature is checked over the letters that came. The codec checks it over those that it would have written, which
//!   differ when a writer padded a field or the amount in its own way, and give another payee.
//! - `c`, `x` and `9` with zeros in front are refused.
//!
//! BOLT 11 contradicts itself on `p`, `h`, `s` and `n` of a wrong length: its text wants them refused, its examples ignored.
//! They are ignored, which refuses the invoice when `p`, `s` or the description is then missing.
//!
//! Nothing here knows the time, or holds a key. To read, start at [`Invoice`]; to write, at [`UnsignedInvoice`].
//!
//! ```
//! use bitcoin::Network;
//! use secp256k1::{Message, SECP256K1, SecretKey};
//! use quittance_invoice::{Description, Invoice, Terms, UnsignedInvoice};
//! use quittance_primitives::{MilliSatoshi, PaymentPreimage, PaymentSecret};
//! use std::time::Duration;
//!
//! let (key, hash) = (SecretKey::from_slice(&[1; 32])?, PaymentPreimage([2; 32]).hash());
//! let description = Description::Text("1 cup coffee".into());
//! let mut terms = Terms::new(Network::Regtest, Duration::from_secs(1_700_000_000), hash, PaymentSecret([3; 32]), description);
//! terms.amount = Some(MilliSatoshi(250_000_000));
//!
//! let unsigned = UnsignedInvoice::new(terms)?;
//! let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(unsigned.hash()), &key);
//! let invoice = unsigned.sign(signature, &key.public_key(SECP256K1))?;
//!
//! let text = invoice.to_string();
//! assert!(text.starts_with("lnbcrt2500u1"));
//! assert_eq!(text.parse::<Invoice>()?, invoice);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod build;
mod error;
mod parse;
mod terms;

pub use build::UnsignedInvoice;
pub use error::{BuildError, Field, InvoiceError, SignError};
pub use parse::Invoice;
pub use terms::{Description, RouteHintHop, Terms};
