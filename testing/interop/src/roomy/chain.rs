//! The chain, read and written by bitcoind's interface.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ldk_node::bitcoin::consensus::encode::serialize_hex;
use ldk_node::bitcoin::{Network, Transaction, Txid};
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning_block_sync::http::HttpEndpoint;
use lightning_block_sync::init::validate_best_block_header;
use lightning_block_sync::poll::{ChainPoller, ValidatedBlockHeader};
use lightning_block_sync::rpc::RpcClient;
use lightning_block_sync::{SpvClient, UnboundedCache};
use serde_json::json;
use tokio::runtime::Handle;

use super::{Manager, Monitor};
use crate::{Arguments, Outcome};

/// How long it waits for the next block.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the chain.
pub(super) struct Chain {
    client: Arc<RpcClient>,
    runtime: Handle,
}

impl Chain {
    /// To be called within a runtime.
    pub(super) fn new(arguments: &Arguments) -> Self {
        let (host, port) = arguments.bitcoind.clone();
        let (user, password) = &arguments.credentials;
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let endpoint = HttpEndpoint::for_host(host).with_port(port);
        Self {
            client: Arc::new(RpcClient::new(&credentials, endpoint)),
            runtime: Handle::current(),
        }
    }

    pub(super) async fn tip(&self) -> Outcome<ValidatedBlockHeader> {
        let tip = validate_best_block_header(Arc::clone(&self.client)).await;
        Ok(tip.map_err(|error| format!("the chain's last block: {error:?}"))?)
    }
}

impl BroadcasterInterface for Chain {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        for transaction in transactions {
            let (client, raw) = (Arc::clone(&self.client), json!(serialize_hex(*transaction)));
            self.runtime.spawn(async move {
                if let Err(error) = client.call_method::<Txid>("sendrawtransaction", &[raw]).await {
                    eprintln!("error: a transaction is not taken: {error}");
                }
            });
        }
    }
}

/// Tells of every block after the tip, for ever.
pub(super) async fn follow(chain: Arc<Chain>, tip: ValidatedBlockHeader, told: (Arc<Monitor>, Arc<Manager>)) {
    let mut cache = UnboundedCache::new();
    let poller = ChainPoller::new(Arc::clone(&chain.client), Network::Regtest);
    let mut blocks = SpvClient::new(tip, poller, &mut cache, &told);
    loop {
        if let Err(error) = blocks.poll_best_tip().await {
            eprintln!("error: the chain cannot be read: {error:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What it expects of feerates. It opens no channel: what the other end sets it takes, down to the least that is relayed.
pub(super) struct Feerates;

impl FeeEstimator for Feerates {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        match target {
            ConfirmationTarget::MaximumFeeEstimate => 5_000,
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
            | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => 253,
            ConfirmationTarget::UrgentOnChainSweep
            | ConfirmationTarget::AnchorChannelFee
            | ConfirmationTarget::NonAnchorChannelFee
            | ConfirmationTarget::ChannelCloseMinimum
            | ConfirmationTarget::OutputSpendingFee => 1_000,
        }
    }
}
