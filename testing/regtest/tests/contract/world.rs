//! What every story needs: a chain, money that needs no signature, and transactions with exact fees.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use quittance_primitives::{BlockCount, BlockHeight};
use quittance_regtest::faucet::{reward_script, reward_witness};
use quittance_regtest::{Chain, EmbeddedChain, Faucet, MineOptions, Reason};

/// The size in virtual bytes of [`spend`] with one coin: with 0.1 sat/vB it has to pay 10 satoshis.
pub(crate) const ONE_TO_ONE_VSIZE: u64 = 96;

pub(crate) struct World<C> {
    pub(crate) chain: C,
    pub(crate) faucet: Faucet,
}

/// An output that anyone can spend.
#[derive(Clone, Debug)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) value: u64,
}

pub(crate) type Story<C> = fn(&mut World<C>);

impl World<EmbeddedChain> {
    pub(crate) fn embedded() -> Self {
        Self {
            chain: EmbeddedChain::default(),
            faucet: Faucet::new(),
        }
    }
}

impl<C: Chain> World<C> {
    /// A confirmed coin that anyone can spend.
    pub(crate) fn coin(&mut self, sat: u64) -> Coin {
        let [coin] = self.coins([sat]);
        coin
    }

    pub(crate) fn coins<const N: usize>(&mut self, sats: [u64; N]) -> [Coin; N] {
        let outputs = sats.map(|sat| output(sat, reward_script()));
        let outpoints = self.faucet.fund(&mut self.chain, &outputs);
        std::array::from_fn(|index| Coin {
            outpoint: outpoints[index],
            value: sats[index],
        })
    }

    /// Confirmed money under another script.
    pub(crate) fn coin_under(&mut self, sat: u64, script: ScriptBuf) -> OutPoint {
        self.faucet.fund(&mut self.chain, &[output(sat, script)])[0]
    }

    pub(crate) fn refusal(&mut self, transaction: &Transaction) -> Reason {
        let tested = self
            .chain
            .test_accept(transaction)
            .expect_err("a test must refuse it, too")
            .reason;
        let submitted = self
            .chain
            .submit(transaction)
            .expect_err("the transaction must be refused")
            .reason;
        assert_eq!(tested, submitted);
        submitted
    }

    pub(crate) fn accept(&mut self, transaction: &Transaction) -> Txid {
        self.chain
            .submit(transaction)
            .expect("the transaction must be accepted")
    }

    pub(crate) fn waits(&self, txid: &Txid) -> bool {
        self.chain.confirmations(txid) == Some(BlockCount(0))
    }

    pub(crate) fn mine(&mut self, blocks: u32) {
        self.chain
            .mine(&MineOptions::blocks(blocks))
            .expect("blocks from the mempool are valid");
    }

    pub(crate) fn height(&self) -> u32 {
        self.chain.tip().height.0
    }

    pub(crate) fn median_time_past(&self) -> u32 {
        let tip = self.height();
        let time = |height| {
            let hash = self
                .chain
                .block_hash(BlockHeight(height))
                .expect("a height up to the tip");
            self.chain.block(&hash).expect("an active block").header.time
        };
        let mut times: Vec<u32> = (tip.saturating_sub(10)..=tip).map(time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

pub(crate) fn output(sat: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    }
}

/// All of these coins in one new coin, less the fee. Signals nothing.
pub(crate) fn spend(coins: &[&Coin], fee: u64) -> Transaction {
    let total: u64 = coins.iter().map(|coin| coin.value).sum();
    spend_to(coins, vec![output(total - fee, reward_script())])
}

/// These coins in as many equal new coins, less the fee.
pub(crate) fn split(coins: &[&Coin], parts: u64, fee: u64) -> Transaction {
    let total: u64 = coins.iter().map(|coin| coin.value).sum();
    let share = (total - fee) / parts;
    let mut outputs = vec![output(share, reward_script()); usize::try_from(parts).unwrap()];
    outputs[0].value += Amount::from_sat((total - fee) % parts);
    spend_to(coins, outputs)
}

pub(crate) fn spend_to(coins: &[&Coin], outputs: Vec<TxOut>) -> Transaction {
    let input = |coin: &&Coin| TxIn {
        witness: reward_witness(),
        ..input(coin.outpoint)
    };
    let input = coins.iter().map(input).collect();
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output: outputs,
    }
}

/// A final input without a witness.
pub(crate) fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    }
}

/// An output of a transaction as a coin.
pub(crate) fn coin_of(transaction: &Transaction, vout: u32) -> Coin {
    let outpoint = OutPoint {
        txid: transaction.compute_txid(),
        vout,
    };
    Coin {
        outpoint,
        value: transaction.output[vout as usize].value.to_sat(),
    }
}

pub(crate) fn version_3(mut transaction: Transaction) -> Transaction {
    transaction.version = Version(3);
    transaction
}

#[test]
fn a_spend_has_the_size_that_the_stories_count_on() {
    let coin = Coin {
        outpoint: OutPoint::null(),
        value: 1_000,
    };
    assert_eq!(spend(&[&coin], 1).weight().to_wu().div_ceil(4), ONE_TO_ONE_VSIZE);
}
