//! What is relayed at all.

use bitcoin::opcodes::all::OP_DROP;
use bitcoin::opcodes::{OP_FALSE, OP_TRUE};
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{ScriptBuf, Witness};
use quittance_regtest::faucet::reward_script;
use quittance_regtest::{MineOptions, Reason};

use crate::stories;
use crate::world::{coin_of, input, output, spend, spend_to, split};

stories! {
    fn versions_1_to_3_are_standard(world) {
        for (version, standard) in [(0, false), (1, true), (2, true), (3, true), (4, false)] {
            let coin = world.coin(10_000);
            let mut transaction = spend(&[&coin], 100);
            transaction.version = Version(version);
            if standard {
                world.accept(&transaction);
            } else {
                assert_eq!(world.refusal(&transaction), Reason::Version);
            }
        }
    }

    fn a_transaction_weighs_at_most_400000(world) {
        let coin = world.coin(10_000_000);
        // One input and n outputs take 216 + 172 n weight units, and the long count two bytes more.
        let heavy = split(&[&coin], 2_325, 200_000);
        assert!(heavy.weight().to_wu() > 400_000, "{}", heavy.weight());
        assert_eq!(world.refusal(&heavy), Reason::TransactionSize);
        let lighter = split(&[&coin], 2_324, 200_000);
        assert!(lighter.weight().to_wu() <= 400_000, "{}", lighter.weight());
        world.accept(&lighter);
    }

    fn a_transaction_has_at_least_65_bytes(world) {
        let coin = world.coin(10_000);
        let with_data = |bytes: &[u8]| {
            let mut script = vec![0x6a];
            script.extend(bytes);
            spend_to(&[&coin], vec![output(0, ScriptBuf::from_bytes(script))])
        };
        let short = with_data(&[2, 7, 7]);
        assert_eq!(short.base_size(), 64);
        assert_eq!(world.refusal(&short), Reason::TransactionTooSmall);
        let enough = with_data(&[3, 7, 7, 7]);
        assert_eq!(enough.base_size(), 65);
        world.accept(&enough);
    }

    fn an_output_below_its_dust_limit_is_refused(world) {
        let coin = world.coin(10_000);
        let with_value = |sat| spend_to(&[&coin], vec![output(sat, reward_script()), output(5_000, reward_script())]);
        assert_eq!(world.refusal(&with_value(329)), Reason::Dust);
        world.accept(&with_value(330));
    }

    fn an_output_has_a_standard_script(world) {
        let coin = world.coin(10_000);
        let bare = Builder::new().push_opcode(OP_TRUE).into_script();
        assert_eq!(world.refusal(&spend_to(&[&coin], vec![output(9_000, bare)])), Reason::ScriptPubkey);
        // Outputs of future segwit versions may be created: BOLT 2 lets a peer shut down to them.
        let future = ScriptBuf::from_bytes([&[0x60, 20][..], &[7; 20]].concat());
        world.accept(&spend_to(&[&coin], vec![output(9_000, future)]));
    }

    fn a_nonstandard_output_cannot_be_spent_by_relay(world) {
        let bare = Builder::new().push_opcode(OP_TRUE).into_script();
        let outpoint = world.coin_under(10_000, bare);
        let mut transaction = spend_to(&[], vec![output(9_000, reward_script())]);
        transaction.input.push(input(outpoint));
        assert_eq!(world.refusal(&transaction), Reason::NonstandardInputs);
        // A miner may confirm it.
        world.chain.mine(&MineOptions::empty(1).including([transaction])).unwrap();
    }

    fn an_output_of_a_future_segwit_version_cannot_be_spent_by_relay(world) {
        let future = ScriptBuf::from_bytes([&[0x60, 20][..], &[7; 20]].concat());
        let outpoint = world.coin_under(10_000, future);
        let mut transaction = spend_to(&[], vec![output(9_000, reward_script())]);
        transaction.input.push(input(outpoint));
        assert_eq!(world.refusal(&transaction), Reason::NonstandardInputs);
    }

    fn a_script_signature_only_pushes_and_is_short(world) {
        let coin = world.coin(10_000);
        let mut transaction = spend(&[&coin], 5_000);
        transaction.input[0].script_sig = Builder::new().push_opcode(OP_FALSE).push_opcode(OP_DROP).into_script();
        assert_eq!(world.refusal(&transaction), Reason::ScriptSigNotPushOnly);
        let mut transaction = spend(&[&coin], 5_000);
        transaction.input[0].script_sig = ScriptBuf::from_bytes(vec![0; 1_651]);
        assert_eq!(world.refusal(&transaction), Reason::ScriptSigSize);
    }

    fn a_witness_item_has_at_most_80_bytes(world) {
        let script = Builder::new().push_opcode(OP_DROP).push_opcode(OP_TRUE).into_script();
        let outpoint = world.coin_under(10_000, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let with_item = |size| {
            let mut transaction = spend_to(&[], vec![output(9_000, reward_script())]);
            transaction.input.push(input(outpoint));
            transaction.input[0].witness = Witness::from_slice(&[vec![7; size], script.to_bytes()]);
            transaction
        };
        assert_eq!(world.refusal(&with_item(81)), Reason::NonstandardWitness);
        world.accept(&with_item(80));
    }

    fn amounts_add_up(world) {
        let coin = world.coin(10_000);
        let mut greedy = spend(&[&coin], 0);
        greedy.output[0].value += bitcoin::Amount::from_sat(1);
        assert_eq!(world.refusal(&greedy), Reason::OutputsExceedInputs);
        let refused = world.chain.mine(&MineOptions::empty(1).including([greedy]));
        assert_eq!(refused.unwrap_err().reason, Reason::OutputsExceedInputs);
        let twice = spend(&[&coin, &coin], 100);
        assert_eq!(world.refusal(&twice), Reason::DuplicateInputs);
        let nothing = spend_to(&[&coin], Vec::new());
        assert_eq!(world.refusal(&nothing), Reason::NoOutputs);
        let unknown = spend(&[&coin_of(&spend(&[&coin], 3), 0)], 100);
        assert_eq!(world.refusal(&unknown), Reason::MissingInputs);
    }

    fn a_reward_waits_until_it_is_mature(world) {
        world.mine(1);
        let hash = world.chain.tip().hash;
        let coinbase = world.chain.block(&hash).unwrap().txdata[0].clone();
        let maturity = world.chain.coinbase_maturity().0;
        let transaction = spend(&[&coin_of(&coinbase, 0)], 1_000);
        world.mine(maturity - 2);
        assert_eq!(world.refusal(&transaction), Reason::ImmatureCoinbase);
        world.mine(1);
        world.accept(&transaction);
    }
}
