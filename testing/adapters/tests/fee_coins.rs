//! Coins for claims that cannot pay their own fee: given once, kept over repetitions and crashes, within the budget, and free again.
#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends there")]

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, WPubkeyHash, Weight, hashes::Hash};
use quittance_adapter_tests::{Owner, World, spend_open, stories};
use quittance_chain::ChainSource;
use quittance_monitor::{FeeRequest, Parent};
use quittance_primitives::{BlockCount, FeeratePerKw};
use quittance_regtest::MineOptions;
use quittance_transactions::{ClaimInput, WitnessForm};
use quittance_wallet::{FundedClaim, SendAmount, WalletError};

/// BIP 431: a parent that pays nothing, and its child.
const TRUC: Version = Version(3);

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

/// A wallet with confirmed coins of these amounts.
fn owner_of(world: &mut World, coins: &[u64]) -> Owner {
    let mut owner = Owner::new(world);
    let outputs: Vec<(ScriptBuf, u64)> = coins
        .iter()
        .map(|sat| (owner.wallet.address().unwrap().script_pubkey(), *sat))
        .collect();
    world.pay(&outputs);
    owner.follow();
    owner
}

/// Something like a commitment: it pays no fee, and its last output is an anchor that anyone can spend.
fn commitment(world: &mut World) -> Transaction {
    let coin = world.open_coin(50_000);
    let mut commitment = spend_open(&[(coin, 50_000)], 0);
    commitment.version = TRUC;
    let anchor = ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]);
    commitment.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: anchor,
    });
    commitment
}

fn anchor_of(commitment: &Transaction) -> ClaimInput {
    ClaimInput {
        outpoint: OutPoint {
            txid: commitment.compute_txid(),
            vout: 1,
        },
        output: commitment.output[1].clone(),
        key: None,
        witness: WitnessForm::Empty,
        witness_script: None,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        lock_time: LockTime::ZERO,
        version: Some(TRUC),
        second_stage: None,
    }
}

fn request(commitment: &Transaction, feerate: u32) -> FeeRequest {
    FeeRequest {
        claims: vec![anchor_of(commitment)],
        feerate: FeeratePerKw(feerate),
        parent: Some(Parent {
            weight: commitment.weight(),
            fee: Amount::ZERO,
        }),
        budget: sat(1_000_000),
    }
}

/// The child, signed by both: nobody has to sign for the anchor.
fn child(owner: &Owner, funded: &FundedClaim) -> Transaction {
    let claimed = funded.claims.signed(&[None]).unwrap();
    owner.wallet.sign_coins(funded, claimed).unwrap()
}

/// A child by somebody else: the anchor is anyone's.
fn child_of_another(world: &mut World, commitment: &Transaction) -> Transaction {
    let coin = world.open_coin(30_000);
    let mut other = spend_open(&[(coin, 30_000)], 2_000);
    other.version = TRUC;
    other.input.push(bitcoin::TxIn {
        previous_output: anchor_of(commitment).outpoint,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..bitcoin::TxIn::default()
    });
    other
}

fn coins(funded: &FundedClaim) -> Vec<OutPoint> {
    funded.coins.iter().map(|coin| coin.outpoint).collect()
}

/// A package is in the mempool, with the child.
fn submit(world: &World, parent: &Transaction, child: &Transaction) {
    let outcome = world.bitcoind().submit_package(parent, child).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
}

stories! {
    fn a_child_with_a_coin_confirms_its_parent(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let funded = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        let child = child(&owner, &funded);
        submit(world, &commitment, &child);
        let weight = commitment.weight() + child.weight();
        let exact = FeeratePerKw(2_000).fee_ceil(weight);
        assert!((exact..=exact + sat(8)).contains(&funded.fee), "{} for {weight}: {exact}", funded.fee);
        let balance = owner.wallet.balance();
        assert_eq!((balance.confirmed, balance.promised, balance.spendable), (sat(100_000), sat(100_000), Amount::ZERO));
        world.mine(1);
        owner.follow();
        assert!(world.is_confirmed(&child.compute_txid()));
        assert_eq!(owner.wallet.balance().confirmed, sat(100_000) - funded.fee);
        assert_eq!(owner.wallet.balance().promised, Amount::ZERO, "the change is no promised coin");
    }

    fn the_same_request_is_the_same_transaction_even_after_a_crash(world) {
        let mut owner = owner_of(world, &[100_000, 90_000, 80_000]);
        let commitment = commitment(world);
        owner.follow();
        let request = request(&commitment, 2_000);
        let funded = owner.wallet.fund_fees(&request).unwrap();
        let first = child(&owner, &funded);
        for lost in ["nothing", "wallet-history"] {
            let again = owner.wallet.fund_fees(&request).unwrap();
            assert_eq!(child(&owner, &again), first);
            owner = owner.crash_without(world, lost);
            let promised = owner.wallet.balance().promised;
            assert_eq!(promised, sat(80_000), "without {lost}, before anybody asks: the smallest coin that does");
            let again = owner.wallet.fund_fees(&request).unwrap();
            assert_eq!(child(&owner, &again), first, "without {lost}");
        }
    }

    fn a_higher_feerate_replaces_by_the_same_coin(world) {
        let mut owner = owner_of(world, &[100_000, 90_000]);
        let commitment = commitment(world);
        owner.follow();
        let slow = owner.wallet.fund_fees(&request(&commitment, 1_000)).unwrap();
        submit(world, &commitment, &child(&owner, &slow));
        let fast = owner.wallet.fund_fees(&request(&commitment, 1_253)).unwrap();
        assert_eq!(coins(&fast), coins(&slow));
        let fast = child(&owner, &fast);
        submit(world, &commitment, &fast);
        world.mine(1);
        assert!(world.is_confirmed(&fast.compute_txid()));
    }

    fn no_coin_is_given_to_two_requests_nor_spent_otherwise(world) {
        let mut owner = owner_of(world, &[100_000, 90_000]);
        let commitments = [commitment(world), commitment(world), commitment(world)];
        owner.follow();
        let [one, two] = [0, 1].map(|index| owner.wallet.fund_fees(&request(&commitments[index], 2_000)).unwrap());
        assert_ne!(coins(&one), coins(&two));
        let third = owner.wallet.fund_fees(&request(&commitments[2], 2_000)).unwrap_err();
        assert!(matches!(third, WalletError::InsufficientFunds { available, .. } if available == Amount::ZERO), "{third}");
        owner = owner.crash(world);
        let to = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20]));
        let spent = owner.wallet.send(&to, SendAmount::Exactly(sat(10_000)), FeeratePerKw(253));
        assert!(matches!(spent, Err(WalletError::InsufficientFunds { .. })));
        assert!(owner.wallet.send(&to, SendAmount::All, FeeratePerKw(253)).is_err());
        submit(world, &commitments[0], &child(&owner, &one));
        submit(world, &commitments[1], &child(&owner, &two));
        world.mine(1);
        owner.follow();
        // Now there is change to pay for the third.
        let third = owner.wallet.fund_fees(&request(&commitments[2], 2_000)).unwrap();
        submit(world, &commitments[2], &child(&owner, &third));
    }

    fn coins_are_added_when_the_feerate_outgrows_the_first(world) {
        let mut owner = owner_of(world, &[3_000, 4_000, 40_000]);
        let commitment = commitment(world);
        owner.follow();
        let low = owner.wallet.fund_fees(&request(&commitment, 1_000)).unwrap();
        assert_eq!(low.coins.len(), 1);
        assert_eq!(low.coins[0].output.value, sat(3_000));
        submit(world, &commitment, &child(&owner, &low));
        let high = owner.wallet.fund_fees(&request(&commitment, 3_500)).unwrap();
        let values: Vec<Amount> = high.coins.iter().map(|coin| coin.output.value).collect();
        assert_eq!(values, [sat(3_000), sat(4_000)], "the first one stays, and the smallest that does is added");
        submit(world, &commitment, &child(&owner, &high));
    }

    fn the_budget_is_never_exceeded(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let within = |budget| FeeRequest { budget: sat(budget), ..request(&commitment, 50_000) };
        let funded = owner.wallet.fund_fees(&within(9_000)).unwrap();
        assert!((sat(8_990)..=sat(9_000)).contains(&funded.fee), "{}", funded.fee);
        submit(world, &commitment, &child(&owner, &funded));
        let too_dear = owner.wallet.fund_fees(&within(100)).unwrap_err();
        let WalletError::OverBudget { fee, budget, feerate } = too_dear else { panic!("{too_dear}") };
        assert!(fee > budget);
        assert_eq!((budget, feerate), (sat(100), FeeratePerKw::FLOOR));
    }

    /// Symptom: a claim whose feerate had been raised beyond the wallet's coins was not broadcast any more. Cause: only the budget was looked
    /// for a feerate that it allows.
    fn what_the_coins_can_pay_is_paid_where_the_feerate_asks_for_more(world) {
        let mut owner = owner_of(world, &[20_000]);
        let commitment = commitment(world);
        owner.follow();
        let asked = FeeRequest { budget: sat(500_000), ..request(&commitment, u32::MAX) };
        let funded = owner.wallet.fund_fees(&asked).unwrap();
        assert!((sat(19_000)..sat(20_000)).contains(&funded.fee), "{}", funded.fee);
        submit(world, &commitment, &child(&owner, &funded));
    }

    fn coins_that_wait_for_a_block_are_not_given(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let to = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20]));
        let sent = owner.wallet.send(&to, SendAmount::Exactly(sat(10_000)), FeeratePerKw(500)).unwrap();
        let refused = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap_err();
        assert!(matches!(refused, WalletError::InsufficientFunds { .. }), "{refused}");
        world.submit(&sent);
        world.mine(1);
        owner.follow();
        let funded = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        submit(world, &commitment, &child(&owner, &funded));
    }

    fn the_reserve_is_there_for_claims(world) {
        let mut owner = owner_of(world, &[25_000]);
        owner.wallet.set_anchor_channels(1);
        let commitment = commitment(world);
        owner.follow();
        assert_eq!(owner.wallet.balance().spendable, Amount::ZERO);
        let funded = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        submit(world, &commitment, &child(&owner, &funded));
    }

    fn a_coin_is_free_when_somebody_else_has_made_the_claim(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let _ = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        let other = child_of_another(world, &commitment);
        submit(world, &commitment, &other);
        world.mine(1);
        owner.follow();
        let promised = |owner: &Owner| owner.wallet.balance().promised;
        assert_eq!(promised(&owner), sat(100_000), "the block may yet be taken back");
        world.with(|chain| chain.reorg(BlockCount(1), &MineOptions::empty(2))).unwrap();
        world.with(|chain| chain.mine(&MineOptions::empty(8))).unwrap();
        owner.follow();
        assert_eq!(promised(&owner), sat(100_000), "the claim waits again");
        world.mine(5);
        owner.follow();
        assert_eq!(promised(&owner), sat(100_000), "confirmed again, five blocks deep");
        world.mine(1);
        owner.follow();
        assert_eq!(promised(&owner), Amount::ZERO);
        owner = owner.crash(world);
        assert_eq!(owner.wallet.balance().spendable, sat(100_000));
    }

    fn a_coin_is_free_when_nobody_asks_any_more(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let _ = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        world.mine(200);
        owner.follow();
        let _ = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        world.mine(288);
        owner.follow();
        assert_eq!(owner.wallet.balance().promised, sat(100_000));
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance().promised, Amount::ZERO);
    }

    fn a_request_that_grows_keeps_its_coin(world) {
        let mut owner = owner_of(world, &[100_000, 90_000]);
        let commitments = [commitment(world), commitment(world)];
        owner.follow();
        let one = owner.wallet.fund_fees(&request(&commitments[0], 2_000)).unwrap();
        let claims = vec![anchor_of(&commitments[1]), anchor_of(&commitments[0])];
        let both = FeeRequest { claims, parent: None, ..request(&commitments[0], 4_000) };
        let both = owner.wallet.fund_fees(&both).unwrap();
        assert_eq!(coins(&both), coins(&one));
        assert_eq!(both.claims.claims().len(), 2);
    }

    fn the_coin_of_a_claim_that_somebody_else_took_is_given_to_the_next_that_has_no_other(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitments = [commitment(world), commitment(world)];
        owner.follow();
        let first = owner.wallet.fund_fees(&request(&commitments[0], 2_000)).unwrap();
        let second = request(&commitments[1], 2_000);
        assert!(matches!(owner.wallet.fund_fees(&second), Err(WalletError::InsufficientFunds { .. })));
        assert_eq!(owner.wallet.fee_coins(), []);
        let other = child_of_another(world, &commitments[0]);
        submit(world, &commitments[0], &other);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.fee_coins(), [sat(100_000)]);
        let funded = owner.wallet.fund_fees(&second).unwrap();
        assert_eq!(coins(&funded), coins(&first));
        assert_eq!(owner.wallet.fee_coins(), []);
        // It is promised to one request alone, also after a crash and a reorganisation that brings the first one back.
        owner = owner.crash(world);
        world.reorg(1);
        owner.follow();
        assert!(matches!(owner.wallet.fund_fees(&request(&commitments[0], 2_000)), Err(WalletError::InsufficientFunds { .. })));
        assert_eq!(coins(&owner.wallet.fund_fees(&second).unwrap()), coins(&first));
    }

    fn a_promise_that_cannot_be_written_is_none(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        owner.fill_disk();
        let refused = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap_err();
        assert!(matches!(refused, WalletError::File(_)), "{refused}");
        assert_eq!(owner.wallet.balance().promised, Amount::ZERO);
    }

    fn only_the_funded_transaction_is_signed(world) {
        let mut owner = owner_of(world, &[100_000]);
        let commitment = commitment(world);
        owner.follow();
        let funded = owner.wallet.fund_fees(&request(&commitment, 2_000)).unwrap();
        let mut other = funded.claims.signed(&[None]).unwrap();
        other.output[0].value = sat(1_000);
        assert!(matches!(owner.wallet.sign_coins(&funded, other), Err(WalletError::NotBuilt(_))));
        assert_eq!(funded.coins[0].witness_weight, Weight::from_wu(66));
    }
}
