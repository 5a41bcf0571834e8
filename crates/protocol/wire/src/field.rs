//! How each type of field stands on the wire (BOLT 1, fundamental types).
//!
//! [`Wire`] is a value inside a message: what has no fixed size carries a `u16` length or count in front. [`TlvValue`]
//! is a value that fills a TLV record, whose length the record states. Counts are checked against the bytes that are
//! left before anything is allocated, so that decoding never takes more memory than a small multiple of its input.

use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, SignedAmount, Txid, Witness};
use quittance_primitives::{
    BlockCount, ChannelId, CltvExpiry, CltvExpiryDelta, Features, FeeratePerKw, HtlcId, MilliSatoshi, NodeId,
    PaymentHash, PaymentPreimage, PaymentSecret, ShortChannelId, ToSelfDelay,
};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::{BigSize, Flaw, Reader, Tu16, Tu32, Tu64};

/// A value inside a message.
pub trait Wire: Sized {
    /// Appends the value.
    ///
    /// # Panics
    /// If a list is longer than the `u16` in front of it can say: such a list cannot be sent.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the value off the front.
    ///
    /// # Errors
    /// A [`Flaw`] when the bytes are not such a value.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw>;
}

/// A value that fills a TLV record.
pub trait TlvValue: Sized {
    /// Appends the value, without the record's type and length.
    fn write_value(&self, out: &mut Vec<u8>);

    /// Reads the value from all of the record's bytes.
    ///
    /// # Errors
    /// A [`Flaw`] when the bytes are not exactly such a value.
    fn read_value(bytes: &[u8]) -> Result<Self, Flaw>;
}

/// Declares a value that is several [`Wire`] values in a row, for TLV records and lists.
macro_rules! composite {
    ($(
        $(#[$attr:meta])*
        $name:ident { $($(#[$field_attr:meta])* $field:ident: $field_type:ty,)* }
    )*) => {$(
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $field_type,)*
        }

        impl $crate::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::Flaw> {
                Ok(Self { $($field: $crate::Wire::read(reader)?,)* })
            }
        }

        $crate::field::fills_a_record!($name);

        #[cfg(any(test, feature = "generate"))]
        impl $crate::generate::Generate for $name {
            fn generate(source: &mut $crate::generate::Source<'_>) -> Self {
                Self { $($field: $crate::generate::Generate::generate(source),)* }
            }
        }
    )*};
}

/// Lets [`Wire`] values fill a TLV record.
macro_rules! fills_a_record {
    ($($name:ty),*) => {$(
        impl $crate::TlvValue for $name {
            fn write_value(&self, out: &mut Vec<u8>) {
                $crate::Wire::write(self, out);
            }

            fn read_value(bytes: &[u8]) -> Result<Self, $crate::Flaw> {
                $crate::tlv::read_exactly(bytes)
            }
        }
    )*};
}

pub(crate) use {composite, fills_a_record};

macro_rules! big_endian {
    ($($integer:ty),*) => {$(
        impl Wire for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
                reader.take_array().map(|bytes| Self::from_be_bytes(*bytes))
            }
        }
    )*};
}

macro_rules! wraps {
    ($($name:ident($inner:ty)),* $(,)?) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
                <$inner>::read(reader).map(Self)
            }
        }
    )*};
}

big_endian!(u8, u16, u32, u64, i8, i16, i32, i64);

wraps!(
    MilliSatoshi(u64),
    FeeratePerKw(u32),
    HtlcId(u64),
    CltvExpiry(u32),
    CltvExpiryDelta(u16),
    ToSelfDelay(u16),
    BlockCount(u32),
    ShortChannelId(u64),
    ChannelId([u8; 32]),
    PaymentHash([u8; 32]),
    PaymentPreimage([u8; 32]),
    PaymentSecret([u8; 32]),
    NodeId([u8; 33]),
);

fills_a_record!(
    BigSize,
    Tu16,
    Tu32,
    Tu64,
    u16,
    u32,
    u64,
    SignedAmount,
    ShortChannelId,
    PaymentPreimage,
    Txid,
    PublicKey,
    Signature,
    Box<[u8; 920]>
);

impl<const N: usize> Wire for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        reader.take_array().copied()
    }
}

impl<const N: usize> Wire for Box<[u8; N]> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_slice());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        reader.take_array().map(|bytes| Self::new(*bytes))
    }
}

// BOLT 1: amounts in satoshi must be at most all bitcoin. Amounts in msat are taken as they are, since peers use the
// largest integer for "no limit" (`max_htlc_value_in_flight_msat`).
impl Wire for Amount {
    fn write(&self, out: &mut Vec<u8>) {
        self.to_sat().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let amount = Self::from_sat(u64::read(reader)?);
        if amount > Self::MAX_MONEY {
            return Err(Flaw::AmountOutOfRange);
        }
        Ok(amount)
    }
}

impl Wire for SignedAmount {
    fn write(&self, out: &mut Vec<u8>) {
        self.to_sat().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let amount = Self::from_sat(i64::read(reader)?);
        if amount > Self::MAX_MONEY || amount < -Self::MAX_MONEY {
            return Err(Flaw::AmountOutOfRange);
        }
        Ok(amount)
    }
}

impl Wire for Txid {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_byte_array());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        reader.take_array().copied().map(Self::from_byte_array)
    }
}

impl Wire for ChainHash {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        reader.take_array().copied().map(Self::from)
    }
}

impl Wire for PublicKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serialize());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let bytes = reader.take_array::<33>()?;
        Self::from_slice(bytes).map_err(|_| Flaw::InvalidPublicKey)
    }
}

impl Wire for Signature {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serialize_compact());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let bytes = reader.take_array::<64>()?;
        Self::from_compact(bytes).map_err(|_| Flaw::InvalidSignature)
    }
}

impl Wire for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length_and_bytes(self, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        read_length_and_bytes(reader).map(<[u8]>::to_vec)
    }
}

impl Wire for ScriptBuf {
    fn write(&self, out: &mut Vec<u8>) {
        write_length_and_bytes(self.as_bytes(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        read_length_and_bytes(reader).map(|bytes| Self::from(bytes.to_vec()))
    }
}

impl Wire for Features {
    fn write(&self, out: &mut Vec<u8>) {
        write_length_and_bytes(&self.to_be_bytes(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        read_length_and_bytes(reader).map(Self::from_be_bytes)
    }
}

impl Wire for Vec<Signature> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        write_all(self, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let count = usize::from(u16::read(reader)?);
        // Taken as a whole first: the count is proven by bytes before memory is taken for it.
        let mut signatures = Reader::new(reader.take(count * 64)?);
        (0..count).map(|_| Signature::read(&mut signatures)).collect()
    }
}

impl Wire for Vec<Witness> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        for witness in self {
            write_length_and_bytes(&bitcoin::consensus::encode::serialize(witness), out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let count = usize::from(u16::read(reader)?);
        // The least that one takes: its length, and its number of elements.
        let needed = count * 3;
        if needed > reader.remaining() {
            return Err(Flaw::UnexpectedEnd {
                needed,
                left: reader.remaining(),
            });
        }
        (0..count)
            .map(|_| read_witness(read_length_and_bytes(reader)?))
            .collect()
    }
}

impl TlvValue for () {
    fn write_value(&self, _out: &mut Vec<u8>) {}

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        Reader::new(bytes).finish()
    }
}

impl TlvValue for Vec<u8> {
    fn write_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        Ok(bytes.to_vec())
    }
}

impl TlvValue for ScriptBuf {
    fn write_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        Ok(Self::from(bytes.to_vec()))
    }
}

impl TlvValue for Features {
    fn write_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        Ok(Self::from_be_bytes(bytes))
    }
}

impl TlvValue for Vec<ChainHash> {
    fn write_value(&self, out: &mut Vec<u8>) {
        write_all(self, out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        read_to_the_end(bytes)
    }
}

/// Writes values one behind the other.
pub(crate) fn write_all<T: Wire>(values: &[T], out: &mut Vec<u8>) {
    for value in values {
        value.write(out);
    }
}

/// Reads values until nothing is left. The memory taken grows with the bytes read.
pub(crate) fn read_to_the_end<T: Wire>(bytes: &[u8]) -> Result<Vec<T>, Flaw> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while reader.remaining() > 0 {
        values.push(T::read(&mut reader)?);
    }
    Ok(values)
}

pub(crate) fn write_length_and_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

pub(crate) fn read_length_and_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Flaw> {
    let mut whole = reader.clone();
    let length = usize::from(u16::read(&mut whole)?);
    let bytes = whole.take(length)?;
    *reader = whole;
    Ok(bytes)
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    u16::try_from(count)
        .expect("no list of a message is longer than its length can say")
        .write(out);
}

/// Bitcoin's own encoding of a witness. Read here, since the one of `bitcoin` takes memory for a count before its bytes.
fn read_witness(bytes: &[u8]) -> Result<Witness, Flaw> {
    let mut reader = Reader::new(bytes);
    let count = read_compact_size(&mut reader)?;
    if count > reader.remaining() {
        return Err(Flaw::UnexpectedEnd {
            needed: count,
            left: reader.remaining(),
        });
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let length = read_compact_size(&mut reader)?;
        elements.push(reader.take(length)?);
    }
    reader.finish().map(|()| Witness::from_slice(&elements))
}

fn read_compact_size(reader: &mut Reader<'_>) -> Result<usize, Flaw> {
    let (value, smallest) = match u8::read(reader)? {
        0xfd => (u64::from(u16::from_le_bytes(*reader.take_array()?)), 0xfd),
        0xfe => (u64::from(u32::from_le_bytes(*reader.take_array()?)), 0x1_0000),
        0xff => (u64::from_le_bytes(*reader.take_array()?), 0x1_0000_0000),
        single => (u64::from(single), 0),
    };
    if value < smallest {
        return Err(Flaw::NotMinimal);
    }
    usize::try_from(value).map_err(|_| Flaw::UnexpectedEnd {
        needed: usize::MAX,
        left: reader.remaining(),
    })
}
