//! The three nodes of the demonstration, the wires between them, and the chain that their channels stand on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, TxOut};
use quittance_channel::opening::FundingTransaction;
use quittance_journal::{EventNumber, Generation};
use quittance_manager::{
    ChainEvent, Command, ConnectedBlock, Effect, Event, Input, NewChannel, NewPayment, Purpose, RequestId,
};
use quittance_monitor::Tip;
use quittance_payments::{ForPayee, HintHop, InvoiceTerms, PaymentKind};
use quittance_primitives::{BlockHeight, ChannelId, Feature, Features, FeeratePerKw, MilliSatoshi, NodeId, PaymentId};
use quittance_regtest::{Chain, ChainParameters, EmbeddedChain, Faucet, MineOptions, Policy, Reason};
use quittance_wire::Message;

use super::NAMES;
use super::node::Node;

/// The nodes and everything between them.
pub(crate) struct Town {
    nodes: Vec<Node>,
    wires: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    connected: BTreeSet<(usize, usize)>,
    chain: EmbeddedChain,
    faucet: Faucet,
    drawn: u64,
    /// How payments ended, as their payers were told, and how often.
    ends: BTreeMap<PaymentId, Vec<Event>>,
    death: Option<Death>,
}

/// Who dies, and after how many of its steps.
#[derive(Clone, Copy)]
pub(crate) struct Death {
    pub(crate) node: usize,
    pub(crate) moment: u64,
    /// Whether it has happened.
    pub(crate) told: bool,
}

/// How a payment went.
pub(crate) struct Story {
    pub(crate) is_sent: bool,
    pub(crate) text: String,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

impl Town {
    pub(crate) fn new(folder: PathBuf) -> Outcome<Self> {
        let mut town = Self {
            nodes: Vec::new(),
            wires: BTreeMap::new(),
            connected: BTreeSet::new(),
            chain: EmbeddedChain::new(ChainParameters::default(), Policy::default()),
            faucet: Faucet::new(),
            drawn: 0,
            ends: BTreeMap::new(),
            death: None,
        };
        for (number, name) in NAMES.iter().enumerate() {
            let seed = sha256::Hash::hash(format!("the seed of {name} in a demonstration").as_bytes());
            town.nodes
                .push(Node::new(seed.to_byte_array(), folder.join(name.to_lowercase()))?);
            town.start(number)?;
        }
        Ok(town)
    }

    /// Opens a channel over the wire, with a funding transaction that the chain confirms.
    pub(crate) fn open_channel(&mut self, opener: usize, other: usize) -> Outcome<()> {
        self.connect(opener, other)?;
        let peer = self.nodes[other].id();
        let keys_id = self.draw();
        let new = NewChannel {
            peer,
            capacity: Amount::from_sat(10_000_000),
            push: MilliSatoshi(0),
            channel_type: None,
            announce: false,
            feerate: FeeratePerKw(1_000),
            keys: self.nodes[opener].signer.new_channel_keys(keys_id),
        };
        self.command(opener, Command::OpenChannel(Box::new(new)))?;
        self.settle()?;
        self.chain.mine(&MineOptions::blocks(8))?;
        self.tell_the_chain()?;
        self.settle()
    }

    /// Alice pays Carol through Bob, and somebody dies.
    pub(crate) fn pay_with_death(&mut self, id: PaymentId, amount: MilliSatoshi, death: Death) -> Outcome<Story> {
        let entropy = self.draw();
        let head = entropy[..16].try_into()?;
        let terms = InvoiceTerms {
            amount: Some(amount),
            expires_at_s: now_s()? + 3_600,
            min_final_cltv_expiry_delta: 30,
        };
        let invoice = self.nodes[2].invoice_key().own_invoice(terms, head);
        let kind = PaymentKind {
            payee: self.nodes[2].id(),
            for_payee: ForPayee {
                payment_secret: Some(invoice.payment_secret),
                total: amount,
                metadata: None,
                keysend_preimage: None,
            },
            min_final_cltv_expiry_delta: 30,
            hints: vec![vec![self.hint(1, 2)?]],
            expires_at_ms: u64::from(now_s()?) * 1_000 + 600_000,
        };
        let payment = NewPayment {
            id,
            payment_hash: invoice.payment_hash,
            amount,
            fee_limit: MilliSatoshi(100_000),
            kind,
            attempts: 3,
        };
        self.death = Some(death);
        self.command(0, Command::SendPayment(Box::new(payment.clone())))?;
        self.settle()?;
        let died = self.death.take().is_none_or(|death| death.told);
        self.recover()?;
        // The caller had no answer, perhaps: it asks again, under the same id.
        if !self.ends.contains_key(&id) {
            self.command(0, Command::SendPayment(Box::new(payment)))?;
            self.settle()?;
        }
        let ends = self.ends.get(&id).cloned().unwrap_or_default();
        let name = NAMES[death.node];
        let fate = if died {
            format!("{name} died and came back from disk")
        } else {
            format!("{name} outlived the moment")
        };
        match ends.first() {
            Some(Event::PaymentSent { preimage, fee_paid, .. }) => {
                let proof = u64::from_be_bytes(preimage.0[..8].try_into()?);
                let text = format!("{fate}; Alice has her receipt {proof:016x}… for {amount} and {fee_paid} of fees");
                Ok(Story { is_sent: true, text })
            }
            Some(Event::PaymentFailed { reason, .. }) => Ok(Story {
                is_sent: false,
                text: format!("{fate}; the payment failed ({reason:?}), and nobody was paid"),
            }),
            Some(other) => Err(format!("payment {id} ended as {other:?}").into()),
            None => Err(format!("payment {id} has no outcome").into()),
        }
    }

    /// What each node has in its channels, in msat.
    pub(crate) fn balances(&self) -> [u64; 3] {
        [0, 1, 2].map(|node: usize| {
            let channels = self.nodes[node]
                .process
                .iter()
                .flat_map(|process| process.manager.channels());
            channels
                .map(|channel| channel.state().commitments.settled.local.0)
                .sum()
        })
    }

    fn start(&mut self, node: usize) -> Outcome<()> {
        let (entropy, tip) = (self.draw(), self.chain.tip());
        let tip = Tip {
            height: tip.height,
            hash: tip.hash,
        };
        self.nodes[node].start(tip, entropy)?;
        self.pass(node)?;
        self.tell_blocks(node)
    }

    fn recover(&mut self) -> Outcome<()> {
        for node in 0..self.nodes.len() {
            if self.nodes[node].process.is_none() {
                self.start(node)?;
            }
        }
        for (one, other) in [(0, 1), (1, 2)] {
            self.connect(one, other)?;
        }
        self.settle()
    }

    fn connect(&mut self, one: usize, other: usize) -> Outcome<()> {
        if !self.connected.insert((one, other)) {
            return Ok(());
        }
        self.drawn += 1;
        let generation = Generation(self.drawn);
        let ends = [(one, self.nodes[other].id()), (other, self.nodes[one].id())];
        self.wires.insert((one, other), VecDeque::new());
        self.wires.insert((other, one), VecDeque::new());
        for (node, peer) in ends {
            if let Some(process) = &mut self.nodes[node].process {
                process.gate.connected(peer, generation);
            }
        }
        let features = Features::empty().offering(Feature::Anchors).offering(Feature::BasicMpp);
        for (node, peer) in ends {
            self.input(
                node,
                Input::PeerConnected {
                    peer,
                    generation,
                    features: features.clone(),
                },
            )?;
        }
        Ok(())
    }

    /// The process dies: its memory and its connections are gone, and what its store had not synced may be.
    fn die(&mut self, node: usize) -> Outcome<()> {
        self.nodes[node].process = None;
        for (one, other) in self.connected.clone() {
            if one == node || other == node {
                self.connected.remove(&(one, other));
                self.wires.remove(&(one, other));
                self.wires.remove(&(other, one));
                let (survivor, lost) = if one == node {
                    (other, self.nodes[one].id())
                } else {
                    (one, self.nodes[other].id())
                };
                if let Some(process) = &mut self.nodes[survivor].process {
                    process.gate.disconnected(&lost);
                }
                self.input(survivor, Input::PeerDisconnected(lost))?;
            }
        }
        Ok(())
    }

    fn input(&mut self, node: usize, input: Input) -> Outcome<()> {
        let entropy = self.draw();
        self.nodes[node].handle(input, entropy)?;
        self.pass(node)
    }

    fn command(&mut self, node: usize, command: Command) -> Outcome<()> {
        self.drawn += 1;
        let finished = self.nodes[node].finished(&command)?;
        let request = RequestId(self.drawn);
        self.input(
            node,
            Input::Command {
                request,
                command: Box::new(command),
                finished,
            },
        )
    }

    /// Lets out what is durable, and kills the node at its moment: before its sync, or between two effects.
    fn pass(&mut self, node: usize) -> Outcome<()> {
        if self.is_moment(node) {
            return self.die(node);
        }
        self.nodes[node].sync()?;
        while let Some(effect) = self.nodes[node].release() {
            self.carry_out(node, effect)?;
            if self.nodes[node].process.is_none() {
                return Ok(());
            }
            if self.is_moment(node) {
                return self.die(node);
            }
        }
        Ok(())
    }

    fn is_moment(&mut self, node: usize) -> bool {
        match &mut self.death {
            Some(death) if death.node == node && !death.told => {
                death.told = death.moment == 0;
                death.moment = death.moment.saturating_sub(1);
                death.told
            }
            Some(_) | None => false,
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) -> Outcome<()> {
        match effect {
            Effect::Send(peer, outgoing) => {
                let to = self.place_of(&peer)?;
                if let (Some(message), Some(wire)) = (
                    self.nodes[node].signer.complete(outgoing),
                    self.wires.get_mut(&(node, to)),
                ) {
                    wire.push_back(message.encode());
                }
            }
            Effect::Notify(event) => {
                let (number, event) = (event.number, event.event.clone());
                self.told(node, number, event)?;
            }
            Effect::FundingWanted {
                peer,
                temporary_channel_id,
                output,
            } => {
                self.fund(node, peer, temporary_channel_id, output)?;
            }
            Effect::Broadcast(transaction, Purpose::Funding(_)) => {
                // A node that reads old blocks asks for what a newer one confirmed.
                match self.chain.submit(&transaction) {
                    Err(refused) if refused.reason != Reason::AlreadyKnown => return Err(refused.into()),
                    Err(_) | Ok(_) => {}
                }
            }
            Effect::Disconnect(..)
            | Effect::HandledConfirmed(_)
            | Effect::HandledRefused(_)
            | Effect::Respond(..)
            | Effect::Enforce(_)
            | Effect::Load(_) => {}
        }
        Ok(())
    }

    fn told(&mut self, node: usize, number: EventNumber, event: Event) -> Outcome<()> {
        if let Event::PaymentSent { payment_id, .. } | Event::PaymentFailed { payment_id, .. } = &event {
            self.ends.entry(*payment_id).or_default().push(event);
        }
        self.input(node, Input::EventHandled(number))
    }

    fn fund(&mut self, node: usize, peer: NodeId, temporary_channel_id: ChannelId, output: TxOut) -> Outcome<()> {
        let transaction = self.faucet.pay(&mut self.chain, std::slice::from_ref(&output));
        let funding = Box::new(FundingTransaction::new(transaction, &[output])?);
        self.command(
            node,
            Command::FundChannel {
                peer,
                temporary_channel_id,
                funding,
            },
        )
    }

    /// Tells every node of the blocks that it has not read.
    fn tell_the_chain(&mut self) -> Outcome<()> {
        for node in 0..self.nodes.len() {
            self.tell_blocks(node)?;
        }
        Ok(())
    }

    fn tell_blocks(&mut self, node: usize) -> Outcome<()> {
        let Some(process) = &self.nodes[node].process else {
            return Ok(());
        };
        let read = process
            .manager
            .chain_tips()
            .first_key_value()
            .map(|(height, _)| *height);
        let tip = self.chain.tip().height;
        for height in read.unwrap_or(tip).0 + 1..=tip.0 {
            let hash = self
                .chain
                .block_hash(BlockHeight(height))
                .ok_or("a height up to the tip has a block")?;
            let block = self.chain.block(&hash).ok_or("a block of the chain is known")?;
            let connected = ConnectedBlock {
                height: BlockHeight(height),
                hash,
                previous: block.header.prev_blockhash,
                best: tip,
                transactions: (0..).zip(block.txdata.iter().cloned()).collect(),
            };
            self.input(node, Input::Chain(ChainEvent::Connected(Box::new(connected))))?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Outcome<()> {
        while let Some((from, to)) = self
            .wires
            .iter()
            .find(|(_, wire)| !wire.is_empty())
            .map(|(wire, _)| *wire)
        {
            let Some(bytes) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
                continue;
            };
            let message = Message::decode(&bytes)?;
            let (peer, fresh) = (self.nodes[from].id(), self.draw());
            let Some(process) = &self.nodes[to].process else {
                continue;
            };
            let need = process.manager.needs(&peer, &message);
            let keys_id = process.manager.signer_keys_id(&peer, &message);
            let attached = self.nodes[to].signer.attach(need, keys_id, fresh, &message);
            self.input(
                to,
                Input::PeerMessage {
                    peer,
                    message: Box::new(message),
                    attached,
                },
            )?;
        }
        Ok(())
    }

    fn hint(&self, from: usize, to: usize) -> Outcome<HintHop> {
        let peer = self.nodes[to].id();
        let process = self.nodes[from].process.as_ref().ok_or("it runs")?;
        let channel = process
            .manager
            .channels()
            .find(|channel| channel.state().facts.peer == peer);
        let state = channel.ok_or("they share a channel")?.state();
        Ok(HintHop {
            node: self.nodes[from].id(),
            short_channel_id: state.funding.ok_or("it is confirmed")?.short_channel_id,
            fee_base: state.policy.fee_base,
            fee_proportional_millionths: state.policy.fee_proportional_millionths,
            cltv_expiry_delta: state.policy.cltv_expiry_delta.0,
        })
    }

    fn place_of(&self, id: &NodeId) -> Outcome<usize> {
        self.nodes
            .iter()
            .position(|node| node.id() == *id)
            .ok_or_else(|| format!("{id} does not live here").into())
    }

    /// 32 bytes, other ones each time. The demonstration is the same in every run.
    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        sha256::Hash::hash(&self.drawn.to_be_bytes()).to_byte_array()
    }
}

fn now_s() -> Outcome<u32> {
    Ok(u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}
