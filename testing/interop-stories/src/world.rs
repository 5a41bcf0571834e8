//! Some of our nodes, some of LDK's, and the chain between them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quittance_api::{
    ChannelList, ChannelOpened, ConnectPeer, Done, EventKind, Hex, Info, NewAddress, OpenChannel, PeerList,
};
use quittance_town::{Caller, Ground, Ledger, Outcome, Process, Town};

use crate::fees::Fees;
use crate::link::Link;
use crate::peer::{ChannelKind, Ldk};
use crate::protocol::Call;

/// The programs.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// Ours.
    pub(crate) quittance: PathBuf,
    /// LDK's.
    pub(crate) ldk: PathBuf,
    /// The chain's, if there is one; else the embedded chain is taken.
    pub(crate) bitcoind: Option<PathBuf>,
}

/// Nodes on a chain of their own. They end with it.
pub(crate) struct World {
    pub(crate) ours: Vec<Ours>,
    pub(crate) ldk: Vec<Ldk>,
    pub(crate) ground: Ground,
    /// What LDK's nodes are told of feerates.
    pub(crate) fees: Fees,
    /// What stands between the first two, in a world that has it.
    pub(crate) link: Option<Link>,
    /// For names of payments, no two alike.
    pub(crate) named: u64,
    /// How many channels were closed on purpose.
    pub(crate) closings: usize,
    /// Whether the ledgers must agree: not once somebody came back from a backup.
    pub(crate) is_of_one_mind: bool,
    /// Whether each block leaves LDK's nodes the time to do what follows from it, as ten minutes do. Without it they see many at once.
    pub(crate) is_paced: bool,
    /// Removed with the world.
    pub(crate) folder: tempfile::TempDir,
}

/// A node of ours, and what its user was told.
pub(crate) struct Ours {
    pub(crate) process: Process,
    pub(crate) ledger: Ledger,
    pub(crate) node: Hex<33>,
    /// Whom it calls after each start.
    peers: Vec<String>,
}

/// Who of two does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Our node.
    Ours,
    /// LDK's.
    Ldk,
}

/// What a channel is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) by: By,
    pub(crate) capacity_sat: u64,
    pub(crate) push_msat: u64,
    pub(crate) announce: bool,
}

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// What LDK takes for its channels, unless a story has it otherwise; in sat per 1000 weight units.
pub(crate) const LDK_FEERATE: u64 = 1_000;
/// How old the chain is when a world begins: less than two weeks, and long enough for more blocks than any world mines. Terms of a channel
/// whose time, the last block's, is to come are not believed.
const CHAIN_AGE: Duration = Duration::from_hours(10 * 24);
/// By how much each block is later than the one before.
const BLOCK_INTERVAL_S: u32 = 60;
/// What each node has on chain.
const COINS_SAT: u64 = 100_000_000;
/// A node that has nothing to do for so long has done what there was to be done: events follow each other by a few milliseconds.
const REST: Duration = Duration::from_millis(150);
/// What LDK logs of errors and warnings, from us and to us.
const COMPLAINTS: [&str; 4] = [
    "Got Err message from",
    "Got warning message from",
    "sending warning message with",
    "Handling SendWarningMessage HandleError",
];
/// Our nodes' names.
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

impl World {
    /// So many of our nodes and of LDK's, each with coins if it has a wallet; nobody is connected.
    pub(crate) fn new(tools: &Tools, (ours, ldk): (usize, usize), kind: ChannelKind) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("quittance-interop-").tempdir()?;
        let ground = Ground::new(folder.path(), tools.bitcoind.as_deref())?;
        let chain = ground.url.trim_start_matches("http://").parse()?;
        let mut world = Self {
            fees: Fees::new(chain, LDK_FEERATE)?,
            link: None,
            ours: Vec::new(),
            ldk: Vec::new(),
            ground,
            named: 0,
            closings: 0,
            is_of_one_mind: true,
            is_paced: false,
            folder,
        };
        // LDK's chain source wants a chain that has begun; and it takes the time for its channel_updates from the blocks, and drops those
        // that are two weeks old.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let began = now.saturating_sub(CHAIN_AGE).as_secs();
        world.ground.mine_at(u32::try_from(began)?)?;
        let path = world.folder.path().to_owned();
        for name in NAMES.iter().take(ours) {
            let node = world.new_ours(&tools.quittance, name, &path)?;
            world.ours.push(node);
        }
        for number in 0..ldk {
            let folder = path.join(format!("ldk-{number}"));
            world.ldk.push(Ldk::new(
                &tools.ldk,
                folder,
                (world.fees.address, &world.ground.cookie),
                kind,
            )?);
        }
        world.fund(kind)?;
        Ok(world)
    }

    fn new_ours(&self, program: &Path, name: &'static str, parent: &Path) -> Outcome<Ours> {
        let arguments = vec![
            "--bitcoind".to_owned(),
            self.ground.url.clone(),
            "--bitcoind-cookie".to_owned(),
            self.ground.cookie.display().to_string(),
            "--confirm-events".to_owned(),
        ];
        let mut process = Process::new(name, program, parent, arguments)?;
        std::fs::create_dir_all(&process.folder)?;
        std::fs::write(process.folder.join("quittance.toml"), format!("alias = \"{name}\"\n"))?;
        let node = process.start(&[])?.id;
        Ok(Ours {
            process,
            ledger: Ledger::default(),
            node,
            peers: Vec::new(),
        })
    }

    fn fund(&mut self, kind: ChannelKind) -> Outcome<()> {
        for node in 0..self.ours.len() {
            let address: NewAddress = self.ours[node].caller()?.post("/v1/address", &serde_json::json!({}))?;
            self.ground.fund(&address.address, COINS_SAT)?;
        }
        let wallets = match kind {
            ChannelKind::Anchors | ChannelKind::StaticRemotekey => self.ldk.len(),
            ChannelKind::Roomy => 0,
        };
        for node in 0..wallets {
            let address: String = self.ldk[node].ask(&Call::Address)?;
            self.ground.fund(&address, COINS_SAT)?;
        }
        self.mine(6)?;
        for node in 0..self.ours.len() {
            wait_for("our wallet sees its coins", || {
                let balance: quittance_api::Balance = self.ours[node].caller()?.get("/v1/balance")?;
                Ok(balance.confirmed_sat >= COINS_SAT)
            })?;
        }
        for node in 0..wallets {
            wait_for("LDK's wallet sees its coins", || {
                Ok(self.ldk[node].balance()?.spendable >= COINS_SAT)
            })?;
        }
        Ok(())
    }

    /// Mines blocks, and waits until every node that runs has read them.
    pub(crate) fn mine(&mut self, blocks: u32) -> Outcome<()> {
        if !self.is_paced {
            return self.mine_at_once(blocks);
        }
        for _ in 0..blocks {
            self.mine_at_once(1)?;
            self.wait_until_ldk_rests()?;
        }
        Ok(())
    }

    /// Waits until LDK's nodes have done what follows from what they know: every transaction that they broadcast has come to the chain, there
    /// are no more of them, and their logs have come to an end.
    pub(crate) fn wait_until_ldk_rests(&self) -> Outcome<()> {
        let (mut seen, mut since) = (None, Instant::now());
        wait_for("LDK rests", || {
            let logs: u64 = self.ldk.iter().map(Ldk::log_length).sum();
            let broadcasts = self.fees.broadcasts();
            let now = Some((logs, broadcasts));
            if now != seen || !broadcasts.are_judged() {
                (seen, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= REST)
        })
    }

    fn mine_at_once(&mut self, blocks: u32) -> Outcome<()> {
        self.ground.mine_apart(blocks, BLOCK_INTERVAL_S)?;
        let height = self.ground.height();
        for node in self.ldk.iter_mut().filter(|node| node.is_running()) {
            wait_for("LDK reads the chain", || {
                node.ask::<()>(&Call::Sync)?;
                Ok(node.info()?.height >= height)
            })?;
        }
        for node in &self.ours {
            let Ok(caller) = node.caller() else { continue };
            wait_for("our node reads the chain", || {
                Ok(caller.get::<Info>("/v1/info")?.height >= height)
            })?;
        }
        Ok(())
    }

    /// Waits until something is in the mempool, and mines it.
    pub(crate) fn mine_what_comes(&mut self, blocks: u32) -> Outcome<()> {
        let ground = &self.ground;
        wait_for("a transaction is in the mempool", || Ok(ground.waiting() > 0))?;
        self.mine(blocks)
    }

    /// One of the two calls the other.
    pub(crate) fn connect(&mut self, ours: usize, ldk: usize, by: By) -> Outcome<()> {
        match by {
            By::Ours => {
                let body = ConnectPeer {
                    id: self.ldk[ldk].node.parse()?,
                    address: self.ldk[ldk].reach.to_string(),
                };
                let _: Done = self.ours[ours].caller()?.post("/v1/peers", &body)?;
                let peer = format!("{}@{}", self.ldk[ldk].node, self.ldk[ldk].reach);
                self.ours[ours].peers.push(peer);
            }
            By::Ldk => {
                let call = Call::Connect {
                    node: self.ours[ours].node.to_string(),
                    address: self.ours[ours].process.listen.to_string(),
                };
                self.ldk[ldk].ask::<()>(&call)?;
            }
        }
        self.wait_until_connected(ours, ldk)
    }

    pub(crate) fn wait_until_connected(&mut self, ours: usize, ldk: usize) -> Outcome<()> {
        let (here, there) = (&self.ours[ours], &mut self.ldk[ldk]);
        let (our_id, their_id) = (here.node.to_string(), there.node.clone());
        wait_for("each has the other as its peer", || {
            let peers: PeerList = here.caller()?.get("/v1/peers")?;
            let is_here = peers.peers.iter().any(|peer| peer.id.to_string() == their_id);
            Ok(is_here && there.info()?.peers.contains(&our_id))
        })
    }

    /// Opens a channel between a node of ours and one of LDK's, and waits until both can use it; its id.
    pub(crate) fn open(&mut self, ours: usize, ldk: usize, terms: Terms) -> Outcome<String> {
        let before = self.channel_ids(ours, ldk)?;
        match terms.by {
            By::Ours => {
                let body = OpenChannel {
                    peer: self.ldk[ldk].node.parse()?,
                    capacity_sat: terms.capacity_sat,
                    push_msat: terms.push_msat,
                    announce: terms.announce,
                    zeroconf: false,
                };
                let _: ChannelOpened = self.ours[ours].caller()?.post("/v1/channels", &body)?;
            }
            By::Ldk => {
                let call = Call::Open {
                    node: self.ours[ours].node.to_string(),
                    address: self.ours[ours].process.listen.to_string(),
                    capacity_sat: terms.capacity_sat,
                    push_msat: terms.push_msat,
                    announce: terms.announce,
                };
                self.ldk[ldk].ask::<()>(&call)?;
            }
        }
        self.mine_what_comes(8)?;
        let mut opened = None;
        wait_for("the channel is open on both sides", || {
            let new = self.channel_ids(ours, ldk)?;
            opened = new.into_iter().find(|id| !before.contains(id));
            Ok(opened.is_some())
        })?;
        opened.ok_or_else(|| "a channel that is open has an id".into())
    }

    /// The channels between the two that both can use.
    pub(crate) fn channel_ids(&mut self, ours: usize, ldk: usize) -> Outcome<Vec<String>> {
        let (here, there) = (&self.ours[ours], &mut self.ldk[ldk]);
        let theirs = there.channels()?;
        let our_id = here.node.to_string();
        let is_usable_there = |id: &str| {
            theirs
                .iter()
                .any(|channel| channel.usable && channel.id == id && channel.node == our_id)
        };
        let list = here.channels()?.channels;
        Ok(list
            .iter()
            .filter(|channel| channel.connected && channel.state == "open")
            .map(|channel| channel.id.to_string())
            .filter(|id| is_usable_there(id))
            .collect())
    }

    /// Waits until so many channels can be used by both, and each has told the other its terms.
    pub(crate) fn wait_until_usable(&mut self, ours: usize, ldk: usize, channels: usize) -> Outcome<()> {
        wait_for("the channels can be used", || {
            let ready = self.channel_ids(ours, ldk)?.len() >= channels;
            Ok(ready && self.ldk[ldk].channels()?.iter().all(|channel| channel.has_terms))
        })
    }

    /// Nobody has closed a channel whose story it was not, or complained of the other.
    pub(crate) fn check_manners(&mut self) -> Outcome<()> {
        for node in &self.ours {
            let closed = node
                .ledger
                .events()
                .filter(|event| matches!(event.event, EventKind::ChannelClosed { .. }));
            let closed = closed.count();
            if closed > self.closings {
                return Err(format!(
                    "{}: {closed} channels are closed, and {} were to be",
                    node.process.name, self.closings
                )
                .into());
            }
        }
        for node in &mut self.ldk {
            let events: Vec<String> = node.ask(&Call::Events { from: 0 })?;
            let mut closed = events.iter().filter(|event| event.starts_with("ChannelClosed"));
            if let Some(event) = closed.nth(self.closings) {
                return Err(format!("LDK has closed a channel that was not to be closed: {event}").into());
            }
            if self.closings > 0 {
                // A close by force is told in an error.
                continue;
            }
            let log = node.log();
            let complaint = log
                .lines()
                .find(|line| COMPLAINTS.iter().any(|words| line.contains(words)));
            if let Some(line) = complaint {
                return Err(format!("LDK's log has: {line}").into());
            }
        }
        Ok(())
    }

    /// A name for a payment of ours.
    pub(crate) fn name(&mut self) -> Hex<32> {
        self.named += 1;
        let mut name = [0; 32];
        name[..8].copy_from_slice(&self.named.to_be_bytes());
        Hex(name)
    }
}

impl Ours {
    /// Starts it; it calls those whom it has called.
    pub(crate) fn start(&mut self) -> Outcome<()> {
        let peers: Vec<String> = self
            .peers
            .iter()
            .flat_map(|peer| ["--peer".to_owned(), peer.clone()])
            .collect();
        self.process.start(&peers)?;
        Ok(())
    }

    /// Its interface.
    pub(crate) fn caller(&self) -> Outcome<&Caller> {
        self.process.caller()
    }

    /// What it has on chain, in blocks.
    pub(crate) fn onchain(&self) -> Outcome<u64> {
        let balance: quittance_api::Balance = self.caller()?.get("/v1/balance")?;
        Ok(balance.confirmed_sat)
    }

    /// Its channels.
    pub(crate) fn channels(&self) -> Outcome<ChannelList> {
        Ok(self.caller()?.get("/v1/channels")?)
    }
}

/// Waits until `is_so`.
pub(crate) fn wait_for(what: &str, is_so: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    Town::wait_as_long_as(PATIENCE, what, is_so)
}
