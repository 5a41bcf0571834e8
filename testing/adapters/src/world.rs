//! A chain with a server in front, which can be stopped and started again.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid};
use quittance_chain::{Authentication, BitcoindConfig, ChainSource, ChainUpdate, Follower, Tip};
use quittance_primitives::BlockCount;
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::rpc::{Credentials, RpcServer};
use quittance_regtest::{Chain, EmbeddedChain, Faucet, MineOptions, Policy, faucet};

/// A chain and the server that the adapters talk to.
pub struct World {
    backend: Backend,
    faucet: Faucet,
}

enum Backend {
    Embedded {
        chain: Arc<Mutex<EmbeddedChain>>,
        server: Option<RpcServer>,
        address: SocketAddr,
    },
    Real {
        chain: Box<BitcoindChain>,
        node: Bitcoind,
    },
}

const USER: &str = "user";
const PASSWORD: &str = "password";
/// Long enough for a busy machine, short enough for a test.
const TIMEOUT: Duration = Duration::from_secs(20);

impl World {
    /// The embedded chain behind bitcoind's interface.
    pub fn embedded() -> Self {
        let chain = Arc::new(Mutex::new(EmbeddedChain::new(
            quittance_regtest::ChainParameters::default(),
            Policy::BITCOIN_CORE_31,
        )));
        let server = RpcServer::start(Arc::clone(&chain), &credentials()).expect("loopback has a free port");
        let address = server.address();
        Self {
            backend: Backend::Embedded {
                chain,
                server: Some(server),
                address,
            },
            faucet: Faucet::new(),
        }
    }

    /// A bitcoind that was just started.
    pub fn real(program: &OsString) -> Self {
        let node = Bitcoind::start(program, &Policy::BITCOIN_CORE_31).expect("the node starts");
        let chain = Box::new(BitcoindChain::connect(node.client()));
        Self {
            backend: Backend::Real { chain, node },
            faucet: Faucet::new(),
        }
    }

    /// Whether it is a real bitcoind.
    pub const fn is_real(&self) -> bool {
        matches!(self.backend, Backend::Real { .. })
    }

    /// The chain itself, past the server.
    pub fn with<R>(&mut self, act: impl FnOnce(&mut dyn Chain) -> R) -> R {
        match &mut self.backend {
            Backend::Embedded { chain, .. } => act(&mut *chain.lock().unwrap_or_else(PoisonError::into_inner)),
            Backend::Real { chain, .. } => act(&mut **chain),
        }
    }

    /// The adapter, pointed at the server.
    pub fn bitcoind(&self) -> quittance_chain::Bitcoind {
        quittance_chain::Bitcoind::new(self.config())
    }

    /// How the server is reached.
    pub fn config(&self) -> BitcoindConfig {
        let (address, authentication) = match &self.backend {
            Backend::Embedded { address, .. } => (
                *address,
                Authentication::UserPassword {
                    user: USER.to_owned(),
                    password: PASSWORD.to_owned(),
                },
            ),
            Backend::Real { node, .. } => (node.address(), Authentication::CookieFile(node.cookie_file())),
        };
        let url = format!("http://{address}");
        BitcoindConfig {
            url,
            authentication,
            network: Network::Regtest,
            timeout: TIMEOUT,
        }
    }

    /// A follower that begins at the best chain's tip.
    pub fn follower(&self) -> Follower<quittance_chain::Bitcoind> {
        let bitcoind = self.bitcoind();
        let tip = bitcoind.best().expect("the server answers").tip;
        Follower::new(bitcoind, [tip]).expect("a tip is a beginning")
    }

    /// The server goes away; what it knew stays.
    pub fn stop_server(&mut self) {
        match &mut self.backend {
            Backend::Embedded { server, .. } => drop(server.take()),
            Backend::Real { node, .. } => node.stop(),
        }
    }

    /// The server comes back, where it was.
    pub fn start_server(&mut self) {
        match &mut self.backend {
            Backend::Embedded { chain, server, address } => {
                let started = RpcServer::start_at(*address, Arc::clone(chain), &credentials());
                *server = Some(started.expect("the port is free again"));
            }
            Backend::Real { chain, node } => {
                node.start_again().expect("the node starts again");
                **chain = BitcoindChain::connect(node.client());
            }
        }
    }

    /// The tip.
    pub fn tip(&mut self) -> Tip {
        let tip = self.with(|chain| chain.tip());
        Tip {
            height: tip.height,
            hash: tip.hash,
        }
    }

    /// Mines blocks with what waits.
    pub fn mine(&mut self, blocks: u32) {
        self.with(|chain| chain.mine(&MineOptions::blocks(blocks)))
            .expect("the mempool is valid");
    }

    /// Replaces the last `depth` blocks by `depth + 1` empty ones.
    pub fn reorg(&mut self, depth: u32) {
        let replaced = self.with(|chain| chain.reorg(BlockCount(depth), &MineOptions::empty(depth + 1)));
        replaced.expect("empty blocks are valid");
    }

    /// Pays to scripts, in a block of its own.
    pub fn pay(&mut self, outputs: &[(ScriptBuf, u64)]) -> Vec<OutPoint> {
        let outputs: Vec<TxOut> = outputs
            .iter()
            .map(|(script, sat)| TxOut {
                value: Amount::from_sat(*sat),
                script_pubkey: script.clone(),
            })
            .collect();
        match &mut self.backend {
            Backend::Embedded { chain, .. } => self
                .faucet
                .fund(&mut *chain.lock().unwrap_or_else(PoisonError::into_inner), &outputs),
            Backend::Real { chain, .. } => self.faucet.fund(&mut **chain, &outputs),
        }
    }

    /// A confirmed output that anyone can spend.
    pub fn open_coin(&mut self, sat: u64) -> OutPoint {
        self.pay(&[(faucet::reward_script(), sat)])[0]
    }

    /// Offers a transaction; its id if it was taken.
    pub fn submit(&mut self, transaction: &Transaction) -> Txid {
        self.with(|chain| chain.submit(transaction))
            .expect("the transaction is taken")
    }

    /// Whether a transaction is in a block.
    pub fn is_confirmed(&mut self, txid: &Txid) -> bool {
        self.with(|chain| chain.confirmed_at(txid)).is_some()
    }
}

/// Spends outputs that anyone can spend, to one output of the same kind.
pub fn spend_open(coins: &[(OutPoint, u64)], fee: u64) -> Transaction {
    let total: u64 = coins.iter().map(|(_, sat)| sat).sum();
    let input = |(previous_output, _): &(OutPoint, u64)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: faucet::reward_witness(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: vec![TxOut {
            value: Amount::from_sat(total - fee),
            script_pubkey: faucet::reward_script(),
        }],
    }
}

/// All that a follower has to tell until it is at the tip.
pub fn updates<S: ChainSource>(follower: &mut Follower<S>) -> Vec<ChainUpdate> {
    let mut updates = Vec::new();
    while let Some(update) = follower.next().expect("the server answers") {
        updates.push(update);
    }
    updates
}

fn credentials() -> Credentials {
    Credentials {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
    }
}
