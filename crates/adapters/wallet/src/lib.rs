//! The node's money on the chain: one seed, taproot addresses, and coins for channels and for fees.
//!
//! The whole wallet is its **seed**, its **promises** and the **chain**. The seed is a file of its own, encrypted if there is a
//! passphrase. Promises are what nothing else can give back: addresses handed out, transactions signed, coins lent to claims; they are
//! durable before anything rests on them, so that no crash makes the wallet give a coin away twice. All else is read from blocks, and kept
//! in a history that may be lost: the wallet then reads the chain again from its birthday (ADR 8, `docs/formats/wallet.md`).
//!
//! Blocks come as the node gets them ([`Wallet::connect`], [`Wallet::rewind`]); keys and coin selection rest on `bdk_wallet`, which is
//! given public keys only. Nothing is broadcast here, and no block is asked for. Every call that returns a transaction writes first.
//!
//! Start at [`StoredSeed`], then [`Wallet::open`]. In the driver of a node:
//!
//! - at the start: `set_anchor_channels`, `keep_funding` for each funding transaction that a channel's log holds unconfirmed, and blocks
//!   from one of `remembered` on;
//! - for a channel to open: `fund_channels`, and `abandon` if it does not; for [`FeeRequest`](quittance_monitor::FeeRequest)s: `fund_fees`,
//!   the signer's `sign_claims`, `sign_coins`;
//! - after each block: `unconfirmed` is to be offered to the network again; at the tip and at the end: `flush`. After a start, each of
//!   `unconfirmed_fundings` that no channel knows goes to `abandon`.
//!
//! ```
//! use bitcoin::{Amount, Network, OutPoint, Transaction, TxIn, TxOut, absolute, transaction};
//! use quittance_monitor::Tip;
//! use quittance_primitives::{BlockHeight, FeeratePerKw};
//! use quittance_wallet::{NewBlock, ReservePolicy, Seed, SendAmount, StoredSeed, Wallet, WordCount};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let genesis = bitcoin::constants::genesis_block(Network::Regtest).block_hash();
//! let birthday = Tip { height: BlockHeight(0), hash: genesis };
//! let new = StoredSeed { seed: Seed::generate(WordCount::TwentyFour)?, birthday };
//! println!("write these words down: {}", *new.seed.words());
//! new.create(&folder.join("seed"), Network::Regtest, Some("correct horse"))?;
//!
//! let seed = StoredSeed::open(&folder.join("seed"), Network::Regtest, Some("correct horse"))?;
//! let mut wallet = Wallet::open(&seed, folder, Network::Regtest, ReservePolicy::default())?;
//! let address = wallet.address()?;
//!
//! // A block comes in which somebody pays to it.
//! let payment = Transaction {
//!     version: transaction::Version::TWO,
//!     lock_time: absolute::LockTime::ZERO,
//!     input: vec![TxIn { previous_output: OutPoint { vout: 7, ..OutPoint::null() }, ..TxIn::default() }],
//!     output: vec![TxOut { value: Amount::from_sat(100_000), script_pubkey: address.script_pubkey() }],
//! };
//! # let hash = bitcoin::constants::genesis_block(Network::Signet).block_hash();
//! wallet.connect(&NewBlock { height: BlockHeight(1), hash, previous: genesis, time: 0, transactions: &[(1, payment)] })?;
//! assert_eq!(wallet.balance().spendable, Amount::from_sat(100_000));
//!
//! let to = wallet.address()?.script_pubkey();
//! let sent = wallet.send(&to, SendAmount::Exactly(Amount::from_sat(60_000)), FeeratePerKw(253))?;
//! assert_eq!(wallet.unconfirmed(), [sent]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod envelope;
mod error;
mod fee_coins;
mod keys;
mod records;
mod reserve;
mod seed;
mod seed_file;
mod spending;
mod view;
mod wallet;

pub use envelope::FileError;
pub use error::WalletError;
pub use fee_coins::FundedClaim;
pub use reserve::ReservePolicy;
pub use seed::{BadWords, NoEntropy, Seed, WordCount};
pub use seed_file::{SeedError, SeedFacts, StoredSeed};
pub use spending::SendAmount;
pub use wallet::{Balance, NewBlock, Wallet, WalletTransaction};
