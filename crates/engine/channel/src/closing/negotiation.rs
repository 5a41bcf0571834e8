//! How far a connection has come in negotiating closing transactions. A new connection starts over (BOLT 2, both protocols).

use bitcoin::{Amount, ScriptBuf};
use quittance_transactions::SimpleCloseVariant;
use quittance_wire::FeeRange;

use crate::BySide;

/// How far a connection has come in negotiating the closing transaction. A new connection starts over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    /// Whether the peer sent `shutdown` on this connection.
    pub(crate) peer_sent_shutdown: bool,
    /// Whether the peer sent `closing_signed` or `closing_complete`, and so said that nothing is on its way any more.
    pub(crate) peer_began: bool,
    /// What we last offered by `closing_signed`.
    pub(crate) offered: Option<LegacyOffer>,
    /// The fee that the peer last offered by `closing_signed`.
    pub(crate) fee_received: Option<Amount>,
    /// Our `closing_complete` that the peer has not answered.
    pub(crate) proposed: Option<Proposal>,
    /// Since when we wait for the peer to go on, in milliseconds since 1970.
    pub(crate) waiting_since_ms: Option<u64>,
}

/// What we offered by `closing_signed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegacyOffer {
    pub(crate) fee: Amount,
    pub(crate) range: FeeRange,
}

/// What a `closing_complete` offers: ours or the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) scripts: BySide<ScriptBuf>,
    pub(crate) fee: Amount,
    pub(crate) lock_time: u32,
    pub(crate) variants: Vec<SimpleCloseVariant>,
}
