//! The wallet beside a chain: what comes in, what goes out, and what is still true after every kind of loss.
#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends there")]

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid, WPubkeyHash, hashes::Hash};
use quittance_adapter_tests::{Owner, World, stories};
use quittance_primitives::{BlockCount, FeeratePerKw};
use quittance_regtest::MineOptions;
use quittance_wallet::{Balance, SendAmount, WalletError};

const FEERATE: FeeratePerKw = FeeratePerKw(1_000);

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

/// Somebody else.
fn stranger() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20]))
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

fn confirmed(amount: u64) -> Balance {
    Balance {
        confirmed: sat(amount),
        spendable: sat(amount),
        ..Balance::default()
    }
}

/// What a transaction leaves of the coins that it spends, when these are all of `coins`.
fn fee(coins: u64, transaction: &Transaction) -> u64 {
    coins
        - transaction
            .output
            .iter()
            .map(|output| output.value.to_sat())
            .sum::<u64>()
}

fn spends(transaction: &Transaction) -> Vec<OutPoint> {
    transaction.input.iter().map(|input| input.previous_output).collect()
}

fn channel_output(sat: u64) -> TxOut {
    let script_pubkey = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::from_byte_array([8; 32]));
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    }
}

stories! {
    fn money_comes_in_and_goes_out(world) {
        let mut owner = owner_of(world, &[100_000]);
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
        let sent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        let fee = fee(100_000, &sent);
        let weight = sent.weight().to_wu();
        assert!((weight..weight + 8).contains(&fee), "1000 sat for 1000 weight: {fee} for {weight}");
        let left = 70_000 - fee;
        assert_eq!(owner.wallet.balance(), Balance { pending: sat(left), spendable: sat(left), ..Balance::default() });
        world.submit(&sent);
        world.mine(1);
        owner.follow();
        assert!(world.is_confirmed(&sent.compute_txid()));
        assert_eq!(owner.wallet.balance(), confirmed(left));
        let listed = owner.wallet.transactions();
        assert_eq!(listed.len(), 2);
        let (received, sent_sat) = (listed[1].received, listed[1].sent);
        assert_eq!((received, sent_sat, listed[1].height), (sat(left), sat(100_000), Some(owner.tip().height)));
    }

    fn a_coin_that_a_reorganisation_takes_is_gone_until_it_comes_again(world) {
        let mut owner = owner_of(world, &[100_000]);
        let before = owner.tip();
        world.with(|chain| chain.reorg(BlockCount(1), &MineOptions::empty(2))).unwrap();
        owner.follow();
        assert_eq!((owner.wallet.balance(), owner.tip()), (Balance::default(), world.tip()));
        assert_ne!(owner.tip(), before);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
    }

    fn a_payment_of_ours_that_a_reorganisation_takes_waits_again(world) {
        let mut owner = owner_of(world, &[100_000]);
        world.mine(1);
        let sent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        world.submit(&sent);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.unconfirmed(), []);
        world.reorg(1);
        owner.follow();
        assert_eq!(owner.wallet.unconfirmed(), std::slice::from_ref(&sent));
        assert_eq!(owner.wallet.balance().confirmed, Amount::ZERO);
        let again = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(10_000)), FEERATE).unwrap();
        assert_eq!(spends(&again)[0].txid, sent.compute_txid(), "its change is there, its coin is not");
    }

    fn a_wallet_is_what_it_was_whatever_file_is_lost(world) {
        let mut owner = owner_of(world, &[100_000, 50_000]);
        let sent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        world.submit(&sent);
        world.mine(3);
        owner.follow();
        let (balance, transactions) = (owner.wallet.balance(), owner.wallet.transactions());
        let address = owner.wallet.address().unwrap();
        owner = owner.crash(world);
        assert_eq!((owner.wallet.balance(), owner.wallet.transactions()), (balance, transactions.clone()));
        owner.wallet.flush().unwrap();
        owner = owner.crash(world);
        assert_eq!((owner.wallet.balance(), owner.wallet.transactions()), (balance, transactions.clone()));
        assert_ne!(owner.wallet.address().unwrap(), address, "an address is not handed out twice");
        owner = owner.crash_without(world, "wallet-history");
        assert_eq!((owner.wallet.balance(), owner.wallet.transactions()), (balance, transactions.clone()));
        owner = owner.crash_without(world, "wallet-promises");
        assert_eq!((owner.wallet.balance(), owner.wallet.transactions()), (balance, transactions.clone()));
        owner = owner.restore(world);
        assert_eq!((owner.wallet.balance(), owner.wallet.transactions()), (balance, transactions));
        assert_eq!(owner.tip(), world.tip());
    }

    fn a_wallet_that_was_away_during_a_reorganisation_finds_its_way(world) {
        let mut owner = owner_of(world, &[100_000]);
        world.mine(3);
        owner.follow();
        owner.wallet.flush().unwrap();
        world.reorg(4);
        owner = owner.crash(world);
        assert_eq!((owner.wallet.balance(), owner.tip()), (Balance::default(), world.tip()));
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
    }

    fn the_words_alone_find_every_address_that_was_handed_out(world) {
        let mut owner = Owner::new(world);
        let addresses: Vec<_> = (0..150).map(|_| owner.wallet.address().unwrap()).collect();
        let mut different = addresses.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 100, "a hundred unused addresses are enough");
        let last = different.iter().max_by_key(|address| addresses.iter().position(|other| other == *address)).unwrap();
        world.pay(&[(last.script_pubkey(), 77_000)]);
        owner = owner.restore(world);
        assert_eq!(owner.wallet.balance(), confirmed(77_000));
    }

    fn what_was_sent_before_a_crash_is_neither_forgotten_nor_spent_again(world) {
        let mut owner = owner_of(world, &[100_000, 100_000]);
        let first = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(60_000)), FEERATE).unwrap();
        for lost in ["nothing", "wallet-history"] {
            owner = owner.crash_without(world, lost);
            assert_eq!(owner.wallet.unconfirmed(), std::slice::from_ref(&first), "without {lost}");
        }
        let second = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(70_000)), FEERATE).unwrap();
        assert!(spends(&second).iter().all(|coin| !spends(&first).contains(coin)));
        world.submit(&first);
        world.submit(&second);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.unconfirmed(), []);
    }

    fn nothing_is_promised_that_cannot_be_written(world) {
        let mut owner = owner_of(world, &[100_000]);
        owner.fill_disk();
        let refused = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(60_000)), FEERATE).unwrap_err();
        assert!(matches!(refused, WalletError::File(_)), "{refused}");
        let refused = owner.wallet.fund_channels(&[channel_output(20_000)], FEERATE).unwrap_err();
        assert!(matches!(refused, WalletError::File(_)), "{refused}");
        assert!(matches!(owner.wallet.address(), Err(WalletError::File(_))));
        assert_eq!((owner.wallet.balance(), owner.wallet.unconfirmed()), (confirmed(100_000), vec![]), "nor is it half done");
        owner.free_disk();
        owner.wallet.address().unwrap();
        owner = owner.crash(world);
        assert_eq!((owner.wallet.balance(), owner.wallet.unconfirmed()), (confirmed(100_000), vec![]), "nor is it done later");
    }

    fn what_is_made_and_spent_in_one_block_is_seen_by_a_rescan(world) {
        let mut owner = owner_of(world, &[100_000]);
        let parent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        let child = owner.wallet.send(&stranger(), SendAmount::All, FEERATE).unwrap();
        assert_eq!((child.input[0].previous_output.txid, child.output.len()), (parent.compute_txid(), 1));
        world.submit(&parent);
        world.submit(&child);
        world.mine(1);
        owner = owner.restore(world);
        assert_eq!(owner.wallet.balance(), Balance::default());
    }

    fn what_claims_pay_to_is_no_change_address(world) {
        let mut owner = owner_of(world, &[100_000]);
        let sweep = owner.wallet.sweep_to().unwrap();
        for _ in 0..2 {
            let sent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(10_000)), FEERATE).unwrap();
            assert!(sent.output.iter().all(|output| output.script_pubkey != sweep));
            owner = owner.crash(world);
            assert_eq!(owner.wallet.sweep_to().unwrap(), sweep);
        }
        world.pay(&[(sweep.clone(), 5_000)]);
        owner.follow();
        assert_eq!(owner.wallet.sweep_to().unwrap(), sweep, "a claim that is made again pays to the same script");
        owner.wallet.flush().unwrap();
        owner = owner.crash(world);
        assert_ne!(owner.wallet.sweep_to().unwrap(), sweep, "at the next start it is a new one");
        assert_eq!(owner.wallet.balance().confirmed, sat(5_000));
    }

    fn a_higher_fee_replaces_what_waits(world) {
        let mut owner = owner_of(world, &[100_000]);
        let slow = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(60_000)), FEERATE).unwrap();
        world.submit(&slow);
        let fast = owner.wallet.bump(&slow.compute_txid(), FeeratePerKw(5_000)).unwrap();
        assert_eq!(spends(&fast), spends(&slow));
        assert!(fast.output.iter().any(|output| output.value == sat(60_000) && output.script_pubkey == stranger()));
        assert_eq!(owner.wallet.unconfirmed(), std::slice::from_ref(&fast));
        world.submit(&fast);
        let too_little = owner.wallet.bump(&fast.compute_txid(), FeeratePerKw(5_000)).unwrap_err();
        assert!(matches!(too_little, WalletError::FeerateTooLow(_)), "{too_little}");
        let gone = owner.wallet.bump(&slow.compute_txid(), FeeratePerKw(9_000)).unwrap_err();
        assert!(matches!(gone, WalletError::Unknown(txid) if txid == slow.compute_txid()), "{gone}");
        owner = owner.crash(world);
        assert_eq!(owner.wallet.unconfirmed(), std::slice::from_ref(&fast));
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), confirmed(40_000 - fee(100_000, &fast)));
        let late = owner.wallet.bump(&fast.compute_txid(), FeeratePerKw(9_000)).unwrap_err();
        assert!(matches!(late, WalletError::Confirmed(_)), "{late}");
    }

    fn the_first_version_may_confirm_all_the_same(world) {
        let mut owner = owner_of(world, &[100_000]);
        let slow = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(60_000)), FEERATE).unwrap();
        let fast = owner.wallet.bump(&slow.compute_txid(), FeeratePerKw(5_000)).unwrap();
        assert_ne!(slow.compute_txid(), fast.compute_txid());
        world.with(|chain| chain.mine(&MineOptions::empty(1).including([slow.clone()]))).unwrap();
        owner.follow();
        assert_eq!(owner.wallet.balance(), confirmed(40_000 - fee(100_000, &slow)));
        assert_eq!(owner.wallet.unconfirmed(), []);
    }

    fn a_parent_is_not_replaced_below_its_child(world) {
        let mut owner = owner_of(world, &[100_000]);
        let parent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        let child = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        let refused = owner.wallet.bump(&parent.compute_txid(), FeeratePerKw(9_000)).unwrap_err();
        let expected = child.compute_txid();
        assert!(matches!(refused, WalletError::Spent { spender, .. } if spender == expected), "{refused}");
    }

    fn everything_is_sent_and_its_fee_raised(world) {
        let mut owner = owner_of(world, &[100_000, 20_000]);
        let all = owner.wallet.send(&stranger(), SendAmount::All, FEERATE).unwrap();
        assert_eq!((all.input.len(), all.output.len()), (2, 1));
        world.submit(&all);
        let raised = owner.wallet.bump(&all.compute_txid(), FeeratePerKw(4_000)).unwrap();
        assert_eq!((raised.input.len(), raised.output.len()), (2, 1));
        assert!(fee(120_000, &raised) > 3 * fee(120_000, &all));
        world.submit(&raised);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), Balance::default());
    }

    fn the_reserve_for_anchors_is_not_spent(world) {
        let mut owner = owner_of(world, &[100_000, 30_000]);
        owner.wallet.set_anchor_channels(1);
        let balance = owner.wallet.balance();
        assert_eq!((balance.confirmed, balance.reserved, balance.spendable), (sat(130_000), sat(25_000), sat(105_000)));
        let refused = owner.wallet.fund_channels(&[channel_output(104_900)], FEERATE).unwrap_err();
        assert!(matches!(refused, WalletError::Reserved { .. }), "{refused}");
        // The coin of 30,000 does for the reserve, so the other one is spent, although the smaller would do.
        let sent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(20_000)), FEERATE).unwrap();
        assert_eq!((sent.input.len(), fee(100_000, &sent) < 1_000), (1, true));
        let refused = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(90_000)), FEERATE).unwrap_err();
        assert!(matches!(refused, WalletError::Reserved { reserve, .. } if reserve == sat(25_000)), "{refused}");
        let all = owner.wallet.send(&stranger(), SendAmount::All, FEERATE).unwrap();
        assert_eq!(all.output.iter().filter(|output| output.value == sat(25_000)).count(), 1);
        assert_eq!(owner.wallet.balance().pending, sat(25_000));
        world.submit(&sent);
        world.submit(&all);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), Balance { confirmed: sat(25_000), reserved: sat(25_000), ..Balance::default() });
        owner.wallet.set_anchor_channels(0);
        owner.wallet.send(&stranger(), SendAmount::All, FEERATE).unwrap();
    }

    fn the_reserve_has_a_limit(world) {
        let mut owner = owner_of(world, &[100_000]);
        owner.wallet.set_anchor_channels(u32::MAX);
        assert_eq!(owner.wallet.balance().reserved, sat(500_000));
        assert_eq!(owner.wallet.balance().spendable, Amount::ZERO);
    }

    fn a_channel_is_funded_by_confirmed_coins_only(world) {
        let mut owner = owner_of(world, &[100_000]);
        owner.wallet.send(&stranger(), SendAmount::Exactly(sat(20_000)), FEERATE).unwrap();
        let second = owner.wallet.address().unwrap().script_pubkey();
        world.pay(&[(second, 60_000)]);
        owner.follow();
        let too_much = owner.wallet.fund_channels(&[channel_output(70_000)], FEERATE).unwrap_err();
        assert!(matches!(too_much, WalletError::InsufficientFunds { .. }), "{too_much}");
        let output = channel_output(50_000);
        let funding = owner.wallet.fund_channels(std::slice::from_ref(&output), FEERATE).unwrap();
        assert!(funding.output.contains(&output));
        assert!(funding.input.iter().all(|input| !input.witness.is_empty()));
        let fixed = owner.wallet.bump(&funding.compute_txid(), FeeratePerKw(9_000)).unwrap_err();
        assert!(matches!(fixed, WalletError::FundsChannel(_)), "{fixed}");
        world.submit(&funding);
        world.mine(1);
        owner.follow();
        assert!(world.is_confirmed(&funding.compute_txid()));
    }

    fn a_channel_that_does_not_open_gives_its_coins_back(world) {
        let mut owner = owner_of(world, &[100_000]);
        let funding = owner.wallet.fund_channels(&[channel_output(50_000)], FEERATE).unwrap();
        assert!(owner.wallet.fund_channels(&[channel_output(50_000)], FEERATE).is_err());
        owner.wallet.abandon(&funding.compute_txid()).unwrap();
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
        owner = owner.crash(world);
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
        let unknown = owner.wallet.abandon(&funding.compute_txid()).unwrap_err();
        assert!(matches!(unknown, WalletError::Unknown(_)), "{unknown}");
    }

    fn a_funding_transaction_is_kept_by_the_channels_log_too(world) {
        let mut owner = owner_of(world, &[100_000]);
        let funding = owner.wallet.fund_channels(&[channel_output(50_000)], FEERATE).unwrap();
        owner = owner.crash_without(world, "wallet-promises");
        owner.wallet.keep_funding(&funding).unwrap();
        owner.wallet.keep_funding(&funding).unwrap();
        assert_eq!(owner.wallet.unconfirmed_fundings(), [funding.compute_txid()].into());
        assert_eq!(owner.wallet.unconfirmed(), [], "it leaves when its channels say so, not before");
        assert!(owner.wallet.fund_channels(&[channel_output(20_000)], FEERATE).is_err(), "the coin is taken");

        owner = owner.crash_without(world, "wallet-promises");
        let other = owner.wallet.fund_channels(&[channel_output(20_000)], FEERATE).unwrap();
        let twice = owner.wallet.keep_funding(&funding).unwrap_err();
        let (first, second) = (other.compute_txid(), funding.compute_txid());
        assert!(matches!(twice, WalletError::PromisedTwice { first: a, second: b, .. } if (a, b) == (first, second)), "{twice}");
    }

    fn a_funding_transaction_holds_its_coins_before_they_are_found_again(world) {
        let mut owner = owner_of(world, &[100_000]);
        // What is left is too little for change: nothing in the transaction tells that it is the wallet's, until its coin is known.
        let funding = owner.wallet.fund_channels(&[channel_output(99_400)], FEERATE).unwrap();
        assert_eq!(funding.output.len(), 1);
        owner = owner.restore_with(world, &funding);
        assert_eq!(owner.wallet.balance(), Balance::default());
        assert_eq!(owner.wallet.unconfirmed_fundings(), [funding.compute_txid()].into());
    }

    fn a_damaged_history_is_read_again_and_damaged_promises_are_an_error(world) {
        let mut owner = owner_of(world, &[100_000]);
        owner.wallet.flush().unwrap();
        owner.damage("wallet-history");
        let begun_again = owner.opened_again().unwrap();
        assert_eq!((begun_again.balance(), begun_again.tip().height.0), (Balance::default(), 0), "at the birthday");
        owner = owner.crash(world);
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
        owner.damage("wallet-promises");
        let refused = owner.opened_again().unwrap_err();
        assert!(matches!(&refused, WalletError::File(quittance_wallet::FileError::Damaged { .. })), "{refused}");
    }

    fn a_reward_can_be_spent_when_it_is_mature(world) {
        let mut owner = Owner::new(world);
        let reward = owner.wallet.address().unwrap().script_pubkey();
        world.with(|chain| chain.mine(&MineOptions { reward: Some(reward), ..MineOptions::empty(1) })).unwrap();
        owner.follow();
        let subsidy = sat(5_000_000_000);
        assert_eq!(owner.wallet.balance(), Balance { immature: subsidy, ..Balance::default() });
        world.mine(98);
        owner.follow();
        assert_eq!(owner.wallet.balance().confirmed, Amount::ZERO);
        world.mine(1);
        owner.follow();
        assert_eq!(owner.wallet.balance(), confirmed(5_000_000_000));
        let spent = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(30_000)), FEERATE).unwrap();
        world.submit(&spent);
    }

    fn senseless_orders_are_refused(world) {
        let mut owner = owner_of(world, &[100_000]);
        let dust = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(100)), FEERATE).unwrap_err();
        assert!(matches!(dust, WalletError::Dust(0)), "{dust}");
        let poor = owner.wallet.send(&stranger(), SendAmount::Exactly(sat(100_000)), FEERATE).unwrap_err();
        assert!(matches!(poor, WalletError::InsufficientFunds { available, .. } if available == sat(100_000)), "{poor}");
        let absurd = owner.wallet.send(&stranger(), SendAmount::Exactly(Amount::MAX_MONEY), FeeratePerKw(u32::MAX));
        assert!(matches!(absurd, Err(WalletError::InsufficientFunds { .. })));
        let nobody = Txid::hash(b"nobody's");
        assert!(matches!(owner.wallet.bump(&nobody, FEERATE), Err(WalletError::Unknown(txid)) if txid == nobody));
        assert_eq!(owner.wallet.balance(), confirmed(100_000));
    }
}
