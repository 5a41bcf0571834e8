//! Appendix B (funding transaction), D (per-commitment secrets) and E (key derivation).

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Address, Amount, Block, Network, NetworkKind, PrivateKey, Txid, constants};
use quittance_primitives::{CommitmentNumber, FeeratePerKw};
use quittance_transactions::keys::{derive_public_key, derive_revocation_public_key, key_tweak};
use quittance_transactions::signing::{derive_private_key, derive_revocation_private_key, sign};
use quittance_transactions::{
    CommitmentSeed, PerCommitmentSecret, SecretMismatch, SecretStore, funding as funding_output, scripts,
};
use secp256k1::{Message, SECP256K1};
use serde_json::Value;

use super::{array, bytes, items, number, point, sat, secret_key, text, transaction};
use crate::{Case, Report, load};

/// The chain, the keys and the funding transaction of appendix B.
pub(super) fn funding(report: &mut Report) {
    let vector = load(report.file);
    report.case("the chain that the funding comes from", |case| chain(case, &vector));
    report.case("the funding transaction", |case| {
        let (local, remote) = (
            point(&vector["local_funding_pubkey"]),
            point(&vector["remote_funding_pubkey"]),
        );
        case.hex(
            "witness script",
            scripts::funding(&local, &remote),
            &vector["funding_witness_script"],
        );
        case.hex(
            "witness script, keys swapped",
            scripts::funding(&remote, &local),
            &vector["funding_witness_script"],
        );

        let stated = transaction(&vector["funding_tx"]);
        let place: usize = number(&vector["funding_output"]);
        let value = sat(&vector["funding_satoshis"]);
        case.equal(
            "output",
            funding_output::output(&local, &remote, value),
            stated.output[place].clone(),
        );
        case.equal("change", stated.output[1].value, sat(&vector["change_satoshis"]));
        case.equal(
            "txid",
            stated.compute_txid().to_string(),
            text(&vector["txid"]).to_owned(),
        );
        case.equal(
            "input",
            stated.input[0].previous_output.txid.to_string(),
            text(&vector["input_txid"]).to_owned(),
        );
        case.equal(
            "input index",
            stated.input[0].previous_output.vout,
            number(&vector["input_index"]),
        );

        let spent: Amount = stated.output.iter().map(|output| output.value).sum();
        let rate = FeeratePerKw(number(&vector["feerate_per_kw"]));
        let paid = sat(&vector["input_satoshis"]) - spent;
        case.equal("fee", rate.fee_floor(stated.weight()), paid);
        sign_funding(case, &vector);
    });
}

fn chain(case: &mut Case, vector: &Value) {
    case.hex(
        "block 0",
        serialize(&constants::genesis_block(Network::Regtest)),
        &vector["block_0_genesis"],
    );
    let block: Block = bitcoin::consensus::deserialize(&bytes(&vector["block_1"])).expect("a block");
    case.equal(
        "block 1 follows",
        block.header.prev_blockhash,
        constants::genesis_block(Network::Regtest).block_hash(),
    );
    case.holds("block 1 holds its transactions", block.check_merkle_root());
    case.hex(
        "coinbase transaction",
        serialize(&block.txdata[0]),
        &vector["block_1_coinbase_transaction"],
    );
    case.equal(
        "coinbase id",
        block.txdata[0].compute_txid().to_string(),
        text(&vector["input_txid"]).to_owned(),
    );
    case.equal(
        "coinbase value",
        block.txdata[0].output[0].value,
        sat(&vector["input_satoshis"]),
    );

    let key = PrivateKey::new(secret_key(&vector["block_1_coinbase_privkey"]), NetworkKind::Test);
    case.equal(
        "coinbase key, base 58",
        key.to_wif(),
        text(&vector["block_1_coinbase_privkey_in_base58"]).to_owned(),
    );
    let address = Address::p2pkh(key.public_key(SECP256K1), NetworkKind::Test);
    case.equal(
        "coinbase address",
        address.to_string(),
        text(&vector["block_1_coinbase_pubkey_in_base68"]).to_owned(),
    );
    case.equal(
        "coinbase script",
        address.script_pubkey(),
        block.txdata[0].output[0].script_pubkey.clone(),
    );
}

/// The stated signature is the deterministic one.
fn sign_funding(case: &mut Case, vector: &Value) {
    let mut ours = transaction(&vector["funding_tx"]);
    let coinbase = transaction(&vector["block_1_coinbase_transaction"]);
    let key = secret_key(&vector["block_1_coinbase_privkey"]);
    ours.input[0].script_sig = bitcoin::ScriptBuf::new();
    let digest = SighashCache::new(&ours)
        .legacy_signature_hash(0, &coinbase.output[0].script_pubkey, EcdsaSighashType::All.to_u32())
        .expect("the transaction has an input");
    let signature = sign(&Message::from_digest(digest.to_byte_array()), &key);
    let mut push = signature.serialize_der().to_vec();
    push.push(1);
    let push: &bitcoin::script::PushBytes = push.as_slice().try_into().expect("a signature is short");
    ours.input[0].script_sig = bitcoin::script::Builder::new()
        .push_slice(push)
        .push_slice(key.public_key(SECP256K1).serialize())
        .into_script();
    case.hex("signed transaction", serialize(&ours), &vector["funding_tx"]);
    let txid: Txid = text(&vector["txid"]).parse().expect("a txid");
    case.equal("id of the signed transaction", ours.compute_txid(), txid);
}

/// Generation and storage of appendix D. Its indexes count down from 2^48 - 1; ours are commitment numbers, counted up.
pub(super) fn per_commitment_secrets(report: &mut Report) {
    let vector = load(report.file);
    for test in items(&vector["generation"]) {
        report.case(text(&test["name"]), |case| {
            let index: u64 = number(&test["I_dec"]);
            case.equal("index as text", index, index_of(&test["I"]));
            let secret = CommitmentSeed::new(array(&test["seed"])).secret(number_of(index));
            case.equal("secret", secret, PerCommitmentSecret(array(&test["output"])));
        });
    }
    for test in items(&vector["storage"]) {
        report.case(text(&test["name"]), |case| {
            let mut store = SecretStore::new();
            let mut accepted = Vec::new();
            for insert in items(&test["inserts"]) {
                let number = number_of(index_of(&insert["I"]));
                let secret = PerCommitmentSecret(array(&insert["secret"]));
                let stated = match text(&insert["output"]) {
                    "OK" => Ok(()),
                    _ => Err(SecretMismatch { number }),
                };
                case.equal("insert", store.insert(number, secret), stated);
                if stated.is_ok() {
                    accepted.push((number, secret));
                }
            }
            for (number, secret) in accepted {
                case.equal("kept", store.secret(number), Some(secret));
            }
        });
    }
}

fn number_of(index: u64) -> CommitmentNumber {
    CommitmentNumber(CommitmentNumber::MAX.0 - index)
}

fn index_of(value: &Value) -> u64 {
    let text = text(value);
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .expect("an index")
}

/// The four derivations of appendix E, with every intermediate value.
pub(super) fn derivation(report: &mut Report) {
    let vector = load(report.file);
    let inputs = &vector["inputs"];
    let (base_secret, secret) = (
        secret_key(&inputs["base_secret"]),
        secret_key(&inputs["per_commitment_secret"]),
    );
    let (base, commitment) = (point(&inputs["base_point"]), point(&inputs["per_commitment_point"]));
    report.case("inputs", |case| {
        case.equal("base point", base_secret.public_key(SECP256K1), base);
        case.equal(
            "per-commitment point",
            PerCommitmentSecret(secret.secret_bytes()).point(),
            Ok(commitment),
        );
    });
    for test in items(&vector["vectors"]) {
        report.case(text(&test["name"]), |case| {
            let trace: Vec<_> = items(&test["trace"]).iter().map(text).collect();
            // The tweaks by basepoint, then by point; with them everything that the traces name.
            let by_point = key_tweak(&commitment, &base);
            let by_base = key_tweak(&base, &commitment);
            if let Some(stated) = test.get("expected_localpubkey") {
                let ours = derive_public_key(&base, &commitment);
                case.equal("public key", ours, point(stated));
                traced(
                    case,
                    &trace,
                    &[&by_point.to_be_bytes(), &base.serialize(), &ours.serialize()],
                );
            } else if let Some(stated) = test.get("expected_localprivkey") {
                let ours = derive_private_key(&base_secret, &commitment);
                case.equal("private key", ours, secret_key(stated));
                traced(
                    case,
                    &trace,
                    &[
                        &by_point.to_be_bytes(),
                        &base_secret.secret_bytes(),
                        &ours.secret_bytes(),
                    ],
                );
            } else if let Some(stated) = test.get("expected_revocationpubkey") {
                let ours = derive_revocation_public_key(&base, &commitment);
                case.equal("revocation key", ours, point(stated));
                let base_part = base.mul_tweak(SECP256K1, &by_base).expect("no zero");
                let point_part = commitment.mul_tweak(SECP256K1, &by_point).expect("no zero");
                let values = [base_part.serialize(), point_part.serialize(), ours.serialize()];
                traced(case, &trace, &[&by_base.to_be_bytes(), &by_point.to_be_bytes()]);
                for value in &values {
                    traced(case, &trace, &[value]);
                }
            } else {
                let ours = derive_revocation_private_key(&base_secret, &secret);
                case.equal(
                    "revocation private key",
                    ours,
                    secret_key(&test["expected_revocationprivkey"]),
                );
                let base_part = base_secret.mul_tweak(&by_base).expect("no zero");
                let point_part = secret.mul_tweak(&by_point).expect("no zero");
                let values = [base_part.secret_bytes(), point_part.secret_bytes(), ours.secret_bytes()];
                traced(case, &trace, &[&by_base.to_be_bytes(), &by_point.to_be_bytes()]);
                for value in &values {
                    traced(case, &trace, &[value]);
                }
            }
        });
    }
}

/// Every intermediate value of ours stands in the trace. Its last line is the result, which is stated apart and compared there.
fn traced(case: &mut Case, trace: &[&str], ours: &[&[u8]]) {
    for value in ours {
        let hex = format!("0x{}", hex::encode(value));
        case.holds(
            &format!("the trace has {hex}"),
            trace.iter().any(|line| line.contains(&hex)),
        );
    }
}
