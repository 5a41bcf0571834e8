//! What a run did, as one number: equal runs give equal numbers, bit for bit (FNV-1a, 64 bits).

/// The hash of a run so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHash(pub u64);

impl Default for RunHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl RunHash {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Adds a number.
    pub fn add_number(&mut self, number: u64) {
        self.add(&number.to_be_bytes());
    }
}
