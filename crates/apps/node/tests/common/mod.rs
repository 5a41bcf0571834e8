//! Nodes for tests: real sockets and stores, and a chain that is served as a bitcoind serves it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use bitcoin::Network::Regtest;
use quittance_chain::{Bitcoind, BitcoindConfig, ChainSource};
use quittance_node::{Node, NodeBuilder, StoredWallet};
use quittance_regtest::ServedChain;
use quittance_wallet::StoredSeed;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A new node in a new folder, whose tasks live in the runtime of the caller.
pub(crate) async fn start(chain: &ServedChain, folder: &Path) -> Outcome<Node> {
    let (user, password) = chain.login();
    let config = BitcoindConfig::with_password(Regtest, chain.url(), user, password);
    let source = Arc::new(Bitcoind::new(config));
    std::fs::create_dir(folder)?;
    let seed = StoredSeed::generate(source.best()?.tip)?;
    let wallet = Box::new(StoredWallet::open(&seed, folder, Regtest)?);
    let builder = NodeBuilder::new(folder, *seed.seed.node_seed(Regtest), Regtest).listen("127.0.0.1:0".parse()?);
    Ok(builder.start(source, wallet).await?)
}
