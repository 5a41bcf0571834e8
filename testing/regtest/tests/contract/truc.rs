//! Version 3 transactions and ephemeral dust: the ground that zero-fee commitments stand on.

use std::collections::BTreeMap;

use bitcoin::{ScriptBuf, Transaction, TxIn};
use quittance_regtest::faucet::{reward_script, reward_witness};
use quittance_regtest::mempool::standard::PAY_TO_ANCHOR;
use quittance_regtest::{PackageRejected, Reason};

use crate::stories;
use crate::world::{Coin, coin_of, input, output, spend, spend_to, split, version_3};

/// Pays no fee and ends in a coin and an anchor.
fn commitment(coin: &Coin, anchor_sat: u64) -> Transaction {
    let anchor = output(anchor_sat, ScriptBuf::from_bytes(PAY_TO_ANCHOR.to_vec()));
    version_3(spend_to(
        &[coin],
        vec![output(coin.value - anchor_sat, reward_script()), anchor],
    ))
}

/// Spends the commitment's anchor and a coin.
fn anchor_child(commitment: &Transaction, coin: &Coin, fee: u64) -> Transaction {
    let mut child = version_3(spend(&[coin], fee));
    child.input.push(input(coin_of(commitment, 1).outpoint));
    child
}

stories! {
    fn a_zero_fee_commitment_enters_with_the_child_that_spends_its_anchor(world) {
        let [funding, wallet] = world.coins([100_000, 50_000]);
        let commitment = commitment(&funding, 0);
        assert_eq!(world.refusal(&commitment), Reason::MinRelayFee);
        let child = anchor_child(&commitment, &wallet, 1_000);
        assert_eq!(world.chain.submit_package(&[commitment.clone(), child.clone()]), Ok(()));
        // A better child replaces it, and may be offered alone since the commitment is known.
        let better = anchor_child(&commitment, &wallet, 2_000);
        world.accept(&better);
        assert_eq!(world.chain.confirmations(&child.compute_txid()), None);
        world.mine(1);
        assert!(world.chain.confirmed_at(&commitment.compute_txid()).is_some());
        assert!(world.chain.confirmed_at(&better.compute_txid()).is_some());
    }

    fn another_commitment_with_its_child_replaces_the_first(world) {
        let [funding, wallet, other_wallet] = world.coins([100_000, 50_000, 50_000]);
        let ours = commitment(&funding, 0);
        let theirs = version_3(spend_to(
            &[&funding],
            vec![output(99_999, reward_script()), output(1, ScriptBuf::from_bytes(PAY_TO_ANCHOR.to_vec()))],
        ));
        let child = anchor_child(&ours, &wallet, 1_000);
        assert_eq!(world.chain.submit_package(&[ours.clone(), child]), Ok(()));
        let poor = anchor_child(&theirs, &other_wallet, 1_000);
        assert_eq!(
            world.chain.submit_package(&[theirs.clone(), poor]).unwrap_err().reason,
            Reason::PackageReplacementFees
        );
        let paying = anchor_child(&theirs, &other_wallet, 2_000);
        assert_eq!(world.chain.submit_package(&[theirs.clone(), paying]), Ok(()));
        assert_eq!(world.chain.confirmations(&ours.compute_txid()), None);
        assert!(world.waits(&theirs.compute_txid()));
    }

    fn dust_is_ephemeral_only_without_fee(world) {
        let funding = world.coin(100_000);
        let mut paying = commitment(&funding, 0);
        paying.output[0].value -= bitcoin::Amount::from_sat(500);
        assert_eq!(world.refusal(&paying), Reason::Dust);
    }

    fn there_is_at_most_one_dust_output(world) {
        let [funding, wallet] = world.coins([100_000, 50_000]);
        let mut two = commitment(&funding, 0);
        two.output.push(two.output[1].clone());
        assert_eq!(world.refusal(&two), Reason::Dust);
        let mut child = anchor_child(&two, &wallet, 1_000);
        child.input.push(input(coin_of(&two, 2).outpoint));
        let reasons = BTreeMap::from([(two.compute_txid(), Reason::Dust), (child.compute_txid(), Reason::MissingInputs)]);
        assert_eq!(
            world.chain.submit_package(&[two, child]),
            Err(PackageRejected { reason: Reason::TransactionFailed, transactions: reasons })
        );
    }

    fn a_child_must_spend_its_parents_dust(world) {
        let [funding, wallet] = world.coins([100_000, 50_000]);
        let commitment = commitment(&funding, 0);
        let careless = version_3(spend(&[&coin_of(&commitment, 0)], 1_000));
        let reasons = BTreeMap::from([
            (commitment.compute_txid(), Reason::MinRelayFee),
            (careless.compute_txid(), Reason::MissingEphemeralSpends),
        ]);
        assert_eq!(
            world.chain.submit_package(&[commitment.clone(), careless.clone()]),
            Err(PackageRejected { reason: Reason::UnspentDust, transactions: reasons })
        );
        let child = anchor_child(&commitment, &wallet, 1_000);
        assert_eq!(world.chain.submit_package(&[commitment, child]), Ok(()));
        // As a replacement of that child it would have to spend the dust no less.
        let mut richer = careless;
        richer.output[0].value -= bitcoin::Amount::from_sat(5_000);
        assert_eq!(world.refusal(&richer), Reason::MissingEphemeralSpends);
    }

    fn an_anchor_of_240_satoshis_is_no_dust(world) {
        let funding = world.coin(100_000);
        let mut paying = commitment(&funding, 240);
        paying.output[0].value -= bitcoin::Amount::from_sat(500);
        world.accept(&paying);
    }

    fn an_anchor_is_spent_without_a_witness(world) {
        let [funding, wallet] = world.coins([100_000, 50_000]);
        let mut commitment = commitment(&funding, 240);
        commitment.output[0].value -= bitcoin::Amount::from_sat(500);
        world.accept(&commitment);
        let mut stuffed = anchor_child(&commitment, &wallet, 1_000);
        stuffed.input[1] = TxIn { witness: reward_witness(), ..stuffed.input[1].clone() };
        assert_eq!(world.refusal(&stuffed), Reason::NonstandardWitness);
        world.accept(&anchor_child(&commitment, &wallet, 1_000));
    }

    fn version_3_is_inherited_both_ways(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let old = spend(&[&first], 10);
        let new = version_3(spend(&[&second], 10));
        world.accept(&old);
        world.accept(&new);
        assert_eq!(world.refusal(&version_3(spend(&[&coin_of(&old, 0)], 10))), Reason::Truc);
        assert_eq!(world.refusal(&spend(&[&coin_of(&new, 0)], 10)), Reason::Truc);
        world.accept(&spend(&[&coin_of(&old, 0)], 10));
        world.accept(&version_3(spend(&[&coin_of(&new, 0)], 10)));
    }

    fn version_3_is_inherited_within_a_package(world) {
        let coin = world.coin(10_000);
        let parent = version_3(spend(&[&coin], 0));
        let old_child = spend(&[&coin_of(&parent, 0)], 1_000);
        assert_eq!(world.chain.submit_package(&[parent.clone(), old_child]).unwrap_err().reason, Reason::Truc);
        let child = version_3(spend(&[&coin_of(&parent, 0)], 1_000));
        assert_eq!(world.chain.submit_package(&[parent, child]), Ok(()));
    }

    fn there_is_no_grandchild(world) {
        let coin = world.coin(10_000);
        let parent = version_3(spend(&[&coin], 10));
        let child = version_3(spend(&[&coin_of(&parent, 0)], 10));
        world.accept(&parent);
        world.accept(&child);
        assert_eq!(world.refusal(&version_3(spend(&[&coin_of(&child, 0)], 10))), Reason::Truc);
    }

    fn there_is_one_unconfirmed_parent(world) {
        let [first, second] = world.coins([10_000, 10_000]);
        let parents = [&first, &second].map(|coin| version_3(spend(&[coin], 10)));
        for parent in &parents {
            world.accept(parent);
        }
        let child = version_3(spend(&[&coin_of(&parents[0], 0), &coin_of(&parents[1], 0)], 1_000));
        assert_eq!(world.refusal(&child), Reason::Truc);
    }

    fn a_second_child_pushes_out_the_first_by_paying_more(world) {
        let coin = world.coin(10_000);
        let parent = version_3(split(&[&coin], 2, 20));
        let child = version_3(spend(&[&coin_of(&parent, 0)], 100));
        world.accept(&parent);
        let first = world.accept(&child);
        let second = |fee| version_3(spend(&[&coin_of(&parent, 1)], fee));
        assert_eq!(world.refusal(&second(109)), Reason::InsufficientFeeForSibling);
        world.accept(&second(110));
        assert_eq!(world.chain.confirmations(&first), None);
    }

    fn a_child_has_at_most_1000_virtual_bytes(world) {
        let coin = world.coin(1_000_000);
        let parent = version_3(spend(&[&coin], 10));
        world.accept(&parent);
        // One input and n outputs take 53 + 43 n virtual bytes.
        let child = |outputs| version_3(split(&[&coin_of(&parent, 0)], outputs, 10_000));
        assert_eq!(child(22).vsize(), 999);
        assert_eq!(world.refusal(&child(23)), Reason::Truc);
        world.accept(&child(22));
    }

    fn a_transaction_of_version_3_has_at_most_10000_virtual_bytes(world) {
        let coin = world.coin(1_000_000);
        let transaction = |outputs| version_3(split(&[&coin], outputs, 10_000));
        assert_eq!((transaction(231).vsize(), transaction(232).vsize()), (9_986, 10_029));
        assert_eq!(world.refusal(&transaction(232)), Reason::Truc);
        world.accept(&transaction(231));
    }
}
