//! Blocks that somebody else mined.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, Block, BlockHash, CompactTarget, Transaction};
use quittance_primitives::{BlockCount, BlockHeight};
use quittance_regtest::consensus::block::{BlockPlan, build};
use quittance_regtest::faucet::reward_script;
use quittance_regtest::{Chain, MineOptions, Reason};

use crate::stories;
use crate::world::{World, coin_of, spend, split};

/// An empty block on the tip; `extra_nonce` tells it from others.
fn plan<C: Chain>(world: &World<C>, extra_nonce: u64) -> BlockPlan {
    let tip = world.chain.tip();
    BlockPlan {
        previous: tip.hash,
        height: tip.height.0 + 1,
        time: tip.time + 600,
        extra_nonce,
        reward_script: reward_script(),
        reward: Amount::ZERO,
        transactions: Vec::new(),
    }
}

/// An empty block on another.
fn after(block: &Block, height: u32) -> Block {
    build(BlockPlan {
        previous: block.block_hash(),
        height,
        time: block.header.time + 600,
        extra_nonce: 1 << 40,
        reward_script: reward_script(),
        reward: Amount::ZERO,
        transactions: Vec::new(),
    })
}

fn refusal<C: Chain>(world: &mut World<C>, block: &Block) -> Reason {
    let tip = world.chain.tip();
    let reason = world
        .chain
        .submit_block(block)
        .expect_err("the block must be refused")
        .reason;
    assert_eq!(world.chain.tip(), tip);
    reason
}

fn grind(mut block: Block) -> Block {
    while !block.header.target().is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
    block
}

stories! {
    fn a_valid_block_is_the_new_tip(world) {
        world.mine(1);
        let block = build(plan(world, 1 << 40));
        world.chain.submit_block(&block).unwrap();
        assert_eq!(world.chain.tip().hash, block.block_hash());
        assert_eq!(refusal(world, &block), Reason::DuplicateBlock);
    }

    fn a_header_has_work_and_a_place(world) {
        world.mine(11);
        let mut lazy = build(plan(world, 1 << 41));
        while lazy.header.target().is_met_by(lazy.block_hash()) {
            lazy.header.nonce += 1;
        }
        assert_eq!(refusal(world, &lazy), Reason::HighHash);
        let mut eager = build(plan(world, 1 << 41));
        eager.header.bits = CompactTarget::from_consensus(0x2070_0000);
        assert_eq!(refusal(world, &grind(eager)), Reason::BadDifficulty);
        let orphan = build(BlockPlan { previous: BlockHash::all_zeros(), ..plan(world, 1 << 41) });
        assert_eq!(refusal(world, &orphan), Reason::PreviousBlockUnknown);
        let late = build(BlockPlan { time: world.median_time_past(), ..plan(world, 1 << 41) });
        assert_eq!(refusal(world, &late), Reason::TimeTooOld);
    }

    fn a_coinbase_has_its_height_and_takes_no_more_than_it_may(world) {
        let coin = world.coin(10_000);
        let wrong_height = build(BlockPlan { height: 3, ..plan(world, 1 << 42) });
        assert_eq!(refusal(world, &wrong_height), Reason::CoinbaseHeight);
        let subsidy = Amount::from_sat(5_000_000_000 >> ((world.height() + 1) / 150));
        let with_reward = |sat| BlockPlan {
            reward: subsidy + Amount::from_sat(sat),
            transactions: vec![spend(&[&coin], 700)],
            ..plan(world, 1 << 42)
        };
        let (greedy, honest) = (build(with_reward(701)), build(with_reward(700)));
        assert_eq!(refusal(world, &greedy), Reason::CoinbaseAmount);
        assert_eq!(refusal(world, &greedy), Reason::DuplicateInvalidBlock);
        let on_top = after(&greedy, world.height() + 2);
        assert_eq!(refusal(world, &on_top), Reason::PreviousBlockInvalid);
        world.chain.submit_block(&honest).unwrap();
    }

    fn a_coinbase_is_never_loose(world) {
        world.mine(1);
        let coinbase = build(plan(world, 1 << 46)).txdata[0].clone();
        assert_eq!(world.refusal(&coinbase), Reason::Coinbase);
        let confirmed = world.chain.block(&world.chain.tip().hash).unwrap().txdata[0].clone();
        assert_eq!(world.chain.submit(&confirmed).unwrap_err().reason, Reason::AlreadyKnown);
    }

    fn a_block_commits_to_its_transactions(world) {
        let coin = world.coin(10_000);
        let with = |transactions: Vec<Transaction>| BlockPlan { transactions, ..plan(world, 1 << 43) };
        let mut swapped = build(with(vec![spend(&[&coin], 10)]));
        swapped.txdata[1] = spend(&[&coin], 20);
        let mut headless = build(with(vec![spend(&[&coin], 10)]));
        headless.txdata.remove(0);
        headless.header.merkle_root = headless.compute_merkle_root().unwrap();
        let headless = grind(headless);
        let mut double = build(with(Vec::new()));
        double.txdata.push(double.txdata[0].clone());
        double.txdata[1].output[0].value = Amount::from_sat(1);
        double.header.merkle_root = double.compute_merkle_root().unwrap();
        let double = grind(double);
        assert_eq!(refusal(world, &swapped), Reason::MerkleRoot);
        assert_eq!(refusal(world, &headless), Reason::CoinbaseMissing);
        assert_eq!(refusal(world, &double), Reason::CoinbaseMultiple);
    }

    fn a_block_does_not_spend_twice(world) {
        let coin = world.coin(10_000);
        let twice = MineOptions::empty(1).including([spend(&[&coin], 10), spend(&[&coin], 20)]);
        assert_eq!(world.chain.mine(&twice).unwrap_err().reason, Reason::MissingInputs);
        let parent = spend(&[&coin], 10);
        let child = spend(&[&coin_of(&parent, 0)], 10);
        let reversed = MineOptions::empty(1).including([child.clone(), parent.clone()]);
        assert_eq!(world.chain.mine(&reversed).unwrap_err().reason, Reason::MissingInputs);
        world.chain.mine(&MineOptions::empty(1).including([parent, child])).unwrap();
    }

    fn a_longer_branch_wins_and_an_equal_one_does_not(world) {
        let coin = world.coin(10_000);
        let txid = world.accept(&split(&[&coin], 2, 100));
        let fork = world.height();
        let first = build(plan(world, 1 << 44));
        world.mine(1);
        let tip = world.chain.tip();
        assert_eq!(world.chain.confirmations(&txid), Some(BlockCount(1)));

        world.chain.submit_block(&first).unwrap();
        assert_eq!(world.chain.tip(), tip);
        let second = after(&first, fork + 2);
        world.chain.submit_block(&second).unwrap();
        assert_eq!(world.chain.tip().hash, second.block_hash());
        assert_eq!(world.chain.block_hash(BlockHeight(fork + 1)), Some(first.block_hash()));
        assert!(world.waits(&txid));
        assert_eq!(world.chain.events_since(&tip.hash).unwrap().len(), 3);
    }

    fn a_branch_that_turns_out_invalid_is_left_again(world) {
        let coin = world.coin(10_000);
        let fork = world.height();
        let first = build(plan(world, 1 << 45));
        let txid = world.accept(&spend(&[&coin], 100));
        world.mine(1);
        let tip = world.chain.tip();
        world.chain.submit_block(&first).unwrap();
        let greedy = Amount::from_int_btc(51);
        let bad = build(BlockPlan {
            previous: first.block_hash(),
            height: fork + 2,
            time: first.header.time + 600,
            extra_nonce: 1 << 45,
            reward_script: reward_script(),
            reward: greedy,
            transactions: Vec::new(),
        });
        assert_eq!(refusal(world, &bad), Reason::CoinbaseAmount);
        assert_eq!(world.chain.tip(), tip);
        assert_eq!(world.chain.confirmations(&txid), Some(BlockCount(1)));
    }
}
