//! One node: engine, gate, signer, and a store on disk or in memory.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::constants::ChainHash;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Script, Transaction};
use quittance_channel::opening::OpeningPolicy;
use quittance_channel::{ChannelLimits, ForwardingPolicy, NextCommitment, Verifier};
use quittance_journal::{Change, EventNumber, Gate, Lsn, Store};
use quittance_manager::{
    ChannelManager, Context, Effect, Event, Face, ForwardConfig, Input, ManagerConfig, Signing, Upgrade,
};
use quittance_monitor::{Broadcast, FeeEstimates, Tip};
use quittance_payments::{DirectRouter, InvoiceKey};
use quittance_primitives::{CltvExpiryDelta, FeeratePerKw, MilliSatoshi, NodeId, PaymentId};
use quittance_signer::{LocalSigner, SignedAhead};
use quittance_store::embedded::{EmbeddedStore, Gathering, Options, Watch};
use quittance_store::memory::MemoryStore;
use quittance_wire::Message;

use crate::cost::thread_time;
use crate::task::{ConnectionTask, Work};

/// What may fail in a measurement.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a sync may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A node.
pub struct Node {
    /// Its secrets.
    pub signer: LocalSigner,
    /// To be signed for steps whose batches are not written yet, and to be derived.
    work: Work,
    /// What was signed of it here.
    pub ahead: SignedAhead,
    /// Who does such work, if it is not the node's own thread.
    task: Option<ConnectionTask>,
    /// Whether the task is given work.
    pub uses_task: bool,
    /// Its engine.
    pub manager: ChannelManager,
    /// Holds effects until what they rest on is durable.
    pub gate: Gate<Effect>,
    /// Its records.
    pub disk: Disk,
    /// While it is there the store's thread writes nothing.
    gathering: Option<Gathering>,
    /// Messages that came, each with its sender.
    pub inbox: VecDeque<(NodeId, Vec<u8>)>,
    /// What is done around a commit of this thread's: in it, the node's own work.
    pub around_write: Option<AroundWrite>,
    /// The last event that the user has handled, until a step takes the word of it along.
    pub handled: Option<EventNumber>,
    /// Steps of the engine.
    pub steps: u64,
    /// Bytes of the records that those have written.
    pub record_bytes: u64,
    /// Processor time in the engine, if the store is in memory.
    pub engine_time: Duration,
    /// Processor time of all of the node, the store's threads left out.
    pub time: Duration,
    limits: ChannelLimits,
    /// Who checks signatures, if it is not the signer with what it has derived ahead.
    verifier: Option<&'static (dyn Verifier + Sync)>,
    drawn: u64,
}

/// What does a piece of work, and something around it.
pub type AroundWrite = Box<dyn Fn(&mut dyn FnMut()) + Send>;

/// What leaves a node, or is seen by its user.
pub enum Out {
    /// A message for a peer.
    Message(NodeId, Vec<u8>),
    /// A payment was made.
    Sent(PaymentId),
    /// It was not.
    Failed(PaymentId),
    /// A commitment that the node would broadcast, not signed.
    Commitment(Transaction),
    /// What concerns nobody here.
    Nothing,
}

/// Who is to be woken, if anybody.
type Waker = Arc<Mutex<Option<Box<dyn Fn() + Send>>>>;

/// Where a node's records are.
pub enum Disk {
    /// In a folder, each commit synced.
    Real {
        /// The store.
        store: Box<EmbeddedStore>,
        /// By which one waits for it.
        watch: Watch,
        /// Its commits so far.
        commits: Arc<AtomicU64>,
        /// Whoever is to be woken by each.
        waker: Waker,
    },
    /// In memory, where everything is durable at once.
    Memory(Box<MemoryStore>),
}

impl Disk {
    /// A new store in a folder.
    pub fn create(folder: &Path) -> Outcome<Self> {
        EmbeddedStore::create(folder, Options::default())?.close()?;
        Self::open(folder)
    }

    /// The store in a folder.
    pub fn open(folder: &Path) -> Outcome<Self> {
        let commits = Arc::new(AtomicU64::new(0));
        let waker = Waker::default();
        let (counter, woken) = (Arc::clone(&commits), Arc::clone(&waker));
        let options = Options {
            on_durable: Some(Box::new(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                if let Some(wake) = &*woken.lock().unwrap_or_else(PoisonError::into_inner) {
                    wake();
                }
            })),
            ..Options::default()
        };
        let store = Box::new(EmbeddedStore::open(folder, options)?);
        let watch = store.watch();
        Ok(Self::Real {
            store,
            watch,
            commits,
            waker,
        })
    }

    /// Has a function called by each commit; only one at a time.
    pub fn wake_by(&self, wake: Option<Box<dyn Fn() + Send>>) {
        if let Self::Real { waker, .. } = self {
            *waker.lock().unwrap_or_else(PoisonError::into_inner) = wake;
        }
    }

    /// The store.
    pub fn store(&mut self) -> &mut dyn Store {
        match self {
            Self::Real { store, .. } => store.as_mut(),
            Self::Memory(store) => store.as_mut(),
        }
    }

    /// What is durable now; in memory, everything.
    pub fn durable(&mut self) -> Outcome<Lsn> {
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
    pub fn gather(&self) -> Option<Gathering> {
        match self {
            Self::Real { store, .. } => Some(store.gather()),
            Self::Memory(_) => None,
        }
    }

    /// Whether something that was appended is not durable yet.
    pub fn is_behind(&self) -> bool {
        match self {
            Self::Real { store, .. } => store.durable() < store.appended(),
            Self::Memory(store) => store.durable() < store.appended(),
        }
    }

    /// Waits until more is durable, if there is more.
    pub fn wait(&mut self) -> Outcome<()> {
        match self {
            Self::Real { store, watch, .. } => {
                // Asked once: what becomes durable in between is not waited for again.
                let durable = store.durable();
                if durable < store.appended() {
                    watch.wait_for(durable.next(), PATIENCE)?;
                }
            }
            Self::Memory(store) => {
                store.sync()?;
            }
        }
        Ok(())
    }

    /// Commits so far, each of them one sync.
    pub fn commits(&self) -> u64 {
        match self {
            Self::Real { commits, .. } => commits.load(Ordering::Relaxed),
            Self::Memory(_) => 0,
        }
    }
}

impl Node {
    /// A node that starts from what its disk holds.
    pub fn start(
        number: u8,
        mut disk: Disk,
        tip: Tip,
        verifier: Option<&'static (dyn Verifier + Sync)>,
    ) -> Outcome<Self> {
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
        let context = context(&limits, verifier.unwrap_or(signer.verifier()), [number; 32])?;
        let restored = ChannelManager::restore(config, tip, disk.store(), &context)?;
        let mut gate = Gate::new(disk.durable()?);
        gate.append(restored.step, disk.store())?;
        Ok(Self {
            signer,
            work: Work::default(),
            ahead: SignedAhead::default(),
            task: None,
            uses_task: false,
            manager: restored.manager,
            gate,
            disk,
            gathering: None,
            inbox: VecDeque::new(),
            around_write: None,
            handled: None,
            steps: 0,
            record_bytes: 0,
            engine_time: Duration::ZERO,
            time: Duration::ZERO,
            limits,
            verifier,
            drawn: 0,
        })
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.signer.node_id()
    }

    /// By which it makes invoices.
    pub fn invoice_key(&self) -> InvoiceKey {
        InvoiceKey::new(self.signer.invoice_key())
    }

    /// Handles an input: its records are appended, and its effects held. What the user has handled goes along.
    pub fn handle(&mut self, input: Input, signing: Signing) -> Outcome<()> {
        if let Some(number) = self.handled.take() {
            self.step(Input::EventHandled(number), Signing::WithTheNext)?;
        }
        self.step(input, signing)
    }

    /// Says what the user has handled, if there is anything new to say.
    pub fn confirm(&mut self) -> Outcome<()> {
        match self.handled.take() {
            Some(number) => self.step(Input::EventHandled(number), Signing::Now),
            None => Ok(()),
        }
    }

    fn step(&mut self, input: Input, signing: Signing) -> Outcome<()> {
        let entropy = self.draw();
        let verifier = self.verifier.unwrap_or(self.signer.verifier());
        let context = context(&self.limits, verifier, entropy)?;
        // Where there is a disk nobody asks, and asking takes time as well.
        let begun = matches!(self.disk, Disk::Memory(_)).then(thread_time);
        let step = self.manager.handle_one(input, signing, &context);
        self.engine_time += begun.map_or(Duration::ZERO, |begun| thread_time().saturating_sub(begun));
        self.steps += 1;
        self.record_bytes += step.changes().changes().iter().map(record_bytes).sum::<u64>();
        self.work.to_sign.extend(step.ahead().map(|(_, work)| work));
        self.gate.append(step, self.disk.store())?;
        Ok(())
    }

    /// Handles all messages that came. Whether there were any. If more to be signed for is at hand, it is signed for together.
    pub fn hear(&mut self, has_more: bool) -> Outcome<bool> {
        let is_busy = !self.inbox.is_empty();
        while let Some((peer, bytes)) = self.inbox.pop_front() {
            self.arrive(peer, &bytes, has_more)?;
        }
        Ok(is_busy)
    }

    fn arrive(&mut self, peer: NodeId, bytes: &[u8], has_more: bool) -> Outcome<()> {
        let (message, fresh) = (Message::decode(bytes)?, [0; 32]);
        let need = self.manager.needs(&peer, &message);
        let keys_id = self.manager.signer_keys_id(&peer, &message);
        let attached = self.signer.attach(need, keys_id, fresh, &message);
        let signing = if self.inbox.is_empty() && !has_more {
            Signing::Now
        } else {
            Signing::WithTheNext
        };
        let moved = NextCommitment::moved_by(&message);
        let message = Input::PeerMessage {
            peer,
            message: Box::new(message),
            attached,
        };
        self.handle(message, signing)?;
        if let Some(next) = moved.and_then(|moved| self.manager.next_commitment(moved)) {
            self.prepare(next);
        }
        Ok(())
    }

    /// Whether nothing came, waits to leave, or is to be signed or derived.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.work.is_empty() && self.gate.held() == 0
    }

    /// All that may leave by now.
    pub fn let_out(&mut self) -> Outcome<Vec<Out>> {
        let durable = self.disk.durable()?;
        let mut out = Vec::new();
        while let Some(effect) = self.gate.release(durable).next() {
            out.push(self.carry_out(effect)?);
        }
        Ok(out)
    }

    fn carry_out(&mut self, effect: Effect) -> Outcome<Out> {
        Ok(match effect {
            Effect::Send(peer, outgoing) => {
                let message = match self.task.as_ref().filter(|_| self.uses_task) {
                    Some(task) => task.complete(outgoing),
                    None => self.signer.complete_with(outgoing, &mut self.ahead),
                };
                message.map_or(Out::Nothing, |message| Out::Message(peer, message.encode()))
            }
            Effect::Notify(event) => {
                self.handled = Some(event.number);
                match event.event {
                    Event::PaymentSent { payment_id, .. } => Out::Sent(payment_id),
                    Event::PaymentFailed { payment_id, .. } => Out::Failed(payment_id),
                    _ => Out::Nothing,
                }
            }
            Effect::Disconnect(_, reason) => return Err(format!("a node hangs up: {reason:?}").into()),
            Effect::Enforce(enforcement) => match enforcement.broadcast {
                Broadcast::Commitment { commitment, .. } => Out::Commitment(commitment.transaction().clone()),
                _ => Out::Nothing,
            },
            Effect::FundingWanted { .. }
            | Effect::OpeningEnded(..)
            | Effect::Broadcast(..)
            | Effect::HandledConfirmed(_)
            | Effect::HandledRefused(_)
            | Effect::Respond(..)
            | Effect::Load(_) => Out::Nothing,
        })
    }

    /// From now on what is appended waits to be written together, until [`Self::write`] or [`Self::let_write`].
    pub fn gather(&mut self) {
        if self.gathering.is_none() {
            self.gathering = self.disk.gather();
        }
    }

    /// Has what was gathered written, if somebody waits for it: on this thread if that is quick and it has `time`, by the store's otherwise.
    pub fn write(&mut self, has_time: bool) {
        if !self.is_awaited() {
            return;
        }
        let Some(gathering) = self.gathering.take() else { return };
        if !has_time || self.has_work() {
            return;
        }
        let mut gathering = Some(gathering);
        let mut write = || {
            if let Some(gathering) = gathering.take() {
                gathering.write_if_quick();
            }
        };
        match &self.around_write {
            Some(around) => around(&mut write),
            None => write(),
        }
    }

    /// Lets the store's thread write what was gathered, whether anybody waits for it or not.
    pub fn let_write(&mut self) {
        self.gathering = None;
    }

    /// Whether somebody waits for what is not durable yet. All else may wait, as in the driver of `quittance run`.
    pub fn is_awaited(&self) -> bool {
        self.gate.holds_any(|effect| !effect.has_time())
    }

    /// Has keys of this commitment derived when there is time.
    pub fn prepare(&mut self, next: NextCommitment) {
        if self.verifier.is_none() {
            self.work.to_prepare.push(next);
        }
    }

    /// Starts the thread that can be given what is to be signed and derived.
    pub fn start_task(&mut self) {
        self.task = Some(ConnectionTask::start(self.signer.clone()));
    }

    /// Gives the task what there is to do, if it is used.
    pub fn hand_over(&mut self) {
        if let Some(task) = self.task.as_mut().filter(|_| self.uses_task && !self.work.is_empty()) {
            task.give(std::mem::take(&mut self.work));
        }
    }

    /// Whether there is something to do while the store's thread writes.
    fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Signs, while the store's thread writes, what will be sent once it has.
    pub fn sign_ahead(&mut self) {
        for work in self.work.to_sign.drain(..) {
            self.signer.sign_ahead(work, &mut self.ahead);
        }
    }

    /// Derives keys that will be needed.
    pub fn derive_ahead(&mut self) {
        for next in self.work.to_prepare.drain(..) {
            self.signer.prepare(next);
        }
    }

    /// 32 bytes, other ones each time.
    pub fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut seed = self.id().0.to_vec();
        seed.extend(self.drawn.to_be_bytes());
        sha256::Hash::hash(&seed).to_byte_array()
    }
}

fn record_bytes(change: &Change) -> u64 {
    match change {
        Change::Put(_, record) => u64::try_from(record.len()).unwrap_or(u64::MAX),
        Change::Delete(_) | Change::DeleteUpdates { .. } => 0,
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
        coins: &[],
    })
}
