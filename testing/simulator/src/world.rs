//! The world of a simulation: nodes, the wires between them, time, and the plan of who dies when.
//!
//! A node's work on one input is a row of *points*: the batch is appended; it is synced; each effect has left, one by one. A
//! [`CrashPlan`] names one point, and the world kills the node there. Without a plan the points are counted, so that a script
//! can be run again once for each of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::{Transaction, TxOut};
use quittance_channel::{HtlcSource, OfferedHtlc, Outcome};
use quittance_journal::{EventNumber, Generation, Lsn, Store};
use quittance_manager::{Effect, Event, Input, NewPayment, Outgoing, Purpose, RequestId, Signing};
use quittance_primitives::{ChannelId, Feature, Features, HtlcId, MilliSatoshi, NodeId, PaymentId};
use quittance_records::Record;
use quittance_store::memory::{Fault, Keep};
use quittance_wire::Message;

use crate::{Arrives, Checker, CrashPlan, Cut, Harm, Node, Random, RowsAfterCrash, RunHash};

pub use chain::WorldChain;
pub use channels::ChannelSetup;
pub use halves::Halved;
pub use hearsay::Lie;
pub use payments::{Hold, Part};
pub use wires::{Garbage, Latency};

mod betrayals;
mod chain;
mod channels;
mod gossip;
mod halves;
mod hearsay;
mod payments;
mod slow_disk;
mod wires;

/// A node, by its place.
pub type NodeIndex = usize;

/// A payment that a caller has asked for.
#[derive(Clone, Debug)]
pub struct Requested {
    /// Who pays.
    pub payer: NodeIndex,
    /// Who is paid.
    pub payee: NodeIndex,
    /// What was asked for.
    pub payment: NewPayment,
    /// The first call.
    pub request: RequestId,
}

/// An opening that waits for its funding: peer, temporary id, output.
pub type WantedFunding = (NodeId, ChannelId, TxOut);

/// A message on its way.
#[derive(Clone, Debug)]
struct OnItsWay {
    bytes: Vec<u8>,
    /// How many syncs, one after the other, it rests on.
    depth: u64,
    arrives_at_ms: u64,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What must hold.
    pub checker: Checker,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The chain, its mempool and its money.
    pub chain: WorldChain,
    /// The points that each node has passed.
    pub points: BTreeMap<NodeIndex, u64>,
    /// Of these, those at which something was not synced.
    pub unsynced_points: BTreeSet<(NodeIndex, u64)>,
    /// Who suffers what; taken out when it has happened.
    pub plans: Vec<CrashPlan>,
    /// Nodes that write such steps in two halves, and die between them; taken out when it has happened.
    pub written_in_halves: BTreeMap<NodeIndex, Halved>,
    /// Where the next wire is cut; taken out when it has happened.
    pub cut: Option<Cut>,
    /// Every payment that a caller asked for.
    pub requested: BTreeMap<PaymentId, Requested>,
    /// What any two nodes support on their next connection.
    pub features: Features,
    /// A story of the run, line by line, if it is wanted.
    pub story: Option<Vec<String>>,
    /// What the run did, step by step, as one number.
    pub hash: RunHash,
    /// Steps of all engines.
    pub steps: u64,
    random: Random,
    wires: BTreeMap<(NodeIndex, NodeIndex), VecDeque<OnItsWay>>,
    latencies: BTreeMap<(NodeIndex, NodeIndex), Latency>,
    /// What each node sent to each other lately, so that it can be sent again.
    sent_lately: BTreeMap<(NodeIndex, NodeIndex), VecDeque<Vec<u8>>>,
    /// How many openings are funded by one transaction, and those that wait for it.
    pub batch: Option<(usize, Vec<WantedFunding>)>,
    /// What was broadcast, by whom and what for.
    pub broadcast: Vec<(NodeIndex, Transaction, Purpose)>,
    /// How many syncs, one after the other and on whatever disk, each node's newest state rests on.
    depths: BTreeMap<NodeIndex, u64>,
    connected: BTreeSet<(NodeIndex, NodeIndex)>,
    /// Channels that were greeted in their present connection, from whom to whom.
    greeted: BTreeSet<(NodeIndex, NodeIndex, ChannelId)>,
    /// What peers asked each other of public channels.
    questions: hearsay::Questions,
    generations: u64,
    channels: u32,
    requests: u64,
}

impl World {
    /// `nodes` nodes that run and do not know each other.
    pub fn new(nodes: u8, seed: u64) -> Self {
        let (chain, wallets) = WorldChain::new(nodes);
        let mut world = Self {
            nodes: (0..nodes)
                .zip(wallets)
                .map(|(number, wallet)| Node::new(number, wallet))
                .collect(),
            checker: Checker::default(),
            now_ms: 1_700_000_000_000,
            chain,
            points: BTreeMap::new(),
            unsynced_points: BTreeSet::new(),
            plans: Vec::new(),
            written_in_halves: BTreeMap::new(),
            cut: None,
            requested: BTreeMap::new(),
            features: Features::empty()
                .offering(Feature::Anchors)
                .offering(Feature::BasicMpp)
                .offering(Feature::Quiesce),
            story: None,
            hash: RunHash::default(),
            steps: 0,
            random: Random::new(seed),
            wires: BTreeMap::new(),
            latencies: BTreeMap::new(),
            sent_lately: BTreeMap::new(),
            batch: None,
            broadcast: Vec::new(),
            depths: BTreeMap::new(),
            connected: BTreeSet::new(),
            greeted: BTreeSet::new(),
            questions: hearsay::Questions::default(),
            generations: 0,
            channels: 0,
            requests: 0,
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

    /// Whether two nodes are connected.
    pub fn is_connected(&self, one: NodeIndex, other: NodeIndex) -> bool {
        self.connected.contains(&pair(one, other))
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
            self.greeted.retain(|(from, to, _)| (*from, *to) != (node, peer));
            self.checker.may_send_halves_again(node);
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
                        features: self.features.clone(),
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
        self.questions.hung_up(one, other);
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
    ///
    /// # Panics
    /// When its records are refused.
    pub fn start(&mut self, node: NodeIndex) {
        self.try_start(node)
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.nodes[node].name));
    }

    /// Starts a node's process, unless its records stand against it.
    ///
    /// # Errors
    /// What the engine says against the records.
    pub fn try_start(&mut self, node: NodeIndex) -> Result<(), quittance_manager::RestoreError> {
        if self.is_up(node) {
            return Ok(());
        }
        let entropy = self.random.bytes();
        let now_ms = self.clock_of(node);
        let started = self.nodes[node].try_start(self.chain.tip(), now_ms, entropy);
        self.tell(|world| {
            let name = &world.nodes[node].name;
            match &started {
                Ok(rebuilt) if rebuilt.is_empty() => format!("{name} starts"),
                Ok(rebuilt) => format!("{name} starts; {}", rebuilt.join("; ")),
                Err(error) => format!("{name} refuses to start: {error}"),
            }
        });
        started?;
        self.checker.started(node);
        if self.nodes[node].starts_that_die > 0 {
            self.nodes[node].starts_that_die -= 1;
            let keep = if self.nodes[node].starts_that_die.is_multiple_of(2) {
                Keep::All
            } else {
                Keep::None
            };
            self.crash(node, keep, RowsAfterCrash::Whole);
            return self.try_start(node);
        }
        self.pass(node);
        self.take_up_chain(node);
        Ok(())
    }

    /// Ends a node's process.
    pub fn crash(&mut self, node: NodeIndex, keep: Keep, rows: RowsAfterCrash) {
        self.tell(|world| format!("{} crashes ({keep:?}, rows {rows:?})", world.nodes[node].name));
        self.nodes[node].crash(keep, rows);
        if rows != RowsAfterCrash::Whole {
            self.checker.terms_forgotten(node);
        }
        self.hang_up(node);
    }

    fn hang_up(&mut self, node: NodeIndex) {
        let peers: Vec<_> = (0..self.nodes.len())
            .filter(|peer| self.is_connected(node, *peer))
            .collect();
        for peer in peers {
            self.disconnect(node, peer);
        }
    }

    /// The disk failed under a process, which must stop.
    fn stopped_by_disk(&mut self, node: NodeIndex) {
        self.tell(|world| format!("{} stops: its disk failed", world.nodes[node].name));
        let rows = std::mem::replace(&mut self.nodes[node].rows_after_failure, RowsAfterCrash::Whole);
        self.crash(node, Keep::None, rows);
    }

    /// Gives a node an input, and lets it work on it as far as the plan allows.
    pub fn input(&mut self, node: NodeIndex, input: Input) {
        if !self.is_up(node) {
            return;
        }
        self.steps += 1;
        let entropy = self.random.bytes();
        let before = self.nodes[node].store.appended();
        let halved = self.written_in_halves.get(&node).copied();
        let halved = halved.filter(|halved| halved.is(&input, &self.nodes[node].store));
        let now_ms = self.clock_of(node);
        let signing = self.signing(node, &input);
        let is_written = self.nodes[node].handle(input, signing, now_ms, entropy);
        if !is_written {
            self.stopped_by_disk(node);
            return;
        }
        let after = self.nodes[node].store.appended();
        self.hash.add_number(node as u64);
        if after > before {
            let batch = self.nodes[node].store.batch(after).expect("it was appended just now");
            self.hash.add(&batch.to_bytes());
            if halved.is_some_and(|halved| self.die_between(node, halved)) {
                return;
            }
        }
        self.pass(node);
    }

    /// A node whose disk is slower than its network signs once for messages of a peer that have come together.
    fn signing(&self, node: NodeIndex, input: &Input) -> Signing {
        let Input::PeerMessage { peer, .. } = input else {
            return Signing::Now;
        };
        let mut wires = self.wires.iter().filter(|(_, wire)| !wire.is_empty());
        let has_more = wires.any(|((from, to), _)| *to == node && self.nodes[*from].id() == *peer);
        if has_more && self.nodes[node].syncs_wait {
            Signing::WithTheNext
        } else {
            Signing::Now
        }
    }

    /// The time as a node's clock has it.
    fn clock_of(&self, node: NodeIndex) -> u64 {
        self.now_ms.saturating_add_signed(self.nodes[node].clock_ahead_ms)
    }

    /// The points after a batch was appended: unsynced, synced, and each effect released.
    fn pass(&mut self, node: NodeIndex) {
        if !self.is_up(node) || self.is_end(node) {
            return;
        }
        if self.nodes[node].syncs_wait {
            self.release(node);
        } else {
            self.sync(node);
        }
    }

    /// Syncs all that a node has appended, and lets out what waited for it.
    pub fn sync(&mut self, node: NodeIndex) {
        let appended = self.nodes[node].store.appended();
        self.sync_through(node, appended);
    }

    /// Ends a sync that began when `last` was appended, and lets out what waited for it.
    fn sync_through(&mut self, node: NodeIndex, last: Lsn) {
        if !self.is_up(node) {
            return;
        }
        let is_news = last > self.nodes[node].store.durable();
        let is_synced = self.nodes[node].store.sync_through(last).is_ok();
        #[cfg(feature = "mutants")]
        let is_synced = {
            use quittance_journal::mutant::{Mutant, is_on};
            is_synced || is_on(Mutant::FailedSyncRetried) && self.nodes[node].store.sync_through(last).is_ok()
        };
        if !is_synced {
            self.stopped_by_disk(node);
            return;
        }
        if is_news {
            self.nodes[node].syncs += 1;
            *self.depths.entry(node).or_default() += 1;
        }
        if !self.is_end(node) {
            self.release(node);
        }
    }

    fn release(&mut self, node: NodeIndex) {
        while self.is_up(node) {
            let Some(effect) = self.nodes[node].release() else {
                return;
            };
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
        let store = &self.nodes[node].store;
        if store.appended() > store.durable() {
            self.unsynced_points.insert((node, here));
        }
        let is_due = |plan: &CrashPlan| plan.node == node && plan.point == here;
        let Some(due) = self.plans.iter().position(is_due) else {
            return false;
        };
        let plan = self.plans.remove(due);
        self.suffer(plan)
    }

    /// What a plan does to its node; whether it is dead.
    fn suffer(&mut self, plan: CrashPlan) -> bool {
        let node = plan.node;
        self.nodes[node].starts_that_die = plan.starts_that_die;
        match plan.harm {
            Harm::Dies(keep) => {
                self.crash(node, keep, plan.rows);
                true
            }
            Harm::SyncFails => {
                self.nodes[node].rows_after_failure = plan.rows;
                self.nodes[node].store.break_(Fault::SyncFails);
                false
            }
            Harm::DiskFills => {
                self.nodes[node].rows_after_failure = plan.rows;
                self.nodes[node].fill_disk();
                false
            }
        }
    }

    /// Whoever was to die at a point that no node has reached dies now.
    pub fn die_at_last(&mut self) {
        for plan in std::mem::take(&mut self.plans) {
            if self.is_up(plan.node) {
                self.suffer(plan);
            }
        }
    }

    fn carry_out(&mut self, node: NodeIndex, effect: Effect) {
        match effect {
            Effect::Send(peer, outgoing) => self.send(node, &peer, outgoing),
            Effect::Disconnect(peer, reason) => {
                self.tell(|world| format!("{} hangs up: {reason:?}", world.nodes[node].name));
                let peer = self.index_of(&peer);
                // What was written before a connection is closed still arrives.
                while self.deliver(node, peer) {}
                self.disconnect(node, peer);
            }
            Effect::Notify(event) => {
                self.tell(|world| format!("{} is told {event:?}", world.nodes[node].name));
                self.checker.shown(node, &event);
                self.hash.add(&event.to_bytes());
                if let Event::PaymentFailed { payment_id, .. } = &event.event {
                    self.failed(node, *payment_id);
                }
                let number = event.number;
                self.nodes[node].last_shown = Some(number);
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
                self.nodes[node].user.refused.push(number);
                self.tell(|world| format!("{} refuses the handling of {}", world.nodes[node].name, number.0));
            }
            Effect::Respond(request, response) => {
                self.nodes[node].user.responses.insert(request, *response);
            }
            Effect::Broadcast(transaction, purpose) => {
                self.submit(node, &transaction);
                self.broadcast.push((node, *transaction, purpose));
            }
            Effect::Enforce(enforcement) => self.enforce(node, &enforcement),
            Effect::Load(key) => {
                let loaded = quittance_manager::load(&self.nodes[node].store, key).expect("the disk can be read");
                if let Some(loaded) = loaded {
                    self.input(node, Input::Loaded(Box::new(loaded)));
                }
            }
            Effect::OpeningEnded(forgotten, why) => self.nodes[node].user.openings_ended.push((*forgotten, why)),
            Effect::FundingWanted {
                peer,
                temporary_channel_id,
                output,
            } => {
                self.fund(node, peer, temporary_channel_id, output);
            }
        }
    }

    /// A user confirms that it has handled all events up to `number`. The driver refuses what it has not shown.
    pub fn handle_events(&mut self, node: NodeIndex, number: EventNumber) {
        if !self.is_up(node) {
            return;
        }
        let shown = self.nodes[node].last_shown;
        let process = self.nodes[node].process.as_ref();
        if process.is_some_and(|process| !process.manager.may_be_handled(number, shown)) {
            self.nodes[node].user.refused.push(number);
        } else {
            self.checker.acknowledging(node, number);
            self.input(node, Input::EventHandled(number));
        }
    }

    /// A user confirms all that it was shown.
    pub fn handle_all_events(&mut self, node: NodeIndex) {
        if let Some(last) = self.nodes[node].last_shown {
            self.handle_events(node, last);
        }
    }

    fn send(&mut self, node: NodeIndex, peer: &NodeId, outgoing: Outgoing) {
        match &outgoing {
            Outgoing::Commitment(to_sign) => self.checker.signed(node, to_sign.channel_id, &to_sign.contents),
            Outgoing::Revocation(due) => self.checker.revoked(node, due.channel_id(), due.revoked()),
            Outgoing::Message(_) | Outgoing::Closing(_) | Outgoing::Opening(_) | Outgoing::Gossip(_) => {}
        }
        let message = self.nodes[node].complete(outgoing);
        match &message {
            Message::UpdateAddHtlc(add) => {
                self.checker.offered(node, add.payment_hash);
                self.add_left(node, add.channel_id, add.id);
            }
            Message::UpdateFulfillHtlc(fulfil) => {
                self.checker.preimage_left(fulfil.payment_preimage);
                self.checker
                    .removal_left(node, fulfil.channel_id, fulfil.id, message.encode());
            }
            Message::UpdateFailHtlc(fail) => self.fail_left(node, fail.channel_id, fail.id, message.encode()),
            Message::UpdateFailMalformedHtlc(fail) => {
                self.fail_left(node, fail.channel_id, fail.id, message.encode());
            }
            Message::ChannelReady(ready) => {
                let is_durable = self.nodes[node].has_on_disk(ready.channel_id);
                self.checker.ready_left(node, ready, is_durable);
            }
            _ => self.gossip_left(node, peer, &message),
        }
        self.nodes[node].sent.push(message.name());
        let peer = self.index_of(peer);
        if self.wires.contains_key(&(node, peer)) {
            if let Some(channel) = greets(&message) {
                self.greeted.insert((node, peer, channel));
            } else if let Some(channel) = updates(&message)
                && !self.greeted.contains(&(node, peer, channel))
            {
                self.checker.not_greeted(node, channel, message.name());
            }
            let depth = self.depths.get(&node).copied().unwrap_or(0);
            let bytes = message.encode();
            self.hash.add(&bytes);
            self.keep_sent(node, peer, &bytes);
            self.put_on_wire(node, peer, bytes, depth);
        }
    }

    fn add_left(&mut self, node: NodeIndex, channel: ChannelId, htlc: HtlcId) {
        let channels = || {
            self.nodes[node]
                .process
                .iter()
                .flat_map(|process| process.manager.channels())
        };
        let offered = channels()
            .find(|other| other.state().facts.channel_id == channel)
            .and_then(|channel| channel.state().offered_htlc(htlc));
        let Some(OfferedHtlc { source, terms, .. }) = offered else {
            return;
        };
        let part = match source {
            HtlcSource::Payment(part) => part,
            HtlcSource::Forward(upstream) => {
                let (upstream, terms) = (*upstream, *terms);
                self.checker.sent_on(node, &upstream, &terms);
                return;
            }
        };
        let is_part = |other: &&OfferedHtlc| match &other.source {
            HtlcSource::Payment(other) => other.payment_id == part.payment_id,
            HtlcSource::Forward(_) => false,
        };
        // Whatever the engine thinks of it: what is in a commitment can be claimed.
        let in_flight = channels().flat_map(|channel| {
            let state = channel.state();
            let offered = state.commitments.offered.values();
            let alive = offered.filter(|htlc| {
                let is_paid = matches!(htlc.outcome, Some(Outcome::Fulfilled(_)));
                is_paid || self.is_claimable_on_chain(state, htlc).unwrap_or(true)
            });
            let paid = state
                .gone
                .values()
                .filter(|htlc| matches!(htlc.outcome, Some(Outcome::Fulfilled(_))));
            alive.chain(paid).filter(is_part).map(|htlc| match &htlc.source {
                HtlcSource::Payment(part) => part.delivers.0,
                HtlcSource::Forward(_) => 0,
            })
        });
        let in_flight = MilliSatoshi(in_flight.sum());
        let (hash, total) = (terms.payment_hash, part.total);
        self.checker.paid_for(node, hash, in_flight, total);
    }

    fn failed(&mut self, node: NodeIndex, payment: PaymentId) {
        let is_part =
            |htlc: &OfferedHtlc| matches!(&htlc.source, HtlcSource::Payment(part) if part.payment_id == payment);
        if self.has_live_htlc(node, is_part) {
            self.checker.failed_alive(node, payment);
        }
    }

    fn fail_left(&mut self, node: NodeIndex, channel: ChannelId, htlc: HtlcId, message: Vec<u8>) {
        self.checker.removal_left(node, channel, htlc, message);
        let is_sent_on = |offered: &OfferedHtlc| matches!(&offered.source, HtlcSource::Forward(source) if (source.channel, source.htlc) == (channel, htlc));
        if self.has_live_htlc(node, is_sent_on) {
            self.checker.failed_too_early(node, channel, htlc);
        }
    }

    /// Whether a node has an HTLC in some commitment that somebody may still claim, off chain or on chain.
    fn has_live_htlc(&self, node: NodeIndex, is_meant: impl Fn(&OfferedHtlc) -> bool) -> bool {
        let process = self.nodes[node].process.as_ref();
        let channels = process.into_iter().flat_map(|process| process.manager.channels());
        channels.into_iter().any(|channel| {
            let state = channel.state();
            let mut meant = state.commitments.offered.values().filter(|htlc| is_meant(htlc));
            meant.any(|htlc| self.is_claimable_on_chain(state, htlc).unwrap_or(true))
        })
    }

    /// Delivers the oldest message from one node to another, if there is one.
    pub fn deliver(&mut self, from: NodeIndex, to: NodeIndex) -> bool {
        let Some(on_its_way) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.now_ms = self.now_ms.max(on_its_way.arrives_at_ms);
        let Ok(message) = Message::decode(&on_its_way.bytes) else {
            // A driver hangs up on what it cannot read.
            self.disconnect(from, to);
            return true;
        };
        let is_due = |cut: &Cut| (cut.from, cut.to, cut.message) == (from, to, message.name());
        let cut = self.cut.take_if(|cut| is_due(cut));
        if cut.is_some_and(|cut| cut.arrives == Arrives::No) {
            self.tell(|_| format!("the wire is cut, and {} is lost", message.name()));
            self.disconnect(from, to);
            return true;
        }
        self.hand_over(from, to, message, on_its_way.depth);
        if cut.is_some() {
            self.tell(|_| "the wire is cut".to_owned());
            self.disconnect(from, to);
        }
        true
    }

    /// Delivers all that is on its way from one node to another, and syncs once for all of it if anybody waits for it, as a node does whose
    /// disk is slower than its network. Whether there was anything.
    pub fn deliver_together(&mut self, from: NodeIndex, to: NodeIndex) -> bool {
        let count = self.wires.get(&(from, to)).map_or(0, VecDeque::len);
        let waited = std::mem::replace(&mut self.nodes[to].syncs_wait, true);
        for _ in 0..count {
            self.deliver(from, to);
        }
        self.nodes[to].syncs_wait = waited;
        if self.nodes[to].is_awaited() {
            self.sync(to);
        }
        count > 0
    }

    /// Delivers together until every wire is empty. Returns how many syncs in a row `witness` rests on when `until` holds for the first
    /// time.
    pub fn settle_together(&mut self, witness: NodeIndex, until: impl Fn(&Self) -> bool) -> Option<u64> {
        let mut seen = None;
        while let Some((from, to)) = self.busy_wires().first().copied() {
            self.deliver_together(from, to);
            if seen.is_none() && until(self) {
                seen = self.depths.get(&witness).copied();
            }
        }
        seen
    }

    /// Starts counting syncs anew.
    pub fn forget_syncs(&mut self) {
        self.depths.clear();
        for node in &mut self.nodes {
            node.syncs = 0;
        }
    }

    fn hand_over(&mut self, from: NodeIndex, to: NodeIndex, message: Message, depth: u64) {
        self.tell(|world| {
            let [from, to] = [from, to].map(|node| &world.nodes[node].name);
            format!("{from} -> {to}: {}", message.name())
        });
        let rests_on = self.depths.entry(to).or_default();
        *rests_on = depth.max(*rests_on);
        if hearsay::is_for_the_driver(&message) {
            return;
        }
        self.asked(from, to, &message);
        let peer = self.nodes[from].id();
        let Some(process) = &self.nodes[to].process else { return };
        let need = process.manager.needs(&peer, &message);
        let keys_id = process.manager.signer_keys_id(&peer, &message);
        let attached = self.nodes[to].signer.attach(need, keys_id, &message);
        let is_of_terms = matches!(message, Message::ChannelUpdate(_));
        let input = Input::PeerMessage {
            peer,
            message: Box::new(message),
            attached,
        };
        if is_of_terms {
            self.put_terms_before(to, &peer, input);
        } else {
            self.input(to, input);
        }
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

    /// The wires on which something is on its way.
    pub fn busy_wires(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let busy = self.wires.iter().filter(|(_, wire)| !wire.is_empty());
        busy.map(|(wire, _)| *wire).collect()
    }

    /// The name of the next message on a wire.
    pub fn next_message(&self, from: NodeIndex, to: NodeIndex) -> Option<&'static str> {
        let next = self.wires.get(&(from, to))?.front()?;
        Some(Message::decode(&next.bytes).ok()?.name())
    }

    /// Delivers until the next message from one node to another is `name`, which stays on its way. Whether it is.
    pub fn settle_until(&mut self, from: NodeIndex, to: NodeIndex, name: &str) -> bool {
        for _ in 0..100_000 {
            if self.next_message(from, to) == Some(name) {
                return true;
            }
            // Other wires first, so that this one is not emptied while a cause of the message is still on its way.
            let busy = self.busy_wires();
            let Some(wire) = busy.iter().find(|wire| **wire != (from, to)).or(busy.first()) else {
                return false;
            };
            self.deliver(wire.0, wire.1);
        }
        false
    }

    /// Disks are good, everything that died runs again, everyone who shares a channel is connected, and time passes until nothing
    /// happens any more. A process that went on after a failed sync has lost what its disk did not take: it starts from the rest.
    pub fn recover(&mut self) {
        self.cut = None;
        for node in 0..self.nodes.len() {
            if self.nodes[node].store.believes_what_is_lost() {
                self.crash(node, Keep::None, RowsAfterCrash::Whole);
            }
            if self.nodes[node].is_disk_full {
                // It stays full over two starts: the node must neither act nor lose anything by them.
                for _ in 0..2 {
                    self.start(node);
                    self.input(node, Input::Tick);
                }
                self.nodes[node].empty_disk();
            }
            self.nodes[node].store.repair();
            self.nodes[node].syncs_wait = false;
            self.sync(node);
            self.start(node);
        }
        self.reconnect();
    }

    /// Everyone runs and is connected to those with whom it shares a channel, and time passes until nothing happens any more.
    pub fn reconnect(&mut self) {
        for _ in 0..3 {
            for node in 0..self.nodes.len() {
                self.start(node);
            }
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

    pub(crate) fn share_a_channel(&self, one: NodeIndex, other: NodeIndex) -> bool {
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

    /// The last batch on a node's disk.
    pub fn lsn(&self, node: NodeIndex) -> Lsn {
        self.nodes[node].store.durable()
    }

    /// Adds a line to the story, if one is wanted.
    pub fn tell(&mut self, line: impl Fn(&Self) -> String) {
        if self.story.is_some() {
            let line = line(self);
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    pub(crate) fn index_of(&self, id: &NodeId) -> NodeIndex {
        self.nodes
            .iter()
            .position(|node| node.id() == *id)
            .expect("every peer is a node of this world")
    }
}

/// The channel that a message begins to use in its connection.
fn greets(message: &Message) -> Option<ChannelId> {
    match message {
        Message::ChannelReestablish(message) => Some(message.channel_id),
        Message::ChannelReady(message) => Some(message.channel_id),
        _ => None,
    }
}

/// The channel that a message changes.
fn updates(message: &Message) -> Option<ChannelId> {
    match message {
        Message::UpdateAddHtlc(message) => Some(message.channel_id),
        Message::UpdateFulfillHtlc(message) => Some(message.channel_id),
        Message::UpdateFailHtlc(message) => Some(message.channel_id),
        Message::UpdateFailMalformedHtlc(message) => Some(message.channel_id),
        Message::UpdateFee(message) => Some(message.channel_id),
        Message::CommitmentSigned(message) => Some(message.channel_id),
        Message::RevokeAndAck(message) => Some(message.channel_id),
        _ => None,
    }
}

fn pair(one: NodeIndex, other: NodeIndex) -> (NodeIndex, NodeIndex) {
    (one.min(other), one.max(other))
}
