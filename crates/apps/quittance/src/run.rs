//! `quittance run`: the node, its interface, and the signals that stop them.

use std::error::Error;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::Network;
use quittance_api::{ErrorCode, Problem};
use quittance_chain::{Authentication, Bitcoind, BitcoindConfig, ChainSource, FeePolicy, Pace, Tip};
use quittance_node::{EventHandling, Node, NodeBuilder, Policy, StartError, StopReason, StoredWallet, Timing};
use quittance_wallet::{SeedError, SeedFacts, StoredSeed};
use tokio::sync::oneshot;
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::{Common, RunOptions};
use crate::files::FolderLock;
use crate::server::{Life, Lifeline, State};
use crate::settings::Settings;
use crate::tls::TlsListener;
use crate::{files, server, tls};

/// The store failed: nothing may leave any more (G10).
const STORE_FAILED: u8 = 3;
/// A fault of ours, or a record that cannot be read.
const FAULT: u8 = 4;
/// How long the end may take before the process ends anyway. What was not written has not left, so nothing is lost by it.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long answers that are on their way may take at the end.
const ANSWERS_PATIENCE: Duration = Duration::from_millis(500);
/// Between two questions to a bitcoind that does not answer, and between two starts on one that is behind: at first, and doubled from then on.
const CHAIN_PAUSE: Duration = Duration::from_secs(1);
const CHAIN_PAUSE_HASTY: Duration = Duration::from_millis(100);
const CHAIN_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Runs the node until it is stopped.
pub(crate) fn run(common: &Common, options: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::read(common, options)?;
    log_to_stderr(&settings.log)?;
    files::make_folder(&settings.folder)?;
    let _lock = FolderLock::take(&settings.folder)?;
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

/// The interface first: it says what the node waits for until it runs.
async fn serve(settings: &Settings, options: &RunOptions) -> Result<StopReason, Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind(settings.api)
        .await
        .map_err(|error| format!("cannot listen for commands at {}: {error}", settings.api))?;
    let api = listener.local_addr()?;
    let (state, lifeline) = State::new(server::Tokens::read(&settings.folder)?, settings.folder.clone());
    files::note_api(&settings.folder, api)?;
    let (end, ended) = oneshot::channel::<()>();
    let ended = async move {
        // Dropped or told, it is the end.
        let _ = ended.await;
    };
    let serving = if api.ip().is_loopback() {
        println!("api http://{api}");
        tokio::spawn(server::serve(listener, state.clone(), ended))
    } else {
        // What is said on a network is said under a certificate, or not at all.
        let proof = tls::proving(&settings.folder, api, &settings.tls_names)?;
        let listener = TlsListener::new(listener, proof)?;
        println!("api https://{api}");
        tokio::spawn(server::serve(listener, state.clone(), ended))
    };
    let mut living = pin!(live(settings, options, lifeline));
    let reason = tokio::select! {
        reason = &mut living => reason?,
        () = signalled() => {
            info!("stopping");
            // Whoever is not there to be asked has ended.
            let _ = state.stop().await;
            if let Ok(reason) = tokio::time::timeout(END_PATIENCE, living).await {
                reason?
            } else {
                warn!("the end took too long, and is cut short");
                StopReason::Asked
            }
        }
    };
    // The answer to `stop` is on its way.
    drop(end);
    let _ = tokio::time::timeout(ANSWERS_PATIENCE, serving).await;
    Ok(reason)
}

/// The node's life: its seed, its chain, itself.
async fn live(settings: &Settings, options: &RunOptions, mut lifeline: Lifeline) -> Result<StopReason, Box<dyn Error>> {
    let bitcoind = bitcoind(settings);
    let mut seed = None;
    if files::seed(&settings.folder).exists() {
        seed = known_seed(settings, &mut lifeline).await?;
        if seed.is_none() {
            return Ok(StopReason::Asked);
        }
    }
    lifeline.tell(Life::Starting);
    let mut pauses = Pauses::new(settings);
    let node = loop {
        let Some(tip) = chain_tip(&bitcoind, settings, &mut lifeline).await? else {
            return Ok(StopReason::Asked);
        };
        lifeline.tell(Life::Starting);
        let stored = match &seed {
            Some(seed) => seed,
            None => seed.insert(new_seed(settings, tip)?),
        };
        match start(settings, options, stored, &bitcoind).await {
            Ok(node) => break node,
            Err(Failed::Node(error)) if error.may_pass() => {
                warn!(%error, "the node cannot start yet");
                lifeline.tell(Life::AwaitingChain(error.to_string()));
                if pauses.pass(&mut lifeline).await.is_none() {
                    return Ok(StopReason::Asked);
                }
            }
            Err(Failed::Node(error)) => return Err(error.into()),
            Err(Failed::Other(error)) => return Err(error),
        }
    };
    info!(id = %node.id(), network = %settings.network, "the node runs");
    announce(&node);
    lifeline.tell(Life::Running(node.clone()));
    tokio::select! {
        reason = node.stopped() => return Ok(reason),
        () = lifeline.asked_to_stop() => {}
    }
    node.stop().await;
    Ok(node.stopped().await)
}

/// Why a start failed.
enum Failed {
    Node(StartError),
    Other(Box<dyn Error>),
}

impl<E: Into<Box<dyn Error>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

async fn start(
    settings: &Settings,
    options: &RunOptions,
    seed: &StoredSeed,
    bitcoind: &Bitcoind,
) -> Result<Node, Failed> {
    let wallet = StoredWallet::open(seed, &settings.folder, settings.network)?;
    let node_seed = seed.seed.node_seed(settings.network);
    let builder = builder(
        settings,
        NodeBuilder::new(&settings.folder, *node_seed, settings.network),
    );
    #[cfg(feature = "mutants")]
    let builder = with_mutant(builder, options)?;
    #[cfg(not(feature = "mutants"))]
    let _ = options;
    let started = builder.start(Arc::new(bitcoind.clone()), Box::new(wallet)).await;
    started.map_err(Failed::Node)
}

/// The chain's tip, as soon as bitcoind tells it; nothing when the node is to stop instead. Until then the node decides nothing: what is safe
/// to do depends on heights that it does not know.
async fn chain_tip(
    bitcoind: &Bitcoind,
    settings: &Settings,
    lifeline: &mut Lifeline,
) -> Result<Option<Tip>, Box<dyn Error>> {
    let mut pauses = Pauses::new(settings);
    loop {
        let asked = bitcoind.clone();
        let best = tokio::task::spawn_blocking(move || {
            asked.check()?;
            asked.best()
        });
        match best.await? {
            Ok(best) => return Ok(Some(best.tip)),
            Err(error) if error.may_pass() => {
                warn!(%error, "waiting for bitcoind");
                lifeline.tell(Life::AwaitingChain(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        if pauses.pass(lifeline).await.is_none() {
            return Ok(None);
        }
    }
}

/// The pauses between tries, each longer than the one before.
struct Pauses(Duration);

impl Pauses {
    const fn new(settings: &Settings) -> Self {
        Self(if settings.hasty { CHAIN_PAUSE_HASTY } else { CHAIN_PAUSE })
    }

    /// Waits for the end of the next pause; nothing when the node is to stop instead.
    async fn pass(&mut self, lifeline: &mut Lifeline) -> Option<()> {
        let pause = self.0;
        self.0 = (pause * 2).min(CHAIN_PAUSE_MAX);
        tokio::select! {
            () = tokio::time::sleep(pause) => Some(()),
            () = lifeline.asked_to_stop() => None,
        }
    }
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
        zeroconf_peers: settings.zeroconf_peers.clone(),
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
fn announce(node: &Node) {
    println!("node {}", node.id());
    for address in node.addresses() {
        println!("peers {}@{address}", node.id());
    }
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

/// The seed of the folder, opened by the passphrase that is set, or by the one that somebody gives; nothing when the node is to stop instead.
async fn known_seed(settings: &Settings, lifeline: &mut Lifeline) -> Result<Option<StoredSeed>, Box<dyn Error>> {
    let (path, network) = (files::seed(&settings.folder), settings.network);
    let is_locked = SeedFacts::read(&path)?.is_encrypted && settings.passphrase.is_none();
    if !is_locked {
        return Ok(Some(opened(path, network, settings.passphrase.clone()).await?));
    }
    info!("the seed is encrypted: waiting for `quittance unlock`");
    lifeline.tell(Life::Locked);
    // One at a time: each attempt costs memory and time, on purpose.
    while let Some((passphrase, answer)) = lifeline.passphrase().await {
        match opened(path.clone(), network, Some(passphrase)).await {
            Ok(seed) => {
                info!("unlocked");
                // Whoever asked may be gone.
                let _ = answer.send(Ok(()));
                return Ok(Some(seed));
            }
            Err(SeedError::WrongPassphrase) => {
                warn!("a wrong passphrase was given");
                let problem = Problem::new(ErrorCode::WrongPassphrase, SeedError::WrongPassphrase.to_string());
                let _ = answer.send(Err(problem));
            }
            Err(error) => {
                let _ = answer.send(Err(Problem::new(ErrorCode::Internal, error.to_string())));
                return Err(error.into());
            }
        }
    }
    Ok(None)
}

async fn opened(path: PathBuf, network: Network, passphrase: Option<String>) -> Result<StoredSeed, SeedError> {
    let opening = tokio::task::spawn_blocking(move || StoredSeed::open(&path, network, passphrase.as_deref()));
    let opened = opening.await;
    opened.unwrap_or_else(|error| Err(SeedError::KeyDerivation(error.to_string())))
}

/// A new seed, whose words are shown once.
fn new_seed(settings: &Settings, birthday: Tip) -> Result<StoredSeed, Box<dyn Error>> {
    let path = files::seed(&settings.folder);
    let passphrase = settings.passphrase.as_deref();
    let new = StoredSeed::generate(birthday)?;
    new.create(&path, settings.network, passphrase)?;
    eprintln!(
        "This is the node's seed. It is shown this once: write it down and keep it safe.\n\n  {}\n",
        *new.seed.words()
    );
    if passphrase.is_none() {
        eprintln!(
            "It is kept in {} without a passphrase; --passphrase-file or QUITTANCE_PASSPHRASE gives one to a new node.",
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
