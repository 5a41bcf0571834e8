//! The chain source: blocks in order from any beginning, reorganisations, restarts, and what becomes of transactions.
#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends there")]

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bitcoin::{BlockHash, Network, hashes::Hash};
use quittance_adapter_tests::{World, spend_open, stories, updates};
use quittance_chain::{
    Authentication, Bitcoind, BitcoindConfig, ChainError, ChainSource, ChainUpdate, FeePolicy, Follower, Pace, Refusal,
    Refused, Report, Submitted, Tip, Watch,
};
use quittance_monitor::FeeEstimates;
use quittance_primitives::{BlockHeight, FeeratePerKw};
use quittance_regtest::MineOptions;

/// The tips that updates lead to, and whether each is a step back.
fn heights(updates: &[ChainUpdate]) -> Vec<String> {
    let describe = |update: &ChainUpdate| match update {
        ChainUpdate::Connected(block) => format!("+{}", block.height.0),
        ChainUpdate::Rewound(tip) => format!("-{}", tip.height.0),
    };
    updates.iter().map(describe).collect()
}

/// Each block builds on the one before it, as the follower says, and the last one is the chain's tip.
fn check_sequence(world: &mut World, from: Tip, updates: &[ChainUpdate]) {
    let mut tip = from;
    for update in updates {
        match update {
            ChainUpdate::Connected(block) => {
                assert_eq!((block.previous, block.height.0), (tip.hash, tip.height.0 + 1));
                let known = world.with(|chain| chain.block(&block.hash)).unwrap();
                let given: Vec<_> = (0..).zip(known.txdata.iter().cloned()).collect();
                assert_eq!(block.transactions, given, "every transaction, with its index");
                tip = Tip {
                    height: block.height,
                    hash: block.hash,
                };
            }
            ChainUpdate::Rewound(to) => tip = *to,
        }
    }
    assert_eq!(tip, world.tip());
}

/// The reports up to the next one that says that there is nothing newer, or that something is wrong.
fn until_rest(reports: &Receiver<Report>) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match reports.recv_timeout(Duration::from_secs(30)).unwrap() {
            Report::Update(update) => told.extend(heights(&[update])),
            Report::AtTip(tip) => {
                told.push(format!("at {}", tip.height.0));
                return told;
            }
            Report::Failing { error, .. } => {
                told.push(match error {
                    ChainError::Unreachable { .. } | ChainError::Cookie { .. } | ChainError::Starting(_) => {
                        "gone".to_owned()
                    }
                    other => other.to_string(),
                });
                return told;
            }
        }
    }
}

fn refusal(answer: Result<Submitted, Refused>) -> Refusal {
    answer.unwrap_err().refusal
}

stories! {
    fn blocks_come_in_order_with_their_transactions(world) {
        let mut follower = world.follower();
        let begin = follower.tip();
        assert_eq!(follower.next().unwrap(), None);
        let coin = world.open_coin(50_000);
        world.submit(&spend_open(&[(coin, 50_000)], 200));
        world.mine(2);
        let told = updates(&mut follower);
        check_sequence(world, begin, &told);
        assert_eq!(follower.tip(), world.tip());
        assert_eq!(follower.next().unwrap(), None);
    }

    fn a_long_absence_is_caught_up_block_by_block(world) {
        let begin = world.tip();
        world.mine(if world.is_real() { 150 } else { 2_500 });
        let mut follower = Follower::new(world.bitcoind(), [begin]).unwrap();
        let told = updates(&mut follower);
        check_sequence(world, begin, &told);
    }

    fn reorganisations_of_any_depth_name_the_last_common_block(world) {
        world.mine(40);
        let mut follower = world.follower();
        for depth in [1, 2, 6, 30] {
            let before = world.tip();
            world.reorg(depth);
            let told = updates(&mut follower);
            let fork = before.height.0 - depth;
            let mut expected = vec![format!("-{fork}")];
            expected.extend((fork + 1..=before.height.0 + 1).map(|height| format!("+{height}")));
            assert_eq!(heights(&told), expected, "depth {depth}");
            check_sequence(world, before, &told);
        }
    }

    fn a_reorganisation_during_our_absence_is_found_from_a_stale_tip(world) {
        world.mine(10);
        let stale = world.tip();
        world.reorg(4);
        world.mine(3);
        let mut follower = Follower::new(world.bitcoind(), [stale]).unwrap();
        let told = updates(&mut follower);
        assert_eq!(heights(&told), ["-6", "+7", "+8", "+9", "+10", "+11", "+12", "+13", "+14"]);
        check_sequence(world, stale, &told);
    }

    fn a_tip_that_nobody_knows_falls_back_to_an_older_block_or_to_nothing(world) {
        world.mine(8);
        let known = world.tip();
        world.mine(2);
        let unknown = Tip { height: BlockHeight(9), hash: BlockHash::hash(b"mined by nobody") };
        let mut follower = Follower::new(world.bitcoind(), [unknown, known]).unwrap();
        assert_eq!(heights(&updates(&mut follower)), ["-8", "+9", "+10"]);

        let mut lost = Follower::new(world.bitcoind(), [unknown]).unwrap();
        let error = lost.next().unwrap_err();
        assert!(matches!(error, ChainError::NoCommonBlock(tip) if tip == unknown), "{error}");
        assert_eq!(lost.tip(), unknown);
    }

    fn a_chain_with_less_work_is_waited_for(world) {
        world.mine(10);
        let mut follower = world.follower();
        let ninth = world.with(|chain| chain.block_hash(BlockHeight(9))).unwrap();
        world.with(|chain| chain.invalidate(&ninth));
        let error = follower.next().unwrap_err();
        assert_eq!(error.to_string(), "bitcoind is at height 8, behind ours, 10: waiting for it to catch up");
        let unknown = Tip { height: BlockHeight(99), hash: BlockHash::hash(b"mined by nobody") };
        let error = Follower::new(world.bitcoind(), [unknown]).unwrap().next().unwrap_err();
        assert_eq!(error.to_string(), "bitcoind is at height 8, behind ours, 99: waiting for it to catch up");
        world.with(|chain| chain.mine(&MineOptions::empty(2))).unwrap();
        assert_eq!(heights(&updates(&mut follower)), ["-8", "+9", "+10"]);
    }

    fn a_restart_in_mid_poll_is_a_state_that_passes(world) {
        world.mine(3);
        let (sender, reports) = channel();
        let pace = Pace {
            poll: Duration::from_millis(20),
            retry_min: Duration::from_millis(20),
            retry_max: Duration::from_millis(50),
        };
        let watch = Watch::spawn(world.follower(), pace, move |report| {
            sender.send(report).map_or(ControlFlow::Break(()), ControlFlow::Continue)
        }).unwrap();
        assert_eq!(until_rest(&reports), ["at 3"]);
        world.mine(1);
        assert_eq!(until_rest(&reports), ["+4", "at 4"]);
        world.stop_server();
        assert_eq!(until_rest(&reports), ["gone"]);
        world.start_server();
        world.mine(1);
        let back = std::iter::from_fn(|| Some(until_rest(&reports))).find(|told| told != &["gone"]).unwrap();
        // The new block may be there when the server is, or come after.
        let told = if back == ["at 4"] { until_rest(&reports) } else { back };
        assert_eq!(told, ["+5", "at 5"]);
        watch.stop();
        world.mine(1);
        assert!(reports.recv_timeout(Duration::from_millis(100)).is_err(), "a stopped watch tells nothing");
    }

    fn a_transaction_is_taken_once_and_known_ever_after(world) {
        let coin = world.open_coin(50_000);
        let bitcoind = world.bitcoind();
        let transaction = spend_open(&[(coin, 50_000)], 500);
        assert_eq!(bitcoind.submit(&transaction).unwrap(), Ok(Submitted::InMempool));
        assert_eq!(bitcoind.submit(&transaction).unwrap(), Ok(Submitted::InMempool));
        world.mine(1);
        assert_eq!(bitcoind.submit(&transaction).unwrap(), Ok(Submitted::Confirmed));
        let (output, confirmations) = bitcoind
            .unspent(&bitcoin::OutPoint { txid: transaction.compute_txid(), vout: 0 })
            .unwrap()
            .unwrap();
        assert_eq!((output.value.to_sat(), confirmations), (49_500, 1));
        assert_eq!(bitcoind.unspent(&coin).unwrap(), None);
    }

    fn a_refusal_says_what_follows_from_it(world) {
        let coin = world.open_coin(50_000);
        let bitcoind = world.bitcoind();
        let submit = |transaction| bitcoind.submit(&transaction).unwrap();
        assert_eq!(refusal(submit(spend_open(&[(coin, 50_000)], 5))), Refusal::FeeTooLow);
        let nowhere = bitcoin::OutPoint { txid: bitcoin::Txid::hash(b"nowhere"), vout: 0 };
        assert_eq!(refusal(submit(spend_open(&[(nowhere, 50_000)], 500))), Refusal::InputsMissing);
        assert_eq!(submit(spend_open(&[(coin, 50_000)], 500)), Ok(Submitted::InMempool));
        assert_eq!(refusal(submit(spend_open(&[(coin, 50_000)], 501))), Refusal::ReplacementRefused);
        assert_eq!(submit(spend_open(&[(coin, 50_000)], 5_000)), Ok(Submitted::InMempool));
        let mut early = spend_open(&[(coin, 50_000)], 9_000);
        early.lock_time = bitcoin::absolute::LockTime::from_consensus(400_000_000);
        assert_eq!(refusal(submit(early)), Refusal::NotFinal);
        let mut dust = spend_open(&[(coin, 50_000)], 9_000);
        dust.output[0].value = bitcoin::Amount::from_sat(1);
        assert_eq!(refusal(submit(dust)), Refusal::Invalid);
    }

    fn a_parent_without_fee_confirms_by_its_child(world) {
        let coin = world.open_coin(50_000);
        let bitcoind = world.bitcoind();
        let mut parent = spend_open(&[(coin, 50_000)], 0);
        parent.version = bitcoin::transaction::Version(3);
        let output = bitcoin::OutPoint { txid: parent.compute_txid(), vout: 0 };
        let mut child = spend_open(&[(output, 50_000)], 2_000);
        child.version = parent.version;
        assert_eq!(refusal(bitcoind.submit(&parent).unwrap()), Refusal::FeeTooLow);
        for _ in 0..2 {
            assert!(bitcoind.submit_package(&parent, &child).unwrap().is_success(), "a package may come again");
        }
        // A better child takes the place of the first; its parent is in the mempool by then.
        let mut better = spend_open(&[(output, 50_000)], 8_000);
        better.version = parent.version;
        assert!(bitcoind.submit_package(&parent, &better).unwrap().is_success());
        let worse = bitcoind.submit_package(&parent, &child).unwrap();
        assert_eq!((worse.parent, refusal(worse.child)), (Ok(Submitted::InMempool), Refusal::ReplacementRefused));
        world.mine(1);
        assert!(world.is_confirmed(&better.compute_txid()));
        let late = bitcoind.submit_package(&parent, &better).unwrap();
        assert_eq!(late.child, Ok(Submitted::Confirmed));
    }

    fn a_child_of_a_confirmed_parent_goes_alone(world) {
        let coin = world.open_coin(50_000);
        let bitcoind = world.bitcoind();
        let mut parent = spend_open(&[(coin, 50_000)], 1_000);
        let half = bitcoin::Amount::from_sat(24_000);
        parent.output = vec![bitcoin::TxOut { value: half, ..parent.output[0].clone() }; 2];
        world.submit(&parent);
        world.mine(1);
        let output = bitcoin::OutPoint { txid: parent.compute_txid(), vout: 1 };
        let child = spend_open(&[(output, 24_000)], 500);
        let outcome = bitcoind.submit_package(&parent, &child).unwrap();
        assert_eq!((outcome.parent, outcome.child), (Ok(Submitted::Confirmed), Ok(Submitted::InMempool)));
    }

    fn a_package_that_pays_too_little_says_so(world) {
        let coin = world.open_coin(50_000);
        let bitcoind = world.bitcoind();
        let parent = spend_open(&[(coin, 50_000)], 0);
        let output = bitcoin::OutPoint { txid: parent.compute_txid(), vout: 0 };
        let child = spend_open(&[(output, 50_000)], 5);
        let outcome = bitcoind.submit_package(&parent, &child).unwrap();
        assert!(!outcome.is_success());
        assert_eq!(refusal(outcome.parent), Refusal::FeeTooLow);
    }

    fn estimates_are_there_even_where_nobody_estimates(world) {
        world.mine(1);
        let policy = FeePolicy::default();
        let feerates = world.bitcoind().feerates(&policy).unwrap();
        // The mempool asks 0.1 sat/vB: less than the least feerate that we ever use.
        assert_eq!(feerates.mempool_minimum, FeeratePerKw::FLOOR);
        if world.is_real() {
            assert_eq!((feerates.estimates, feerates.fallbacks), (policy.fallbacks, 4), "regtest has no estimates");
        } else {
            assert_eq!((feerates.estimates, feerates.fallbacks), (FeeEstimates::flat(FeeratePerKw::FLOOR), 0));
        }
    }

    fn the_wrong_bitcoind_is_told_apart(world) {
        let genesis = world.bitcoind().block_at(BlockHeight(0)).unwrap().unwrap();
        assert_eq!(world.bitcoind().block_at(BlockHeight(7)).unwrap(), None);
        world.bitcoind().check().unwrap();
        let on = |network| BitcoindConfig { network, ..world.config() };
        let wrong = Bitcoind::new(on(Network::Signet));
        let error = wrong.check().unwrap_err();
        let is_wrong = |error: &ChainError| matches!(error, ChainError::WrongNetwork { expected: Network::Signet, .. });
        assert!(is_wrong(&error), "{error}");
        let mut follower = Follower::new(wrong, [genesis]).unwrap();
        assert!(is_wrong(&follower.next().unwrap_err()), "a follower asks before it believes");

        let authentication = Authentication::UserPassword { user: "user".to_owned(), password: "guess".to_owned() };
        let stranger = Bitcoind::new(BitcoindConfig { authentication, ..world.config() });
        assert!(matches!(stranger.check(), Err(ChainError::Unauthorised { .. })));
        let folder = tempfile::tempdir().unwrap();
        let authentication = Authentication::CookieFile(folder.path().join(".cookie"));
        let cookieless = Bitcoind::new(BitcoindConfig { authentication, ..world.config() });
        assert!(matches!(cookieless.check(), Err(ChainError::Cookie { .. })));
        std::fs::write(folder.path().join(".cookie"), "user:password\n").unwrap();
        assert_eq!(cookieless.check().is_ok(), !world.is_real(), "a cookie that comes later is read");
    }
}
