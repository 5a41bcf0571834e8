//! The transactions of a Lightning channel: keys, scripts, commitments, second stages, closing transactions and claims, as
//! BOLT 3 has them.
//!
//! Everything is a pure function of what both sides agreed on: [`ChannelTerms`], the same on both sides, and
//! [`CommitmentContents`]. Digests and checks are separate from signing: only [`signing`] touches private keys. Amounts are
//! [`bitcoin::Amount`] for outputs and [`MilliSatoshi`](quittance_primitives::MilliSatoshi) for balances, weights are in
//! weight units, feerates in satoshi per 1000 of them. A peer's fault comes back as an error; a caller's broken promise, such as
//! balances that do not add up, panics. Start at [`CommitmentTransaction::build`].
//!
//! ```
//! use bitcoin::{Amount, OutPoint};
//! use quittance_primitives::{CommitmentNumber, FeeratePerKw, MilliSatoshi, ToSelfDelay};
//! use quittance_transactions::signing::ChannelSecretKeys;
//! use quittance_transactions::{
//!     ChannelTerms, CommitmentContents, CommitmentFormat, CommitmentSeed, CommitmentTransaction, OutputRole, Role, SideTerms,
//! };
//! use secp256k1::SecretKey;
//!
//! // Each side makes five keys and sends the public ones when the channel opens.
//! let keys = |byte| -> Result<_, secp256k1::Error> {
//!     let key = SecretKey::from_slice(&[byte; 32])?;
//!     Ok(ChannelSecretKeys {
//!         funding: key,
//!         revocation_basepoint: key,
//!         payment_basepoint: key,
//!         delayed_payment_basepoint: key,
//!         htlc_basepoint: key,
//!     })
//! };
//! let (opener, accepter) = (keys(1)?, keys(2)?);
//! let side = |keys: &ChannelSecretKeys| SideTerms {
//!     keys: keys.public_keys(),
//!     dust_limit: Amount::from_sat(354),
//!     to_self_delay: ToSelfDelay(144),
//! };
//! let terms = ChannelTerms {
//!     funding_outpoint: OutPoint::null(),
//!     funding_value: Amount::from_sat(1_000_000),
//!     format: CommitmentFormat::Anchors,
//!     opener: side(&opener),
//!     accepter: side(&accepter),
//! };
//!
//! // The opener's first commitment, which the accepter signs and the opener checks.
//! let number = CommitmentNumber(0);
//! let contents = CommitmentContents {
//!     broadcaster: Role::Opener,
//!     number,
//!     per_commitment_point: CommitmentSeed::new([3; 32]).point(number),
//!     feerate: FeeratePerKw(2_500),
//!     to_broadcaster: MilliSatoshi(900_000_000),
//!     to_countersignatory: MilliSatoshi(100_000_000),
//!     htlcs: Vec::new(),
//! };
//! let commitment = CommitmentTransaction::build(&terms, &contents)?;
//! let signatures = accepter.countersign(&commitment);
//! commitment.verify(&signatures)?;
//!
//! // The opener paid a fee of 2500 * 1124 / 1000 and two anchors of 330 satoshi.
//! let own = commitment.outputs().find(|output| output.role == OutputRole::ToBroadcaster);
//! assert_eq!(own.map(|output| output.value), Some(Amount::from_sat(900_000 - 2_810 - 660)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod claim;
mod claim_transaction;
pub mod closing;
mod commitment;
mod commitment_scripts;
pub mod fees;
mod format;
pub mod funding;
pub mod generator;
pub mod interactive;
pub mod keys;
mod obscured_number;
pub mod ordering;
pub mod scripts;
mod second_stage;
mod secrets;
mod shutdown_script;
mod sighash;
pub mod signing;
mod simple_close;
mod spends;
mod terms;
mod verification;

pub use claim::{ClaimInput, ClaimKey, KeyPath, SecondStageTerms, WitnessForm, revealed_preimage};
pub use claim_transaction::{ClaimTransaction, IncompatibleClaims};
pub use closing::{ClosingError, ClosingShare, ClosingShares, ClosingTransaction, InvalidClosingSignature};
pub use commitment::{CommitmentOutput, CommitmentTransaction, OpenerCannotAfford, OutputRole};
pub use commitment_scripts::CommitmentScripts;
pub use format::{ANCHOR_DELAY_BLOCKS, ANCHOR_VALUE, CommitmentFormat, HTLC_OUTPUT_WEIGHT, SHARED_ANCHOR_VALUE_MAX};
pub use keys::{ChannelPublicKeys, CommitmentKeys, HtlcKeys, HtlcOutputs};
pub use obscured_number::ObscuringFactor;
pub use second_stage::HtlcOutput;
pub use secrets::{
    CommitmentSeed, InvalidSecret, InvalidSecretStore, PerCommitmentSecret, SecretMismatch, SecretStore,
};
pub use shutdown_script::{InvalidShutdownScript, ShutdownForms, ShutdownScript, dust_threshold};
pub use simple_close::{MissingVariant, SimpleClose, SimpleCloseVariant};
pub use spends::{RevokedCommitment, WrongSecret};
pub use terms::{ChannelTerms, CommitmentContents, Htlc, HtlcDirection, Party, Role, SideTerms};
pub use verification::{CommitmentSignatures, InvalidSignatures, VerificationJob};
