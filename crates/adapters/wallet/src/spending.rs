//! Transactions of our own: money to somebody, funding for channels, and higher fees for what waits.
//!
//! Invariants (I-9): a transaction is in the promises, durably, before it is handed out, so its coins are spent by nothing else; a funding
//! transaction spends confirmed coins only, so that no replacement can change its id; what is spent leaves the reserve for anchors.

use std::collections::BTreeSet;

use bdk_wallet::coin_selection::InsufficientFunds;
use bdk_wallet::error::{BuildFeeBumpError, CreateTxError};
use bdk_wallet::{KeychainKind, TxBuilder};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction, TxOut, Txid};
use quittance_primitives::FeeratePerKw;

use crate::keys::OwnInput;
use crate::records::{OwnTransaction, Purpose};
use crate::{Wallet, WalletError};

/// How much to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendAmount {
    /// This, and the fee on top.
    Exactly(Amount),
    /// All that is free, less the fee and the reserve.
    All,
}

/// Who pays what to whom.
struct Order<'a> {
    recipients: Vec<(ScriptBuf, Amount)>,
    /// Who gets the rest; change otherwise.
    rest_to: Option<&'a ScriptBuf>,
    feerate: FeeratePerKw,
    only_confirmed: bool,
}

impl Wallet {
    /// Sends money. The transaction is remembered, and has yet to be broadcast.
    ///
    /// # Errors
    /// When the money is not there, or is needed as reserve.
    pub fn send(
        &mut self,
        to: &ScriptBuf,
        amount: SendAmount,
        feerate: FeeratePerKw,
    ) -> Result<Transaction, WalletError> {
        match amount {
            SendAmount::Exactly(amount) => {
                let recipients = vec![(to.clone(), amount)];
                let order = Order {
                    recipients,
                    rest_to: None,
                    feerate,
                    only_confirmed: false,
                };
                self.spend(&order, Purpose::Send)
            }
            SendAmount::All => {
                let reserve = self.reserve();
                let mut recipients = Vec::new();
                if reserve > Amount::ZERO {
                    let index = self.reserved_change()?;
                    let own = self
                        .view
                        .peek_address(KeychainKind::Internal, index)
                        .address
                        .script_pubkey();
                    recipients.push((own, reserve));
                }
                let order = Order {
                    recipients,
                    rest_to: Some(to),
                    feerate,
                    only_confirmed: false,
                };
                self.spend(&order, Purpose::SendAll)
            }
        }
    }

    /// A signed transaction with these outputs, each to fund a channel. It must be broadcast only when every channel says so; if one
    /// does not open, [`Self::abandon`] gives the coins back.
    ///
    /// # Errors
    /// When there is too little confirmed money, or it is needed as reserve.
    pub fn fund_channels(&mut self, outputs: &[TxOut], feerate: FeeratePerKw) -> Result<Transaction, WalletError> {
        let recipients = outputs
            .iter()
            .map(|output| (output.script_pubkey.clone(), output.value))
            .collect();
        let order = Order {
            recipients,
            rest_to: None,
            feerate,
            only_confirmed: true,
        };
        self.spend(&order, Purpose::Funding)
    }

    /// Remembers a funding transaction that a channel's log holds. To be called at the start for each that is not confirmed: it is there
    /// already unless the wallet's files were lost.
    ///
    /// # Errors
    /// [`WalletError::PromisedTwice`] when another transaction of ours spends one of its coins.
    pub fn keep_funding(&mut self, transaction: &Transaction) -> Result<(), WalletError> {
        let txid = transaction.compute_txid();
        if self.promises.transactions.contains_key(&txid) || self.history.transactions.contains_key(&txid) {
            return Ok(());
        }
        for (other, own) in &self.promises.transactions {
            let spent: BTreeSet<OutPoint> = own
                .transaction
                .input
                .iter()
                .map(|input| input.previous_output)
                .collect();
            let shared = transaction
                .input
                .iter()
                .find(|input| spent.contains(&input.previous_output));
            if let Some(shared) = shared.filter(|_| self.is_waiting(other)) {
                return Err(WalletError::PromisedTwice {
                    outpoint: shared.previous_output,
                    first: *other,
                    second: txid,
                });
            }
        }
        self.remember(transaction.clone(), Purpose::Funding)
    }

    /// Gives up a transaction that was never broadcast. Its coins are free again.
    ///
    /// # Errors
    /// When it is no transaction of ours that waits.
    pub fn abandon(&mut self, txid: &Txid) -> Result<(), WalletError> {
        if self.history.transactions.contains_key(txid) {
            return Err(WalletError::Confirmed(*txid));
        }
        self.promises
            .transactions
            .remove(txid)
            .ok_or(WalletError::Unknown(*txid))?;
        self.save_promises()?;
        self.rebuild();
        Ok(())
    }

    /// Replaces a transaction that waits by one with a higher fee. What it pays to others stays the same, unless it sent everything.
    ///
    /// # Errors
    /// When it cannot be replaced, or the new feerate is too low for the mempool's rules.
    pub fn bump(&mut self, txid: &Txid, feerate: FeeratePerKw) -> Result<Transaction, WalletError> {
        if self.history.transactions.contains_key(txid) {
            return Err(WalletError::Confirmed(*txid));
        }
        let own = self
            .promises
            .transactions
            .get(txid)
            .cloned()
            .ok_or(WalletError::Unknown(*txid))?;
        if own.purpose == Purpose::Funding {
            return Err(WalletError::FundsChannel(*txid));
        }
        if !self.is_waiting(txid) {
            return Err(WalletError::Unknown(*txid));
        }
        let spender = self.promises.transactions.iter().find(|(other, later)| {
            self.is_waiting(other)
                && later
                    .transaction
                    .input
                    .iter()
                    .any(|input| input.previous_output.txid == *txid)
        });
        if let Some((spender, _)) = spender {
            return Err(WalletError::Spent {
                txid: *txid,
                spender: *spender,
            });
        }
        let promised: Vec<OutPoint> = self.promised_coins().into_iter().collect();
        // Everything was sent, so nothing can be added: whoever gets the rest pays.
        let mut to_others = own
            .transaction
            .output
            .iter()
            .filter(|output| !self.is_ours(&output.script_pubkey));
        let rest_to = to_others.next().map(|output| output.script_pubkey.clone());
        let to_ourselves: Vec<(ScriptBuf, Amount)> = own
            .transaction
            .output
            .iter()
            .filter(|output| self.is_ours(&output.script_pubkey))
            .map(|output| (output.script_pubkey.clone(), output.value))
            .collect();
        let mut builder = self.view.build_fee_bump(*txid).map_err(from_bump)?;
        builder.fee_rate(fee_rate(feerate)).unspendable(promised);
        if own.purpose == Purpose::SendAll
            && let Some(rest_to) = rest_to
        {
            builder.manually_selected_only();
            builder.set_recipients(to_ourselves).drain_to(rest_to);
        }
        let psbt = builder_finish(builder)?;
        let transaction = self.signed(psbt)?;
        self.check_reserve(&transaction)?;
        self.remember(transaction.clone(), own.purpose)?;
        Ok(transaction)
    }

    fn spend(&mut self, order: &Order<'_>, purpose: Purpose) -> Result<Transaction, WalletError> {
        let promised = self.promised_coins();
        // Whoever gets the rest gets it from every coin, and the reserve is an output of its own.
        let kept = if order.rest_to.is_some() {
            Vec::new()
        } else {
            self.coins_for_reserve(&promised)
        };
        let without_reserve = self.build(order, promised.iter().chain(&kept).copied().collect());
        let psbt = match without_reserve {
            Err(WalletError::InsufficientFunds { .. }) if !kept.is_empty() => {
                self.build(order, promised.into_iter().collect())?
            }
            built => built?,
        };
        let transaction = self.signed(psbt)?;
        self.check_reserve(&transaction)?;
        self.remember(transaction.clone(), purpose)?;
        Ok(transaction)
    }

    fn build(&mut self, order: &Order<'_>, unspendable: Vec<OutPoint>) -> Result<Psbt, WalletError> {
        let mut builder = self.view.build_tx();
        builder
            .set_recipients(order.recipients.clone())
            .fee_rate(fee_rate(order.feerate))
            .unspendable(unspendable);
        if let Some(rest_to) = order.rest_to {
            builder.drain_wallet().drain_to(rest_to.clone());
        }
        if order.only_confirmed {
            builder.exclude_unconfirmed();
        }
        builder_finish(builder)
    }

    /// Whether enough is left for closing channels: confirmed coins, and change that will soon be.
    fn check_reserve(&self, transaction: &Transaction) -> Result<(), WalletError> {
        let reserve = self.reserve();
        if reserve == Amount::ZERO {
            return Ok(());
        }
        let spent: BTreeSet<OutPoint> = transaction.input.iter().map(|input| input.previous_output).collect();
        let promised = self.promised_coins();
        let stays = self
            .view
            .list_unspent()
            .filter(|coin| {
                !spent.contains(&coin.outpoint) && !promised.contains(&coin.outpoint) && self.is_mature(coin)
            })
            .map(|coin| coin.txout.value);
        let comes = transaction
            .output
            .iter()
            .filter(|output| self.is_ours(&output.script_pubkey));
        let left: Amount = stays.sum::<Amount>() + comes.map(|output| output.value).sum();
        if left < reserve {
            Err(WalletError::Reserved { reserve, left })
        } else {
            Ok(())
        }
    }

    /// The transaction with our signatures on all its inputs.
    fn signed(&self, psbt: Psbt) -> Result<Transaction, WalletError> {
        let mut transaction = psbt.unsigned_tx;
        let (mut spent, mut inputs) = (Vec::new(), Vec::new());
        for (index, input) in transaction.input.iter().enumerate() {
            let outpoint = input.previous_output;
            let missing = || WalletError::NotBuilt(format!("{outpoint} is none of our coins"));
            let output = self.view.tx_graph().get_txout(outpoint).ok_or_else(missing)?;
            let (keychain, derivation_index) = self
                .view
                .derivation_of_spk(output.script_pubkey.clone())
                .ok_or_else(missing)?;
            spent.push(output.clone());
            inputs.push(OwnInput {
                index,
                keychain,
                derivation_index,
            });
        }
        let failed = || WalletError::NotBuilt("an input cannot be signed".to_owned());
        self.keys.sign(&mut transaction, &spent, &inputs).ok_or_else(failed)?;
        Ok(transaction)
    }

    /// Writes a transaction down before anybody may see it.
    fn remember(&mut self, transaction: Transaction, purpose: Purpose) -> Result<(), WalletError> {
        let order = self.promises.next_order;
        self.promises.next_order += 1;
        let own = OwnTransaction {
            transaction: transaction.clone(),
            purpose,
            order,
        };
        let txid = transaction.compute_txid();
        self.promises.transactions.insert(txid, own);
        if let Err(error) = self.note_revealed(true) {
            // Who is told that nothing was sent must not see it sent later.
            self.promises.transactions.remove(&txid);
            return Err(error);
        }
        self.view.apply_unconfirmed_txs([(transaction, order)]);
        let _ = self.view.take_staged();
        Ok(())
    }
}

fn builder_finish<S: bdk_wallet::coin_selection::CoinSelectionAlgorithm>(
    builder: TxBuilder<'_, S>,
) -> Result<Psbt, WalletError> {
    builder.finish().map_err(|error| match error {
        CreateTxError::CoinSelection(InsufficientFunds { needed, available }) => {
            WalletError::InsufficientFunds { needed, available }
        }
        CreateTxError::OutputBelowDustLimit(index) => WalletError::Dust(index),
        CreateTxError::FeeRateTooLow { .. } | CreateTxError::FeeTooLow { .. } => {
            WalletError::FeerateTooLow(error.to_string())
        }
        other => WalletError::NotBuilt(other.to_string()),
    })
}

fn from_bump(error: BuildFeeBumpError) -> WalletError {
    match error {
        BuildFeeBumpError::TransactionNotFound(txid) => WalletError::Unknown(txid),
        BuildFeeBumpError::TransactionConfirmed(txid) => WalletError::Confirmed(txid),
        other => WalletError::NotBuilt(other.to_string()),
    }
}

fn fee_rate(feerate: FeeratePerKw) -> FeeRate {
    FeeRate::from_sat_per_kwu(u64::from(feerate.0))
}
