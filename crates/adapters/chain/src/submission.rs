//! What becomes of a transaction that is offered to the network.

use std::fmt;

/// A transaction is where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It waits in the mempool, now or since earlier.
    InMempool,
    /// It is in a block already.
    Confirmed,
}

/// A transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it means for whoever made it.
    pub refusal: Refusal,
    /// The source's own words.
    pub reason: String,
}

/// Why a transaction was not taken, by what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An input does not exist: it is spent by something in a block, or what creates it is neither in a block nor in the mempool.
    InputsMissing,
    /// It pays less than the mempool asks of anything.
    FeeTooLow,
    /// It conflicts with something in the mempool, and does not pay enough to replace it.
    ReplacementRefused,
    /// A lock time or relative lock is not yet over.
    NotFinal,
    /// Too many or too large relatives in the mempool, or of a wrong form (BIP 431).
    Relatives,
    /// It breaks a rule of consensus or of standardness: it will never be taken.
    Invalid,
    /// A reason that is not known here.
    Other,
}

/// What became of a parent and its child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PackageOutcome {
    /// The parent.
    pub parent: Result<Submitted, Refused>,
    /// The child.
    pub child: Result<Submitted, Refused>,
}

impl PackageOutcome {
    /// Whether both are where they should be.
    pub const fn is_success(&self) -> bool {
        self.parent.is_ok() && self.child.is_ok()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

/// Reads a refusal in Bitcoin Core's words. What is in the mempool or in a block is a success, whatever it was called.
pub(crate) fn judged(reason: &str) -> Result<Submitted, Refused> {
    let begins = |texts: &[&str]| texts.iter().any(|text| reason.starts_with(text));
    let refusal = if begins(&["txn-already-in-mempool", "txn-same-nonwitness-data-in-mempool"]) {
        return Ok(Submitted::InMempool);
    } else if begins(&[
        "txn-already-known",
        "Transaction already in block chain",
        "Transaction outputs already in utxo set",
    ]) {
        return Ok(Submitted::Confirmed);
    } else if begins(&["bad-txns-inputs-missingorspent", "missing-inputs", "Missing inputs"]) {
        Refusal::InputsMissing
    } else if begins(&[
        "min relay fee not met",
        "mempool min fee not met",
        "mempool full",
        "package-fee-too-low",
    ]) {
        Refusal::FeeTooLow
    } else if begins(&[
        "insufficient fee",
        "replacement-failed",
        "too many potential replacements",
        "txn-mempool-conflict",
        "bip125-replacement-disallowed",
        "package RBF failed",
    ]) {
        Refusal::ReplacementRefused
    } else if begins(&["non-final", "non-BIP68-final", "bad-txns-premature-spend-of-coinbase"]) {
        Refusal::NotFinal
    } else if begins(&[
        "too-large-cluster",
        "too-long-mempool-chain",
        "TRUC-violation",
        "package-mempool-limits",
        "v3-",
    ]) {
        Refusal::Relatives
    } else if begins(&[
        "bad-",
        "mandatory-script-verify-flag-failed",
        "mempool-script-verify-flag-failed",
        "non-mandatory-script-verify-flag",
        "dust",
        "version",
        "tx-size",
        "scriptsig-",
        "scriptpubkey",
        "coinbase",
    ]) {
        Refusal::Invalid
    } else {
        Refusal::Other
    };
    Err(Refused {
        refusal,
        reason: reason.to_owned(),
    })
}
