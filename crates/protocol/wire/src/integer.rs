//! The integers of variable length: BigSize (BOLT 1, appendix A) and the truncated ones (BOLT 1, fundamental types).
//!
//! Each value has exactly one encoding; any other is refused as [`Flaw::NotMinimal`].

use crate::{Flaw, Reader, Wire};

/// A `bigsize`: 1, 3, 5 or 9 bytes, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BigSize(pub u64);

/// A `tu16`: up to 2 bytes without leading zeros. It fills the rest of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tu16(pub u16);

/// A `tu32`: up to 4 bytes without leading zeros. It fills the rest of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tu32(pub u32);

/// A `tu64`: up to 8 bytes without leading zeros. It fills the rest of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tu64(pub u64);

impl BigSize {
    /// How many bytes the value takes.
    pub const fn encoded_len(self) -> usize {
        match self.0 {
            0..=0xfc => 1,
            0xfd..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        }
    }
}

impl Wire for BigSize {
    fn write(&self, out: &mut Vec<u8>) {
        let bytes = self.0.to_be_bytes();
        match self.encoded_len() {
            1 => out.push(bytes[7]),
            3 => {
                out.push(0xfd);
                out.extend_from_slice(&bytes[6..]);
            }
            5 => {
                out.push(0xfe);
                out.extend_from_slice(&bytes[4..]);
            }
            _ => {
                out.push(0xff);
                out.extend_from_slice(&bytes);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let (value, smallest) = match u8::read(reader)? {
            0xfd => (u64::from(u16::read(reader)?), 0xfd),
            0xfe => (u64::from(u32::read(reader)?), 0x1_0000),
            0xff => (u64::read(reader)?, 0x1_0000_0000),
            single => (u64::from(single), 0),
        };
        if value < smallest {
            return Err(Flaw::NotMinimal);
        }
        Ok(Self(value))
    }
}

macro_rules! truncated_integer {
    ($($name:ident($integer:ty)),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let leading_zeros = (self.0.leading_zeros() / 8) as usize;
                out.extend_from_slice(&self.0.to_be_bytes()[leading_zeros..]);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
                const SIZE: usize = size_of::<$integer>();
                let length = reader.remaining();
                if length > SIZE {
                    return Err(Flaw::LeftOver(length - SIZE));
                }
                let digits = reader.take_rest();
                if digits.first() == Some(&0) {
                    return Err(Flaw::NotMinimal);
                }
                let mut bytes = [0; SIZE];
                bytes[SIZE - length..].copy_from_slice(digits);
                Ok(Self(<$integer>::from_be_bytes(bytes)))
            }
        }
    )*};
}

truncated_integer!(Tu16(u16), Tu32(u32), Tu64(u64));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &impl Wire) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        bytes
    }

    fn read<T: Wire>(bytes: &[u8]) -> Result<T, Flaw> {
        let mut reader = Reader::new(bytes);
        let value = T::read(&mut reader)?;
        reader.finish().map(|()| value)
    }

    #[test]
    fn zero_is_a_truncated_integer_of_no_bytes() {
        assert_eq!(written(&Tu64(0)), []);
        assert_eq!(read::<Tu16>(&[]), Ok(Tu16(0)));
        assert_eq!(read::<Tu16>(&[0]), Err(Flaw::NotMinimal));
        assert_eq!(read::<Tu16>(&[1, 0, 0]), Err(Flaw::LeftOver(1)));
    }

    proptest! {
        #[test]
        fn bigsize_comes_back(bits in 0..=64_u32, value: u64) {
            let value = BigSize(value.checked_shr(bits).unwrap_or(0));
            let bytes = written(&value);
            prop_assert_eq!(bytes.len(), value.encoded_len());
            prop_assert_eq!(read(&bytes), Ok(value));
        }

        #[test]
        fn truncated_integers_come_back(bits in 0..=64_u32, value: u64) {
            let value = value.checked_shr(bits).unwrap_or(0);
            prop_assert_eq!(read(&written(&Tu64(value))), Ok(Tu64(value)));
            let half = (value & 0xffff_ffff) as u32;
            prop_assert_eq!(read(&written(&Tu32(half))), Ok(Tu32(half)));
            let quarter = (value & 0xffff) as u16;
            prop_assert_eq!(read(&written(&Tu16(quarter))), Ok(Tu16(quarter)));
        }

        #[test]
        fn what_reads_as_an_integer_is_its_only_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..10)) {
            if let Ok(value) = read::<BigSize>(&bytes) {
                prop_assert_eq!(written(&value), bytes.clone());
            }
            if let Ok(value) = read::<Tu64>(&bytes) {
                prop_assert_eq!(written(&value), bytes);
            }
        }
    }
}
