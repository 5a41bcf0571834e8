//! CRC32C (RFC 3720, appendix B.4), by which gossip queries compare updates.

/// The checksum of all parts, one behind the other.
pub(crate) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let step = |register: u32, byte: &u8| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            (register >> 1) ^ if register & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    };
    !parts.into_iter().flatten().fold(u32::MAX, step)
}

/// Castagnoli's polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let ascending: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        assert_eq!(crc32c([&[0; 32][..]]), 0x8a91_36aa);
        assert_eq!(crc32c([&[0xff; 32][..]]), 0x62a8_ab43);
        assert_eq!(crc32c([&ascending[..]]), 0x46dd_794e);
        assert_eq!(crc32c([&ascending[..10], &ascending[10..]]), 0x46dd_794e);
    }
}
