//! Per-commitment secrets: making our own from a seed, and keeping all that a peer revealed in 49 slots (BOLT 3,
//! per-commitment secret requirements and efficient per-commitment secret storage).
//!
//! Secrets are numbered by the commitment that they revoke; the index of BOLT 3 counts down and stays inside this module.
//! A seed is for signers only. A [`SecretStore`] belongs to the engine: it holds secrets of the *peer*, revealed to us.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
use quittance_primitives::CommitmentNumber;
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

use crate::generator::public_multiple;

/// The secret behind one commitment's point: whoever reveals it has revoked that commitment. It is not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PerCommitmentSecret(pub [u8; 32]);

/// The seed of all per-commitment secrets of one side of one channel. It is not shown by `Debug`.
#[derive(Clone)]
pub struct CommitmentSeed([u8; 32]);

/// Every secret that a peer has revealed, from its first commitment on, in at most 49 slots of 32 bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretStore {
    /// How many secrets were received: those of the commitments 0 to `received - 1`.
    received: u64,
    /// The latest secret whose index ends in exactly `slot` zero bits.
    secrets_by_slot: Vec<[u8; 32]>,
}

/// The revealed secret does not yield the earlier ones: the peer did not make them from one seed. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of {number} does not yield the earlier ones")]
pub struct SecretMismatch {
    /// The commitment that the secret was to revoke.
    pub number: CommitmentNumber,
}

/// The 32 bytes are no private key, so no point can belong to them. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the per-commitment secret is not a private key")]
pub struct InvalidSecret;

/// The bytes are not an encoded [`SecretStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretStore {
    /// The first byte names a format that this code does not know.
    #[error("the store of secrets has the unknown version {0}")]
    UnknownVersion(u8),
    /// The count does not fit 48 bits, or the length does not follow from it.
    #[error("the store of secrets has {got} bytes, which no count of secrets gives")]
    WrongLength {
        /// How many bytes there are.
        got: usize,
    },
}

impl PerCommitmentSecret {
    /// The secret as a private key.
    ///
    /// # Errors
    /// [`InvalidSecret`] when it is zero, or not below the order of the group.
    pub fn private_key(&self) -> Result<SecretKey, InvalidSecret> {
        SecretKey::from_slice(&self.0).map_err(|_| InvalidSecret)
    }

    /// The point that belongs to the secret (BOLT 3, `per_commitment_point`).
    ///
    /// # Errors
    /// [`InvalidSecret`], as [`Self::private_key`].
    pub fn point(&self) -> Result<PublicKey, InvalidSecret> {
        Ok(self.private_key()?.public_key(SECP256K1))
    }

    /// Whether this is the secret of `point`: what `revoke_and_ack` must satisfy (BOLT 2). For one that was revealed: the time that it
    /// takes depends on the secret.
    pub fn is_secret_of(&self, point: &PublicKey) -> bool {
        Scalar::from_be_bytes(self.0).is_ok_and(|number| public_multiple(&number) == Some(*point))
    }
}

impl CommitmentSeed {
    /// A seed of 32 unguessable bytes, one for each channel.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The secret of commitment `number`.
    pub fn secret(&self, number: CommitmentNumber) -> PerCommitmentSecret {
        PerCommitmentSecret(derive_secret(self.0, INDEX_BITS, number.secret_index()))
    }

    /// The point of commitment `number`.
    ///
    /// # Panics
    /// When the secret is no private key, which one seed in 2^128 leads to.
    pub fn point(&self, number: CommitmentNumber) -> PublicKey {
        self.private_key(number).public_key(SECP256K1)
    }

    pub(crate) fn private_key(&self, number: CommitmentNumber) -> SecretKey {
        self.secret(number).private_key().expect("a hash is a private key")
    }
}

impl SecretStore {
    /// A store that has received nothing.
    pub const fn new() -> Self {
        Self {
            received: 0,
            secrets_by_slot: Vec::new(),
        }
    }

    /// The commitment whose secret comes next: the first one not yet revoked.
    pub const fn next(&self) -> CommitmentNumber {
        CommitmentNumber(self.received)
    }

    /// Takes the next secret.
    ///
    /// # Errors
    /// [`SecretMismatch`], with nothing changed, when an earlier secret does not follow from this one.
    ///
    /// # Panics
    /// When `number` is not [`Self::next`]: the caller knows which commitment it replaced.
    pub fn insert(&mut self, number: CommitmentNumber, secret: PerCommitmentSecret) -> Result<(), SecretMismatch> {
        assert_eq!(
            number,
            self.next(),
            "secrets are revealed in the order of their commitments"
        );
        assert!(number <= CommitmentNumber::MAX, "commitment numbers fit 48 bits");
        let slot = slot_of(number.secret_index());
        for (earlier, known) in self.secrets_by_slot.iter().enumerate().take(slot) {
            if derive_secret(secret.0, slot, self.index_in(earlier)) != *known {
                return Err(SecretMismatch { number });
            }
        }
        if slot == self.secrets_by_slot.len() {
            self.secrets_by_slot.push(secret.0);
        } else {
            self.secrets_by_slot[slot] = secret.0;
        }
        self.received += 1;
        Ok(())
    }

    /// The secret of a revoked commitment, or `None` when it was not yet received.
    pub fn secret(&self, number: CommitmentNumber) -> Option<PerCommitmentSecret> {
        if number >= self.next() {
            return None;
        }
        let index = number.secret_index();
        self.secrets_by_slot.iter().enumerate().find_map(|(slot, known)| {
            let is_prefix = index & !low_bits(slot) == self.index_in(slot);
            is_prefix.then(|| PerCommitmentSecret(derive_secret(*known, slot, index)))
        })
    }

    /// The store as bytes: a version (0), the count (8 bytes, big endian), and the secrets by slot, 32 bytes each.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + 32 * self.secrets_by_slot.len());
        bytes.push(ENCODING_VERSION);
        bytes.extend(self.received.to_be_bytes());
        bytes.extend(self.secrets_by_slot.iter().flatten());
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidSecretStore`] when the version is unknown or the length does not follow from the count.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSecretStore> {
        let wrong_length = InvalidSecretStore::WrongLength { got: bytes.len() };
        let (version, rest) = bytes.split_first().ok_or(wrong_length)?;
        if *version != ENCODING_VERSION {
            return Err(InvalidSecretStore::UnknownVersion(*version));
        }
        let (count, secrets) = rest.split_first_chunk().ok_or(wrong_length)?;
        let received = u64::from_be_bytes(*count);
        let (secrets_by_slot, remainder) = secrets.as_chunks::<32>();
        if received > SECRETS_MAX || !remainder.is_empty() || secrets_by_slot.len() != slots_used(received) {
            return Err(wrong_length);
        }
        Ok(Self {
            received,
            secrets_by_slot: secrets_by_slot.to_vec(),
        })
    }

    /// The index of the secret in `slot`: the lowest index received that ends in exactly `slot` zero bits.
    fn index_in(&self, slot: usize) -> u64 {
        let lowest = SECRETS_MAX - self.received;
        let multiple = lowest.div_ceil(1 << slot);
        if slot == INDEX_BITS { 0 } else { (multiple | 1) << slot }
    }
}

impl fmt::Debug for PerCommitmentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerCommitmentSecret(..)")
    }
}

impl fmt::Debug for CommitmentSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitmentSeed(..)")
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretStore({} received)", self.received)
    }
}

/// The secret at `index`, from that of an index which equals it above the lowest `bits` bits and ends in zeros below.
fn derive_secret(base: [u8; 32], bits: usize, index: u64) -> [u8; 32] {
    let mut secret = base;
    for bit in (0..bits).rev().filter(|bit| index >> bit & 1 == 1) {
        secret[bit / 8] ^= 1 << (bit % 8);
        secret = sha256::Hash::hash(&secret).to_byte_array();
    }
    secret
}

/// The slot of a secret: how many zero bits its index ends in.
fn slot_of(index: u64) -> usize {
    (0..INDEX_BITS).find(|bit| index >> bit & 1 == 1).unwrap_or(INDEX_BITS)
}

/// How many slots `received` secrets fill: a new one with each doubling.
fn slots_used(received: u64) -> usize {
    (0..=INDEX_BITS).take_while(|slot| received >> slot != 0).count()
}

const fn low_bits(count: usize) -> u64 {
    (1 << count) - 1
}

const INDEX_BITS: usize = 48;
const SECRETS_MAX: u64 = 1 << INDEX_BITS;
const ENCODING_VERSION: u8 = 0;
const HEADER_LEN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn revealed(seed: &CommitmentSeed, count: u64) -> SecretStore {
        let mut store = SecretStore::new();
        for number in (0..count).map(CommitmentNumber) {
            store.insert(number, seed.secret(number)).unwrap();
        }
        store
    }

    #[test]
    fn every_revealed_secret_is_kept_in_few_slots() {
        let seed = CommitmentSeed::new([7; 32]);
        let store = revealed(&seed, 1_000);
        assert_eq!(store.secrets_by_slot.len(), 10);
        for number in (0..1_000).map(CommitmentNumber) {
            assert_eq!(store.secret(number), Some(seed.secret(number)), "{number}");
        }
        assert_eq!(store.secret(CommitmentNumber(1_000)), None);
    }

    #[test]
    fn a_secret_of_another_seed_is_refused_and_changes_nothing() {
        let mut store = revealed(&CommitmentSeed::new([7; 32]), 3);
        let before = store.clone();
        let number = CommitmentNumber(3);
        let wrong = CommitmentSeed::new([8; 32]).secret(number);
        assert_eq!(store.insert(number, wrong), Err(SecretMismatch { number }));
        assert_eq!(store, before);
    }

    #[test]
    #[should_panic(expected = "secrets are revealed in the order of their commitments")]
    fn a_skipped_commitment_is_the_callers_mistake() {
        let seed = CommitmentSeed::new([7; 32]);
        let _ = SecretStore::new().insert(CommitmentNumber(1), seed.secret(CommitmentNumber(1)));
    }

    #[test]
    fn the_last_secret_of_all_is_the_seed_itself() {
        let seed = CommitmentSeed::new([7; 32]);
        assert_eq!(seed.secret(CommitmentNumber::MAX), PerCommitmentSecret([7; 32]));
        let mut store = SecretStore {
            received: SECRETS_MAX - 1,
            secrets_by_slot: Vec::new(),
        };
        let in_slot = |slot: usize| derive_secret([7; 32], INDEX_BITS, 1 << slot);
        store.secrets_by_slot = (0..INDEX_BITS).map(in_slot).collect();
        store
            .insert(CommitmentNumber::MAX, PerCommitmentSecret([7; 32]))
            .unwrap();
        assert_eq!(
            store.secret(CommitmentNumber(0)),
            Some(seed.secret(CommitmentNumber(0)))
        );
        assert_eq!(SecretStore::decode(&store.encode()), Ok(store));
    }

    #[test]
    fn a_damaged_store_is_refused() {
        let store = revealed(&CommitmentSeed::new([7; 32]), 5);
        let bytes = store.encode();
        assert_eq!(bytes.len(), 9 + 3 * 32);
        let wrong = |got| Err(InvalidSecretStore::WrongLength { got });
        assert_eq!(SecretStore::decode(&[]), wrong(0));
        assert_eq!(SecretStore::decode(&bytes[..bytes.len() - 1]), wrong(bytes.len() - 1));
        assert_eq!(SecretStore::decode(&bytes[..bytes.len() - 32]), wrong(bytes.len() - 32));
        let mut newer = bytes;
        newer[0] = 9;
        assert_eq!(SecretStore::decode(&newer), Err(InvalidSecretStore::UnknownVersion(9)));
    }

    #[test]
    fn secrets_are_not_shown() {
        let seed = CommitmentSeed::new([7; 32]);
        let shown = format!(
            "{seed:?} {:?} {:?}",
            seed.secret(CommitmentNumber(0)),
            revealed(&seed, 2)
        );
        assert_eq!(
            shown,
            "CommitmentSeed(..) PerCommitmentSecret(..) SecretStore(2 received)"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_store_comes_back_from_its_bytes(seed in any::<[u8; 32]>(), count in 0_u64..300) {
            let store = revealed(&CommitmentSeed::new(seed), count);
            prop_assert_eq!(SecretStore::decode(&store.encode()), Ok(store));
        }

        #[test]
        fn decoding_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(store) = SecretStore::decode(&bytes) {
                prop_assert_eq!(store.encode(), bytes);
            }
        }
    }
}
