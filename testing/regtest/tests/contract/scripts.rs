//! Signatures and scripts of the kinds that Lightning uses, judged by consensus code, and the policy on top.

use bitcoin::key::{Keypair, TapTweak};
use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_DROP, OP_ELSE, OP_ENDIF, OP_IF};
use bitcoin::script::Builder;
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey, ecdsa::Signature};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{Amount, CompressedPublicKey, OutPoint, PublicKey, ScriptBuf, Transaction, TxOut, Witness};
use quittance_regtest::faucet::reward_script;
use quittance_regtest::{MineOptions, Reason};

use crate::stories;
use crate::world::{input, output, spend_to};

const VALUE: u64 = 10_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_slice(&[seed; 32]).unwrap()
}

fn public(key: &SecretKey) -> PublicKey {
    PublicKey::new(key.public_key(&Secp256k1::new()))
}

fn unsigned(outpoint: OutPoint) -> Transaction {
    let mut transaction = spend_to(&[], vec![output(VALUE - 1_000, reward_script())]);
    transaction.input.push(input(outpoint));
    transaction
}

fn with_witness(mut transaction: Transaction, items: &[&[u8]]) -> Transaction {
    transaction.input[0].witness = Witness::from_slice(items);
    transaction
}

fn sign_p2wsh(transaction: &Transaction, script: &ScriptBuf, key: &SecretKey) -> Signature {
    let sighash = SighashCache::new(transaction)
        .p2wsh_signature_hash(0, script, Amount::from_sat(VALUE), EcdsaSighashType::All)
        .unwrap();
    Secp256k1::new().sign_ecdsa(&Message::from(sighash), key)
}

fn encoded(signature: &Signature) -> Vec<u8> {
    [&*signature.serialize_der(), &[EcdsaSighashType::All as u8]].concat()
}

/// The same signature with the other S value, which consensus accepts and policy does not.
fn with_high_s(signature: &Signature) -> Vec<u8> {
    let compact = signature.serialize_compact();
    let s = SecretKey::from_slice(&compact[32..]).unwrap().negate();
    let integer = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if bytes[0] & 0x80 != 0 {
            bytes.insert(0, 0);
        }
        [&[2, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat()
    };
    let body = [integer(&compact[..32]), integer(&s.secret_bytes())].concat();
    [
        &[0x30, u8::try_from(body.len()).unwrap()][..],
        &body,
        &[EcdsaSighashType::All as u8],
    ]
    .concat()
}

stories! {
    fn a_key_hash_is_spent_by_its_key(world) {
        let key = key(1);
        let script = ScriptBuf::new_p2wpkh(&CompressedPublicKey(public(&key).inner).wpubkey_hash());
        let outpoint = world.coin_under(VALUE, script.clone());
        let transaction = unsigned(outpoint);
        let sighash = SighashCache::new(&transaction)
            .p2wpkh_signature_hash(0, &script, Amount::from_sat(VALUE), EcdsaSighashType::All)
            .unwrap();
        let signature = Secp256k1::new().sign_ecdsa(&Message::from(sighash), &key);
        let public = public(&key).to_bytes();

        assert_eq!(world.refusal(&transaction), Reason::ScriptFailed);
        let mut other = with_witness(transaction.clone(), &[&encoded(&signature), &public]);
        other.output[0].value -= Amount::from_sat(1);
        assert_eq!(world.refusal(&other), Reason::ScriptFailed);
        world.accept(&with_witness(transaction, &[&encoded(&signature), &public]));
    }

    fn a_funding_output_is_spent_by_both_keys(world) {
        let keys = [key(2), key(3)];
        let script = Builder::new()
            .push_int(2)
            .push_key(&public(&keys[0]))
            .push_key(&public(&keys[1]))
            .push_int(2)
            .push_opcode(bitcoin::opcodes::all::OP_CHECKMULTISIG)
            .into_script();
        let outpoint = world.coin_under(VALUE, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let transaction = unsigned(outpoint);
        let [first, second] = keys.map(|key| encoded(&sign_p2wsh(&transaction, &script, &key)));
        let spent_with = |a: &[u8], b: &[u8]| with_witness(transaction.clone(), &[&[], a, b, script.as_bytes()]);
        assert_eq!(world.refusal(&spent_with(&second, &first)), Reason::ScriptFailed);
        assert_eq!(world.refusal(&spent_with(&first, &first)), Reason::ScriptFailed);
        world.accept(&spent_with(&first, &second));
    }

    fn a_taproot_output_is_spent_by_its_key(world) {
        let secp = Secp256k1::new();
        let pair = Keypair::from_secret_key(&secp, &key(4));
        let script = ScriptBuf::new_p2tr(&secp, pair.x_only_public_key().0, None);
        let outpoint = world.coin_under(VALUE, script.clone());
        let transaction = unsigned(outpoint);
        let spent: TxOut = output(VALUE, script);
        let sighash = SighashCache::new(&transaction)
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&[spent]), TapSighashType::Default)
            .unwrap();
        let signature = secp.sign_schnorr_no_aux_rand(&Message::from(sighash), &pair.tap_tweak(&secp, None).to_keypair());
        let mut wrong = signature.serialize();
        wrong[63] ^= 1;
        assert_eq!(world.refusal(&with_witness(transaction.clone(), &[&wrong])), Reason::ScriptFailed);
        world.accept(&with_witness(transaction, &[&signature.serialize()]));
    }

    fn a_high_s_value_is_valid_but_not_relayed(world) {
        let key = key(5);
        let script = Builder::new().push_key(&public(&key)).push_opcode(OP_CHECKSIG).into_script();
        let outpoint = world.coin_under(VALUE, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let transaction = unsigned(outpoint);
        let signature = sign_p2wsh(&transaction, &script, &key);
        let high = with_witness(transaction.clone(), &[&with_high_s(&signature), script.as_bytes()]);
        assert_eq!(world.refusal(&high), Reason::ScriptFailed);
        let low = with_witness(transaction, &[&encoded(&signature), script.as_bytes()]);
        assert!(world.chain.test_accept(&low).is_ok());
        world.chain.mine(&MineOptions::empty(1).including([high])).unwrap();
    }

    fn the_argument_of_a_branch_is_empty_or_one(world) {
        let script = Builder::new()
            .push_opcode(OP_IF)
            .push_opcode(OP_TRUE)
            .push_opcode(OP_ELSE)
            .push_opcode(OP_TRUE)
            .push_opcode(OP_ENDIF)
            .into_script();
        let outpoint = world.coin_under(VALUE, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let with_argument = |argument: &[u8]| with_witness(unsigned(outpoint), &[argument, script.as_bytes()]);
        assert_eq!(world.refusal(&with_argument(&[2])), Reason::ScriptFailed);
        assert!(world.chain.test_accept(&with_argument(&[])).is_ok());
        world.accept(&with_argument(&[1]));
    }

    fn a_witness_script_must_match_its_hash(world) {
        let script = Builder::new().push_opcode(OP_DROP).push_opcode(OP_TRUE).into_script();
        let outpoint = world.coin_under(VALUE, ScriptBuf::new_p2wsh(&script.wscript_hash()));
        let other = Builder::new().push_opcode(OP_TRUE).into_script();
        assert_eq!(world.refusal(&with_witness(unsigned(outpoint), &[other.as_bytes()])), Reason::ScriptFailed);
        world.accept(&with_witness(unsigned(outpoint), &[&[7], script.as_bytes()]));
    }
}
