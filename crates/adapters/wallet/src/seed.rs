//! The one secret from which everything follows: twelve or twenty-four words (BIP 39), the wallet's keys (BIP 86), the node's seed.

use std::fmt;

use bip39::{Language, Mnemonic};
use bitcoin::Network;
use bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv};
use secp256k1::SECP256K1;
use zeroize::Zeroizing;

/// The secret. It is wiped when it is dropped, and not shown by `Debug`.
#[derive(Clone)]
pub struct Seed {
    entropy: Zeroizing<Vec<u8>>,
}

/// How many words stand for a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordCount {
    /// 128 bits.
    Twelve,
    /// 256 bits.
    TwentyFour,
}

/// Words are not those of a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWords {
    /// Neither 12 nor 24.
    #[error("{0} words: a seed has 12 or 24")]
    Count(usize),
    /// A word that is not on the list.
    #[error("word {0} is not on the list of BIP 39")]
    Unknown(usize),
    /// All words are on the list, and they do not go together.
    #[error("the words do not fit together: one of them is wrong, or their order")]
    Checksum,
}

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoEntropy(pub(crate) getrandom::Error);

/// BIP 86.
const PURPOSE_TAPROOT: u32 = 86;
/// Ours: the port of Lightning. No wallet derives coins there.
const PURPOSE_NODE: u32 = 9_735;

impl Seed {
    /// A new seed, of the system's randomness.
    pub fn generate(words: WordCount) -> Result<Self, NoEntropy> {
        let bytes = match words {
            WordCount::Twelve => 16,
            WordCount::TwentyFour => 32,
        };
        let mut entropy = Zeroizing::new(vec![0; bytes]);
        getrandom::fill(&mut entropy).map_err(NoEntropy)?;
        Ok(Self { entropy })
    }

    /// The seed that these words stand for. Upper case and any white space do no harm.
    pub fn from_words(words: &str) -> Result<Self, BadWords> {
        let lower = Zeroizing::new(words.to_lowercase());
        let count = lower.split_whitespace().count();
        if count != 12 && count != 24 {
            return Err(BadWords::Count(count));
        }
        let joined = Zeroizing::new(lower.split_whitespace().collect::<Vec<_>>().join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &joined).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => BadWords::Unknown(index + 1),
            _ => BadWords::Checksum,
        })?;
        Ok(Self {
            entropy: Zeroizing::new(mnemonic.to_entropy()),
        })
    }

    /// The words, to be shown once and written down.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.mnemonic().words().collect::<Vec<_>>().join(" "))
    }

    /// What the node's signer is made of: the private key at m/9735'/coin'/0', where coin is 0 for bitcoin and 1 for its test networks.
    /// Hardened steps lead nowhere back, so it tells nothing of the wallet's keys.
    pub fn node_seed(&self, network: Network) -> Zeroizing<[u8; 32]> {
        let key = self.derive(network, PURPOSE_NODE);
        Zeroizing::new(key.private_key.secret_bytes())
    }

    /// The wallet's account: m/86'/coin'/0'.
    pub(crate) fn account(&self, network: Network) -> Xpriv {
        self.derive(network, PURPOSE_TAPROOT)
    }

    /// The first half of BIP 32's master key is random enough to tell seeds apart without telling anything about them.
    pub(crate) fn fingerprint(&self, network: Network) -> [u8; 4] {
        self.master(network).fingerprint(SECP256K1).to_bytes()
    }

    pub(crate) fn entropy(&self) -> &[u8] {
        &self.entropy
    }

    /// The seed with this entropy; `None` unless it has 16 or 32 bytes.
    pub(crate) fn from_entropy(entropy: Zeroizing<Vec<u8>>) -> Option<Self> {
        matches!(entropy.len(), 16 | 32).then_some(Self { entropy })
    }

    fn derive(&self, network: Network, purpose: u32) -> Xpriv {
        let coin = match network {
            Network::Bitcoin => 0,
            Network::Testnet | Network::Testnet4 | Network::Signet | Network::Regtest => 1,
        };
        let hardened = |index| ChildNumber::from_hardened_idx(index).expect("the index is below 2^31");
        let path = DerivationPath::from(vec![hardened(purpose), hardened(coin), hardened(0)]);
        // BIP 32: a step fails with a probability of 2^-127.
        self.master(network)
            .derive_priv(SECP256K1, &path)
            .expect("hardened steps have keys")
    }

    fn master(&self, network: Network) -> Xpriv {
        let seed = Zeroizing::new(self.mnemonic().to_seed_normalized(""));
        Xpriv::new_master(network, &*seed).expect("a seed of BIP 39 has a master key")
    }

    fn mnemonic(&self) -> Mnemonic {
        Mnemonic::from_entropy_in(Language::English, &self.entropy).expect("the entropy has 16 or 32 bytes")
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn words_and_seeds_are_the_same() {
        for count in [WordCount::Twelve, WordCount::TwentyFour] {
            let seed = Seed::generate(count).unwrap();
            let again = Seed::from_words(&seed.words().to_uppercase()).unwrap();
            assert_eq!(again.entropy(), seed.entropy());
        }
        assert_eq!(*Seed::from_words(ZERO).unwrap().words(), ZERO);
        assert_ne!(
            Seed::generate(WordCount::Twelve).unwrap().entropy(),
            Seed::generate(WordCount::Twelve).unwrap().entropy()
        );
    }

    #[test]
    fn wrong_words_are_named() {
        let refused = |words: &str| Seed::from_words(words).unwrap_err();
        assert_eq!(refused("abandon about"), BadWords::Count(2));
        assert_eq!(refused(&ZERO.replace("about", "quittance")), BadWords::Unknown(12));
        assert_eq!(refused(&ZERO.replace("about", "abandon")), BadWords::Checksum);
    }

    /// BIP 86's own vector: the account's extended private key.
    #[test]
    fn the_account_is_that_of_bip_86() {
        let account = Seed::from_words(ZERO).unwrap().account(Network::Bitcoin);
        assert_eq!(
            account.to_string(),
            "xprv9xgqHN7yz9MwCkxsBPN5qetuNdQSUttZNKw1dcYTV4mkaAFiBVGQziHs3NRSWMkCzvgjEe3n9xV8oYywvM8at9yRqyaZVz6TYYhX98VjsUk"
        );
    }

    /// Fixed for ever: a node that comes back from its words must have the key that its channels know. The values were computed by
    /// another implementation of BIP 32.
    #[test]
    fn the_node_seed_stays_what_it_is() {
        let seed = Seed::from_words(ZERO).unwrap();
        let number = |network| bitcoin::hex::DisplayHex::to_lower_hex_string(&seed.node_seed(network)[..]);
        assert_eq!(
            number(Network::Bitcoin),
            "06d5fb458c60f42b0e6ce3eecc05bb8e36ce405eaf18832daf3423519081a216"
        );
        assert_eq!(
            number(Network::Regtest),
            "dc904038e950ba91fc76cebcdf3634001ebd82e889ccca88225df84f70f71e33"
        );
        assert_eq!(number(Network::Signet), number(Network::Regtest));
    }
}
