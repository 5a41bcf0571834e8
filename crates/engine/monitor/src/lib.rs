//! BOLT 5: the second reader of a channel's log. It says what to broadcast, and what the chain decided.
//!
//! Everything follows from two things: the [`ChannelState`](quittance_channel::ChannelState) that the log folds to, and the
//! [`ChainView`]: the few facts of the chain that concern the channel (which transaction spent the funding output, which inputs
//! spent what came from it). What is to be claimed, what is decided, what the user may expect is derived from the two whenever
//! it is asked for, so a block taken back needs no undoing, and a replica of the log does the same job anywhere.
//!
//! Public keys only: a claim says what to sign, a signer completes it; coins for fees are asked for as values. No clock, disk or
//! network. What the chain decided goes back to the channel as [`Fact`]s and becomes steps of its log.
//!
//! Invariants: M-1 (never an outcome from absence, but a buried commitment without the HTLC, or a buried transaction in the funding's place),
//! M-2 (live memory is O(HTLCs in flight)), M-3 (the view is a function of the active chain). Start at [`ChannelMonitor`], then [`Closing`].

#![forbid(unsafe_code)]

mod attempts;
mod balances;
mod broadcasts;
mod chain_view;
mod claims;
mod closing;
mod deadlines;
mod depths;
mod facts;
mod fees;
mod monitor;
mod outputs;
mod plan;
mod recognition;
mod revoked;
mod room;
mod wallet;

pub use attempts::{Attempt, Attempts};
pub use balances::{BalanceKind, ClaimableBalance};
pub use broadcasts::{Broadcast, FeeContext};
pub use chain_view::{ChainView, SeenClosing, Spend, Tip};
pub use claims::{Claim, ClaimReason};
pub use closing::{Closing, Holder};
pub use deadlines::close_due;
pub use depths::{FORGET_DEPTH, OUTCOME_DEPTH};
pub use facts::Fact;
pub use fees::FeeEstimates;
pub use monitor::{Block, ChannelMonitor, MONITOR_VERSION, NotNext, Noted};
pub use revoked::{REVOKED_VERSION, RevokedHtlc, RevokedHtlcs};
pub use wallet::{Coin, CoinsMissing, FeeRequest, Parent};
