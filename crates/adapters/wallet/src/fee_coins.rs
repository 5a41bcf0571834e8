//! Coins for claims and for children of commitments, which cannot pay their own fee.
//!
//! A coin that is given to a request is given to no other, now or after a crash (I-9); a request that comes again keeps its coins and its
//! change address, so that the same request makes the same transaction, and one with a higher feerate a transaction that replaces it.
//! Only confirmed coins are given: a package may have no other unconfirmed parent (BIP 431). They may come from the reserve. Where no other
//! is left, the coin of a request whose output somebody else has taken is given anew.

use bdk_wallet::KeychainKind;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use quittance_monitor::{Coin, FeeRequest};
use quittance_primitives::FeeratePerKw;
use quittance_transactions::ClaimTransaction;

use crate::keys::{OwnInput, WITNESS_WEIGHT};
use crate::records::PromisedCoins;
use crate::{Wallet, WalletError};

/// A claim with coins. The signer signs its claims first; [`Wallet::sign_coins`] does the rest.
#[derive(Clone, Debug)]
#[must_use = "the transaction has yet to be signed and broadcast"]
pub struct FundedClaim {
    /// The transaction to sign.
    pub claims: ClaimTransaction,
    /// The coins that it spends.
    pub coins: Vec<Coin>,
    /// What it costs the wallet and the claims together, without what an unconfirmed parent pays itself.
    pub fee: Amount,
}

impl Wallet {
    /// Gives coins to a request, within its budget: where the feerate would cost more than that, or than there is, the highest one that
    /// does not.
    ///
    /// # Errors
    /// When too little confirmed money is free, or even the least fee is above the budget. The request comes again with the next block.
    pub fn fund_fees(&mut self, request: &FeeRequest) -> Result<FundedClaim, WalletError> {
        let key = self.promise_of(request);
        let promise = key.and_then(|key| self.promises.claims.get(&key)).cloned();
        let change_index = match &promise {
            Some(promise) => promise.change_index,
            None => self.reserved_change()?,
        };
        let change = self
            .view
            .peek_address(KeychainKind::Internal, change_index)
            .address
            .script_pubkey();
        let held: Vec<Coin> = promise
            .iter()
            .flat_map(|promise| &promise.coins)
            .filter_map(|coin| self.coin(coin))
            .collect();
        let funded = self.within_budget(request, held, &change);
        let funded = match funded {
            Ok(funded) => funded,
            Err(error) => {
                if promise.is_none() {
                    self.view.unmark_used(KeychainKind::Internal, change_index);
                }
                return Err(error);
            }
        };
        let coins: Vec<OutPoint> = funded.coins.iter().map(|coin| coin.outpoint).collect();
        let first = request.claims.first().map(|claim| claim.outpoint);
        let key = key
            .or(first)
            .ok_or_else(|| WalletError::NotBuilt("a request claims nothing".to_owned()))?;
        self.idle_blocks.insert(key, 0);
        if promise.as_ref().is_none_or(|promise| promise.coins != coins) {
            let before = self.promises.claims.clone();
            // I-9: a coin that is given anew is no longer its former request's.
            let is_given = |promise: &PromisedCoins| promise.coins.iter().any(|coin| coins.contains(coin));
            self.promises
                .claims
                .retain(|other, promise| *other == key || promise.spent_at.is_none() || !is_given(promise));
            let new = PromisedCoins {
                coins,
                change_index,
                spent_at: None,
            };
            self.promises.claims.insert(key, new);
            if let Err(error) = self.save_promises() {
                self.promises.claims = before;
                return Err(error);
            }
        }
        Ok(funded)
    }

    /// What the coins are worth that [`Self::fund_fees`] could give, beside those that it has promised already.
    pub fn fee_coins(&self) -> Vec<Amount> {
        let coins = self.free_coins(&[], Promised::ToOpenClaims).into_iter();
        coins.map(|coin| coin.output.value).collect()
    }

    /// Signs the wallet's inputs of a funded claim, after the signer has completed the claims' own.
    ///
    /// # Errors
    /// When the transaction is not the one that was funded.
    pub fn sign_coins(&self, funded: &FundedClaim, mut claimed: Transaction) -> Result<Transaction, WalletError> {
        let failed = |what: &str| WalletError::NotBuilt(what.to_owned());
        if claimed.compute_txid() != funded.claims.transaction().compute_txid() {
            return Err(failed("the signed transaction is another than the funded one"));
        }
        let (mut spent, mut inputs): (Vec<TxOut>, Vec<OwnInput>) = (Vec::new(), Vec::new());
        for (index, input) in claimed.input.iter().enumerate() {
            let outpoint = input.previous_output;
            if let Some(coin) = funded.coins.iter().find(|coin| coin.outpoint == outpoint) {
                let script = coin.output.script_pubkey.clone();
                let (keychain, derivation_index) = self
                    .view
                    .derivation_of_spk(script)
                    .ok_or_else(|| failed("a coin is none of ours"))?;
                spent.push(coin.output.clone());
                inputs.push(OwnInput {
                    index,
                    keychain,
                    derivation_index,
                });
            } else {
                let claim = funded.claims.claims().iter().find(|claim| claim.outpoint == outpoint);
                spent.push(
                    claim
                        .ok_or_else(|| failed("an input is neither claim nor coin"))?
                        .output
                        .clone(),
                );
            }
        }
        self.keys
            .sign(&mut claimed, &spent, &inputs)
            .ok_or_else(|| failed("a coin cannot be signed"))?;
        Ok(claimed)
    }

    /// The promise that a request continues: its own, or that of a request which it was merged with or split from.
    fn promise_of(&self, request: &FeeRequest) -> Option<OutPoint> {
        let mut claims = request.claims.iter().map(|claim| claim.outpoint);
        claims.find(|outpoint| self.promises.claims.contains_key(outpoint))
    }

    fn within_budget(
        &self,
        request: &FeeRequest,
        held: Vec<Coin>,
        change: &ScriptBuf,
    ) -> Result<FundedClaim, WalletError> {
        // Too dear for the budget, or for the coins that there are: less is better than nothing.
        match self.add_coins(request, held.clone(), change) {
            Ok(funded) if funded.fee <= request.budget => return Ok(funded),
            Ok(_) | Err(WalletError::InsufficientFunds { .. }) => {}
            Err(error) => return Err(error),
        }
        // The fee grows with the feerate: the highest that fits is found by halving.
        let (mut low, mut high) = (FeeratePerKw::FLOOR.0, request.feerate.0);
        let at = |feerate: u32| {
            let cheaper = FeeRequest {
                feerate: FeeratePerKw(feerate),
                ..request.clone()
            };
            self.add_coins(&cheaper, held.clone(), change)
        };
        let mut best = at(low)?;
        if best.fee > request.budget {
            let (fee, budget, feerate) = (best.fee, request.budget, FeeratePerKw::FLOOR);
            return Err(WalletError::OverBudget { fee, budget, feerate });
        }
        while high.saturating_sub(low) > 1 {
            let middle = low + (high - low) / 2;
            match at(middle) {
                Ok(funded) if funded.fee <= request.budget => (low, best) = (middle, funded),
                Ok(_) | Err(_) => high = middle,
            }
        }
        Ok(best)
    }

    /// Adds coins to those that are held until they pay: the smallest one that does alone, or else the largest ones.
    fn add_coins(&self, request: &FeeRequest, held: Vec<Coin>, change: &ScriptBuf) -> Result<FundedClaim, WalletError> {
        if !held.is_empty()
            && let Some(funded) = funded(request, &held, change)
        {
            return Ok(funded);
        }
        match add_from(
            request,
            held.clone(),
            change,
            self.free_coins(&held, Promised::ToAnything),
        ) {
            Err(WalletError::InsufficientFunds { .. }) => {
                let free = self.free_coins(&held, Promised::ToOpenClaims);
                add_from(request, held, change, free)
            }
            funded => funded,
        }
    }

    /// Confirmed coins that are not promised, the smallest first.
    fn free_coins(&self, held: &[Coin], kept: Promised) -> Vec<Coin> {
        let promised = match kept {
            Promised::ToAnything => self.promised_coins(),
            Promised::ToOpenClaims => {
                let open = self
                    .promises
                    .claims
                    .values()
                    .filter(|promise| promise.spent_at.is_none());
                open.flat_map(|promise| promise.coins.iter().copied()).collect()
            }
        };
        let mut free: Vec<Coin> = self
            .view
            .list_unspent()
            .filter(|coin| coin.chain_position.is_confirmed() && self.is_mature(coin))
            .filter(|coin| !promised.contains(&coin.outpoint))
            .filter(|coin| held.iter().all(|other| other.outpoint != coin.outpoint))
            .map(|coin| Coin {
                outpoint: coin.outpoint,
                output: coin.txout,
                witness_weight: WITNESS_WEIGHT,
            })
            .collect();
        free.sort_by_key(|coin| (coin.output.value, coin.outpoint));
        free
    }

    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        let coin = self.view.get_utxo(*outpoint)?;
        Some(Coin {
            outpoint: *outpoint,
            output: coin.txout,
            witness_weight: WITNESS_WEIGHT,
        })
    }
}

/// Which promises hold a coin back.
#[derive(Clone, Copy, Debug)]
enum Promised {
    /// All.
    ToAnything,
    /// Those to claims whose outputs nobody has taken yet.
    ToOpenClaims,
}

/// Adds to the coins that are held.
fn add_from(
    request: &FeeRequest,
    held: Vec<Coin>,
    change: &ScriptBuf,
    mut free: Vec<Coin>,
) -> Result<FundedClaim, WalletError> {
    for coin in &free {
        let with_one: Vec<Coin> = held.iter().chain([coin]).cloned().collect();
        if let Some(funded) = funded(request, &with_one, change) {
            return Ok(funded);
        }
    }
    let mut coins = held;
    while let Some(largest) = free.pop() {
        coins.push(largest);
        if let Some(funded) = funded(request, &coins, change) {
            return Ok(funded);
        }
    }
    let available = coins.iter().map(|coin| coin.output.value).sum();
    let missing = request
        .fund(&coins, change)
        .err()
        .map_or(Amount::ZERO, |missing| missing.0);
    Err(WalletError::InsufficientFunds {
        needed: available + missing,
        available,
    })
}

fn funded(request: &FeeRequest, coins: &[Coin], change: &ScriptBuf) -> Option<FundedClaim> {
    let claims = request.fund(coins, change).ok()?;
    let claimed: Amount = claims.claims().iter().map(|claim| claim.output.value).sum();
    let given: Amount = coins.iter().map(|coin| coin.output.value).sum();
    let paid: Amount = claims.transaction().output.iter().map(|output| output.value).sum();
    let fee = (claimed + given).checked_sub(paid)?;
    Some(FundedClaim {
        claims,
        coins: coins.to_vec(),
        fee,
    })
}
