//! What a miner takes, and what the chain tells about it.

use bitcoin::FeeRate;
use quittance_primitives::{BlockCount, BlockHeight};
use quittance_regtest::{MineOptions, Reason, Spend};

use crate::stories;
use crate::world::{coin_of, spend};

stories! {
    fn an_empty_block_leaves_the_mempool_alone(world) {
        let coin = world.coin(10_000);
        let txid = world.accept(&spend(&[&coin], 100));
        world.chain.mine(&MineOptions::empty(3)).unwrap();
        assert!(world.waits(&txid));
        world.mine(2);
        assert_eq!(world.chain.confirmations(&txid), Some(BlockCount(2)));
        assert_eq!(world.chain.confirmed_at(&txid), Some(BlockHeight(world.height() - 1)));
    }

    fn a_transaction_confirms_only_at_a_sufficient_feerate(world) {
        let coin = world.coin(10_000);
        // 96 virtual bytes at 10 sat/vB.
        let txid = world.accept(&spend(&[&coin], 959));
        let ten = FeeRate::from_sat_per_vb_u32(10);
        world.chain.mine(&MineOptions::at_least(1, ten)).unwrap();
        assert!(world.waits(&txid));
        let bumped = world.accept(&spend(&[&coin], 970));
        world.chain.mine(&MineOptions::at_least(1, ten)).unwrap();
        assert_eq!(world.chain.confirmations(&bumped), Some(BlockCount(1)));
    }

    fn a_child_lifts_its_parent_over_the_miners_floor(world) {
        let coin = world.coin(10_000);
        let parent = spend(&[&coin], 10);
        // Together 191 virtual bytes at 10 sat/vB: one satoshi is missing.
        let child = spend(&[&coin_of(&parent, 0)], 1_899);
        let (parent_id, child_id) = (world.accept(&parent), world.accept(&child));
        let ten = FeeRate::from_sat_per_vb_u32(10);
        world.chain.mine(&MineOptions::at_least(1, ten)).unwrap();
        assert!(world.waits(&parent_id) && world.waits(&child_id));
        let child_id = world.accept(&spend(&[&coin_of(&parent, 0)], 1_909));
        world.chain.mine(&MineOptions::at_least(1, ten)).unwrap();
        assert_eq!(world.chain.confirmations(&parent_id), Some(BlockCount(1)));
        assert_eq!(world.chain.confirmations(&child_id), Some(BlockCount(1)));
    }

    fn a_miner_can_leave_a_transaction_out(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let parent = spend(&[&first], 100);
        world.accept(&parent);
        let child = world.accept(&spend(&[&coin_of(&parent, 0)], 5_000));
        let other = world.accept(&spend(&[&second], 100));
        world.chain.mine(&MineOptions::blocks(1).excluding([parent.compute_txid()])).unwrap();
        assert!(world.waits(&parent.compute_txid()) && world.waits(&child));
        assert_eq!(world.chain.confirmations(&other), Some(BlockCount(1)));
    }

    fn a_miner_can_include_what_conflicts_with_the_mempool(world) {
        let coin = world.coin(10_000);
        let ours = spend(&[&coin], 5_000);
        let child = spend(&[&coin_of(&ours, 0)], 1_000);
        let theirs = spend(&[&coin], 1);
        let (ours, child) = (world.accept(&ours), world.accept(&child));
        world.chain.mine(&MineOptions::blocks(1).including([theirs.clone()])).unwrap();
        assert_eq!(world.chain.confirmations(&theirs.compute_txid()), Some(BlockCount(1)));
        assert_eq!(world.chain.confirmations(&ours), None);
        assert_eq!(world.chain.confirmations(&child), None);
    }

    fn an_invalid_block_changes_nothing(world) {
        let coin = world.coin(10_000);
        let txid = world.accept(&spend(&[&coin], 100));
        let tip = world.chain.tip();
        let unknown = spend(&[&coin_of(&spend(&[&coin], 7), 0)], 100);
        let refused = world.chain.mine(&MineOptions::blocks(1).including([unknown]));
        assert_eq!(refused.unwrap_err().reason, Reason::MissingInputs);
        let old = MineOptions::blocks(1).at_time(world.median_time_past());
        assert_eq!(world.chain.mine(&old).unwrap_err().reason, Reason::TimeTooOld);
        assert_eq!(world.chain.tip(), tip);
        assert!(world.waits(&txid));
        let allowed = MineOptions::blocks(1).at_time(world.median_time_past() + 1);
        world.chain.mine(&allowed).unwrap();
    }

    fn the_chain_tells_who_spends_an_output(world) {
        let coin = world.coin(10_000);
        assert_eq!(world.chain.spent_by(&coin.outpoint), None);
        let funded = world.chain.utxo(&coin.outpoint).unwrap();
        assert_eq!((funded.output.value.to_sat(), funded.height.0), (10_000, world.height()));
        assert!(!funded.coinbase);
        let txid = world.accept(&spend(&[&coin], 100));
        assert_eq!(world.chain.spent_by(&coin.outpoint), Some(Spend { txid, height: None }));
        assert!(world.chain.utxo(&coin.outpoint).is_some());
        world.mine(1);
        let height = Some(BlockHeight(world.height()));
        assert_eq!(world.chain.spent_by(&coin.outpoint), Some(Spend { txid, height }));
        assert_eq!(world.chain.utxo(&coin.outpoint), None);
    }

    fn the_mempool_lists_fee_and_size(world) {
        let coin = world.coin(10_000);
        let txid = world.accept(&spend(&[&coin], 100));
        let entry = world.chain.mempool().into_iter().find(|entry| entry.txid == txid).unwrap();
        assert_eq!((entry.vsize, entry.fee.to_sat()), (96, 100));
        assert_eq!(world.chain.mempool_transaction(&txid).unwrap().compute_txid(), txid);
    }
}
