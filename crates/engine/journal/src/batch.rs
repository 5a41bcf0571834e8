//! The records of one step, as one atomic write.
//!
//! Changes apply in order; of two that touch one key, the later one wins. The byte form (see `docs/formats/journal.md`) is what a
//! store with a journal of its own writes, and what a replica is sent; its integrity is the store's business, that of each
//! record lies in the record's own frame.

use quittance_primitives::ChannelId;

use crate::{Key, KeyRange, UpdateId, encode_record};

/// What one step changes in the store, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

/// One change of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Puts a framed record at a key, in place of what is there.
    Put(Key, Vec<u8>),
    /// Removes the record at a key, if there is one.
    Delete(Key),
    /// Removes a channel's updates up to and with `last`: a checkpoint holds them now.
    DeleteUpdates {
        /// The channel.
        channel: ChannelId,
        /// The last update to remove.
        last: UpdateId,
    },
}

/// Bytes that are not a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is not understood at byte {offset}")]
pub struct BatchFault {
    /// Where reading stopped.
    pub offset: usize,
}

impl Batch {
    /// A batch that changes nothing.
    pub const fn new() -> Self {
        Self { changes: Vec::new() }
    }

    /// Puts a record at `key`: `body`, in version `version` of its own format.
    ///
    /// # Panics
    /// When the body exceeds [`crate::RECORD_BYTES_MAX`].
    pub fn put(&mut self, key: Key, version: u16, body: &[u8]) {
        self.changes.push(Change::Put(key, encode_record(&key, version, body)));
    }

    /// Removes the record at `key`, if there is one.
    pub fn delete(&mut self, key: Key) {
        self.changes.push(Change::Delete(key));
    }

    /// Removes the updates of `channel` up to and with `last`.
    pub fn delete_updates(&mut self, channel: ChannelId, last: UpdateId) {
        self.changes.push(Change::DeleteUpdates { channel, last });
    }

    /// Adds one change behind those that are there.
    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds the changes of `other` behind those that are there.
    pub fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
    }

    /// The changes, in the order in which they apply.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes themselves, in the order in which they apply.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The batch as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.changes.iter().map(Change::size_hint).sum());
        for change in &self.changes {
            change.write_to(&mut bytes);
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote. Records are not looked into: see [`crate::decode_record`].
    ///
    /// # Errors
    /// [`BatchFault`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BatchFault> {
        let mut rest = bytes;
        let mut changes = Vec::new();
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let (change, after) = Change::parse(rest).ok_or(BatchFault { offset })?;
            changes.push(change);
            rest = after;
        }
        Ok(Self { changes })
    }
}

impl Change {
    /// The keys that the change touches.
    pub fn range(&self) -> KeyRange {
        match self {
            Self::Put(key, _) | Self::Delete(key) => KeyRange::single(*key),
            Self::DeleteUpdates { channel, last } => KeyRange::updates_through(*channel, *last),
        }
    }

    fn size_hint(&self) -> usize {
        let record = match self {
            Self::Put(_, record) => record.len() + 4,
            Self::Delete(_) | Self::DeleteUpdates { .. } => 0,
        };
        record + 2 + Key::BYTES_MAX
    }

    // Kind, length of the key, the key; and for a put the length of the record and the record.
    fn write_to(&self, bytes: &mut Vec<u8>) {
        let (kind, key) = match self {
            Self::Put(key, _) => (PUT, *key),
            Self::Delete(key) => (DELETE, *key),
            Self::DeleteUpdates { channel, last } => (DELETE_UPDATES, Key::Update(*channel, *last)),
        };
        let key = key.to_bytes();
        bytes.push(kind);
        bytes.push(u8::try_from(key.len()).expect("keys are short"));
        bytes.extend(key);
        if let Self::Put(_, record) = self {
            bytes.extend(u32::try_from(record.len()).expect("records fit 32 bits").to_be_bytes());
            bytes.extend(record);
        }
    }

    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[kind, key_length], rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(key_length.into())?;
        let key = Key::from_bytes(key).ok()?;
        match (kind, key) {
            (PUT, key) => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (record, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                Some((Self::Put(key, record.to_vec()), rest))
            }
            (DELETE, key) => Some((Self::Delete(key), rest)),
            (DELETE_UPDATES, Key::Update(channel, last)) => Some((Self::DeleteUpdates { channel, last }, rest)),
            _ => None,
        }
    }
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_UPDATES: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventNumber;

    fn batch() -> Batch {
        let mut batch = Batch::new();
        batch.put(Key::Event(EventNumber(1)), 1, b"sent");
        batch.delete(Key::Wallet(2));
        batch.delete_updates(ChannelId([3; 32]), UpdateId(9));
        batch
    }

    #[test]
    fn a_batch_survives_the_way_through_bytes() {
        assert_eq!(Batch::from_bytes(&batch().to_bytes()), Ok(batch()));
        assert_eq!(Batch::from_bytes(&[]), Ok(Batch::new()));
    }

    #[test]
    fn a_cut_or_unknown_batch_is_refused_whole() {
        let bytes = batch().to_bytes();
        let starts = [0, 30, 41];
        for length in (1..bytes.len()).filter(|length| !starts.contains(length)) {
            let offset = starts.into_iter().filter(|start| *start < length).max().unwrap();
            assert_eq!(
                Batch::from_bytes(&bytes[..length]),
                Err(BatchFault { offset }),
                "{length}"
            );
        }
        assert_eq!(Batch::from_bytes(&[9, 2, 0x01, 1]), Err(BatchFault { offset: 0 }));
    }
}
