//! Why a source could not answer. None of these is a statement about the chain: each is to be asked again later.

use std::path::PathBuf;

use bitcoin::{BlockHash, Network};

use crate::Tip;

/// A source could not answer, or must not be believed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the texts say")]
pub enum ChainError {
    /// No connection, or one that broke or took too long.
    #[error("bitcoind at {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// It is up and not yet ready; it says itself what it does.
    #[error("bitcoind is starting: {0}")]
    Starting(String),
    /// The user or password is wrong.
    #[error("bitcoind at {url} refuses our credentials: check rpcuser and rpcpassword, or the path of the cookie file")]
    Unauthorised { url: String },
    /// The cookie file is missing or unreadable: normally because bitcoind does not run.
    #[error("the cookie file {} cannot be read ({reason}): is bitcoind running?", .path.display())]
    Cookie { path: PathBuf, reason: String },
    /// It follows another chain than ours.
    #[error("bitcoind has another genesis block than {expected}: {found}")]
    WrongNetwork { expected: Network, found: BlockHash },
    /// It is still in its initial download.
    #[error("bitcoind is still synchronising: block {blocks} of {headers}")]
    Synchronising { blocks: u32, headers: u32 },
    /// Its best chain has less work than the one that we know: it catches up, after a repair for instance.
    #[error("bitcoind is at height {theirs}, behind ours, {ours}: waiting for it to catch up")]
    Behind { ours: u32, theirs: u32 },
    /// It knows none of the blocks that we remember.
    #[error(
        "bitcoind knows none of the blocks that we remember, the last of them {} at height {}, though it is as high: it follows another chain than \
         this node did; give --bitcoind one that follows the chain on which the channels were opened",
        .0.hash, .0.height.0
    )]
    NoCommonBlock(Tip),
    /// It has thrown the block away.
    #[error("bitcoind has pruned block {0}, which we have yet to read: give it a larger -prune, or none")]
    Pruned(BlockHash),
    /// It refused a call that every bitcoind answers.
    #[error("bitcoind refused {method}: {message} (code {code})")]
    Refused {
        method: &'static str,
        code: i64,
        message: String,
    },
    /// It said something that no bitcoind says.
    #[error("the answer to {method} is not that of a bitcoind: {what}")]
    Garbage { method: &'static str, what: String },
}

impl ChainError {
    /// Whether the same question may be answered later with nothing changed here. What is no such error needs somebody to change the
    /// configuration, or a bitcoind that has what this one has not.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Starting(_)
            | Self::Unauthorised { .. }
            | Self::Cookie { .. }
            | Self::Synchronising { .. }
            | Self::Behind { .. }
            | Self::Refused { .. }
            | Self::Garbage { .. } => true,
            Self::WrongNetwork { .. } | Self::NoCommonBlock(_) | Self::Pruned(_) => false,
        }
    }
}
