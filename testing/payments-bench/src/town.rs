//! Nodes in one process and one thread, with the wires between them in memory. While a store's threads write, the others go on.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, Transaction};
use quittance_channel::{ChannelEffect, Opening};
use quittance_journal::Generation;
use quittance_manager::{ChainEvent, Command, ConnectedBlock, Input, NewPayment, RequestId, Signing};
use quittance_monitor::Tip;
use quittance_payments::{ForPayee, HintHop, InvoiceTerms, PaymentKind};
use quittance_primitives::{BlockHeight, Feature, Features, MilliSatoshi, PaymentId};
use quittance_wire::Message;

use crate::cost::thread_time;
use crate::node::{Node, Out, Outcome};
use crate::opening::NewChannel;
use crate::payments::Threads;
use crate::threads;

/// What every payment pays.
pub const AMOUNT: MilliSatoshi = MilliSatoshi(10_000_000);

/// Some nodes.
pub struct Town {
    /// They.
    pub nodes: Vec<Node>,
    tip: Tip,
    channels: u32,
    requests: u64,
    /// Payments that were asked for and have not ended.
    under_way: BTreeSet<PaymentId>,
    /// Payments that failed.
    pub failed: Vec<PaymentId>,
    /// The commitments that nodes would broadcast, not signed.
    pub commitments: Vec<Transaction>,
    places: BTreeMap<quittance_primitives::NodeId, usize>,
}

/// Where the chain of a new town stands.
pub fn first_tip() -> Tip {
    tip_at(800_000)
}

fn tip_at(height: u32) -> Tip {
    let mut hash = [9; 32];
    hash[..4].copy_from_slice(&height.to_be_bytes());
    Tip {
        height: BlockHeight(height),
        hash: BlockHash::from_byte_array(hash),
    }
}

impl Town {
    /// Nodes that are not connected yet.
    pub fn of(nodes: Vec<Node>) -> Self {
        let places = nodes.iter().map(Node::id).zip(0..).collect();
        Self {
            nodes,
            tip: first_tip(),
            channels: 0,
            requests: 0,
            under_way: BTreeSet::new(),
            failed: Vec::new(),
            commitments: Vec::new(),
            places,
        }
    }

    /// Connects two nodes.
    pub fn connect(&mut self, one: usize, other: usize) -> Outcome<()> {
        for (node, peer) in [(one, other), (other, one)] {
            let peer = self.nodes[peer].id();
            let generation = Generation(1);
            self.nodes[node].gate.connected(peer, generation);
            let features = Features::empty().offering(Feature::Anchors).offering(Feature::BasicMpp);
            let connected = Input::PeerConnected {
                peer,
                generation,
                features,
            };
            self.nodes[node].handle(connected, Signing::Now)?;
        }
        self.settle()
    }

    /// Opens channels between two nodes that are connected, funds all of them in one block, and buries it.
    pub fn open_channels(&mut self, opener: usize, other: usize, count: u32, capacity: Amount) -> Outcome<()> {
        let mut fundings = Vec::new();
        for _ in 0..count {
            self.channels += 1;
            let channel = NewChannel {
                signers: [&self.nodes[opener].signer, &self.nodes[other].signer],
                number: self.channels,
                capacity,
                opened_at: self.tip.height,
            };
            let (funding, openings) = channel.open();
            fundings.push(funding);
            for (node, opening) in [opener, other].into_iter().zip(openings) {
                self.nodes[node].handle(opened(opening), Signing::Now)?;
                // A store has room for so many batches, and no more.
                self.nodes[node].let_write();
                while self.nodes[node].disk.is_behind() {
                    self.nodes[node].disk.wait()?;
                }
            }
        }
        self.settle()?;
        let mut transactions = (0..).zip(fundings).collect();
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        for _ in 0..6 {
            self.connect_block(std::mem::take(&mut transactions), &all)?;
        }
        Ok(())
    }

    /// The next block, for some of the nodes.
    pub fn connect_block(&mut self, transactions: Vec<(u32, Transaction)>, nodes: &[usize]) -> Outcome<()> {
        let previous = self.tip.hash;
        self.tip = tip_at(self.tip.height.0 + 1);
        let block = ConnectedBlock {
            height: self.tip.height,
            hash: self.tip.hash,
            previous,
            transactions,
            best: self.tip.height,
        };
        for node in nodes {
            let connected = Input::Chain(ChainEvent::Connected(Box::new(block.clone())));
            self.nodes[*node].handle(connected, Signing::Now)?;
        }
        self.settle()
    }

    /// A node's user orders something, and nobody waits for the answer.
    pub fn order(&mut self, node: usize, command: Command) -> Outcome<()> {
        self.requests += 1;
        let command = Input::Command {
            request: RequestId(self.requests),
            command: Box::new(command),
            finished: None,
        };
        self.nodes[node].handle(command, Signing::Now)?;
        self.settle()
    }

    /// An order of `payer`'s user: to pay `payee`, over `hints` if they share no channel.
    fn payment(&mut self, payee: usize, number: u64, hints: &[Vec<HintHop>]) -> Outcome<(PaymentId, Input)> {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let id = PaymentId(id);
        let head = self.nodes[payee].draw()[..16].try_into()?;
        let terms = InvoiceTerms {
            amount: Some(AMOUNT),
            expires_at_s: u32::MAX,
            min_final_cltv_expiry_delta: 30,
        };
        let invoice = self.nodes[payee].invoice_key().own_invoice(terms, head);
        let payment = NewPayment {
            id,
            payment_hash: invoice.payment_hash,
            amount: AMOUNT,
            fee_limit: MilliSatoshi(100_000),
            kind: PaymentKind {
                payee: self.nodes[payee].id(),
                for_payee: ForPayee {
                    payment_secret: Some(invoice.payment_secret),
                    total: AMOUNT,
                    metadata: None,
                    keysend_preimage: None,
                },
                min_final_cltv_expiry_delta: 30,
                hints: hints.to_vec(),
                expires_at_ms: u64::from(u32::MAX) * 1_000,
            },
            attempts: 3,
            routes: Vec::new(),
        };
        self.requests += 1;
        let command = Input::Command {
            request: RequestId(self.requests),
            command: Box::new(Command::SendPayment(Box::new(payment))),
            finished: None,
        };
        Ok((id, command))
    }

    /// `payer` begins to pay `payee`.
    fn begin(
        &mut self,
        (payer, payee): (usize, usize),
        number: u64,
        hints: &[Vec<HintHop>],
        signing: Signing,
    ) -> Outcome<()> {
        let (id, command) = self.payment(payee, number, hints)?;
        self.under_way.insert(id);
        let begun = thread_time();
        self.nodes[payer].handle(command, signing)?;
        self.nodes[payer].time += thread_time().saturating_sub(begun);
        Ok(())
    }

    fn hints(&self, payee: usize) -> Outcome<Vec<Vec<HintHop>>> {
        Ok(match self.nodes.len() {
            2 => Vec::new(),
            _ => vec![vec![self.hint(1, payee)?]],
        })
    }

    /// Pays as [`Self::pay`] does, by one thread or by one for each node.
    pub fn pay_on(
        &mut self,
        ends: (usize, usize),
        numbers: std::ops::Range<u64>,
        at_once: usize,
        threads: Threads,
    ) -> Outcome<()> {
        for node in &mut self.nodes {
            node.uses_task = threads == Threads::Tasks;
            node.signer.use_cores(if threads == Threads::Each { 2 } else { 1 });
        }
        match threads {
            Threads::One | Threads::Tasks => self.pay(ends, numbers, at_once),
            Threads::Each => self.pay_on_threads(ends, numbers, at_once),
        }
    }

    fn pay_on_threads(
        &mut self,
        (payer, payee): (usize, usize),
        numbers: std::ops::Range<u64>,
        at_once: usize,
    ) -> Outcome<()> {
        let hints = self.hints(payee)?;
        let payments = numbers.map(|number| Ok(self.payment(payee, number, &hints)?.1));
        let payments = payments.collect::<Outcome<Vec<Input>>>()?;
        let failed = threads::pay(&mut self.nodes, &self.places, payer, payments, at_once)?;
        self.failed.extend(failed);
        self.settle()?;
        self.write_all()
    }

    /// Pays `count` times, with at most `at_once` payments under way, until nothing is on its way any more.
    pub fn pay(
        &mut self,
        (payer, payee): (usize, usize),
        numbers: std::ops::Range<u64>,
        at_once: usize,
    ) -> Outcome<()> {
        let hints = self.hints(payee)?;
        let mut numbers = numbers.peekable();
        while numbers.peek().is_some() {
            self.nodes[payer].gather();
            while self.under_way.len() < at_once
                && let Some(number) = numbers.next()
            {
                let is_last = self.under_way.len() + 1 == at_once || numbers.peek().is_none();
                let signing = if is_last { Signing::Now } else { Signing::WithTheNext };
                self.begin((payer, payee), number, &hints, signing)?;
            }
            self.nodes[payer].hand_over();
            self.nodes[payer].write(true);
            if at_once == 1 {
                self.settle()?;
                if let Some(id) = self.under_way.first() {
                    return Err(format!("payment {id} has no end").into());
                }
            } else if !self.go_round()? {
                self.wait()?;
            }
        }
        self.settle()?;
        self.write_all()
    }

    /// Goes on until nothing is on its way, and nobody waits for a disk.
    pub fn settle(&mut self) -> Outcome<()> {
        loop {
            // Asked first: what becomes durable while the round goes on is let out by the next one.
            let was_behind = self.nodes.iter().any(is_waited_for);
            if self.go_round()? {
                continue;
            }
            if !was_behind {
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Has everything written, whether anybody waits for it or not.
    fn write_all(&mut self) -> Outcome<()> {
        for node in &mut self.nodes {
            node.let_write();
            while node.disk.is_behind() {
                node.disk.wait()?;
            }
        }
        self.settle()
    }

    /// Users confirm all that they were shown, and all that follows, until there is nothing more.
    pub fn handle_all_events(&mut self) -> Outcome<()> {
        while self.nodes.iter().any(|node| node.handled.is_some()) {
            for node in &mut self.nodes {
                node.confirm()?;
            }
            self.settle()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Outcome<()> {
        match self.nodes.iter_mut().find(|node| is_waited_for(node)) {
            Some(node) => node.disk.wait(),
            None => Ok(()),
        }
    }

    /// Each node lets out what is durable, and handles all that came. Whether anything was done.
    fn go_round(&mut self) -> Outcome<bool> {
        let mut is_busy = false;
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_idle() {
                continue;
            }
            let begun = thread_time();
            is_busy |= self.release(node)?;
            self.nodes[node].gather();
            is_busy |= self.nodes[node].hear(false)?;
            self.nodes[node].hand_over();
            // While the store's thread writes, this one signs, or goes on with another node. With nothing to do it writes itself.
            let has_time = self.nodes.iter().all(|node| node.inbox.is_empty());
            self.nodes[node].write(has_time);
            self.nodes[node].time += thread_time().saturating_sub(begun);
        }
        Ok(is_busy)
    }

    fn release(&mut self, node: usize) -> Outcome<bool> {
        self.nodes[node].sign_ahead();
        self.nodes[node].derive_ahead();
        let out = self.nodes[node].let_out()?;
        let is_busy = !out.is_empty();
        for effect in out {
            match effect {
                Out::Message(peer, bytes) => {
                    let to = *self.places.get(&peer).ok_or("every peer lives here")?;
                    let from = self.nodes[node].id();
                    self.nodes[to].inbox.push_back((from, bytes));
                }
                Out::Sent(id) => {
                    self.under_way.remove(&id);
                }
                Out::Failed(id) => {
                    self.under_way.remove(&id);
                    self.failed.push(id);
                }
                Out::Commitment(commitment) => self.commitments.push(commitment),
                Out::Nothing => {}
            }
        }
        Ok(is_busy)
    }

    fn hint(&self, from: usize, to: usize) -> Outcome<HintHop> {
        let (node, peer) = (&self.nodes[from], self.nodes[to].id());
        let mut channels = node.manager.channels().map(quittance_channel::Channel::state);
        let state = channels
            .find(|state| state.facts.peer == peer)
            .ok_or("they share a channel")?;
        Ok(HintHop {
            node: node.id(),
            short_channel_id: state.funding.ok_or("it is confirmed")?.short_channel_id,
            fee_base: state.policy.fee_base,
            fee_proportional_millionths: state.policy.fee_proportional_millionths,
            cltv_expiry_delta: state.policy.cltv_expiry_delta.0,
        })
    }
}

fn is_waited_for(node: &Node) -> bool {
    node.disk.is_behind() && node.is_awaited()
}

fn opened(opening: Opening) -> Input {
    Input::ChannelOpened {
        opening: Box::new(opening),
        features: Features::empty(),
        effect: Box::new(ChannelEffect::Send(Box::new(Message::from(quittance_wire::Pong {
            ignored: Vec::new(),
        })))),
    }
}
