//! Alice, who pays; Bob, who forwards; Carol, who is paid; and the chain that their channels stand on, behind bitcoind's interface.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::{Amount, TxOut};
use quittance_api::{ChannelList, ChannelOpened, NewAddress, OpenChannel};
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::rpc::{Credentials, RpcServer};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy};

use crate::Outcome;
use crate::Process;

/// The three nodes and their chain.
pub struct Town {
    /// By [`ALICE`], [`BOB`] and [`CAROL`].
    pub nodes: [Process; 3],
    ground: Ground,
    faucet: Faucet,
    /// What every node is started with beside its own arguments.
    extra: [Vec<String>; 3],
}

/// What the channels stand on.
pub enum Ground {
    /// The embedded chain, behind bitcoind's interface.
    Embedded(Arc<Mutex<EmbeddedChain>>, RpcServer),
    /// A bitcoind of our own.
    Bitcoind(Box<BitcoindChain>, SocketAddr),
}

/// Who pays.
pub const ALICE: usize = 0;
/// Who forwards.
pub const BOB: usize = 1;
/// Who is paid.
pub const CAROL: usize = 2;
/// What each channel holds.
pub const CAPACITY_SAT: u64 = 10_000_000;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

impl Town {
    /// Three nodes with channels from Alice to Bob and from Bob to Carol, on a `bitcoind` if there is one to be started, else on the
    /// embedded chain. `payer` is what Alice is started with beside.
    ///
    /// # Errors
    /// Whatever went wrong.
    pub fn new(program: &Path, folder: &Path, bitcoind: Option<&Path>, payer: &[&str]) -> Outcome<Self> {
        let (ground, url, cookie) = Ground::new(folder, bitcoind)?;
        let arguments = vec![
            "--bitcoind".to_owned(),
            url,
            "--bitcoind-cookie".to_owned(),
            cookie.display().to_string(),
            "--confirm-events".to_owned(),
        ];
        let node = |name| Process::new(name, program, folder, arguments.clone());
        let mut town = Self {
            nodes: [node("alice")?, node("bob")?, node("carol")?],
            ground,
            faucet: Faucet::new(),
            extra: [
                payer.iter().map(|part| (*part).to_owned()).collect(),
                Vec::new(),
                Vec::new(),
            ],
        };
        town.mine(1)?;
        let bob = town.start(BOB)?;
        let called = format!("{bob}@{}", town.nodes[BOB].listen);
        for caller in [ALICE, CAROL] {
            town.extra[caller].extend(["--peer".to_owned(), called.clone()]);
            town.start(caller)?;
        }
        for opener in [ALICE, BOB] {
            town.fund(opener)?;
        }
        town.open(ALICE, BOB)?;
        town.open(BOB, CAROL)?;
        Ok(town)
    }

    /// Starts a node; its id.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn start(&mut self, node: usize) -> Outcome<String> {
        let extra = self.extra[node].clone();
        Ok(self.nodes[node].start(&extra)?.id.to_string())
    }

    /// Waits until every channel can be used.
    pub fn wait_until_usable(&self) -> Outcome<()> {
        for (node, channels) in [(ALICE, 1), (BOB, 2), (CAROL, 1)] {
            Self::wait_for("channels can be used", || {
                let list: ChannelList = self.nodes[node].caller()?.get("/v1/channels")?;
                Ok(list
                    .channels
                    .iter()
                    .filter(|channel| channel.connected && channel.state == "open")
                    .count()
                    == channels)
            })?;
        }
        Ok(())
    }

    /// Waits until `is_so`.
    pub fn wait_for(what: &str, mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
        let began = Instant::now();
        while !is_so()? {
            if began.elapsed() > PATIENCE {
                return Err(format!("after {} s it is still not so that {what}", PATIENCE.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn fund(&mut self, node: usize) -> Outcome<()> {
        let address: NewAddress = self.nodes[node].caller()?.post("/v1/address", &serde_json::json!({}))?;
        let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address.address.parse()?;
        let output = TxOut {
            value: Amount::from_sat(2 * CAPACITY_SAT),
            script_pubkey: address.require_network(bitcoin::Network::Regtest)?.script_pubkey(),
        };
        self.ground.fund(&mut self.faucet, &output);
        self.mine(6)?;
        Self::wait_for("the wallet sees its coins", || {
            let balance: quittance_api::Balance = self.nodes[node].caller()?.get("/v1/balance")?;
            Ok(balance.confirmed_sat >= 2 * CAPACITY_SAT)
        })
    }

    fn open(&mut self, opener: usize, other: usize) -> Outcome<()> {
        let id = self.nodes[other].caller()?.get::<quittance_api::Info>("/v1/info")?.id;
        Self::wait_for("the peers are connected", || {
            let peers: quittance_api::PeerList = self.nodes[opener].caller()?.get("/v1/peers")?;
            Ok(peers.peers.iter().any(|peer| peer.id == id))
        })?;
        let body = OpenChannel {
            peer: id,
            capacity_sat: CAPACITY_SAT,
            push_msat: 0,
            announce: false,
        };
        let opened: ChannelOpened = self.nodes[opener].caller()?.post("/v1/channels", &body)?;
        Self::wait_for("the funding is in the mempool", || Ok(self.ground.waits()))?;
        self.mine(8)?;
        for node in [opener, other] {
            Self::wait_for("the channel is open", || {
                let list: ChannelList = self.nodes[node].caller()?.get("/v1/channels")?;
                Ok(list
                    .channels
                    .iter()
                    .any(|channel| channel.id == opened.id && channel.state == "open" && channel.connected))
            })?;
        }
        Ok(())
    }

    fn mine(&mut self, blocks: u32) -> Outcome<()> {
        self.ground.mine(blocks)
    }
}

impl Ground {
    /// A chain, where it answers, and the file that lets in.
    fn new(folder: &Path, bitcoind: Option<&Path>) -> Outcome<(Self, String, PathBuf)> {
        if let Some(program) = bitcoind {
            let node = Bitcoind::start(program, &Policy::default())?;
            let (address, cookie) = (node.address(), node.cookie_file());
            let ground = Self::Bitcoind(Box::new(BitcoindChain::new(node)), address);
            return Ok((ground, format!("http://{address}"), cookie));
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
        Ok((Self::Embedded(chain, server), url, cookie))
    }

    fn fund(&mut self, faucet: &mut Faucet, output: &TxOut) {
        let outputs = std::slice::from_ref(output);
        match self {
            Self::Embedded(chain, _) => {
                faucet.fund(&mut *chain.lock().unwrap_or_else(PoisonError::into_inner), outputs);
            }
            Self::Bitcoind(chain, _) => {
                faucet.fund(&mut **chain, outputs);
            }
        }
    }

    fn mine(&mut self, blocks: u32) -> Outcome<()> {
        let options = MineOptions::blocks(blocks);
        match self {
            Self::Embedded(chain, _) => chain.lock().unwrap_or_else(PoisonError::into_inner).mine(&options)?,
            Self::Bitcoind(chain, _) => chain.mine(&options)?,
        };
        Ok(())
    }

    /// Whether something waits in the mempool.
    fn waits(&self) -> bool {
        match self {
            Self::Embedded(chain, _) => !chain
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .mempool()
                .is_empty(),
            Self::Bitcoind(chain, _) => !chain.mempool().is_empty(),
        }
    }
}
