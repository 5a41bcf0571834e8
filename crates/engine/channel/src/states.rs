//! The states of a channel from its first record to its last; each holds what is legal there and nothing else.

use bitcoin::{ScriptBuf, Transaction};
use quittance_records::{record, tagged};

use crate::{AbandonedFunding, BySide, ForceCloseReason};

/// What a channel waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// For the funding to be deep enough, and for `channel_ready` from both sides.
    AwaitingReady(AwaitingReady),
    /// For nothing: HTLCs may be added by both sides.
    Normal,
    /// For both `shutdown`s and the last HTLC, and then for an agreement on the closing transaction.
    ShuttingDown(ShuttingDown),
    /// For the agreed closing transaction to confirm.
    ClosingAgreed(ClosingAgreed),
    /// For the chain: our latest commitment closes the channel.
    ForceClosed(ForceCloseReason),
    /// For the peer to close: we lost state, and our commitment must never be broadcast.
    FellBehind,
    /// For nothing any more: the funding will never be used.
    Abandoned(AbandonedFunding),
}

tagged!(Phase {
    1 => AwaitingReady(state),
    2 => Normal,
    3 => ShuttingDown(state),
    4 => ClosingAgreed(state),
    5 => ForceClosed(reason),
    6 => FellBehind,
    7 => Abandoned(why),
});

/// Who has said `channel_ready`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwaitingReady {
    /// Whether each side sent it.
    pub sent: BySide<bool>,
}

record!(AwaitingReady { sent });

/// A closing that at least one side began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShuttingDown {
    /// The script that each side named in `shutdown`.
    pub scripts: BySide<Option<ScriptBuf>>,
}

record!(ShuttingDown { scripts });

/// A closing transaction with both signatures, and the scripts, in case the peer wants to replace it (BOLT 2, simple close).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingAgreed {
    /// The latest that was agreed.
    pub transaction: Box<Transaction>,
    /// The script that each side named in `shutdown`.
    pub scripts: BySide<Option<ScriptBuf>>,
}

record!(ClosingAgreed { transaction, scripts });
