//! The form of a regtest block: how one is built, with real proof of work, and what is checked without the chain's state.

use bitcoin::block::{Header, Version};
use bitcoin::consensus::Params;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Weight, Witness, WitnessMerkleNode, absolute, transaction,
};

use crate::rejection::{Reason, Rejected};

/// The easiest target: every second hash is a block.
pub const REGTEST_BITS: u32 = 0x207f_ffff;
/// BIP 141: the coinbase's witness is this one item.
const WITNESS_RESERVED_VALUE: [u8; 32] = [0; 32];
const WITNESS_COMMITMENT_PREFIX: [u8; 4] = [0xaa, 0x21, 0xa9, 0xed];

/// All that makes one block differ from another.
#[derive(Clone, Debug)]
pub struct BlockPlan {
    /// The block that it builds on.
    pub previous: BlockHash,
    /// Its own height.
    pub height: u32,
    /// Its time stamp, in seconds since 1970.
    pub time: u32,
    /// Tells blocks apart that are equal otherwise, such as the same height mined again after a reorg.
    pub extra_nonce: u64,
    /// Who gets the reward.
    pub reward_script: ScriptBuf,
    /// Subsidy and fees.
    pub reward: Amount,
    /// The transactions without the coinbase, parents first.
    pub transactions: Vec<Transaction>,
}

/// Builds the block and grinds its proof of work.
pub fn build(plan: BlockPlan) -> Block {
    let mut txdata = vec![coinbase(&plan)];
    txdata.extend(plan.transactions);
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: plan.previous,
            merkle_root: TxMerkleNode::all_zeros(),
            time: plan.time,
            bits: CompactTarget::from_consensus(REGTEST_BITS),
            nonce: 0,
        },
        txdata,
    };
    let witness_root = block.witness_root().expect("a block has a coinbase");
    block.txdata[0].output.push(witness_commitment_output(&witness_root));
    block.header.merkle_root = block.compute_merkle_root().expect("a block has a coinbase");
    let target = block.header.target();
    while !target.is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
    block
}

fn coinbase(plan: &BlockPlan) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new()
                .push_int(i64::from(plan.height))
                .push_slice(plan.extra_nonce.to_le_bytes())
                .into_script(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[WITNESS_RESERVED_VALUE]),
        }],
        output: vec![TxOut {
            value: plan.reward,
            script_pubkey: plan.reward_script.clone(),
        }],
    }
}

fn witness_commitment_output(witness_root: &WitnessMerkleNode) -> TxOut {
    let commitment = Block::compute_witness_commitment(witness_root, &WITNESS_RESERVED_VALUE);
    let mut payload = [0; 36];
    payload[..4].copy_from_slice(&WITNESS_COMMITMENT_PREFIX);
    payload[4..].copy_from_slice(&commitment.to_byte_array());
    let script_pubkey = Builder::new().push_opcode(OP_RETURN).push_slice(payload).into_script();
    TxOut {
        value: Amount::ZERO,
        script_pubkey,
    }
}

/// The rules that need no chain state: proof of work, merkle roots, the coinbase's place and height, the weight.
pub fn check_form(block: &Block, height: u32) -> Result<(), Rejected> {
    let params = &Params::REGTEST;
    if block.header.bits != CompactTarget::from_consensus(REGTEST_BITS) {
        return Err(Reason::BadDifficulty.into());
    }
    if block.header.validate_pow(params.max_attainable_target).is_err() {
        return Err(Reason::HighHash.into());
    }
    if !block.check_merkle_root() {
        return Err(Reason::MerkleRoot.into());
    }
    match block.txdata.split_first() {
        Some((coinbase, others)) if coinbase.is_coinbase() => {
            if others.iter().any(Transaction::is_coinbase) {
                return Err(Reason::CoinbaseMultiple.into());
            }
            let prefix = Builder::new().push_int(i64::from(height)).into_script();
            if !coinbase.input[0].script_sig.as_bytes().starts_with(prefix.as_bytes()) {
                return Err(Reason::CoinbaseHeight.into());
            }
        }
        _ => return Err(Reason::CoinbaseMissing.into()),
    }
    if !block.check_witness_commitment() {
        return Err(Reason::WitnessCommitment.into());
    }
    if block.weight() > Weight::MAX_BLOCK {
        return Err(Reason::BlockWeight.into());
    }
    Ok(())
}
