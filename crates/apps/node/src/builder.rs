//! Setting a node up, and starting it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::constants::ChainHash;
use bitcoin::{Network, Script, ScriptBuf, Transaction, Txid};
use quittance_chain::{FeePolicy, Pace, Tip};
use quittance_channel::opening::OpeningPolicy;
use quittance_channel::{ChannelLimits, ForwardingPolicy, InlineVerifier};
use quittance_journal::{EventNumber, Gate, HeaderRow, Key, KeyRange, Space, Step, Store, decode_record};
use quittance_manager::{ChannelManager, Context, Face, ForwardConfig, ManagerConfig, Upgrade};
use quittance_net::{Config, Limits, Network as Peers, PeerAddress, Timing};
use quittance_payments::{DirectRouter, InvoiceKey};
use quittance_primitives::{CltvExpiryDelta, Feature, Features, MilliSatoshi, NodeId};
use quittance_signer::{Deriving, LocalSigner};
use quittance_store::embedded::{EmbeddedStore, Options};
use quittance_wire::NodeAddress;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::address_book::{AddressBook, Addresses};
use crate::chain::{self, Beginning, Broadcaster, Chain};
use crate::driver::{Driver, Inlets, Work, entropy, now_ms};
use crate::error::{StartError, StopReason};
use crate::node::{Node, Parts};
use crate::peers::Sorter;
use crate::views::decode_addresses;
use crate::wallet::Wallet;

/// What a node is set up with. Everything but folder, seed and network has a default.
#[derive(Clone)]
pub struct NodeBuilder {
    folder: PathBuf,
    seed: [u8; 32],
    network: Network,
    listen: Vec<SocketAddr>,
    peers: Vec<(NodeId, Vec<PeerAddress>)>,
    policy: Policy,
    handling: EventHandling,
    limits: Limits,
    timing: Timing,
    pace: Pace,
    fees: FeePolicy,
    #[cfg(feature = "mutants")]
    mutant: Option<quittance_journal::mutant::Mutant>,
}

/// Who says that an event is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventHandling {
    /// Whoever listens, by [`Node::handled`]: until then an event comes again after every restart.
    #[default]
    ByListener,
    /// The node itself, as soon as an event was shown: for those who do not need to hear of each one. Outcomes and receipts stay on disk.
    AtOnce,
}

/// By what a node forwards, opens and receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What forwarding costs.
    pub forwarding: ForwardingPolicy,
    /// What the node calls itself where it is announced: at most 32 bytes.
    pub alias: String,
    /// Its colour there: red, green, blue.
    pub color: [u8; 3],
    /// Where it is reached, as it is announced; nothing for a node that only calls others.
    pub announced_addresses: Vec<PeerAddress>,
    /// Which channels are opened and accepted.
    pub opening: OpeningPolicy,
    /// Whether spontaneous payments are accepted.
    pub accept_keysend: bool,
    /// How long parts of a payment wait for the others, in milliseconds.
    pub mpp_timeout_ms: u64,
    /// How long an HTLC waits for a next peer that is not connected, in milliseconds.
    pub forward_timeout_ms: u64,
    /// Peers with whom channels may be used before they are confirmed. `option_zeroconf` is offered to them alone.
    pub zeroconf_peers: BTreeSet<NodeId>,
    /// How long HTLCs wait for others to leave with, and about which of them the user decides.
    pub forwards: ForwardConfig,
    /// Whether an event tells of each part of a payment that fails.
    pub tell_path_failures: bool,
}

impl Policy {
    /// The defaults on a network.
    pub fn for_network(network: Network) -> Self {
        Self {
            forwarding: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: MilliSatoshi::MAX_MONEY,
            },
            alias: String::new(),
            color: [0; 3],
            announced_addresses: Vec::new(),
            opening: OpeningPolicy::for_chain(ChainHash::using_genesis_block_const(network)),
            accept_keysend: true,
            mpp_timeout_ms: 60_000,
            forward_timeout_ms: 30_000,
            zeroconf_peers: BTreeSet::new(),
            forwards: ForwardConfig::default(),
            tell_path_failures: false,
        }
    }

    /// What peers are offered that are not everybody.
    fn features_by_peer(&self) -> BTreeMap<NodeId, Features> {
        let offered = features().offering(Feature::Zeroconf);
        let peers = self.zeroconf_peers.iter();
        peers.map(|peer| (*peer, offered.clone())).collect()
    }

    /// What others are told of the node.
    fn face(&self) -> Face {
        let mut alias = [0; 32];
        for (place, byte) in alias.iter_mut().zip(shortened(&self.alias).bytes()) {
            *place = byte;
        }
        let mut addresses: Vec<NodeAddress> = self.announced_addresses.iter().map(NodeAddress::from).collect();
        // BOLT 7: in the order of their types.
        addresses.sort_by_key(NodeAddress::descriptor);
        Face {
            alias,
            color: self.color,
            addresses: addresses.iter().collect(),
            features: features(),
        }
    }
}

/// As much of an alias as fits 32 bytes, without half a letter.
fn shortened(alias: &str) -> &str {
    let fits = |end: &usize| alias.is_char_boundary(*end);
    let end = (0..=alias.len().min(32)).rev().find(fits).unwrap_or(0);
    &alias[..end]
}

/// How many inputs may wait for the driver, from all peers together: more of them wait in their connections.
const PEER_QUEUE: usize = 1_024;
/// How many orders of callers may wait.
const ORDER_QUEUE: usize = 256;
/// How many blocks may wait: each holds a few megabytes.
const CHAIN_QUEUE: usize = 4;
/// How many transactions may wait for the chain source.
const BROADCAST_QUEUE: usize = 1_024;

impl NodeBuilder {
    /// A node that keeps its files in `folder`, and whose keys follow from `seed`: 32 unguessable bytes that never change.
    pub fn new(folder: impl Into<PathBuf>, seed: [u8; 32], network: Network) -> Self {
        Self {
            folder: folder.into(),
            seed,
            network,
            listen: Vec::new(),
            peers: Vec::new(),
            policy: Policy::for_network(network),
            handling: EventHandling::default(),
            limits: Limits::default(),
            timing: Timing::default(),
            pace: Pace::default(),
            fees: FeePolicy::default(),
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Listens for peers at this address as well.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Keeps a connection to this peer.
    #[must_use]
    pub fn peer(mut self, peer: NodeId, addresses: Vec<PeerAddress>) -> Self {
        self.peers.push((peer, addresses));
        self
    }

    /// By what the node forwards, opens and receives.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Who says that an event is handled.
    #[must_use]
    pub const fn events(mut self, handling: EventHandling) -> Self {
        self.handling = handling;
        self
    }

    /// How much is put up with from peers, and how long they are waited for.
    #[must_use]
    pub const fn peers_limits(mut self, limits: Limits, timing: Timing) -> Self {
        self.limits = limits;
        self.timing = timing;
        self
    }

    /// How long peers are waited for.
    #[must_use]
    pub const fn peers_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// How often the chain source is asked, and what stands in for its estimates.
    #[must_use]
    pub const fn chain_pace(mut self, pace: Pace, fees: FeePolicy) -> Self {
        self.pace = pace;
        self.fees = fees;
        self
    }

    /// Switches a known bug on, for a test that must notice it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn mutant(mut self, mutant: quittance_journal::mutant::Mutant) -> Self {
        self.mutant = Some(mutant);
        self
    }

    /// Starts the node. A folder without a store gets a new one.
    ///
    /// # Errors
    /// [`StartError`]; nothing has left then.
    pub async fn start(self, chain: Arc<Chain>, mut wallet: Box<dyn Wallet>) -> Result<Node, StartError> {
        let sweep_to = wallet.sweep_script()?;
        let wallet_read = (wallet.tip(), wallet.remembered());
        let mut limits = ChannelLimits::default();
        limits.closing.script = Some(sweep_to.clone());
        let (durable, durable_seen) = watch::channel(());
        let read = {
            let (builder, chain) = (self.clone(), Arc::clone(&chain));
            let (limits, sweep_to) = (limits.clone(), sweep_to.clone());
            tokio::task::spawn_blocking(move || builder.read(&*chain, wallet_read, (&limits, &sweep_to), durable))
        };
        let read = read.await.map_err(|error| StartError::System(error.to_string()))??;
        for transaction in read.fundings.values().flatten() {
            wallet.keep_funding(transaction)?;
        }
        wallet.forget_fundings_but(&read.fundings.keys().copied().collect());
        let ground = Ground {
            read,
            chain,
            coins: wallet.fee_coins(),
            wallet: Arc::new(Mutex::new(wallet)),
            limits,
            sweep_to,
            durable_seen,
        };
        self.build(ground).await
    }

    /// Puts the parts together, and sets them going: the driver first, then what feeds it.
    async fn build(self, ground: Ground) -> Result<Node, StartError> {
        let (chain, wallet, beginning) = (ground.chain, ground.wallet, ground.read.beginning);
        let signer = Arc::clone(&ground.read.signer);
        let (orders, orders_in) = mpsc::channel(ORDER_QUEUE);
        let (peers_out, peers_in) = mpsc::channel(PEER_QUEUE);
        let (chain_out, chain_in) = mpsc::channel(CHAIN_QUEUE);
        let (broadcasts, broadcasts_in) = mpsc::channel(BROADCAST_QUEUE);
        let sorter = Sorter {
            signer: Arc::clone(&signer),
            driver: peers_out,
        };
        let network = Peers::new(self.net_config(&signer), sorter);
        let driver = Driver {
            manager: ground.read.manager,
            gate: ground.read.gate,
            store: ground.read.store,
            signer: Arc::clone(&signer),
            deriving: Deriving::start((*signer).clone()),
            network: network.clone(),
            limits: ground.limits,
            handling: self.handling,
            orders: orders.clone(),
            wallet: Arc::clone(&wallet),
            broadcasts,
            feerates: watch::Sender::new(None),
            fallback_fees: self.fees.fallbacks,
            sweep_to: ground.sweep_to,
            coins: ground.coins,
            rewound: beginning.rewound,
            progress: watch::Sender::new(EventNumber(0)),
            folder: self.folder.clone(),
            work: Work::default(),
        };
        let (feerates, progress) = (driver.feerates.subscribe(), driver.progress.subscribe());
        let copier = driver.store.copier();
        let inlets = Inlets {
            orders: orders_in,
            peers: peers_in,
            chain: chain_in,
            durable: ground.durable_seen,
        };
        let stopped = self.spawn_driver(driver, inlets)?;
        let refused = |error: std::io::Error| StartError::System(error.to_string());
        let broadcaster = Broadcaster {
            chain: Arc::clone(&chain),
            signer: Arc::clone(&signer),
            wallet: Arc::clone(&wallet),
        };
        broadcaster.start(broadcasts_in).map_err(refused)?;
        let watch = chain::follow(chain, beginning.from, self.pace, self.fees, chain_out).map_err(refused)?;
        let addresses = self.listen_all(&network).await?;
        // What the node is set up with goes before what it was told earlier.
        for (peer, known) in ground.read.peers.all().into_iter().chain(self.peers) {
            network.keep(peer, known);
        }
        Ok(Node::new(Parts {
            signer,
            network: self.network,
            peers: network,
            orders,
            wallet,
            watch,
            addresses,
            feerates,
            progress,
            stopped,
            peer_addresses: Arc::new(ground.read.peers),
            opening: self.policy.opening,
            copier,
        }))
    }

    async fn listen_all(&self, network: &Peers<Sorter>) -> Result<Vec<SocketAddr>, StartError> {
        let mut addresses = Vec::new();
        for address in &self.listen {
            let bound = network.listen(*address).await;
            let bound = bound.map_err(|error| StartError::Listen {
                address: *address,
                error,
            })?;
            info!(address = %bound, "listening for peers");
            addresses.push(bound);
        }
        Ok(addresses)
    }

    fn net_config(&self, signer: &LocalSigner) -> Config {
        Config {
            key: signer.transport_key(),
            features: features(),
            features_by_peer: self.policy.features_by_peer(),
            chain: ChainHash::using_genesis_block_const(self.network),
            limits: self.limits,
            timing: self.timing,
        }
    }

    /// The driver gets a thread of its own: nothing else delays it, and it delays nothing else.
    #[cfg_attr(
        not(feature = "mutants"),
        allow(clippy::unused_self, reason = "it names the mutant, where there are any")
    )]
    fn spawn_driver(&self, driver: Driver, inlets: Inlets) -> Result<watch::Receiver<Option<StopReason>>, StartError> {
        let (told, stopped) = watch::channel(None);
        // Its own, so that the engine does not fall with the caller's while a node still stands.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| StartError::System(error.to_string()))?;
        #[cfg(feature = "mutants")]
        let mutant = self.mutant;
        let thread = std::thread::Builder::new().name("engine".to_owned());
        let spawned = thread.spawn(move || {
            #[cfg(feature = "mutants")]
            quittance_journal::mutant::switch_on(mutant);
            // A panic is a fault of ours: whoever waits is told, by the guard.
            let mut end = End(told, StopReason::Fault);
            end.1 = runtime.block_on(driver.run(inlets));
        });
        spawned.map_err(|error| StartError::System(error.to_string()))?;
        Ok(stopped)
    }

    /// Where peers are; rows of an older version are taken over, and let go once the file has what they say.
    fn address_book(
        &self,
        store: &mut EmbeddedStore,
        gate: &mut Gate<quittance_manager::Effect>,
    ) -> Result<AddressBook, StartError> {
        let system = |error: std::io::Error| StartError::System(format!("the file of peers: {error}"));
        let book = AddressBook::open(&self.folder).map_err(system)?;
        let rows = peers_in_rows(store)?;
        if rows.is_empty() {
            return Ok(book);
        }
        let mut step = Step::new();
        for peer in rows.keys() {
            step.changes_mut().delete(Key::Peer(*peer));
        }
        book.take_over(rows).map_err(system)?;
        gate.append(step, store)?;
        Ok(book)
    }

    /// Opens the store and reads the engine back.
    fn read(
        &self,
        chain: &Chain,
        (wallet_tip, remembered): (Option<Tip>, Vec<Tip>),
        (limits, sweep_to): (&ChannelLimits, &Script),
        durable: watch::Sender<()>,
    ) -> Result<Read, StartError> {
        #[cfg(feature = "mutants")]
        quittance_journal::mutant::switch_on(self.mutant);
        let signer = LocalSigner::new(self.seed);
        signer.use_cores(std::thread::available_parallelism().map_or(1, usize::from));
        chain.check()?;
        let best = chain.best()?;
        let mut store = open(&self.folder, durable)?;
        let mut gate = Gate::new(store.durable());
        own(&mut store, &mut gate, &self.folder, signer.node_id(), self.network)?;
        upgrade(&mut store, &mut gate)?;
        let context = Context {
            now_ms: now_ms(),
            entropy: entropy().map_err(|error| StartError::System(error.to_string()))?,
            limits,
            verifier: &InlineVerifier,
            router: &DirectRouter,
            fees: self.fees.fallbacks,
            sweep_to,
            // The first block that comes is soon enough for claims to come apart.
            coins: &[],
        };
        let config = ManagerConfig {
            node_id: signer.node_id(),
            invoice_key: InvoiceKey::new(signer.invoice_key()),
            accept_keysend: self.policy.accept_keysend,
            mpp_timeout_ms: self.policy.mpp_timeout_ms,
            forward_timeout_ms: self.policy.forward_timeout_ms,
            opening: self.policy.opening.clone(),
            face: self.policy.face(),
            forwarding: self.policy.forwarding,
            zeroconf_peers: self.policy.zeroconf_peers.clone(),
            forwards: self.policy.forwards.clone(),
            tell_path_failures: self.policy.tell_path_failures,
        };
        let restored = ChannelManager::restore(config, best.tip, &store, &context)?;
        for line in &restored.rebuilt {
            warn!(line, "rebuilt from the channels' logs");
        }
        gate.append(restored.step, &mut store)?;
        let peers = self.address_book(&mut store, &mut gate)?;
        let tips = restored.manager.chain_tips();
        let channels = tips.iter().flat_map(|(height, hashes)| {
            hashes.iter().map(|hash| Tip {
                height: *height,
                hash: *hash,
            })
        });
        let tips: Vec<Tip> = channels.chain(wallet_tip).collect();
        let beginning = chain::beginning(chain, &tips, &remembered, best)?;
        let channels = restored.manager.channels();
        let fundings = channels.map(|channel| {
            let facts = &channel.state().facts;
            let own = facts.funding_transaction.as_ref();
            (facts.funding.txid, own.map(|own| own.transaction().clone()))
        });
        let fundings = fundings.collect();
        #[cfg(feature = "mutants")]
        quittance_journal::mutant::switch_on(None);
        Ok(Read {
            manager: restored.manager,
            gate,
            store,
            signer: Arc::new(signer),
            peers,
            beginning,
            fundings,
        })
    }
}

/// What a node is put together from.
struct Ground {
    read: Read,
    chain: Arc<Chain>,
    coins: Vec<bitcoin::Amount>,
    wallet: Arc<Mutex<Box<dyn Wallet>>>,
    limits: ChannelLimits,
    sweep_to: ScriptBuf,
    durable_seen: watch::Receiver<()>,
}

/// A node as it was read from its folder.
struct Read {
    manager: ChannelManager,
    gate: Gate<quittance_manager::Effect>,
    store: EmbeddedStore,
    signer: Arc<LocalSigner>,
    peers: AddressBook,
    beginning: Beginning,
    /// The funding transactions of its channels, whole where we made them.
    fundings: BTreeMap<Txid, Option<Transaction>>,
}

/// Tells those who wait why the driver has ended, however it ended.
struct End(watch::Sender<Option<StopReason>>, StopReason);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_replace(Some(self.1.clone()));
    }
}

/// What we offer to peers.
fn features() -> Features {
    let optional = [
        Feature::DataLossProtect,
        Feature::StaticRemotekey,
        Feature::PaymentSecret,
        Feature::BasicMpp,
        Feature::Anchors,
        Feature::ShutdownAnysegwit,
        Feature::Quiesce,
        Feature::ChannelType,
        Feature::ScidAlias,
        Feature::SimpleClose,
    ];
    optional
        .into_iter()
        .fold(Features::empty(), Features::offering)
        .requiring(Feature::VarOnion)
}

fn open(folder: &Path, durable: watch::Sender<()>) -> Result<EmbeddedStore, StartError> {
    let folder = folder.join("store");
    let options = Options {
        on_durable: Some(Box::new(move |_| {
            durable.send_replace(());
        })),
        ..Options::default()
    };
    if folder.join("journal.sqlite").exists() {
        Ok(EmbeddedStore::open(&folder, options)?)
    } else {
        Ok(EmbeddedStore::create(&folder, options)?)
    }
}

/// The version of the record format of the journal's owner: node id, then the genesis block's hash.
const OWNER_VERSION: u16 = 1;

/// Refuses the store of somebody else, and signs a new one.
fn own(
    store: &mut EmbeddedStore,
    gate: &mut Gate<quittance_manager::Effect>,
    folder: &Path,
    us: NodeId,
    network: Network,
) -> Result<(), StartError> {
    let key = Key::Header(HeaderRow::Owner);
    let ours = [&us.0[..], ChainHash::using_genesis_block_const(network).as_bytes()].concat();
    let Some(frame) = store.get(&key)? else {
        let mut step = Step::new();
        step.changes_mut().put(key, OWNER_VERSION, &ours);
        gate.append(step, store)?;
        return Ok(());
    };
    let record = decode_record(&key, &frame, OWNER_VERSION).map_err(quittance_journal::ReadError::from)?;
    if record.body == ours {
        return Ok(());
    }
    let mut owner = NodeId([0; 33]);
    if let Some((id, _)) = record.body.split_first_chunk::<33>() {
        owner = NodeId(*id);
    }
    Err(StartError::OtherOwner {
        folder: folder.display().to_string(),
        owner,
        us,
    })
}

/// Brings a store that an older version wrote into the present format.
fn upgrade(store: &mut EmbeddedStore, gate: &mut Gate<quittance_manager::Effect>) -> Result<(), StartError> {
    const UPGRADE_WAIT: Duration = Duration::from_secs(10);
    let mut upgrade = Upgrade::of(store)?;
    let watch = store.watch();
    while let Some(batch) = upgrade.next_batch(store)? {
        let mut step = Step::new();
        step.changes_mut().append(batch);
        let last = gate.append(step, store)?;
        while !store.has_room() {
            watch.wait_for(last, UPGRADE_WAIT)?;
        }
    }
    Ok(())
}

/// The version of the record format of peers, which older versions wrote to the store.
const PEER_VERSION: u16 = 1;

fn peers_in_rows(store: &EmbeddedStore) -> Result<Addresses, StartError> {
    let mut peers = Addresses::new();
    for (key, frame) in store.read(&KeyRange::space(Space::Peers))? {
        let record = decode_record(&key, &frame, PEER_VERSION).map_err(quittance_journal::ReadError::from)?;
        if let Key::Peer(peer) = key {
            peers.insert(peer, decode_addresses(record.body));
        }
    }
    Ok(peers)
}
