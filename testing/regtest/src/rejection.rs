//! Why a transaction, a package or a block was refused, in Bitcoin Core's own words.
//!
//! The strings are part of the contract: a refusal by the embedded chain and one by bitcoind compare equal.

use std::collections::BTreeMap;
use std::fmt;

use bitcoin::Txid;

/// A single transaction or block was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{details}", if details.is_empty() { "" } else { ", " })]
pub struct Rejected {
    /// The rule that was broken.
    pub reason: Reason,
    /// The values compared, for people; not part of the contract.
    pub details: String,
}

/// A package was refused; some of its transactions may have entered the mempool nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {transactions:?}")]
pub struct PackageRejected {
    /// The rule for packages that was broken, or [`Reason::TransactionFailed`].
    pub reason: Reason,
    /// The transactions that failed by themselves, each with its own reason.
    pub transactions: BTreeMap<Txid, Reason>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The rule that was broken.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A reason that only bitcoind gives.
            Other(String),
        }

        impl Reason {
            /// Bitcoin Core's text for this reason.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The reason with exactly this text.
            pub fn from_text(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

reasons! {
    /// No input.
    NoInputs = "bad-txns-vin-empty",
    /// No output.
    NoOutputs = "bad-txns-vout-empty",
    /// Larger than a block may be.
    Oversize = "bad-txns-oversize",
    /// An output above 21 million bitcoin.
    OutputTooLarge = "bad-txns-vout-toolarge",
    /// All outputs together above 21 million bitcoin.
    OutputTotalTooLarge = "bad-txns-txouttotal-toolarge",
    /// The same outpoint twice in one transaction.
    DuplicateInputs = "bad-txns-inputs-duplicate",
    /// An input without a previous output, outside a coinbase.
    NullPrevout = "bad-txns-prevout-null",
    /// A coinbase outside a block.
    Coinbase = "coinbase",
    /// A coinbase script of a wrong length.
    CoinbaseLength = "bad-cb-length",
    /// An input that does not exist, or is spent on the chain.
    MissingInputs = "bad-txns-inputs-missingorspent",
    /// A coinbase output spent too early.
    ImmatureCoinbase = "bad-txns-premature-spend-of-coinbase",
    /// Outputs exceed inputs.
    OutputsExceedInputs = "bad-txns-in-belowout",
    /// Inputs exceed 21 million bitcoin.
    InputsOutOfRange = "bad-txns-inputvalues-outofrange",
    /// `nLockTime` lies in the future of the next block.
    NonFinal = "non-final",
    /// A relative lock time (BIP 68) is not yet met in the next block.
    NonFinalSequence = "non-BIP68-final",
    /// A script or signature fails; in the mempool.
    ScriptFailed = "mempool-script-verify-flag-failed",
    /// A transaction version that is not standard.
    Version = "version",
    /// Heavier than 400,000 weight units.
    TransactionSize = "tx-size",
    /// Fewer than 65 bytes without witness.
    TransactionTooSmall = "tx-size-small",
    /// A script signature above 1,650 bytes.
    ScriptSigSize = "scriptsig-size",
    /// A script signature that does more than push.
    ScriptSigNotPushOnly = "scriptsig-not-pushonly",
    /// An output script of no standard form.
    ScriptPubkey = "scriptpubkey",
    /// An output below the dust limit, and no ephemeral one.
    Dust = "dust",
    /// An input of no standard form.
    NonstandardInputs = "bad-txns-nonstandard-inputs",
    /// A witness beyond the limits for standard spends.
    NonstandardWitness = "bad-witness-nonstandard",
    /// Too many signature operations.
    TooManySigops = "bad-txns-too-many-sigops",
    /// Exactly this transaction is in the mempool.
    AlreadyInMempool = "txn-already-in-mempool",
    /// This transaction is in the mempool with another witness.
    OtherWitnessInMempool = "txn-same-nonwitness-data-in-mempool",
    /// This transaction is confirmed and has unspent outputs.
    AlreadyKnown = "txn-already-known",
    /// Below the static minimum.
    MinRelayFee = "min relay fee not met",
    /// Below the minimum that a full mempool asks.
    MempoolMinFee = "mempool min fee not met",
    /// A replacement that pays less than what it replaces, or too little more (BIP 125 rules 3 and 4).
    InsufficientFee = "insufficient fee",
    /// The same, where a TRUC sibling would be evicted.
    InsufficientFeeForSibling = "insufficient fee (including sibling eviction)",
    /// A replacement that would make the mempool worse for a miner.
    ReplacementFailed = "replacement-failed",
    /// A replacement that touches more than 100 clusters.
    TooManyReplacements = "too many potential replacements",
    /// The same, where a TRUC sibling would be evicted.
    TooManyReplacementsForSibling = "too many potential replacements (including sibling eviction)",
    /// A conflict where none is allowed.
    ReplacementDisallowed = "bip125-replacement-disallowed",
    /// It spends an output of a transaction that it replaces.
    SpendsConflicting = "bad-txns-spends-conflicting-tx",
    /// Too many connected unconfirmed transactions.
    TooLargeCluster = "too-large-cluster",
    /// The topology or size rules of version 3 transactions (BIP 431).
    Truc = "TRUC-violation",
    /// A child that leaves its parent's dust unspent.
    MissingEphemeralSpends = "missing-ephemeral-spends",
    /// The same, as the verdict on a package.
    UnspentDust = "unspent-dust",
    /// A transaction of the package failed by itself.
    TransactionFailed = "transaction failed",
    /// No transaction, or more than 25.
    PackageTooMany = "package-too-many-transactions",
    /// Heavier than 404,000 weight units.
    PackageTooLarge = "package-too-large",
    /// The same transaction twice.
    PackageDuplicates = "package-contains-duplicates",
    /// Two transactions that spend the same output.
    PackageConflict = "conflict-in-package",
    /// Something else than parents that are independent of each other, and then their child.
    PackageTopology = "package-not-child-with-parents",
    /// A replacing package that is not one parent and one child.
    PackageReplacementTopology = "package RBF failed: package must be 1-parent-1-child",
    /// A replacing package with parents in the mempool.
    PackageReplacementAncestors = "package RBF failed: new transaction cannot have mempool ancestors",
    /// A replacing package that touches more than 100 clusters.
    PackageReplacementTooMany = "package RBF failed: too many potential replacements",
    /// A replacing package that pays too little more than what it replaces.
    PackageReplacementFees = "package RBF failed: insufficient anti-DoS fees",
    /// A replacing package whose child does not raise the parent's feerate.
    PackageReplacementFeerate = "package RBF failed: package feerate is less than or equal to parent feerate",
    /// A replacing package that would make the mempool worse for a miner.
    PackageReplacementDiagram = "package RBF failed: insufficient feerate: does not improve feerate diagram",
    /// A block that does not build on a known block.
    PreviousBlockUnknown = "prev-blk-not-found",
    /// A block on top of an invalid one.
    PreviousBlockInvalid = "bad-prevblk",
    /// A block that is already stored.
    DuplicateBlock = "duplicate",
    /// A block that was found invalid before.
    DuplicateInvalidBlock = "duplicate-invalid",
    /// Insufficient proof of work.
    HighHash = "high-hash",
    /// A wrong difficulty target.
    BadDifficulty = "bad-diffbits",
    /// A block not later than the median of the eleven before it.
    TimeTooOld = "time-too-old",
    /// A block above the weight limit.
    BlockWeight = "bad-blk-weight",
    /// Too many signature operations in a block.
    BlockSigops = "bad-blk-sigops",
    /// A wrong merkle root.
    MerkleRoot = "bad-txnmrklroot",
    /// A wrong witness commitment.
    WitnessCommitment = "bad-witness-merkle-match",
    /// The first transaction is no coinbase.
    CoinbaseMissing = "bad-cb-missing",
    /// A second coinbase.
    CoinbaseMultiple = "bad-cb-multiple",
    /// A coinbase without the block's height (BIP 34).
    CoinbaseHeight = "bad-cb-height",
    /// A coinbase that pays more than subsidy and fees.
    CoinbaseAmount = "bad-cb-amount",
    /// A transaction in a block is not final, absolutely or relatively.
    BlockNonFinal = "bad-txns-nonfinal",
    /// A script or signature fails; in a block.
    BlockScriptFailed = "block-script-verify-flag-failed",
}

impl Reason {
    /// The refusal with this reason and the values that were compared.
    pub fn because(self, details: impl Into<String>) -> Rejected {
        Rejected {
            reason: self,
            details: details.into(),
        }
    }

    /// Whether the same transaction may pass together with a child that pays for it.
    pub(crate) fn may_pass_in_package(&self) -> bool {
        matches!(
            self,
            Self::MinRelayFee
                | Self::MempoolMinFee
                | Self::InsufficientFee
                | Self::InsufficientFeeForSibling
                | Self::ReplacementFailed
                | Self::MissingInputs
        )
    }
}

impl From<&str> for Rejected {
    /// Reads bitcoind's message: the reason, and after a comma or in parentheses the details.
    fn from(text: &str) -> Self {
        let (reason, details) = text.split_once(", ").unwrap_or((text, ""));
        match reason.split_once(" (") {
            Some((failed, script_error)) if failed.ends_with("script-verify-flag-failed") => {
                Reason::from_text(failed).because(script_error.trim_end_matches(')'))
            }
            _ => Reason::from_text(reason).because(details),
        }
    }
}

impl From<Reason> for Rejected {
    fn from(reason: Reason) -> Self {
        reason.because("")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
