//! The chain that channels stand on, behind bitcoind's interface: the embedded one, or a bitcoind of our own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, TxOut};
use quittance_primitives::BlockCount;
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::rpc::{Credentials, RpcServer};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, Faucet, MempoolEntry, MineOptions, Policy};

use crate::Outcome;

/// A chain of our own.
pub struct Ground {
    chain: Kind,
    faucet: Faucet,
    /// Where it answers.
    pub url: String,
    /// The file that lets in.
    pub cookie: PathBuf,
}

enum Kind {
    Embedded(
        Arc<Mutex<EmbeddedChain>>,
        #[allow(dead_code, reason = "it serves until it is dropped")] RpcServer,
    ),
    Bitcoind(Box<BitcoindChain>),
}

impl Ground {
    /// A new chain: that of a `bitcoind` if there is one to be started, else the embedded one, with its files in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn new(folder: &Path, bitcoind: Option<&Path>) -> Outcome<Self> {
        if let Some(program) = bitcoind {
            let node = Bitcoind::start(program, &Policy::default())?;
            return Ok(Self {
                url: format!("http://{}", node.address()),
                cookie: node.cookie_file(),
                chain: Kind::Bitcoind(Box::new(BitcoindChain::new(node))),
                faucet: Faucet::new(),
            });
        }
        let chain = EmbeddedChain::new(ChainParameters::default(), Policy::default());
        let chain = Arc::new(Mutex::new(chain));
        let credentials = Credentials {
            user: "__cookie__".to_owned(),
            password: "town".to_owned(),
        };
        let server = RpcServer::start(Arc::clone(&chain), &credentials)?;
        let (url, cookie) = (format!("http://{}", server.address()), folder.join("cookie"));
        std::fs::write(&cookie, format!("{}:{}", credentials.user, credentials.password))?;
        Ok(Self {
            chain: Kind::Embedded(chain, server),
            faucet: Faucet::new(),
            url,
            cookie,
        })
    }

    /// Pays to an address, and mines the payment.
    ///
    /// # Errors
    /// When it is no address of regtest.
    pub fn fund(&mut self, address: &str, sat: u64) -> Outcome<()> {
        let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address.parse()?;
        let output = TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: address.require_network(bitcoin::Network::Regtest)?.script_pubkey(),
        };
        let outputs = std::slice::from_ref(&output);
        match &mut self.chain {
            Kind::Embedded(chain, _) => self.faucet.fund(&mut *locked(chain), outputs),
            Kind::Bitcoind(chain) => self.faucet.fund(&mut **chain, outputs),
        };
        Ok(())
    }

    /// Mines blocks with what waits.
    ///
    /// # Errors
    /// When the chain refuses them.
    pub fn mine(&mut self, blocks: u32) -> Outcome<()> {
        self.mine_by(&MineOptions::blocks(blocks))
    }

    /// The same, each block by so many seconds later than the one before.
    ///
    /// # Errors
    /// When the chain refuses them.
    pub fn mine_apart(&mut self, blocks: u32, interval: u32) -> Outcome<()> {
        self.mine_by(&MineOptions {
            interval,
            ..MineOptions::blocks(blocks)
        })
    }

    /// Mines a block with this time stamp, in seconds since 1970. Those after it come each an interval later; without it all of them are of the
    /// year in which the chain's first one was made.
    ///
    /// # Errors
    /// When the chain refuses it.
    pub fn mine_at(&mut self, time: u32) -> Outcome<()> {
        self.mine_by(&MineOptions::blocks(1).at_time(time))
    }

    fn mine_by(&mut self, options: &MineOptions) -> Outcome<()> {
        match &mut self.chain {
            Kind::Embedded(chain, _) => locked(chain).mine(options)?,
            Kind::Bitcoind(chain) => chain.mine(options)?,
        };
        Ok(())
    }

    /// Replaces the last `depth` blocks by more than these, which hold what waits.
    ///
    /// # Errors
    /// When the chain refuses them.
    pub fn reorg(&mut self, depth: u32) -> Outcome<()> {
        let (depth, options) = (BlockCount(depth), MineOptions::blocks(depth + 1));
        match &mut self.chain {
            Kind::Embedded(chain, _) => locked(chain).reorg(depth, &options)?,
            Kind::Bitcoind(chain) => chain.reorg(depth, &options)?,
        };
        Ok(())
    }

    /// Stops a bitcoind, and says whether there is one.
    pub fn stop_bitcoind(&mut self) -> bool {
        match &mut self.chain {
            Kind::Embedded(..) => false,
            Kind::Bitcoind(chain) => {
                chain.stop_node();
                true
            }
        }
    }

    /// Starts a bitcoind again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_bitcoind(&mut self) -> Outcome<()> {
        if let Kind::Bitcoind(chain) = &mut self.chain {
            chain.start_node()?;
        }
        Ok(())
    }

    /// The height of its tip.
    pub fn height(&self) -> u32 {
        match &self.chain {
            Kind::Embedded(chain, _) => locked(chain).tip().height.0,
            Kind::Bitcoind(chain) => chain.tip().height.0,
        }
    }

    /// Whether a transaction waits in the mempool.
    pub fn holds(&self, txid: &str) -> bool {
        let Ok(txid) = txid.parse::<bitcoin::Txid>() else {
            return false;
        };
        match &self.chain {
            Kind::Embedded(chain, _) => locked(chain).mempool_transaction(&txid).is_some(),
            Kind::Bitcoind(chain) => chain.mempool_transaction(&txid).is_some(),
        }
    }

    /// How many transactions wait in the mempool.
    pub fn waiting(&self) -> usize {
        self.mempool().len()
    }

    /// The transactions that wait in the mempool, with what they pay.
    pub fn mempool(&self) -> Vec<MempoolEntry> {
        match &self.chain {
            Kind::Embedded(chain, _) => locked(chain).mempool(),
            Kind::Bitcoind(chain) => chain.mempool(),
        }
    }
}

fn locked(chain: &Mutex<EmbeddedChain>) -> MutexGuard<'_, EmbeddedChain> {
    chain.lock().unwrap_or_else(PoisonError::into_inner)
}
