//! [`Chain`] spoken over bitcoind's RPC interface.
//!
//! bitcoind keeps no index of who spent an output, so this keeps one, and catches up with the node whenever it is asked.
//! One difference is bridged: `invalidateblock` takes blocks away one by one, whereas a reorg brought about by a longer branch
//! takes them all at once. It returns no transaction of more than ten blocks (from the eleventh on it drops them, and what
//! depends on them), and it drops what has a relative lock, even of zero, on an unconfirmed parent. What is lost so is submitted
//! again here, and has to pay like any other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Amount, Block, BlockHash, FeeRate, OutPoint, ScriptBuf, SignedAmount, Transaction, TxOut, Txid};
use quittance_primitives::{BlockCount, BlockHeight};
use serde_json::{Value, json};

use super::process::{Bitcoind, StartError};
use crate::assembly;
use crate::chain::{
    BlockPosition, Chain, ChainEvent, MempoolEntry, MineOptions, RelayFeerates, Selection, Spend, Tip, Utxo,
};
use crate::consensus::block::{self, BlockPlan};
use crate::faucet;
use crate::ledger::ChainParameters;
use crate::mempool::chunks::Node;
use crate::rejection::{PackageRejected, Reason, Rejected};
use crate::rpc::{RpcClient, RpcError};

/// A limit that no test reaches, instead of bitcoind's caution with burned coins.
const BURN_MAX_BTC: u32 = 21_000_000;

/// A chain kept by a real bitcoind.
#[derive(Debug)]
pub struct BitcoindChain {
    rpc: RpcClient,
    /// Kept alive as long as the chain is used, if it is ours.
    node: Option<Bitcoind>,
    blocks_built: u64,
    index: RefCell<Index>,
}

/// What bitcoind does not tell, learned from its blocks.
#[derive(Debug)]
struct Index {
    tip: BlockHash,
    confirmed: BTreeMap<Txid, u32>,
    spends: BTreeMap<OutPoint, Txid>,
    blocks: BTreeMap<BlockHash, Arc<Block>>,
}

impl BitcoindChain {
    /// The chain of a node that was just started, which is stopped with it.
    pub fn new(node: Bitcoind) -> Self {
        let rpc = node.client();
        Self {
            node: Some(node),
            ..Self::connect(rpc)
        }
    }

    /// The chain of a regtest node that somebody else runs; its time will be ours.
    pub fn connect(rpc: RpcClient) -> Self {
        let index = Index {
            tip: bitcoin::constants::genesis_block(bitcoin::Network::Regtest).block_hash(),
            confirmed: BTreeMap::new(),
            spends: BTreeMap::new(),
            blocks: BTreeMap::new(),
        };
        Self {
            rpc,
            node: None,
            blocks_built: 0,
            index: RefCell::new(index),
        }
    }

    /// Ends the node, if it is ours, as its operator would. Until [`Self::start_node`] nothing else may be asked of the chain.
    pub fn stop_node(&mut self) {
        self.node.iter_mut().for_each(Bitcoind::stop);
    }

    /// Starts the node again; what was in its mempool is gone.
    ///
    /// # Errors
    /// [`StartError`] when it does not come up.
    pub fn start_node(&mut self) -> Result<(), StartError> {
        if let Some(node) = &mut self.node {
            node.start_again()?;
            self.rpc = node.client();
        }
        Ok(())
    }

    fn try_call(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        self.rpc
            .call(method, params)
            .unwrap_or_else(|error| panic!("bitcoind is lost at {method}: {error}"))
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        self.try_call(method, params)
            .unwrap_or_else(|error| panic!("bitcoind refuses {method}: {error}"))
    }

    /// Follows the node to its tip.
    fn synchronise(&self) {
        let last = self.index.borrow().tip;
        let events = self.events_since(&last).expect("a block once known stays known");
        for event in events {
            match event {
                ChainEvent::BlockDisconnected { header, .. } => {
                    let block = self.block(&header.block_hash()).expect("a stale block is kept");
                    self.index.borrow_mut().disconnect(&block);
                }
                ChainEvent::BlockConnected { height, block } => self.index.borrow_mut().connect(height.0, &block),
            }
        }
    }

    fn raw_mempool(&self) -> Vec<(Txid, Value)> {
        match self.call("getrawmempool", &json!([true])) {
            Value::Object(entries) => entries
                .into_iter()
                .map(|(txid, entry)| (parsed(&json!(txid)), entry))
                .collect(),
            other => panic!("getrawmempool answers with an object, not {other}"),
        }
    }

    fn mine_one(&mut self, options: &MineOptions, include: &[Transaction], time: u32) -> Result<BlockHash, Rejected> {
        let tip = self.tip();
        let mut transactions = include.to_vec();
        transactions.extend(self.select(options, include));
        let height = tip.height.0 + 1;
        let subsidy = subsidy(height);
        let block = block::build(BlockPlan {
            previous: tip.hash,
            height,
            time,
            extra_nonce: self.blocks_built,
            reward_script: options.reward.clone().unwrap_or_else(faucet::reward_script),
            reward: subsidy + self.fees(&transactions),
            transactions,
        });
        self.blocks_built += 1;
        self.submit_block(&block)?;
        Ok(block.block_hash())
    }

    fn select(&self, options: &MineOptions, include: &[Transaction]) -> Vec<Transaction> {
        if options.selection == Selection::Nothing {
            return Vec::new();
        }
        let included: BTreeSet<Txid> = include.iter().map(Transaction::compute_txid).collect();
        let mut nodes: BTreeMap<Txid, Node> = self
            .raw_mempool()
            .iter()
            .map(|(txid, entry)| (*txid, node(entry)))
            .collect();
        let inputs: BTreeSet<OutPoint> = include
            .iter()
            .flat_map(|transaction| &transaction.input)
            .map(|input| input.previous_output)
            .collect();
        let mut exclude = options.exclude.clone();
        for outpoint in &inputs {
            exclude.extend(
                self.mempool_spender(outpoint)
                    .filter(|conflict| !included.contains(conflict)),
            );
        }
        nodes.retain(|txid, _| !included.contains(txid));
        let selected = assembly::select(&nodes, options.selection, &exclude);
        selected
            .iter()
            .filter_map(|txid| self.mempool_transaction(txid))
            .map(|transaction| (*transaction).clone())
            .collect()
    }

    fn fees(&self, transactions: &[Transaction]) -> Amount {
        let mut outputs: BTreeMap<OutPoint, Amount> = BTreeMap::new();
        let mut fees = Amount::ZERO;
        for transaction in transactions {
            let value = |outpoint: &OutPoint| {
                let in_block = outputs.get(outpoint).copied();
                in_block
                    .or_else(|| self.utxo(outpoint).map(|utxo| utxo.output.value))
                    .unwrap_or(Amount::ZERO)
            };
            let paid_in: Amount = transaction
                .input
                .iter()
                .map(|input| value(&input.previous_output))
                .sum();
            let paid_out: Amount = transaction.output.iter().map(|output| output.value).sum();
            fees += paid_in.checked_sub(paid_out).unwrap_or(Amount::ZERO);
            let txid = transaction.compute_txid();
            outputs.extend(
                (0..)
                    .zip(&transaction.output)
                    .map(|(vout, output)| (OutPoint { txid, vout }, output.value)),
            );
        }
        fees
    }

    fn mempool_spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        let query = json!([[{ "txid": outpoint.txid.to_string(), "vout": outpoint.vout }]]);
        let answer = self.call("gettxspendingprevout", &query);
        answer[0].get("spendingtxid").map(parsed)
    }

    /// What is confirmed from a height on, and what waits, parents first.
    fn transactions_from(&self, height: BlockHeight) -> Vec<Transaction> {
        let heights = (height.0..=self.tip().height.0).map(BlockHeight);
        let blocks = heights.filter_map(|height| self.block(&self.block_hash(height)?));
        let mut transactions: Vec<Transaction> = blocks.flat_map(|block| block.txdata[1..].to_vec()).collect();
        let mut waiting = self.raw_mempool();
        waiting.sort_by_key(|(_, entry)| entry["ancestorcount"].as_u64());
        let waiting = waiting.iter().filter_map(|(txid, _)| self.mempool_transaction(txid));
        transactions.extend(waiting.map(|transaction| (*transaction).clone()));
        transactions
    }
}

impl Index {
    fn connect(&mut self, height: u32, block: &Block) {
        for transaction in &block.txdata {
            let txid = transaction.compute_txid();
            self.confirmed.insert(txid, height);
            self.spends
                .extend(transaction.input.iter().map(|input| (input.previous_output, txid)));
        }
        self.tip = block.block_hash();
    }

    fn disconnect(&mut self, block: &Block) {
        for transaction in &block.txdata {
            self.confirmed.remove(&transaction.compute_txid());
            for input in &transaction.input {
                self.spends.remove(&input.previous_output);
            }
        }
        self.tip = block.header.prev_blockhash;
    }
}

impl Chain for BitcoindChain {
    fn tip(&self) -> Tip {
        let info = self.call("getblockchaininfo", &json!([]));
        Tip {
            height: BlockHeight(number(&info["blocks"])),
            hash: parsed(&info["bestblockhash"]),
            time: number(&info["time"]),
        }
    }

    fn coinbase_maturity(&self) -> BlockCount {
        BlockCount(ChainParameters::default().coinbase_maturity)
    }

    fn block_hash(&self, height: BlockHeight) -> Option<BlockHash> {
        self.try_call("getblockhash", &json!([height.0]))
            .ok()
            .map(|hash| parsed(&hash))
    }

    fn block(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        if let Some(block) = self.index.borrow().blocks.get(hash) {
            return Some(Arc::clone(block));
        }
        let raw = self.try_call("getblock", &json!([hash.to_string(), 0])).ok()?;
        let block = Arc::new(deserialize_hex(text(&raw)).expect("bitcoind serves valid blocks"));
        self.index.borrow_mut().blocks.insert(*hash, Arc::clone(&block));
        Some(block)
    }

    fn block_position(&self, hash: &BlockHash) -> Option<BlockPosition> {
        let header = self.try_call("getblockheader", &json!([hash.to_string()])).ok()?;
        let active = header["confirmations"]
            .as_i64()
            .is_some_and(|confirmations| confirmations > 0);
        Some(BlockPosition {
            height: BlockHeight(number(&header["height"])),
            active,
        })
    }

    fn submit(&mut self, transaction: &Transaction) -> Result<Txid, Rejected> {
        let params = json!([serialize_hex(transaction), 0, BURN_MAX_BTC]);
        match self.try_call("sendrawtransaction", &params) {
            Ok(txid) => Ok(parsed(&txid)),
            Err(error) if error.code == RpcError::ALREADY_IN_UTXO_SET => Err(Reason::AlreadyKnown.into()),
            Err(error) => Err(Rejected::from(error.message.as_str())),
        }
    }

    fn submit_package(&mut self, package: &[Transaction]) -> Result<(), PackageRejected> {
        let raw: Vec<String> = package.iter().map(serialize_hex).collect();
        let answer = match self.try_call("submitpackage", &json!([raw, 0, BURN_MAX_BTC])) {
            Ok(answer) => answer,
            Err(error) if error.code == RpcError::INVALID_PARAMETER => return Err(Reason::PackageTooMany.into()),
            Err(error) if error.code == RpcError::VERIFY => return Err(Reason::PackageTopology.into()),
            Err(error) => return Err(Reason::Other(error.message).into()),
        };
        let message = text(&answer["package_msg"]);
        if message == "success" {
            return Ok(());
        }
        let results = answer["tx-results"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values);
        let failed = results.filter_map(|result| {
            let error = result["error"]
                .as_str()
                .filter(|error| *error != "package-not-validated")?;
            Some((parsed(&result["txid"]), Rejected::from(error).reason))
        });
        Err(PackageRejected {
            reason: Rejected::from(message).reason,
            transactions: failed.collect(),
        })
    }

    fn test_accept(&mut self, transaction: &Transaction) -> Result<MempoolEntry, Rejected> {
        let answer = self.call("testmempoolaccept", &json!([[serialize_hex(transaction)], 0]));
        let result = &answer[0];
        if result["allowed"] == json!(true) {
            let fee = amount(&result["fees"]["base"]);
            let vsize = result["vsize"].as_u64().expect("an accepted transaction has a size");
            let modified_fee_sat = i64::try_from(fee.to_sat()).expect("an amount is at most 21 million bitcoin");
            return Ok(MempoolEntry {
                txid: transaction.compute_txid(),
                vsize,
                fee,
                modified_fee_sat,
            });
        }
        Err(match text(&result["reject-reason"]) {
            "missing-inputs" => Reason::MissingInputs.into(),
            reason => Rejected::from(result["reject-details"].as_str().unwrap_or(reason)),
        })
    }

    fn mempool(&self) -> Vec<MempoolEntry> {
        let entry = |(txid, entry): (Txid, Value)| MempoolEntry {
            txid,
            vsize: entry["vsize"].as_u64().expect("an entry has a size"),
            fee: amount(&entry["fees"]["base"]),
            modified_fee_sat: signed_amount(&entry["fees"]["modified"]),
        };
        let mut entries: Vec<MempoolEntry> = self.raw_mempool().into_iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.txid);
        entries
    }

    fn mempool_transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.try_call("getmempoolentry", &json!([txid.to_string()])).ok()?;
        let raw = self.try_call("getrawtransaction", &json!([txid.to_string()])).ok()?;
        Some(Arc::new(
            deserialize_hex(text(&raw)).expect("bitcoind serves valid transactions"),
        ))
    }

    fn prioritise(&mut self, txid: Txid, delta_sat: i64) {
        self.call("prioritisetransaction", &json!([txid.to_string(), 0, delta_sat]));
    }

    fn mine(&mut self, options: &MineOptions) -> Result<Vec<BlockHash>, Rejected> {
        let mut time = options.time.unwrap_or(self.tip().time.saturating_add(options.interval));
        let mut include = options.include.as_slice();
        let mut hashes = Vec::new();
        for _ in 0..options.blocks.0 {
            hashes.push(self.mine_one(options, include, time)?);
            time = time.saturating_add(options.interval);
            include = &[];
        }
        Ok(hashes)
    }

    fn submit_block(&mut self, block: &Block) -> Result<(), Rejected> {
        // A node refuses blocks from the future, and its clock is ours.
        let time = block.header.time.max(self.tip().time);
        self.call("setmocktime", &json!([time]));
        // A bad header is told apart only here; `submitblock` calls it inconclusive.
        self.try_call("submitheader", &json!([serialize_hex(&block.header)]))
            .map_err(|error| match error.message.as_str() {
                unknown if unknown.starts_with("Must submit previous header") => Reason::PreviousBlockUnknown.into(),
                reason => Rejected::from(reason),
            })?;
        match self.call("submitblock", &json!([serialize_hex(block)])) {
            Value::Null => Ok(()),
            // Valid, and not on the best branch.
            Value::String(reason) if reason == "inconclusive" => Ok(()),
            reason => Err(Rejected::from(text(&reason))),
        }
    }

    fn invalidate(&mut self, hash: &BlockHash) {
        let Some(position) = self.block_position(hash).filter(|position| position.height.0 > 0) else {
            return;
        };
        let former = if position.active {
            self.transactions_from(position.height)
        } else {
            Vec::new()
        };
        self.call("invalidateblock", &json!([hash.to_string()]));
        for transaction in former {
            // Those that conflict with the new branch are gone, as in any reorg.
            let _ = self.submit(&transaction);
        }
    }

    fn reconsider(&mut self, hash: &BlockHash) {
        if self.block_position(hash).is_some() {
            self.call("reconsiderblock", &json!([hash.to_string()]));
        }
    }

    fn confirmed_at(&self, txid: &Txid) -> Option<BlockHeight> {
        self.synchronise();
        self.index.borrow().confirmed.get(txid).copied().map(BlockHeight)
    }

    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        let output = self.call("gettxout", &json!([outpoint.txid.to_string(), outpoint.vout, false]));
        let confirmations: u32 = number(output.get("confirmations")?);
        let script_pubkey = ScriptBuf::from_hex(text(&output["scriptPubKey"]["hex"])).expect("bitcoind serves hex");
        Some(Utxo {
            output: TxOut {
                value: amount(&output["value"]),
                script_pubkey,
            },
            height: self.tip().height.saturating_sub(BlockCount(confirmations - 1)),
            coinbase: output["coinbase"] == json!(true),
        })
    }

    fn spent_by(&self, outpoint: &OutPoint) -> Option<Spend> {
        self.synchronise();
        let confirmed = self.index.borrow().spends.get(outpoint).copied();
        match confirmed {
            Some(txid) => Some(Spend {
                txid,
                height: self.confirmed_at(&txid),
            }),
            None => self.mempool_spender(outpoint).map(|txid| Spend { txid, height: None }),
        }
    }

    fn relay_feerates(&self) -> RelayFeerates {
        let info = self.call("getmempoolinfo", &json!([]));
        RelayFeerates {
            min_relay: feerate(&info["minrelaytxfee"]),
            mempool_min: feerate(&info["mempoolminfee"]),
            incremental: feerate(&info["incrementalrelayfee"]),
        }
    }

    fn estimate_feerate(&self, target: BlockCount) -> Option<FeeRate> {
        let answer = self.call("estimatesmartfee", &json!([target.0]));
        answer.get("feerate").map(feerate)
    }
}

fn node(entry: &Value) -> Node {
    let parents = entry["depends"].as_array().into_iter().flatten().map(parsed).collect();
    let weight = entry["weight"].as_u64().expect("an entry has a weight");
    Node {
        fee: signed_amount(&entry["fees"]["modified"]),
        weight,
        parents,
    }
}

fn subsidy(height: u32) -> Amount {
    let halvings = height / ChainParameters::default().subsidy_halving_interval;
    Amount::from_sat(Amount::from_int_btc(50).to_sat().checked_shr(halvings).unwrap_or(0))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("bitcoind answers with a text, not {value}"))
}

fn parsed<T: std::str::FromStr>(value: &Value) -> T {
    text(value)
        .parse()
        .unwrap_or_else(|_| panic!("bitcoind answers with a hash, not {value}"))
}

fn number(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("bitcoind answers with a number, not {value}"))
}

fn amount(value: &Value) -> Amount {
    let amount = value.as_f64().and_then(|bitcoin| Amount::from_btc(bitcoin).ok());
    amount.unwrap_or_else(|| panic!("bitcoind answers with an amount, not {value}"))
}

fn signed_amount(value: &Value) -> i64 {
    let amount = value.as_f64().and_then(|bitcoin| SignedAmount::from_btc(bitcoin).ok());
    amount
        .unwrap_or_else(|| panic!("bitcoind answers with an amount, not {value}"))
        .to_sat()
}

/// Bitcoin per 1,000 virtual bytes.
fn feerate(value: &Value) -> FeeRate {
    FeeRate::from_sat_per_kwu(amount(value).to_sat().div_ceil(4))
}
