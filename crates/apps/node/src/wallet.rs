//! The port to the wallet: coins on chain.

use std::collections::BTreeSet;

use bitcoin::{Address, Amount, ScriptBuf, Transaction, TxOut, Txid};
use quittance_chain::{ConnectedBlock, Tip};
use quittance_monitor::FeeRequest;
use quittance_primitives::FeeratePerKw;
use quittance_transactions::ClaimTransaction;

/// Coins on chain. Calls may block; the node makes them off its own task, one at a time.
pub trait Wallet: Send + 'static {
    /// A fresh address.
    ///
    /// # Errors
    /// [`WalletError`].
    fn address(&mut self) -> Result<Address, WalletError>;

    /// Where what is claimed from channels goes. It may be the same for ever.
    ///
    /// # Errors
    /// [`WalletError`].
    fn sweep_script(&mut self) -> Result<ScriptBuf, WalletError>;

    /// What there is.
    fn balance(&self) -> Balance;

    /// A signed transaction with these outputs, each to fund a channel, which nobody broadcasts before the channels say so.
    ///
    /// # Errors
    /// [`WalletError`].
    fn fund_channels(&mut self, outputs: &[TxOut], feerate: FeeratePerKw) -> Result<Transaction, WalletError>;

    /// A transaction of [`Self::fund_channels`] will not be used: its coins are free again.
    fn abandon(&mut self, transaction: &Transaction);

    /// A signed transaction that pays somebody, to be broadcast.
    ///
    /// # Errors
    /// [`WalletError`].
    fn send(&mut self, output: &TxOut, feerate: FeeratePerKw) -> Result<Transaction, WalletError>;

    /// Replaces a transaction of [`Self::send`] that waits for a block by a signed one with a higher fee, to be broadcast.
    ///
    /// # Errors
    /// [`WalletError`].
    fn bump(&mut self, txid: &Txid, feerate: FeeratePerKw) -> Result<Transaction, WalletError>;

    /// Says how many channels with anchors there are: each needs a reserve.
    fn set_anchor_channels(&mut self, open: u32);

    /// Remembers a funding transaction that a channel's log holds and that is not confirmed.
    ///
    /// # Errors
    /// [`WalletError`].
    fn keep_funding(&mut self, transaction: &Transaction) -> Result<(), WalletError>;

    /// Gives up every funding transaction but these: at the start, those of openings that a restart has ended.
    fn forget_fundings_but(&mut self, known: &BTreeSet<Txid>);

    /// What waits for a block, and is to be offered to the network again; fundings of channels left out.
    fn unconfirmed(&self) -> Vec<Transaction>;

    /// All blocks that there are were told.
    fn at_tip(&mut self);

    /// Adds coins to what cannot pay for itself; nothing when there are none. An unchanged request is answered by the same coins, one with
    /// a higher feerate by a transaction that replaces it. Nothing is signed yet.
    fn fund_claim(&mut self, request: &FeeRequest) -> Option<ClaimTransaction>;

    /// The coins that [`Self::fund_claim`] could give, beside those that it has promised already.
    fn fee_coins(&self) -> Vec<Amount>;

    /// Signs the inputs that are the wallet's own.
    ///
    /// # Errors
    /// [`WalletError`].
    fn sign(&mut self, transaction: Transaction) -> Result<Transaction, WalletError>;

    /// The last block that the wallet has read; nothing when it does not care where it begins.
    fn tip(&self) -> Option<Tip>;

    /// Blocks that it remembers, its last one among them: where to begin again with a chain source that never saw that one.
    fn remembered(&self) -> Vec<Tip> {
        self.tip().into_iter().collect()
    }

    /// A block was found.
    ///
    /// # Errors
    /// [`WalletError`].
    fn connected(&mut self, block: &ConnectedBlock) -> Result<(), WalletError>;

    /// A reorganisation took back every block above this one.
    ///
    /// # Errors
    /// [`WalletError`].
    fn rewound(&mut self, tip: &Tip) -> Result<(), WalletError>;
}

/// What a wallet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks.
    pub confirmed: Amount,
    /// Not in a block yet.
    pub unconfirmed: Amount,
    /// Kept back, so that channels can be enforced.
    pub reserved: Amount,
    /// What can be spent now.
    pub spendable: Amount,
}

/// Why a wallet cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// There is not enough.
    #[error("the wallet has {available}, and {needed} are needed: send coins to an address of `quittance address`")]
    Insufficient {
        /// What is needed, fees included.
        needed: Amount,
        /// What there is.
        available: Amount,
    },
    /// It does not do what it was asked for, for the reason given. Nothing has changed.
    #[error("the wallet: {0}")]
    Refused(String),
    /// Anything else.
    #[error("the wallet: {0}")]
    Other(String),
}
