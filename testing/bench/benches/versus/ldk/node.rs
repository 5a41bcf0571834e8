//! One LDK node: manager, monitors, keys, and where its monitors are kept.

use std::path::Path;
use std::sync::Arc;

use bitcoin::secp256k1::{PublicKey, Secp256k1, Signing, Verification};
use bitcoin::{BlockHash, Network as Chain, Transaction};
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning::chain::chainmonitor::{ChainMonitor, Persist};
use lightning::chain::channelmonitor::{ChannelMonitor, ChannelMonitorUpdate};
use lightning::chain::{BestBlock, ChannelMonitorUpdateStatus, Filter};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{ChainParameters, ChannelManager, ChannelManagerReadArgs};
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::router::{InFlightHtlcs, Route, RouteParameters, Router};
use lightning::sign::{InMemorySigner, KeysManager, NodeSigner};
use lightning::util::config::{MaxDustHTLCExposure, UserConfig};
use lightning::util::logger::{Logger, Record};
use lightning::util::persist::{
    CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE, KVStoreSync, MonitorName, MonitorUpdatingPersister,
};
use lightning::util::ser::{ReadableArgs, Writeable};
use lightning_persister::fs_store::FilesystemStore;
use quittance_payments_bench::node::Outcome;

/// What LDK asks its user for and no payment here needs.
pub(crate) struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record) {}
}

impl BroadcasterInterface for Silent {
    fn broadcast_transactions(&self, _: &[&Transaction]) {}
}

impl FeeEstimator for Silent {
    fn get_est_sat_per_1000_weight(&self, _: ConfirmationTarget) -> u32 {
        1_000
    }
}

impl Router for Silent {
    fn find_route(
        &self,
        _: &PublicKey,
        _: &RouteParameters,
        _: Option<&[&ChannelDetails]>,
        _: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        Err("routes are given")
    }

    fn create_blinded_payment_paths<T: Signing + Verification>(
        &self,
        _: PublicKey,
        _: Vec<ChannelDetails>,
        _: ReceiveTlvs,
        _: Option<u64>,
        _: &Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        Err(())
    }
}

/// Keeps no monitor: the floor of what LDK's payments cost.
struct Nowhere;

impl Persist<InMemorySigner> for Nowhere {
    fn persist_new_channel(&self, _: MonitorName, _: &ChannelMonitor<InMemorySigner>) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

type Files = MonitorUpdatingPersister<
    Arc<FilesystemStore>,
    Arc<Silent>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Silent>,
    Arc<Silent>,
>;
type Persister = dyn Persist<InMemorySigner> + Send + Sync;

pub(crate) type Monitors = ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Silent>,
    Arc<Silent>,
    Arc<Silent>,
    Arc<Persister>,
    Arc<KeysManager>,
>;

pub(crate) type Manager = ChannelManager<
    Arc<Monitors>,
    Arc<Silent>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Silent>,
    Arc<Silent>,
    Arc<NullMessageRouter>,
    Arc<Silent>,
>;

/// Where monitors are kept.
#[derive(Clone, Copy)]
pub(crate) enum Persistence<'a> {
    Nowhere,
    /// In files, each update one; whole monitors after so many of them.
    Updates(&'a Path),
}

/// A node.
pub(crate) struct Node {
    pub(crate) id: PublicKey,
    pub(crate) manager: Manager,
    pub(crate) monitors: Arc<Monitors>,
    files: Option<Arc<FilesystemStore>>,
}

impl Node {
    /// A new node.
    pub(crate) fn new(number: u8, persistence: Persistence) -> Self {
        let keys = keys(number);
        let files = match persistence {
            Persistence::Nowhere => None,
            Persistence::Updates(folder) => Some(Arc::new(FilesystemStore::new(folder.join(number.to_string())))),
        };
        let persister: Arc<Persister> = match &files {
            None => Arc::new(Nowhere),
            Some(files) => Arc::new(monitor_files(files, &keys)),
        };
        let monitors = Arc::new(monitors(persister, &keys));
        let chain = ChainParameters {
            network: Chain::Regtest,
            best_block: BestBlock::from_network(Chain::Regtest),
        };
        let manager = Manager::new(
            Arc::new(Silent),
            Arc::clone(&monitors),
            Arc::new(Silent),
            Arc::new(Silent),
            Arc::new(NullMessageRouter {}),
            Arc::new(Silent),
            Arc::clone(&keys),
            Arc::clone(&keys),
            keys,
            config(),
            chain,
            1_700_000_000,
        );
        Self {
            id: manager.get_our_node_id(),
            manager,
            monitors,
            files,
        }
    }

    /// The node that the files of a folder hold, ready for its first connection.
    pub(crate) fn restart(number: u8, folder: &Path) -> Outcome<Self> {
        let keys = keys(number);
        let files = Arc::new(FilesystemStore::new(folder.join(number.to_string())));
        let read = monitor_files(&files, &keys).read_all_channel_monitors_with_updates()?;
        let monitors = Arc::new(monitors(Arc::new(monitor_files(&files, &keys)), &keys));
        let bytes = KVStoreSync::read(
            &*files,
            CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
            CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
            CHANNEL_MANAGER_PERSISTENCE_KEY,
        )?;
        let arguments = ChannelManagerReadArgs::new(
            Arc::clone(&keys),
            Arc::clone(&keys),
            keys,
            Arc::new(Silent),
            Arc::clone(&monitors),
            Arc::new(Silent),
            Arc::new(Silent),
            Arc::new(NullMessageRouter {}),
            Arc::new(Silent),
            config(),
            read.iter().map(|(_, monitor)| monitor).collect(),
        );
        let read_manager = <(BlockHash, Manager)>::read(&mut &bytes[..], arguments);
        let (_, manager) = read_manager.map_err(|error| format!("LDK's manager: {error:?}"))?;
        for (_, monitor) in read {
            let loaded = monitors.load_existing_monitor(monitor.channel_id(), monitor);
            loaded.map_err(|()| "LDK does not load a monitor")?;
        }
        Ok(Self {
            id: manager.get_our_node_id(),
            manager,
            monitors,
            files: Some(files),
        })
    }

    /// Writes the manager, whole, as LDK's users do whenever it says so.
    pub(crate) fn persist_manager(&self) -> Outcome<()> {
        self.files
            .as_ref()
            .map_or(Ok(()), |files| write_manager(files, &self.manager))
    }

    /// Writes everything as it is into a folder, for [`Self::restart`].
    pub(crate) fn write_all(&self, number: u8, folder: &Path) -> Outcome<()> {
        let files = Arc::new(FilesystemStore::new(folder.join(number.to_string())));
        let persister = monitor_files(&files, &keys(number));
        for channel in self.monitors.list_monitors() {
            let monitor = self.monitors.get_monitor(channel).map_err(|()| "it is listed")?;
            match persister.persist_new_channel(monitor.persistence_key(), &monitor) {
                ChannelMonitorUpdateStatus::Completed => {}
                other => return Err(format!("LDK does not write a monitor: {other:?}").into()),
            }
        }
        write_manager(&files, &self.manager)
    }
}

fn write_manager(files: &FilesystemStore, manager: &Manager) -> Outcome<()> {
    let written = KVStoreSync::write(
        files,
        CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_KEY,
        manager.encode(),
    );
    Ok(written?)
}

fn keys(number: u8) -> Arc<KeysManager> {
    Arc::new(KeysManager::new(&[number + 1; 32], 42, 42, true))
}

fn monitor_files(files: &Arc<FilesystemStore>, keys: &Arc<KeysManager>) -> Files {
    MonitorUpdatingPersister::new(
        Arc::clone(files),
        Arc::new(Silent),
        UPDATES_MAX,
        Arc::clone(keys),
        Arc::clone(keys),
        Arc::new(Silent),
        Arc::new(Silent),
    )
}

fn monitors(persister: Arc<Persister>, keys: &Arc<KeysManager>) -> Monitors {
    let storage_key = keys.get_peer_storage_key();
    let silent = || Arc::new(Silent);
    ChainMonitor::new(
        None,
        silent(),
        silent(),
        silent(),
        persister,
        Arc::clone(keys),
        storage_key,
    )
}

/// The same channels as ours, and fees to forward.
fn config() -> UserConfig {
    let mut config = UserConfig {
        accept_forwards_to_priv_channels: true,
        manually_accept_inbound_channels: true,
        ..UserConfig::default()
    };
    config.channel_handshake_limits.max_funding_satoshis = 10_000_000_000;
    config.channel_handshake_limits.force_announced_channel_preference = false;
    let handshake = &mut config.channel_handshake_config;
    handshake.minimum_depth = 1;
    handshake.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    handshake.our_max_accepted_htlcs = 483;
    handshake.negotiate_anchors_zero_fee_htlc_tx = true;
    config.channel_config.max_dust_htlc_exposure = MaxDustHTLCExposure::FixedLimitMsat(500_000_000_000);
    config.channel_config.forwarding_fee_base_msat = FEE_BASE_MSAT;
    config.channel_config.forwarding_fee_proportional_millionths = 0;
    config
}

/// What a forwarder asks for.
pub(crate) const FEE_BASE_MSAT: u32 = 1_000;

/// Updates that are kept in files of their own before a monitor is written whole.
const UPDATES_MAX: u64 = 1_000;
