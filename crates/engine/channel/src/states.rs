//! The states of a channel from its first record to its last; each holds what is legal there and nothing else.

use bitcoin::ScriptBuf;
use quittance_records::{record, tagged};

use crate::{AbandonedFunding, AgreedClosing, BySide, ForceCloseReason, WantedClose};

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

/// A closing that at least one side wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShuttingDown {
    /// Whether each side sent `channel_ready`: a closing may begin before the channel was ever open.
    pub ready: BySide<bool>,
    /// What our user ordered, if it did. `shutdown` follows once no update of ours is uncommitted.
    pub wanted: Option<WantedClose>,
    /// The script that each side named last, in `shutdown` or `closing_complete`.
    pub scripts: BySide<Option<ScriptBuf>>,
}

record!(ShuttingDown { ready, wanted, scripts });

/// A closing with a transaction that both sides signed. It may still be replaced by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingAgreed {
    /// What the closing was agreed from.
    pub shutdown: ShuttingDown,
    /// The latest transaction that each side pays for, if there is one. Either of the two may confirm.
    pub closings: BySide<Option<Box<AgreedClosing>>>,
}

record!(ClosingAgreed { shutdown, closings });
