//! A bitcoind in a temporary folder, on a port of the loopback interface, without peers, wallet or clock of its own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::{Amount, FeeRate};
use serde_json::json;

use crate::loopback::free_address;
use crate::mempool::Policy;
use crate::rpc::{Credentials, RpcClient, RpcError};

const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Tells apart the folders of one test process.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running node; it is stopped and its folder removed when this is dropped.
#[derive(Debug)]
pub struct Bitcoind {
    program: OsString,
    arguments: Vec<String>,
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
    credentials: Credentials,
}

/// The node did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program, its folder or its port could not be used.
    #[error("bitcoind could not be started: {0}")]
    Io(#[from] io::Error),
    /// It ended or hung; what it wrote is part of the message.
    #[error("bitcoind did not answer within {} s: {log}", START_TIMEOUT.as_secs())]
    NoAnswer {
        /// The end of its log.
        log: String,
    },
}

impl Bitcoind {
    /// The program that tests shall run, if they shall: the value of `BITCOIND_EXE`.
    pub fn program() -> Option<OsString> {
        env::var_os("BITCOIND_EXE").filter(|program| !program.is_empty())
    }

    /// Starts a node with an empty chain and these fee limits.
    pub fn start(program: impl Into<OsString>, policy: &Policy) -> Result<Self, StartError> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("quittance-bitcoind-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let (program, arguments) = (program.into(), arguments(&folder, address, policy));
        let child = spawn(&program, &arguments).inspect_err(|_| {
            let _ = fs::remove_dir_all(&folder);
        })?;
        let credentials = Credentials {
            user: String::new(),
            password: String::new(),
        };
        let mut node = Self {
            program,
            arguments,
            child,
            folder,
            address,
            credentials,
        };
        node.wait_until_it_answers()?;
        Ok(node)
    }

    /// Where it listens for calls.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user and password of its cookie file.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A caller of this node.
    pub fn client(&self) -> RpcClient {
        RpcClient::new(self.address, self.credentials.clone())
    }

    /// Where it writes the user and password that it makes up at each start.
    pub fn cookie_file(&self) -> PathBuf {
        self.folder.join("regtest/.cookie")
    }

    /// Ends the process as an operator would, and keeps its folder. Calls fail from now on.
    pub fn stop(&mut self) {
        let asked = self.client().call("stop", &json!([])).is_ok();
        let start = Instant::now();
        while asked && start.elapsed() < STOP_TIMEOUT && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(POLL_INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the process again that was stopped, with the chain that it had. Its password is another one.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        self.child = spawn(&self.program, &self.arguments)?;
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), StartError> {
        let start = Instant::now();
        let cookie = self.cookie_file();
        while start.elapsed() < START_TIMEOUT && self.child.try_wait()?.is_none() {
            if let Some(credentials) = fs::read_to_string(&cookie)
                .ok()
                .and_then(|text| Credentials::from_cookie(&text))
            {
                self.credentials = credentials;
                match self.client().call("getblockchaininfo", &json!([])) {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(error)) if error.code != RpcError::IN_WARMUP => break,
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            thread::sleep(POLL_INTERVAL);
        }
        Err(StartError::NoAnswer { log: self.end_of_log() })
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("regtest/debug.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &OsString, arguments: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn arguments(folder: &Path, address: SocketAddr, policy: &Policy) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-regtest",
        "-server",
        "-listen=0",
        "-connect=0",
        "-dnsseed=0",
        "-rpcallowip=127.0.0.0/8",
        "-txindex=1",
        "-persistmempool=0",
        "-acceptnonstdtxn=0",
        // Tests set the time; a tip in the past must not look like an initial download.
        "-maxtipage=2000000000",
        "-dbcache=16",
        "-par=1",
        "-printtoconsole=0",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("-datadir={}", folder.display()));
    arguments.push(format!("-rpcbind={}", address.ip()));
    arguments.push(format!("-rpcport={}", address.port()));
    arguments.push(format!("-minrelaytxfee={}", btc_per_kvb(policy.min_relay_feerate)));
    arguments.push(format!(
        "-incrementalrelayfee={}",
        btc_per_kvb(policy.incremental_relay_feerate)
    ));
    arguments.push(format!("-dustrelayfee={}", btc_per_kvb(policy.dust_relay_feerate)));
    arguments
}

fn btc_per_kvb(feerate: FeeRate) -> String {
    Amount::from_sat(feerate.to_sat_per_kwu() * 4).to_string_in(bitcoin::Denomination::Bitcoin)
}
