//! What a follower makes of a source that changes between two questions, or that contradicts itself; and how patient a watch is.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Network, Transaction, Work};
use quittance_chain::{
    Best, ChainError, ChainSource, ChainUpdate, FeePolicy, Feerates, Follower, KnownHeader, Pace, PackageOutcome,
    Refused, Report, Submitted, Tip, Watch,
};
use quittance_primitives::BlockHeight;

/// A source of blocks that were written down, whatever they are worth.
#[derive(Clone, Debug, Default)]
struct Script {
    headers: BTreeMap<BlockHash, KnownHeader>,
    blocks: BTreeMap<BlockHash, Block>,
    best: Option<Best>,
}

impl Script {
    /// A chain of this many blocks on the genesis block, each told apart by `branch`.
    fn chain(length: u32, branch: u32) -> (Self, Vec<Tip>) {
        let mut script = Self::default();
        let genesis = genesis_block(Network::Regtest);
        let mut tips = vec![Tip {
            height: BlockHeight(0),
            hash: genesis.block_hash(),
        }];
        script.blocks.insert(genesis.block_hash(), genesis.clone());
        for height in 1..=length {
            let mut block = genesis.clone();
            block.header.prev_blockhash = tips.last().unwrap().hash;
            block.header.nonce = branch;
            let tip = Tip {
                height: BlockHeight(height),
                hash: block.block_hash(),
            };
            script.blocks.insert(tip.hash, block);
            tips.push(tip);
        }
        for (index, tip) in tips.iter().enumerate() {
            let header = KnownHeader {
                height: tip.height,
                is_active: true,
                best: BlockHeight(length),
                previous: index.checked_sub(1).map(|below| tips[below].hash),
                next: tips.get(index + 1).map(|above| above.hash),
                work: work(u32::try_from(index).unwrap()),
            };
            script.headers.insert(tip.hash, header);
        }
        script.best = Some(Best {
            tip: *tips.last().unwrap(),
            work: work(length),
        });
        (script, tips)
    }

    fn change(&mut self, tip: Tip, change: impl FnOnce(&mut KnownHeader)) {
        change(self.headers.get_mut(&tip.hash).unwrap());
    }
}

fn work(blocks: u32) -> Work {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&blocks.to_be_bytes());
    Work::from_be_bytes(bytes)
}

impl ChainSource for Script {
    fn check(&self) -> Result<(), ChainError> {
        Ok(())
    }

    fn best(&self) -> Result<Best, ChainError> {
        self.best
            .ok_or_else(|| ChainError::Starting("it has just begun".to_owned()))
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
        self.best()?;
        Ok(self.headers.get(hash).copied())
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        self.blocks.get(hash).cloned().ok_or(ChainError::Pruned(*hash))
    }

    fn submit(&self, _: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
        unreachable!("a follower sends nothing")
    }

    fn submit_package(&self, _: &Transaction, _: &Transaction) -> Result<PackageOutcome, ChainError> {
        unreachable!("a follower sends nothing")
    }

    fn feerates(&self, _: &FeePolicy) -> Result<Feerates, ChainError> {
        unreachable!("a follower pays nothing")
    }
}

/// What the follower says of the next look, and that it has not moved.
fn refusal(script: Script, from: Tip) -> String {
    let mut follower = Follower::new(script, [from]).unwrap();
    let error = follower.next().unwrap_err();
    assert_eq!(follower.tip(), from);
    error.to_string()
}

#[test]
fn a_block_on_another_branch_is_left_for_the_next_look() {
    let (mut script, tips) = Script::chain(3, 1);
    let (other, others) = Script::chain(3, 2);
    // The best chain changed after the header was read: the block after our tip is one of the other branch.
    script.blocks.extend(other.blocks);
    script.change(tips[1], |header| header.next = Some(others[2].hash));
    let said = refusal(script, tips[1]);
    assert!(
        said.ends_with(&format!("block {} does not build on {}", others[2].hash, tips[1].hash)),
        "{said}"
    );
}

#[test]
fn a_block_with_other_transactions_than_its_header_says_is_refused() {
    let (mut script, tips) = Script::chain(2, 1);
    let block = script.blocks.get_mut(&tips[2].hash).unwrap();
    let mut coinbase: Transaction = deserialize(&serialize(&block.txdata[0])).unwrap();
    coinbase.output[0].value += bitcoin::Amount::ONE_SAT;
    block.txdata[0] = coinbase;
    let said = refusal(script, tips[1]);
    assert!(
        said.ends_with(&format!(
            "the transactions of {} are not those of its header",
            tips[2].hash
        )),
        "{said}"
    );
}

#[test]
fn headers_that_contradict_each_other_lead_nowhere() {
    let (script, tips) = Script::chain(5, 1);
    let mut wrong_height = script.clone();
    wrong_height.change(tips[3], |header| header.height = BlockHeight(7));
    assert!(refusal(wrong_height, tips[3]).ends_with("a block of height 3 is said to be at 7"));

    let mut no_end = script.clone();
    for tip in &tips {
        no_end.change(*tip, |header| header.is_active = false);
    }
    let said = refusal(no_end, tips[5]);
    assert!(
        said.ends_with(&format!("the first block, {}, is in no best chain", tips[0].hash)),
        "{said}"
    );

    let mut orphan = script;
    orphan.change(tips[5], |header| {
        header.is_active = false;
        header.previous = Some(BlockHash::hash(b"nothing"));
    });
    assert!(refusal(orphan, tips[5]).ends_with("has a child that is known, and is not known itself"));
}

#[test]
fn a_pruned_block_is_named_and_asked_for_again() {
    let (mut script, tips) = Script::chain(2, 1);
    script.blocks.remove(&tips[1].hash);
    assert_eq!(
        refusal(script, tips[0]),
        format!(
            "bitcoind has pruned block {}, which we have yet to read: give it a larger -prune, or none",
            tips[1].hash
        )
    );
}

#[test]
fn equal_work_is_followed_and_less_is_not() {
    let (script, tips) = Script::chain(4, 1);
    let at = |best: u32| {
        let mut stale = script.clone();
        stale.change(tips[4], |header| header.is_active = false);
        stale.best = Some(Best {
            tip: tips[3],
            work: work(best),
        });
        Follower::new(stale, [tips[4]]).unwrap().next()
    };
    assert!(matches!(at(3), Err(ChainError::Behind { ours: 4, theirs: 3 })));
    assert!(matches!(at(4), Ok(Some(ChainUpdate::Rewound(tip))) if tip == tips[3]));
}

#[test]
fn a_connected_block_says_how_far_the_best_chain_goes() {
    let (script, tips) = Script::chain(3, 1);
    let mut follower = Follower::new(script, [tips[0]]).unwrap();
    let mut seen = Vec::new();
    while let Some(ChainUpdate::Connected(block)) = follower.next().unwrap() {
        seen.push((block.height.0, block.best.0, block.hash));
    }
    assert_eq!(seen, [(1, 3, tips[1].hash), (2, 3, tips[2].hash), (3, 3, tips[3].hash)]);
}

#[test]
fn a_watch_waits_longer_after_each_failure_and_looks_at_once_when_told() {
    let (mut script, tips) = Script::chain(1, 1);
    script.best = None;
    let (sender, failures) = channel();
    let pace = Pace {
        poll: Duration::from_hours(1),
        retry_min: Duration::from_millis(10),
        retry_max: Duration::from_millis(40),
    };
    let watch = Watch::spawn(Follower::new(script, [tips[1]]).unwrap(), pace, move |report| {
        let Report::Failing {
            since,
            error: ChainError::Starting(_),
        } = report
        else {
            return ControlFlow::Break(());
        };
        sender
            .send((since, Instant::now()))
            .map_or(ControlFlow::Break(()), ControlFlow::Continue)
    });
    let told: Vec<_> = (0..5)
        .map(|_| failures.recv_timeout(Duration::from_secs(30)).unwrap())
        .collect();
    assert!(told.iter().all(|(since, _)| *since == told[0].0), "all is one failure");
    for (pair, pause) in told.windows(2).zip([10, 20, 40, 40]) {
        let waited = pair[1].1 - pair[0].1;
        assert!(
            waited >= Duration::from_millis(pause),
            "{waited:?} instead of {pause} ms"
        );
    }
    watch.unwrap().stop();

    // At the tip it would look again in an hour.
    let (script, tips) = Script::chain(1, 1);
    let (sender, looks) = channel();
    let source = Counted { script, looks: sender };
    let watch = Watch::spawn(Follower::new(source, [tips[1]]).unwrap(), pace, |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    looks.recv_timeout(Duration::from_secs(30)).unwrap();
    watch.look_now();
    looks.recv_timeout(Duration::from_secs(30)).unwrap();
    watch.stop();
}

/// Tells of each look at a header.
struct Counted {
    script: Script,
    looks: std::sync::mpsc::Sender<()>,
}

impl ChainSource for Counted {
    fn check(&self) -> Result<(), ChainError> {
        self.script.check()
    }

    fn best(&self) -> Result<Best, ChainError> {
        self.script.best()
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
        // Who counts may have stopped counting.
        let _ = self.looks.send(());
        self.script.header(hash)
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        self.script.block(hash)
    }

    fn submit(&self, transaction: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
        self.script.submit(transaction)
    }

    fn submit_package(&self, parent: &Transaction, child: &Transaction) -> Result<PackageOutcome, ChainError> {
        self.script.submit_package(parent, child)
    }

    fn feerates(&self, policy: &FeePolicy) -> Result<Feerates, ChainError> {
        self.script.feerates(policy)
    }
}
