//! The transaction that closes a channel in agreement (BOLT 3, legacy closing transaction and closing transaction).
//!
//! Both protocols end in a [`ClosingTransaction`], which both sides sign with their funding keys:
//! [`legacy`] is that of `closing_signed`, [`SimpleClose`](crate::SimpleClose) that of `closing_complete`.

use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight, Witness, absolute};
use quittance_primitives::MilliSatoshi;
use secp256k1::{Message, PublicKey, ecdsa};

use crate::{ChannelTerms, Role, ShutdownScript, VerificationJob, funding, ordering, shutdown_script, sighash};

/// A closing transaction without signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingTransaction {
    transaction: Transaction,
    sighash: Message,
    opener_funding: PublicKey,
    accepter_funding: PublicKey,
}

/// What each side takes out of a channel, before the fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingShares {
    /// The opener's part.
    pub opener: ClosingShare,
    /// The accepter's part.
    pub accepter: ClosingShare,
}

/// What one side takes out of a channel, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingShare {
    /// Its balance.
    pub balance: MilliSatoshi,
    /// Where it wants to be paid to.
    pub script: ShutdownScript,
}

/// Why there is no such closing transaction. Whoever proposed the fee is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClosingError {
    /// The side that pays the fee does not have it.
    #[error("the fee of {fee} exceeds the balance of {balance}")]
    FeeExceedsBalance {
        /// The proposed fee.
        fee: Amount,
        /// The payer's balance.
        balance: MilliSatoshi,
    },
    /// No output is left.
    #[error("no output is left after fee and dust")]
    NoOutput,
}

/// A closing signature does not fit. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature of the closing transaction is invalid")]
pub struct InvalidClosingSignature;

/// The closing transaction of `closing_signed`: the opener pays `fee`, and outputs below `dust_limit`, that of the side that
/// signs, are left out. A side may also leave out its own output, named by `omitted`, so that a received signature is checked
/// against two variants (BOLT 2, `closing_signed`).
///
/// # Errors
/// [`ClosingError`] when the opener cannot pay, or when nothing is left.
///
/// # Panics
/// When the balances are not together the funding value.
pub fn legacy(
    terms: &ChannelTerms,
    shares: &ClosingShares,
    fee: Amount,
    dust_limit: Amount,
    omitted: Option<Role>,
) -> Result<ClosingTransaction, ClosingError> {
    shares.assert_conserved(terms);
    let opener_value = shares.opener.after_fee(fee)?;
    let accepter_value = shares.accepter.balance.to_sat_floor();
    let outputs = [
        (Role::Opener, opener_value, &shares.opener.script),
        (Role::Accepter, accepter_value, &shares.accepter.script),
    ];
    let kept = outputs
        .into_iter()
        .filter(|(role, value, _)| *value >= dust_limit && Some(*role) != omitted)
        .map(|(_, value, script)| (value, script));
    ClosingTransaction::new(terms, kept.collect(), Sequence::MAX, absolute::LockTime::ZERO)
}

impl ClosingTransaction {
    pub(crate) fn new(
        terms: &ChannelTerms,
        mut outputs: Vec<(Amount, &ShutdownScript)>,
        sequence: Sequence,
        lock_time: absolute::LockTime,
    ) -> Result<Self, ClosingError> {
        if outputs.is_empty() {
            return Err(ClosingError::NoOutput);
        }
        outputs.sort_by(|one, other| {
            ordering::compare_outputs((one.0, one.1.as_script(), None), (other.0, other.1.as_script(), None))
        });
        let transaction = Transaction {
            version: Version::TWO,
            lock_time,
            input: vec![TxIn {
                previous_output: terms.funding_outpoint,
                script_sig: ScriptBuf::new(),
                sequence,
                witness: Witness::new(),
            }],
            output: outputs
                .into_iter()
                .map(|(value, script)| TxOut {
                    value,
                    script_pubkey: script.as_script().to_owned(),
                })
                .collect(),
        };
        let sighash = sighash::only_input_sighash(&transaction, &terms.funding_script(), terms.funding_value);
        Ok(Self {
            transaction,
            sighash,
            opener_funding: terms.opener.keys.funding,
            accepter_funding: terms.accepter.keys.funding,
        })
    }

    /// The unsigned transaction.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id, which signatures do not change.
    pub fn txid(&self) -> Txid {
        self.transaction.compute_txid()
    }

    /// What both sides sign with their funding keys (`SIGHASH_ALL`).
    pub const fn sighash(&self) -> Message {
        self.sighash
    }

    /// Whether an output is too small for its script to relay, in which case a `closing_signed` fails the channel (BOLT 2).
    pub fn has_dust_output(&self) -> bool {
        let is_dust = |output: &TxOut| output.value < shutdown_script::dust_threshold(&output.script_pubkey);
        self.transaction.output.iter().any(is_dust)
    }

    /// The most that it weighs once signed, with signatures of 73 bytes (BOLT 3, appendix A).
    pub fn signed_weight(&self) -> Weight {
        self.transaction.weight() + SEGWIT_FIELDS_WEIGHT + FUNDING_WITNESS_WEIGHT
    }

    /// The check of `signer`'s signature.
    pub const fn verification(&self, signer: Role, signature: &ecdsa::Signature) -> VerificationJob {
        VerificationJob {
            message: self.sighash,
            signature: *signature,
            public_key: match signer {
                Role::Opener => self.opener_funding,
                Role::Accepter => self.accepter_funding,
            },
        }
    }

    /// Checks `signer`'s signature. One with a high S never verifies, as BOLT 2 demands.
    ///
    /// # Errors
    /// [`InvalidClosingSignature`].
    pub fn verify(&self, signer: Role, signature: &ecdsa::Signature) -> Result<(), InvalidClosingSignature> {
        let is_valid = self.verification(signer, signature).is_valid();
        is_valid.then_some(()).ok_or(InvalidClosingSignature)
    }

    /// The transaction with both signatures.
    pub fn signed(&self, opener: &ecdsa::Signature, accepter: &ecdsa::Signature) -> Transaction {
        let mut transaction = self.transaction.clone();
        transaction.input[0].witness =
            funding::witness((&self.opener_funding, opener), (&self.accepter_funding, accepter));
        transaction
    }
}

impl ClosingShares {
    /// One side's part.
    pub const fn side(&self, role: Role) -> &ClosingShare {
        match role {
            Role::Opener => &self.opener,
            Role::Accepter => &self.accepter,
        }
    }

    pub(crate) fn assert_conserved(&self, terms: &ChannelTerms) {
        assert_eq!(
            self.opener.balance.checked_add(self.accepter.balance),
            MilliSatoshi::try_from_sat(terms.funding_value).ok(),
            "the balances are together the funding value"
        );
    }
}

impl ClosingShare {
    /// The balance less `fee`, in whole satoshis.
    pub(crate) fn after_fee(&self, fee: Amount) -> Result<Amount, ClosingError> {
        let balance = self.balance;
        let left = balance.to_sat_floor().checked_sub(fee);
        left.ok_or(ClosingError::FeeExceedsBalance { fee, balance })
    }
}

/// Marker and flag; an unsigned transaction has neither.
const SEGWIT_FIELDS_WEIGHT: Weight = Weight::from_wu(2);
/// The witness of the funding output: 222 bytes (BOLT 3, appendix A).
const FUNDING_WITNESS_WEIGHT: Weight = Weight::from_wu(222);
