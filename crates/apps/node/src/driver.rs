//! The one task that owns engine, gate and store. Inputs are handled one at a time, in the order in which they come; what they change is
//! appended at once and made durable together, here where the disk is quick and by the store's own thread where it is not; what follows from
//! them is done when it may.
//!
//! Invariants: nothing leaves but through the gate, and no caller is told anything, answers to questions included, before all that it
//! rests on is durable. An input is taken only while the store has room. When the store fails everything ends (G10). Signatures are
//! made on the connections' tasks, in the order of the messages: those of commitments while the batch is being written, and then they wait,
//! sealed, for the release; all others, and revocation secrets always, after it. Start at [`Driver::run`].

mod chain;
mod effects;
mod inputs;
mod signing;

pub(crate) use inputs::finished_payment;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quittance_chain::{Feerates, Tip};
use quittance_channel::ChannelLimits;
use quittance_journal::{EventNumber, Gate, Generation, Lsn, Step, Store, StoreFailed};
use quittance_manager::{ChannelManager, Command, Context, Effect, Input, NewChannel, RequestId, Response, Signing};
use quittance_monitor::FeeEstimates;
use quittance_net::{Network, Outbox};
use quittance_payments::DirectRouter;
use quittance_primitives::{ChannelId, NodeId, PaymentId};
use quittance_signer::{Deriving, LocalSigner};
use quittance_store::embedded::{EmbeddedStore, Gathering};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use self::signing::{CommitmentsSigned, ConnectionSigner};
use crate::builder::EventHandling;
use crate::chain::{ChainNews, ToBroadcast};
use crate::error::{NodeError, StopReason};
use crate::events::{Desk, Subscription};
use crate::payment_times;
use crate::peers::{FromPeer, Sorter};
use crate::policy::PolicyChange;
use crate::received;
use crate::views::{Figures, View};
use crate::wallet::Wallet;

/// A question to the engine's state: what it answers is sent by what it returns, once the state that it saw is durable.
pub(crate) type Look = Box<dyn FnOnce(&View<'_>) -> Box<dyn FnOnce() + Send> + Send>;

/// Told the channel that came of an opening, or why none did.
pub(crate) type Opened = oneshot::Sender<Result<ChannelId, NodeError>>;

/// What the driver is to handle next.
enum Came {
    Order(Order),
    Chain(ChainNews),
    Peer(FromPeer),
    Tick,
    /// Nothing came for as long as batches wait for others to be written with.
    Nothing,
}

/// What callers want of the driver.
pub(crate) enum Order {
    /// A command for the engine.
    Command(Box<Command>, oneshot::Sender<Response>),
    /// A channel is wanted: the engine's first answer, then the channel that comes of it, or why none does.
    Open(Box<NewChannel>, oneshot::Sender<Response>, Opened),
    /// The wallet's answer for an opening.
    Funded {
        peer: NodeId,
        temporary_channel_id: ChannelId,
        funding: Result<Box<quittance_channel::opening::FundingTransaction>, NodeError>,
    },
    /// A channel's policy is to change: merged into what it is when the order's turn has come, so that no change undoes another.
    SetPolicy(ChannelId, PolicyChange, oneshot::Sender<Response>),
    /// Events up to this one are handled.
    Handled(EventNumber, oneshot::Sender<Result<(), NodeError>>),
    /// Events are wanted.
    Subscribe {
        from: EventNumber,
        answer: oneshot::Sender<Subscription>,
    },
    /// A question.
    Look(Look),
    /// A transaction of the wallet's, to be broadcast.
    Broadcast(Box<bitcoin::Transaction>),
    /// Stop in good order.
    Stop,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Command(..) => "a command",
            Self::Open(..) => "an opening",
            Self::Funded { .. } => "a funding",
            Self::SetPolicy(..) => "a policy",
            Self::Handled(..) => "a confirmation",
            Self::Subscribe { .. } => "a subscription",
            Self::Look(_) => "a question",
            Self::Broadcast(_) => "a transaction",
            Self::Stop => "the end",
        })
    }
}

/// Where inputs come from.
pub(crate) struct Inlets {
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) peers: mpsc::Receiver<FromPeer>,
    pub(crate) chain: mpsc::Receiver<ChainNews>,
    pub(crate) durable: watch::Receiver<()>,
}

impl Inlets {
    /// Whether nothing waits to be handled.
    fn are_empty(&self) -> bool {
        self.orders.is_empty() && self.peers.is_empty() && self.chain.is_empty()
    }
}

/// Engine, gate and store, and what connects them to the world.
pub(crate) struct Driver {
    pub(crate) manager: ChannelManager,
    pub(crate) gate: Gate<Effect>,
    pub(crate) store: EmbeddedStore,
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) deriving: Deriving,
    pub(crate) network: Network<Sorter>,
    pub(crate) limits: ChannelLimits,
    pub(crate) handling: EventHandling,
    /// For what the driver tells itself later, for instance the wallet's answers.
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) wallet: Arc<Mutex<Box<dyn Wallet>>>,
    pub(crate) broadcasts: mpsc::Sender<ToBroadcast>,
    pub(crate) feerates: watch::Sender<Option<Feerates>>,
    /// What holds before the chain source gave estimates.
    pub(crate) fallback_fees: FeeEstimates,
    /// Where what is claimed on chain goes.
    pub(crate) sweep_to: bitcoin::ScriptBuf,
    /// What the wallet could give to claims, as of the last block.
    pub(crate) coins: Vec<bitcoin::Amount>,
    /// The last common block, when blocks that the engine has read were taken back while the node was away.
    pub(crate) rewound: Option<Tip>,
    /// Told whenever there is a new event and it is durable, whether it is shown by now or not: for whoever waits for a payment's end.
    pub(crate) progress: watch::Sender<EventNumber>,
    pub(crate) folder: PathBuf,
    pub(crate) work: Work,
}

/// What is under way.
#[derive(Default)]
pub(crate) struct Work {
    lines: BTreeMap<NodeId, Line>,
    requests: BTreeMap<RequestId, oneshot::Sender<Response>>,
    next_request: u64,
    /// Confirmations that wait to be durable, in order.
    confirmations: VecDeque<(EventNumber, oneshot::Sender<Result<(), NodeError>>)>,
    /// Answers that wait for what they rest on.
    answers: VecDeque<(Lsn, Box<dyn FnOnce() + Send>)>,
    /// Openings that the engine has not answered yet.
    opening: BTreeMap<RequestId, Opened>,
    /// Openings on their way, by their temporary ids.
    openings: BTreeMap<ChannelId, Opened>,
    /// By the channel that an opening will become, its temporary id.
    funded: BTreeMap<ChannelId, ChannelId>,
    desk: Option<Desk>,
    figures: Figures,
    signed: Arc<CommitmentsSigned>,
    /// More inputs are at hand: what follows from this one is signed for with what follows from them.
    has_more: bool,
    /// When batches were appended that are not durable, and that somebody waits for.
    appended_at: VecDeque<(Lsn, Instant)>,
}

/// While it lives nothing that was appended is written.
struct Unawaited {
    gathering: Gathering,
    until: tokio::time::Instant,
}

impl Unawaited {
    fn from_now(store: &EmbeddedStore) -> Self {
        Self {
            gathering: store.gather(),
            until: tokio::time::Instant::now() + UNAWAITED_MAX,
        }
    }
}

/// Waits until then; for ever if there is no such moment.
async fn moment(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A connection to a peer.
struct Line {
    generation: Generation,
    outbox: Outbox,
    signer: ConnectionSigner,
}

/// Effects that may wait in the gate before inputs have to.
const HELD_MAX: usize = 10_000;
/// Inputs of peers that are handled before released effects are looked at again.
const PEER_INPUTS_AT_ONCE: usize = 64;
/// Orders that came together and are signed for together.
const ORDERS_AT_ONCE: usize = 64;
/// How long a batch that nobody waits for waits for others, to be written with them: such as the word of what a user has handled, or the
/// last `revoke_and_ack` of a payment.
const UNAWAITED_MAX: Duration = Duration::from_millis(10);
/// How long the end may take.
const END_PATIENCE: Duration = Duration::from_secs(5);

impl Driver {
    /// Runs until it is asked to stop, or has to.
    pub(crate) async fn run(mut self, mut inlets: Inlets) -> StopReason {
        let reason = match self.serve(&mut inlets).await {
            Ok(()) => StopReason::Asked,
            Err(reason) => reason,
        };
        self.network.stop();
        if reason == StopReason::Asked {
            match self.store.close() {
                Ok(lsn) => info!(lsn = lsn.0, "the store is closed"),
                Err(failure) => return StopReason::StoreFailed(failure),
            }
        } else {
            error!(%reason, "stopped");
        }
        reason
    }

    async fn serve(&mut self, inlets: &mut Inlets) -> Result<(), StopReason> {
        if let Some(tip) = self.rewound.take() {
            self.rewound(tip)?;
        }
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut unawaited: Option<Unawaited> = None;
        let mut orders = 0;
        loop {
            let waiting = unawaited.take().unwrap_or_else(|| Unawaited::from_now(&self.store));
            self.release()?;
            let takes_inputs = self.store.has_room() && self.gate.held() < HELD_MAX;
            let may_wait = takes_inputs && self.store.durable() < self.gate.appended() && !self.is_awaited();
            unawaited = may_wait.then_some(waiting);
            let until = unawaited.as_ref().map(|waiting| waiting.until);
            let came = tokio::select! {
                _ = inlets.durable.changed() => continue,
                Some(order) = inlets.orders.recv(), if takes_inputs => Came::Order(order),
                Some(news) = inlets.chain.recv(), if takes_inputs => Came::Chain(news),
                Some(first) = inlets.peers.recv(), if takes_inputs => Came::Peer(first),
                _ = clock.tick() => Came::Tick,
                () = moment(until) => Came::Nothing,
            };
            let waiting = unawaited.take().unwrap_or_else(|| Unawaited::from_now(&self.store));
            let is_over = waiting.until <= tokio::time::Instant::now();
            match came {
                Came::Order(Order::Stop) => {
                    drop(waiting);
                    return self.end(&mut inlets.durable).await;
                }
                Came::Order(order) => {
                    orders = if inlets.orders.is_empty() { 0 } else { orders + 1 };
                    self.work.has_more = orders % ORDERS_AT_ONCE > 0;
                    self.order(order)?;
                    if !std::mem::take(&mut self.work.has_more) {
                        self.sign_what_is_owed()?;
                    }
                }
                Came::Chain(news) => self.chain_news(news)?,
                Came::Peer(first) => self.hear_together(first, &mut inlets.peers)?,
                Came::Tick => self.handle(Input::Tick)?,
                Came::Nothing => {}
            }
            if !is_over && !self.is_awaited() {
                unawaited = Some(waiting);
            } else if inlets.are_empty() {
                // With a quick disk this thread writes: to wake another one and be woken by it would take as long. Signatures are made
                // elsewhere meanwhile.
                waiting.gathering.write_if_quick();
            }
        }
    }

    /// Whether somebody waits for what is not durable yet, and has no time: a peer, a caller, or a user who is to be shown an event.
    fn is_awaited(&self) -> bool {
        !self.work.answers.is_empty() || self.gate.holds_any(|effect| !effect.has_time())
    }

    /// Handles what came together: what follows from it is one commit, and is signed for once.
    fn hear_together(&mut self, first: FromPeer, others: &mut mpsc::Receiver<FromPeer>) -> Result<(), StopReason> {
        let (mut next, mut heard) = (Some(first), 0);
        while let Some(this) = next.take() {
            heard += 1;
            if heard < PEER_INPUTS_AT_ONCE && self.store.has_room() {
                next = others.try_recv().ok();
            }
            self.work.has_more = next.is_some();
            self.hear(this)?;
        }
        self.sign_what_is_owed()
    }

    /// What inputs that came together have left unsigned, because the last of them was nothing for the engine.
    fn sign_what_is_owed(&mut self) -> Result<(), StopReason> {
        if self.manager.owes_signatures() {
            self.handle(Input::Tick)?;
        }
        Ok(())
    }

    /// Waits for what was appended, lets it out, and closes the connections behind it.
    async fn end(&mut self, durable: &mut watch::Receiver<()>) -> Result<(), StopReason> {
        let deadline = tokio::time::Instant::now() + END_PATIENCE;
        while self.store.durable() < self.gate.appended() {
            if tokio::time::timeout_at(deadline, durable.changed()).await.is_err() {
                break;
            }
            self.release()?;
        }
        self.release()?;
        for line in self.work.lines.values() {
            // A peer that is gone already needs no farewell.
            let _ = line.outbox.send(quittance_net::Outbound::Close);
        }
        // The last messages are written by the connections' tasks.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }

    /// Handles an input: its records are appended, its effects held.
    pub(crate) fn handle(&mut self, input: Input) -> Result<(), StopReason> {
        self.handle_beginning(input, None)
    }

    /// Handles an input that may begin this payment.
    fn handle_beginning(&mut self, input: Input, begins: Option<PaymentId>) -> Result<(), StopReason> {
        let entropy = entropy().map_err(|_| StopReason::Fault)?;
        let context = Context {
            now_ms: now_ms(),
            entropy,
            limits: &self.limits,
            verifier: self.signer.verifier(),
            router: &DirectRouter,
            fees: self.fee_estimates(),
            sweep_to: &self.sweep_to,
            coins: &self.coins,
        };
        let now_ms = context.now_ms;
        let signing = if self.work.has_more {
            Signing::WithTheNext
        } else {
            Signing::Now
        };
        let before = self.manager.next_event();
        let mut step = self.manager.handle_one(input, signing, &context);
        payment_times::note(&mut step, &self.store, begins, now_ms)?;
        received::note(&mut step, now_ms)?;
        self.append(step)?;
        let next = self.manager.next_event();
        if next > before {
            let progress = self.progress.clone();
            let tell = move || {
                progress.send_replace(next);
            };
            self.work.answers.push_back((self.gate.appended(), Box::new(tell)));
        }
        Ok(())
    }

    fn fee_estimates(&self) -> FeeEstimates {
        let feerates = *self.feerates.borrow();
        feerates.map_or(self.fallback_fees, |feerates| feerates.estimates)
    }

    /// Every write of the process goes this way.
    pub(crate) fn append(&mut self, step: Step<Effect>) -> Result<(), StopReason> {
        let before = self.gate.appended();
        let ahead: Vec<_> = step.ahead().collect();
        let lsn = self
            .gate
            .append(step, &mut self.store)
            .map_err(StopReason::StoreFailed)?;
        if lsn > before && self.is_awaited() {
            self.work.appended_at.push_back((lsn, Instant::now()));
        }
        for (scope, work) in ahead {
            self.sign_ahead(scope, work);
        }
        Ok(())
    }

    /// Carries out what may leave by now.
    fn release(&mut self) -> Result<(), StopReason> {
        if let Some(failure) = self.store.failure() {
            return Err(self.failed(failure));
        }
        let durable = self.store.durable();
        self.count_syncs(durable);
        loop {
            let next = self.gate.release(durable).next();
            let Some(effect) = next else { break };
            self.carry_out(effect)?;
        }
        while self.work.answers.front().is_some_and(|(lsn, _)| *lsn <= durable) {
            if let Some((_, answer)) = self.work.answers.pop_front() {
                answer();
            }
        }
        Ok(())
    }

    fn failed(&mut self, failure: StoreFailed) -> StopReason {
        self.gate.fail(failure.clone());
        StopReason::StoreFailed(failure)
    }

    fn count_syncs(&mut self, durable: Lsn) {
        while let Some((lsn, at)) = self.work.appended_at.front().copied()
            && lsn <= durable
        {
            self.work.figures.sync.count(at.elapsed());
            self.work.appended_at.pop_front();
        }
    }
}

/// The time, in milliseconds since 1970. A clock before that counts as 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// 32 bytes that nobody can guess.
pub(crate) fn entropy() -> Result<[u8; 32], NodeError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| NodeError::NoRandomness(error.to_string()))?;
    Ok(bytes)
}
