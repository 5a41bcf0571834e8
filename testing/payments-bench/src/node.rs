//! One node: engine, gate, signer, and a store on disk or in memory.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::Script;
use bitcoin::constants::ChainHash;
use bitcoin::hashes::{Hash, sha256};
use quittance_channel::opening::OpeningPolicy;
use quittance_channel::{ChannelLimits, ForwardingPolicy, Verifier};
use quittance_journal::{EventNumber, Gate, Lsn, Store};
use quittance_manager::{ChannelManager, Context, Effect, Face, ForwardConfig, Input, ManagerConfig, Upgrade};
use quittance_monitor::{FeeEstimates, Tip};
use quittance_payments::{DirectRouter, InvoiceKey};
use quittance_primitives::{CltvExpiryDelta, FeeratePerKw, MilliSatoshi, NodeId};
use quittance_signer::LocalSigner;
use quittance_store::embedded::{EmbeddedStore, Gathering, Options, Watch};
use quittance_store::memory::MemoryStore;

use crate::cost::thread_time;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a sync may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A node.
pub(crate) struct Node {
    pub(crate) signer: LocalSigner,
    pub(crate) manager: ChannelManager,
    pub(crate) gate: Gate<Effect>,
    pub(crate) disk: Disk,
    /// Messages that came, each with the place of its sender.
    pub(crate) inbox: VecDeque<(usize, Vec<u8>)>,
    /// The last event that the user has handled, until a step takes the word of it along.
    pub(crate) handled: Option<EventNumber>,
    /// Steps of the engine.
    pub(crate) steps: u64,
    /// Processor time in the engine.
    pub(crate) engine_time: Duration,
    /// Processor time of all of the node, the store's threads left out.
    pub(crate) time: Duration,
    limits: ChannelLimits,
    verifier: &'static dyn Verifier,
    drawn: u64,
}

/// Where a node's records are.
pub(crate) enum Disk {
    Real {
        store: EmbeddedStore,
        watch: Watch,
        commits: Arc<AtomicU64>,
    },
    Memory(Box<MemoryStore>),
}

impl Disk {
    /// A new store in a folder.
    pub(crate) fn create(folder: &Path) -> Outcome<Self> {
        EmbeddedStore::create(folder, Options::default())?.close()?;
        Self::open(folder)
    }

    /// The store in a folder.
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        let options = Options {
            on_durable: Some(Box::new(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            })),
            ..Options::default()
        };
        let store = EmbeddedStore::open(folder, options)?;
        let watch = store.watch();
        Ok(Self::Real { store, watch, commits })
    }

    pub(crate) fn store(&mut self) -> &mut dyn Store {
        match self {
            Self::Real { store, .. } => store,
            Self::Memory(store) => store.as_mut(),
        }
    }

    /// What is durable now; in memory, everything.
    pub(crate) fn durable(&mut self) -> Outcome<Lsn> {
        match self {
            Self::Real { store, .. } => Ok(store.durable()),
            Self::Memory(store) => {
                let durable = store.sync()?;
                store.forget_before(durable);
                Ok(durable)
            }
        }
    }

    /// Until the guard is dropped, what is appended waits for more.
    pub(crate) fn gather(&self) -> Option<Gathering> {
        match self {
            Self::Real { store, .. } => Some(store.gather()),
            Self::Memory(_) => None,
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Real { store, .. } => store.durable() < store.appended(),
            Self::Memory(store) => store.durable() < store.appended(),
        }
    }

    /// Waits until more is durable.
    pub(crate) fn wait(&mut self) -> Outcome<()> {
        match self {
            Self::Real { watch, .. } => {
                watch.wait_for(watch.durable().next(), PATIENCE)?;
            }
            Self::Memory(store) => {
                store.sync()?;
            }
        }
        Ok(())
    }

    /// Commits so far, each of them one sync.
    pub(crate) fn commits(&self) -> u64 {
        match self {
            Self::Real { commits, .. } => commits.load(Ordering::Relaxed),
            Self::Memory(_) => 0,
        }
    }
}

impl Node {
    /// A node that starts from what its disk holds.
    pub(crate) fn start(number: u8, mut disk: Disk, tip: Tip, verifier: &'static dyn Verifier) -> Outcome<Self> {
        let signer = LocalSigner::new([number + 1; 32]);
        let limits = ChannelLimits::default();
        let config = config(&signer);
        let mut upgrade = Upgrade::of(disk.store())?;
        while let Some(batch) = upgrade.next_batch(disk.store())? {
            disk.store().append(batch)?;
            while disk.is_behind() {
                disk.wait()?;
            }
        }
        let restored = ChannelManager::restore(config, tip, disk.store(), &context(&limits, verifier, [number; 32])?)?;
        let mut gate = Gate::new(disk.durable()?);
        gate.append(restored.step, disk.store())?;
        Ok(Self {
            signer,
            manager: restored.manager,
            gate,
            disk,
            inbox: VecDeque::new(),
            handled: None,
            steps: 0,
            engine_time: Duration::ZERO,
            time: Duration::ZERO,
            limits,
            verifier,
            drawn: 0,
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.signer.node_id()
    }

    pub(crate) fn invoice_key(&self) -> InvoiceKey {
        InvoiceKey::new(self.signer.invoice_key())
    }

    /// Handles an input: its records are appended, and its effects held. What the user has handled goes along.
    pub(crate) fn handle(&mut self, input: Input) -> Outcome<()> {
        self.confirm()?;
        self.step(input)
    }

    /// Says what the user has handled, if there is anything new to say.
    pub(crate) fn confirm(&mut self) -> Outcome<()> {
        match self.handled.take() {
            Some(number) => self.step(Input::EventHandled(number)),
            None => Ok(()),
        }
    }

    fn step(&mut self, input: Input) -> Outcome<()> {
        let entropy = self.draw();
        let context = context(&self.limits, self.verifier, entropy)?;
        let begun = thread_time();
        let step = self.manager.handle(input, &context);
        self.engine_time += thread_time().saturating_sub(begun);
        self.steps += 1;
        self.gate.append(step, self.disk.store())?;
        Ok(())
    }

    /// 32 bytes, other ones each time.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut seed = self.id().0.to_vec();
        seed.extend(self.drawn.to_be_bytes());
        sha256::Hash::hash(&seed).to_byte_array()
    }
}

fn config(signer: &LocalSigner) -> ManagerConfig {
    ManagerConfig {
        node_id: signer.node_id(),
        invoice_key: InvoiceKey::new(signer.invoice_key()),
        accept_keysend: true,
        mpp_timeout_ms: 60_000,
        forward_timeout_ms: 30_000,
        opening: OpeningPolicy::for_chain(ChainHash::REGTEST),
        face: Face::default(),
        forwarding: ForwardingPolicy {
            fee_base: MilliSatoshi(1_000),
            fee_proportional_millionths: 100,
            cltv_expiry_delta: CltvExpiryDelta(72),
            htlc_minimum: MilliSatoshi(1),
            htlc_maximum: MilliSatoshi::MAX_MONEY,
        },
        zeroconf_peers: BTreeSet::new(),
        forwards: ForwardConfig::default(),
        tell_path_failures: false,
    }
}

fn context<'a>(limits: &'a ChannelLimits, verifier: &'a dyn Verifier, entropy: [u8; 32]) -> Outcome<Context<'a>> {
    Ok(Context {
        now_ms: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
        entropy,
        limits,
        verifier,
        router: &DirectRouter,
        fees: FeeEstimates::flat(FeeratePerKw(1_000)),
        // No channel is closed here.
        sweep_to: Script::new(),
    })
}
