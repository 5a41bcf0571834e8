//! The chain's side of the node: every channel's monitor is fed with blocks, what the chain decided goes into the channels' logs, and what
//! should be in the mempool is asked for after every block.
//!
//! A block's step holds everything that follows from the block, for every channel, and the monitors' records with it: a block that is
//! read again changes nothing (its monitors have passed it), and one whose step was lost is read again. An idle channel's record is
//! written now and then only; the chain is read on from the lowest of them after a start. Start at [`ChannelManager::chain`].

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Transaction, Txid};
use quittance_channel::{Channel, ChannelState, ForceCloseReason, FundingConfirmation, Phase, Step as ChannelStep};
use quittance_journal::{ColdId, Key, Store, UpdateId, decode_record, mark};
use quittance_monitor::{
    Block, ChannelMonitor, Closing, Fact, FeeContext, MONITOR_VERSION, Noted, OUTCOME_DEPTH, REVOKED_VERSION,
    RevokedHtlcs, Tip, close_due,
};
use quittance_primitives::{BlockHeight, ChannelId, ShortChannelId};

use crate::api::{ChainEvent, ConnectedBlock, Effect, Enforcement, Event, Loaded, Purpose};
use crate::manager::ChannelManager;
use crate::restore::RestoreError;
use crate::turn::Turn;

/// How many blocks an idle channel's monitor may read before its record is written. A start reads no more than these again.
const BLOCKS_PER_RECORD: u32 = 72;

/// A channel's monitor, and up to where its record was written.
#[derive(Clone, Debug)]
pub(crate) struct Monitored {
    pub(crate) monitor: ChannelMonitor,
    /// Nothing before the first record.
    pub(crate) written_at: Option<BlockHeight>,
}

impl Monitored {
    /// The monitor of a channel that is there since `tip`; its record is not written yet.
    pub(crate) const fn new(tip: Tip) -> Self {
        Self {
            monitor: ChannelMonitor::new(tip),
            written_at: None,
        }
    }

    /// Whether the record is to be written though nothing happened: it is the first, or the last one is old.
    fn is_due(&self) -> bool {
        let tip = self.monitor.tip().height;
        self.written_at
            .is_none_or(|written_at| tip.0 >= written_at.0.saturating_add(BLOCKS_PER_RECORD))
    }

    /// A monitor that was read back.
    pub(crate) const fn restored(monitor: ChannelMonitor) -> Self {
        Self {
            written_at: Some(monitor.tip().height),
            monitor,
        }
    }
}

impl ChannelManager {
    /// The tips up to which the monitors have read the chain. After a start, blocks must come from the lowest one on that is still in the
    /// active chain; if one of them is not, [`ChainEvent::Rewound`] comes first.
    pub fn chain_tips(&self) -> BTreeMap<BlockHeight, BTreeSet<bitcoin::BlockHash>> {
        let mut tips: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for monitored in self.monitors.values() {
            let tip = monitored.monitor.tip();
            tips.entry(tip.height).or_default().insert(tip.hash);
        }
        tips
    }

    /// The monitor of a channel.
    pub fn monitor(&self, id: &ChannelId) -> Option<&ChannelMonitor> {
        self.monitors.get(id).map(|monitored| &monitored.monitor)
    }

    pub(crate) fn chain(&mut self, event: ChainEvent, turn: &mut Turn<'_>) {
        match event {
            ChainEvent::Connected(block) => self.block_connected(&block, turn),
            ChainEvent::Rewound(fork) => self.rewound(fork, turn),
        }
    }

    fn block_connected(&mut self, block: &ConnectedBlock, turn: &mut Turn<'_>) {
        let spent = self.spent_channels(block);
        let all: Vec<&Transaction> = block.transactions.iter().map(|(_, transaction)| transaction).collect();
        let mut confirmed = self.confirmed_fundings(block);
        let mut taken_back = Vec::new();
        for (id, monitored) in &mut self.monitors {
            if block.height <= monitored.monitor.tip().height {
                // Read before.
                confirmed.remove(id);
                continue;
            }
            let state = self.channels[id].state();
            if is_taken_back(state, block.height, confirmed.get(id)) {
                taken_back.push(*id);
            }
            let concerns = spent.contains(id) || monitored.monitor.view().closing.is_some();
            let seen = Block {
                height: block.height,
                hash: block.hash,
                previous: block.previous,
                transactions: if concerns { &all } else { &[] },
            };
            let noted = monitored
                .monitor
                .connect(state, &seen)
                .expect("the chain source gives every block, in order, and says what is taken back");
            if noted == Noted::Something || monitored.is_due() || is_closing(&state.phase, &monitored.monitor) {
                turn.monitors.insert(*id);
            }
        }
        if block.height >= self.tip.height {
            self.tip = Tip {
                height: block.height,
                hash: block.hash,
            };
        }
        self.best = block.best.max(self.tip.height);
        for id in taken_back {
            mark!("chain: a funding was taken back unseen");
            let decision = self.channels[&id].decide_funding_unconfirmed();
            self.adopt_if_any(id, decision, turn);
        }
        for (id, confirmation) in confirmed {
            let decision = self.channels[&id].decide_funding_confirmed(confirmation);
            self.adopt_if_any(id, decision, turn);
        }
        self.follow_tip(turn);
    }

    /// What the new tip brings: channels get ready or are given up, deadlines pass, facts become final.
    fn follow_tip(&mut self, turn: &mut Turn<'_>) {
        let height = self.tip.height;
        for id in self.channel_ids() {
            self.say_ready(id, turn);
            let (channel, monitor) = (&self.channels[&id], &self.monitors[&id].monitor);
            let timed_out = channel
                .decide_funding_timeout(height)
                .filter(|_| monitor.view().closing.is_none());
            let is_double_spent = monitor.is_double_spent();
            let decision = timed_out.or_else(|| is_double_spent.then(|| channel.decide_double_spent())?);
            if is_double_spent {
                // Its HTLCs have their end with it.
                turn.monitors.insert(id);
            }
            if let Some(decision) = decision {
                self.adopt(id, decision, turn);
                if let Phase::Abandoned(why) = self.channels[&id].state().phase {
                    self.tell_closed(id, format!("the funding is given up: {why:?}"), turn);
                }
            }
            self.owe_funding(id, turn);
        }
        self.fail_expiring(turn);
        self.refuse_expiring(turn);
        self.announce_deep_channels(turn);
        for id in self.channel_ids() {
            if let Some(reason) = close_due(self.channels[&id].state(), height) {
                mark!("chain: a deadline closes a channel");
                self.force_close(id, reason, turn);
            }
        }
        for id in turn.monitors.clone() {
            self.follow_chain(id, turn);
        }
        for id in self.channel_ids() {
            self.retire_if_done(id, turn);
        }
    }

    fn rewound(&mut self, fork: Tip, turn: &mut Turn<'_>) {
        for (id, monitored) in &mut self.monitors {
            let was_at = monitored.monitor.tip().height;
            if monitored.monitor.rewind(fork) == Noted::Something || was_at > fork.height {
                turn.monitors.insert(*id);
            }
        }
        self.tip = fork;
        self.best = fork.height;
        for id in self.channel_ids() {
            let funding = self.channels[&id].state().funding;
            if funding.is_some_and(|funding| funding.height > fork.height) {
                mark!("chain: a funding is taken back");
                let decision = self.channels[&id].decide_funding_unconfirmed();
                self.adopt_if_any(id, decision, turn);
            }
        }
    }

    /// Takes what was read for `Effect::Load`.
    pub(crate) fn loaded(&mut self, loaded: Loaded, turn: &mut Turn<'_>) {
        let Loaded::RevokedCommitment(id, number, revoked) = loaded;
        let Some(monitored) = self.monitors.get_mut(&id) else {
            return;
        };
        // A reorganisation may have taken the commitment back meanwhile.
        if monitored.monitor.needs(self.channels[&id].state()) == Some(ColdId::RevokedCommitment(number)) {
            monitored.monitor.loaded(number, revoked);
            turn.monitors.insert(id);
            self.follow_chain(id, turn);
        }
    }

    /// Writes into a channel's log what the chain decided, and asks for what the monitor needs to say more.
    pub(crate) fn follow_chain(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let state = self.channels[&id].state();
        let monitor = &self.monitors[&id].monitor;
        if let Some(cold) = monitor.needs(state) {
            turn.emit(Effect::Load(Key::Cold(id, cold)));
        }
        for fact in monitor.facts(state) {
            let channel = &self.channels[&id];
            match fact {
                Fact::CommitmentConfirmed(txid) => {
                    mark!("chain: a commitment closes a channel that was open");
                    self.force_close(id, ForceCloseReason::CommitmentConfirmed(txid), turn);
                }
                Fact::FellBehind => {
                    let decision = quittance_channel::Decision::step(ChannelStep::FellBehind);
                    self.adopt(id, decision, turn);
                    let why = "the peer closed it by a commitment that we know nothing of".to_owned();
                    self.tell_closed(id, why, turn);
                }
                Fact::Resolved { id: htlc, outcome } => {
                    let decision = channel.decide_resolved_on_chain(htlc, outcome);
                    self.adopt_if_any(id, decision, turn);
                }
                Fact::Buried { offered_by, id: htlc } => {
                    let decision = channel.decide_buried(offered_by, htlc);
                    self.adopt_if_any(id, decision, turn);
                }
            }
        }
        let monitor = &self.monitors[&id].monitor;
        let is_mutual = monitor.closing(self.channels[&id].state()) == Some(Closing::Mutual);
        let closed_at = monitor.view().closing.as_ref().map(|closing| closing.height);
        let depth = closed_at.map(|height| height.depth_at(monitor.tip().height));
        if is_mutual && depth.is_some_and(|depth| depth >= OUTCOME_DEPTH) {
            self.tell_closed(id, "closed by agreement".to_owned(), turn);
        }
    }

    /// Tells the user once that a channel is closed.
    pub(crate) fn tell_closed(&mut self, id: ChannelId, why: String, turn: &mut Turn<'_>) {
        let monitored = self.monitors.get_mut(&id).expect("every channel has a monitor");
        turn.monitors.insert(id);
        if monitored.monitor.tell() {
            self.events.push(Event::ChannelClosed(id, why), turn);
        }
    }

    /// What should be in the mempool for a channel that closes, and the records of the monitors that have changed. Comes last in a step.
    pub(crate) fn write_monitors(&mut self, turn: &mut Turn<'_>) {
        let mut context = FeeContext {
            estimates: turn.context.fees,
            destination: turn.context.sweep_to,
            coins: turn.context.coins.to_vec(),
        };
        let touched: BTreeSet<_> = turn.monitors.union(&turn.channels).copied().collect();
        for id in touched {
            let (Some(channel), Some(monitored)) = (self.channels.get(&id), self.monitors.get_mut(&id)) else {
                // Retired in this step.
                continue;
            };
            let state = channel.state();
            if is_closing(&state.phase, &monitored.monitor) {
                // A claim that older blocks lack is not late: they were found before it was made.
                let is_behind = monitored.monitor.tip().height < self.best;
                let is_barred = self.awaiting_peers.contains(&id) && is_reopened(&state.phase, &monitored.monitor);
                #[cfg(feature = "mutants")]
                let is_barred =
                    is_barred && !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::BarredUntilSeen);
                if is_barred {
                    mark!("chain: a state that its peer has not confirmed is not broadcast");
                }
                let broadcasts = if is_behind || is_barred {
                    Vec::new()
                } else {
                    monitored.monitor.broadcasts(state, &mut context)
                };
                for broadcast in broadcasts {
                    turn.emit(Effect::Enforce(Box::new(Enforcement {
                        channel: id,
                        signer_keys_id: state.facts.signer_keys_id,
                        broadcast,
                    })));
                }
                turn.monitors.insert(id);
            }
            if monitored.is_due() || turn.monitors.contains(&id) {
                monitored.written_at = Some(monitored.monitor.tip().height);
                let body = monitored.monitor.to_body();
                turn.step.changes_mut().put(Key::Monitor(id), MONITOR_VERSION, &body);
            }
        }
    }

    /// What must be kept of the commitment that a decision revokes: a cold record for the same batch.
    pub(crate) fn keep_revoked(&self, id: ChannelId, steps: &[ChannelStep], turn: &mut Turn<'_>) {
        let is_revocation = |step: &ChannelStep| matches!(step, ChannelStep::RevocationReceived { .. });
        let Some(place) = steps.iter().position(is_revocation) else {
            return;
        };
        assert_eq!(place, 0, "a revocation comes before what follows from it");
        let state = self.channels[&id].state();
        if let Some(revoked) = RevokedHtlcs::about_to_be_revoked(state) {
            turn.step
                .changes_mut()
                .put(revoked.key(state), REVOKED_VERSION, &revoked.to_body());
        }
    }

    /// Asks for the funding transaction of a channel of ours to be broadcast, as long as it is not confirmed.
    pub(crate) fn owe_funding(&self, id: ChannelId, turn: &mut Turn<'_>) {
        let state = self.channels[&id].state();
        if let Some(funding) = state.funding_to_broadcast(|other| self.channels.contains_key(other)) {
            turn.emit(Effect::Broadcast(Box::new(funding.clone()), Purpose::Funding(id)));
        }
    }

    /// A channel about which nothing can change any more becomes a cold record, once nobody waits for anything that its log says.
    fn retire_if_done(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let state = self.channels[&id].state();
        let is_over = match state.phase {
            Phase::Abandoned(_) => true,
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind => self.monitors[&id].monitor.is_finished(state),
        };
        let is_needed = || {
            let is_upstream = self.forwards.keys().any(|(upstream, _)| *upstream == id);
            state.unreleased_htlcs().next().is_some() || !state.claims.is_empty() || is_upstream
        };
        if !is_over || turn.channels.contains(&id) || is_needed() {
            return;
        }
        mark!("chain: a closed channel becomes a cold record");
        let last: UpdateId = state.last_update;
        let body = state.to_checkpoint();
        let changes = turn.step.changes_mut();
        changes.put(
            Key::Cold(id, ColdId::Closed),
            quittance_channel::CHECKPOINT_VERSION,
            &body,
        );
        changes.delete(Key::Checkpoint(id));
        changes.delete_updates(id, last);
        changes.delete(Key::Monitor(id));
        changes.delete(Key::Terms(id));
        turn.monitors.remove(&id);
        self.channels.remove(&id);
        self.monitors.remove(&id);
        self.checkpoints.remove(&id);
        self.gossip.forget(&id);
        self.waiting.retain(|(channel, _), _| *channel != id);
        self.delayed.retain(|(channel, _), _| *channel != id);
        self.intercepted.retain(|(channel, _)| *channel != id);
        for parts in self.held.values_mut() {
            parts.retain(|(channel, _)| *channel != id);
        }
        self.held.retain(|_, parts| !parts.is_empty());
    }

    /// The channels whose funding output a block spends, or a coin that is to fund them.
    fn spent_channels(&self, block: &ConnectedBlock) -> BTreeSet<ChannelId> {
        let mut by_coin: BTreeMap<_, Vec<ChannelId>> = BTreeMap::new();
        for (id, channel) in &self.channels {
            let state = channel.state();
            by_coin.entry(state.facts.funding).or_default().push(*id);
            let funding = state
                .facts
                .funding_transaction
                .as_ref()
                .filter(|_| state.funding.is_none());
            for input in funding.iter().flat_map(|funding| &funding.transaction().input) {
                by_coin.entry(input.previous_output).or_default().push(*id);
            }
        }
        let inputs = block
            .transactions
            .iter()
            .flat_map(|(_, transaction)| &transaction.input);
        inputs
            .filter_map(|input| by_coin.get(&input.previous_output))
            .flatten()
            .copied()
            .collect()
    }

    /// The fundings that wait for a block, and stand in this one; and those of which the log says that they stand in this one or in a later one,
    /// which were read before a restart.
    fn confirmed_fundings(&self, block: &ConnectedBlock) -> BTreeMap<ChannelId, FundingConfirmation> {
        let waits = |channel: &&Channel| {
            let funding = channel.state().funding;
            funding.is_none_or(|funding| funding.height >= block.height)
        };
        let mut waiting: BTreeMap<Txid, Vec<&Channel>> = BTreeMap::new();
        for channel in self.channels.values().filter(waits) {
            waiting
                .entry(channel.state().facts.funding.txid)
                .or_default()
                .push(channel);
        }
        let mut confirmed = BTreeMap::new();
        if waiting.is_empty() {
            return confirmed;
        }
        for (index, transaction) in &block.transactions {
            for channel in waiting.get(&transaction.compute_txid()).into_iter().flatten() {
                let facts = &channel.state().facts;
                let place = u16::try_from(facts.funding.vout).ok();
                let name = place.and_then(|place| ShortChannelId::new(block.height, *index, place));
                let output = usize::try_from(facts.funding.vout)
                    .ok()
                    .and_then(|vout| transaction.output.get(vout));
                // BOLT 2: an output that is not what was agreed on funds nothing.
                if let Some(short_channel_id) = name
                    && output == Some(&facts.terms().funding_output())
                {
                    let height = block.height;
                    confirmed.insert(
                        facts.channel_id,
                        FundingConfirmation {
                            height,
                            short_channel_id,
                        },
                    );
                }
            }
        }
        confirmed
    }

    pub(crate) fn channel_ids(&self) -> Vec<ChannelId> {
        self.channels.keys().copied().collect()
    }
}

/// Whether something of the channel's may have to be in the mempool.
fn is_closing(phase: &Phase, monitor: &ChannelMonitor) -> bool {
    monitor.view().closing.is_some() || matches!(phase, Phase::ForceClosed(_) | Phase::ClosingAgreed(_))
}

/// Whether a commitment closed the channel that a reorganisation has taken back. Our own may be revoked if the peer never confirmed our state.
fn is_reopened(phase: &Phase, monitor: &ChannelMonitor) -> bool {
    let is_seen = matches!(phase, Phase::ForceClosed(ForceCloseReason::CommitmentConfirmed(_)));
    is_seen && monitor.view().closing.is_none()
}

/// Reads what `Effect::Load` asks for, for `Input::Loaded`. Nothing for a key that the engine never asks for.
///
/// # Errors
/// [`RestoreError`] when the record cannot be read or is damaged: the node must stop, it knows less than it should (G10).
pub fn load(store: &dyn Store, key: Key) -> Result<Option<Loaded>, RestoreError> {
    let Key::Cold(id, ColdId::RevokedCommitment(number)) = key else {
        return Ok(None);
    };
    let Some(frame) = store.get(&key)? else {
        return Ok(Some(Loaded::RevokedCommitment(id, number, None)));
    };
    let record = decode_record(&key, &frame, REVOKED_VERSION)?;
    let revoked = RevokedHtlcs::from_body(number, record.body).map_err(|fault| RestoreError::Body { key, fault })?;
    Ok(Some(Loaded::RevokedCommitment(id, number, Some(revoked))))
}

/// Whether the block at `height` refutes what the log says of the funding: a reorganisation of which we never heard, since we were away and
/// the last block that the monitor's row tells of is older.
fn is_taken_back(state: &ChannelState, height: BlockHeight, confirmed: Option<&FundingConfirmation>) -> bool {
    state.funding.as_ref().is_some_and(|funding| {
        let should_be_here = funding.height == height;
        confirmed.map_or(should_be_here, |confirmed| confirmed != funding)
    })
}
