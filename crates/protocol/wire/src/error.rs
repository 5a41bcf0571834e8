//! Why bytes were refused: by message, by field, by what was wrong with it.
//!
//! All of these are the sender's fault. BOLT 1: whoever receives an undecodable message closes the connection, and may
//! fail the channel.

/// A message that was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer than the two bytes of a message type.
    #[error("{length} bytes are no message: the type alone takes two")]
    TypeMissing {
        /// The bytes there were.
        length: usize,
    },
    /// A message that we do not know and must not ignore, since its type is even (BOLT 1).
    #[error("message type {0} is required, and unknown to us")]
    UnknownRequiredType(u16),
    /// A field of a known message.
    #[error("{message}: {field}: {flaw}")]
    Field {
        /// The BOLT's name of the message.
        message: &'static str,
        /// The BOLT's name of the field.
        field: &'static str,
        /// What was wrong.
        flaw: Flaw,
    },
    /// The TLV stream at the end of a known message.
    #[error("{message}: {field}: {error}")]
    Extension {
        /// The BOLT's name of the message.
        message: &'static str,
        /// The BOLT's name of the record, or `extension` if the stream itself is wrong.
        field: &'static str,
        /// What was wrong, and where.
        error: TlvError,
    },
}

/// What is wrong with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The bytes end before the value does.
    #[error("{needed} bytes are needed and {left} are left")]
    UnexpectedEnd {
        /// Bytes that the value, or its next part, takes.
        needed: usize,
        /// Bytes that there were.
        left: usize,
    },
    /// The value ends before its bytes do.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    /// An integer of variable length is written with more bytes than it needs.
    #[error("the integer is not minimally encoded")]
    NotMinimal,
    /// Not a compressed point of the curve.
    #[error("not a public key")]
    InvalidPublicKey,
    /// Not a pair of scalars of the curve.
    #[error("not a signature")]
    InvalidSignature,
    /// More than all bitcoin there will ever be, in satoshi (BOLT 1, fundamental types).
    #[error("the amount exceeds all bitcoin")]
    AmountOutOfRange,
    /// BOLT 7: zlib is forbidden.
    #[error("the list is compressed with zlib, which is forbidden")]
    ZlibForbidden,
    /// An encoding of a list of a gossip query that is not known.
    #[error("encoding type {0} is unknown")]
    UnknownEncoding(u8),
    /// A host name that is not plain ASCII (BOLT 7, DNS hostname).
    #[error("the host name is not ASCII")]
    InvalidHostname,
}

/// What is wrong with a TLV stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flaw} (at byte {offset} of the TLV stream)")]
pub struct TlvError {
    /// Where the offending record starts, in bytes from the start of the stream.
    pub offset: usize,
    /// The record's type, as far as it could be read.
    pub record_type: Option<u64>,
    /// What was wrong.
    pub flaw: TlvFlaw,
}

/// What is wrong with a record of a TLV stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvFlaw {
    /// The type cannot be read.
    #[error("the record's type: {0}")]
    Type(Flaw),
    /// The length cannot be read.
    #[error("the record's length: {0}")]
    Length(Flaw),
    /// The stream ends before the value does.
    #[error("the record's value takes {length} bytes and {left} are left")]
    ValueTruncated {
        /// The length that the record states.
        length: u64,
        /// Bytes that there were.
        left: usize,
    },
    /// Types must strictly increase; this catches duplicates too.
    #[error("the record follows one of type {previous}, but types must increase")]
    NotIncreasing {
        /// The type of the record before.
        previous: u64,
    },
    /// The type is even, and unknown to us.
    #[error("the record is required, and unknown to us")]
    UnknownRequired,
    /// The value of a known type does not decode.
    #[error("{0}")]
    Value(Flaw),
}
