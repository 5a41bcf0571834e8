//! Appendix C (`option_static_remotekey`), F (`option_anchors`) and H (`zero_fee_commitments`): commitments and their second
//! stages, signed by both sides.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};
use quittance_primitives::{
    CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash, PaymentPreimage, ToSelfDelay,
};
use quittance_transactions::signing::{ChannelSecretKeys, derive_private_key};
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentFormat, CommitmentKeys, Htlc, HtlcDirection, HtlcOutputs,
    ObscuringFactor, OutputRole, PerCommitmentSecret, Role, SideTerms, fees, scripts,
};
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use serde_json::Value;

use super::signers::{Signed, Signers, equal_signature, equal_transaction, local_signature};
use super::{array, items, number, point, sat, secret_key, text};
use crate::{Case, Report, load};

/// Appendix C, with everything that it states of each output.
pub(super) fn static_remotekey(report: &mut Report) {
    let vector = load(report.file);
    let signers = appendix_c_signers(&vector, CommitmentFormat::StaticRemotekey);
    report.case("keys and parameters", |case| appendix_c_keys(case, &vector, &signers));
    for test in items(&vector["tests"]) {
        report.case(text(&test["name"]), |case| {
            let ids = appendix_c_htlcs_of(test);
            let contents = appendix_c_contents(&vector, &ids, test);
            let signed = signers.sign(case, &contents);
            equal_signature(
                case,
                "remote signature",
                &signed.countersignatures.funding,
                &test["remote_signature"],
            );
            equal_signature(case, "local signature", &signed.own_signature, &test["local_signature"]);
            equal_transaction(case, "commitment", &signed.transaction, &test["commit_tx"]);
            case.equal(
                "number of HTLCs",
                signed.commitment.htlc_outputs().len(),
                number(&test["num_htlcs"]),
            );
            stated_fees(case, test, &signed, &contents);
            stated_outputs(case, test, &signed);
            for (place, stated) in items(&test["htlc_txs"]).iter().enumerate() {
                stated_second_stage(case, stated, &signers, &signed, place);
            }
        });
    }
}

/// Appendix F: keys, funding and HTLCs are those of appendix C.
pub(super) fn anchors(report: &mut Report) {
    let vector = load(report.file);
    let keys = load("bolt03/appendix-c-commitment-tx.json");
    for test in items(&vector["tests"]) {
        report.case(text(&test["Name"]), |case| {
            let mut signers = appendix_c_signers(&keys, CommitmentFormat::Anchors);
            signers.terms.opener.dust_limit = sat(&test["DustLimitSatoshis"]);
            let ids = match (
                test["UseTestHtlcs"].as_bool(),
                text(&test["Name"]).contains("same amount and preimage"),
            ) {
                (Some(true), true) => vec![1, 5, 6],
                (Some(true), false) => vec![0, 1, 2, 3, 4],
                _ => Vec::new(),
            };
            let mut contents = contents(&keys, 42);
            contents.htlcs = appendix_c_htlcs(&keys, &ids);
            contents.to_broadcaster = MilliSatoshi(number(&test["LocalBalance"]));
            contents.to_countersignatory = MilliSatoshi(number(&test["RemoteBalance"]));
            contents.feerate = FeeratePerKw(number(&test["FeePerKw"]));

            let signed = signers.sign(case, &contents);
            equal_signature(
                case,
                "remote signature",
                &signed.countersignatures.funding,
                &test["RemoteSigHex"],
            );
            equal_transaction(
                case,
                "commitment",
                &signed.transaction,
                &test["ExpectedCommitmentTxHex"],
            );
            let descriptions = items(&test["HtlcDescs"]);
            case.equal(
                "number of HTLCs",
                signed.countersignatures.htlcs.len(),
                descriptions.len(),
            );
            for (place, stated) in descriptions.iter().enumerate() {
                equal_signature(
                    case,
                    "HTLC signature",
                    &signed.countersignatures.htlcs[place],
                    &stated["RemoteSigHex"],
                );
                let ours = signers.second_stage(&signed, place);
                equal_transaction(case, "second stage", &ours, &stated["ResolutionTxHex"]);
            }
        });
    }
}

/// Appendix H, with keys of its own.
pub(super) fn zero_fee(report: &mut Report) {
    let vector = load(report.file);
    let mut signers = appendix_h_signers(&vector);
    report.case("preimages", |case| {
        for (hash, preimage) in &signers.preimages {
            case.equal("hash", preimage.hash(), PaymentHash(*hash));
        }
    });
    for test in items(&vector["tests"]) {
        report.case(text(&test["name"]), |case| {
            signers.terms.opener.dust_limit = sat(&test["dust_limit_satoshis"]);
            let incoming = items(&test["incoming_htlcs"])
                .iter()
                .map(|htlc| stated_htlc(HtlcDirection::Received, htlc));
            let outgoing = items(&test["outgoing_htlcs"])
                .iter()
                .map(|htlc| stated_htlc(HtlcDirection::Offered, htlc));
            let contents = CommitmentContents {
                broadcaster: Role::Opener,
                number: CommitmentNumber(number(&vector["commitment_number"])),
                per_commitment_point: point(&vector["per_commitment_point"]),
                feerate: FeeratePerKw(0),
                to_broadcaster: MilliSatoshi(number(&test["to_local_msat"])),
                to_countersignatory: MilliSatoshi(number(&test["to_remote_msat"])),
                htlcs: incoming.chain(outgoing).collect(),
            };
            let signed = signers.sign(case, &contents);
            equal_transaction(case, "commitment", &signed.transaction, &test["signed_commit_tx"]);
            for (direction, stated) in [
                (HtlcDirection::Received, items(&test["signed_htlc_success_txs"])),
                (HtlcDirection::Offered, items(&test["signed_htlc_timeout_txs"])),
            ] {
                let outputs = signed.commitment.htlc_outputs().iter().enumerate();
                let places: Vec<_> = outputs
                    .filter(|(_, output)| output.htlc.direction == direction)
                    .collect();
                case.equal("number of second stages", places.len(), stated.len());
                for ((place, _), stated) in places.into_iter().zip(stated) {
                    equal_transaction(case, "second stage", &signers.second_stage(&signed, place), stated);
                }
            }
        });
    }
}

fn appendix_c_signers(vector: &Value, format: CommitmentFormat) -> Signers {
    let (params, internal) = (&vector["params"], &vector["internal"]);
    let payment = |side: &str| secret_key(&internal[format!("{side}_payment_basepoint_secret")]);
    // Keys that no transaction of the local side uses are not stated.
    let local = ChannelSecretKeys {
        funding: secret_key(&params["local_funding_privkey"]),
        revocation_basepoint: unused_key(),
        payment_basepoint: payment("local"),
        delayed_payment_basepoint: secret_key(&internal["local_delayed_payment_basepoint_secret"]),
        htlc_basepoint: payment("local"),
    };
    let remote = ChannelSecretKeys {
        funding: secret_key(&internal["remote_funding_privkey"]),
        revocation_basepoint: secret_key(&internal["remote_revocation_basepoint_secret"]),
        payment_basepoint: payment("remote"),
        delayed_payment_basepoint: unused_key(),
        htlc_basepoint: payment("remote"),
    };
    let preimages = items(&vector["htlcs"]).iter().map(|htlc| {
        let preimage = PaymentPreimage(array(&htlc["payment_preimage"]));
        (preimage.hash().0, preimage)
    });
    Signers {
        terms: ChannelTerms {
            funding_outpoint: OutPoint {
                txid: text(&params["funding_tx_id"]).parse().expect("a txid"),
                vout: number(&params["funding_output_index"]),
            },
            funding_value: sat(&params["funding_amount_satoshi"]),
            format,
            opener: side(
                &local,
                sat(&params["local_dust_limit_satoshi"]),
                number(&params["local_delay"]),
            ),
            accepter: side(&remote, Amount::from_sat(546), 144),
        },
        preimages: preimages.collect(),
        local,
        remote,
    }
}

fn appendix_h_signers(vector: &Value) -> Signers {
    let local = ChannelSecretKeys {
        funding: secret_key(&vector["local_funding_priv"]),
        revocation_basepoint: unused_key(),
        payment_basepoint: secret_key(&vector["local_payment_basepoint_secret"]),
        delayed_payment_basepoint: secret_key(&vector["local_delayed_payment_basepoint_secret"]),
        htlc_basepoint: secret_key(&vector["local_htlc_basepoint_secret"]),
    };
    let remote = ChannelSecretKeys {
        funding: secret_key(&vector["remote_funding_priv"]),
        revocation_basepoint: unused_key(),
        payment_basepoint: secret_key(&vector["remote_payment_basepoint_secret"]),
        delayed_payment_basepoint: unused_key(),
        htlc_basepoint: secret_key(&vector["remote_htlc_basepoint_secret"]),
    };
    let mut accepter = side(&remote, Amount::from_sat(354), 720);
    accepter.keys.revocation_basepoint = point(&vector["revocation_basepoint"]);
    let pairs = vector["payment_hash_to_preimage"]
        .as_object()
        .expect("a map of preimages");
    let preimages: BTreeMap<_, _> = pairs
        .iter()
        .map(|(hash, preimage)| (array(&Value::from(hash.as_str())), PaymentPreimage(array(preimage))))
        .collect();
    Signers {
        terms: ChannelTerms {
            funding_outpoint: OutPoint {
                txid: text(&vector["funding_txid"]).parse().expect("a txid"),
                vout: number(&vector["funding_index"]),
            },
            funding_value: sat(&vector["funding_amount_satoshis"]),
            format: CommitmentFormat::ZeroFee,
            opener: side(&local, Amount::from_sat(354), number(&vector["to_self_delay"])),
            accepter,
        },
        preimages,
        local,
        remote,
    }
}

fn side(keys: &ChannelSecretKeys, dust_limit: Amount, to_self_delay: u16) -> SideTerms {
    SideTerms {
        keys: keys.public_keys(),
        dust_limit,
        to_self_delay: ToSelfDelay(to_self_delay),
    }
}

fn unused_key() -> SecretKey {
    SecretKey::from_slice(&[0x77; 32]).expect("a private key")
}

/// Every key and number in `params` and `internal`.
fn appendix_c_keys(case: &mut Case, vector: &Value, signers: &Signers) {
    let (params, internal, terms) = (&vector["params"], &vector["internal"], &signers.terms);
    let secret = PerCommitmentSecret(secret_key(&internal["x_local_per_commitment_secret"]).secret_bytes());
    let commitment_point = secret.point().expect("a private key");
    let keys = CommitmentKeys::derive(terms, Role::Opener, commitment_point, HtlcOutputs::Some);
    let htlc = keys.htlc.expect("asked for");
    let (local, remote) = (&terms.opener.keys, &terms.accepter.keys);
    let public_keys: [(&Value, &PublicKey); 13] = [
        (&params["local_payment_basepoint"], &local.payment_basepoint),
        (&params["remote_payment_basepoint"], &remote.payment_basepoint),
        (&params["local_htlc_basepoint"], &local.htlc_basepoint),
        (&params["remote_htlc_basepoint"], &remote.htlc_basepoint),
        (&params["local_funding_pubkey"], &local.funding),
        (&params["remote_funding_pubkey"], &remote.funding),
        (&params["local_htlcpubkey"], &htlc.broadcaster),
        (&params["remote_htlcpubkey"], &htlc.countersignatory),
        (&params["local_delayedpubkey"], &keys.broadcaster_delayed),
        (&params["local_revocation_pubkey"], &keys.revocation),
        (&internal["remote_revocation_basepoint"], &remote.revocation_basepoint),
        (
            &internal["local_delayed_payment_basepoint"],
            &local.delayed_payment_basepoint,
        ),
        (&internal["local_per_commitment_point"], &commitment_point),
    ];
    for (stated, ours) in public_keys {
        case.hex("public key", ours.serialize(), stated);
    }
    for (stated, base) in [
        (&params["local_privkey"], &signers.local.payment_basepoint),
        (&internal["remote_privkey"], &signers.remote.payment_basepoint),
        (
            &internal["local_delayed_privkey"],
            &signers.local.delayed_payment_basepoint,
        ),
    ] {
        case.equal(
            "private key",
            derive_private_key(base, &commitment_point),
            secret_key(stated),
        );
    }
    case.hex("funding script", terms.funding_script(), &params["funding_wscript"]);
    // "0x2bb038521914 ^ 42"
    let number = CommitmentNumber(number(&params["commitment_number"]));
    let stated = text(&params["obscured_commitment_number_comment"]);
    case.equal(
        "factor",
        format!(
            "{:#x} ^ {}",
            ObscuringFactor::of(terms).obscure(CommitmentNumber(0)),
            number.0
        ),
        stated.to_owned(),
    );
    let keypair = signers.local.funding.public_key(SECP256K1);
    case.equal("funding key pair", keypair, local.funding);
}

/// The first test has no HTLCs, the last one those with the same amount and preimage, all others the first five.
fn appendix_c_htlcs_of(test: &Value) -> Vec<u64> {
    match text(&test["name"]) {
        "simple commitment tx with no HTLCs" => Vec::new(),
        name if name.contains("same amount and preimage") => vec![1, 5, 6],
        _ => vec![0, 1, 2, 3, 4],
    }
}

fn appendix_c_contents(vector: &Value, ids: &[u64], test: &Value) -> CommitmentContents {
    CommitmentContents {
        feerate: FeeratePerKw(number(&test["local_feerate_per_kw"])),
        to_broadcaster: MilliSatoshi(number(&test["to_local_msat"])),
        to_countersignatory: MilliSatoshi(number(&test["to_remote_msat"])),
        htlcs: appendix_c_htlcs(vector, ids),
        ..contents(vector, number(&vector["params"]["commitment_number"]))
    }
}

fn contents(vector: &Value, commitment_number: u64) -> CommitmentContents {
    CommitmentContents {
        broadcaster: Role::Opener,
        number: CommitmentNumber(commitment_number),
        per_commitment_point: point(&vector["internal"]["local_per_commitment_point"]),
        feerate: FeeratePerKw(0),
        to_broadcaster: MilliSatoshi::ZERO,
        to_countersignatory: MilliSatoshi::ZERO,
        htlcs: Vec::new(),
    }
}

fn appendix_c_htlcs(vector: &Value, ids: &[u64]) -> Vec<Htlc> {
    let stated = items(&vector["htlcs"])
        .iter()
        .filter(|htlc| ids.contains(&number(&htlc["id"])));
    stated
        .map(|htlc| Htlc {
            direction: match text(&htlc["direction"]) {
                "local->remote" => HtlcDirection::Offered,
                _ => HtlcDirection::Received,
            },
            id: HtlcId(number(&htlc["id"])),
            amount: MilliSatoshi(number(&htlc["amount_msat"])),
            payment_hash: PaymentPreimage(array(&htlc["payment_preimage"])).hash(),
            cltv_expiry: CltvExpiry(number(&htlc["expiry"])),
        })
        .collect()
}

fn stated_htlc(direction: HtlcDirection, htlc: &Value) -> Htlc {
    Htlc {
        direction,
        id: HtlcId(number(&htlc["id"])),
        amount: MilliSatoshi(number(&htlc["amount_msat"])),
        payment_hash: PaymentHash(array(&htlc["payment_hash"])),
        cltv_expiry: CltvExpiry(number(&htlc["cltv_expiry"])),
    }
}

/// The base fee, and the actual fee with the trimmed amounts in it.
fn stated_fees(case: &mut Case, test: &Value, signed: &Signed, contents: &CommitmentContents) {
    let untrimmed = u32::try_from(signed.commitment.htlc_outputs().len()).expect("few");
    let base = fees::commitment_fee(CommitmentFormat::StaticRemotekey, contents.feerate, untrimmed);
    if let Some(stated) = test.get("base_commitment_tx_fee") {
        case.equal("base fee", base, sat(stated));
    }
    if let Some(stated) = test.get("actual_commitment_tx_fee") {
        case.equal("actual fee", signed.commitment.fee(), sat(stated));
    }
}

/// Amount and script of each output that is stated.
fn stated_outputs(case: &mut Case, test: &Value, signed: &Signed) {
    let commitment = &signed.commitment;
    if let Some(stated) = test.get("to_local") {
        let ours = commitment
            .outputs()
            .find(|output| output.role == OutputRole::ToBroadcaster);
        case.equal(
            "to_local",
            ours.map(|output| output.value),
            Some(sat(&stated["amount_sat"])),
        );
        case.hex("to_local script", commitment.scripts().delayed(), &stated["wscript"]);
    }
    if let Some(stated) = test.get("to_remote") {
        let ours = commitment
            .outputs()
            .find(|output| output.role == OutputRole::ToCountersignatory);
        case.equal(
            "to_remote",
            ours.map(|output| output.value),
            Some(sat(&stated["amount_sat"])),
        );
        let key = point(&stated["p2wpkh_pubkey"]);
        case.equal(
            "to_remote key",
            *commitment.scripts().countersignatory_payment_key(),
            key,
        );
        let script = scripts::to_remote_key_hash(&key);
        case.equal(
            "to_remote script",
            commitment.scripts().to_countersignatory_output(),
            script,
        );
    }
    for stated in items(&test["htlc_outputs"]) {
        let id = HtlcId(number(&stated["htlc"]));
        let direction = match text(&stated["direction"]) {
            "offered" => HtlcDirection::Offered,
            _ => HtlcDirection::Received,
        };
        let mut outputs = commitment.htlc_outputs().iter();
        let Some(ours) = outputs.find(|output| output.htlc.id == id && output.htlc.direction == direction) else {
            case.holds("the stated HTLC has an output", false);
            continue;
        };
        let place = usize::try_from(ours.vout).expect("few outputs");
        let output = &commitment.transaction().output[place];
        case.equal("HTLC amount", output.value, sat(&stated["amount_sat"]));
        case.hex("HTLC script", &ours.witness_script, &stated["wscript"]);
        case.equal(
            "HTLC output script",
            output.script_pubkey.clone(),
            ours.witness_script.to_p2wsh(),
        );
    }
}

fn stated_second_stage(case: &mut Case, stated: &Value, signers: &Signers, signed: &Signed, place: usize) {
    let output = &signed.commitment.htlc_outputs()[place];
    case.equal("place among the HTLC outputs", output.vout, number(&stated["output"]));
    case.equal("HTLC", output.htlc.id, HtlcId(number(&stated["htlc"])));
    let kind = match output.htlc.direction {
        HtlcDirection::Offered => "timeout",
        HtlcDirection::Received => "success",
    };
    case.equal("kind", kind, text(&stated["kind"]));
    let countersignature = &signed.countersignatures.htlcs[place];
    equal_signature(
        case,
        "remote HTLC signature",
        countersignature,
        &stated["remote_htlc_signature"],
    );
    let ours = signers.second_stage(signed, place);
    equal_signature(
        case,
        "local HTLC signature",
        &local_signature(&ours),
        &stated["local_htlc_signature"],
    );
    equal_transaction(case, "second stage", &ours, &stated["tx"]);
}
