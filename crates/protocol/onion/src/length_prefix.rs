//! The length in front of a payload: a BigSize that, in an area of at most 65,535 bytes, has one or three bytes.
//!
//! Longer BigSize forms are refused as lengths past the area's end; so are forms that are not minimal (BOLT 1).

/// Bytes that the length `length` takes.
pub(crate) const fn len(length: usize) -> usize {
    if length < 0xfd { 1 } else { 3 }
}

/// Writes `length` to the front of `to` and returns how many bytes it took.
pub(crate) fn write(length: usize, to: &mut [u8]) -> usize {
    let bytes = u16::try_from(length)
        .expect("payloads fit their area, which a u16 measures")
        .to_be_bytes();
    if length < 0xfd {
        to[0] = bytes[1];
        1
    } else {
        to[0] = 0xfd;
        to[1..3].copy_from_slice(&bytes);
        3
    }
}

/// Reads a length and the number of bytes that it took.
pub(crate) fn read(from: &[u8]) -> Option<(usize, usize)> {
    match *from {
        [first, ..] if first < 0xfd => Some((usize::from(first), 1)),
        [0xfd, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            (length >= 0xfd).then_some((length, 3))
        }
        _ => None,
    }
}
