//! The world of a simulation: nodes, the wires between them, time, and the plan of who dies when.
//!
//! A node's work on one input is a row of *points*: the batch is appended; it is synced; each effect has left, one by one. A
//! [`CrashPlan`] names one point, and the world kills the node there. Without a plan the points are counted, so that a script
//! can be run again once for each of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use quittance_channel::opening::FundingTransaction;
use quittance_channel::{
    BySide, ChannelEffect, ChannelFacts, ForwardingPolicy, FundingConfirmation, Opening, Side, SideFacts,
};
use quittance_journal::{Generation, Lsn, Store};
use quittance_manager::{ChainEvent, Command, Effect, Input, NewPayment, Outgoing, Purpose, RequestId};
use quittance_payments::{ForPayee, HintHop, InvoiceTerms, NewInvoice, PaymentKind};
use quittance_primitives::{
    BlockCount, BlockHeight, ChannelId, CltvExpiryDelta, CommitmentNumber, Feature, Features, FeeratePerKw,
    MilliSatoshi, PaymentId, ShortChannelId, ToSelfDelay,
};
use quittance_store::memory::Keep;
use quittance_transactions::{CommitmentContents, CommitmentFormat, CommitmentTransaction, Role};
use quittance_wire::Message;

use crate::{Checker, Node, Random, RowsAfterCrash};

/// A node, by its place.
pub type NodeIndex = usize;

/// Which node dies, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPlan {
    /// Who.
    pub node: NodeIndex,
    /// At which of its points, counted from 0.
    pub point: u64,
    /// What the disk keeps of what was not synced.
    pub keep: Keep,
    /// What is left of the manager's rows.
    pub rows: RowsAfterCrash,
}

/// What a channel between two nodes is to be.
#[derive(Clone, Copy, Debug)]
pub struct ChannelSetup {
    /// What it holds.
    pub capacity: Amount,
    /// What of it is the second node's, in msat.
    pub pushed: MilliSatoshi,
    /// How its commitments are built.
    pub format: CommitmentFormat,
}

impl Default for ChannelSetup {
    fn default() -> Self {
        Self {
            capacity: Amount::from_sat(10_000_000),
            pushed: MilliSatoshi(4_000_000_000),
            format: CommitmentFormat::Anchors,
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
struct OnItsWay {
    bytes: Vec<u8>,
    /// How many syncs, one after the other, it rests on.
    depth: u64,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What must hold.
    pub checker: Checker,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The height of the chain's tip.
    pub tip: BlockHeight,
    /// The points that each node has passed.
    pub points: BTreeMap<NodeIndex, u64>,
    /// Who dies where; taken out when it has happened.
    pub plan: Option<CrashPlan>,
    /// Whether the planned crash has happened.
    pub crashed: bool,
    random: Random,
    wires: BTreeMap<(NodeIndex, NodeIndex), VecDeque<OnItsWay>>,
    /// What was broadcast, by whom and what for.
    pub broadcast: Vec<(NodeIndex, Transaction, Purpose)>,
    /// The syncs of each node's disk that had something to write.
    pub syncs: BTreeMap<NodeIndex, u64>,
    /// How many syncs, one after the other and on whatever disk, each node's newest state rests on.
    depths: BTreeMap<NodeIndex, u64>,
    connected: BTreeSet<(NodeIndex, NodeIndex)>,
    generations: u64,
    channels: u32,
    requests: u64,
    /// A story of the run, line by line, if it is wanted.
    pub story: Option<Vec<String>>,
}

impl World {
    /// `nodes` nodes that run and do not know each other.
    pub fn new(nodes: u8, seed: u64) -> Self {
        let mut world = Self {
            nodes: (0..nodes).map(Node::new).collect(),
            checker: Checker::default(),
            now_ms: 1_700_000_000_000,
            tip: BlockHeight(700_010),
            points: BTreeMap::new(),
            plan: None,
            crashed: false,
            random: Random::new(seed),
            wires: BTreeMap::new(),
            broadcast: Vec::new(),
            syncs: BTreeMap::new(),
            depths: BTreeMap::new(),
            connected: BTreeSet::new(),
            generations: 0,
            channels: 0,
            requests: 0,
            story: None,
        };
        for node in 0..world.nodes.len() {
            world.start(node);
        }
        world
    }

    /// Whether a node's process runs.
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.nodes[node].process.is_some()
    }

    /// Opens a confirmed channel between two nodes that are connected.
    pub fn open_channel(&mut self, opener: NodeIndex, other: NodeIndex, setup: &ChannelSetup) -> ChannelId {
        self.connect(opener, other);
        self.channels += 1;
        let number = self.channels;
        let openings = self.openings(opener, other, setup, number);
        let id = openings[0].facts.channel_id;
        for (node, opening) in [opener, other].into_iter().zip(openings) {
            let effect = Box::new(ChannelEffect::Send(Box::new(Message::from(quittance_wire::Pong {
                ignored: Vec::new(),
            }))));
            let opening = Box::new(opening);
            self.input(
                node,
                Input::ChannelOpened {
                    opening,
                    features: Features::empty(),
                    effect,
                },
            );
        }
        let height = BlockHeight(700_001);
        let short_channel_id = ShortChannelId::new(height, number, 0).expect("in range");
        for node in [opener, other] {
            let confirmation = FundingConfirmation {
                height,
                short_channel_id,
            };
            self.input(node, Input::Chain(ChainEvent::FundingConfirmed(id, confirmation)));
            self.input(node, Input::Chain(ChainEvent::Tip(self.tip)));
        }
        self.settle();
        id
    }

    /// Connects two nodes that run.
    pub fn connect(&mut self, one: NodeIndex, other: NodeIndex) {
        if !self.is_up(one) || !self.is_up(other) || self.connected.contains(&pair(one, other)) {
            return;
        }
        self.generations += 1;
        self.connected.insert(pair(one, other));
        let generation = Generation(self.generations);
        for (node, peer) in [(one, other), (other, one)] {
            self.wires.insert((node, peer), VecDeque::new());
            let peer_id = self.nodes[peer].id();
            self.nodes[node].note_connected(peer_id, generation);
        }
        for (node, peer) in [(one, other), (other, one)] {
            if self.is_up(node) && self.connected.contains(&pair(one, other)) {
                let peer = self.nodes[peer].id();
                self.input(
                    node,
                    Input::PeerConnected {
                        peer,
                        generation,
                        features: features(),
                    },
                );
            }
        }
    }

    /// Cuts the connection of two nodes, with everything that was on its way.
    pub fn disconnect(&mut self, one: NodeIndex, other: NodeIndex) {
        if !self.connected.remove(&pair(one, other)) {
            return;
        }
        for (node, peer) in [(one, other), (other, one)] {
            self.wires.remove(&(node, peer));
            let peer_id = self.nodes[peer].id();
            self.nodes[node].note_disconnected(&peer_id);
            if self.is_up(node) {
                self.input(node, Input::PeerDisconnected(peer_id));
            }
        }
    }

    /// Starts a node's process, if it does not run. What a planned crash in the start does, it does.
    pub fn start(&mut self, node: NodeIndex) {
        if self.is_up(node) {
            return;
        }
        let entropy = self.random.bytes();
        let rebuilt = self.nodes[node].start(self.tip, self.now_ms, entropy);
        self.checker.started(node);
        self.tell(|world| {
            format!(
                "{} starts{}",
                world.nodes[node].name,
                rebuilt.iter().fold(String::new(), |told, line| told + "; " + line)
            )
        });
        self.pass(node);
    }

    /// Ends a node's process.
    pub fn crash(&mut self, node: NodeIndex, keep: Keep, rows: RowsAfterCrash) {
        self.tell(|world| format!("{} crashes ({keep:?}, rows {rows:?})", world.nodes[node].name));
        self.nodes[node].crash(keep, rows);
        let peers: Vec<_> = (0..self.nodes.len())
            .filter(|peer| self.connected.contains(&pair(node, *peer)))
            .collect();
        for peer in peers {
            self.disconnect(node, peer);
        }
    }

    /// Gives a node an input, and lets it work on it as far as the plan allows.
    pub fn input(&mut self, node: NodeIndex, input: Input) {
        if !self.is_up(node) {
            return;
        }
        let entropy = self.random.bytes();
        self.nodes[node].handle(input, self.now_ms, entropy);
        self.pass(node);
    }

    /// The points after a batch was appended: unsynced, synced, and each effect released.
    fn pass(&mut self, node: NodeIndex) {
        if !self.is_up(node) || self.is_end(node) {
            return;
        }
        let is_news = self.nodes[node].store.appended() > self.nodes[node].store.durable();
        if self.nodes[node].store.sync().is_err() {
            self.nodes[node].process = None;
            return;
        }
        if is_news {
            *self.syncs.entry(node).or_default() += 1;
            *self.depths.entry(node).or_default() += 1;
        }
        if self.is_end(node) {
            return;
        }
        while let Some(effect) = self.nodes[node].release() {
            self.carry_out(node, effect);
            if !self.is_up(node) || self.is_end(node) {
                return;
            }
        }
    }

    /// Passes one point; whether the node dies there.
    fn is_end(&mut self, node: NodeIndex) -> bool {
        let point = self.points.entry(node).or_insert(0);
        let here = *point;
        *point += 1;
        match self.plan {
            Some(plan) if plan.node == node && plan.point == here => {
                self.plan = None;
                self.crashed = true;
                self.crash(node, plan.keep, plan.rows);
                true
            }
            Some(_) | None => false,
        }
    }

    fn carry_out(&mut self, node: NodeIndex, effect: Effect) {
        match effect {
            Effect::Send(peer, outgoing) => self.send(node, &peer, outgoing),
            Effect::Disconnect(peer, reason) => {
                self.tell(|world| format!("{} hangs up: {reason:?}", world.nodes[node].name));
                let peer = self.index_of(&peer);
                self.disconnect(node, peer);
            }
            Effect::Notify(event) => {
                self.tell(|world| format!("{} is told {event:?}", world.nodes[node].name));
                self.checker.shown(node, &event);
                let number = event.number;
                self.nodes[node].user.shown.push(*event);
                if self.nodes[node].user.handles_at_once {
                    self.handle_events(node, number);
                }
            }
            Effect::HandledConfirmed(number) => {
                self.checker.handled(node, number);
                self.nodes[node].user.confirmed = Some(number);
            }
            Effect::HandledRefused(number) => {
                self.tell(|world| format!("{} refuses the handling of {}", world.nodes[node].name, number.0));
            }
            Effect::Respond(request, response) => {
                self.nodes[node].user.responses.insert(request, *response);
            }
            Effect::Broadcast(transaction, purpose) => self.broadcast.push((node, *transaction, purpose)),
            Effect::BroadcastClosing(_) => {}
            Effect::FundingWanted {
                peer,
                temporary_channel_id,
                output,
            } => {
                let funding = Box::new(funding_transaction(output));
                self.command(
                    node,
                    Command::FundChannel {
                        peer,
                        temporary_channel_id,
                        funding,
                    },
                );
            }
            Effect::BroadcastCommitment(channel) => self.checker.commitment_broadcast(node, channel),
        }
    }

    /// A user confirms that it has handled all events up to `number`.
    pub fn handle_events(&mut self, node: NodeIndex, number: quittance_journal::EventNumber) {
        self.input(node, Input::EventHandled(number));
    }

    fn send(&mut self, node: NodeIndex, peer: &quittance_primitives::NodeId, outgoing: Outgoing) {
        if let Outgoing::Commitment(to_sign) = &outgoing {
            self.checker.signed(to_sign.channel_id, &to_sign.contents);
        }
        let message = self.nodes[node].signer.complete(outgoing);
        if let Message::UpdateFulfillHtlc(fulfil) = &message {
            self.checker.preimage_left(fulfil.payment_preimage);
        }
        let peer = self.index_of(peer);
        if let Some(wire) = self.wires.get_mut(&(node, peer)) {
            let depth = self.depths.get(&node).copied().unwrap_or(0);
            wire.push_back(OnItsWay {
                bytes: message.encode(),
                depth,
            });
        }
    }

    /// Delivers the oldest message from one node to another, if there is one.
    pub fn deliver(&mut self, from: NodeIndex, to: NodeIndex) -> bool {
        let Some(message) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.hand_over(from, to, &message);
        self.pass(to);
        true
    }

    /// Delivers all that is on its way from one node to another, and syncs once for all of it, as a node does whose disk is slower than
    /// its network. Whether there was anything.
    pub fn deliver_together(&mut self, from: NodeIndex, to: NodeIndex) -> bool {
        let messages = self.wires.get_mut(&(from, to)).map(std::mem::take).unwrap_or_default();
        for message in &messages {
            self.hand_over(from, to, message);
        }
        self.pass(to);
        !messages.is_empty()
    }

    /// Delivers together until every wire is empty. Returns how many syncs in a row `witness` rests on when `until` holds for the first
    /// time.
    pub fn settle_together(&mut self, witness: NodeIndex, until: impl Fn(&Self) -> bool) -> Option<u64> {
        let mut seen = None;
        while let Some((from, to)) = self
            .wires
            .iter()
            .find(|(_, wire)| !wire.is_empty())
            .map(|(wire, _)| *wire)
        {
            self.deliver_together(from, to);
            if seen.is_none() && until(self) {
                seen = self.depths.get(&witness).copied();
            }
        }
        seen
    }

    /// Starts counting syncs anew.
    pub fn forget_syncs(&mut self) {
        self.syncs.clear();
        self.depths.clear();
    }

    fn hand_over(&mut self, from: NodeIndex, to: NodeIndex, on_its_way: &OnItsWay) {
        let message = Message::decode(&on_its_way.bytes).expect("what an engine sends can be read");
        self.tell(|world| {
            format!(
                "{} -> {}: {}",
                world.nodes[from].name,
                world.nodes[to].name,
                message.name()
            )
        });
        let depth = self.depths.entry(to).or_default();
        *depth = on_its_way.depth.max(*depth);
        let peer = self.nodes[from].id();
        let Some(process) = &self.nodes[to].process else { return };
        let need = process.manager.needs(&peer, &message);
        let keys_id = process.manager.signer_keys_id(&peer, &message);
        let attached = self.nodes[to].signer.attach(need, keys_id, &message);
        let entropy = self.random.bytes();
        let input = Input::PeerMessage {
            peer,
            message: Box::new(message),
            attached,
        };
        self.nodes[to].handle(input, self.now_ms, entropy);
    }

    /// Delivers until every wire is empty.
    ///
    /// # Panics
    /// When the nodes never fall silent.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let busy = self
                .wires
                .iter()
                .find(|(_, wire)| !wire.is_empty())
                .map(|(wire, _)| *wire);
            let Some((from, to)) = busy else { return };
            self.deliver(from, to);
            // Each wire in its turn, so that both directions cross.
            if let Some(wire) = self.wires.get(&(to, from))
                && !wire.is_empty()
            {
                self.deliver(to, from);
            }
        }
        panic!("the nodes never fall silent");
    }

    /// Everything that died runs again, everyone who shares a channel is connected, and time passes until nothing happens any more.
    pub fn recover(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for _ in 0..3 {
            for one in 0..self.nodes.len() {
                for other in one + 1..self.nodes.len() {
                    if self.share_a_channel(one, other) {
                        self.connect(one, other);
                    }
                }
            }
            self.settle();
            self.tick();
        }
    }

    fn share_a_channel(&self, one: NodeIndex, other: NodeIndex) -> bool {
        let peer = self.nodes[other].id();
        let process = self.nodes[one].process.as_ref();
        process.is_some_and(|process| {
            process
                .manager
                .channels()
                .any(|channel| channel.state().facts.peer == peer)
        })
    }

    /// A second passes.
    pub fn tick(&mut self) {
        self.now_ms += 1_000;
        for node in 0..self.nodes.len() {
            self.input(node, Input::Tick);
        }
        self.settle();
    }

    /// A block is found.
    pub fn mine(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.tip = self.tip.saturating_add(BlockCount(1));
            for node in 0..self.nodes.len() {
                self.input(node, Input::Chain(ChainEvent::Tip(self.tip)));
            }
            self.settle();
        }
    }

    /// An invoice of `payee`.
    pub fn invoice(&mut self, payee: NodeIndex, amount: MilliSatoshi) -> NewInvoice {
        let entropy = self.random.bytes();
        let head = entropy[..16].try_into().expect("16 of 32 bytes");
        self.nodes[payee]
            .invoice_key()
            .own_invoice(self.invoice_terms(amount), head)
    }

    /// A hold invoice of `payee`.
    pub fn hold_invoice(
        &self,
        payee: NodeIndex,
        amount: MilliSatoshi,
        hash: quittance_primitives::PaymentHash,
    ) -> NewInvoice {
        self.nodes[payee]
            .invoice_key()
            .hold_invoice(self.invoice_terms(amount), hash)
    }

    fn invoice_terms(&self, amount: MilliSatoshi) -> InvoiceTerms {
        let now_s = u32::try_from(self.now_ms / 1_000).expect("before 2106");
        InvoiceTerms {
            amount: Some(amount),
            expires_at_s: now_s + 3_600,
            min_final_cltv_expiry_delta: 30,
        }
    }

    /// `payer` pays an invoice of `payee`, over `hints` if they share no channel. Returns the request.
    pub fn pay(
        &mut self,
        payer: NodeIndex,
        payee: NodeIndex,
        id: PaymentId,
        invoice: &NewInvoice,
        amount: MilliSatoshi,
        hints: Vec<Vec<HintHop>>,
    ) -> RequestId {
        let kind = PaymentKind {
            payee: self.nodes[payee].id(),
            for_payee: ForPayee {
                payment_secret: Some(invoice.payment_secret),
                total: amount,
                metadata: None,
                keysend_preimage: None,
            },
            min_final_cltv_expiry_delta: 30,
            hints,
            expires_at_ms: self.now_ms + 3_600_000,
        };
        let payment = NewPayment {
            id,
            payment_hash: invoice.payment_hash,
            amount,
            fee_limit: MilliSatoshi(amount.0 / 20 + 10_000),
            kind,
            attempts: 3,
        };
        self.command(payer, Command::SendPayment(Box::new(payment)))
    }

    /// Gives a node a command, with what its disk has about the payment that it names.
    pub fn command(&mut self, node: NodeIndex, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        if let Some(process) = &self.nodes[node].process {
            let finished = process.manager.wants(&command).and_then(|key| {
                let frame = self.nodes[node].store.get(&key).expect("the disk can be read")?;
                let record = quittance_journal::decode_record(&key, &frame, 1).expect("the record is whole");
                Some(Box::new(
                    quittance_records::Record::from_bytes(record.body).expect("the record is a payment"),
                ))
            });
            self.input(
                node,
                Input::Command {
                    request,
                    command: Box::new(command),
                    finished,
                },
            );
        }
        request
    }

    /// A hint to `to` over the channel from `from`.
    pub fn hint(&self, from: NodeIndex, to: NodeIndex) -> HintHop {
        let peer = self.nodes[to].id();
        let process = self.nodes[from].process.as_ref().expect("it runs");
        let channel = process
            .manager
            .channels()
            .find(|channel| channel.state().facts.peer == peer);
        let state = channel.expect("they share a channel").state();
        HintHop {
            node: self.nodes[from].id(),
            short_channel_id: state.funding.expect("it is confirmed").short_channel_id,
            fee_base: state.policy.fee_base,
            fee_proportional_millionths: state.policy.fee_proportional_millionths,
            cltv_expiry_delta: state.policy.cltv_expiry_delta.0,
        }
    }

    /// The last batch on a node's disk.
    pub fn lsn(&self, node: NodeIndex) -> Lsn {
        self.nodes[node].store.durable()
    }

    /// The settled balances of all channels of a node, in msat.
    pub fn balance(&self, node: NodeIndex) -> u64 {
        let process = self.nodes[node].process.as_ref().expect("it runs");
        process
            .manager
            .channels()
            .map(|channel| channel.state().commitments.settled.local.0)
            .sum()
    }

    /// Adds a line to the story, if one is wanted.
    pub fn tell(&mut self, line: impl Fn(&Self) -> String) {
        if self.story.is_some() {
            let line = line(self);
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    fn index_of(&self, id: &quittance_primitives::NodeId) -> NodeIndex {
        self.nodes
            .iter()
            .position(|node| node.id() == *id)
            .expect("every peer is a node of this world")
    }

    #[allow(clippy::too_many_lines, reason = "one table of what a channel is")]
    fn openings(&mut self, opener: NodeIndex, other: NodeIndex, setup: &ChannelSetup, number: u32) -> [Opening; 2] {
        let keys_id = |node: NodeIndex| {
            let mut id = [0x11; 32];
            id[1..5].copy_from_slice(&number.to_be_bytes());
            id[5] = u8::try_from(node).expect("few nodes");
            id
        };
        let ends = [opener, other].map(|node| self.nodes[node].signer.new_channel(keys_id(node)).clone());
        let mut txid = [7; 32];
        txid[..4].copy_from_slice(&number.to_be_bytes());
        let funding = OutPoint {
            txid: Txid::from_byte_array(txid),
            vout: 0,
        };
        let side = |end: usize| SideFacts {
            keys: ends[end].keys.public_keys(),
            dust_limit: Amount::from_sat(354),
            max_htlc_value_in_flight: MilliSatoshi::from_sat(setup.capacity),
            channel_reserve: setup.capacity / 100,
            htlc_minimum: MilliSatoshi(1),
            to_self_delay: ToSelfDelay(144),
            max_accepted_htlcs: 483,
            upfront_shutdown_script: None,
        };
        let opener_balance = MilliSatoshi(MilliSatoshi::from_sat(setup.capacity).0 - setup.pushed.0);
        let facts = |own: usize| {
            let by_side = |opener: MilliSatoshi, accepter| match own {
                0 => BySide {
                    local: opener,
                    remote: accepter,
                },
                _ => BySide {
                    local: accepter,
                    remote: opener,
                },
            };
            ChannelFacts {
                channel_id: ChannelId::v1(funding),
                peer: self.nodes[[other, opener][own]].id(),
                opener: if own == 0 { Side::Local } else { Side::Remote },
                channel_type: Features::empty()
                    .requiring(Feature::StaticRemotekey)
                    .requiring(Feature::Anchors),
                format: setup.format,
                announce: false,
                funding,
                capacity: setup.capacity,
                sides: BySide {
                    local: side(own),
                    remote: side(1 - own),
                },
                initial_balance: by_side(opener_balance, setup.pushed),
                initial_feerate: FeeratePerKw(1_000),
                signer_keys_id: keys_id([opener, other][own]),
                minimum_depth: BlockCount(3),
                opened_at: BlockHeight(700_000),
                funding_transaction: None,
            }
        };
        let terms = facts(0).terms();
        let first = |own: usize, broadcaster| {
            let balances = facts(own).initial_balance;
            let contents = CommitmentContents {
                broadcaster,
                number: CommitmentNumber(0),
                per_commitment_point: ends[own].seed.point(CommitmentNumber(0)),
                feerate: FeeratePerKw(1_000),
                to_broadcaster: balances.local,
                to_countersignatory: balances.remote,
                htlcs: Vec::new(),
            };
            let commitment = CommitmentTransaction::build(&terms, &contents).expect("the opener can pay");
            ends[1 - own].keys.countersign(&commitment).funding
        };
        let signatures = [first(0, Role::Opener), first(1, Role::Accepter)];
        [0, 1].map(|own: usize| Opening {
            facts: facts(own),
            signature: signatures[own],
            local_points: (
                ends[own].seed.point(CommitmentNumber(0)),
                ends[own].seed.point(CommitmentNumber(1)),
            ),
            remote_point: ends[1 - own].seed.point(CommitmentNumber(0)),
            policy: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: MilliSatoshi::from_sat(setup.capacity),
            },
        })
    }
}

/// What a wallet makes: a transaction with a signed segwit input that pays `output`.
fn funding_transaction(output: TxOut) -> FundingTransaction {
    let seed = bitcoin::hashes::sha256::Hash::hash(output.script_pubkey.as_bytes());
    let input = TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array(seed.to_byte_array()),
            vout: 0,
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[[1; 64]]),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output.clone()],
    };
    FundingTransaction::new(transaction, &[output]).expect("it pays the output")
}

fn pair(one: NodeIndex, other: NodeIndex) -> (NodeIndex, NodeIndex) {
    (one.min(other), one.max(other))
}

fn features() -> Features {
    Features::empty().offering(Feature::Anchors).offering(Feature::BasicMpp)
}
