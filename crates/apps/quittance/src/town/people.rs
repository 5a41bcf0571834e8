//! Alice, who pays; Bob, who forwards; Carol, who is paid; and the chain that their channels stand on, behind bitcoind's interface.

use std::path::Path;
use std::time::{Duration, Instant};

use quittance_api::{ChannelList, ChannelOpened, NewAddress, OpenChannel};

use crate::Outcome;
use crate::{Ground, Process};

/// The three nodes and their chain.
pub struct Town {
    /// By [`ALICE`], [`BOB`] and [`CAROL`].
    pub nodes: [Process; 3],
    /// What their channels stand on.
    pub ground: Ground,
    /// What every node is started with beside its own arguments.
    extra: [Vec<String>; 3],
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
        let ground = Ground::new(folder, bitcoind)?;
        let arguments = vec![
            "--bitcoind".to_owned(),
            ground.url.clone(),
            "--bitcoind-cookie".to_owned(),
            ground.cookie.display().to_string(),
            "--confirm-events".to_owned(),
        ];
        let node = |name| Process::new(name, program, folder, arguments.clone());
        let mut town = Self {
            nodes: [node("alice")?, node("bob")?, node("carol")?],
            ground,
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

    /// Waits until every channel can be used, and everybody has read the chain up to its tip: a payer that is many blocks behind its payee
    /// sends what expires too soon.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_until_usable(&self) -> Outcome<()> {
        self.wait_for_height()?;
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

    /// Waits until everybody has read the chain up to its tip.
    ///
    /// # Errors
    /// When somebody does not.
    pub fn wait_for_height(&self) -> Outcome<()> {
        let height = self.ground.height();
        for node in &self.nodes {
            let (caller, name) = (node.caller()?, node.name);
            Self::wait_for(&format!("{name} has read up to {height}"), || {
                let info: quittance_api::Info = caller.get("/v1/info")?;
                Ok(info.height == height)
            })?;
        }
        Ok(())
    }

    /// Waits until `is_so`, as long as anything may take.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_for(what: &str, is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
        Self::wait_as_long_as(PATIENCE, what, is_so)
    }

    /// Waits until `is_so`.
    ///
    /// # Errors
    /// When it does not come to that in time.
    pub fn wait_as_long_as(patience: Duration, what: &str, mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
        let began = Instant::now();
        while !is_so()? {
            if began.elapsed() > patience {
                return Err(format!("after {} s it is still not so that {what}", patience.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Gives a node's wallet twice what a channel holds.
    ///
    /// # Errors
    /// When it does not see it.
    pub fn fund(&mut self, node: usize) -> Outcome<()> {
        let address: NewAddress = self.nodes[node].caller()?.post("/v1/address", &serde_json::json!({}))?;
        self.ground.fund(&address.address, 2 * CAPACITY_SAT)?;
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
            zeroconf: false,
        };
        let opened: ChannelOpened = self.nodes[opener].caller()?.post("/v1/channels", &body)?;
        Self::wait_for("the funding is in the mempool", || Ok(self.ground.waiting() > 0))?;
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

    /// Finds blocks.
    ///
    /// # Errors
    /// When the chain refuses.
    pub fn mine(&mut self, blocks: u32) -> Outcome<()> {
        self.ground.mine(blocks)
    }
}
