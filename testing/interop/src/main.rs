//! An LDK node as a process, which does what it is told by lines on standard input, and answers by lines on standard output
//! ([`protocol`]). It ends with its standard input, and bears being killed at any moment: its store is what `ldk-node` makes of it.
//! One that is to hold more HTLCs than `ldk-node` allows is made of LDK's parts instead, and stores nothing ([`roomy`]).

#![forbid(unsafe_code)]

mod commands;
mod protocol;
mod roomy;
mod shown;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use ldk_node::bitcoin::Network;
use ldk_node::config::{AsyncPaymentsRole, Config};
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::logger::LogLevel;
use ldk_node::{Builder, Node};
use serde_json::Value;

use protocol::{Answer, Call};
use roomy::Roomy;

/// A result whose error is told as it is.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How it is started: `FOLDER LISTEN BITCOIND_HOST:PORT COOKIE_FILE KIND`.
struct Arguments {
    folder: String,
    listen: SocketAddress,
    bitcoind: (String, u16),
    credentials: (String, String),
    kind: Kind,
}

/// What its channels are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `anchors`.
    Anchors,
    /// `static`: it does not offer anchors.
    StaticRemotekey,
    /// `roomy`: anchors, and as many HTLCs as BOLT 2 allows.
    Roomy,
}

fn main() -> ExitCode {
    match Arguments::read().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn read() -> Outcome<Self> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let [folder, listen, bitcoind, cookie, kind] = given.as_slice() else {
            return Err("say FOLDER LISTEN BITCOIND_HOST:PORT COOKIE_FILE anchors|static|roomy".into());
        };
        let (host, port) = bitcoind.split_once(':').ok_or("bitcoind is HOST:PORT")?;
        let cookie = std::fs::read_to_string(PathBuf::from(cookie))?;
        let (user, password) = cookie.trim().split_once(':').ok_or("a cookie is USER:PASSWORD")?;
        Ok(Self {
            folder: folder.clone(),
            listen: listen.parse().map_err(|error| format!("{listen}: {error:?}"))?,
            bitcoind: (host.to_owned(), port.parse()?),
            credentials: (user.to_owned(), password.to_owned()),
            kind: match kind.as_str() {
                "anchors" => Kind::Anchors,
                "static" => Kind::StaticRemotekey,
                "roomy" => Kind::Roomy,
                other => return Err(format!("{other} is no kind of channels").into()),
            },
        })
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.kind == Kind::Roomy {
        let node = Roomy::start(arguments)?;
        return obey(|call| node.carry_out(call));
    }
    let node = Arc::new(build(arguments)?);
    node.start()?;
    let events = Arc::new(Mutex::new(Vec::new()));
    listen(Arc::clone(&node), Arc::clone(&events));
    obey(|call| commands::carry_out(&node, &events, call))?;
    node.stop()?;
    Ok(())
}

/// Carries out what it is told until there is nobody to tell.
fn obey(carry_out: impl Fn(Call) -> Outcome<Value>) -> Outcome<()> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let done = serde_json::from_str::<Call>(&line?)
            .map_err(Into::into)
            .and_then(&carry_out);
        let answer = match done {
            Ok(value) => Answer::Done(value),
            Err(error) => Answer::Refused(error.to_string()),
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

fn build(arguments: &Arguments) -> Outcome<Node> {
    let mut config = Config {
        storage_dir_path: arguments.folder.clone(),
        network: Network::Regtest,
        ..Config::default()
    };
    if arguments.kind == Kind::StaticRemotekey {
        config.anchor_channels_config = None;
    }
    let mut builder = Builder::from_config(config);
    let ((host, port), (user, password)) = (arguments.bitcoind.clone(), arguments.credentials.clone());
    builder
        .set_chain_source_bitcoind_rpc(host, port, user, password)
        .set_gossip_source_p2p()
        .set_filesystem_logger(None, Some(LogLevel::Debug));
    builder.set_listening_addresses(vec![arguments.listen.clone()])?;
    builder.set_node_alias("ldk".to_owned())?;
    // What this role is for is of no interest here; it also forwards into channels that are not announced.
    builder.set_async_payments_role(Some(AsyncPaymentsRole::Server))?;
    Ok(builder.build()?)
}

/// Writes down what happens, and confirms it at once.
fn listen(node: Arc<Node>, events: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        loop {
            let event = node.wait_next_event();
            events
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{event:?}"));
            if let Err(error) = node.event_handled() {
                eprintln!("error: an event cannot be confirmed: {error}");
                break;
            }
        }
    });
}
