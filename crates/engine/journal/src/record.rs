//! How one record is framed: its version, its length and a checksum that also covers its key.
//!
//! The layout is in `docs/formats/journal.md`. What the body holds is its owner's business, and so is the meaning of its version.
//! Because the key is under the checksum, a record that turns up under another key is damage, not data.

use crate::Key;

/// The largest body of a record, in bytes. Far above any channel's checkpoint: what is larger is a bug, not a record.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A record as read: the version that its body was written in, and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The version of the body's format, as its owner numbers them.
    pub version: u16,
    /// The body.
    pub body: &'a [u8],
}

/// A record that cannot be read, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record {key} cannot be read: {fault}")]
pub struct RecordError {
    /// The record's key.
    pub key: Key,
    /// What is wrong with it.
    pub fault: RecordFault,
}

/// What can be wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The record is not as long as it says.
    #[error("it should be {expected} bytes long, and has {found}")]
    Length {
        /// Bytes that the record's own length field calls for; at least those of an empty record.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The checksum does not fit what is there.
    #[error("it is damaged: its checksum is {stored:08x}, its content gives {computed:08x}")]
    Damaged {
        /// The checksum that is stored.
        stored: u32,
        /// The checksum of key and content.
        computed: u32,
    },
    /// The record is framed in a way that this version does not know.
    #[error("it is framed in version {0}, which this version of the software does not know")]
    UnknownFrame(u8),
    /// The body is whole, but in a version that its reader does not know.
    #[error("it is of version {found}; this version of the software reads up to {newest}")]
    UnknownVersion {
        /// The version of the body.
        found: u16,
        /// The newest version that the reader knows.
        newest: u16,
    },
    /// The body is whole and of a known version, but its reader cannot make sense of it.
    #[error("its content is not understood: {0}")]
    Content(String),
}

/// Frames `body`, which is of the given version, for its place at `key`.
///
/// # Panics
/// When the body exceeds [`RECORD_BYTES_MAX`].
pub fn encode_record(key: &Key, version: u16, body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= RECORD_BYTES_MAX, "a record is at most 16 MiB");
    let length = u32::try_from(body.len()).expect("16 MiB fit 32 bits");
    let mut frame = Vec::with_capacity(OVERHEAD + body.len());
    frame.push(FRAME_VERSION);
    frame.extend(version.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend(body);
    frame.extend(checksum(key, &frame).to_be_bytes());
    frame
}

/// Reads a record that stands at `key`, and checks that it is whole and that its version is one of `1..=newest`.
///
/// # Errors
/// [`RecordError`], which names the key.
pub fn decode_record<'a>(key: &Key, frame: &'a [u8], newest: u16) -> Result<Record<'a>, RecordError> {
    parse(key, frame, newest).map_err(|fault| RecordError { key: *key, fault })
}

fn parse<'a>(key: &Key, frame: &'a [u8], newest: u16) -> Result<Record<'a>, RecordFault> {
    match frame.first() {
        Some(&FRAME_VERSION) | None => {}
        Some(&unknown) => return Err(RecordFault::UnknownFrame(unknown)),
    }
    let too_short = RecordFault::Length {
        expected: OVERHEAD,
        found: frame.len(),
    };
    let Some((&[_, v0, v1, l0, l1, l2, l3], rest)) = frame.split_first_chunk::<7>() else {
        return Err(too_short);
    };
    let Some((body, &stored)) = rest.split_last_chunk::<4>() else {
        return Err(too_short);
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if length != body.len() {
        return Err(RecordFault::Length {
            expected: length.saturating_add(OVERHEAD),
            found: frame.len(),
        });
    }
    let stored = u32::from_be_bytes(stored);
    let computed = checksum(key, &frame[..frame.len() - 4]);
    if stored != computed {
        return Err(RecordFault::Damaged { stored, computed });
    }
    let version = u16::from_be_bytes([v0, v1]);
    if version == 0 || version > newest {
        return Err(RecordFault::UnknownVersion { found: version, newest });
    }
    Ok(Record { version, body })
}

fn checksum(key: &Key, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_bytes());
    hasher.update(content);
    hasher.finalize()
}

const FRAME_VERSION: u8 = 1;
/// Frame version, body version, body length and checksum.
const OVERHEAD: usize = 1 + 2 + 4 + 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventNumber;

    const KEY: Key = Key::Event(EventNumber(7));

    fn fault(frame: &[u8]) -> RecordFault {
        decode_record(&KEY, frame, 2).unwrap_err().fault
    }

    #[test]
    fn a_record_is_laid_out_as_the_format_page_says() {
        let frame = encode_record(&KEY, 2, b"abc");
        assert_eq!(frame[..10], *b"\x01\x00\x02\x00\x00\x00\x03abc");
        assert_eq!(
            frame[10..],
            crc32fast::hash(b"\x22\0\0\0\0\0\0\0\x07\x01\x00\x02\x00\x00\x00\x03abc").to_be_bytes()
        );
        assert_eq!(
            decode_record(&KEY, &frame, 2),
            Ok(Record {
                version: 2,
                body: b"abc"
            })
        );
        assert_eq!(decode_record(&KEY, &encode_record(&KEY, 1, b""), 2).unwrap().body, b"");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let frame = encode_record(&KEY, 1, b"the peer's secret");
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            decode_record(&KEY, &flipped, 2).unwrap_err();
        }
        for length in 0..frame.len() {
            assert!(matches!(fault(&frame[..length]), RecordFault::Length { found, .. } if found == length));
        }
    }

    #[test]
    fn a_record_under_another_key_is_damage() {
        let other = Key::Event(EventNumber(8));
        let error = decode_record(&other, &encode_record(&KEY, 1, b"x"), 1).unwrap_err();
        assert_eq!(error.key, other);
        assert!(matches!(error.fault, RecordFault::Damaged { .. }), "{error}");
    }

    #[test]
    fn newer_versions_are_told_apart_from_damage() {
        assert_eq!(
            fault(&encode_record(&KEY, 3, b"x")),
            RecordFault::UnknownVersion { found: 3, newest: 2 }
        );
        assert_eq!(fault(&[9; 20]), RecordFault::UnknownFrame(9));
        assert_eq!(
            decode_record(&KEY, &encode_record(&KEY, 3, b"x"), 2)
                .unwrap_err()
                .to_string(),
            "the record event/7 cannot be read: it is of version 3; this version of the software reads up to 2"
        );
    }
}
