//! The seed on disk: who can read it, and what is said to those who cannot.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

use std::fs;
use std::path::PathBuf;

use bitcoin::Network;
use quittance_monitor::Tip;
use quittance_primitives::BlockHeight;
use quittance_wallet::{FileError, ReservePolicy, Seed, SeedError, SeedFacts, StoredSeed, Wallet, WalletError};
use tempfile::TempDir;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn stored() -> StoredSeed {
    let hash = bitcoin::constants::genesis_block(Network::Regtest).block_hash();
    StoredSeed {
        seed: Seed::from_words(WORDS).unwrap(),
        birthday: Tip {
            height: BlockHeight(0),
            hash,
        },
    }
}

fn created(passphrase: Option<&str>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed");
    stored().create(&path, Network::Regtest, passphrase).unwrap();
    (folder, path)
}

#[test]
fn an_encrypted_seed_opens_with_its_passphrase_alone() {
    let (_folder, path) = created(Some("correct horse"));
    let bytes = fs::read(&path).unwrap();
    let entropy = [0x7f; 16];
    assert!(
        !bytes.windows(4).any(|window| window == &entropy[..4]),
        "the entropy is not in the file"
    );
    let facts = SeedFacts {
        network: Network::Regtest,
        birthday: stored().birthday,
        is_encrypted: true,
    };
    assert_eq!(SeedFacts::read(&path).unwrap(), facts);

    let opened = StoredSeed::open(&path, Network::Regtest, Some("correct horse")).unwrap();
    assert_eq!(
        (&*opened.seed.words(), opened.birthday),
        (&WORDS.to_owned(), stored().birthday)
    );
    let refused = |passphrase| StoredSeed::open(&path, Network::Regtest, passphrase).unwrap_err();
    assert!(matches!(refused(Some("battery staple")), SeedError::WrongPassphrase));
    assert!(matches!(refused(Some("")), SeedError::WrongPassphrase));
    assert!(matches!(refused(None), SeedError::PassphraseNeeded));
}

#[test]
fn an_open_seed_needs_no_passphrase() {
    let (_folder, path) = created(None);
    assert!(!SeedFacts::read(&path).unwrap().is_encrypted);
    assert_eq!(
        *StoredSeed::open(&path, Network::Regtest, None).unwrap().seed.words(),
        WORDS
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = created(None);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_seed_is_never_overwritten() {
    let (_folder, path) = created(None);
    let again = stored().create(&path, Network::Regtest, Some("other")).unwrap_err();
    assert!(matches!(again, SeedError::File(FileError::Exists { .. })));
    assert!(!SeedFacts::read(&path).unwrap().is_encrypted);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (_folder, path) = created(Some("correct horse"));
    let whole = fs::read(&path).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match StoredSeed::open(&path, Network::Regtest, Some("correct horse")).unwrap_err() {
            SeedError::File(error) => error,
            other => panic!("the file is at fault, not {other}"),
        }
    };
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 1;
        match (index, refusal(&flipped)) {
            (0..5, FileError::Foreign { .. }) | (5.., FileError::Damaged { .. } | FileError::Newer { .. }) => {}
            (_, error) => panic!("byte {index}: {error}"),
        }
        assert!(
            matches!(refusal(&whole[..index]), FileError::Damaged { .. }),
            "cut at {index}"
        );
    }
}

#[test]
fn what_is_missing_or_foreign_is_named() {
    let (folder, path) = created(None);
    let missing = StoredSeed::open(&folder.path().join("none"), Network::Regtest, None).unwrap_err();
    assert!(missing.to_string().starts_with("there is no seed at"), "{missing}");
    let mainnet = StoredSeed::open(&path, Network::Bitcoin, None).unwrap_err();
    assert!(
        mainnet
            .to_string()
            .ends_with("belongs to the network regtest, not to bitcoin"),
        "{mainnet}"
    );
    fs::write(&path, "seven words and a hash").unwrap();
    let text = StoredSeed::open(&path, Network::Regtest, None).unwrap_err();
    assert!(text.to_string().ends_with("is not a wallet's seed file"), "{text}");
}

#[test]
fn the_first_addresses_are_those_of_bip_86() {
    let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let folder = tempfile::tempdir().unwrap();
    let genesis = bitcoin::constants::genesis_block(Network::Bitcoin).block_hash();
    let birthday = Tip {
        height: BlockHeight(0),
        hash: genesis,
    };
    let seed = StoredSeed {
        seed: Seed::from_words(words).unwrap(),
        birthday,
    };
    let mut wallet = Wallet::open(&seed, folder.path(), Network::Bitcoin, ReservePolicy::default()).unwrap();
    let addresses = [wallet.address().unwrap(), wallet.address().unwrap()].map(|address| address.to_string());
    assert_eq!(
        addresses,
        [
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
            "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        ]
    );
    let change = wallet.sweep_to().unwrap();
    let change = bitcoin::Address::from_script(&change, Network::Bitcoin)
        .unwrap()
        .to_string();
    assert_eq!(change, "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7");
}

#[test]
fn files_of_another_seed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |seed: &StoredSeed| Wallet::open(seed, folder.path(), Network::Regtest, ReservePolicy::default());
    open(&stored()).unwrap().address().unwrap();
    let other = StoredSeed {
        seed: Seed::generate(quittance_wallet::WordCount::Twelve).unwrap(),
        ..stored()
    };
    assert!(matches!(open(&other), Err(WalletError::OtherSeed { .. })));
    open(&stored()).unwrap();
}
