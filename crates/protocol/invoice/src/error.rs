//! Why an invoice is refused, in words for the person who wants to pay or to be paid.

use quittance_primitives::UnmetFeature;

/// A field of an invoice, by its letter in BOLT 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named and lettered as in BOLT 11")]
pub enum Field {
    PaymentHash,
    PaymentSecret,
    Description,
    Expiry,
    MinFinalCltvExpiryDelta,
    Features,
}

/// Why a text is no invoice that can be paid: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// No `1` between a prefix and the data: an address, a part of an invoice, something else.
    #[error("this is not a BOLT 11 invoice, which is one word that starts with 'ln'; copy the whole invoice")]
    NoSeparator,
    /// Letters of both cases.
    #[error("the invoice mixes upper and lower case; copy it again, as it was given")]
    MixedCase,
    /// A character that no invoice has, or a prefix that is none.
    #[error("this is not a BOLT 11 invoice ({0}); copy the whole invoice, and nothing else")]
    Malformed(String),
    /// The bech32 checksum does not fit.
    #[error("the invoice was damaged: its checksum is wrong; copy the whole invoice again")]
    Checksum,
    /// Less than a timestamp and a signature.
    #[error("the invoice is cut off; copy the whole invoice again")]
    TooShort,
    /// More than any reader takes.
    #[error("the invoice is longer than {max} characters; ask the payee for a shorter one")]
    TooLong {
        /// Characters that are read at most.
        max: usize,
    },
    /// The prefix names no chain that we know.
    #[error(
        "the invoice is for a chain that is unknown here; ask the payee for one that starts with lnbc, lntb, lntbs or lnbcrt"
    )]
    UnknownNetwork,
    /// Something other than `m`, `u`, `n` or `p` behind the digits of the amount.
    #[error("the amount of the invoice has an unknown multiplier; ask the payee for a new invoice")]
    InvalidMultiplier,
    /// An amount that HTLCs cannot carry.
    #[error("the amount of the invoice is no whole number of millisatoshi; ask the payee for a new invoice")]
    SubMillisatoshi,
    /// A zero, where an invoice for any amount states none.
    #[error("the amount of the invoice is zero; ask the payee for a new invoice")]
    ZeroAmount,
    /// The amount, the expiry or the CLTV distance exceeds what it can be.
    #[error("a number in the invoice is out of range; ask the payee for a new invoice")]
    NumberOutOfRange,
    /// A field's data does not have the form that BOLT 11 gives it.
    #[error("a field of the invoice is malformed ({0}); ask the payee for a new invoice")]
    MalformedField(String),
    /// A field that every invoice has is missing, or has a wrong length.
    #[error("the invoice has no {}; ask the payee for a new invoice", .0.name())]
    Missing(Field),
    /// More than one field where there is to be one, or a description beside a hash of one.
    #[error("the invoice has more than one {}; ask the payee for a new invoice", .0.name())]
    Repeated(Field),
    /// A number with zeros in front.
    #[error("the invoice writes its {} with zeros in front; ask the payee for a new invoice", .0.name())]
    NotMinimal(Field),
    /// The payee wants a payer that can do more than we can.
    #[error(
        "this invoice cannot be paid from here: {0}; ask the payee for an invoice without it, or update this software"
    )]
    UnmetFeature(#[from] UnmetFeature),
    /// The signature is none, or not that of the payee that the invoice names.
    #[error("the signature of the invoice is not valid; do not pay it, and ask the payee for a new one")]
    InvalidSignature,
    /// The invoice names its payee, and its signature is in the form that anyone can make of a valid one.
    #[error(
        "the signature of the invoice is not in canonical form (high S); do not pay it, and ask the payee for a new one"
    )]
    HighS,
}

/// Why terms cannot be written as an invoice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Zero, or more than all bitcoin; or more than 18 million, and not whole ones.
    #[error("an invoice is for at least 1 msat and at most 21 million bitcoin, or for any amount")]
    AmountOutOfRange,
    /// Not below 2^35 seconds.
    #[error("the time of writing is out of range")]
    TimeOutOfRange,
    /// More bytes than a field holds.
    #[error("the description has {length} bytes and may have {max}; give its hash instead")]
    DescriptionTooLong {
        /// Bytes of the description.
        length: usize,
        /// Bytes that a field holds.
        max: usize,
    },
    /// More bytes than a field holds.
    #[error("the metadata has {length} bytes and may have {max}")]
    MetadataTooLong {
        /// Bytes of the metadata.
        length: usize,
        /// Bytes that a field holds.
        max: usize,
    },
    /// Empty, or more hops than a field holds.
    #[error("a route hint has {hops} hops and must have 1 to {max}")]
    RouteHintLength {
        /// Hops of the hint.
        hops: usize,
        /// Hops that a field holds.
        max: usize,
    },
    /// A feature is required that no invoice can require, or lacks another that it depends on.
    #[error(transparent)]
    UnmetFeature(#[from] UnmetFeature),
    /// Beyond what a field holds.
    #[error("feature bit {bit} is beyond {max}, the last that an invoice holds")]
    FeatureBitOutOfRange {
        /// The highest bit that is set.
        bit: usize,
        /// The highest that a field holds.
        max: usize,
    },
    /// An address of another chain, or of a kind that an invoice cannot state.
    #[error("the fallback address {0} does not fit the invoice")]
    Fallback(String),
    /// Longer in all than any reader takes.
    #[error("the invoice would be longer than {max} characters; leave out route hints or fallbacks")]
    TooLong {
        /// Characters that are read at most.
        max: usize,
    },
}

/// The signature is not that of the payee over the invoice's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the payee's over this invoice")]
pub struct SignError;

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::PaymentHash => "payment hash",
            Self::PaymentSecret => "payment secret",
            Self::Description => "description",
            Self::Expiry => "expiry",
            Self::MinFinalCltvExpiryDelta => "CLTV distance",
            Self::Features => "feature bits",
        }
    }
}
