//! How the engine's values stand in the bytes of a record.
//!
//! A record is a plain sequence of fields, without names: integers as varints (LEB128, shortest form only), byte strings and
//! lists behind their length, an option behind a byte 0 or 1, a variant behind its tag. Tags are written out beside the
//! variants and are only ever added to. Version, length and checksum of a whole record are the journal's, not this crate's.
//!
//! Reading never trusts a length: nothing is allocated beyond the bytes that are there. Bad bytes are a [`BadRecord`], which
//! says what was read when it went wrong; whoever knows the key adds it.
//!
//! ```
//! use quittance_records::{Record, record, tagged};
//!
//! #[derive(Debug, PartialEq)]
//! struct Point { x: u32, y: u32 }
//! record!(Point { x, y });
//!
//! #[derive(Debug, PartialEq)]
//! enum Shape { Dot(Point), Line { from: Point, to: Point }, Nothing }
//! tagged!(Shape { 1 => Dot(point), 2 => Line { from, to }, 3 => Nothing });
//!
//! let line = Shape::Line { from: Point { x: 1, y: 2 }, to: Point { x: 3, y: 300 } };
//! let bytes = line.to_bytes();
//! assert_eq!(bytes, [2, 1, 2, 3, 0xac, 0x02]);
//! assert_eq!(Shape::from_bytes(&bytes), Ok(line));
//! ```

#![forbid(unsafe_code)]

mod channel;
mod fields;
mod gossip;
mod macros;
mod money;

pub use fields::Listed;

/// A value that can stand in a record.
pub trait Record: Sized {
    /// Appends the value's bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the value off the front of `input`.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no such value.
    fn read(input: &mut &[u8]) -> Result<Self, BadRecord>;

    /// The value's bytes alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads a value that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no such value, or when some are left over.
    fn from_bytes(mut bytes: &[u8]) -> Result<Self, BadRecord> {
        let value = Self::read(&mut bytes)?;
        if bytes.is_empty() {
            Ok(value)
        } else {
            Err(BadRecord::LeftOver(bytes.len()))
        }
    }
}

/// Why bytes are not the record that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// The record ends inside a field.
    #[error("the record ends inside a field of type {0}")]
    Short(&'static str),
    /// A tag that this version does not know: the record is damaged, or a newer version wrote it.
    #[error("tag {tag} is unknown for {of}: the record is damaged, or a newer version wrote it")]
    UnknownTag {
        /// The type that was read.
        of: &'static str,
        /// The tag that was found.
        tag: u8,
    },
    /// A value that no writer of ours produces, such as a key that is no point of the curve.
    #[error("the bytes are not a valid {0}")]
    Invalid(&'static str),
    /// Bytes follow the value.
    #[error("{0} bytes are left over after the value")]
    LeftOver(usize),
}

/// Takes `count` bytes off the front of `input`.
///
/// # Errors
/// [`BadRecord::Short`] when fewer are left; `of` says what they were wanted for.
pub fn take<'a>(input: &mut &'a [u8], count: usize, of: &'static str) -> Result<&'a [u8], BadRecord> {
    let (taken, rest) = input.split_at_checked(count).ok_or(BadRecord::Short(of))?;
    *input = rest;
    Ok(taken)
}
