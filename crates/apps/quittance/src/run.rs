//! `quittance run`: the node, its interface, and the signals that stop them.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Network;
use quittance_chain::{Authentication, Bitcoind, BitcoindConfig, ChainSource, FeePolicy, Pace};
use quittance_node::{EventHandling, Node, NodeBuilder, Policy, StopReason, StoredWallet, Timing};
use quittance_wallet::{Seed, StoredSeed, WordCount};
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::{Common, RunOptions};
use crate::settings::Settings;
use crate::{files, server};

/// The store failed: nothing may leave any more (G10).
const STORE_FAILED: u8 = 3;
/// A fault of ours, or a record that cannot be read.
const FAULT: u8 = 4;
/// How long the end may take before the process ends anyway. What was not written has not left, so nothing is lost by it.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the node until it is stopped.
pub(crate) fn run(common: &Common, options: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::read(common, options)?;
    log_to_stderr(&settings.log)?;
    files::make_folder(&settings.folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reason = runtime.block_on(serve(&settings, options))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(match reason {
        StopReason::Asked => ExitCode::SUCCESS,
        StopReason::StoreFailed(_) => {
            crate::complain(&format!(
                "{reason}\nmake room or repair the disk, check with `quittance verify`, and start again: no outcome is lost"
            ));
            ExitCode::from(STORE_FAILED)
        }
        StopReason::Unreadable(_) | StopReason::Fault => {
            crate::complain(&reason);
            ExitCode::from(FAULT)
        }
    })
}

async fn serve(settings: &Settings, options: &RunOptions) -> Result<StopReason, Box<dyn Error>> {
    let bitcoind = bitcoind(settings);
    let seed = {
        let (path, network) = (files::seed(&settings.folder), settings.network);
        let (bitcoind, passphrase) = (bitcoind.clone(), settings.passphrase.clone());
        tokio::task::spawn_blocking(move || {
            seed(&path, network, passphrase.as_deref(), &bitcoind).map_err(|error| error.to_string())
        })
        .await??
    };
    let wallet = StoredWallet::open(&seed, &settings.folder, settings.network)?;
    let node_seed = seed.seed.node_seed(settings.network);
    let builder = builder(
        settings,
        NodeBuilder::new(&settings.folder, *node_seed, settings.network),
    );
    #[cfg(feature = "mutants")]
    let builder = with_mutant(builder, options)?;
    #[cfg(not(feature = "mutants"))]
    let _ = options;
    let node = builder.start(Arc::new(bitcoind), Box::new(wallet)).await?;
    info!(id = %node.id(), network = %settings.network, "the node runs");
    let listener = tokio::net::TcpListener::bind(settings.api)
        .await
        .map_err(|error| format!("cannot listen for commands at {}: {error}", settings.api))?;
    let api = listener.local_addr()?;
    files::note_api(&settings.folder, api)?;
    announce(&node, api);
    let tokens = server::Tokens::read(&settings.folder)?;
    let serving = server::serve(listener, node.clone(), tokens);
    tokio::select! {
        reason = node.stopped() => return Ok(reason),
        served = serving => served?,
        () = signalled() => {}
    }
    info!("stopping");
    node.stop().await;
    if let Ok(reason) = tokio::time::timeout(END_PATIENCE, node.stopped()).await {
        return Ok(reason);
    }
    warn!("the end took too long, and is cut short");
    Ok(StopReason::Asked)
}

fn builder(settings: &Settings, mut builder: NodeBuilder) -> NodeBuilder {
    for address in &settings.listen {
        builder = builder.listen(*address);
    }
    for (peer, address) in &settings.peers {
        builder = builder.peer(*peer, vec![address.clone()]);
    }
    let handling = if settings.confirm_events {
        EventHandling::ByListener
    } else {
        EventHandling::AtOnce
    };
    builder = builder.events(handling);
    builder = builder.policy(Policy {
        alias: settings.alias.clone(),
        color: settings.color,
        announced_addresses: settings.announced.clone(),
        ..Policy::for_network(settings.network)
    });
    if settings.hasty {
        let pace = Pace {
            poll: Duration::from_millis(100),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(1),
        };
        let timing = Timing {
            redial_first: Duration::from_millis(50),
            redial_max: Duration::from_millis(250),
            ..Timing::default()
        };
        builder = builder.chain_pace(pace, FeePolicy::default()).peers_timing(timing);
    }
    builder
}

#[cfg(feature = "mutants")]
fn with_mutant(builder: NodeBuilder, options: &RunOptions) -> Result<NodeBuilder, String> {
    let Some(name) = &options.mutant else {
        return Ok(builder);
    };
    let mutant = quittance_journal::mutant::Mutant::ALL
        .into_iter()
        .find(|mutant| format!("{mutant:?}") == *name)
        .ok_or_else(|| format!("there is no mutant {name}"))?;
    Ok(builder.mutant(mutant))
}

/// What whoever started the node wants to see first.
fn announce(node: &Node, api: SocketAddr) {
    println!("node {}", node.id());
    for address in node.addresses() {
        println!("peers {}@{address}", node.id());
    }
    println!("api http://{api}");
}

fn bitcoind(settings: &Settings) -> Bitcoind {
    let local = BitcoindConfig::local(settings.network);
    let authentication = match (&settings.bitcoind_user, &settings.bitcoind_cookie) {
        (_, Some(cookie)) => Authentication::CookieFile(cookie.clone()),
        (Some((user, password)), None) => Authentication::UserPassword {
            user: user.clone(),
            password: password.clone(),
        },
        (None, None) => local.authentication.clone(),
    };
    Bitcoind::new(BitcoindConfig {
        url: settings.bitcoind.clone().unwrap_or(local.url),
        authentication,
        network: settings.network,
        timeout: local.timeout,
    })
}

/// The seed of the folder; a new one in a new folder, whose words are shown once.
fn seed(
    path: &Path,
    network: Network,
    passphrase: Option<&str>,
    bitcoind: &Bitcoind,
) -> Result<StoredSeed, Box<dyn Error>> {
    if path.exists() {
        return Ok(StoredSeed::open(path, network, passphrase)?);
    }
    bitcoind.check()?;
    let new = StoredSeed {
        seed: Seed::generate(WordCount::TwentyFour)?,
        birthday: bitcoind.best()?.tip,
    };
    new.create(path, network, passphrase)?;
    eprintln!(
        "This is the node's seed. It is shown this once: write it down and keep it safe.\n\n  {}\n",
        *new.seed.words()
    );
    if passphrase.is_none() {
        eprintln!(
            "It is kept in {} without a passphrase; QUITTANCE_PASSPHRASE gives one to a new node.",
            path.display()
        );
    }
    Ok(new)
}

fn log_to_stderr(level: &str) -> Result<(), String> {
    let filter: tracing_subscriber::filter::Targets = level
        .parse()
        .map_err(|error| format!("{level:?} is no log level: {error}; try info, or quittance_node=debug,info"))?;
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // A log on a full disk must not take the node down: it would complain there too.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    tracing_subscriber::registry().with(filter).with(format).init();
    Ok(())
}

/// Waits for the signal to stop: Ctrl-C, or what service managers send.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        warn!("signals cannot be waited for; stop the node by `quittance stop`");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
