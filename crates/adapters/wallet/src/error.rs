//! Why the wallet did not do what was asked. Nothing has changed then.

use bitcoin::{Amount, OutPoint, Txid};
use quittance_monitor::Tip;
use quittance_primitives::FeeratePerKw;

use crate::FileError;

/// The wallet could not be opened, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the texts say")]
pub enum WalletError {
    /// A file of the wallet's cannot be used. While promises cannot be written, nothing is signed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder belongs to another seed.
    #[error("the wallet's files belong to another seed (fingerprint {found}, ours is {expected})")]
    OtherSeed { found: String, expected: String },
    /// A block does not follow the last one.
    #[error("block {height} does not follow the wallet's tip, {} at height {}", .tip.hash, .tip.height.0)]
    NotNext { height: u32, tip: Tip },
    /// Too little money.
    #[error("{needed} are needed and {available} are free")]
    InsufficientFunds { needed: Amount, available: Amount },
    /// The money is there, and is kept for closing channels.
    #[error("{reserve} are kept to close channels, and only {left} would be left: close a channel or add funds")]
    Reserved { reserve: Amount, left: Amount },
    /// An output is too small to be relayed.
    #[error("output {0} is below the dust limit")]
    Dust(usize),
    /// No transaction of ours has this id and is unconfirmed.
    #[error("{0} is no unconfirmed transaction of this wallet's")]
    Unknown(Txid),
    /// It is in a block.
    #[error("{0} is confirmed already")]
    Confirmed(Txid),
    /// A replacement would change its id, and a channel's commitments rest on it.
    #[error("{0} funds a channel: it cannot be replaced")]
    FundsChannel(Txid),
    /// Something of ours spends its outputs.
    #[error("{spender} spends an output of {txid}: raise the fee of that one instead")]
    Spent { txid: Txid, spender: Txid },
    /// A replacement must pay more.
    #[error("a replacement must pay more: {0}")]
    FeerateTooLow(String),
    /// All fees that make sense are above what may be spent.
    #[error("a fee of {fee} at {} sat per 1000 weight is needed, and no more than {budget} may be paid", .feerate.0)]
    OverBudget {
        fee: Amount,
        budget: Amount,
        feerate: FeeratePerKw,
    },
    /// A transaction that we are to remember spends a coin that is promised elsewhere.
    #[error("{outpoint} is spent by {first} and by {second}")]
    PromisedTwice {
        outpoint: OutPoint,
        first: Txid,
        second: Txid,
    },
    /// A transaction could not be built for another reason.
    #[error("the transaction could not be built: {0}")]
    NotBuilt(String),
}
