//! The commitment number, hidden from all but the two sides in a commitment's lock time and sequence (BOLT 3, commitment
//! transaction).

use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Sequence, Transaction, absolute};
use quittance_primitives::CommitmentNumber;
use secp256k1::PublicKey;

use crate::ChannelTerms;

/// What a channel's commitment numbers are obscured by: 48 bits that only the two sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObscuringFactor(u64);

impl ObscuringFactor {
    /// The factor of a channel: the lower 48 bits of
    /// `SHA256(payment_basepoint from open_channel || payment_basepoint from accept_channel)`.
    pub fn of(terms: &ChannelTerms) -> Self {
        Self::of_payment_basepoints(
            &terms.opener.keys.payment_basepoint,
            &terms.accepter.keys.payment_basepoint,
        )
    }

    /// The factor of a channel with these `payment_basepoint`s.
    pub fn of_payment_basepoints(opener: &PublicKey, accepter: &PublicKey) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(&opener.serialize());
        engine.input(&accepter.serialize());
        let hash = sha256::Hash::from_engine(engine).to_byte_array();
        let lower = hash[26..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Self(lower)
    }

    /// The obscured number.
    pub const fn obscure(self, number: CommitmentNumber) -> u64 {
        number.0 ^ self.0
    }

    /// The sequence of the commitment's input: 0x80 and the upper half of the obscured number.
    pub(crate) fn sequence(self, number: CommitmentNumber) -> Sequence {
        Sequence(0x80 << 24 | half(self.obscure(number) >> 24))
    }

    /// The commitment's lock time: 0x20 and the lower half of the obscured number.
    pub(crate) fn lock_time(self, number: CommitmentNumber) -> absolute::LockTime {
        absolute::LockTime::from_consensus(0x20 << 24 | half(self.obscure(number)))
    }

    /// The number of a commitment transaction seen on chain, or `None` when it does not have the form of one: then it closes the
    /// channel in agreement, or does not belong to it.
    pub fn number_of(self, transaction: &Transaction) -> Option<CommitmentNumber> {
        let [input] = transaction.input.as_slice() else {
            return None;
        };
        let (sequence, lock_time) = (input.sequence.0, transaction.lock_time.to_consensus_u32());
        if sequence >> 24 != 0x80 || lock_time >> 24 != 0x20 {
            return None;
        }
        let obscured = u64::from(sequence & HALF) << 24 | u64::from(lock_time & HALF);
        Some(CommitmentNumber(obscured ^ self.0))
    }
}

fn half(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(HALF)).expect("24 bits fit 32")
}

const HALF: u32 = 0x00ff_ffff;
