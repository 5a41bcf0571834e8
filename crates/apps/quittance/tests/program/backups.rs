//! A disk that is lost, and a backup of an older moment.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quittance_api::Hex;
use quittance_town::{ALICE, BOB, Process, Town};

use crate::{complained, program, said};

/// The words that a new node showed, from its log.
fn words(node: &Process) -> String {
    let log = std::fs::read_to_string(node.folder.join("log")).unwrap();
    let is_words = |line: &&str| line.starts_with("  ") && line.split_whitespace().count() == 24;
    log.lines().find(is_words).unwrap().trim().to_owned()
}

/// Alice pays something, and her backup is made before or after.
fn pay(town: &Town, id: u8) {
    town.wait_until_usable().unwrap();
    let order = town.order(1_000_000, Hex([id; 32])).unwrap();
    order.give(town.nodes[ALICE].caller().unwrap()).unwrap();
    town.settle(&[order]).unwrap();
}

/// Alice's folder is gone, and she has her words and a backup.
fn lose_all_and_restore(town: &mut Town, words: &str, backup: &str) -> String {
    let alice = &mut town.nodes[ALICE];
    alice.kill().unwrap();
    let gone = alice.folder.with_extension("gone");
    std::fs::rename(&alice.folder, &gone).unwrap();
    let file = gone.join("words");
    std::fs::write(&file, words).unwrap();
    let file = file.to_str().unwrap();
    said(alice.command(&["restore", backup, "--words-file", file]).unwrap())
}

#[test]
fn a_channel_that_has_not_changed_since_the_backup_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    pay(&town, 1);
    let words = words(&town.nodes[ALICE]);
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    let made = said(town.nodes[ALICE].command(&["backup", backup]).unwrap());
    assert!(made.contains("The seed's words are not in it"), "{made}");
    let again = town.nodes[ALICE].command(&["backup", backup]).unwrap();
    assert!(complained(again).contains("exists already"));
    let label = std::fs::read_to_string(format!("{backup}/backup.json")).unwrap();
    // One of them may be there by chance: "network" and "version" are words of seeds too.
    let words_in_it: Vec<_> = words.split(' ').filter(|word| label.contains(word)).collect();
    assert!(words_in_it.len() < 6, "the label holds {words_in_it:?}");

    let told = lose_all_and_restore(&mut town, &words, backup);
    assert!(told.contains("of 1 channels nothing is broadcast"), "{told}");
    let alice = &town.nodes[ALICE];
    let twice = alice.command(&["restore", backup]).unwrap();
    assert!(complained(twice).contains("there is a store at"));

    // Bob is away: nothing of the channel may leave.
    town.nodes[BOB].kill().unwrap();
    town.start(ALICE).unwrap();
    let channel = town.channels(ALICE).unwrap().channels.remove(0);
    assert!(channel.awaiting_peer && channel.state == "open");
    let shown = said(town.nodes[ALICE].command(&["channels"]).unwrap());
    assert!(shown.contains("awaits peer"), "{shown}");
    let forced = town.nodes[ALICE]
        .command(&["close", &channel.id.to_string(), "--force"])
        .unwrap();
    assert!(complained(forced).contains("waiting for its peer to tell its state"));
    town.mine(1).unwrap();
    assert!(town.ground.waiting() == 0, "nothing was broadcast");

    town.start(BOB).unwrap();
    pay(&town, 2);
    assert!(!town.channels(ALICE).unwrap().channels[0].awaiting_peer);
}

#[test]
fn a_channel_that_has_changed_is_closed_by_its_peer_and_never_by_a_revoked_commitment() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    pay(&town, 1);
    let words = words(&town.nodes[ALICE]);
    // From the files of a node that is stopped.
    said(town.nodes[ALICE].command(&["stop"]).unwrap());
    town.nodes[ALICE].wait().unwrap();
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    said(town.nodes[ALICE].command(&["backup", backup]).unwrap());
    town.start(ALICE).unwrap();
    pay(&town, 2);
    let before = town.channels(ALICE).unwrap().channels.remove(0);

    lose_all_and_restore(&mut town, &words, backup);
    town.start(ALICE).unwrap();
    Town::wait_for("the peer has closed", || Ok(town.ground.waiting() > 0)).unwrap();
    let after = town.channels(ALICE).unwrap().channels.remove(0);
    assert_eq!(after.state, "fell_behind");
    let balance =
        |town: &Town| -> quittance_api::Balance { town.nodes[ALICE].caller().unwrap().get("/v1/balance").unwrap() };
    let had = balance(&town).confirmed_sat;
    for _ in 0..12 {
        town.mine(1).unwrap();
    }
    Town::wait_for("what was ours is in the wallet", || {
        town.mine(1)?;
        // Anchors and the fee of the sweep are ours to lose.
        let ours_sat = before.ours_msat / 1_000;
        Ok(balance(&town).confirmed_sat > had + ours_sat - 20_000)
    })
    .unwrap();
}

/// A guarantee that held by `restore` alone: who copies the files of a backup by hand must not broadcast a revoked commitment (G5).
#[test]
fn a_backup_that_is_put_in_place_by_hand_runs_as_an_old_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    pay(&town, 1);
    let backup = folder.path().join("backup");
    said(
        town.nodes[ALICE]
            .command(&["backup", backup.to_str().unwrap()])
            .unwrap(),
    );
    pay(&town, 2);
    town.nodes[ALICE].kill().unwrap();
    let store = town.nodes[ALICE].folder.join("store");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::create_dir(&store).unwrap();
    std::fs::copy(backup.join("store/journal.sqlite"), store.join("journal.sqlite")).unwrap();

    town.nodes[BOB].kill().unwrap();
    town.start(ALICE).unwrap();
    let channel = town.channels(ALICE).unwrap().channels.remove(0);
    assert!(channel.awaiting_peer);
    let forced = town.nodes[ALICE]
        .command(&["close", &channel.id.to_string(), "--force"])
        .unwrap();
    assert!(complained(forced).contains("waiting for its peer to tell its state"));
}

#[test]
fn words_of_another_node_restore_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = crate::alone(folder.path());
    node.start(&[]).unwrap();
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    said(node.command(&["backup", backup]).unwrap());
    node.kill().unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let file = folder.path().join("words");
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    std::fs::write(&file, words).unwrap();
    let arguments = ["restore", backup, "--words-file", file.to_str().unwrap()];
    let place = ["--dir", other.to_str().unwrap()];
    let refused = complained(
        std::process::Command::new(program())
            .args(place)
            .args(arguments)
            .output()
            .unwrap(),
    );
    assert!(refused.contains("these words are those of node"), "{refused}");
    assert!(!other.join("seed").exists() && !other.join("store").exists());
}

/// A node that has a backup, and whose store is gone. Everything else in its folder is there.
fn without_store(folder: &Path, environment: &[(&'static str, &str)]) -> (Process, String) {
    let (mut node, _ground) = crate::alone(folder);
    let owned = environment.iter().map(|(name, value)| (*name, (*value).to_owned()));
    node.environment = owned.collect();
    node.start(&[]).unwrap();
    std::fs::write(node.folder.join("peers"), "# when the backup was made\n").unwrap();
    let backup = folder.join("backup").to_str().unwrap().to_owned();
    said(node.command(&["backup", &backup]).unwrap());
    node.kill().unwrap();
    std::fs::remove_dir_all(node.folder.join("store")).unwrap();
    (node, backup)
}

#[test]
fn a_restore_never_overwrites_what_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (node, backup) = without_store(folder.path(), &[]);
    let peers = node.folder.join("peers");
    std::fs::write(&peers, "# newer\n").unwrap();
    let promises = std::fs::read(node.folder.join("wallet-promises")).unwrap();
    // Whatever the backup has, it is older.
    std::fs::write(Path::new(&backup).join("wallet-promises"), "older").unwrap();
    let told = said(node.command(&["restore", &backup]).unwrap());
    assert!(told.contains("peers is kept as it was"), "{told}");
    assert_eq!(std::fs::read_to_string(&peers).unwrap(), "# newer\n");
    assert_eq!(std::fs::read(node.folder.join("wallet-promises")).unwrap(), promises);

    // What is not there comes from the backup, for its owner alone.
    std::fs::remove_dir_all(node.folder.join("store")).unwrap();
    std::fs::remove_file(&peers).unwrap();
    let told = said(node.command(&["restore", &backup]).unwrap());
    assert!(!told.contains("peers is kept"), "{told}");
    assert_eq!(std::fs::read_to_string(&peers).unwrap(), "# when the backup was made\n");
    let mode = std::fs::metadata(&peers).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_backup_is_not_restored_beside_the_seed_of_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let (_node, backup) = without_store(&folder.path().join("one"), &[]);
    let (other, _) = without_store(&folder.path().join("other"), &[]);
    let before = std::fs::read(other.folder.join("wallet-promises")).unwrap();
    std::fs::remove_file(other.folder.join("peers")).unwrap();
    let refused = complained(other.command(&["restore", &backup]).unwrap());
    assert!(refused.contains("is that of node"), "{refused}");
    for name in ["store", "store.unfinished", "peers"] {
        assert!(!other.folder.join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read(other.folder.join("wallet-promises")).unwrap(), before);
}

#[test]
fn a_restore_beside_an_encrypted_seed_needs_its_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let (node, backup) = without_store(folder.path(), &[("QUITTANCE_PASSPHRASE", "correct horse")]);
    let restore = |passphrase: &str| {
        let file = folder.path().join("passphrase");
        std::fs::write(&file, passphrase).unwrap();
        let file = file.to_str().unwrap();
        node.command(&["restore", &backup, "--passphrase-file", file]).unwrap()
    };
    let refused = complained(restore("battery staple"));
    assert!(refused.contains("the passphrase is wrong"), "{refused}");
    assert!(!node.folder.join("store").exists());
    said(restore("correct horse"));
    assert!(node.folder.join("store").exists());
}

/// Symptom: the backup of a caller that went away was removed while the copy was still made, and a part of it stayed behind.
#[test]
fn a_backup_is_finished_though_whoever_asked_for_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = crate::alone(folder.path());
    node.start(&[]).unwrap();
    let token = std::fs::read_to_string(node.folder.join("token-admin")).unwrap();
    let api = std::fs::read_to_string(node.folder.join("api-address")).unwrap();
    for number in 0..5 {
        let backup = folder.path().join(format!("backup-{number}"));
        let body = serde_json::json!({ "folder": backup }).to_string();
        let mut stream = TcpStream::connect(api.trim()).unwrap();
        write!(
            stream,
            "POST /v1/backup HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            token.trim(),
            body.len()
        )
        .unwrap();
        // A request that nobody has read yet goes with its connection.
        let name = format!("backup-{number}");
        Town::wait_for("the backup begins", || {
            let mut entries = std::fs::read_dir(folder.path())?.filter_map(Result::ok);
            Ok(entries.any(|entry| entry.file_name().to_string_lossy().contains(&name)))
        })
        .unwrap();
        drop(stream);
        Town::wait_for("the backup is whole", || Ok(backup.join("backup.json").exists())).unwrap();
    }
    let names = std::fs::read_dir(folder.path()).unwrap();
    let left = |name: std::ffi::OsString| name.to_string_lossy().contains("unfinished");
    assert!(!names.map(|entry| entry.unwrap().file_name()).any(left));
}
