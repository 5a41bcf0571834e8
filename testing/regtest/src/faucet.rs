//! Money for tests without a wallet: miners' rewards that anyone can spend, turned into the outputs that a test asks for.

use std::collections::BTreeSet;

use bitcoin::opcodes::OP_TRUE;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness, absolute, transaction,
};
use quittance_primitives::BlockHeight;

use crate::chain::{Chain, MineOptions};

/// What the faucet pays per weight unit, in satoshis: 20 sat/vB.
const FEE_PER_WEIGHT_UNIT: u64 = 5;

/// Spends miners' rewards of a chain; see the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Faucet {
    /// The height from which rewards may be unspent.
    next_height: u32,
    change: Vec<OutPoint>,
    handed_out: BTreeSet<OutPoint>,
}

/// The output script of rewards: a witness script that is always true.
pub fn reward_script() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&reward_witness_script().wscript_hash())
}

/// The witness that spends [`reward_script`].
pub fn reward_witness() -> Witness {
    Witness::from_slice(&[reward_witness_script().as_bytes()])
}

fn reward_witness_script() -> ScriptBuf {
    Builder::new().push_opcode(OP_TRUE).into_script()
}

impl Faucet {
    /// A faucet that has handed out nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Confirms these outputs in a block of its own, after mining rewards if there are too few; returns the outpoints.
    pub fn fund(&mut self, chain: &mut (impl Chain + ?Sized), outputs: &[TxOut]) -> Vec<OutPoint> {
        let payment = self.pay(chain, outputs);
        let txid = payment.compute_txid();
        chain
            .mine(&MineOptions::empty(1).including([payment]))
            .expect("a payment of the faucet is valid");
        (0..).zip(outputs).map(|(vout, _)| OutPoint { txid, vout }).collect()
    }

    /// A transaction with these outputs first, which is neither submitted nor mined. Mines rewards if there are too few.
    pub fn pay(&mut self, chain: &mut (impl Chain + ?Sized), outputs: &[TxOut]) -> Transaction {
        let target: Amount = outputs.iter().map(|output| output.value).sum();
        let mut payment = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: Vec::new(),
            output: outputs.to_vec(),
        };
        payment.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: reward_script(),
        });
        let mut gathered = Amount::ZERO;
        loop {
            let fee = Amount::from_sat((payment.weight() + Weight::from_vb_unwrap(2)).to_wu() * FEE_PER_WEIGHT_UNIT);
            let dust = Amount::from_sat(1_000);
            if let Some(change) = gathered.checked_sub(target + fee).filter(|change| *change >= dust) {
                let vout = u32::try_from(outputs.len()).expect("outputs fit 32 bits");
                payment.output[outputs.len()].value = change;
                self.change.push(OutPoint {
                    txid: payment.compute_txid(),
                    vout,
                });
                return payment;
            }
            let (previous_output, value) = self.next_coin(chain);
            gathered += value;
            payment.input.push(TxIn {
                previous_output,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: reward_witness(),
            });
        }
    }

    fn next_coin(&mut self, chain: &mut (impl Chain + ?Sized)) -> (OutPoint, Amount) {
        loop {
            if let Some((outpoint, value)) = self.mature_reward(chain).or_else(|| self.confirmed_change(chain)) {
                self.handed_out.insert(outpoint);
                return (outpoint, value);
            }
            chain.mine(&MineOptions::empty(1)).expect("an empty block is valid");
        }
    }

    fn mature_reward(&mut self, chain: &(impl Chain + ?Sized)) -> Option<(OutPoint, Amount)> {
        let mature = (chain.tip().height.0 + 1).checked_sub(chain.coinbase_maturity().0)?;
        if self.next_height > mature + 1 {
            // The chain was cut back: rewards below may be new.
            self.next_height = 0;
        }
        while self.next_height <= mature {
            let height = BlockHeight(self.next_height);
            self.next_height += 1;
            let block = chain.block(&chain.block_hash(height)?)?;
            let outpoint = OutPoint {
                txid: block.txdata[0].compute_txid(),
                vout: 0,
            };
            if let Some(coin) = self.unspent(chain, outpoint) {
                return Some(coin);
            }
        }
        None
    }

    fn confirmed_change(&self, chain: &(impl Chain + ?Sized)) -> Option<(OutPoint, Amount)> {
        self.change.iter().find_map(|outpoint| self.unspent(chain, *outpoint))
    }

    fn unspent(&self, chain: &(impl Chain + ?Sized), outpoint: OutPoint) -> Option<(OutPoint, Amount)> {
        let utxo = chain.utxo(&outpoint)?;
        let free = utxo.output.script_pubkey == reward_script()
            && !self.handed_out.contains(&outpoint)
            && chain.spent_by(&outpoint).is_none()
            && utxo.output.value > Amount::ZERO;
        free.then_some((outpoint, utxo.output.value))
    }
}
