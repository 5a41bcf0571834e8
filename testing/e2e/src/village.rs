//! Any number of nodes as processes of their own, with the channels that a story wants.

use std::path::{Path, PathBuf};

use quittance_api::{
    Balance, Channel, ChannelList, ChannelOpened, ConnectPeer, CreateInvoice, Decode, Decoded, DecodedHint, Done, Hex,
    Info, Invoice, NewAddress, OpenChannel, Pay, Payment, PaymentState, PeerList, RouteHop,
};
use quittance_town::{CAPACITY_SAT, CallFailed, Caller, Ground, Outcome, Process, Town};

/// The nodes, and the chain that they live on.
pub(crate) struct Village {
    pub(crate) nodes: Vec<Process>,
    pub(crate) ground: Ground,
    /// By the same numbers as the nodes.
    pub(crate) ids: Vec<Hex<33>>,
    arguments: Vec<String>,
    program: PathBuf,
    folder: PathBuf,
}

/// How a channel is to be opened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) push_msat: u64,
    pub(crate) announce: bool,
    pub(crate) zeroconf: bool,
}

impl Village {
    /// A chain, and nobody on it yet.
    pub(crate) fn new(program: &Path, folder: &Path, bitcoind: Option<&Path>) -> Outcome<Self> {
        let mut ground = Ground::new(folder, bitcoind)?;
        ground.mine(1)?;
        let cookie = ground.cookie.display().to_string();
        let arguments = ["--bitcoind", &ground.url, "--bitcoind-cookie", &cookie].map(str::to_owned);
        Ok(Self {
            nodes: Vec::new(),
            ground,
            ids: Vec::new(),
            arguments: arguments.to_vec(),
            program: program.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Somebody moves in; its number. `file` is its quittance.toml.
    pub(crate) fn settle(&mut self, name: &'static str, file: &str) -> Outcome<usize> {
        let mut node = Process::new(name, &self.program, &self.folder, self.arguments.clone())?;
        std::fs::create_dir_all(&node.folder)?;
        std::fs::write(node.folder.join("quittance.toml"), file)?;
        self.ids.push(node.start(&[])?.id);
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Kills a node and starts it with another quittance.toml.
    pub(crate) fn restart(&mut self, node: usize, file: &str) -> Outcome<()> {
        self.nodes[node].kill()?;
        std::fs::write(self.nodes[node].folder.join("quittance.toml"), file)?;
        self.nodes[node].start(&[])?;
        Ok(())
    }

    pub(crate) fn caller(&self, node: usize) -> Outcome<&Caller> {
        self.nodes[node].caller()
    }

    /// One calls the other, and keeps the connection.
    pub(crate) fn connect(&self, node: usize, to: usize) -> Outcome<()> {
        let body = ConnectPeer {
            id: self.ids[to],
            address: self.nodes[to].listen.to_string(),
        };
        let _: Done = self.caller(node)?.post("/v1/peers", &body)?;
        self.wait_for_peer(node, to)
    }

    /// Waits until two are connected.
    pub(crate) fn wait_for_peer(&self, node: usize, other: usize) -> Outcome<()> {
        let (caller, id) = (self.caller(node)?, self.ids[other]);
        Town::wait_for("the peers are connected", || {
            let peers: PeerList = caller.get("/v1/peers")?;
            Ok(peers.peers.iter().any(|peer| peer.id == id))
        })
    }

    /// Gives a wallet what two channels hold.
    pub(crate) fn fund(&mut self, node: usize) -> Outcome<()> {
        let address: NewAddress = self.caller(node)?.post("/v1/address", &serde_json::json!({}))?;
        self.ground.fund(&address.address, 2 * CAPACITY_SAT)?;
        self.mine(6)?;
        let caller = self.caller(node)?;
        Town::wait_for("the wallet sees its coins", || {
            let balance: Balance = caller.get("/v1/balance")?;
            Ok(balance.confirmed_sat >= 2 * CAPACITY_SAT)
        })
    }

    /// Asks for a channel; its id.
    pub(crate) fn open(&self, node: usize, peer: usize, wish: Wish) -> Outcome<Result<Hex<32>, CallFailed>> {
        let body = OpenChannel {
            peer: self.ids[peer],
            capacity_sat: CAPACITY_SAT,
            push_msat: wish.push_msat,
            announce: wish.announce,
            zeroconf: wish.zeroconf,
        };
        let opened = self.caller(node)?.post::<ChannelOpened>("/v1/channels", &body);
        Ok(opened.map(|opened| opened.id))
    }

    /// Finds blocks, and waits until everybody who runs has read them.
    pub(crate) fn mine(&mut self, blocks: u32) -> Outcome<()> {
        self.ground.mine(blocks)?;
        let height = self.ground.height();
        for caller in self.nodes.iter().flat_map(Process::caller) {
            Town::wait_for("everybody has read the chain", || {
                Ok(caller.get::<Info>("/v1/info")?.height == height)
            })?;
        }
        Ok(())
    }

    /// A node's channel, as it sees it.
    pub(crate) fn channel(&self, node: usize, id: Hex<32>) -> Outcome<Channel> {
        let list: ChannelList = self.caller(node)?.get("/v1/channels")?;
        let found = list.channels.into_iter().find(|channel| channel.id == id);
        found.ok_or_else(|| format!("{} has no channel {id}", self.nodes[node].name).into())
    }

    /// Waits until both ends can use a channel.
    pub(crate) fn wait_until_usable(&self, id: Hex<32>, ends: [usize; 2]) -> Outcome<()> {
        for node in ends {
            Town::wait_for("the channel can be used", || {
                let channel = self.channel(node, id)?;
                Ok(channel.state == "open" && channel.connected)
            })?;
        }
        Ok(())
    }

    /// An invoice, and what it says of the ways to its payee.
    pub(crate) fn invoice(&self, payee: usize, amount_msat: u64) -> Outcome<(String, Vec<DecodedHint>)> {
        let body = CreateInvoice {
            amount_msat: Some(amount_msat),
            ..CreateInvoice::default()
        };
        let caller = self.caller(payee)?;
        let made: Invoice = caller.post("/v1/invoices", &body)?;
        let decode = Decode {
            invoice: made.invoice.clone(),
        };
        let decoded: Decoded = caller.post("/v1/decode", &decode)?;
        Ok((made.invoice, decoded.hints))
    }

    /// Pays an invoice along `routes`, or as the node thinks best, and waits for the end.
    pub(crate) fn pay(&self, payer: usize, invoice: &str, routes: Vec<Vec<RouteHop>>) -> Outcome<Payment> {
        let body = Pay {
            id: None,
            invoice: invoice.to_owned(),
            amount_msat: None,
            fee_limit_msat: None,
            patience_s: Some(10),
            routes,
            wait_s: 30,
        };
        Ok(self.caller(payer)?.post("/v1/payments", &body)?)
    }

    /// Pays an invoice, which must go well.
    pub(crate) fn must_pay(&self, payer: usize, invoice: &str, routes: Vec<Vec<RouteHop>>) -> Outcome<Payment> {
        let payment = self.pay(payer, invoice, routes)?;
        match payment.state {
            PaymentState::Sent => Ok(payment),
            state => Err(format!(
                "{} pays, and it is {state:?}: {:?}",
                self.nodes[payer].name, payment.reason
            )
            .into()),
        }
    }
}
