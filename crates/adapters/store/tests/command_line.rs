//! The `quittance-store` program, as an operator meets it.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails panics")]

use std::path::Path;
use std::process::{Command, Output};

use quittance_journal::{Batch, EventNumber, Key, Store, UpdateId};
use quittance_primitives::ChannelId;
use quittance_store::embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

fn run(command: &str, path: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_quittance-store"));
    program.arg(command).arg(path).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn store() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.put(Key::Event(EventNumber(7)), 1, b"paid");
    batch.put(Key::Update(ChannelId([0xab; 32]), UpdateId(3)), 2, b"");
    store.append(batch).unwrap();
    store.close().unwrap();
    folder
}

#[test]
fn a_whole_store_is_verified_and_shown() {
    let folder = store();
    let verified = run("verify", folder.path(), &[]);
    assert_eq!(verified.status.code(), Some(0));
    let shown = text(&verified.stdout);
    assert!(
        shown.starts_with("last batch: 1; 1 of them in the journal\n"),
        "{shown}"
    );
    assert!(shown.ends_with("the store is whole\n"), "{shown}");

    let channel = "ab".repeat(32);
    let dumped = run("dump", folder.path(), &[]);
    assert_eq!(
        text(&dumped.stdout),
        format!("channel/{channel}/update/3\tv2\t0\nevent/7\tv1\t4\n")
    );
    let dumped = run("dump", folder.path(), &["event/", "--bodies"]);
    assert_eq!(text(&dumped.stdout), "event/7\tv1\t4\t70616964\n");
}

#[test]
fn a_store_in_use_or_missing_is_refused_in_words() {
    let folder = store();
    let node = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let refused = run("verify", folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    let words = format!(
        "the store at {} is in use by process {} (",
        folder.path().display(),
        std::process::id()
    );
    assert!(text(&refused.stderr).starts_with(&words), "{}", text(&refused.stderr));
    drop(node);

    let nowhere = folder.path().join("nowhere");
    let refused = run("dump", &nowhere, &[]);
    assert_eq!(
        text(&refused.stderr),
        format!("there is no store at {}\n", nowhere.display())
    );
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_damaged_record_is_named() {
    let folder = store();
    let damaged = Key::Event(EventNumber(7));
    let mut store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let mut batch = Batch::new();
    let mut record = quittance_journal::encode_record(&damaged, 1, b"paid");
    record[8] ^= 1;
    batch.push(quittance_journal::Change::Put(damaged, record));
    store.append(batch).unwrap();
    store.close().unwrap();
    let verified = run("verify", folder.path(), &[]);
    assert_eq!(verified.status.code(), Some(1));
    let shown = text(&verified.stdout);
    assert!(
        shown.contains("FAULT: the record event/7 cannot be read: it is damaged"),
        "{shown}"
    );
    let dumped = run("dump", folder.path(), &["event/"]);
    assert_eq!(dumped.status.code(), Some(1));
    assert!(text(&dumped.stdout).starts_with("event/7\tFAULT: it is damaged"));
}

#[test]
fn manager_rows_can_be_lost_for_a_test() {
    let folder = store();
    assert_eq!(run("lose-manager-rows", folder.path(), &[]).status.code(), Some(0));
    let dumped = run("dump", folder.path(), &[]);
    assert_eq!(text(&dumped.stdout).lines().count(), 1);
    let older = store();
    let arguments = ["--take-from", older.path().to_str().unwrap()];
    assert_eq!(
        run("lose-manager-rows", folder.path(), &arguments).status.code(),
        Some(0)
    );
    assert_eq!(
        text(&run("dump", folder.path(), &["event/"]).stdout),
        "event/7\tv1\t4\n"
    );
}
