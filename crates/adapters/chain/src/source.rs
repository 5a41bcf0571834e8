//! The port: what a chain source must be able to do. Everything else here is written against it.

use bitcoin::{Block, BlockHash, Transaction, Work};
use quittance_primitives::BlockHeight;

use crate::{ChainError, FeePolicy, Feerates, PackageOutcome, Refused, Submitted, Tip};

/// Something that knows the best chain and passes transactions on. Calls block, for a limited time.
pub trait ChainSource {
    /// Whether it is the configured network's chain, and synchronised. To be asked whenever the connection is new.
    fn check(&self) -> Result<(), ChainError>;

    /// The best chain's last block.
    fn best(&self) -> Result<Best, ChainError>;

    /// What is known of a block; `None` if nothing is.
    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError>;

    /// A whole block.
    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError>;

    /// Offers a transaction to the network. One that is there already is a success.
    fn submit(&self, transaction: &Transaction) -> Result<Result<Submitted, Refused>, ChainError>;

    /// Offers a parent and a child that pays for it, to be judged together.
    fn submit_package(&self, parent: &Transaction, child: &Transaction) -> Result<PackageOutcome, ChainError>;

    /// The feerates with which transactions would confirm.
    fn feerates(&self, policy: &FeePolicy) -> Result<Feerates, ChainError>;
}

/// The best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// Its last block.
    pub tip: Tip,
    /// The work in all its blocks.
    pub work: Work,
}

/// What a source knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHeader {
    /// Its height.
    pub height: BlockHeight,
    /// Whether it belongs to the best chain.
    pub is_active: bool,
    /// The height of the best chain's tip, if it belongs to it; otherwise its own.
    pub best: BlockHeight,
    /// The block before it; none before the first.
    pub previous: Option<BlockHash>,
    /// The best chain's block after it.
    pub next: Option<BlockHash>,
    /// The work in the chain that ends here.
    pub work: Work,
}

impl<S: ChainSource + ?Sized> ChainSource for &S {
    fn check(&self) -> Result<(), ChainError> {
        (**self).check()
    }

    fn best(&self) -> Result<Best, ChainError> {
        (**self).best()
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
        (**self).header(hash)
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        (**self).block(hash)
    }

    fn submit(&self, transaction: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
        (**self).submit(transaction)
    }

    fn submit_package(&self, parent: &Transaction, child: &Transaction) -> Result<PackageOutcome, ChainError> {
        (**self).submit_package(parent, child)
    }

    fn feerates(&self, policy: &FeePolicy) -> Result<Feerates, ChainError> {
        (**self).feerates(policy)
    }
}
