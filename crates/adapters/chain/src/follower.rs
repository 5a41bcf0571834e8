//! From a source to a sequence of updates without gaps, starting at any block that the caller remembers.
//!
//! Invariants (I-10): every `Connected` builds on the update before it; a `Rewound` names a block that the source's best chain contains and
//! that lies on the branch that was followed. A source with less work than we have seen is waited for, never followed backwards:
//! that is what a bitcoind under repair looks like. Start at [`Follower::next`].

use std::collections::BTreeMap;

use bitcoin::{Block, BlockHash, Transaction};
use quittance_primitives::BlockHeight;

use crate::source::{ChainSource, KnownHeader};
use crate::{ChainError, Tip};

/// A change of the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainUpdate {
    /// This block is the new tip. It builds on the last one.
    Connected(Box<ConnectedBlock>),
    /// The blocks after this one have left the best chain: this is the tip, until `Connected` follows.
    Rewound(Tip),
}

/// A block of the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedBlock {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before it.
    pub previous: BlockHash,
    /// Its time stamp, in seconds since 1970.
    pub time: u32,
    /// The height of the best chain's tip when the block was asked for: this block's, or more while older blocks are caught up with.
    pub best: BlockHeight,
    /// All its transactions, each with its index in the block.
    pub transactions: Vec<(u32, Transaction)>,
}

/// A follower needs a block to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no block was given to start from")]
pub struct NoStart;

/// Follows the best chain of a source.
#[derive(Debug)]
pub struct Follower<S> {
    source: S,
    tip: Tip,
    /// Blocks of the branch that we follow, the tip among them: what is tried when the source does not know our tip.
    known: BTreeMap<BlockHeight, BlockHash>,
    /// Whether the source was checked since it last failed: another one may answer in its place.
    is_checked: bool,
}

/// How many blocks are remembered: two weeks of them. Whoever needs more gives them again at the next start.
const KNOWN_MAX: usize = 2_016;

impl<S: ChainSource> Follower<S> {
    /// Starts behind the highest of `remembered`, blocks of one branch in any order. The others serve when the source does not know
    /// the highest one.
    ///
    /// # Errors
    /// [`NoStart`] when there is none.
    pub fn new(source: S, remembered: impl IntoIterator<Item = Tip>) -> Result<Self, NoStart> {
        let known: BTreeMap<BlockHeight, BlockHash> =
            remembered.into_iter().map(|tip| (tip.height, tip.hash)).collect();
        let (height, hash) = known.last_key_value().ok_or(NoStart)?;
        let tip = Tip {
            height: *height,
            hash: *hash,
        };
        Ok(Self {
            source,
            tip,
            known,
            is_checked: false,
        })
    }

    /// The last block that was told of.
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// The source.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The next change; `None` when there is nothing newer.
    ///
    /// # Errors
    /// [`ChainError`] when the source cannot be asked or believed. Nothing has changed: the same call may be made again.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator would end at the tip or at an error; this goes on"
    )]
    pub fn next(&mut self) -> Result<Option<ChainUpdate>, ChainError> {
        if !self.is_checked {
            self.source.check()?;
            self.is_checked = true;
        }
        let update = self.look();
        self.is_checked = update.is_ok();
        update
    }

    fn look(&mut self) -> Result<Option<ChainUpdate>, ChainError> {
        let Some(header) = self.source.header(&self.tip.hash)? else {
            return self.rewind_to_known().map(Some);
        };
        Self::check_height(&header, self.tip.height)?;
        if !header.is_active {
            let best = self.source.best()?;
            if best.work < header.work {
                return Err(self.behind(best.tip));
            }
            return self.rewind_along(self.tip, header).map(Some);
        }
        match header.next {
            None => Ok(None),
            Some(next) => self.connect(next, header.best).map(Some),
        }
    }

    fn connect(&mut self, hash: BlockHash, best: BlockHeight) -> Result<ChainUpdate, ChainError> {
        let block = self.source.block(&hash)?;
        check_block(&block, &hash)?;
        if block.header.prev_blockhash != self.tip.hash {
            return Err(garbage(
                "getblock",
                format!("block {hash} does not build on {}", self.tip.hash),
            ));
        }
        let height = self.tip.height.0.checked_add(1).map(BlockHeight);
        let height = height.ok_or_else(|| garbage("getblock", "no height is left".to_owned()))?;
        let connected = ConnectedBlock {
            height,
            hash,
            previous: self.tip.hash,
            time: block.header.time,
            best: best.max(height),
            transactions: (0..).zip(block.txdata).collect(),
        };
        self.tip = Tip { height, hash };
        self.known.insert(height, hash);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_first();
        }
        Ok(ChainUpdate::Connected(Box::new(connected)))
    }

    /// Walks back from a stale block, of which the source told `header`, to the first that is in the best chain.
    fn rewind_along(&mut self, stale: Tip, header: KnownHeader) -> Result<ChainUpdate, ChainError> {
        let (mut at, mut header) = (stale, header);
        while !header.is_active {
            let below = at.height.0.checked_sub(1).zip(header.previous);
            let (height, hash) = below.ok_or_else(|| {
                garbage(
                    "getblockheader",
                    format!("the first block, {}, is in no best chain", at.hash),
                )
            })?;
            at = Tip {
                height: BlockHeight(height),
                hash,
            };
            header = self.source.header(&hash)?.ok_or_else(|| {
                garbage(
                    "getblockheader",
                    format!("{hash} has a child that is known, and is not known itself"),
                )
            })?;
            Self::check_height(&header, at.height)?;
        }
        Ok(self.rewound(at))
    }

    /// The source does not know our tip: the highest block that it knows of those we remember is where we begin again.
    fn rewind_to_known(&mut self) -> Result<ChainUpdate, ChainError> {
        let best = self.source.best()?;
        if best.tip.height < self.tip.height {
            return Err(self.behind(best.tip));
        }
        let older: Vec<(BlockHeight, BlockHash)> = self
            .known
            .range(..self.tip.height)
            .rev()
            .map(|(height, hash)| (*height, *hash))
            .collect();
        for (height, hash) in older {
            if let Some(header) = self.source.header(&hash)? {
                Self::check_height(&header, height)?;
                return self.rewind_along(Tip { height, hash }, header);
            }
        }
        Err(ChainError::NoCommonBlock(self.tip))
    }

    fn rewound(&mut self, to: Tip) -> ChainUpdate {
        self.known.retain(|height, _| *height <= to.height);
        self.known.insert(to.height, to.hash);
        self.tip = to;
        ChainUpdate::Rewound(to)
    }

    fn behind(&self, theirs: Tip) -> ChainError {
        ChainError::Behind {
            ours: self.tip.height.0,
            theirs: theirs.height.0,
        }
    }

    fn check_height(header: &KnownHeader, expected: BlockHeight) -> Result<(), ChainError> {
        if header.height == expected {
            return Ok(());
        }
        let what = format!("a block of height {} is said to be at {}", expected.0, header.height.0);
        Err(garbage("getblockheader", what))
    }
}

/// Whether the bytes are the block that was asked for.
fn check_block(block: &Block, hash: &BlockHash) -> Result<(), ChainError> {
    if block.block_hash() != *hash {
        return Err(garbage(
            "getblock",
            format!("asked for {hash}, got {}", block.block_hash()),
        ));
    }
    if !block.check_merkle_root() || !block.check_witness_commitment() {
        return Err(garbage(
            "getblock",
            format!("the transactions of {hash} are not those of its header"),
        ));
    }
    Ok(())
}

const fn garbage(method: &'static str, what: String) -> ChainError {
    ChainError::Garbage { method, what }
}
