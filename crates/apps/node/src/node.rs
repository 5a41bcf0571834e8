//! The handle to a node that runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::{Address, Amount, Network, TxOut, Txid};
use quittance_chain::{Feerates, Watch};
use quittance_channel::opening::{ChannelType, OpeningPolicy};
use quittance_channel::{CloseRequest, PaymentFailureReason};
use quittance_invoice::Invoice;
use quittance_journal::EventNumber;
use quittance_manager::{ChannelManager, Command, NewChannel, NewPayment, Response};
use quittance_net::{Direction, Network as Peers, PeerAddress};
use quittance_payments::{Payment, PaymentStatus, UnfitRoute};
use quittance_primitives::{
    ChannelId, Feature, Features, FeeratePerKw, HtlcId, MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage,
};
use quittance_signer::LocalSigner;
use quittance_store::embedded::Copier;
use tokio::sync::{mpsc, oneshot, watch};

use crate::address_book::AddressBook;
use crate::driver::{Order, entropy, finished_payment, now_ms};
use crate::error::{NodeError, StopReason};
use crate::events::EventStream;
use crate::invoices::{self, InvoiceRequest, PayLimits};
use crate::payment_pages::{PaymentPage, PaymentPages, finished_payments};
use crate::payment_times::{self, PaymentTimes};
use crate::peers::Sorter;
use crate::policy::PolicyChange;
use crate::received::{self, ReceivedPage};
use crate::routes::{self, GivenHop};
use crate::views::{Channel, Figures, Info, Peer, View};
use crate::wallet::{Balance, Wallet};

/// A node that runs. Cheap to clone; it runs until [`Node::stop`], or until its store fails.
#[derive(Clone)]
pub struct Node(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) network: Network,
    pub(crate) peers: Peers<Sorter>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) wallet: Arc<Mutex<Box<dyn Wallet>>>,
    pub(crate) watch: Watch,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) feerates: watch::Receiver<Option<Feerates>>,
    pub(crate) progress: watch::Receiver<EventNumber>,
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
    pub(crate) peer_addresses: Arc<AddressBook>,
    pub(crate) opening: OpeningPolicy,
    pub(crate) copier: Copier,
}

/// A channel to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// To whom; it must be connected.
    pub peer: NodeId,
    /// What it is to hold.
    pub capacity: Amount,
    /// What of it is given away.
    pub push: MilliSatoshi,
    /// Whether it is to be announced.
    pub announce: bool,
    /// Whether it is used before its funding confirms: both sides have to name each other among their `zeroconf_peers`.
    pub zeroconf: bool,
}

/// What a probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The id of the payment that was none.
    pub id: PaymentId,
    /// Whether it reached the payee.
    pub reached: bool,
    /// How it ended.
    pub status: PaymentStatus,
}

impl OpenRequest {
    /// A channel to a peer that is connected, all of it ours, not announced, and used once its funding has confirmed.
    pub const fn new(peer: NodeId, capacity: Amount) -> Self {
        Self {
            peer,
            capacity,
            push: MilliSatoshi(0),
            announce: false,
            zeroconf: false,
        }
    }

    /// The type of the channel, of what both sides support: one that is not announced goes by its aliases, so that an invoice does not tell
    /// where its funding is. Nothing if they have no type in common.
    fn channel_type(&self, negotiated: &Features, policy: &OpeningPolicy) -> Option<ChannelType> {
        let format = policy.preferred_format(negotiated)?;
        Some(ChannelType {
            format,
            scid_alias: !self.announce && negotiated.supports(Feature::ScidAlias),
            zeroconf: self.zeroconf,
        })
    }
}

/// How long a peer may take for an opening.
const OPENING_PATIENCE: Duration = Duration::from_secs(30);
/// How many payments' times are read at once: about a millisecond of the engine's time.
const TIMES_AT_ONCE: usize = 100;
/// The feerate of first commitments without an estimate.
const FALLBACK_FEERATE: FeeratePerKw = FeeratePerKw(1_000);

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.0.signer.node_id()
    }

    /// The chain that it is on.
    pub fn network(&self) -> Network {
        self.0.network
    }

    /// Where it listens for peers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// The node at a glance.
    ///
    /// # Errors
    /// [`NodeError::Stopped`].
    pub async fn info(&self) -> Result<Info, NodeError> {
        let (id, peers) = (self.id(), self.0.peers.peers().len());
        self.look(move |view| Info {
            id,
            height: view.manager.tip(),
            peers,
            channels: view.manager.channels().count(),
            unhandled_events: view.manager.unhandled_events(),
            last_event: view.last_shown,
            folder: view.folder.to_owned(),
        })
        .await
    }

    /// Connects to a peer, and keeps the connection from now on.
    ///
    /// # Errors
    /// [`NodeError::Connect`] when it does not answer now; it is not called again then. [`NodeError::AddressBook`] when it is connected and
    /// cannot be noted down.
    pub async fn connect(&self, peer: NodeId, addresses: Vec<PeerAddress>) -> Result<(), NodeError> {
        self.0.peers.connect(peer, &addresses).await?;
        self.0.peers.keep(peer, addresses.clone());
        self.change_book(move |book| book.note(peer, addresses)).await
    }

    /// Ends the connection to a peer, and does not call it again. Whether there was a connection.
    ///
    /// # Errors
    /// [`NodeError::AddressBook`]: it will be called after the next start.
    pub async fn disconnect(&self, peer: NodeId) -> Result<bool, NodeError> {
        self.0.peers.forget(&peer);
        let was_connected = self.0.peers.disconnect(&peer);
        self.change_book(move |book| book.forget(&peer)).await?;
        Ok(was_connected)
    }

    /// The peers that are connected.
    pub fn peers(&self) -> Vec<Peer> {
        let connected = self.0.peers.peers().into_iter();
        let peers = connected.map(|connected| Peer {
            id: connected.peer,
            address: connected.address.into(),
            is_inbound: connected.direction == Direction::Inbound,
            connected_for: connected.since.elapsed(),
        });
        peers.collect()
    }

    /// Opens a channel, and waits until its funding transaction is on its way.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was spent then, but after [`NodeError::OpenTimedOut`] it may yet be.
    pub async fn open_channel(&self, request: OpenRequest) -> Result<ChannelId, NodeError> {
        let connected = self.0.peers.peers().into_iter();
        let mut connected = connected.filter(|connected| connected.peer == request.peer);
        let peer = connected.next().ok_or(NodeError::PeerNotConnected(request.peer))?;
        if request.zeroconf && !peer.features.supports(Feature::Zeroconf) {
            return Err(NodeError::ZeroconfNotOffered(request.peer));
        }
        let keys = self.0.signer.new_channel_keys(entropy()?);
        let feerate = self
            .feerates()
            .map_or(FALLBACK_FEERATE, |feerates| feerates.estimates.within_12);
        let new = NewChannel {
            peer: request.peer,
            capacity: request.capacity,
            push: request.push,
            channel_type: request.channel_type(&peer.features, &self.0.opening),
            announce: request.announce,
            feerate,
            keys,
        };
        let (answer, answered) = oneshot::channel();
        let (tell, opened) = oneshot::channel();
        self.order(Order::Open(Box::new(new), answer, tell)).await?;
        match answered.await.map_err(|_| NodeError::Stopped)? {
            Response::Opening(_) => {}
            other => return Err(refused(other)),
        }
        let waited = tokio::time::timeout(OPENING_PATIENCE, opened).await;
        let opened = waited.map_err(|_| NodeError::OpenTimedOut(OPENING_PATIENCE.as_secs()))?;
        opened.map_err(|_| NodeError::Stopped)?
    }

    /// Begins to close a channel by agreement. What is ours goes to the wallet.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn close_channel(&self, channel: ChannelId, feerate: Option<FeeratePerKw>) -> Result<(), NodeError> {
        let script = self.with_wallet(Wallet::sweep_script).await?;
        let close = CloseRequest {
            script: Some(script),
            feerate,
        };
        self.done(Command::CloseChannel(channel, close)).await
    }

    /// Closes a channel by our latest commitment. What is ours can be spent after a delay only.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn force_close(&self, channel: ChannelId) -> Result<(), NodeError> {
        self.done(Command::ForceClose(channel)).await
    }

    /// Sets the feerate of the commitments of a channel that we opened.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn set_feerate(&self, channel: ChannelId, feerate: FeeratePerKw) -> Result<(), NodeError> {
        self.done(Command::SetFeerate(channel, feerate)).await
    }

    /// Lets a channel come to rest (BOLT 2, `stfu`): both commitments match, and no update is sent, until its connection ends. With HTLCs
    /// in it that is after 60 seconds. This says that it was begun; [`Channel::stage`](crate::Channel) tells when it is so.
    ///
    /// # Errors
    /// [`NodeError::ChannelRefused`] when the peer is away or does not offer it, or the channel is not open or at rest already.
    pub async fn quiesce(&self, channel: ChannelId) -> Result<(), NodeError> {
        self.done(Command::Quiesce(channel)).await
    }

    /// Sets by what HTLCs are forwarded through a channel; what the change does not name stays as it is. The peer is told at once, or
    /// when it is there again; payers may go by the old terms for ten minutes.
    ///
    /// # Errors
    /// [`NodeError::ChannelRefused`] for terms that would lose money; nothing is changed then.
    pub async fn set_policy(&self, channel: ChannelId, change: PolicyChange) -> Result<(), NodeError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::SetPolicy(channel, change, answer)).await?;
        done(answered.await.map_err(|_| NodeError::Stopped)?)
    }

    /// The channels.
    ///
    /// # Errors
    /// [`NodeError::Stopped`].
    pub async fn channels(&self) -> Result<Vec<Channel>, NodeError> {
        let seen = self.look(|view| {
            let channels = view.manager.channels();
            channels.map(|channel| Channel::of(channel, view.manager)).collect()
        });
        seen.await
    }

    /// An invoice of ours.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn invoice(&self, request: InvoiceRequest) -> Result<Invoice, NodeError> {
        let hints = self.look(invoices::hints).await?;
        invoices::write(request, hints, &self.0.signer, self.0.network, now(), entropy()?)
    }

    /// Pays an invoice, once for this id whatever happens, and says how the payment stands. Its end comes as an event.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was paid then.
    pub async fn pay_invoice(
        &self,
        id: PaymentId,
        invoice: &Invoice,
        amount: Option<MilliSatoshi>,
        limits: PayLimits,
    ) -> Result<PaymentStatus, NodeError> {
        self.pay_invoice_along(id, invoice, amount, limits, &[]).await
    }

    /// As [`Self::pay_invoice`], along these routes and no others, one for each part. There is no second attempt.
    ///
    /// # Errors
    /// [`NodeError::RouteRefused`] or [`NodeError::IncompleteRoute`], with what is wrong with a route; nothing was paid then.
    pub async fn pay_invoice_along(
        &self,
        id: PaymentId,
        invoice: &Invoice,
        amount: Option<MilliSatoshi>,
        limits: PayLimits,
        routes: &[Vec<GivenHop>],
    ) -> Result<PaymentStatus, NodeError> {
        // A payment that was made keeps its answer, whatever became of its invoice.
        if let Some(known) = self.payment(id).await?
            && known.payment_hash == invoice.terms().payment_hash
            && amount
                .or(invoice.terms().amount)
                .is_none_or(|amount| amount == known.amount)
        {
            return Ok(known.status);
        }
        let payment = invoices::payment(id, invoice, amount, limits, self.0.network, now())?;
        self.pay_along(payment, routes).await
    }

    /// Pays a node that has not asked for it (bLIP 3), once for this id. The preimage follows from the id, so that asking again is safe.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was paid then.
    pub async fn keysend(
        &self,
        id: PaymentId,
        payee: NodeId,
        amount: MilliSatoshi,
        limits: PayLimits,
    ) -> Result<PaymentStatus, NodeError> {
        self.keysend_along(id, payee, amount, limits, &[]).await
    }

    /// As [`Self::keysend`], along these routes and no others, one for each part. There is no second attempt.
    ///
    /// # Errors
    /// [`NodeError::RouteRefused`] or [`NodeError::IncompleteRoute`], with what is wrong with a route; nothing was paid then.
    pub async fn keysend_along(
        &self,
        id: PaymentId,
        payee: NodeId,
        amount: MilliSatoshi,
        limits: PayLimits,
        routes: &[Vec<GivenHop>],
    ) -> Result<PaymentStatus, NodeError> {
        let preimage = self.0.signer.keysend_preimage(&id);
        let payment = invoices::keysend(id, payee, amount, limits, now(), preimage);
        self.pay_along(payment, routes).await
    }

    /// Tries whether a payment of `amount` msat would reach `payee`, by one that nobody can claim, and waits for its end. It is no
    /// payment: its id is fresh, and its end is told as a failure. It goes in one part, by the route that is given or over our widest
    /// channel with the payee: of several parts the last to fail would decide what is said of all.
    ///
    /// # Errors
    /// As [`Self::keysend_along`]; [`NodeError::RouteRefused`] also for more than one route.
    pub async fn probe(
        &self,
        payee: NodeId,
        amount: MilliSatoshi,
        limits: PayLimits,
        routes: &[Vec<GivenHop>],
    ) -> Result<Probe, NodeError> {
        let route = match routes {
            [] => self.look(move |view| widest_way(view, payee)).await?,
            [one] => Some(one.clone()),
            more => {
                let (got, limit) = (more.len(), 1);
                return Err(NodeError::RouteRefused(UnfitRoute::TooManyParts { got, limit }));
            }
        };
        let id = PaymentId(entropy()?);
        let payment = invoices::probe(id, payee, amount, limits, now(), entropy()?);
        self.pay_along(payment, route.as_slice()).await?;
        let end = self.outcome(id).await?;
        Ok(Probe {
            id,
            reached: matches!(
                end.status,
                PaymentStatus::Failed {
                    reason: PaymentFailureReason::RejectedByPayee,
                    ..
                }
            ),
            status: end.status,
        })
    }

    /// Makes no further attempt for a payment; what is on its way decides its end.
    ///
    /// # Errors
    /// [`NodeError::UnknownPayment`].
    pub async fn abandon(&self, id: PaymentId) -> Result<PaymentStatus, NodeError> {
        match self.command(Command::AbandonPayment(id)).await? {
            Response::Payment(_, status) => Ok(status),
            other => Err(refused(other)),
        }
    }

    /// A payment of ours: under way, ended, or ended long ago. `None` if there never was one with this id.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, NodeError> {
        let found = self.look(move |view| {
            let known = view.manager.payments().find(|payment| payment.id == id);
            known.map_or_else(|| finished_payment(view.store, id), |known| Ok(Some(known.clone())))
        });
        found.await?.map_err(|why| NodeError::Record(why.to_string()))
    }

    /// Waits for a payment's end.
    ///
    /// # Errors
    /// [`NodeError::UnknownPayment`], or [`NodeError::Stopped`]: then it has no end yet, and has one after the next start.
    pub async fn outcome(&self, id: PaymentId) -> Result<Payment, NodeError> {
        let mut progress = self.0.progress.clone();
        loop {
            progress.mark_unchanged();
            let payment = self.payment(id).await?.ok_or(NodeError::UnknownPayment(id))?;
            if payment.status.is_final() {
                return Ok(payment);
            }
            progress.changed().await.map_err(|_| NodeError::Stopped)?;
        }
    }

    /// Our payments, the newest first: on the first page those that have no end yet, then those that ended, the last one first, in the order
    /// of the events that tell of it. A further page begins `before` the event that the last page names.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn payments(&self, before: Option<EventNumber>, limit: usize) -> Result<PaymentPage, NodeError> {
        let mut pages = self
            .look(move |view| PaymentPages::begin(view.manager.payments(), before, limit))
            .await?;
        // A part at a time: old payments are many, and the engine has other things to do.
        while let Some(from) = pages.to_read() {
            let part = self.look(move |view| finished_payments(view.store, from)).await?;
            pages.read(part.map_err(|why| NodeError::Record(why.to_string()))?);
        }
        Ok(pages.finish())
    }

    /// When payments of ours began and ended, in the order of their ids here, as far as it is known: nothing of one that an older version
    /// made, and no end of one whose outcome was found at a start.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn payment_times(&self, ids: &[PaymentId]) -> Result<Vec<PaymentTimes>, NodeError> {
        let mut times = Vec::new();
        // A part at a time: the engine has other things to do.
        for part in ids.chunks(TIMES_AT_ONCE) {
            let part = part.to_vec();
            let read = self.look(move |view| {
                let read = part.into_iter().map(|id| payment_times::of(view.store, id));
                read.collect::<Result<Vec<_>, _>>()
            });
            times.extend(read.await?.map_err(|why| NodeError::Record(why.to_string()))?);
        }
        Ok(times)
    }

    /// Payments that were made to us, the last one first, in the order of the events that told of their claims. A further page begins `before`
    /// the event that the last page names. What older versions claimed is not known here.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn received(&self, before: Option<EventNumber>, limit: usize) -> Result<ReceivedPage, NodeError> {
        let page = self.look(move |view| received::page(view.store, before, limit)).await?;
        page.map_err(|why| NodeError::Record(why.to_string()))
    }

    /// Claims a payment that is held.
    ///
    /// # Errors
    /// [`NodeError::NothingHeld`].
    pub async fn claim(&self, preimage: PaymentPreimage) -> Result<MilliSatoshi, NodeError> {
        match self.command(Command::ClaimPayment(preimage)).await? {
            Response::Claimed(_, amount) => Ok(amount),
            other => Err(refused(other)),
        }
    }

    /// Refuses a payment that is held.
    ///
    /// # Errors
    /// [`NodeError::NothingHeld`].
    pub async fn refuse(&self, hash: PaymentHash) -> Result<(), NodeError> {
        match self.command(Command::RefusePayment(hash)).await? {
            Response::Refused(_) => Ok(()),
            other => Err(refused(other)),
        }
    }

    /// Sends on an HTLC that `Event::HtlcIntercepted` asked about, through `over`, where it is to bring `amount` msat.
    ///
    /// # Errors
    /// [`NodeError::NothingIntercepted`] when it does not wait any more, [`NodeError::ForwardRefused`] when we could lose by it.
    pub async fn forward_intercepted(
        &self,
        upstream: ChannelId,
        htlc: HtlcId,
        over: ChannelId,
        amount: MilliSatoshi,
    ) -> Result<(), NodeError> {
        let command = Command::ForwardIntercepted {
            upstream,
            htlc,
            over,
            amount,
        };
        self.done(command).await
    }

    /// Fails an HTLC that `Event::HtlcIntercepted` asked about.
    ///
    /// # Errors
    /// [`NodeError::NothingIntercepted`] when it does not wait any more.
    pub async fn refuse_intercepted(&self, upstream: ChannelId, htlc: HtlcId) -> Result<(), NodeError> {
        self.done(Command::RefuseIntercepted(upstream, htlc)).await
    }

    /// The events from `from` on, as far as they are kept, or all that are not handled and those to come.
    ///
    /// # Errors
    /// [`NodeError::Stopped`].
    pub async fn events(&self, from: Option<EventNumber>) -> Result<EventStream, NodeError> {
        let from = from.unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        self.order(Order::Subscribe { from, answer }).await?;
        let subscription = answered.await.map_err(|_| NodeError::Stopped)?;
        Ok(EventStream::new(subscription, from, self.0.orders.clone()))
    }

    /// All events up to this one are handled: none of them comes again. Returns when that is durable.
    ///
    /// # Errors
    /// [`NodeError::NotShown`] for an event that nobody can have seen.
    pub async fn handled(&self, number: EventNumber) -> Result<(), NodeError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Handled(number, answer)).await?;
        answered.await.map_err(|_| NodeError::Stopped)?
    }

    /// What the wallet has.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn balance(&self) -> Result<Balance, NodeError> {
        self.with_wallet(|wallet| Ok(wallet.balance())).await
    }

    /// A fresh address of the wallet.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn address(&self) -> Result<Address, NodeError> {
        self.with_wallet(Wallet::address).await
    }

    /// Pays on chain. Returns the transaction, which is on its way.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn send_onchain(
        &self,
        output: TxOut,
        feerate: Option<FeeratePerKw>,
    ) -> Result<bitcoin::Transaction, NodeError> {
        let estimated = self
            .feerates()
            .map_or(FALLBACK_FEERATE, |feerates| feerates.estimates.within_6);
        let feerate = feerate.unwrap_or(estimated);
        let transaction = self.with_wallet(move |wallet| wallet.send(&output, feerate)).await?;
        self.order(Order::Broadcast(Box::new(transaction.clone()))).await?;
        Ok(transaction)
    }

    /// Replaces a payment on chain that waits for a block by one with a higher fee, which is on its way then. What it pays stays the same.
    ///
    /// # Errors
    /// [`NodeError`]: it is no such payment of ours, or the feerate is not high enough to replace it.
    pub async fn bump(&self, txid: Txid, feerate: Option<FeeratePerKw>) -> Result<bitcoin::Transaction, NodeError> {
        let estimated = self
            .feerates()
            .map_or(FALLBACK_FEERATE, |feerates| feerates.estimates.within_2);
        let feerate = feerate.unwrap_or(estimated);
        let transaction = self.with_wallet(move |wallet| wallet.bump(&txid, feerate)).await?;
        self.order(Order::Broadcast(Box::new(transaction.clone()))).await?;
        Ok(transaction)
    }

    /// Signs words with the node's key, in the form that [`crate::who_signed`] checks.
    pub fn sign_words(&self, words: &[u8]) -> String {
        self.0.signer.sign_words(words)
    }

    /// Copies the store as it is at one moment into a folder that has none, while the node goes on. Returns the number of the last batch in it.
    /// What such a copy can do, and what it cannot, is in `docs/BACKUP.md`.
    ///
    /// # Errors
    /// [`NodeError::Copy`].
    pub async fn copy_store(&self, to: PathBuf) -> Result<u64, NodeError> {
        let copier = self.0.copier.clone();
        let copied = tokio::task::spawn_blocking(move || copier.copy(&to));
        let copied = copied.await.map_err(|_| NodeError::Stopped)?;
        copied
            .map(|last| last.0)
            .map_err(|error| NodeError::Copy(error.to_string()))
    }

    /// What confirms when, once the chain source has said so.
    pub fn feerates(&self) -> Option<Feerates> {
        *self.0.feerates.borrow()
    }

    /// Counts since the start of the process.
    ///
    /// # Errors
    /// [`NodeError::Stopped`].
    pub async fn figures(&self) -> Result<Figures, NodeError> {
        self.look(|view| view.figures.clone()).await
    }

    /// Looks for new blocks now.
    pub fn look_at_chain(&self) {
        self.0.watch.look_now();
    }

    /// Asks the node to stop; [`Self::stopped`] says when it has.
    pub async fn stop(&self) {
        // A node that has stopped already needs not be asked.
        let _ = self.order(Order::Stop).await;
    }

    /// Waits until the node has stopped, and says why.
    pub async fn stopped(&self) -> StopReason {
        let mut stopped = self.0.stopped.clone();
        let reason = stopped.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or(StopReason::Fault)
    }

    async fn pay_along(&self, mut payment: NewPayment, routes: &[Vec<GivenHop>]) -> Result<PaymentStatus, NodeError> {
        if !routes.is_empty() {
            let ending = routes::Ending {
                amount: payment.amount,
                final_delta: invoices::final_delta(&payment),
                tip: self.look(|view| view.manager.tip()).await?,
            };
            let given = routes.iter().enumerate();
            let given = given.map(|(place, hops)| routes::complete(place, hops, ending));
            payment.routes = given.collect::<Result<_, _>>()?;
        }
        self.pay(payment).await
    }

    async fn pay(&self, payment: NewPayment) -> Result<PaymentStatus, NodeError> {
        match self.command(Command::SendPayment(Box::new(payment))).await? {
            Response::Payment(_, status) => Ok(status),
            other => Err(refused(other)),
        }
    }

    async fn done(&self, command: Command) -> Result<(), NodeError> {
        done(self.command(command).await?)
    }

    async fn command(&self, command: Command) -> Result<Response, NodeError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Command(Box::new(command), answer)).await?;
        answered.await.map_err(|_| NodeError::Stopped)
    }

    async fn order(&self, order: Order) -> Result<(), NodeError> {
        self.0.orders.send(order).await.map_err(|_| NodeError::Stopped)
    }

    /// What `question` makes of the engine's state, once that state is durable.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        let (answer, answered) = oneshot::channel();
        let look = move |view: &View<'_>| -> Box<dyn FnOnce() + Send> {
            let seen = question(view);
            Box::new(move || {
                // Whoever asked may be gone.
                let _ = answer.send(seen);
            })
        };
        self.order(Order::Look(Box::new(look))).await?;
        answered.await.map_err(|_| NodeError::Stopped)
    }

    async fn change_book(
        &self,
        change: impl FnOnce(&AddressBook) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), NodeError> {
        let book = Arc::clone(&self.0.peer_addresses);
        let changed = tokio::task::spawn_blocking(move || change(&book));
        let changed = changed.await.map_err(|_| NodeError::Stopped)?;
        changed.map_err(|error| NodeError::AddressBook(error.to_string()))
    }

    async fn with_wallet<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn Wallet) -> Result<T, crate::WalletError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let wallet = Arc::clone(&self.0.wallet);
        let called = tokio::task::spawn_blocking(move || {
            let mut wallet = wallet.lock().unwrap_or_else(PoisonError::into_inner);
            call(&mut **wallet)
        });
        Ok(called.await.map_err(|_| NodeError::Stopped)??)
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("network", &self.0.network)
            .finish_non_exhaustive()
    }
}

/// The channel with `payee` that can send the most now, as a route.
fn widest_way(view: &View<'_>, payee: NodeId) -> Option<Vec<GivenHop>> {
    let channels = view.manager.channels();
    let usable = channels.filter(|channel| channel.state().facts.peer == payee && !channel.sendable().is_zero());
    let widest = usable.max_by_key(|channel| channel.sendable())?;
    Some(vec![GivenHop {
        node: payee,
        short_channel_id: ChannelManager::name_of(widest),
        amount: None,
        expiry: None,
    }])
}

fn now() -> Duration {
    Duration::from_millis(now_ms())
}

/// What an answer to a command means that succeeds or does not.
fn done(response: Response) -> Result<(), NodeError> {
    match response {
        Response::Done => Ok(()),
        other => Err(refused(other)),
    }
}

/// What an answer that is no success means.
fn refused(response: Response) -> NodeError {
    match response {
        Response::PaymentConflict(id) => NodeError::PaymentConflict(id),
        Response::RouteRefused(why) => NodeError::RouteRefused(why),
        Response::UnknownPayment(id) => NodeError::UnknownPayment(id),
        Response::NothingHeld(hash) => NodeError::NothingHeld(hash),
        Response::NothingIntercepted(channel, htlc) => NodeError::NothingIntercepted(channel, htlc),
        Response::ForwardRefused(why) => NodeError::ForwardRefused(why),
        Response::OpenRefused(why) => NodeError::OpenRefused(why),
        Response::UnfitFunding(why) => NodeError::UnfitFunding(why),
        Response::PeerNotConnected(peer) => NodeError::PeerNotConnected(peer),
        Response::UnknownChannel(channel) => NodeError::UnknownChannel(channel),
        Response::ChannelRefused(channel, why) => NodeError::ChannelRefused(channel, why),
        Response::UnknownOpening(id) => NodeError::UnknownChannel(id),
        unexpected @ (Response::Payment(..)
        | Response::Claimed(..)
        | Response::Refused(_)
        | Response::Opening(_)
        | Response::Done) => NodeError::Record(format!("the engine gave an unexpected answer: {unexpected:?}")),
    }
}
