//! The chain source as the node uses it: one thread follows it, another one hands transactions to it, and neither ever gives up.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::{Block, BlockHash, Transaction};
use quittance_chain::{
    Best, ChainError, ChainSource, ChainUpdate, FeePolicy, Feerates, Follower, KnownHeader, Pace, PackageOutcome,
    Refused, Report, Submitted, Tip, Watch,
};
use quittance_manager::Enforcement;
use quittance_primitives::BlockHeight;
use quittance_signer::LocalSigner;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::wallet::Wallet;

/// A chain source that threads share.
pub type Chain = dyn ChainSource + Send + Sync;

/// What the chain has to tell.
#[derive(Debug)]
pub(crate) enum ChainNews {
    /// It changed.
    Update(ChainUpdate),
    /// All changes were told, and these feerates hold.
    AtTip(Tip, Option<Feerates>),
}

/// Follows the chain and reports to `news`, which may be full: then the next block waits.
pub(crate) fn follow(
    chain: Arc<Chain>,
    from: Tip,
    pace: Pace,
    policy: FeePolicy,
    news: mpsc::Sender<ChainNews>,
) -> io::Result<Watch> {
    let source = Shared(Arc::clone(&chain));
    let follower = Follower::new(source, [from]).map_err(io::Error::other)?;
    Watch::spawn(follower, pace, move |report| {
        let told = match report {
            Report::Update(update) => ChainNews::Update(update),
            Report::AtTip(tip) => {
                let feerates = chain.feerates(&policy);
                if let Err(error) = &feerates {
                    warn!(%error, "no feerates");
                }
                ChainNews::AtTip(tip, feerates.ok())
            }
            Report::Failing { error, .. } => {
                warn!(%error, "the chain source does not answer");
                return ControlFlow::Continue(());
            }
        };
        match news.blocking_send(told) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
}

/// What is to be in the mempool.
#[derive(Clone, Debug)]
pub(crate) enum ToBroadcast {
    /// A transaction that is complete, and what it is, for the log.
    Transaction(Box<Transaction>, &'static str),
    /// What signer and wallet have yet to complete.
    Enforcement(Box<Enforcement>),
}

/// Completes transactions and hands them to the network.
pub(crate) struct Broadcaster {
    pub(crate) chain: Arc<Chain>,
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) wallet: Arc<Mutex<Box<dyn Wallet>>>,
}

impl Broadcaster {
    /// Takes one after the other, each again and again while the source does not answer.
    pub(crate) fn run(&self, mut queue: mpsc::Receiver<ToBroadcast>) {
        while let Some(next) = queue.blocking_recv() {
            let (transactions, purpose) = match next {
                ToBroadcast::Transaction(transaction, purpose) => (vec![*transaction], purpose),
                ToBroadcast::Enforcement(enforcement) => (self.complete(&enforcement), "enforcement"),
            };
            let mut pause = Duration::from_millis(500);
            while let Err(error) = hand_over(&*self.chain, &transactions, purpose) {
                warn!(%error, purpose, "a transaction waits for the chain source");
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(30));
                if queue.is_closed() {
                    return;
                }
            }
        }
    }

    fn complete(&self, enforcement: &Enforcement) -> Vec<Transaction> {
        let mut wallet = self.wallet.lock().unwrap_or_else(PoisonError::into_inner);
        let transactions = self.signer.enforce(enforcement, |request| wallet.fund_claim(request));
        let mut signed = Vec::new();
        for transaction in transactions {
            match wallet.sign(transaction) {
                Ok(transaction) => signed.push(transaction),
                // A parent goes without its child; the engine asks again after the next block.
                Err(error) => warn!(%error, channel = %enforcement.channel, "the wallet cannot sign"),
            }
        }
        signed
    }
}

fn hand_over(chain: &Chain, transactions: &[Transaction], purpose: &str) -> Result<(), ChainError> {
    let tell = |outcome: Result<Submitted, Refused>, transaction: &Transaction| {
        let txid = transaction.compute_txid();
        match outcome {
            Ok(submitted) => debug!(%txid, purpose, ?submitted, "broadcast"),
            Err(refused) => warn!(%txid, purpose, %refused, "the network refuses a transaction"),
        }
    };
    if let [parent, child] = transactions {
        let outcome = chain.submit_package(parent, child)?;
        tell(outcome.parent, parent);
        tell(outcome.child, child);
        return Ok(());
    }
    for transaction in transactions {
        tell(chain.submit(transaction)?, transaction);
    }
    Ok(())
}

/// From where the chain is to be read, and the last common block if something that was read before has been taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) from: Tip,
    pub(crate) rewound: Option<Tip>,
}

/// Finds the beginning for those who have read up to `read`; the best tip when nobody has read anything.
pub(crate) fn beginning(chain: &Chain, read: &[Tip], best: Tip) -> Result<Beginning, ChainError> {
    let mut from: Option<Tip> = None;
    let mut rewound: Option<Tip> = None;
    for tip in read {
        let fork = last_common(chain, *tip)?;
        if fork != *tip && rewound.is_none_or(|known| fork.height < known.height) {
            rewound = Some(fork);
        }
        if from.is_none_or(|known| fork.height < known.height) {
            from = Some(fork);
        }
    }
    Ok(Beginning {
        from: from.unwrap_or(best),
        rewound,
    })
}

/// The last block up to `tip` that is in the best chain.
fn last_common(chain: &Chain, tip: Tip) -> Result<Tip, ChainError> {
    let mut at = tip;
    loop {
        let header = chain.header(&at.hash)?.ok_or(ChainError::NoCommonBlock(tip))?;
        if header.is_active {
            return Ok(at);
        }
        let below = at.height.0.checked_sub(1).zip(header.previous);
        let (height, hash) = below.ok_or(ChainError::NoCommonBlock(tip))?;
        at = Tip {
            height: BlockHeight(height),
            hash,
        };
    }
}

/// The same source, for whoever wants one of its own.
#[derive(Clone)]
struct Shared(Arc<Chain>);

impl ChainSource for Shared {
    fn check(&self) -> Result<(), ChainError> {
        self.0.check()
    }

    fn best(&self) -> Result<Best, ChainError> {
        self.0.best()
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
        self.0.header(hash)
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        self.0.block(hash)
    }

    fn submit(&self, transaction: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
        self.0.submit(transaction)
    }

    fn submit_package(&self, parent: &Transaction, child: &Transaction) -> Result<PackageOutcome, ChainError> {
        self.0.submit_package(parent, child)
    }

    fn feerates(&self, policy: &FeePolicy) -> Result<Feerates, ChainError> {
        self.0.feerates(policy)
    }
}
