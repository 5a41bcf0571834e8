//! TLV streams (BOLT 1, type-length-value format): the extensions of messages, and the payloads of onions.
//!
//! [`TlvStream`] checks what holds for every stream: types and lengths are minimal, types strictly increase, no value
//! runs past the end. Which types are known is its reader's business: it takes the [`TlvRecord::value`] of those, and
//! hands every other record to [`TlvRecord::ignore`], which refuses the even ones.

use crate::{BigSize, Flaw, Reader, TlvError, TlvFlaw, TlvValue, Wire};

/// The records of a TLV stream, in order. After an error it yields nothing more.
///
/// ```
/// use quittance_wire::{TlvError, TlvFlaw, TlvStream, Tu64};
///
/// let mut amount = None;
/// for record in TlvStream::new(&[1, 2, 0x13, 0x88, 3, 1, 0xff]) {
///     let record = record?;
///     match record.record_type {
///         1 => amount = Some(record.value::<Tu64>()?),
///         _ => record.ignore()?,
///     }
/// }
/// assert_eq!(amount, Some(Tu64(5_000)));
/// # Ok::<(), TlvError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlvStream<'a> {
    reader: Reader<'a>,
    length: usize,
    previous: Option<u64>,
}

/// One record, borrowed from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvRecord<'a> {
    /// What the record says.
    pub record_type: u64,
    /// The value's bytes.
    pub bytes: &'a [u8],
    /// Where the record starts, in bytes from the start of the stream.
    pub offset: usize,
}

/// Writes records in increasing order of type.
#[derive(Debug)]
pub struct TlvWriter<'a> {
    out: &'a mut Vec<u8>,
    previous: Option<u64>,
}

impl<'a> TlvStream<'a> {
    /// Reads all of `bytes` as one stream.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            length: bytes.len(),
            previous: None,
        }
    }

    fn read_record(&mut self) -> Result<TlvRecord<'a>, TlvError> {
        let offset = self.length - self.reader.remaining();
        let error = |record_type, flaw| TlvError {
            offset,
            record_type,
            flaw,
        };
        let BigSize(record_type) = BigSize::read(&mut self.reader).map_err(|flaw| error(None, TlvFlaw::Type(flaw)))?;
        if let Some(previous) = self.previous.filter(|previous| *previous >= record_type) {
            return Err(error(Some(record_type), TlvFlaw::NotIncreasing { previous }));
        }
        self.previous = Some(record_type);
        let BigSize(length) =
            BigSize::read(&mut self.reader).map_err(|flaw| error(Some(record_type), TlvFlaw::Length(flaw)))?;
        let left = self.reader.remaining();
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| self.reader.take(length).ok())
            .ok_or(error(Some(record_type), TlvFlaw::ValueTruncated { length, left }))?;
        Ok(TlvRecord {
            record_type,
            bytes,
            offset,
        })
    }
}

impl<'a> Iterator for TlvStream<'a> {
    type Item = Result<TlvRecord<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.remaining() == 0 {
            return None;
        }
        let record = self.read_record();
        if record.is_err() {
            self.reader.take_rest();
        }
        Some(record)
    }
}

impl TlvRecord<'_> {
    /// The value of a known record.
    ///
    /// # Errors
    /// [`TlvFlaw::Value`] when the bytes are not exactly a `T`.
    pub fn value<T: TlvValue>(&self) -> Result<T, TlvError> {
        T::read_value(self.bytes).map_err(|flaw| self.error(TlvFlaw::Value(flaw)))
    }

    /// Passes over an unknown record.
    ///
    /// # Errors
    /// [`TlvFlaw::UnknownRequired`] when its type is even: it must not be ignored.
    pub const fn ignore(&self) -> Result<(), TlvError> {
        if self.record_type.is_multiple_of(2) {
            return Err(self.error(TlvFlaw::UnknownRequired));
        }
        Ok(())
    }

    /// This record's error, for readers with rules of their own.
    pub const fn error(&self, flaw: TlvFlaw) -> TlvError {
        TlvError {
            offset: self.offset,
            record_type: Some(self.record_type),
            flaw,
        }
    }
}

impl<'a> TlvWriter<'a> {
    /// Appends a stream to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, previous: None }
    }

    /// Writes one record.
    ///
    /// # Panics
    /// If `record_type` is not above the one before: the order is ours to keep.
    pub fn record(&mut self, record_type: u64, value: &impl TlvValue) -> &mut Self {
        let mut bytes = Vec::new();
        value.write_value(&mut bytes);
        self.bytes(record_type, &bytes)
    }

    /// Writes one record, if there is a value for it.
    ///
    /// # Panics
    /// As [`Self::record`].
    pub fn optional(&mut self, record_type: u64, value: Option<&impl TlvValue>) -> &mut Self {
        match value {
            Some(value) => self.record(record_type, value),
            None => self,
        }
    }

    /// Writes one record whose value is already encoded.
    ///
    /// # Panics
    /// As [`Self::record`].
    pub fn bytes(&mut self, record_type: u64, bytes: &[u8]) -> &mut Self {
        assert!(
            self.previous.is_none_or(|previous| previous < record_type),
            "TLV types strictly increase"
        );
        self.previous = Some(record_type);
        BigSize(record_type).write(self.out);
        BigSize(bytes.len() as u64).write(self.out);
        self.out.extend_from_slice(bytes);
        self
    }
}

/// Reads a whole record's value as one [`Wire`] value.
///
/// # Errors
/// Those of the value, and [`Flaw::LeftOver`] when bytes remain.
pub fn read_exactly<T: Wire>(bytes: &[u8]) -> Result<T, Flaw> {
    let mut reader = Reader::new(bytes);
    let value = T::read(&mut reader)?;
    reader.finish().map(|()| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tu64;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn first_error(bytes: &[u8]) -> Option<TlvError> {
        TlvStream::new(bytes).find_map(Result::err)
    }

    #[test]
    fn an_error_names_the_record_and_where_it_starts() {
        let error = TlvError {
            offset: 3,
            record_type: Some(9),
            flaw: TlvFlaw::ValueTruncated { length: 4, left: 2 },
        };
        assert_eq!(first_error(&[7, 1, 0, 9, 4, 1, 2]), Some(error));
        assert_eq!(
            error.to_string(),
            "the record's value takes 4 bytes and 2 are left (at byte 3 of the TLV stream)"
        );
    }

    #[test]
    fn a_length_beyond_memory_is_refused_without_touching_it() {
        let flaw = TlvFlaw::ValueTruncated {
            length: u64::MAX,
            left: 1,
        };
        let mut bytes = vec![1];
        BigSize(u64::MAX).write(&mut bytes);
        bytes.push(0);
        assert_eq!(first_error(&bytes).map(|error| error.flaw), Some(flaw));
    }

    #[test]
    fn duplicates_and_descending_types_are_refused() {
        let not_increasing = |previous| Some(TlvFlaw::NotIncreasing { previous });
        assert_eq!(first_error(&[5, 0, 5, 0]).map(|error| error.flaw), not_increasing(5));
        assert_eq!(first_error(&[5, 0, 4, 0]).map(|error| error.flaw), not_increasing(5));
    }

    #[test]
    #[should_panic(expected = "TLV types strictly increase")]
    fn our_own_records_are_in_order() {
        TlvWriter::new(&mut Vec::new()).record(3, &Tu64(1)).record(3, &Tu64(1));
    }

    proptest! {
        #[test]
        fn streams_come_back(records in proptest::collection::btree_map(any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300), 0..6)) {
            let mut bytes = Vec::new();
            let mut writer = TlvWriter::new(&mut bytes);
            for (record_type, value) in &records {
                writer.bytes(*record_type, value);
            }
            let read: BTreeMap<_, _> = TlvStream::new(&bytes)
                .map(|record| record.map(|record| (record.record_type, record.bytes.to_vec())))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn what_reads_as_a_stream_is_its_only_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(records) = TlvStream::new(&bytes).collect::<Result<Vec<_>, _>>() {
                let mut again = Vec::new();
                let mut writer = TlvWriter::new(&mut again);
                for record in records {
                    writer.bytes(record.record_type, record.bytes);
                }
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
