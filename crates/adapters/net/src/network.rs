//! All peers: listening, calling, and who is connected.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quittance_journal::Generation;
use quittance_primitives::{Features, NodeId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::address::PeerAddress;
use crate::admission::{Admission, Admitted};
use crate::config::Config;
use crate::connection::{Connection, Direction, Sink, Tidings};
use crate::handshake;
use crate::outbox::Outbox;
use crate::redial;

/// All peers of a node. Cheap to clone; everything ends with [`Network::stop`].
pub struct Network<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    config: Config,
    us: NodeId,
    sink: S,
    admission: Arc<Admission>,
    peers: Mutex<BTreeMap<NodeId, Connected>>,
    kept: Mutex<Kept>,
    generation: AtomicU64,
    stop: watch::Sender<bool>,
    /// How many peers are connected, for whoever waits.
    changed: watch::Sender<u64>,
}

/// Peers that connections are kept to, with where they are and the task that calls them.
type Kept = BTreeMap<NodeId, (Vec<PeerAddress>, JoinHandle<()>)>;

/// A peer that is connected.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The peer.
    pub peer: NodeId,
    /// Which connection to it.
    pub generation: Generation,
    /// Who called whom.
    pub direction: Direction,
    /// Where it is, or called from.
    pub address: SocketAddr,
    /// Since when.
    pub since: Instant,
    /// What both sides support.
    pub features: Features,
    outbox: Outbox,
}

/// Why a peer could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// That is ourselves.
    #[error("that is this node's own id")]
    Ourselves,
    /// Its id is none.
    #[error("{0} is no node id: its bytes are no public key")]
    NoKey(NodeId),
    /// There is nobody at the address.
    #[error("nobody answers at {address}: {why}")]
    Unreachable {
        /// The address.
        address: PeerAddress,
        /// What the system says.
        why: String,
    },
    /// Whoever is there is not the peer, or does not speak the protocol.
    #[error("whoever answers at {address} is not that node: {why}")]
    Handshake {
        /// The address.
        address: PeerAddress,
        /// What went wrong.
        why: String,
    },
    /// The peer and we have not enough in common.
    #[error("the peer at {address} answers, but {why}")]
    Greeting {
        /// The address.
        address: PeerAddress,
        /// What went wrong.
        why: String,
    },
    /// There is no address to try.
    #[error("no address is known for {0}; write NODE@HOST:PORT")]
    NoAddress(NodeId),
    /// The network has stopped.
    #[error("the node is stopping")]
    Stopped,
}

/// Connections that are younger than this may have crossed on the way.
const CROSSING: Duration = Duration::from_secs(10);
/// How long accepting rests when the system refuses, for instance for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

impl<S: Sink> Network<S> {
    /// A network that neither listens nor calls yet.
    pub fn new(config: Config, sink: S) -> Self {
        let limits = &config.limits;
        let admission = Admission::new(limits.per_address_max, limits.half_open_max);
        let us = NodeId::from(config.key.public_key(secp256k1::SECP256K1));
        Self {
            inner: Arc::new(Inner {
                config,
                us,
                sink,
                admission: Arc::new(admission),
                peers: Mutex::default(),
                kept: Mutex::default(),
                generation: AtomicU64::new(0),
                stop: watch::Sender::new(false),
                changed: watch::Sender::new(0),
            }),
        }
    }

    /// Listens at `address`, and returns where: port 0 takes any that is free.
    ///
    /// # Errors
    /// What the system says against it.
    pub async fn listen(&self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let network = self.clone();
        tokio::spawn(async move { network.accept(listener).await });
        Ok(bound)
    }

    /// Connects to a peer, or says that it is connected already. The first address that answers is taken.
    ///
    /// # Errors
    /// [`ConnectError`], of the last address that was tried.
    pub async fn connect(&self, peer: NodeId, addresses: &[PeerAddress]) -> Result<Generation, ConnectError> {
        if peer == self.inner.us {
            return Err(ConnectError::Ourselves);
        }
        let mut error = ConnectError::NoAddress(peer);
        for address in addresses {
            if let Some(connected) = self.inner.peers().get(&peer) {
                return Ok(connected.generation);
            }
            match self.call(peer, address).await {
                Ok(generation) => return Ok(generation),
                Err(why) => error = why,
            }
        }
        Err(error)
    }

    /// Keeps a connection to a peer: whenever there is none it is called again, at growing distances.
    pub fn keep(&self, peer: NodeId, addresses: Vec<PeerAddress>) {
        let mut kept = self.inner.kept();
        if kept.get(&peer).is_some_and(|(known, _)| *known == addresses) || *self.inner.stop.borrow() {
            return;
        }
        let task = tokio::spawn(redial::keep(self.clone(), peer, addresses.clone()));
        if let Some((_, old)) = kept.insert(peer, (addresses, task)) {
            old.abort();
        }
    }

    /// Keeps no connection to a peer any more; the one that there is stays.
    pub fn forget(&self, peer: &NodeId) {
        if let Some((_, task)) = self.inner.kept().remove(peer) {
            task.abort();
        }
    }

    /// Ends the connection to a peer, if there is one. Whether there was.
    pub fn disconnect(&self, peer: &NodeId) -> bool {
        let peers = self.inner.peers();
        let connected = peers.get(peer);
        if let Some(connected) = connected {
            connected.outbox.end_now();
        }
        connected.is_some()
    }

    /// The peers that are connected.
    pub fn peers(&self) -> Vec<Connected> {
        self.inner.peers().values().cloned().collect()
    }

    /// The addresses of the peers that connections are kept to.
    pub fn kept(&self) -> Vec<(NodeId, Vec<PeerAddress>)> {
        let kept = self.inner.kept();
        kept.iter()
            .map(|(peer, (addresses, _))| (*peer, addresses.clone()))
            .collect()
    }

    /// Stops listening and calling, and ends every connection.
    pub fn stop(&self) {
        self.inner.stop.send_replace(true);
        for (_, (_, task)) in std::mem::take(&mut *self.inner.kept()) {
            task.abort();
        }
        for connected in self.inner.peers().values() {
            connected.outbox.end_now();
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Waits until there is no connection to `peer`.
    pub(crate) async fn lost(&self, peer: &NodeId) {
        let mut changed = self.inner.changed.subscribe();
        while self.inner.peers().contains_key(peer) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn accept(&self, listener: TcpListener) {
        let mut stopped = self.inner.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            let Ok((stream, address)) = accepted else {
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            };
            // Whoever is not let in finds the connection closed.
            if let Some(admitted) = self.inner.admission.admit(address.ip()) {
                let network = self.clone();
                tokio::spawn(async move { network.receive(stream, address, admitted).await });
            }
        }
    }

    async fn receive(&self, mut stream: TcpStream, address: SocketAddr, admitted: Admitted) {
        let config = self.config();
        let greeted = async {
            stream.set_nodelay(true).ok()?;
            let shaken = timeout(config.timing.handshake, handshake::respond(&mut stream, config.key)).await;
            let mut connection = Connection::new(stream, shaken.ok()?.ok()?, Direction::Inbound, address);
            let features = connection.greet(config).await.ok()?;
            Some((connection, features))
        };
        let greeted = tokio::select! {
            greeted = greeted => greeted,
            () = admitted.evicted.notified() => None,
        };
        admitted.is_known();
        if let Some((connection, features)) = greeted
            && self.has_room_for(&connection.peer)
        {
            self.run(connection, features, || {}).await;
        }
    }

    fn has_room_for(&self, peer: &NodeId) -> bool {
        let is_kept = self.inner.kept().contains_key(peer);
        let peers = self.inner.peers();
        is_kept || peers.contains_key(peer) || peers.len() < self.config().limits.peers_max
    }

    async fn call(&self, peer: NodeId, address: &PeerAddress) -> Result<Generation, ConnectError> {
        let config = self.config();
        let unreachable = |why: String| ConnectError::Unreachable {
            address: address.clone(),
            why,
        };
        let not_it = |why: String| ConnectError::Handshake {
            address: address.clone(),
            why,
        };
        let key = peer.public_key().map_err(|_| ConnectError::NoKey(peer))?;
        let connecting = TcpStream::connect((address.host(), address.port()));
        let mut stream = timeout(config.timing.connect, connecting)
            .await
            .map_err(|_| unreachable("it took too long".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.peer_addr());
        let socket = prepared.map_err(|error| unreachable(error.to_string()))?;
        let shaking = handshake::initiate(&mut stream, config.key, key);
        let established = timeout(config.timing.handshake, shaking)
            .await
            .map_err(|_| not_it("it took too long".to_owned()))?
            .map_err(|error| not_it(error.to_string()))?;
        let mut connection = Connection::new(stream, established, Direction::Outbound, socket);
        let greeted = connection.greet(config).await;
        let features = greeted.map_err(|error| ConnectError::Greeting {
            address: address.clone(),
            why: error.to_string(),
        })?;
        let (told, up) = tokio::sync::oneshot::channel();
        let network = self.clone();
        tokio::spawn(async move {
            network
                .run(connection, features, move || {
                    // Whoever called may have lost interest.
                    let _ = told.send(());
                })
                .await;
        });
        // When the task gives up before, another connection to the same peer has won.
        let _ = up.await;
        let peers = self.inner.peers();
        peers
            .get(&peer)
            .map(|connected| connected.generation)
            .ok_or(ConnectError::Stopped)
    }

    /// A connection's life after its greeting. `up` is called once the sink knows of it.
    async fn run(&self, connection: Connection, features: Features, up: impl FnOnce()) {
        let inner = &self.inner;
        let (peer, direction, address) = (connection.peer, connection.direction, connection.address);
        let (outbox, queue) = Outbox::new(inner.config.limits.outbox_messages_max);
        let Some(generation) = inner.enter(&connection, &features, &outbox) else {
            return;
        };
        let tidings = Tidings::Connected {
            peer,
            generation,
            features,
            direction,
            address,
            outbox: outbox.clone(),
        };
        if inner.sink.deliver(tidings).await.is_ok() {
            up();
            let why = connection
                .run(generation, &inner.config, &inner.sink, &outbox, queue)
                .await;
            inner.leave(&peer, generation);
            let tidings = Tidings::Disconnected { peer, generation, why };
            // A sink that is closed does not care.
            let _ = inner.sink.deliver(tidings).await;
        } else {
            inner.leave(&peer, generation);
        }
    }
}

impl<S> Inner<S> {
    /// Enters a connection into the table, in the place of an older one, or refuses it.
    fn enter(&self, connection: &Connection, features: &Features, outbox: &Outbox) -> Option<Generation> {
        let mut peers = self.peers();
        if *self.stop.borrow() {
            return None;
        }
        if let Some(old) = peers.get(&connection.peer) {
            // Two calls that crossed: both sides keep the one that the smaller id made. Else the newer is the one that lives.
            let have_crossed = old.direction != connection.direction && old.since.elapsed() < CROSSING;
            let is_wanted = (connection.direction == Direction::Outbound) == (self.us < connection.peer);
            if have_crossed && !is_wanted {
                return None;
            }
            old.outbox.end_now();
        }
        let generation = Generation(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
        let connected = Connected {
            peer: connection.peer,
            generation,
            direction: connection.direction,
            address: connection.address,
            since: Instant::now(),
            features: features.clone(),
            outbox: outbox.clone(),
        };
        peers.insert(connection.peer, connected);
        self.changed.send_modify(|changes| *changes += 1);
        Some(generation)
    }

    fn leave(&self, peer: &NodeId, generation: Generation) {
        let mut peers = self.peers();
        if peers
            .get(peer)
            .is_some_and(|connected| connected.generation == generation)
        {
            peers.remove(peer);
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Connected>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Network<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<S: Sink> std::fmt::Debug for Network<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peers: BTreeSet<_> = self.inner.peers().keys().copied().collect();
        f.debug_struct("Network")
            .field("us", &self.inner.us)
            .field("peers", &peers)
            .finish()
    }
}
