//! What cannot pay its own fee: second stages and the children of commitments. The wallet is asked for coins, as values.
//!
//! A request goes out with every block until its claims are spent. An unchanged one is to be answered by the same transaction,
//! broadcast again; one with a higher feerate by a transaction that replaces it. The wallet signs its own inputs.

use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, TxIn, TxOut, Weight, Witness};
use quittance_primitives::FeeratePerKw;
use quittance_transactions::{ClaimInput, ClaimTransaction, dust_threshold};

/// Claims that need coins of the wallet's for their fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeRequest {
    /// What the transaction claims.
    pub claims: Vec<ClaimInput>,
    /// What the transaction, together with its parent if it has one here, is to pay.
    pub feerate: FeeratePerKw,
    /// The unconfirmed transaction that it pays for.
    pub parent: Option<Parent>,
    /// The most that should be paid.
    pub budget: Amount,
}

/// An unconfirmed transaction, and what it pays itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its weight.
    pub weight: Weight,
    /// Its fee.
    pub fee: Amount,
}

/// A coin of the wallet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is.
    pub output: TxOut,
    /// What its witness will weigh, the number of its elements included.
    pub witness_weight: Weight,
}

/// More is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("coins of {0} more are needed")]
pub struct CoinsMissing(pub Amount);

impl FeeRequest {
    /// The transaction with `coins` as its last inputs and the change as its last output. Claims and coins have yet to be
    /// signed, in any order: every signature covers the whole transaction.
    ///
    /// # Errors
    /// [`CoinsMissing`] with what is missing at least.
    ///
    /// # Panics
    /// When the claims do not go together: this crate makes no such request.
    pub fn fund(&self, coins: &[Coin], change: &Script) -> Result<ClaimTransaction, CoinsMissing> {
        let with_change = self.assemble(coins, Some((change, Amount::ZERO)));
        let fee = self.fee(&with_change, coins);
        let given: Amount = self.claims.iter().map(|claim| claim.output.value).sum::<Amount>()
            + coins.iter().map(|coin| coin.output.value).sum();
        let spent: Amount = self.second_stages().map(|output| output.value).sum();
        let left = given.checked_sub(spent).unwrap_or(Amount::ZERO);
        let dust = dust_threshold(change);
        if let Some(rest) = left.checked_sub(fee).filter(|rest| *rest >= dust) {
            return Ok(self.assemble(coins, Some((change, rest))));
        }
        let needed = if self.second_stages().next().is_some() {
            let without_change = self.assemble(coins, None);
            let fee = self.fee(&without_change, coins);
            if left >= fee {
                return Ok(without_change);
            }
            fee
        } else {
            // A transaction needs an output.
            fee + dust
        };
        Err(CoinsMissing(needed.checked_sub(left).unwrap_or(Amount::ZERO)))
    }

    fn second_stages(&self) -> impl Iterator<Item = &TxOut> {
        let terms = self.claims.iter().filter_map(|claim| claim.second_stage.as_ref());
        terms.map(|terms| &terms.output)
    }

    fn fee(&self, transaction: &ClaimTransaction, coins: &[Coin]) -> Amount {
        let weight = transaction.weight() + coins.iter().map(|coin| coin.witness_weight).sum();
        let own = FeeratePerKw::FLOOR.fee_ceil(weight);
        match self.parent {
            None => self.feerate.fee_ceil(weight).max(own),
            Some(parent) => {
                let both = self.feerate.fee_ceil(weight + parent.weight);
                both.checked_sub(parent.fee).unwrap_or(Amount::ZERO).max(own)
            }
        }
    }

    fn assemble(&self, coins: &[Coin], change: Option<(&Script, Amount)>) -> ClaimTransaction {
        let inputs = coins.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let outputs = change.iter().map(|(script, value)| TxOut {
            value: *value,
            script_pubkey: (*script).to_owned(),
        });
        ClaimTransaction::new(self.claims.clone(), inputs.collect(), outputs.collect())
            .expect("the claims of a request go together")
    }
}
