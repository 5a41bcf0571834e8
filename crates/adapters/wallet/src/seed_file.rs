//! The seed on disk: encrypted if there is a passphrase, readable by its owner alone in any case, and never overwritten.
//!
//! With a passphrase the key comes from Argon2id, with the parameters and the salt that stand in the file, and the entropy is sealed by
//! XChaCha20-Poly1305. A checksum tells a damaged file from a wrong passphrase. Beside the seed stands its birthday: the block from
//! which on the chain may hold something of the wallet's.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use quittance_monitor::Tip;
use quittance_primitives::BlockHeight;
use quittance_records::{Record, record, tagged};
use zeroize::Zeroizing;

use crate::envelope::{self, FileError, Kind};
use crate::seed::{NoEntropy, Seed, WordCount};

/// The seed could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is none yet.
    #[error("there is no seed at {}: make one, or restore it from its words", .0.display())]
    Missing(std::path::PathBuf),
    /// It is encrypted.
    #[error("the seed is encrypted: its passphrase is needed")]
    PassphraseNeeded,
    /// It is encrypted with another passphrase.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// No randomness for a salt.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The key could not be derived: too little memory, or parameters that no version of ours writes.
    #[error("the passphrase cannot be turned into a key: {0}")]
    KeyDerivation(String),
}

/// A seed, and the block from which on the chain may hold something of its wallet's.
#[derive(Clone, Debug)]
pub struct StoredSeed {
    /// The seed.
    pub seed: Seed,
    /// The block before the first one that matters.
    pub birthday: Tip,
}

/// What a seed's file says without its passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedFacts {
    /// The network that it is for.
    pub network: Network,
    /// The block before the first one that matters.
    pub birthday: Tip,
    /// Whether a passphrase is needed.
    pub is_encrypted: bool,
}

impl SeedFacts {
    /// Reads what is no secret in the file at `path`.
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let payload = |network| envelope::read(path, Kind::Seed, network).map(|found| (network, found));
        let read = match payload(Network::Bitcoin) {
            Err(FileError::OtherNetwork { found, .. }) => payload(found),
            read => read,
        };
        let (network, payload) = read?;
        let payload = Zeroizing::new(payload.ok_or_else(|| SeedError::Missing(path.to_owned()))?);
        let content = Content::from_bytes(&payload).map_err(|error| {
            SeedError::File(FileError::Damaged {
                path: path.to_owned(),
                what: error.to_string(),
            })
        })?;
        Ok(Self {
            network,
            birthday: content.birthday(),
            is_encrypted: matches!(content.secret, Secret::Sealed { .. }),
        })
    }
}

/// What is in the file.
struct Content {
    birthday_height: u32,
    birthday_hash: [u8; 32],
    secret: Secret,
}

impl Content {
    fn birthday(&self) -> Tip {
        Tip {
            height: BlockHeight(self.birthday_height),
            hash: BlockHash::from_byte_array(self.birthday_hash),
        }
    }
}

enum Secret {
    Open {
        entropy: Vec<u8>,
    },
    Sealed {
        memory_kib: u32,
        passes: u32,
        salt: [u8; 16],
        nonce: [u8; 24],
        sealed: Vec<u8>,
    },
}

record!(Content {
    birthday_height,
    birthday_hash,
    secret
});
tagged!(Secret { 1 => Open { entropy }, 2 => Sealed { memory_kib, passes, salt, nonce, sealed } });

/// RFC 9106's second recommended choice, for where memory is scarce: 64 MiB and three passes, about 0.1 s.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// A file that asks for more was not written by us, and shall not exhaust our memory.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 32;

impl StoredSeed {
    /// A new seed of 24 words, whose wallet begins behind this block. It is not stored yet.
    pub fn generate(birthday: Tip) -> Result<Self, NoEntropy> {
        let seed = Seed::generate(WordCount::TwentyFour)?;
        Ok(Self { seed, birthday })
    }

    /// Writes the seed where none is yet. When this returns, it is durable.
    pub fn create(&self, path: &Path, network: Network, passphrase: Option<&str>) -> Result<(), SeedError> {
        let secret = match passphrase {
            None => Secret::Open {
                entropy: self.seed.entropy().to_vec(),
            },
            Some(passphrase) => self.sealed(network, passphrase)?,
        };
        let content = Content {
            birthday_height: self.birthday.height.0,
            birthday_hash: self.birthday.hash.to_byte_array(),
            secret,
        };
        let payload = Zeroizing::new(content.to_bytes());
        Ok(envelope::create(path, Kind::Seed, network, &payload)?)
    }

    /// Reads the seed.
    pub fn open(path: &Path, network: Network, passphrase: Option<&str>) -> Result<Self, SeedError> {
        let missing = || SeedError::Missing(path.to_owned());
        let payload = Zeroizing::new(envelope::read(path, Kind::Seed, network)?.ok_or_else(missing)?);
        let damaged = |what: String| {
            SeedError::File(FileError::Damaged {
                path: path.to_owned(),
                what,
            })
        };
        let content = Content::from_bytes(&payload).map_err(|error| damaged(error.to_string()))?;
        let birthday = content.birthday();
        let entropy = match (content.secret, passphrase) {
            (Secret::Open { entropy }, _) => Zeroizing::new(entropy),
            (Secret::Sealed { .. }, None) => return Err(SeedError::PassphraseNeeded),
            (
                Secret::Sealed {
                    memory_kib,
                    passes,
                    salt,
                    nonce,
                    sealed,
                },
                Some(passphrase),
            ) => {
                let key = key(passphrase, &salt, memory_kib, passes)?;
                let aad = associated_data(network, birthday);
                let payload = Payload {
                    msg: &sealed,
                    aad: &aad,
                };
                let cipher = XChaCha20Poly1305::new(Key::from_slice(&*key));
                let opened = cipher.decrypt(XNonce::from_slice(&nonce), payload);
                Zeroizing::new(opened.map_err(|_| SeedError::WrongPassphrase)?)
            }
        };
        let seed = Seed::from_entropy(entropy).ok_or_else(|| damaged("its entropy has a wrong length".to_owned()))?;
        Ok(Self { seed, birthday })
    }

    fn sealed(&self, network: Network, passphrase: &str) -> Result<Secret, SeedError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        getrandom::fill(&mut salt).map_err(NoEntropy)?;
        getrandom::fill(&mut nonce).map_err(NoEntropy)?;
        let key = key(passphrase, &salt, MEMORY_KIB, PASSES)?;
        let aad = associated_data(network, self.birthday);
        let payload = Payload {
            msg: self.seed.entropy(),
            aad: &aad,
        };
        let sealed = XChaCha20Poly1305::new(Key::from_slice(&*key))
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|error| SeedError::KeyDerivation(error.to_string()))?;
        Ok(Secret::Sealed {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt,
            nonce,
            sealed,
        })
    }
}

/// What is not secret and must not be changed either.
fn associated_data(network: Network, birthday: Tip) -> Vec<u8> {
    let mut bytes = b"quittance seed 1".to_vec();
    bytes.push(envelope::network_number(network));
    bytes.extend(birthday.height.0.to_be_bytes());
    bytes.extend(birthday.hash.to_byte_array());
    bytes
}

fn key(passphrase: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Result<Zeroizing<[u8; 32]>, SeedError> {
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
        return Err(SeedError::KeyDerivation(format!(
            "{memory_kib} KiB and {passes} passes are too many"
        )));
    }
    let failed = |error: argon2::Error| SeedError::KeyDerivation(error.to_string());
    let params = Params::new(memory_kib, passes, 1, None).map_err(failed)?;
    let mut key = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(failed)?;
    Ok(key)
}
