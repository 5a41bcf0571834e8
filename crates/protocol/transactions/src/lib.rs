//! The transactions of a Lightning channel: keys, scripts, commitments, second stages, closing transactions and claims, as
//! BOLT 3 has them.
//!
//! Everything is a pure function of what both sides agreed on. Digests and checks are separate from signing: only
//! [`signing`] touches private keys. Amounts are [`bitcoin::Amount`] for outputs and
//! [`MilliSatoshi`](quittance_primitives::MilliSatoshi) for balances, weights are in weight units, feerates in satoshi per
//! 1000 of them. Start at [`CommitmentTransaction::build`].

#![forbid(unsafe_code)]

mod claim;
mod claim_transaction;
pub mod closing;
mod commitment;
mod commitment_scripts;
pub mod fees;
mod format;
pub mod funding;
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

pub use claim::{ClaimInput, ClaimKey, KeyPath, SecondStageTerms, WitnessForm};
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
