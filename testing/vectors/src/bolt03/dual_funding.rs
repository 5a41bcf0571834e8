//! Appendix G: a funding transaction that both sides build together, from messages to signatures.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Address, Amount, Block, Network, OutPoint, PrivateKey, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness, absolute, constants, ecdsa,
};
use quittance_primitives::{ChannelId, FeeratePerKw};
use quittance_transactions::interactive::{Contribution, Share, assemble};
use quittance_transactions::{funding, scripts};
use quittance_wire::{Message, TxAddInput, TxAddOutput, TxSignatures};
use secp256k1::{SECP256K1, SecretKey};
use serde_json::Value;

use super::{bytes, items, number, point, sat, text, transaction};
use crate::{Case, Report, load};

/// The channel's id is not stated.
const CHANNEL: ChannelId = ChannelId([0x2a; 32]);

pub(super) fn dual_funding(report: &mut Report) {
    let vector = load(report.file);
    report.case("the chain, the inputs and the outputs", |case| {
        chain(case, &vector);
        inputs(case, &vector);
        outputs(case, &vector);
    });
    report.case("fees", |case| fees(case, &vector));
    report.case("the funding transaction", |case| {
        let unsigned = negotiated(case, &vector);
        case.hex("unsigned", serialize(&unsigned), &vector["unsigned_funding_tx"]);
        let signed = with_witnesses(case, &vector, unsigned);
        case.hex("signed", serialize(&signed), &vector["signed_funding_tx"]);
        accepter_signature(case, &vector, &signed);
    });
}

fn chain(case: &mut Case, vector: &Value) {
    case.hex(
        "genesis",
        serialize(&constants::genesis_block(Network::Regtest)),
        &vector["genesis_block"],
    );
    let block: Block = deserialize(&bytes(&vector["block_1"])).expect("a block");
    case.holds("block 1 holds its transactions", block.check_merkle_root());
    let coinbase = &block.txdata[0];
    let key = PrivateKey::from_wif(text(&vector["coinbase_privkey_wif"])).expect("a private key");
    let address = Address::p2shwpkh(
        &key.public_key(SECP256K1).try_into().expect("compressed"),
        Network::Regtest,
    );
    case.equal(
        "coinbase address",
        address.to_string(),
        text(&vector["coinbase_address"]).to_owned(),
    );
    case.equal(
        "coinbase script",
        address.script_pubkey(),
        coinbase.output[0].script_pubkey.clone(),
    );
    let parent = transaction(&vector["parent_tx"]);
    let spent = OutPoint {
        txid: coinbase.compute_txid(),
        vout: 0,
    };
    case.equal("the parent spends the coinbase", parent.input[0].previous_output, spent);
}

fn inputs(case: &mut Case, vector: &Value) {
    let parent = transaction(&vector["parent_tx"]);
    for input in items(&vector["inputs"]) {
        case.equal(
            "parent",
            parent.compute_txid().to_string(),
            text(&input["txid"]).to_owned(),
        );
        let output = &parent.output[number::<usize>(&input["vout"])];
        case.hex("script", &output.script_pubkey, &input["scriptPubKey"]);
        case.equal(
            "address",
            address(&output.script_pubkey),
            text(&input["address"]).to_owned(),
        );
        if let Some(script) = input.get("witness_script") {
            let script = ScriptBuf::from(without_length(script));
            case.equal("witness script", script.to_p2wsh(), output.script_pubkey.clone());
        }
        if let Some(stated) = input.get("pubkey") {
            let key = wif(&input["privkey"]).public_key(SECP256K1);
            case.equal("key", key, point(stated));
            let script = scripts::to_remote_key_hash(&key);
            case.hex("witness program", &script.as_bytes()[2..], &input["witness_program"]);
        }
    }
}

fn outputs(case: &mut Case, vector: &Value) {
    for output in items(&vector["outputs"]) {
        let (script_pubkey, stated) = if let Some(stated) = output.get("pubkey") {
            let key = wif(&output["privkey"]).public_key(SECP256K1);
            case.equal("key", key, point(stated));
            (scripts::to_remote_key_hash(&key), &output["scriptPubKey"])
        } else {
            let (one, other) = (point(&output["pubkey1"]), point(&output["pubkey2"]));
            case.hex("2-of-2", scripts::funding(&other, &one), &output["script"]);
            let definition = format!("multi(2,{one},{other})");
            case.equal("descriptor", definition, text(&output["script_def"]).to_owned());
            (
                funding::output(&one, &other, Amount::ZERO).script_pubkey,
                &output["scriptPubKey"],
            )
        };
        case.hex("script", &script_pubkey, stated);
        case.equal("address", address(&script_pubkey), text(&output["address"]).to_owned());
    }
}

fn fees(case: &mut Case, vector: &Value) {
    let (stated, feerate) = (&vector["fees"], FeeratePerKw(number(&vector["feerate_per_kw"])));
    let funding_value = sat(&vector["opener_funding_satoshi"]) + sat(&vector["accepter_funding_satoshi"]);
    let script = |output: &Value| ScriptBuf::from(without_length(&output["script"]));
    let contribution = |outputs: &Value, signatures: &Value| {
        let one_input = Contribution {
            inputs: 1,
            witness_bytes: number(&items(&signatures["witness"])[0]["len"]),
            output_script_bytes: Vec::new(),
        };
        items(outputs)
            .iter()
            .fold(one_input, |sum, output| sum.with_output(&script(output)))
    };
    let opener = contribution(&vector["opener_tx_add_output"], &vector["opener_tx_signatures"]);
    let accepter = contribution(&vector["accepter_tx_add_output"], &vector["accepter_tx_signatures"]);
    case.equal(
        "initiator weight",
        opener.weight(Share::Initiator).to_wu(),
        number(&stated["initiator_weight"]),
    );
    let fee = opener.fee(Share::Initiator, feerate);
    case.equal("initiator fee", fee, sat(&stated["initiator_fee_sat"]));
    // The fee's own line prints 398 where the sum above it gives 395; the stated fee follows from 395.
    let weight = accepter.weight(Share::Contributor).to_wu();
    case.equal(
        "contributor weight",
        weight,
        number(&stated["contributor_weight_as_summed"]),
    );
    let contributor_fee = accepter.fee(Share::Contributor, feerate);
    case.equal("contributor fee", contributor_fee, sat(&stated["contributor_fee_sat"]));

    let parent = transaction(&vector["parent_tx"]);
    let value = |input: &Value| parent.output[number::<usize>(&input["vout"])].value;
    let inputs = items(&vector["inputs"]);
    let opener_change = value(&inputs[0]) - sat(&vector["opener_funding_satoshi"]) - fee;
    case.equal("initiator change", opener_change, sat(&stated["initiator_change_sat"]));
    let accepter_change = value(&inputs[1]) - sat(&vector["accepter_funding_satoshi"]) - contributor_fee;
    case.equal(
        "contributor change",
        accepter_change,
        sat(&stated["contributor_change_sat"]),
    );
    let funding_output = &items(&vector["opener_tx_add_output"])[1];
    case.equal("funding value", funding_value, sat(&funding_output["sats"]));
}

/// The transaction that the messages of both sides add up to, each message sent through the codec.
fn negotiated(case: &mut Case, vector: &Value) -> Transaction {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for stated in items(&vector["opener_tx_add_input"])
        .iter()
        .chain(items(&vector["accepter_tx_add_input"]))
    {
        let sent = TxAddInput {
            channel_id: CHANNEL,
            serial_id: number(&stated["serial_id"]),
            prevtx: bytes(&stated["prevtx"]),
            prevtx_vout: number(&stated["prev_vout"]),
            sequence: number(&stated["sequence"]),
            shared_input_txid: None,
        };
        case.equal("prevtx_len", sent.prevtx.len(), number(&stated["prevtx_len"]));
        let Ok(Message::TxAddInput(arrived)) = Message::decode(&Message::from(sent).encode()) else {
            case.holds("tx_add_input arrives", false);
            continue;
        };
        let previous: Transaction = deserialize(&arrived.prevtx).expect("a transaction");
        let input = TxIn {
            previous_output: OutPoint {
                txid: previous.compute_txid(),
                vout: arrived.prevtx_vout,
            },
            sequence: Sequence(arrived.sequence),
            ..TxIn::default()
        };
        inputs.push((arrived.serial_id, input));
    }
    for stated in items(&vector["opener_tx_add_output"])
        .iter()
        .chain(items(&vector["accepter_tx_add_output"]))
    {
        let sent = TxAddOutput {
            channel_id: CHANNEL,
            serial_id: number(&stated["serial_id"]),
            sats: sat(&stated["sats"]),
            script: ScriptBuf::from(without_length(&stated["script"])),
        };
        case.equal("scriptlen", sent.script.len(), number(&stated["scriptlen"]));
        let Ok(Message::TxAddOutput(arrived)) = Message::decode(&Message::from(sent).encode()) else {
            case.holds("tx_add_output arrives", false);
            continue;
        };
        let output = TxOut {
            value: arrived.sats,
            script_pubkey: arrived.script,
        };
        outputs.push((arrived.serial_id, output));
    }
    assemble(
        inputs,
        outputs,
        absolute::LockTime::from_consensus(number(&vector["locktime"])),
    )
}

/// The witnesses of both `tx_signatures`; the accepter's input has the lower serial id.
fn with_witnesses(case: &mut Case, vector: &Value, mut funding: Transaction) -> Transaction {
    for (place, side) in ["accepter_tx_signatures", "opener_tx_signatures"]
        .into_iter()
        .enumerate()
    {
        let stated = &vector[side];
        let witness_stated = &items(&stated["witness"])[0];
        let txid: Txid = text(&stated["txid"]).parse().expect("a txid");
        case.equal("txid", funding.compute_txid(), txid);
        let witness: Witness = deserialize(&bytes(&witness_stated["witness_data"])).expect("a witness");
        let sent = Message::from(TxSignatures {
            channel_id: CHANNEL,
            txid,
            witnesses: vec![witness],
            shared_input_signature: None,
        })
        .encode();
        let Ok(Message::TxSignatures(arrived)) = Message::decode(&sent) else {
            case.holds("tx_signatures arrives", false);
            continue;
        };
        case.equal(
            "num_witnesses",
            arrived.witnesses.len(),
            number(&stated["num_witnesses"]),
        );
        // The message ends in the witness and its length.
        let witness_data = bytes(&witness_stated["witness_data"]);
        case.equal("len", witness_data.len(), number(&witness_stated["len"]));
        let length = u16::try_from(witness_data.len()).expect("short").to_be_bytes();
        case.holds(
            "the message holds it",
            sent.ends_with(&[&length[..], &witness_data].concat()),
        );
        funding.input[place].witness = arrived.witnesses[0].clone();
    }
    let preimage = without_length(&items(&vector["inputs"])[0]["preimage"]);
    case.equal("preimage", funding.input[1].witness.nth(0), Some(&preimage[..]));
    let script = without_length(&items(&vector["inputs"])[0]["witness_script"]);
    case.equal(
        "script of the preimage",
        funding.input[1].witness.nth(1),
        Some(&script[..]),
    );
    funding
}

fn accepter_signature(case: &mut Case, vector: &Value, signed: &Transaction) {
    let input = &items(&vector["inputs"])[1];
    let output = &transaction(&vector["parent_tx"]).output[number::<usize>(&input["vout"])];
    let digest = SighashCache::new(signed)
        .p2wpkh_signature_hash(0, &output.script_pubkey, output.value, EcdsaSighashType::All)
        .expect("a key hash");
    let message = secp256k1::Message::from_digest(digest.to_byte_array());
    let stated = signed.input[0]
        .witness
        .nth(0)
        .and_then(|bytes| ecdsa::Signature::from_slice(bytes).ok());
    let ours = SECP256K1.sign_ecdsa_low_r(&message, &wif(&input["privkey"]));
    case.equal(
        "accepter's signature",
        Some(ours),
        stated.map(|signature| signature.signature),
    );
}

/// Scripts and preimages are stated with their length in front.
fn without_length(value: &Value) -> Vec<u8> {
    let hex: String = text(value).split_whitespace().collect();
    let bytes = Vec::from_hex(&hex).expect("the vector has hex here");
    let (length, rest) = bytes.split_first().expect("a length");
    assert_eq!(usize::from(*length), rest.len(), "the stated length is right");
    rest.to_vec()
}

fn wif(value: &Value) -> SecretKey {
    PrivateKey::from_wif(text(value))
        .expect("the vector has a private key here")
        .inner
}

fn address(script: &bitcoin::Script) -> String {
    Address::from_script(script, Network::Regtest)
        .expect("a standard script")
        .to_string()
}
