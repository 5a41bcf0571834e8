//! A node made of LDK's parts, for what `ldk-node` cannot be told: its channels hold as many HTLCs as BOLT 2 allows.
//!
//! It accepts channels and is paid; what asks for a hash of the payer's it holds until it is told what to do. It has no wallet: it opens no
//! channel, and sweeps none. Nothing is stored, so it lives once. Start at [`Roomy::start`].

mod chain;
mod commands;
mod written;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::hashes::{Hash, sha256};
use lightning::chain::Filter;
use lightning::chain::chainmonitor::ChainMonitor;
use lightning::events::{Event, EventsProvider};
use lightning::ln::channelmanager::{ChainParameters, SimpleArcChannelManager};
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler, PeerManager};
use lightning::onion_message::messenger::DefaultMessageRouter;
use lightning::routing::gossip::NetworkGraph;
use lightning::routing::router::DefaultRouter;
use lightning::routing::scoring::{
    ProbabilisticScorer, ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters,
};
use lightning::sign::{EntropySource, InMemorySigner, KeysManager, NodeSigner};
use lightning::util::config::UserConfig;
use lightning_net_tokio::{SocketDescriptor, setup_inbound};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::chain::{Chain, Feerates};
use self::written::{Forgetful, Log};
use crate::protocol::{Payment, State};
use crate::shown::hex;
use crate::{Arguments, Outcome};

/// The node. It ends with its runtime.
pub(crate) struct Roomy {
    node: Arc<Node>,
    _runtime: Runtime,
}

struct Node {
    manager: Arc<Manager>,
    peers: Arc<Peers>,
    told: Mutex<Told>,
}

/// What it has told.
#[derive(Default)]
struct Told {
    events: Vec<String>,
    /// What it was paid.
    payments: Vec<Payment>,
}

type Manager = SimpleArcChannelManager<Monitor, Chain, Feerates, Log>;

type Monitor = ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Chain>,
    Arc<Feerates>,
    Arc<Log>,
    Arc<Forgetful>,
    Arc<KeysManager>,
>;

type Peers = PeerManager<
    SocketDescriptor,
    Arc<Manager>,
    IgnoringMessageHandler,
    IgnoringMessageHandler,
    Arc<Log>,
    IgnoringMessageHandler,
    Arc<KeysManager>,
    IgnoringMessageHandler,
>;

/// BOLT 2: `max_accepted_htlcs` is no more than this.
const HTLCS_MAX: u16 = 483;
/// How long it waits for the channels to have something to do before it looks by itself: what peers say in between is sent on.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it asks whether its peers are still there.
const TICK: Duration = Duration::from_secs(10);

impl Roomy {
    /// A new node, which listens, and has read the chain.
    pub(crate) fn start(arguments: &Arguments) -> Outcome<Self> {
        let runtime = Runtime::new()?;
        let node = runtime.block_on(Node::start(arguments))?;
        Ok(Self {
            node,
            _runtime: runtime,
        })
    }
}

impl Node {
    async fn start(arguments: &Arguments) -> Outcome<Arc<Self>> {
        let folder = Path::new(&arguments.folder);
        std::fs::create_dir_all(folder)?;
        let log = Arc::new(Log::new(&folder.join("ldk_node.log"))?);
        let chain = Arc::new(Chain::new(arguments));
        let tip = chain.tip().await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let began = u32::try_from(now.as_secs())?;
        // Every world has a folder of its own, and no coin here is worth anything.
        let seed = sha256::Hash::hash(arguments.folder.as_bytes()).to_byte_array();
        let keys = Arc::new(KeysManager::new(&seed, now.as_secs(), now.subsec_nanos(), true));
        let monitor = Arc::new(Monitor::new(
            None,
            Arc::clone(&chain),
            Arc::clone(&log),
            Arc::new(Feerates),
            Arc::new(Forgetful),
            Arc::clone(&keys),
            keys.get_peer_storage_key(),
        ));
        let graph = Arc::new(NetworkGraph::new(Network::Regtest, Arc::clone(&log)));
        let scorer = ProbabilisticScorer::new(
            ProbabilisticScoringDecayParameters::default(),
            Arc::clone(&graph),
            Arc::clone(&log),
        );
        let router = DefaultRouter::new(
            Arc::clone(&graph),
            Arc::clone(&log),
            Arc::clone(&keys),
            Arc::new(RwLock::new(scorer)),
            ProbabilisticScoringFeeParameters::default(),
        );
        let manager = Arc::new(Manager::new(
            Arc::new(Feerates),
            Arc::clone(&monitor),
            Arc::clone(&chain),
            Arc::new(router),
            Arc::new(DefaultMessageRouter::new(graph, Arc::clone(&keys))),
            Arc::clone(&log),
            Arc::clone(&keys),
            Arc::clone(&keys),
            Arc::clone(&keys),
            config(),
            ChainParameters {
                network: Network::Regtest,
                best_block: tip.to_best_block(),
            },
            began,
        ));
        let handler = MessageHandler {
            chan_handler: Arc::clone(&manager),
            route_handler: IgnoringMessageHandler {},
            onion_message_handler: IgnoringMessageHandler {},
            custom_message_handler: IgnoringMessageHandler {},
            send_only_message_handler: IgnoringMessageHandler {},
        };
        let random = keys.get_secure_random_bytes();
        let node = Arc::new(Self {
            manager: Arc::clone(&manager),
            peers: Arc::new(Peers::new(handler, began, &random, log, keys)),
            told: Mutex::default(),
        });
        let listener = TcpListener::bind(arguments.listen.to_string()).await?;
        tokio::spawn(chain::follow(chain, tip, (monitor, manager)));
        tokio::spawn(Arc::clone(&node).listen(listener));
        tokio::spawn(Arc::clone(&node).live());
        Ok(node)
    }

    /// Lets peers in.
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = stream.into_std() {
                // It goes on without being waited for.
                drop(setup_inbound(Arc::clone(&self.peers), stream));
            }
        }
    }

    /// Does what there is to do, again and again.
    async fn live(self: Arc<Self>) {
        let mut ticked = Instant::now();
        loop {
            let work = self.manager.get_event_or_persistence_needed_future();
            // Whether there was work or not, it is looked for.
            drop(tokio::time::timeout(PAUSE, work).await);
            self.manager.process_pending_htlc_forwards();
            self.manager.process_pending_events(&|event| {
                self.hear(&event);
                Ok(())
            });
            self.peers.process_events();
            if ticked.elapsed() >= TICK {
                self.manager.timer_tick_occurred();
                self.peers.timer_tick_occurred();
                ticked = Instant::now();
            }
        }
    }

    /// Takes channels and payments as they come, and writes down what happens.
    fn hear(&self, event: &Event) {
        match event {
            Event::OpenChannelRequest {
                temporary_channel_id,
                counterparty_node_id,
                ..
            } => {
                let done = self
                    .manager
                    .accept_inbound_channel(temporary_channel_id, counterparty_node_id, 0, None);
                if let Err(error) = done {
                    eprintln!("error: a channel cannot be accepted: {error:?}");
                }
            }
            Event::PaymentClaimable { purpose, .. } => {
                // Of what is to be held the payer alone has the preimage.
                if let Some(preimage) = purpose.preimage() {
                    self.manager.claim_funds(preimage);
                }
            }
            Event::PaymentClaimed {
                payment_hash,
                amount_msat,
                purpose,
                ..
            } => self.told().payments.push(Payment {
                hash: hex(&payment_hash.0),
                preimage: purpose.preimage().map(|preimage| hex(&preimage.0)),
                amount_msat: *amount_msat,
                fee_msat: 0,
                inbound: true,
                state: State::Succeeded,
            }),
            _ => {}
        }
        self.told().events.push(format!("{event:?}"));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn config() -> UserConfig {
    let mut config = UserConfig {
        // LDK takes channels with anchors only from who looks at each.
        manually_accept_inbound_channels: true,
        ..UserConfig::default()
    };
    config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx = true;
    config.channel_handshake_config.our_max_accepted_htlcs = HTLCS_MAX;
    config
}
