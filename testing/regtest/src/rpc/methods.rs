//! Which call does what: the table of methods, and their parameters.

use bitcoin::consensus::Decodable;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{BlockHash, Txid};
use serde_json::{Map, Value, json};

use super::{RpcError, blocks, mempool, transactions};
use crate::chain::Chain;

/// Calls a method of bitcoind's interface on any chain.
pub fn call<C: Chain>(chain: &mut C, method: &str, params: &Params) -> Result<Value, RpcError> {
    match method {
        "getblockchaininfo" => Ok(blocks::chain_info(chain)),
        "getblockcount" => Ok(json!(chain.tip().height.0)),
        "getbestblockhash" => Ok(json!(chain.tip().hash.to_string())),
        "getblockhash" => blocks::hash_at(chain, params),
        "getblockheader" => blocks::header(chain, params),
        "getblock" => blocks::block(chain, params),
        "generatetoaddress" => blocks::generate_to_address(chain, params),
        "submitblock" => blocks::submit(chain, params),
        "invalidateblock" => blocks::invalidate(chain, params),
        "reconsiderblock" => blocks::reconsider(chain, params),
        "sendrawtransaction" => transactions::send(chain, params),
        "testmempoolaccept" => transactions::test_accept(chain, params),
        "submitpackage" => transactions::submit_package(chain, params),
        "getrawtransaction" => transactions::raw(chain, params),
        "gettxout" => transactions::output(chain, params),
        "gettxspendingprevout" => transactions::spending(chain, params),
        "getmempoolinfo" => Ok(mempool::info(chain)),
        "getrawmempool" => mempool::list(chain, params),
        "getmempoolentry" => mempool::entry(chain, params),
        "estimatesmartfee" => mempool::estimate(chain, params),
        "prioritisetransaction" => mempool::prioritise(chain, params),
        // Headers are judged with their block, and there is no clock to set.
        "submitheader" | "setmocktime" => Ok(Value::Null),
        "getnetworkinfo" => Ok(network_info(chain)),
        _ => Err(RpcError::new(RpcError::METHOD_NOT_FOUND, "Method not found")),
    }
}

/// The parameters of a call, by position or by name.
#[derive(Clone, Debug, Default)]
pub struct Params {
    positional: Vec<Value>,
    named: Map<String, Value>,
}

impl Params {
    /// Reads what stands under `params` in a request.
    pub fn new(value: &Value) -> Self {
        match value {
            Value::Array(positional) => Self {
                positional: positional.clone(),
                named: Map::new(),
            },
            Value::Object(named) => Self {
                positional: Vec::new(),
                named: named.clone(),
            },
            _ => Self::default(),
        }
    }

    /// A parameter, or null.
    pub(super) fn get(&self, index: usize, name: &str) -> &Value {
        self.positional
            .get(index)
            .or_else(|| self.named.get(name))
            .unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, index: usize, name: &str) -> Result<&str, RpcError> {
        self.get(index, name).as_str().ok_or_else(|| wrong_type(name, "string"))
    }

    pub(super) fn integer(&self, index: usize, name: &str) -> Result<i64, RpcError> {
        self.get(index, name).as_i64().ok_or_else(|| wrong_type(name, "number"))
    }

    /// A flag, or a verbosity where older clients send a flag.
    pub(super) fn level(&self, index: usize, name: &str, default: i64) -> Result<i64, RpcError> {
        match self.get(index, name) {
            Value::Null => Ok(default),
            Value::Bool(flag) => Ok(i64::from(*flag)),
            value => value.as_i64().ok_or_else(|| wrong_type(name, "number")),
        }
    }

    pub(super) fn list(&self, index: usize, name: &str) -> Result<&[Value], RpcError> {
        self.get(index, name)
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| wrong_type(name, "array"))
    }

    /// An amount in bitcoin, in satoshis; `default` if it is absent.
    pub(super) fn amount(&self, index: usize, name: &str, default: u64) -> Result<u64, RpcError> {
        let value = self.get(index, name);
        let bitcoin = match value {
            Value::Null => return Ok(default),
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        };
        bitcoin
            .and_then(|bitcoin| bitcoin::Amount::from_btc(bitcoin).ok())
            .map(bitcoin::Amount::to_sat)
            .ok_or_else(|| RpcError::new(RpcError::TYPE, "Invalid amount"))
    }

    pub(super) fn block_hash(&self, index: usize, name: &str) -> Result<BlockHash, RpcError> {
        let invalid = |_| RpcError::new(RpcError::INVALID_PARAMETER, format!("{name} must be a hash in hex"));
        self.text(index, name)?.parse().map_err(invalid)
    }

    pub(super) fn txid(&self, index: usize, name: &str) -> Result<Txid, RpcError> {
        txid(self.get(index, name), name)
    }
}

pub(super) fn txid(value: &Value, name: &str) -> Result<Txid, RpcError> {
    let invalid = |_| RpcError::new(RpcError::INVALID_PARAMETER, format!("{name} must be a hash in hex"));
    value
        .as_str()
        .ok_or_else(|| wrong_type(name, "string"))?
        .parse()
        .map_err(invalid)
}

pub(super) fn decode<T: Decodable>(value: &Value, what: &str) -> Result<T, RpcError> {
    let text = value.as_str().ok_or_else(|| wrong_type(what, "string"))?;
    deserialize_hex(text).map_err(|_| RpcError::new(RpcError::DESERIALIZATION, format!("{what} decode failed")))
}

fn wrong_type(name: &str, expected: &str) -> RpcError {
    RpcError::new(
        RpcError::TYPE,
        format!("JSON value of {name} is not of expected type {expected}"),
    )
}

/// What clients ask to learn the version.
fn network_info<C: Chain>(chain: &C) -> Value {
    let relay_fee = mempool::info(chain)["minrelaytxfee"].clone();
    json!({
        "version": 310_000,
        "subversion": "/Quittance-regtest:31.0.0/",
        "protocolversion": 70_016,
        "localrelay": true,
        "networkactive": false,
        "connections": 0,
        "relayfee": relay_fee,
        "warnings": [],
    })
}
