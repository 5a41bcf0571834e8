//! Starts that have to wait: for a passphrase, for a bitcoind.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use quittance_api::Info;
use quittance_regtest::rpc::{Credentials, RpcServer};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, MineOptions, Policy};
use quittance_town::{Ground, Process};
use serde_json::json;

use crate::{alone, complained, get, post, program, refused, said};

/// Waits until a process answers that this keeps it from its work; what it says to those who have a token.
fn waits_for(node: &mut Process, code: &str) -> String {
    let asked = node.answer(|caller| match get(caller, "/v1/info") {
        Err(quittance_town::CallFailed::Refused(status, problem)) => {
            let (told, found, message) = refused(Err(quittance_town::CallFailed::Refused(status, problem)));
            (found == code && told == 503).then_some(message)
        }
        Ok(_) | Err(_) => None,
    });
    let (_, found, _) = refused(get(node.caller().unwrap(), "/health"));
    assert_eq!(found, code);
    asked.unwrap()
}

/// A node that runs, and waits for the passphrase of its seed.
fn locked(folder: &Path) -> (Process, Ground) {
    let (mut node, ground) = alone(folder);
    node.environment = vec![("QUITTANCE_PASSPHRASE", "correct horse".to_owned())];
    node.start(&[]).unwrap();
    node.kill().unwrap();
    node.environment.clear();
    node.spawn(&[]).unwrap();
    waits_for(&mut node, "locked");
    (node, ground)
}

#[test]
fn a_node_with_an_encrypted_seed_is_locked_until_it_is_given_the_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.environment = vec![("QUITTANCE_PASSPHRASE", "correct horse".to_owned())];
    let id = node.start(&[]).unwrap().id;
    node.kill().unwrap();

    node.environment.clear();
    node.spawn(&[]).unwrap();
    assert!(waits_for(&mut node, "locked").contains("nobody has given the passphrase"));
    let caller = node.caller().unwrap().clone();
    for path in ["/v1/info", "/v1/channels", "/v1/payments", "/metrics"] {
        let (status, code, _) = refused(get(&caller, path));
        assert_eq!((status, code.as_str()), (503, "locked"), "{path}");
    }
    assert!(complained(node.command(&["balance"]).unwrap()).contains("next: quittance unlock"));

    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "battery staple\n").unwrap();
    let wrong = node
        .command(&["unlock", "--passphrase-file", wrong.to_str().unwrap()])
        .unwrap();
    assert!(complained(wrong).contains("the passphrase is wrong"));
    let (status, code, _) = refused(post(&caller, "/v1/unlock", &json!({"passphrase": ""})));
    assert_eq!((status, code.as_str()), (403, "wrong_passphrase"));

    let right = folder.path().join("right");
    std::fs::write(&right, "correct horse\n").unwrap();
    let right = right.to_str().unwrap().to_owned();
    said(node.command(&["unlock", "--passphrase-file", &right]).unwrap());
    let info = node.answer(|caller| caller.get::<Info>("/v1/info").ok()).unwrap();
    assert_eq!(info.id, id);
    let again = node.command(&["unlock", "--passphrase-file", &right]).unwrap();
    assert!(complained(again).contains("the node is not locked"));
    node.kill().unwrap();

    // By a file from the start on, and never by a wrong one.
    let info = node.start(&["--passphrase-file".to_owned(), right]).unwrap();
    assert_eq!(info.id, id);
    node.kill().unwrap();
    node.environment = vec![("QUITTANCE_PASSPHRASE", "wrong".to_owned())];
    node.spawn(&[]).unwrap();
    assert_eq!(node.wait().unwrap().code(), Some(1));
}

/// Symptom: while a node waited, and so had not opened its store yet, commands for the files of a stopped node worked on them.
#[test]
fn commands_for_the_files_of_a_stopped_node_refuse_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = locked(folder.path());
    for command in ["rebuild", "lose-manager-rows"] {
        let refused = complained(node.command(&[command]).unwrap());
        assert!(refused.contains("a node runs in"), "{command}: {refused}");
    }
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    let refused = complained(node.command(&["backup", backup]).unwrap());
    assert!(refused.contains("the node is locked"), "{refused}");

    said(node.command(&["stop"]).unwrap());
    node.wait().unwrap();
    said(node.command(&["backup", backup]).unwrap());
    said(node.command(&["rebuild"]).unwrap());
}

#[test]
fn a_locked_node_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = locked(folder.path());
    said(node.command(&["stop"]).unwrap());
    assert_eq!(node.wait().unwrap().code(), Some(0));
}

/// A bitcoind that is there or not, and a node that is to use it.
fn on_a_bitcoind(folder: &Path) -> (Process, Bitcoind) {
    let bitcoind = Bitcoind::new();
    let arguments = vec!["--bitcoind".to_owned(), format!("http://{}", bitcoind.address)];
    let mut node = Process::new("node", program(), folder, arguments).unwrap();
    node.environment = vec![
        ("QUITTANCE_BITCOIND_USER", "user".to_owned()),
        ("QUITTANCE_BITCOIND_PASSWORD", "secret".to_owned()),
    ];
    (node, bitcoind)
}

/// What stands in for a bitcoind: at one address, while it is up.
struct Bitcoind {
    address: SocketAddr,
    chain: Arc<Mutex<EmbeddedChain>>,
    credentials: Credentials,
}

impl Bitcoind {
    /// One that is down, at height 3.
    fn new() -> Self {
        let credentials = Credentials {
            user: "user".to_owned(),
            password: "secret".to_owned(),
        };
        let chain = Arc::new(Mutex::new(chain_of(3)));
        let address = RpcServer::start(Arc::clone(&chain), &credentials).unwrap().address();
        Self {
            address,
            chain,
            credentials,
        }
    }

    /// It is up as long as the server lives.
    fn up(&self) -> RpcServer {
        RpcServer::start_at(self.address, Arc::clone(&self.chain), &self.credentials).unwrap()
    }
}

/// The same blocks each time.
fn chain_of(blocks: u32) -> EmbeddedChain {
    let mut chain = EmbeddedChain::new(ChainParameters::default(), Policy::default());
    chain.mine(&MineOptions::blocks(blocks)).unwrap();
    chain
}

#[test]
fn a_node_waits_for_its_bitcoind_says_so_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, bitcoind) = on_a_bitcoind(folder.path());

    // A new node has no seed yet: its birthday is a block of the chain.
    node.spawn(&[]).unwrap();
    let why = waits_for(&mut node, "chain_unavailable");
    assert!(why.contains(&bitcoind.address.to_string()), "{why}");
    // Who has no token is not told where bitcoind is.
    let (_, _, told) = refused(get(node.caller().unwrap(), "/health"));
    assert_eq!(told, "the node waits for bitcoind before it does anything");
    let complaint = complained(node.command(&["info"]).unwrap());
    assert!(
        complaint.contains("waits for bitcoind") && complaint.contains("next: start bitcoind"),
        "{complaint}"
    );
    assert!(!node.folder.join("seed").exists() && !node.folder.join("store").exists());
    let server = bitcoind.up();
    let info = node.answer(|caller| caller.get::<Info>("/v1/info").ok()).unwrap();
    assert_eq!(info.height, 3);
    node.kill().unwrap();

    // A node that has been there before waits as well, and reads nothing of its store meanwhile.
    drop(server);
    node.spawn(&[]).unwrap();
    waits_for(&mut node, "chain_unavailable");
    said(node.command(&["verify"]).unwrap());
    let _server = bitcoind.up();
    let again = node.answer(|caller| caller.get::<Info>("/v1/info").ok()).unwrap();
    assert_eq!(again.id, info.id);
}

/// Symptoms: the node ended for good when bitcoind came back from an older moment; and a start that failed for a while was tried again
/// at once and for ever, said nothing of what it waited for, and heard no `stop`.
#[test]
fn a_node_waits_for_a_bitcoind_that_lacks_its_last_blocks_and_can_be_stopped_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, bitcoind) = on_a_bitcoind(folder.path());
    *bitcoind.chain.lock().unwrap() = chain_of(5);
    let server = bitcoind.up();
    // A new node begins at the tip, and notes it beside its seed.
    node.start(&[]).unwrap();
    node.kill().unwrap();
    drop(server);

    *bitcoind.chain.lock().unwrap() = chain_of(3);
    let _server = bitcoind.up();
    node.spawn(&[]).unwrap();
    let why = waits_for(&mut node, "chain_unavailable");
    assert!(why.contains("at height 3, behind ours, 5"), "{why}");
    said(node.command(&["stop"]).unwrap());
    assert_eq!(node.wait().unwrap().code(), Some(0));

    node.spawn(&[]).unwrap();
    waits_for(&mut node, "chain_unavailable");
    bitcoind.chain.lock().unwrap().mine(&MineOptions::blocks(3)).unwrap();
    let info = node.answer(|caller| caller.get::<Info>("/v1/info").ok().filter(|info| info.height == 6));
    info.unwrap();
}

#[test]
fn a_bitcoind_of_another_network_is_an_error_and_no_reason_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _ground) = alone(folder.path());
    let url = "http://127.0.0.1:1";
    let wrong = node.command(&["run", "--network", "mars", "--bitcoind", url]).unwrap();
    assert!(complained(wrong).contains("\"mars\" is no network"));
}

#[test]
fn two_nodes_never_run_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let noted = std::fs::read_to_string(node.folder.join("api-address")).unwrap();
    let second = node
        .command(&["run", "--network", "regtest", "--api", "127.0.0.1:0"])
        .unwrap();
    assert!(complained(second).contains("a node runs in"));
    let still = std::fs::read_to_string(node.folder.join("api-address")).unwrap();
    assert_eq!(still, noted, "commands still find the first");
    said(node.command(&["info"]).unwrap());
}
