//! The protocol layer side by side with LDK (its public API) and with the bare cryptography that the work cannot do without.
//!
//! `cargo xtask bench` runs all benches and rewrites the table in `docs/BENCHMARKS.md`. In each group, `quittance`, `ldk` and
//! `bare` are given the same work, in one run; only their ratios mean something. Here: the keys that all of them use.

use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// Our side of a group.
pub const OURS: &str = "quittance";
/// LDK's.
pub const LDK: &str = "ldk";
/// The curve operations, ciphers and hashes alone.
pub const BARE: &str = "bare";

/// A private key made of one byte, which must not be 0.
///
/// # Panics
/// If it is 0.
pub fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("the byte is not 0")
}

/// Its public key.
///
/// # Panics
/// If the byte is 0.
pub fn point(byte: u8) -> PublicKey {
    key(byte).public_key(SECP256K1)
}
