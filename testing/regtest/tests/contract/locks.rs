//! Lock times: the transaction's own, relative ones, and those that scripts ask for.

use bitcoin::absolute::LockTime;
use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::{OP_CLTV, OP_CSV, OP_DROP};
use bitcoin::script::Builder;
use bitcoin::{ScriptBuf, Sequence, Transaction, Witness};
use quittance_regtest::faucet::reward_script;
use quittance_regtest::{MineOptions, Reason};

use crate::stories;
use crate::world::{Coin, coin_of, input, output, spend, spend_to};

fn locked(coin: &Coin, lock_time: u32) -> Transaction {
    let mut transaction = spend(&[coin], 100);
    transaction.lock_time = LockTime::from_consensus(lock_time);
    transaction.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    transaction
}

fn sequenced(coin: &Coin, sequence: u32) -> Transaction {
    let mut transaction = spend(&[coin], 100);
    transaction.input[0].sequence = Sequence(sequence);
    transaction
}

/// A witness script that ends true if the lock time opcode before it is satisfied.
fn locking_script(value: u32, opcode: bitcoin::Opcode) -> ScriptBuf {
    Builder::new()
        .push_int(i64::from(value))
        .push_opcode(opcode)
        .push_opcode(OP_DROP)
        .push_opcode(OP_TRUE)
        .into_script()
}

stories! {
    fn a_transaction_waits_for_its_lock_height(world) {
        let coin = world.coin(10_000);
        let lock = world.height() + 1;
        assert_eq!(world.refusal(&locked(&coin, lock)), Reason::NonFinal);
        let mut ignoring = locked(&coin, lock);
        ignoring.input[0].sequence = Sequence::MAX;
        assert!(world.chain.test_accept(&ignoring).is_ok());
        let early = MineOptions::empty(1).including([locked(&coin, lock)]);
        assert_eq!(world.chain.mine(&early).unwrap_err().reason, Reason::BlockNonFinal);
        world.mine(1);
        world.accept(&locked(&coin, lock));
    }

    fn a_transaction_waits_until_the_median_time_passes_its_lock_time(world) {
        let coin = world.coin(10_000);
        world.mine(11);
        let median = world.median_time_past();
        assert_eq!(world.refusal(&locked(&coin, median)), Reason::NonFinal);
        world.accept(&locked(&coin, median - 1));
    }

    fn a_relative_height_counts_from_the_confirmation(world) {
        let coin = world.coin(10_000);
        assert_eq!(world.refusal(&sequenced(&coin, 2)), Reason::NonFinalSequence);
        let early = MineOptions::empty(1).including([sequenced(&coin, 2)]);
        assert_eq!(world.chain.mine(&early).unwrap_err().reason, Reason::BlockNonFinal);
        assert!(world.chain.test_accept(&sequenced(&coin, 1)).is_ok());
        world.mine(1);
        world.accept(&sequenced(&coin, 2));
    }

    fn a_relative_time_counts_from_the_median_before_the_confirmation(world) {
        let coin = world.coin(10_000);
        let start = world.median_time_past();
        world.mine(12);
        // Funding confirmed a block after the median that counts.
        let units = |span: u32| (1 << 22) | span;
        let passed = world.median_time_past() - start;
        let span = passed / 512 + 3;
        assert_eq!(world.refusal(&sequenced(&coin, units(span))), Reason::NonFinalSequence);
        world.accept(&sequenced(&coin, units(passed / 512)));
    }

    fn an_unconfirmed_parent_has_no_depth(world) {
        let coin = world.coin(10_000);
        let parent = spend(&[&coin], 10);
        world.accept(&parent);
        let output = coin_of(&parent, 0);
        assert_eq!(world.refusal(&sequenced(&output, 1)), Reason::NonFinalSequence);
        world.accept(&sequenced(&output, 0));
    }

    fn cltv_compares_with_the_lock_time(world) {
        let height = world.height() + 120;
        let script = locking_script(height, OP_CLTV);
        let outpoint = world.coin_under(10_000, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let claim = |lock_time: u32| {
            let mut transaction = spend_to(&[], vec![output(9_000, reward_script())]);
            transaction.lock_time = LockTime::from_consensus(lock_time);
            transaction.input.push(input(outpoint));
            transaction.input[0].sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
            transaction.input[0].witness = Witness::from_slice(&[script.as_bytes()]);
            transaction
        };
        assert_eq!(world.refusal(&claim(height)), Reason::NonFinal);
        let blocks = height - world.height();
        world.mine(blocks);
        assert_eq!(world.refusal(&claim(height - 1)), Reason::ScriptFailed);
        let cheat = MineOptions::empty(1).including([claim(height - 1)]);
        assert_eq!(world.chain.mine(&cheat).unwrap_err().reason, Reason::BlockScriptFailed);
        world.accept(&claim(height));
    }

    fn csv_compares_with_the_sequence(world) {
        let script = locking_script(6, OP_CSV);
        let outpoint = world.coin_under(10_000, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let claim = |sequence: u32| {
            let mut transaction = spend_to(&[], vec![output(9_000, reward_script())]);
            transaction.input.push(input(outpoint));
            transaction.input[0].sequence = Sequence(sequence);
            transaction.input[0].witness = Witness::from_slice(&[script.as_bytes()]);
            transaction
        };
        assert_eq!(world.refusal(&claim(6)), Reason::NonFinalSequence);
        world.mine(5);
        assert_eq!(world.refusal(&claim(5)), Reason::ScriptFailed);
        world.accept(&claim(6));
    }
}
