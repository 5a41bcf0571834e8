//! An embedded chain behind bitcoind's interface, for whoever wants a bitcoind of its own to play with.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::{Address, Amount, TxOut};

use crate::rpc::{Credentials, RpcServer};
use crate::{Chain, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy, Rejected};

/// A chain that answers as a bitcoind does, as long as it lives.
pub struct ServedChain {
    chain: Arc<Mutex<EmbeddedChain>>,
    server: RpcServer,
    credentials: Credentials,
    faucet: Faucet,
}

impl ServedChain {
    /// A chain of two blocks.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub fn start() -> io::Result<Self> {
        let credentials = Credentials {
            user: "user".to_owned(),
            password: "regtest".to_owned(),
        };
        let chain = EmbeddedChain::new(ChainParameters::default(), Policy::default());
        let chain = Arc::new(Mutex::new(chain));
        let server = RpcServer::start(Arc::clone(&chain), &credentials)?;
        let mut served = Self {
            chain,
            server,
            credentials,
            faucet: Faucet::new(),
        };
        served.mine(1).map_err(io::Error::other)?;
        Ok(served)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What lets in: user and password.
    pub fn login(&self) -> (String, String) {
        (self.credentials.user.clone(), self.credentials.password.clone())
    }

    /// Finds blocks.
    ///
    /// # Errors
    /// When a block is refused.
    pub fn mine(&mut self, blocks: u32) -> Result<(), Rejected> {
        self.lock().mine(&MineOptions::blocks(blocks)).map(drop)
    }

    /// Pays somebody, six blocks deep.
    pub fn pay(&mut self, to: &Address, amount: Amount) -> Result<(), Rejected> {
        let output = TxOut {
            value: amount,
            script_pubkey: to.script_pubkey(),
        };
        let chain = Arc::clone(&self.chain);
        self.faucet
            .fund(&mut *chain.lock().unwrap_or_else(PoisonError::into_inner), &[output]);
        self.mine(6)
    }

    fn lock(&self) -> MutexGuard<'_, EmbeddedChain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
