//! Files that version 1 wrote are opened for ever: the seed, open and sealed, and a wallet with every kind of promise in it.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::{Amount, Network};
use quittance_wallet::{Balance, ReservePolicy, StoredSeed, Wallet};

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

#[test]
fn seeds_of_version_1_are_opened() {
    for (name, passphrase) in [("seed-open-1", None), ("seed-sealed-1", Some("correct horse"))] {
        let stored = StoredSeed::open(&file(name), Network::Regtest, passphrase).unwrap();
        assert_eq!(*stored.seed.words(), WORDS, "{name}");
        assert_eq!(stored.birthday.height.0, 0);
    }
}

#[test]
fn a_wallet_of_version_1_is_opened_with_all_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wallet-promises", "wallet-history"] {
        fs::copy(file(&format!("{name}-1")), folder.path().join(name)).unwrap();
    }
    let seed = StoredSeed::open(&file("seed-open-1"), Network::Regtest, None).unwrap();
    let mut wallet = Wallet::open(&seed, folder.path(), Network::Regtest, ReservePolicy::default()).unwrap();
    assert_eq!(wallet.tip().height.0, 3);
    let sat = Amount::from_sat;
    let expected = Balance {
        confirmed: sat(40_000),
        pending: sat(128_814),
        promised: sat(40_000),
        spendable: sat(128_814),
        ..Balance::default()
    };
    assert_eq!(wallet.balance(), expected);
    assert_eq!(
        (wallet.unconfirmed().len(), wallet.unconfirmed_fundings().len()),
        (1, 1)
    );
    let next = wallet.address().unwrap();
    assert_eq!(
        next.to_string(),
        "bcrt1px2xtmq6y28w6xktkvawh32vpnljluhgdtzr8w8yle9y2ddfvpk5szms6rh",
        "three addresses were handed out before"
    );
}
