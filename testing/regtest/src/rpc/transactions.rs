//! Calls about transactions and outputs.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Amount, Network, OutPoint, Script, Transaction, Txid};
use quittance_primitives::BlockCount;
use serde_json::{Value, json};

use super::RpcError;
use super::methods::{Params, decode, txid};
use crate::chain::Chain;
use crate::rejection::{Reason, Rejected};

/// Without other orders no transaction is sent that pays more than 0.1 BTC per 1,000 virtual bytes.
const MAX_FEERATE_SAT_PER_KVB: u64 = 10_000_000;
const OUTPOINTS_PER_CALL_MAX: usize = 10_000;

pub(super) fn send<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let transaction: Transaction = decode(params.get(0, "hexstring"), "TX")?;
    check_burned(&transaction, params.amount(2, "maxburnamount", 0)?)?;
    let txid = transaction.compute_txid();
    let max_feerate = params.amount(1, "maxfeerate", MAX_FEERATE_SAT_PER_KVB)?;
    if max_feerate > 0 && chain.mempool_transaction(&txid).is_none() {
        let entry = chain.test_accept(&transaction).map_err(refusal)?;
        if u128::from(entry.fee.to_sat()) * 1_000 > u128::from(max_feerate) * u128::from(entry.vsize) {
            let message = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
            return Err(RpcError::new(RpcError::VERIFY, message));
        }
    }
    chain
        .submit(&transaction)
        .map(|txid| json!(txid.to_string()))
        .map_err(refusal)
}

/// Judges one transaction by itself. Packages are not judged without being submitted.
pub(super) fn test_accept<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let [raw] = params.list(0, "rawtxs")? else {
        return Err(RpcError::new(
            RpcError::INVALID_PARAMETER,
            "Array must contain one transaction.",
        ));
    };
    let transaction: Transaction = decode(raw, "TX")?;
    let max_feerate = params.amount(1, "maxfeerate", MAX_FEERATE_SAT_PER_KVB)?;
    let mut answer =
        json!({ "txid": transaction.compute_txid().to_string(), "wtxid": transaction.compute_wtxid().to_string() });
    match chain.test_accept(&transaction) {
        Ok(entry) if max_feerate > 0 && entry.fee.to_sat() * 1_000 > max_feerate * entry.vsize => {
            answer["allowed"] = json!(false);
            answer["reject-reason"] = json!("max-fee-exceeded");
        }
        Ok(entry) => {
            answer["allowed"] = json!(true);
            answer["vsize"] = json!(entry.vsize);
            answer["fees"] = json!({ "base": entry.fee.to_btc() });
        }
        Err(rejected) => {
            answer["allowed"] = json!(false);
            answer["reject-reason"] = match rejected.reason {
                Reason::MissingInputs => json!("missing-inputs"),
                ref reason => json!(reason.as_str()),
            };
            answer["reject-details"] = json!(rejected.to_string());
        }
    }
    Ok(json!([answer]))
}

pub(super) fn submit_package<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let package: Vec<Transaction> = params
        .list(0, "package")?
        .iter()
        .map(|raw| decode(raw, "TX"))
        .collect::<Result<_, _>>()?;
    let burned_max = params.amount(2, "maxburnamount", 0)?;
    package
        .iter()
        .try_for_each(|transaction| check_burned(transaction, burned_max))?;
    let before: Vec<Txid> = chain.mempool().iter().map(|entry| entry.txid).collect();
    let (message, failures) = match chain.submit_package(&package) {
        Ok(()) => ("success".to_owned(), None),
        Err(rejected) => match rejected.reason {
            Reason::PackageTooMany => {
                let message = "Array must contain between 1 and 25 transactions.";
                return Err(RpcError::new(RpcError::INVALID_PARAMETER, message));
            }
            Reason::PackageTopology => {
                let message = "package topology disallowed. not child-with-parents or parents depend on each other.";
                return Err(RpcError::new(RpcError::VERIFY, message));
            }
            reason => (reason.to_string(), Some(rejected.transactions)),
        },
    };
    let entries = chain.mempool();
    let mut results = json!({});
    for transaction in &package {
        let txid = transaction.compute_txid();
        let result = &mut results[transaction.compute_wtxid().to_string()];
        let entry = entries.iter().find(|entry| entry.txid == txid);
        *result = match (failures.as_ref().and_then(|failures| failures.get(&txid)), entry) {
            (Some(reason), _) => json!({ "txid": txid.to_string(), "error": reason.as_str() }),
            (None, Some(entry)) => {
                json!({ "txid": txid.to_string(), "vsize": entry.vsize, "fees": { "base": entry.fee.to_btc() } })
            }
            (None, None) => json!({ "txid": txid.to_string(), "error": "package-not-validated" }),
        };
    }
    let gone = before
        .iter()
        .filter(|txid| entries.iter().all(|entry| entry.txid != **txid));
    let replaced: Vec<String> = gone.map(Txid::to_string).collect();
    Ok(json!({ "package_msg": message, "tx-results": results, "replaced-transactions": replaced }))
}

/// Finds transactions of the mempool and, as bitcoind does with `-txindex`, of the active chain.
pub(super) fn raw<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let txid = params.txid(0, "txid")?;
    let waiting = chain
        .mempool_transaction(&txid)
        .map(|transaction| (*transaction).clone());
    let hash = chain.confirmed_at(&txid).and_then(|height| chain.block_hash(height));
    let in_block = hash.and_then(|hash| chain.block(&hash)).and_then(|block| {
        block
            .txdata
            .iter()
            .find(|transaction| transaction.compute_txid() == txid)
            .map(|found| (found.clone(), block.header.time))
    });
    let unknown = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";
    let (transaction, time) = match (waiting, in_block) {
        (Some(transaction), _) => (transaction, None),
        (None, Some((transaction, time))) => (transaction, Some(time)),
        (None, None) => return Err(RpcError::new(RpcError::INVALID_ADDRESS_OR_KEY, unknown)),
    };
    if params.level(1, "verbose", 0)? == 0 {
        return Ok(json!(serialize_hex(&transaction)));
    }
    let mut described = described(&transaction);
    if let (Some(time), Some(hash)) = (time, hash) {
        described["blockhash"] = json!(hash.to_string());
        described["confirmations"] = json!(chain.confirmations(&txid).unwrap_or_default().0);
        described["time"] = json!(time);
        described["blocktime"] = json!(time);
        described["in_active_chain"] = json!(true);
    }
    Ok(described)
}

pub(super) fn output<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let outpoint = OutPoint {
        txid: params.txid(0, "txid")?,
        vout: vout(params.get(1, "n"))?,
    };
    let with_mempool = params.level(2, "include_mempool", 1)? != 0;
    if with_mempool && chain.spent_by(&outpoint).is_some() {
        return Ok(Value::Null);
    }
    let tip = chain.tip();
    let found = chain
        .utxo(&outpoint)
        .map(|utxo| (utxo.output, utxo.height.depth_at(tip.height), utxo.coinbase));
    let waiting = || {
        let transaction = chain.mempool_transaction(&outpoint.txid)?;
        Some((
            transaction.output.get(outpoint.vout as usize)?.clone(),
            BlockCount(0),
            false,
        ))
    };
    let found = if with_mempool { found.or_else(waiting) } else { found };
    Ok(found.map_or(Value::Null, |(output, confirmations, coinbase)| {
        json!({
            "bestblock": tip.hash.to_string(),
            "confirmations": confirmations.0,
            "value": output.value.to_btc(),
            "scriptPubKey": described_script(&output.script_pubkey),
            "coinbase": coinbase,
        })
    }))
}

/// Who spends these outputs in the mempool.
pub(super) fn spending<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let outputs = params.list(0, "outputs")?;
    if outputs.is_empty() || outputs.len() > OUTPOINTS_PER_CALL_MAX {
        return Err(RpcError::new(
            RpcError::INVALID_PARAMETER,
            "Invalid parameter, outputs are missing or too many",
        ));
    }
    let spender = |output: &Value| {
        let outpoint = OutPoint {
            txid: txid(&output["txid"], "txid")?,
            vout: vout(&output["vout"])?,
        };
        let mut answer = json!({ "txid": outpoint.txid.to_string(), "vout": outpoint.vout });
        if let Some(spend) = chain.spent_by(&outpoint).filter(|spend| spend.height.is_none()) {
            answer["spendingtxid"] = json!(spend.txid.to_string());
        }
        Ok(answer)
    };
    outputs.iter().map(spender).collect()
}

/// A transaction as bitcoind describes it.
pub(super) fn described(transaction: &Transaction) -> Value {
    let inputs = transaction.input.iter().map(|input| {
        let mut described = json!({ "sequence": input.sequence.0 });
        if transaction.is_coinbase() {
            described["coinbase"] = json!(input.script_sig.to_hex_string());
        } else {
            described["txid"] = json!(input.previous_output.txid.to_string());
            described["vout"] = json!(input.previous_output.vout);
            described["scriptSig"] = json!({ "hex": input.script_sig.to_hex_string() });
        }
        if !input.witness.is_empty() {
            let items = input
                .witness
                .iter()
                .map(|item| Script::from_bytes(item).to_hex_string());
            described["txinwitness"] = items.map(Value::String).collect();
        }
        described
    });
    let outputs = transaction.output.iter().enumerate().map(|(n, output)| {
        json!({ "value": output.value.to_btc(), "n": n, "scriptPubKey": described_script(&output.script_pubkey) })
    });
    json!({
        "txid": transaction.compute_txid().to_string(),
        "hash": transaction.compute_wtxid().to_string(),
        "version": transaction.version.0,
        "size": transaction.total_size(),
        "vsize": transaction.vsize(),
        "weight": transaction.weight().to_wu(),
        "locktime": transaction.lock_time.to_consensus_u32(),
        "vin": inputs.collect::<Vec<Value>>(),
        "vout": outputs.collect::<Vec<Value>>(),
        "hex": serialize_hex(transaction),
    })
}

fn described_script(script: &Script) -> Value {
    let mut described = json!({ "hex": script.to_hex_string() });
    if let Ok(address) = Address::from_script(script, Network::Regtest) {
        described["address"] = json!(address.to_string());
    }
    described
}

fn vout(value: &Value) -> Result<u32, RpcError> {
    let vout = value.as_u64().and_then(|vout| u32::try_from(vout).ok());
    vout.ok_or_else(|| {
        RpcError::new(
            RpcError::INVALID_PARAMETER,
            "Invalid parameter, vout is missing or out of range",
        )
    })
}

fn check_burned(transaction: &Transaction, burned_max: u64) -> Result<(), RpcError> {
    let burned = transaction
        .output
        .iter()
        .filter(|output| output.script_pubkey.is_op_return());
    if burned
        .map(|output| output.value)
        .any(|value| value > Amount::from_sat(burned_max))
    {
        let message = "Unspendable output exceeds maximum configured by user (maxburnamount)";
        return Err(RpcError::new(RpcError::VERIFY, message));
    }
    Ok(())
}

fn refusal(rejected: Rejected) -> RpcError {
    match rejected.reason {
        Reason::MissingInputs => RpcError::new(RpcError::VERIFY, rejected.to_string()),
        Reason::AlreadyKnown => RpcError::new(RpcError::ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set"),
        _ => RpcError::new(RpcError::VERIFY_REJECTED, rejected.to_string()),
    }
}
