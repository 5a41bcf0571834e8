//! Calls about blocks and the chain.

use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Block, BlockHash, Network};
use quittance_primitives::{BlockCount, BlockHeight};
use serde_json::{Value, json};

use super::methods::{Params, decode};
use super::{RpcError, transactions};
use crate::chain::{Chain, MineOptions};

/// BIP 113.
const MEDIAN_TIME_SPAN: usize = 11;
const BLOCKS_PER_CALL_MAX: u32 = 10_000;

pub(super) fn chain_info<C: Chain>(chain: &C) -> Value {
    let tip = chain.tip();
    let header = known_header(chain, &tip.hash);
    json!({
        "chain": "regtest",
        "blocks": tip.height.0,
        "headers": tip.height.0,
        "bestblockhash": tip.hash.to_string(),
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "difficulty": header.difficulty_float(),
        "time": tip.time,
        "mediantime": median_time(chain, &tip.hash),
        "verificationprogress": 1,
        "initialblockdownload": false,
        "chainwork": chain_work(tip.height),
        "size_on_disk": 0,
        "pruned": false,
        "warnings": [],
    })
}

pub(super) fn hash_at<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let height = u32::try_from(params.integer(0, "height")?).ok();
    let hash = height.and_then(|height| chain.block_hash(BlockHeight(height)));
    hash.map(|hash| json!(hash.to_string()))
        .ok_or_else(|| RpcError::new(RpcError::INVALID_PARAMETER, "Block height out of range"))
}

pub(super) fn header<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let hash = params.block_hash(0, "blockhash")?;
    let block = chain.block(&hash).ok_or_else(unknown_block)?;
    match params.level(1, "verbose", 1)? {
        0 => Ok(json!(serialize_hex(&block.header))),
        _ => Ok(described(chain, &hash, &block)),
    }
}

pub(super) fn block<C: Chain>(chain: &C, params: &Params) -> Result<Value, RpcError> {
    let hash = params.block_hash(0, "blockhash")?;
    let block = chain.block(&hash).ok_or_else(unknown_block)?;
    let verbosity = params.level(1, "verbosity", 1)?;
    if verbosity == 0 {
        return Ok(json!(serialize_hex(&*block)));
    }
    let mut described = described(chain, &hash, &block);
    let transactions = block.txdata.iter().map(|transaction| match verbosity {
        1 => json!(transaction.compute_txid().to_string()),
        _ => transactions::described(transaction),
    });
    described["tx"] = transactions.collect();
    described["size"] = json!(block.total_size());
    described["strippedsize"] = json!((block.weight().to_wu() - block.total_size() as u64) / 3);
    described["weight"] = json!(block.weight().to_wu());
    Ok(described)
}

pub(super) fn generate_to_address<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let blocks = u32::try_from(params.integer(0, "nblocks")?)
        .ok()
        .filter(|blocks| *blocks <= BLOCKS_PER_CALL_MAX);
    let blocks = blocks.ok_or_else(|| RpcError::new(RpcError::INVALID_PARAMETER, "nblocks is out of range"))?;
    let address = params.text(1, "address")?.parse::<Address<_>>().ok();
    let address = address
        .and_then(|address| address.require_network(Network::Regtest).ok())
        .ok_or_else(|| RpcError::new(RpcError::INVALID_ADDRESS_OR_KEY, "Error: Invalid address"))?;
    let options = MineOptions {
        reward: Some(address.script_pubkey()),
        ..MineOptions::blocks(blocks)
    };
    match chain.mine(&options) {
        Ok(hashes) => Ok(hashes.iter().map(|hash| json!(hash.to_string())).collect()),
        Err(rejected) => Err(RpcError::new(RpcError::VERIFY, rejected.to_string())),
    }
}

pub(super) fn submit<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let block: Block = decode(params.get(0, "hexdata"), "Block")?;
    Ok(chain
        .submit_block(&block)
        .map_or_else(|rejected| json!(rejected.reason.as_str()), |()| Value::Null))
}

pub(super) fn invalidate<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let hash = params.block_hash(0, "blockhash")?;
    chain.block_position(&hash).ok_or_else(unknown_block)?;
    chain.invalidate(&hash);
    Ok(Value::Null)
}

pub(super) fn reconsider<C: Chain>(chain: &mut C, params: &Params) -> Result<Value, RpcError> {
    let hash = params.block_hash(0, "blockhash")?;
    chain.block_position(&hash).ok_or_else(unknown_block)?;
    chain.reconsider(&hash);
    Ok(Value::Null)
}

/// The fields that a header and a block have in common.
fn described<C: Chain>(chain: &C, hash: &BlockHash, block: &Block) -> Value {
    let header = &block.header;
    let position = chain
        .block_position(hash)
        .expect("a block that was found has a position");
    let tip = chain.tip().height;
    let confirmations = if position.active {
        i64::from(position.height.depth_at(tip).0)
    } else {
        -1
    };
    let version = header.version.to_consensus();
    let mut described = json!({
        "hash": hash.to_string(),
        "confirmations": confirmations,
        "height": position.height.0,
        "version": version,
        "versionHex": format!("{version:08x}"),
        "merkleroot": header.merkle_root.to_string(),
        "time": header.time,
        "mediantime": median_time(chain, hash),
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "difficulty": header.difficulty_float(),
        "chainwork": chain_work(position.height),
        "nTx": block.txdata.len(),
    });
    if position.height.0 > 0 {
        described["previousblockhash"] = json!(header.prev_blockhash.to_string());
    }
    let next = chain.block_hash(position.height.saturating_add(BlockCount(1)));
    if let Some(next) = next.filter(|_| position.active) {
        described["nextblockhash"] = json!(next.to_string());
    }
    described
}

fn known_header<C: Chain>(chain: &C, hash: &BlockHash) -> Header {
    chain
        .block(hash)
        .expect("the chain has the blocks that it names")
        .header
}

fn median_time<C: Chain>(chain: &C, hash: &BlockHash) -> u32 {
    let mut times = Vec::with_capacity(MEDIAN_TIME_SPAN);
    let mut next = chain.block(hash);
    while let Some(block) = next.filter(|_| times.len() < MEDIAN_TIME_SPAN) {
        times.push(block.header.time);
        next = chain.block(&block.header.prev_blockhash);
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// On regtest each block is worth two hashes.
fn chain_work(height: BlockHeight) -> String {
    format!("{:064x}", (u64::from(height.0) + 1) * 2)
}

fn unknown_block() -> RpcError {
    RpcError::new(RpcError::INVALID_ADDRESS_OR_KEY, "Block not found")
}
