//! The wallet of `quittance-wallet`, behind the port.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bitcoin::{Address, Amount, Network, ScriptBuf, Transaction, TxOut, Txid};
use quittance_chain::{ConnectedBlock, Tip};
use quittance_monitor::FeeRequest;
use quittance_primitives::FeeratePerKw;
use quittance_transactions::ClaimTransaction;
use quittance_wallet::{FundedClaim, NewBlock, ReservePolicy, SendAmount, StoredSeed};
use tracing::warn;

use crate::wallet::{Balance, Wallet, WalletError};

/// A wallet whose files are in the node's folder.
pub struct StoredWallet {
    wallet: quittance_wallet::Wallet,
    /// Claims whose coins are chosen and not signed yet, by the transaction's id, which no signature changes.
    funded: BTreeMap<Txid, FundedClaim>,
}

impl StoredWallet {
    /// Opens the wallet of a seed.
    ///
    /// # Errors
    /// [`WalletError`] when its files cannot be used.
    pub fn open(seed: &StoredSeed, folder: &Path, network: Network) -> Result<Self, WalletError> {
        let wallet = quittance_wallet::Wallet::open(seed, folder, network, ReservePolicy::default())?;
        Ok(Self {
            wallet,
            funded: BTreeMap::new(),
        })
    }
}

impl Wallet for StoredWallet {
    fn address(&mut self) -> Result<Address, WalletError> {
        Ok(self.wallet.address()?)
    }

    fn sweep_script(&mut self) -> Result<ScriptBuf, WalletError> {
        Ok(self.wallet.sweep_to()?)
    }

    fn balance(&self) -> Balance {
        let balance = self.wallet.balance();
        Balance {
            confirmed: balance.confirmed,
            unconfirmed: balance.pending,
            reserved: balance.reserved,
            spendable: balance.spendable,
        }
    }

    fn fund_channels(&mut self, outputs: &[TxOut], feerate: FeeratePerKw) -> Result<Transaction, WalletError> {
        Ok(self.wallet.fund_channels(outputs, feerate)?)
    }

    fn abandon(&mut self, transaction: &Transaction) {
        if let Err(error) = self.wallet.abandon(&transaction.compute_txid()) {
            warn!(%error, "the coins of an unused transaction stay bound");
        }
    }

    fn send(&mut self, output: &TxOut, feerate: FeeratePerKw) -> Result<Transaction, WalletError> {
        Ok(self
            .wallet
            .send(&output.script_pubkey, SendAmount::Exactly(output.value), feerate)?)
    }

    fn bump(&mut self, txid: &Txid, feerate: FeeratePerKw) -> Result<Transaction, WalletError> {
        Ok(self.wallet.bump(txid, feerate)?)
    }

    fn set_anchor_channels(&mut self, open: u32) {
        self.wallet.set_anchor_channels(open);
    }

    fn keep_funding(&mut self, transaction: &Transaction) -> Result<(), WalletError> {
        Ok(self.wallet.keep_funding(transaction)?)
    }

    fn forget_fundings_but(&mut self, known: &BTreeSet<Txid>) {
        for txid in self.wallet.unconfirmed_fundings().difference(known) {
            if let Err(error) = self.wallet.abandon(txid) {
                warn!(%error, "the coins of an unused transaction stay bound");
            }
        }
    }

    fn unconfirmed(&self) -> Vec<Transaction> {
        let fundings = self.wallet.unconfirmed_fundings();
        let all = self.wallet.unconfirmed().into_iter();
        all.filter(|transaction| !fundings.contains(&transaction.compute_txid()))
            .collect()
    }

    fn at_tip(&mut self) {
        if let Err(error) = self.wallet.flush() {
            warn!(%error, "the wallet's history is not written; the next start reads the chain again");
        }
    }

    fn fund_claim(&mut self, request: &FeeRequest) -> Option<ClaimTransaction> {
        match self.wallet.fund_fees(request) {
            Ok(funded) => {
                let claims = funded.claims.clone();
                self.funded.insert(claims.transaction().compute_txid(), funded);
                Some(claims)
            }
            Err(error) => {
                warn!(%error, "the wallet has no coins for the fee of a claim");
                None
            }
        }
    }

    fn fee_coins(&self) -> Vec<Amount> {
        self.wallet.fee_coins()
    }

    fn sign(&mut self, transaction: Transaction) -> Result<Transaction, WalletError> {
        match self.funded.remove(&transaction.compute_txid()) {
            Some(funded) => Ok(self.wallet.sign_coins(&funded, transaction)?),
            None => Ok(transaction),
        }
    }

    fn tip(&self) -> Option<Tip> {
        Some(self.wallet.tip())
    }

    fn remembered(&self) -> Vec<Tip> {
        self.wallet.remembered()
    }

    fn connected(&mut self, block: &ConnectedBlock) -> Result<(), WalletError> {
        let new = NewBlock {
            height: block.height,
            hash: block.hash,
            previous: block.previous,
            time: block.time,
            transactions: &block.transactions,
        };
        Ok(self.wallet.connect(&new)?)
    }

    fn rewound(&mut self, tip: &Tip) -> Result<(), WalletError> {
        if tip.height > self.wallet.tip().height {
            return Ok(());
        }
        Ok(self.wallet.rewind(*tip)?)
    }
}

impl From<quittance_wallet::WalletError> for WalletError {
    fn from(error: quittance_wallet::WalletError) -> Self {
        use quittance_wallet::WalletError as Error;
        match error {
            Error::InsufficientFunds { needed, available } => Self::Insufficient { needed, available },
            Error::Reserved { .. }
            | Error::Dust(_)
            | Error::Unknown(_)
            | Error::Confirmed(_)
            | Error::FundsChannel(_)
            | Error::Spent { .. }
            | Error::FeerateTooLow(_)
            | Error::OverBudget { .. }
            | Error::NotBuilt(_) => Self::Refused(error.to_string()),
            Error::File(_) | Error::OtherSeed { .. } | Error::NotNext { .. } | Error::PromisedTwice { .. } => {
                Self::Other(error.to_string())
            }
        }
    }
}
