//! A parent that does not pay enough and the child that pays for it.

use std::collections::BTreeMap;

use bitcoin::{Transaction, Txid};
use quittance_regtest::{PackageRejected, Reason};

use crate::stories;
use crate::world::{Coin, coin_of, spend, split};

fn pair(coin: &Coin, parent_fee: u64, child_fee: u64) -> [Transaction; 2] {
    let parent = spend(&[coin], parent_fee);
    let child = spend(&[&coin_of(&parent, 0)], child_fee);
    [parent, child]
}

fn ids(package: &[Transaction; 2]) -> [Txid; 2] {
    package.each_ref().map(Transaction::compute_txid)
}

fn refused(reason: Reason) -> PackageRejected {
    PackageRejected {
        reason,
        transactions: BTreeMap::new(),
    }
}

stories! {
    fn a_child_pays_for_a_parent_without_fee(world) {
        let coin = world.coin(10_000);
        let poor = pair(&coin, 0, 19);
        let [parent, child] = ids(&poor);
        let reasons = BTreeMap::from([(parent, Reason::MinRelayFee), (child, Reason::MinRelayFee)]);
        assert_eq!(
            world.chain.submit_package(&poor),
            Err(PackageRejected { reason: Reason::TransactionFailed, transactions: reasons })
        );
        let paying = pair(&coin, 0, 20);
        assert_eq!(world.chain.submit_package(&paying), Ok(()));
        assert!(ids(&paying).iter().all(|txid| world.waits(txid)));
        world.mine(1);
        assert!(ids(&paying).iter().all(|txid| world.chain.confirmed_at(txid).is_some()));
    }

    fn a_parent_that_pays_for_itself_enters_even_if_its_child_does_not(world) {
        let coin = world.coin(10_000);
        let package = pair(&coin, 10, 0);
        let [parent, child] = ids(&package);
        let reasons = BTreeMap::from([(child, Reason::MinRelayFee)]);
        assert_eq!(
            world.chain.submit_package(&package),
            Err(PackageRejected { reason: Reason::TransactionFailed, transactions: reasons })
        );
        assert!(world.waits(&parent));
        assert_eq!(world.chain.confirmations(&child), None);
    }

    fn what_is_in_the_mempool_already_does_not_spoil_a_package(world) {
        let coin = world.coin(10_000);
        let package = pair(&coin, 0, 100);
        assert_eq!(world.chain.submit_package(&package), Ok(()));
        assert_eq!(world.chain.submit_package(&package), Ok(()));
        // The better child replaces the first alone; its parent stays.
        let better = [package[0].clone(), spend(&[&coin_of(&package[0], 0)], 110)];
        assert_eq!(world.chain.submit_package(&better), Ok(()));
        assert_eq!(world.chain.confirmations(&package[1].compute_txid()), None);
        assert!(world.waits(&better[1].compute_txid()));
    }

    fn a_package_replaces_a_pair(world) {
        let coin = world.coin(10_000);
        let original = pair(&coin, 0, 500);
        assert_eq!(world.chain.submit_package(&original), Ok(()));
        // The two replacing transactions have 192 virtual bytes; 20 satoshis on top pay for them.
        let poor = pair(&coin, 1, 518);
        assert_eq!(world.chain.submit_package(&poor).unwrap_err().reason, Reason::PackageReplacementFees);
        let paying = pair(&coin, 1, 519);
        assert_eq!(world.chain.submit_package(&paying), Ok(()));
        assert!(ids(&original).iter().all(|txid| world.chain.confirmations(txid).is_none()));
        assert!(ids(&paying).iter().all(|txid| world.waits(txid)));
    }

    fn the_child_of_a_replacing_package_lifts_its_parent(world) {
        let coin = world.coin(100_000);
        world.accept(&spend(&[&coin], 5_000));
        let parent = split(&[&coin], 2, 5_001);
        let child = spend(&[&coin_of(&parent, 0)], 500);
        assert_eq!(
            world.chain.submit_package(&[parent, child]).unwrap_err().reason,
            Reason::PackageReplacementFeerate
        );
    }

    fn a_replacing_package_makes_no_miner_worse_off(world) {
        let coin = world.coin(100_000);
        world.accept(&spend(&[&coin], 5_000));
        let parent = split(&[&coin], 40, 0);
        let child = spend(&[&coin_of(&parent, 0), &coin_of(&parent, 1), &coin_of(&parent, 2)], 6_000);
        assert_eq!(
            world.chain.submit_package(&[parent, child]).unwrap_err().reason,
            Reason::PackageReplacementDiagram
        );
    }

    fn a_replacing_package_has_no_unconfirmed_ancestors(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let ancestor = spend(&[&second], 10);
        world.accept(&ancestor);
        world.accept(&spend(&[&first], 100));
        let parent = spend(&[&first, &coin_of(&ancestor, 0)], 0);
        let child = spend(&[&coin_of(&parent, 0)], 5_000);
        assert_eq!(
            world.chain.submit_package(&[parent, child]).unwrap_err().reason,
            Reason::PackageReplacementAncestors
        );
    }

    fn a_replacing_package_is_one_parent_and_one_child(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        world.accept(&spend(&[&first], 100));
        let parents = [spend(&[&first], 0), spend(&[&second], 0)];
        let child = spend(&[&coin_of(&parents[0], 0), &coin_of(&parents[1], 0)], 5_000);
        let [one, other] = parents;
        assert_eq!(
            world.chain.submit_package(&[one, other, child]).unwrap_err().reason,
            Reason::PackageReplacementTopology
        );
    }

    fn a_package_is_a_child_after_its_independent_parents(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let [parent, child] = pair(&first, 10, 100);
        let stranger = spend(&[&second], 10);
        let rival = spend(&[&first, &second], 100);
        let grandchild = spend(&[&coin_of(&parent, 0), &coin_of(&child, 0)], 1_000);
        let heir = spend(&[&coin_of(&parent, 0), &coin_of(&rival, 0)], 1_000);
        let mut submit = |package: &[&Transaction]| {
            let package: Vec<Transaction> = package.iter().map(|transaction| (*transaction).clone()).collect();
            world.chain.submit_package(&package)
        };
        assert_eq!(submit(&[&child, &parent]), Err(refused(Reason::PackageTopology)));
        assert_eq!(submit(&[&stranger, &parent]), Err(refused(Reason::PackageTopology)));
        assert_eq!(submit(&[&parent, &child, &grandchild]), Err(refused(Reason::PackageTopology)));
        assert_eq!(submit(&[&parent, &parent, &child]), Err(refused(Reason::PackageDuplicates)));
        assert_eq!(submit(&[&parent, &rival, &heir]), Err(refused(Reason::PackageConflict)));
        assert_eq!(submit(&[&parent, &child]), Ok(()));
    }

    fn a_package_weighs_at_most_404000(world) {
        let coins = world.coins([10_000_000, 10_000_000]);
        let parents = coins.each_ref().map(|coin| split(&[coin], 1_200, 100_000));
        let child = spend(&[&coin_of(&parents[0], 0), &coin_of(&parents[1], 0)], 1_000);
        let [first, second] = parents;
        assert_eq!(world.chain.submit_package(&[first.clone(), second, child]), Err(refused(Reason::PackageTooLarge)));
        let child = spend(&[&coin_of(&first, 0)], 1_000);
        assert_eq!(world.chain.submit_package(&[first, child]), Ok(()));
    }

    fn a_package_has_at_most_25_transactions(world) {
        let coins: [Coin; 26] = world.coins([10_000; 26]);
        let parents: Vec<Transaction> = coins.iter().map(|coin| spend(&[coin], 10)).collect();
        let package = |count: usize| {
            let outputs: Vec<Coin> = parents[..count - 1].iter().map(|parent| coin_of(parent, 0)).collect();
            let outputs: Vec<&Coin> = outputs.iter().collect();
            let mut package = parents[..count - 1].to_vec();
            package.push(spend(&outputs, 5_000));
            package
        };
        let [full, crowded] = [25, 26].map(package);
        assert_eq!(world.chain.submit_package(&crowded), Err(refused(Reason::PackageTooMany)));
        assert_eq!(world.chain.submit_package(&full), Ok(()));
    }
}
