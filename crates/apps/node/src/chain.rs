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
    /// Starts a thread that ends with the queue.
    pub(crate) fn start(self, queue: mpsc::Receiver<ToBroadcast>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("broadcasts".to_owned());
        thread.spawn(move || self.run(queue)).map(drop)
    }

    /// Takes one after the other, each again and again while the source does not answer.
    fn run(&self, mut queue: mpsc::Receiver<ToBroadcast>) {
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

/// Finds the beginning for those who have read up to `read`; the best tip when nobody has read anything. A source that never saw the last block
/// that was read, since others replaced it before the source was there, knows older ones that are `remembered`.
///
/// # Errors
/// [`ChainError::Behind`], which may pass, when the source has less than what was read: it is synchronising, is being repaired, or came back
/// from an older moment. [`ChainError::NoCommonBlock`] when it has as much, and another chain.
pub(crate) fn beginning(chain: &Chain, read: &[Tip], remembered: &[Tip], best: Best) -> Result<Beginning, ChainError> {
    let mut from: Option<Tip> = None;
    let mut rewound: Option<Tip> = None;
    for tip in read {
        let fork = last_common(chain, *tip, remembered, best)?;
        if fork != *tip && rewound.is_none_or(|known| fork.height < known.height) {
            rewound = Some(fork);
        }
        if from.is_none_or(|known| fork.height < known.height) {
            from = Some(fork);
        }
    }
    Ok(Beginning {
        from: from.unwrap_or(best.tip),
        rewound,
    })
}

/// The last block up to `tip` that is in the best chain, or of those that are `remembered` below what the source does not know.
fn last_common(chain: &Chain, tip: Tip, remembered: &[Tip], best: Best) -> Result<Tip, ChainError> {
    let behind = ChainError::Behind {
        ours: tip.height.0,
        theirs: best.tip.height.0,
    };
    let mut at = tip;
    loop {
        let Some(header) = chain.header(&at.hash)? else {
            if best.tip.height < tip.height {
                return Err(behind);
            }
            let older = remembered.iter().filter(|block| block.height < at.height);
            at = *older
                .max_by_key(|block| block.height)
                .ok_or(ChainError::NoCommonBlock(tip))?;
            continue;
        };
        if header.is_active {
            return Ok(at);
        }
        // Known and unused though nothing has more work: its blocks are read again, and must not be taken back here.
        if at == tip && best.work < header.work {
            return Err(behind);
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

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Work;
    use bitcoin::hashes::Hash;
    use std::collections::BTreeMap;

    /// A source of which only headers are asked: one branch of blocks, as far as it is known, and how much of it is in the best chain.
    struct Branch {
        known: BTreeMap<BlockHash, KnownHeader>,
        best: Best,
    }

    fn block(height: u32) -> Tip {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&height.to_be_bytes());
        Tip {
            height: BlockHeight(height),
            hash: BlockHash::from_byte_array(hash),
        }
    }

    fn work(blocks: u32) -> Work {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&blocks.to_le_bytes());
        Work::from_le_bytes(bytes)
    }

    impl Branch {
        /// Blocks up to height `known` are known, those up to `active` are in the best chain, which has the work of `best` blocks.
        fn new(known: u32, active: u32, best: u32) -> Self {
            let header = |height: u32| KnownHeader {
                height: BlockHeight(height),
                is_active: height <= active,
                best: BlockHeight(best),
                previous: height.checked_sub(1).map(|below| block(below).hash),
                next: None,
                work: work(height),
            };
            Self {
                known: (0..=known).map(|height| (block(height).hash, header(height))).collect(),
                best: Best {
                    tip: if best == active { block(best) } else { other(best) },
                    work: work(best),
                },
            }
        }

        fn beginning(&self, read: &[u32]) -> Result<Beginning, String> {
            self.beginning_with(read, &[])
        }

        fn beginning_with(&self, read: &[u32], remembered: &[Tip]) -> Result<Beginning, String> {
            let read: Vec<Tip> = read.iter().map(|height| block(*height)).collect();
            beginning(self, &read, remembered, self.best).map_err(|error| format!("{error:?}"))
        }
    }

    /// A block of another branch.
    fn other(height: u32) -> Tip {
        Tip {
            height: BlockHeight(height),
            hash: BlockHash::all_zeros(),
        }
    }

    impl ChainSource for Branch {
        fn check(&self) -> Result<(), ChainError> {
            Ok(())
        }

        fn best(&self) -> Result<Best, ChainError> {
            Ok(self.best)
        }

        fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
            Ok(self.known.get(hash).copied())
        }

        fn block(&self, _: &BlockHash) -> Result<Block, ChainError> {
            unreachable!("headers are enough")
        }

        fn submit(&self, _: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
            unreachable!("headers are enough")
        }

        fn submit_package(&self, _: &Transaction, _: &Transaction) -> Result<PackageOutcome, ChainError> {
            unreachable!("headers are enough")
        }

        fn feerates(&self, _: &FeePolicy) -> Result<Feerates, ChainError> {
            unreachable!("headers are enough")
        }
    }

    #[test]
    fn the_chain_is_read_on_from_the_lowest_of_those_who_have_read() {
        let begun = Branch::new(10, 10, 10).beginning(&[9, 4, 10]);
        let expected = Beginning {
            from: block(4),
            rewound: None,
        };
        assert_eq!(begun, Ok(expected));
    }

    #[test]
    fn what_was_taken_back_meanwhile_is_rewound() {
        let begun = Branch::new(10, 8, 11).beginning(&[10, 7]);
        let expected = Beginning {
            from: block(7),
            rewound: Some(block(8)),
        };
        assert_eq!(begun, Ok(expected));
    }

    /// Symptom: after bitcoind came back from an older copy, the node ended for good, and said that nothing of the chain is common.
    #[test]
    fn a_source_that_lacks_our_last_blocks_is_waited_for() {
        let behind = |ours, theirs| Err(format!("Behind {{ ours: {ours}, theirs: {theirs} }}"));
        assert_eq!(Branch::new(6, 6, 6).beginning(&[3, 8]), behind(8, 6));
        // It has the headers already, and reads the blocks again.
        assert_eq!(Branch::new(8, 6, 6).beginning(&[3, 8]), behind(8, 6));
    }

    /// Symptom: the last block that a node had read was replaced while it was away, and bitcoind began anew with an empty folder; the node ended
    /// for good. Cause: a bitcoind that never saw a block knows nothing of those below it from us.
    #[test]
    fn a_source_that_never_saw_our_last_blocks_goes_on_from_an_older_one_that_it_knows() {
        let anew = Branch::new(6, 6, 9);
        let remembered = [3, 8, 6, 7, 5].map(block);
        let expected = Beginning {
            from: block(6),
            rewound: Some(block(6)),
        };
        assert_eq!(anew.beginning_with(&[8], &remembered), Ok(expected));
        let behind = Err("Behind { ours: 8, theirs: 6 }".to_owned());
        assert_eq!(
            Branch::new(6, 6, 6).beginning_with(&[8], &remembered),
            behind,
            "it has yet to see it"
        );
    }

    #[test]
    fn a_source_that_knows_nothing_that_is_remembered_is_of_another_chain() {
        let (known, tip) = (Branch::new(6, 6, 9), block(8));
        let remembered = [block(8), other(7), other(5)];
        let refused = known.beginning_with(&[8], &remembered);
        assert_eq!(refused, Err(format!("NoCommonBlock({tip:?})")));
    }

    #[test]
    fn a_source_of_another_chain_is_never_waited_for() {
        let known = Branch::new(6, 6, 8);
        let tip = block(8);
        assert_eq!(known.beginning(&[8]), Err(format!("NoCommonBlock({tip:?})")));
        assert!(!ChainError::NoCommonBlock(tip).may_pass());
    }
}
