//! An interface that listens beyond this machine.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use quittance_town::Process;

use crate::{alone, complained, said};

/// Waits until the node's own commands reach it.
fn wait(node: &Process) {
    for _ in 0..600 {
        if node.command(&["info"]).unwrap().status.success() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!(
        "the node does not answer: {}",
        complained(node.command(&["info"]).unwrap())
    );
}

#[test]
fn beyond_this_machine_there_is_tls_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    "0.0.0.0:0".clone_into(&mut node.api);
    node.spawn(&[]).unwrap();
    wait(&node);
    let certificate = std::fs::read_to_string(node.folder.join("tls-certificate.pem")).unwrap();
    let mode = std::fs::metadata(node.folder.join("tls-key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    // Calls and events go through it.
    assert!(said(node.command(&["balance"]).unwrap()).contains("on chain"));
    assert_eq!(said(node.command(&["events"]).unwrap()), "");

    // Without TLS nobody answers.
    let noted = std::fs::read_to_string(node.folder.join("api-address")).unwrap();
    let port = noted.trim().rsplit_once(':').unwrap().1;
    let plain = bitreq::get(format!("http://127.0.0.1:{port}/health"))
        .with_timeout(Duration::from_secs(20))
        .send();
    assert!(plain.is_err() || plain.unwrap().status_code != 200);

    // Who has another certificate does not talk to it, though it has the token.
    let (mut other, _ground) = alone(&folder.path().join("elsewhere"));
    "0.0.0.0:0".clone_into(&mut other.api);
    other.spawn(&[]).unwrap();
    wait(&other);
    for name in ["api-address", "token-admin"] {
        std::fs::copy(node.folder.join(name), other.folder.join(name)).unwrap();
    }
    let refused = complained(other.command(&["balance"]).unwrap());
    assert!(refused.contains("certificate"), "{refused}");

    // The certificate is made once: whoever was given it may keep it.
    said(node.command(&["stop"]).unwrap());
    node.wait().unwrap();
    node.spawn(&[]).unwrap();
    wait(&node);
    let again = std::fs::read_to_string(node.folder.join("tls-certificate.pem")).unwrap();
    assert_eq!(again, certificate);
}
