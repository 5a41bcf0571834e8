//! The least fee, replacement by fee, and clusters.

use quittance_primitives::BlockCount;
use quittance_regtest::{MineOptions, Reason};

use crate::stories;
use crate::world::{coin_of, spend, split};

stories! {
    fn a_transaction_pays_a_tenth_of_a_satoshi_per_byte(world) {
        let coin = world.coin(10_000);
        assert_eq!(world.refusal(&spend(&[&coin], 9)), Reason::MinRelayFee);
        world.accept(&spend(&[&coin], 10));
    }

    fn what_is_offered_again_is_accepted_again(world) {
        let coin = world.coin(10_000);
        let transaction = spend(&[&coin], 10);
        let txid = world.accept(&transaction);
        assert_eq!(world.accept(&transaction), txid);
        assert_eq!(world.chain.test_accept(&transaction).unwrap_err().reason, Reason::AlreadyInMempool);
        world.mine(1);
        assert_eq!(world.refusal(&transaction), Reason::AlreadyKnown);
        // Once its outputs are spent, too, nobody can tell that it ever was.
        let child = spend(&[&coin_of(&transaction, 0)], 10);
        world.chain.mine(&MineOptions::empty(1).including([child])).unwrap();
        assert_eq!(world.refusal(&transaction), Reason::MissingInputs);
    }

    fn a_replacement_pays_for_what_it_replaces_and_for_itself(world) {
        let coin = world.coin(10_000);
        let original = world.accept(&spend(&[&coin], 100));
        assert_eq!(world.refusal(&spend(&[&coin], 99)), Reason::InsufficientFee);
        assert_eq!(world.refusal(&spend(&[&coin], 109)), Reason::InsufficientFee);
        let replacement = world.accept(&spend(&[&coin], 110));
        assert!(world.waits(&replacement));
        assert_eq!(world.chain.confirmations(&original), None);
    }

    fn a_replacement_pays_for_the_descendants_that_it_evicts(world) {
        let coin = world.coin(10_000);
        let parent = spend(&[&coin], 100);
        let child = spend(&[&coin_of(&parent, 0)], 1_000);
        let (parent, child) = (world.accept(&parent), world.accept(&child));
        assert_eq!(world.refusal(&spend(&[&coin], 1_109)), Reason::InsufficientFee);
        world.accept(&spend(&[&coin], 1_110));
        assert_eq!(world.chain.confirmations(&parent), None);
        assert_eq!(world.chain.confirmations(&child), None);
    }

    fn a_replacement_makes_no_miner_worse_off(world) {
        let coin = world.coin(100_000);
        world.accept(&spend(&[&coin], 1_000));
        // It pays more in all, but so little per byte that a miner with little room would rather have the original.
        assert_eq!(world.refusal(&split(&[&coin], 20, 2_000)), Reason::ReplacementFailed);
        world.accept(&split(&[&coin], 20, 10_000));
    }

    fn a_replacement_may_bring_new_unconfirmed_inputs(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let unconfirmed = spend(&[&second], 10);
        world.accept(&spend(&[&first], 100));
        world.accept(&unconfirmed);
        world.accept(&spend(&[&first, &coin_of(&unconfirmed, 0)], 5_000));
    }

    fn a_replacement_cannot_spend_what_it_replaces(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let original = spend(&[&first], 100);
        world.accept(&original);
        let both = spend(&[&first, &second, &coin_of(&original, 0)], 9_000);
        assert_eq!(world.refusal(&both), Reason::SpendsConflicting);
    }

    fn a_conflict_with_a_confirmed_transaction_has_no_inputs(world) {
        let coin = world.coin(10_000);
        world.accept(&spend(&[&coin], 100));
        world.mine(1);
        assert_eq!(world.refusal(&spend(&[&coin], 5_000)), Reason::MissingInputs);
    }

    fn a_cluster_has_at_most_64_transactions(world) {
        let mut coin = world.coin(100_000);
        for _ in 0..64 {
            let link = spend(&[&coin], 100);
            world.accept(&link);
            coin = coin_of(&link, 0);
        }
        assert_eq!(world.refusal(&spend(&[&coin], 100)), Reason::TooLargeCluster);
    }

    fn priority_counts_as_fee(world) {
        let coin = world.coin(10_000);
        let free = spend(&[&coin], 0);
        assert_eq!(world.refusal(&free), Reason::MinRelayFee);
        world.chain.prioritise(free.compute_txid(), 10);
        let txid = world.accept(&free);
        world.mine(1);
        assert_eq!(world.chain.confirmations(&txid), Some(BlockCount(1)));
    }
}
