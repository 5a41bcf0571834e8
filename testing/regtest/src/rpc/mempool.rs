//! Calls about what waits for confirmation, and about fees.

use std::collections::BTreeSet;

use bitcoin::{Amount, FeeRate, OutPoint, Txid};
use quittance_primitives::BlockCount;
use serde_json::{Map, Value, json};

use super::RpcError;
use super::methods::Params;
use crate::chain::{Chain, MempoolEntry};

/// The targets that bitcoind's estimator knows.
const TARGET_MAX: i64 = 1_008;

pub(super) fn info<C: Chain>(chain: &C) -> Value {
    let entries = chain.mempool();
    let vsize: u64 = entries.iter().map(|entry| entry.vsize).sum();
    let total: Amount = entries.iter().map(|entry| entry.fee).sum();
    let fees = chain.relay_feerates();
    json!({
        "loaded": true,
        "size": entries.len(),
        "bytes": vsize,
        "usage": vsize,
        "total_fee": total.to_btc(),
        "maxmempool": 300_000_000,
        "mempoolminfee": per_kvb(fees.mempool_min),
        "minrelaytxfee": per_kvb(fees.min_relay),
        "incrementalrelayfee": per_kvb(fees.incremental),
        "unbroadcastcount": 0,
        "fullrbf": true,
    })
}

pub(super) fn list<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let entries = chain.mempool();
    if params.level(0, "verbose", 0)? == 0 {
        return Ok(entries.iter().map(|entry| json!(entry.txid.to_string())).collect());
    }
    let described: Map<String, Value> = entries
        .iter()
        .map(|entry| (entry.txid.to_string(), described(chain, &entries, entry)))
        .collect();
    Ok(Value::Object(described))
}

pub(super) fn entry<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let txid = params.txid(0, "txid")?;
    let entries = chain.mempool();
    let entry = entries.iter().find(|entry| entry.txid == txid);
    let missing = || RpcError::new(RpcError::INVALID_ADDRESS_OR_KEY, "Transaction not in mempool");
    entry.map(|entry| described(chain, &entries, entry)).ok_or_else(missing)
}

pub(super) fn estimate<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let target = params.integer(0, "conf_target")?;
    if !(1..=TARGET_MAX).contains(&target) {
        let message = "Invalid conf_target, must be between 1 and 1008";
        return Err(RpcError::new(RpcError::INVALID_PARAMETER, message));
    }
    let blocks = BlockCount(u32::try_from(target).expect("the target is in range"));
    Ok(match chain.estimate_feerate(blocks) {
        Some(feerate) => json!({ "feerate": per_kvb(feerate), "blocks": target }),
        None => json!({ "errors": ["Insufficient data or no feerate found"], "blocks": target }),
    })
}

pub(super) fn prioritise<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let txid = params.txid(0, "txid")?;
    chain.prioritise(txid, params.integer(2, "fee_delta")?);
    Ok(json!(true))
}

fn described<C: Chain>(chain: &C, entries: &[MempoolEntry], entry: &MempoolEntry) -> Value {
    let parents = |txid: &Txid| -> BTreeSet<Txid> {
        let transaction = chain.mempool_transaction(txid);
        let inputs = transaction.iter().flat_map(|transaction| &transaction.input);
        inputs
            .map(|input| input.previous_output.txid)
            .filter(|parent| chain.mempool_transaction(parent).is_some())
            .collect()
    };
    let children = |txid: &Txid| -> BTreeSet<Txid> {
        let transaction = chain.mempool_transaction(txid);
        let outputs = transaction.map_or(0, |transaction| transaction.output.len());
        (0..)
            .take(outputs)
            .filter_map(|vout| chain.spent_by(&OutPoint { txid: *txid, vout }))
            .map(|spend| spend.txid)
            .collect()
    };
    let sums = |txids: &BTreeSet<Txid>| -> (usize, u64, Amount) {
        let of = entries.iter().filter(|entry| txids.contains(&entry.txid));
        of.fold((0, 0, Amount::ZERO), |(count, vsize, fee), entry| {
            (count + 1, vsize + entry.vsize, fee + entry.fee)
        })
    };
    let (ancestors, ancestor_vsize, ancestor_fee) = sums(&closure(entry.txid, parents));
    let (descendants, descendant_vsize, descendant_fee) = sums(&closure(entry.txid, children));
    let transaction = chain
        .mempool_transaction(&entry.txid)
        .expect("the mempool has what it lists");
    json!({
        "vsize": entry.vsize,
        "weight": transaction.weight().to_wu(),
        "time": chain.tip().time,
        "height": chain.tip().height.0,
        "descendantcount": descendants,
        "descendantsize": descendant_vsize,
        "ancestorcount": ancestors,
        "ancestorsize": ancestor_vsize,
        "wtxid": transaction.compute_wtxid().to_string(),
        "fees": {
            "base": entry.fee.to_btc(),
            "modified": signed_btc(entry.modified_fee_sat),
            "ancestor": ancestor_fee.to_btc(),
            "descendant": descendant_fee.to_btc(),
        },
        "depends": texts(&parents(&entry.txid)),
        "spentby": texts(&children(&entry.txid)),
        "unbroadcast": false,
    })
}

fn texts(txids: &BTreeSet<Txid>) -> Vec<String> {
    txids.iter().map(Txid::to_string).collect()
}

fn closure(start: Txid, next: impl Fn(&Txid) -> BTreeSet<Txid>) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(txid) = open.pop() {
        open.extend(next(&txid).into_iter().filter(|neighbour| found.insert(*neighbour)));
    }
    found
}

/// Bitcoin per 1,000 virtual bytes, rounded up.
fn per_kvb(feerate: FeeRate) -> f64 {
    Amount::from_sat(feerate.to_sat_per_kwu().saturating_mul(4)).to_btc()
}

fn signed_btc(sat: i64) -> f64 {
    bitcoin::SignedAmount::from_sat(sat).to_btc()
}
