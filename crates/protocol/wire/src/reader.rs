//! A cursor over received bytes. It never panics, and hands out slices of its input: reading allocates nothing.

use crate::Flaw;

/// Reads values off the front of a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Flaw::UnexpectedEnd`] when fewer are left; nothing is consumed then.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Flaw::UnexpectedEnd {
            needed: count,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes, as an array.
    ///
    /// # Errors
    /// [`Flaw::UnexpectedEnd`] when fewer are left; nothing is consumed then.
    pub fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], Flaw> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Flaw::UnexpectedEnd {
            needed: N,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Everything that is left.
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`Flaw::LeftOver`] unless everything was read.
    pub const fn finish(self) -> Result<(), Flaw> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(Flaw::LeftOver(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_consumed_when_too_little_is_left() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.take(2), Ok(&[1, 2][..]));
        assert_eq!(
            reader.take_array::<2>(),
            Err(Flaw::UnexpectedEnd { needed: 2, left: 1 })
        );
        assert_eq!(reader.clone().finish(), Err(Flaw::LeftOver(1)));
        assert_eq!(reader.take_rest(), [3]);
        assert_eq!(reader.finish(), Ok(()));
    }
}
