//! The plain fields: integers, byte strings, lists, options, keys, signatures.

use std::collections::BTreeMap;

use bitcoin::ScriptBuf;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Transaction, Txid};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::{BadRecord, Record, take};

impl Record for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push((rest & 0x7f) as u8);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = take(input, 1, "integer")?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(BadRecord::Invalid("integer"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // The shortest form is the only one, so that equal values have equal bytes.
                return if byte == 0 && shift > 0 {
                    Err(BadRecord::Invalid("integer"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(BadRecord::Invalid("integer"))
    }
}

macro_rules! narrower_integers {
    ($($int:ty),*) => {$(
        impl Record for $int {
            fn write(&self, out: &mut Vec<u8>) {
                u64::from(*self).write(out);
            }

            fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
                Self::try_from(u64::read(input)?).map_err(|_| BadRecord::Invalid(stringify!($int)))
            }
        }
    )*};
}

narrower_integers!(u16, u32);

impl Record for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        match take(input, 1, "flag")?[0] {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadRecord::Invalid("flag")),
        }
    }
}

impl<const N: usize> Record for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        take(input, N, "fixed bytes")?
            .try_into()
            .map_err(|_| BadRecord::Short("fixed bytes"))
    }
}

/// A byte string behind its length.
impl Record for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        out.extend_from_slice(self);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let length = usize::try_from(u64::read(input)?).map_err(|_| BadRecord::Invalid("length"))?;
        Ok(take(input, length, "bytes")?.to_vec())
    }
}

/// A record that may stand in a list. A trait of its own, since a `Vec<u8>` is a byte string and no list of records.
pub trait Listed: Record {}

impl<T: Listed> Record for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        for item in self {
            item.write(out);
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let count = u64::read(input)?;
        // Each item takes at least one byte, so a count beyond what is left is damage, not a reason to allocate.
        if count > input.len() as u64 {
            return Err(BadRecord::Short("list"));
        }
        (0..count).map(|_| T::read(input)).collect()
    }
}

impl<T: Listed> Listed for Vec<T> {}

/// A map as its entries in ascending order of their keys; any other order is refused.
impl<K: Record + Ord, V: Record> Record for BTreeMap<K, V> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let count = u64::read(input)?;
        let mut map = Self::new();
        for _ in 0..count {
            let key = K::read(input)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(BadRecord::Invalid("order of a map"));
            }
            map.insert(key, V::read(input)?);
        }
        Ok(map)
    }
}

impl<T: Record> Record for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        if bool::read(input)? {
            T::read(input).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: Record> Record for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        T::read(input).map(Self::new)
    }
}

impl<A: Record, B: Record> Record for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok((A::read(input)?, B::read(input)?))
    }
}

impl<A: Listed, B: Record> Listed for (A, B) {}

impl Record for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Self::from_utf8(Vec::read(input)?).map_err(|_| BadRecord::Invalid("text"))
    }
}

impl Record for PublicKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serialize());
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Self::from_slice(take(input, 33, "public key")?).map_err(|_| BadRecord::Invalid("public key"))
    }
}

impl Record for Signature {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serialize_compact());
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Self::from_compact(take(input, 64, "signature")?).map_err(|_| BadRecord::Invalid("signature"))
    }
}

impl Listed for Signature {}

impl Record for Txid {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_byte_array());
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        <[u8; 32]>::read(input).map(Self::from_byte_array)
    }
}

impl Listed for Txid {}

impl Record for OutPoint {
    fn write(&self, out: &mut Vec<u8>) {
        self.txid.write(out);
        self.vout.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            txid: Record::read(input)?,
            vout: Record::read(input)?,
        })
    }
}

impl Listed for OutPoint {}

impl Record for ScriptBuf {
    fn write(&self, out: &mut Vec<u8>) {
        // Not `to_bytes`, which is the record's own here before it is the script's.
        self.as_bytes().to_vec().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Vec::read(input).map(Self::from_bytes)
    }
}

impl Record for Transaction {
    fn write(&self, out: &mut Vec<u8>) {
        encode::serialize(self).write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        encode::deserialize(&Vec::<u8>::read(input)?).map_err(|_| BadRecord::Invalid("transaction"))
    }
}

impl Listed for Transaction {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_long_form_of_an_integer_is_refused() {
        assert_eq!(u64::from_bytes(&[0x80, 0x00]), Err(BadRecord::Invalid("integer")));
        assert_eq!(u64::from_bytes(&[0xff; 10]), Err(BadRecord::Invalid("integer")));
        assert_eq!(u16::from_bytes(&70_000_u64.to_bytes()), Err(BadRecord::Invalid("u16")));
    }

    #[test]
    fn a_list_longer_than_its_bytes_is_refused_before_anything_is_allocated() {
        let bytes = u64::MAX.to_bytes();
        assert_eq!(Vec::<Txid>::from_bytes(&bytes), Err(BadRecord::Short("list")));
        assert_eq!(Vec::<u8>::from_bytes(&bytes), Err(BadRecord::Short("bytes")));
    }

    /// Writing a script called itself for ever, by a name that the script and its record share.
    #[test]
    fn a_script_is_its_bytes_behind_their_length() {
        let script = ScriptBuf::from(vec![0x51, 2, 7, 7]);
        assert_eq!(script.to_bytes(), [4, 0x51, 2, 7, 7]);
        assert_eq!(<ScriptBuf as Record>::from_bytes(&[4, 0x51, 2, 7, 7]), Ok(script));
    }

    #[test]
    fn a_map_out_of_order_is_refused() {
        let map = BTreeMap::from([(1_u64, 10_u64), (2, 20)]);
        assert_eq!(map.to_bytes(), [2, 1, 10, 2, 20]);
        assert_eq!(BTreeMap::from_bytes(&map.to_bytes()), Ok(map));
        assert_eq!(
            BTreeMap::<u64, u64>::from_bytes(&[2, 2, 20, 1, 10]),
            Err(BadRecord::Invalid("order of a map"))
        );
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        assert_eq!(bool::from_bytes(&[1, 7]), Err(BadRecord::LeftOver(1)));
        assert_eq!(Option::<u64>::from_bytes(&[]), Err(BadRecord::Short("flag")));
    }

    proptest! {
        #[test]
        fn values_come_back(number: u64, bytes: Vec<u8>, maybe: Option<u32>, text in "\\PC*") {
            prop_assert_eq!(u64::from_bytes(&number.to_bytes()), Ok(number));
            prop_assert_eq!(Vec::<u8>::from_bytes(&bytes.to_bytes()), Ok(bytes));
            prop_assert_eq!(Option::<u32>::from_bytes(&maybe.to_bytes()), Ok(maybe));
            prop_assert_eq!(String::from_bytes(&text.to_bytes()), Ok(text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(value) = Vec::<(Txid, Option<BTreeMap<u32, String>>)>::from_bytes(&bytes) {
                prop_assert_eq!(value.to_bytes(), bytes);
            }
        }
    }
}
