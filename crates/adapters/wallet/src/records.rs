//! What the wallet writes down: its promises, which nothing can give back, and its history, which the chain can.
//!
//! *Promises* are the revealed addresses, the transactions of its own that may not be buried yet, and the coins that pay fees of claims.
//! They are durable before anything rests on them. *History* is the blocks and transactions that were seen: a loss costs a rescan
//! from the birthday.

use std::collections::BTreeMap;

use bitcoin::{OutPoint, Transaction, Txid};
use quittance_records::{record, tagged};

/// What must not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promises {
    /// Whose they are.
    pub(crate) fingerprint: [u8; 4],
    /// How many addresses were handed out.
    pub(crate) external_revealed: u32,
    /// How many change addresses were made use of.
    pub(crate) internal_revealed: u32,
    /// The change address to which claims are swept.
    pub(crate) sweep_index: Option<u32>,
    /// The number of the next transaction: later ones count when two spend the same coin.
    pub(crate) next_order: u64,
    /// Transactions that we signed, until they or what conflicts with them is buried.
    pub(crate) transactions: BTreeMap<Txid, OwnTransaction>,
    /// Coins that pay for claims, by the first output that is claimed.
    pub(crate) claims: BTreeMap<OutPoint, PromisedCoins>,
}

/// A transaction that we signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnTransaction {
    pub(crate) transaction: Transaction,
    pub(crate) purpose: Purpose,
    pub(crate) order: u64,
}

/// What a transaction of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An amount to somebody, which may be replaced to pay a higher fee.
    Send,
    /// Everything to somebody.
    SendAll,
    /// It funds channels: its id must never change.
    Funding,
}

/// Coins that pay for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PromisedCoins {
    pub(crate) coins: Vec<OutPoint>,
    pub(crate) change_index: u32,
    /// Where the claimed output was spent, by whomever.
    pub(crate) spent_at: Option<u32>,
}

/// What the chain told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Whose it is.
    pub(crate) fingerprint: [u8; 4],
    /// Blocks of the best chain: the last ones, and those that hold a transaction of the wallet's.
    pub(crate) blocks: BTreeMap<u32, [u8; 32]>,
    /// The wallet's transactions in these blocks.
    pub(crate) transactions: BTreeMap<Txid, ConfirmedTransaction>,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfirmedTransaction {
    pub(crate) transaction: Transaction,
    pub(crate) height: u32,
    /// The block's time stamp.
    pub(crate) time: u32,
}

record!(Promises {
    fingerprint,
    external_revealed,
    internal_revealed,
    sweep_index,
    next_order,
    transactions,
    claims
});
record!(OwnTransaction {
    transaction,
    purpose,
    order
});
tagged!(Purpose { 1 => Send, 2 => SendAll, 3 => Funding });
record!(PromisedCoins {
    coins,
    change_index,
    spent_at
});
record!(History {
    fingerprint,
    blocks,
    transactions
});
record!(ConfirmedTransaction {
    transaction,
    height,
    time
});

impl Promises {
    pub(crate) const fn new(fingerprint: [u8; 4]) -> Self {
        Self {
            fingerprint,
            external_revealed: 0,
            internal_revealed: 0,
            sweep_index: None,
            next_order: 0,
            transactions: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }
}
