//! Blocks that leave the active chain, and what becomes of their transactions.

use bitcoin::Sequence;
use quittance_primitives::BlockCount;
use quittance_regtest::{ChainEvent, MineOptions};

use crate::stories;
use crate::world::{coin_of, spend};

stories! {
    fn transactions_of_lost_blocks_return_and_confirm_again(world) {
        let coin = world.coin(10_000);
        let parent = spend(&[&coin], 100);
        let child = spend(&[&coin_of(&parent, 0)], 100);
        let parent_id = world.accept(&parent);
        world.mine(1);
        let child_id = world.accept(&child);
        world.mine(1);
        let height = world.height();
        world.chain.reorg(BlockCount(2), &MineOptions::empty(3)).unwrap();
        assert_eq!(world.height(), height + 1);
        assert!(world.waits(&parent_id) && world.waits(&child_id));
        assert!(world.chain.utxo(&coin.outpoint).is_some());
        world.mine(1);
        assert_eq!(world.chain.confirmations(&parent_id), Some(BlockCount(1)));
        assert_eq!(world.chain.confirmations(&child_id), Some(BlockCount(1)));
    }

    fn transactions_without_fee_return_too(world) {
        let coin = world.coin(10_000);
        let free = spend(&[&coin], 0);
        world.chain.mine(&MineOptions::empty(1).including([free.clone()])).unwrap();
        world.chain.reorg(BlockCount(1), &MineOptions::empty(2)).unwrap();
        assert!(world.waits(&free.compute_txid()));
    }

    fn a_conflict_in_the_new_branch_wins(world) {
        let coin = world.coin(10_000);
        let ours = spend(&[&coin], 5_000);
        let child = spend(&[&coin_of(&ours, 0)], 1_000);
        let theirs = spend(&[&coin], 1);
        let (ours, child) = (world.accept(&ours), world.accept(&child));
        world.mine(1);
        assert_eq!(world.chain.confirmations(&child), Some(BlockCount(1)));
        let branch = MineOptions::blocks(2).including([theirs.clone()]);
        world.chain.reorg(BlockCount(1), &branch).unwrap();
        assert_eq!(world.chain.confirmations(&theirs.compute_txid()), Some(BlockCount(2)));
        assert_eq!(world.chain.confirmations(&ours), None);
        assert_eq!(world.chain.confirmations(&child), None);
    }

    fn a_relative_lock_is_broken_when_its_parent_is_unconfirmed_again(world) {
        let coin = world.coin(10_000);
        let parent = spend(&[&coin], 100);
        let mut child = spend(&[&coin_of(&parent, 0)], 100);
        child.input[0].sequence = Sequence(2);
        let parent_id = world.accept(&parent);
        world.mine(2);
        let child_id = world.accept(&child);
        world.chain.reorg(BlockCount(2), &MineOptions::empty(3)).unwrap();
        assert!(world.waits(&parent_id));
        assert_eq!(world.chain.confirmations(&child_id), None);
    }

    fn a_reward_of_a_lost_block_takes_what_spends_it_along(world) {
        world.mine(1);
        let mined = world.chain.tip();
        let coinbase = world.chain.block(&mined.hash).unwrap().txdata[0].clone();
        let maturity = world.chain.coinbase_maturity().0;
        world.mine(maturity - 1);
        let reward = coin_of(&coinbase, 0);
        let txid = world.accept(&spend(&[&reward], 1_000));
        world.mine(1);
        assert_eq!(world.chain.spent_by(&reward.outpoint).map(|spend| spend.txid), Some(txid));
        world.chain.reorg(BlockCount(maturity + 1), &MineOptions::empty(maturity + 2)).unwrap();
        assert_eq!(world.chain.confirmations(&txid), None);
        assert_eq!(world.chain.spent_by(&reward.outpoint), None);
        assert!(world.chain.mempool_transaction(&txid).is_none());
    }

    fn a_deep_reorg_returns_all_its_transactions(world) {
        let mut coin = world.coin(100_000);
        let mut txids = Vec::new();
        for _ in 0..25 {
            let link = spend(&[&coin], 100);
            txids.push(world.accept(&link));
            world.mine(1);
            coin = coin_of(&link, 0);
        }
        world.chain.reorg(BlockCount(25), &MineOptions::empty(26)).unwrap();
        assert!(txids.iter().all(|txid| world.waits(txid)));
        world.mine(1);
        assert!(txids.iter().all(|txid| world.chain.confirmations(txid) == Some(BlockCount(1))));
    }

    fn a_consumer_learns_what_to_undo_and_what_to_process(world) {
        world.mine(3);
        let known = world.chain.tip();
        let fork = known.height.0 - 2;
        world.chain.reorg(BlockCount(2), &MineOptions::empty(3)).unwrap();
        let events = world.chain.events_since(&known.hash).unwrap();
        let story: Vec<(char, u32)> = events
            .iter()
            .map(|event| match event {
                ChainEvent::BlockDisconnected { height, .. } => ('-', height.0),
                ChainEvent::BlockConnected { height, .. } => ('+', height.0),
            })
            .collect();
        assert_eq!(story, [('-', fork + 2), ('-', fork + 1), ('+', fork + 1), ('+', fork + 2), ('+', fork + 3)]);
        assert_eq!(world.chain.events_since(&world.chain.tip().hash), Some(Vec::new()));
    }

    fn a_forgiven_branch_comes_back_if_it_is_longer(world) {
        let coin = world.coin(10_000);
        let txid = world.accept(&spend(&[&coin], 100));
        world.mine(3);
        let tip = world.chain.tip();
        let first = world.chain.block_hash(tip.height.saturating_sub(BlockCount(2))).unwrap();
        world.chain.invalidate(&first);
        assert_eq!(world.height(), tip.height.0 - 3);
        assert!(world.waits(&txid));
        world.chain.mine(&MineOptions::empty(2)).unwrap();
        assert!(!world.chain.block_position(&tip.hash).unwrap().active);
        world.chain.reconsider(&first);
        assert_eq!(world.chain.tip(), tip);
        assert_eq!(world.chain.confirmations(&txid), Some(BlockCount(3)));
    }
}
