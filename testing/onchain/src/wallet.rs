//! A wallet of coins that anyone can spend, which therefore needs no keys; and the script that claims are swept to.

use std::collections::BTreeMap;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, WPubkeyHash, Weight};
use quittance_monitor::{Coin, FeeRequest};
use quittance_regtest::{Chain, Faucet, faucet};
use quittance_transactions::ClaimTransaction;

/// The wallet of one end.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// Where claims are swept to.
    pub destination: ScriptBuf,
    change: ScriptBuf,
    free: Vec<OutPoint>,
    /// The coin of each request, by the first output that it claims: a replacement spends the same coin.
    lent: BTreeMap<OutPoint, OutPoint>,
}

const COIN: Amount = Amount::from_sat(300_000);

impl Wallet {
    /// A wallet with `coins` coins of 300,000 sat.
    pub fn new(end: u8, coins: usize, chain: &mut impl Chain, faucet: &mut Faucet) -> Self {
        let outputs = vec![coin_output(); coins];
        let script = |number| ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([number; 20]));
        Self {
            destination: script(end),
            change: script(end + 100),
            free: faucet.fund(chain, &outputs),
            lent: BTreeMap::new(),
        }
    }

    /// Adds a coin to what cannot pay for itself, as long as there are coins. Neither claims nor coin are signed.
    pub fn fund(&mut self, request: &FeeRequest) -> Option<ClaimTransaction> {
        let mut claims = request.claims.iter().map(|claim| claim.outpoint);
        let promise = claims.find_map(|claim| self.lent.get(&claim).copied());
        let coin = if let Some(coin) = promise {
            coin
        } else {
            let coin = self.free.pop()?;
            self.lent.insert(request.claims[0].outpoint, coin);
            coin
        };
        let coin = Coin {
            outpoint: coin,
            output: coin_output(),
            witness_weight: Weight::from_wu(u64::try_from(faucet::reward_witness().size()).expect("small")),
        };
        let funded = request.fund(&[coin], &self.change);
        Some(funded.expect("a coin pays for any request"))
    }

    /// Takes the coins back from requests whose claims somebody else has taken.
    pub fn take_back(&mut self, chain: &dyn Chain) {
        let is_spent =
            |outpoint: &OutPoint| chain.confirmed_at(&outpoint.txid).is_some() && chain.utxo(outpoint).is_none();
        let is_over = |claim: &OutPoint, coin: &OutPoint| is_spent(claim) && !is_spent(coin);
        let over = self.lent.extract_if(.., |claim, coin| is_over(claim, coin));
        self.free.extend(over.map(|(_, coin)| coin));
    }

    /// What is promised to nobody.
    pub fn coins(&self) -> Vec<Amount> {
        vec![COIN; self.free.len()]
    }

    /// A coin was spent otherwise.
    pub fn spent(&mut self, coin: &OutPoint) {
        self.free.retain(|free| free != coin);
        self.lent.retain(|_, lent| lent != coin);
    }

    /// More coins of the same kind come in.
    pub fn earn(&mut self, coins: usize, chain: &mut impl Chain, faucet: &mut Faucet) {
        self.free.extend(faucet.fund(chain, &vec![coin_output(); coins]));
    }

    /// Gives away all coins that are not promised to any request, but for `coins` of them.
    pub fn keep(&mut self, coins: usize) {
        self.free.truncate(coins);
    }

    /// How many coins are not promised to any request.
    pub fn coins_left(&self) -> usize {
        self.free.len()
    }

    /// Puts the witnesses of the wallet's own coins in place.
    pub fn sign(&self, mut transaction: Transaction) -> Transaction {
        for input in &mut transaction.input {
            if self.lent.values().any(|coin| *coin == input.previous_output) {
                input.witness = faucet::reward_witness();
            }
        }
        transaction
    }
}

fn coin_output() -> TxOut {
    TxOut {
        value: COIN,
        script_pubkey: faucet::reward_script(),
    }
}
