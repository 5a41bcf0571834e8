//! Requests and responses of a node's HTTP interface, version 1: what the server reads and writes, and what its clients do.
//!
//! Amounts are whole numbers with their unit in the name; ids, hashes and preimages are hex in small letters. A field that is not known is
//! refused, so that a misspelt limit is never a missing one. The OpenAPI document is made from these types.

#![forbid(unsafe_code)]

mod channels;
mod error;
mod events;
mod hex_text;
mod node;
mod payments;
mod routes;

pub use channels::{
    Channel, ChannelList, ChannelOpened, Claimable, ClaimableWhy, Close, CloseChannel, ConnectPeer, OpenChannel, Peer,
    PeerList, PeerTerms, SetFeerate, SetPolicy,
};
pub use error::{ErrorCode, Problem};
pub use events::{Event, EventKind, Handled};
pub use hex_text::{Hex, NotHex};
pub use node::{
    Backup, BackupMade, Balance, Bump, Check, Checked, Done, Health, Info, NewAddress, OnchainSent, Scope, SendOnchain,
    Sign, Signed, Unlock,
};
pub use payments::{
    Abandon, Claim, Claimed, CreateInvoice, Decode, Decoded, DecodedHint, Invoice, Keysend, Pay, Payment, PaymentList,
    PaymentState, Receipt, Received, ReceivedList, Refuse, reason,
};
pub use routes::{Probe, Probed, RouteHop, given_routes};
