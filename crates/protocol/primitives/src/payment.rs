//! What a payment is known by, and what proves it.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
use subtle::ConstantTimeEq;

/// The hash that locks a payment's HTLCs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentHash(pub [u8; 32]);

/// The secret whose hash locks a payment: the payer's receipt. It is not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentPreimage(pub [u8; 32]);

/// The secret by which a payee recognises the payer of its invoice (BOLT 11 `s`). It is not shown by `Debug`.
#[derive(Clone, Copy)]
pub struct PaymentSecret(pub [u8; 32]);

/// The caller's own name for a payment that it makes: paying twice under one id pays once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(pub [u8; 32]);

impl PaymentPreimage {
    /// The payment hash that this preimage answers.
    pub fn hash(&self) -> PaymentHash {
        PaymentHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

impl PaymentHash {
    /// Whether `preimage` is the secret behind this hash.
    pub fn is_paid_by(&self, preimage: &PaymentPreimage) -> bool {
        preimage.hash() == *self
    }
}

// Compared in constant time: a peer that can measure us must not learn the secret byte by byte.
impl PartialEq for PaymentSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PaymentSecret {}

macro_rules! shown_in_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

shown_in_hex!(PaymentHash, PaymentId);

impl fmt::Debug for PaymentPreimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentPreimage(..)")
    }
}

impl fmt::Debug for PaymentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(
            format!("{:?} {:?}", PaymentPreimage([1; 32]), PaymentSecret([2; 32])),
            "PaymentPreimage(..) PaymentSecret(..)"
        );
    }

    #[test]
    fn only_its_own_preimage_pays_a_hash() {
        let hash = PaymentPreimage([1; 32]).hash();
        assert!(hash.is_paid_by(&PaymentPreimage([1; 32])));
        assert!(!hash.is_paid_by(&PaymentPreimage([2; 32])));
    }
}
