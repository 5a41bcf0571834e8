//! From records to a running engine. The channels' logs are the truth (G9): payments, events, forwards and held HTLCs are corrected by
//! them, or made from them when nothing else is left. Nothing is inferred from something that is missing.
//!
//! The corrections are one step like any other: they are written before anything that rests on them leaves, and a crash before that
//! finds the same records again and corrects them in the same way.

use std::collections::{BTreeMap, BTreeSet};

use quittance_channel::{
    CHECKPOINT_VERSION, Channel, ChannelMonitorUpdate, ChannelState, HtlcSource, Outcome, PaymentFailureReason,
    PaymentPart, ReportedEnd, UPDATE_VERSION,
};
use quittance_journal::{
    ColdId, EventNumber, HeaderRow, Key, KeyRange, ReadError, RecordError, Space, Step, Store, UpdateId, decode_record,
    mark,
};
use quittance_monitor::{ChannelMonitor, MONITOR_VERSION, Tip};
use quittance_onion::Payload;
use quittance_payments::{Payment, PaymentStatus};
use quittance_primitives::{ChannelId, PaymentHash, PaymentId, PaymentPreimage};
use quittance_records::{BadRecord, Record};

use crate::api::{Context, Effect, Event};
use crate::chain::Monitored;
use crate::declared::awaiting_peers;
use crate::events::{EVENT_VERSION, EventMarks, Events};
use crate::gossip::{Gossip, NODE_VERSION, TERMS_VERSION, Terms};
use crate::inbound::{is_decided, judged};
use crate::manager::{ChannelManager, ManagerConfig, PAYMENT_VERSION, Signing};
use crate::turn::Turn;
use crate::upgrade::{FINISHED_PAYMENT_VERSION, require_format};

/// A node that was read back.
#[derive(Debug)]
pub struct Restored {
    /// The engine.
    pub manager: ChannelManager,
    /// What its records had to be corrected by, and every effect that is still owed.
    pub step: Step<Effect>,
    /// What was rebuilt, for the user's eyes: one line each. Empty when nothing was.
    pub rebuilt: Vec<String>,
}

/// Why a node does not start. Nothing was written and nothing has left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is damaged, or of a newer version.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record's body is not what its key says.
    #[error("the record {key} cannot be understood: {fault}")]
    Body {
        /// Where it stands.
        key: Key,
        /// What is wrong.
        fault: BadRecord,
    },
    /// A log has a gap, or does not begin with the channel's opening.
    #[error("the log of channel {channel} lacks update {missing:?}; restore the file that holds it")]
    Gap {
        /// The channel.
        channel: ChannelId,
        /// The first update that is missing.
        missing: UpdateId,
    },
    /// The record of a channel's monitor is not there.
    #[error("the record of the monitor of channel {0} is missing; restore the file that holds it")]
    MonitorMissing(ChannelId),
    /// The store is in a format of a newer version, or was being upgraded to it.
    #[error(
        "the store is in format {found} of Quittance's journal; this version of the software knows up to {newest}: run the newer version"
    )]
    NewerFormat {
        /// Its format.
        found: u16,
        /// The newest that we know.
        newest: u16,
    },
    /// The store is in an older format, and was not upgraded before.
    #[error("the store is in format {0} of Quittance's journal, or partly so, and is to be upgraded before it is read")]
    OlderFormat(u16),
    /// A row rests on an update that the channel's log does not have: files of two moments were mixed.
    #[error(
        "payment {payment} rests on update {row:?} of channel {channel}, whose log ends at {log:?}: \
         these files are of different moments; restore both from the same one"
    )]
    RowAhead {
        /// The payment whose row it is.
        payment: PaymentId,
        /// The channel.
        channel: ChannelId,
        /// What the row rests on.
        row: UpdateId,
        /// Where the log ends; 0 when there is none.
        log: UpdateId,
    },
}

/// What the log says of a payment.
enum Told {
    Sent {
        preimage: PaymentPreimage,
        report: Option<(EventNumber, ReportedEnd)>,
    },
    Pending,
    Failed {
        report: Option<(EventNumber, ReportedEnd)>,
    },
}

impl ChannelManager {
    /// Reads a node back from its records, after [`Upgrade`](crate::Upgrade). `tip` is the best chain's tip, as far as it is known; blocks follow from [`Self::chain_tips`] on.
    ///
    /// # Errors
    /// [`RestoreError`] names the record that stands against it.
    pub fn restore(
        config: ManagerConfig,
        tip: Tip,
        store: &dyn Store,
        context: &Context<'_>,
    ) -> Result<Restored, RestoreError> {
        require_format(store)?;
        let (channels, checkpoints) = read_channels(store)?;
        let monitors = read_monitors(store, &channels)?;
        let mut awaiting_peers = awaiting_peers(store)?;
        awaiting_peers.retain(|channel| channels.contains_key(channel));
        let payments = read_rows(store, Space::Payments, PAYMENT_VERSION, |_, payment: Payment| {
            (payment.id, payment)
        })?;
        let events = read_rows(store, Space::Events, EVENT_VERSION, |key, event: Event| match key {
            Key::Event(number) => (number, event),
            _ => unreachable!("the space of events holds events"),
        })?;
        let mut terms = read_rows(store, Space::Terms, TERMS_VERSION, |key, terms: Terms| match key {
            Key::Terms(channel) => (channel, terms),
            _ => unreachable!("the space of terms holds terms"),
        })?;
        terms.retain(|channel, _| channels.contains_key(channel));
        let node = Key::Header(HeaderRow::NodeAnnouncement);
        let node = store
            .get(&node)?
            .map(|frame| body(node, &frame, NODE_VERSION))
            .transpose()?;
        let public = channels.iter().filter(|(_, channel)| channel.state().facts.announce);
        let gossip = Gossip::restore(terms, node, public.map(|(id, _)| *id), context.now_ms);
        let marks = EventMarks {
            reserved: mark(store, HeaderRow::ReservedEvents)?,
            handled_below: mark(store, HeaderRow::HandledEvents)?,
        };
        refuse_rows_ahead(store, &channels, &payments)?;
        let mut manager = Self {
            config,
            tip,
            best: tip.height,
            peers: BTreeMap::new(),
            channels,
            awaiting_peers,
            monitors,
            openings: BTreeMap::new(),
            payments,
            events: Events::restore(events, marks),
            gossip,
            checkpoints,
            parts: BTreeMap::new(),
            forwards: BTreeMap::new(),
            held: BTreeMap::new(),
            shown_claimable: BTreeSet::new(),
            waiting: BTreeMap::new(),
            intercepted: BTreeSet::new(),
            delayed: BTreeMap::new(),
            unsigned: BTreeSet::new(),
        };
        let mut turn = Turn::new(*context);
        let waiting = manager.awaiting_peers.iter();
        let mut rebuilt: Vec<_> = waiting
            .map(|channel| {
                format!("channel {channel} waits for its peer to confirm its state, since a restore was declared")
            })
            .collect();
        manager.index_channels();
        manager.drop_told_events(store, &mut turn, &mut rebuilt)?;
        manager.correct_payments(store, &mut turn, &mut rebuilt)?;
        manager.correct_claims(&mut turn, &mut rebuilt);
        manager.carry_outcomes_on(&mut turn);
        manager.take_up_received(&mut turn);
        manager.give_up_broken_batches(&mut turn);
        manager.owe_transactions(&mut turn);
        let step = manager.finish(turn, Signing::Now);
        Ok(Restored { manager, step, rebuilt })
    }

    /// Derives from the logs which HTLC belongs to which payment and forward.
    fn index_channels(&mut self) {
        for (id, channel) in &self.channels {
            for htlc in channel.state().unreleased_htlcs() {
                match &htlc.source {
                    HtlcSource::Payment(part) => {
                        self.parts
                            .entry(part.payment_id)
                            .or_default()
                            .insert((*id, htlc.terms.id));
                    }
                    #[cfg(feature = "mutants")]
                    HtlcSource::Forward(_)
                        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ForwardedTwice) => {}
                    HtlcSource::Forward(source) => {
                        self.forwards
                            .insert((source.channel, source.htlc), (*id, htlc.terms.id));
                    }
                }
            }
        }
    }

    /// Drops event rows of an older copy whose outcomes the user has handled: the log has released them, or marked them.
    fn drop_told_events(
        &mut self,
        store: &dyn Store,
        turn: &mut Turn<'_>,
        rebuilt: &mut Vec<String>,
    ) -> Result<(), RestoreError> {
        let mut told: Vec<_> = self.events.handled_before().collect();
        for (number, event) in self.events.unhandled().skip(told.len()) {
            let is_told = match event {
                Event::PaymentSent { payment_id, .. } | Event::PaymentFailed { payment_id, .. } => {
                    finished(store, *payment_id)?.is_some()
                }
                Event::PaymentClaimed { .. } => !self
                    .channels
                    .values()
                    .any(|channel| channel.state().claims.get(number).is_some_and(|claim| !claim.handled)),
                Event::PaymentClaimable { payment_hash, .. } => !self.is_still_held(payment_hash),
                Event::HtlcIntercepted { upstream, htlc, .. } => !self.is_undecided((*upstream, *htlc)),
                Event::PaymentForwarded { .. }
                | Event::PaymentPathFailed { .. }
                | Event::ChannelReady(_)
                | Event::ChannelClosed(..) => false,
            };
            if is_told {
                mark!("restore: an event that was handled is dropped");
                told.push(*number);
            }
        }
        for number in told {
            rebuilt.push(format!("event {} was handled before, by the channels' logs", number.0));
            self.events.drop(number, turn);
        }
        Ok(())
    }

    /// Holds every payment row against the logs, and makes the rows that are missing.
    fn correct_payments(
        &mut self,
        store: &dyn Store,
        turn: &mut Turn<'_>,
        rebuilt: &mut Vec<String>,
    ) -> Result<(), RestoreError> {
        let known: BTreeSet<PaymentId> = self.parts.keys().chain(self.payments.keys()).copied().collect();
        for id in known {
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::OldRowBelieved)
                && !self.parts.contains_key(&id)
            {
                self.correct_without_htlcs(id, turn, rebuilt);
                continue;
            }
            if let Some(done) = finished(store, id)? {
                mark!("restore: an older row of a payment that is over");
                self.finish_again(&done, turn);
                continue;
            }
            let Some((part, hash)) = self.any_part(id) else {
                self.correct_without_htlcs(id, turn, rebuilt);
                continue;
            };
            if !self.payments.contains_key(&id) {
                mark!("restore: a payment is known again from the logs");
                rebuilt.push(format!("payment {id} is known again from the channels' logs"));
                turn.payments.insert(id);
            }
            self.payment_of(&part, hash);
            self.correct_payment(id, turn);
        }
        Ok(())
    }

    /// One payment, against what the logs say of it.
    fn correct_payment(&mut self, id: PaymentId, turn: &mut Turn<'_>) {
        let told = self.told(id);
        let payment = &self.payments[&id];
        let (payment_hash, amount, status) = (payment.payment_hash, payment.amount, payment.status);
        let corrected = match told {
            Told::Sent { preimage, report } => {
                let (event, fee_paid) = match report {
                    Some((event, ReportedEnd::Sent { fee_paid })) => (event, fee_paid),
                    Some((_, ReportedEnd::Failed(_))) => panic!("G1: what was fulfilled was never reported as failed"),
                    None => panic!("G8: an outcome and its event are one batch"),
                };
                let sent = Event::PaymentSent {
                    payment_id: id,
                    payment_hash,
                    preimage,
                    amount,
                    fee_paid,
                };
                mark!("restore: sent, by the logs");
                self.events.add_again(event, sent, turn);
                PaymentStatus::Sent {
                    preimage,
                    fee_paid,
                    event,
                }
            }
            Told::Failed {
                report: Some((event, ReportedEnd::Failed(reason))),
            } => {
                let failed = Event::PaymentFailed {
                    payment_id: id,
                    payment_hash,
                    reason,
                };
                mark!("restore: failed and told, by the logs");
                self.events.add_again(event, failed, turn);
                PaymentStatus::Failed { reason, event }
            }
            Told::Failed { .. } | Told::Pending => match status {
                PaymentStatus::Abandoned => {
                    mark!("restore: an abandoned payment");
                    PaymentStatus::Abandoned
                }
                // A row that says more than the log is ahead of it, and was refused before.
                PaymentStatus::Pending | PaymentStatus::Sent { .. } | PaymentStatus::Failed { .. } => {
                    PaymentStatus::Pending
                }
            },
        };
        if corrected != status {
            self.payments.get_mut(&id).expect("it is here").status = corrected;
            turn.payments.insert(id);
        }
        if !corrected.is_final() && !self.is_alive(id) {
            // Every HTLC of it has failed by record, and the records that would allow another attempt are lost or used up.
            mark!("restore: failed, since every HTLC is, by the logs");
            let reason = match corrected {
                PaymentStatus::Abandoned => PaymentFailureReason::Abandoned,
                _ => PaymentFailureReason::RecordsLost,
            };
            self.fail_payment(id, reason, None, turn);
        }
    }

    fn told(&self, id: PaymentId) -> Told {
        let (mut preimage, mut report, mut pending) = (None, None, false);
        for (channel, htlc) in self.parts.get(&id).into_iter().flatten() {
            let offered = self.channels[channel]
                .state()
                .offered_htlc(*htlc)
                .expect("the index is of what is there");
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::FailureFromAbsence)
                && !self.channels[channel].state().commitments.offered.contains_key(htlc)
            {
                continue;
            }
            match &offered.outcome {
                Some(Outcome::Fulfilled(proof)) => preimage = Some(*proof),
                Some(Outcome::Failed(_) | Outcome::FailedOnChain) => {}
                None => pending = true,
            }
            report = report.or(offered.report.map(|report| (report.event, report.content)));
        }
        match preimage {
            Some(preimage) => Told::Sent { preimage, report },
            None if pending => Told::Pending,
            None => Told::Failed { report },
        }
    }

    fn any_part(&self, id: PaymentId) -> Option<(PaymentPart, PaymentHash)> {
        let (channel, htlc) = self.parts.get(&id)?.first()?;
        let offered = self.channels[channel].state().offered_htlc(*htlc)?;
        match &offered.source {
            HtlcSource::Payment(part) => Some((part.as_ref().clone(), offered.terms.payment_hash)),
            HtlcSource::Forward(_) => None,
        }
    }

    /// A payment of which no HTLC is left in any log, and which never ended: it never had one, since outcomes stay until it ends.
    fn correct_without_htlcs(&mut self, id: PaymentId, turn: &mut Turn<'_>, rebuilt: &mut Vec<String>) {
        if !self.payments[&id].status.is_final() {
            mark!("restore: a payment without HTLC ends");
            rebuilt.push(format!("payment {id} has no HTLC, and ends"));
            self.fail_payment(id, PaymentFailureReason::RouteNotFound, None, turn);
        }
    }

    /// The user handled this payment's end, and an older copy of its row has come back.
    fn finish_again(&mut self, done: &Payment, turn: &mut Turn<'_>) {
        if self.payments.remove(&done.id).is_some() {
            turn.step.changes_mut().delete(Key::Payment(done.id));
        }
    }

    /// Claims that the user has not confirmed are told again, by what the logs say of them.
    fn correct_claims(&mut self, turn: &mut Turn<'_>, rebuilt: &mut Vec<String>) {
        let unreleased = self
            .channels
            .values()
            .flat_map(|channel| channel.state().claims.values());
        let unhandled: BTreeMap<_, _> = unreleased
            .filter(|unreleased| !unreleased.handled)
            .map(|unreleased| (unreleased.claim.event, unreleased.claim.clone()))
            .collect();
        for (event, claim) in unhandled {
            let (payment_hash, preimage, amount) = (claim.payment_hash, claim.preimage, claim.total);
            if self.events.add_again(
                event,
                Event::PaymentClaimed {
                    payment_hash,
                    preimage,
                    amount,
                },
                turn,
            ) {
                mark!("restore: a claim is told again");
                rebuilt.push(format!(
                    "the claim of {payment_hash} is known again from the channels' logs"
                ));
            }
        }
    }

    /// Whatever a downstream outcome means upstream and is not done there. Normally both are one batch, and nothing is left to do.
    fn carry_outcomes_on(&mut self, turn: &mut Turn<'_>) {
        let forwards: Vec<_> = self
            .forwards
            .iter()
            .map(|(upstream, downstream)| (*upstream, *downstream))
            .collect();
        for ((upstream, htlc_in), (id, htlc)) in forwards {
            let offered = self.channels[&id]
                .state()
                .offered_htlc(htlc)
                .expect("the index is of what is there");
            let HtlcSource::Forward(source) = offered.source.clone() else {
                continue;
            };
            match offered.outcome.clone() {
                Some(Outcome::Fulfilled(preimage)) => self.claim_upstream(id, htlc, &source, preimage, turn),
                Some(Outcome::Failed(_) | Outcome::FailedOnChain) => self.fail_upstream(id, htlc, &source, turn),
                None => {}
            }
            let is_upstream_gone = self
                .channels
                .get(&upstream)
                .is_some_and(|channel| !channel.state().commitments.received.contains_key(&htlc_in));
            if is_upstream_gone {
                mark!("restore: an outcome that nobody waits for any more");
                self.upstream_gone(upstream, htlc_in, turn);
            }
        }
    }

    /// HTLCs of peers that are irrevocably committed and undecided: held ones are held again, others wait for their next peer.
    fn take_up_received(&mut self, turn: &mut Turn<'_>) {
        let mut hashes = BTreeSet::new();
        let mut refused = Vec::new();
        let mut intercepted = Vec::new();
        for (id, channel) in &self.channels {
            for received in channel.state().commitments.received.values() {
                if !received.state.is_irrevocably_added() || is_decided(channel, received) {
                    continue;
                }
                let at = (*id, received.terms.id);
                match judged(received) {
                    #[cfg(feature = "mutants")]
                    Ok(Payload::Receive(_))
                        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::HeldFailedAtStart) =>
                    {
                        refused.push(at);
                    }
                    Ok(Payload::Receive(_)) => {
                        mark!("restore: a held HTLC is held again");
                        self.held.entry(received.terms.payment_hash).or_default().insert(at);
                        hashes.insert(received.terms.payment_hash);
                    }
                    // What a closed channel brought and was not sent on is left to the chain.
                    Ok(Payload::Forward(_))
                        if self.forwards.contains_key(&at) || !channel.state().phase.is_operating() => {}
                    Ok(Payload::Forward(wanted)) if self.is_for_the_user(&wanted) => intercepted.push((at, wanted)),
                    Ok(Payload::Forward(_)) => {
                        mark!("restore: an accepted HTLC waits for its next peer");
                        self.waiting.insert(at, None);
                    }
                    Ok(Payload::BlindedForward(_) | Payload::BlindedReceive(_)) | Err(_) => refused.push(at),
                }
            }
        }
        let shown = self.events.unhandled().filter_map(|(_, event)| match event {
            Event::PaymentClaimable { payment_hash, .. } => Some(*payment_hash),
            _ => None,
        });
        self.shown_claimable = shown.collect();
        for hash in hashes {
            self.settle_held(hash, turn);
        }
        for ((id, htlc), wanted) in intercepted {
            self.intercept(id, htlc, &wanted, turn);
        }
        for (id, htlc) in refused {
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::HeldFailedAtStart) {
                self.refuse(id, htlc, &quittance_onion::Failure::TemporaryNodeFailure, turn);
                continue;
            }
            self.accepted(id, htlc, turn);
        }
    }

    fn is_still_held(&self, hash: &PaymentHash) -> bool {
        self.channels.values().any(|channel| {
            let mut received = channel.state().commitments.received.values();
            received.any(|htlc| {
                let waits = htlc.state.is_irrevocably_added() && !is_decided(channel, htlc);
                htlc.terms.payment_hash == *hash && waits
            })
        })
    }

    /// Transactions that may not have left before the crash: fundings that are not confirmed, and all that closes a channel.
    fn owe_transactions(&mut self, turn: &mut Turn<'_>) {
        for id in self.channel_ids() {
            self.owe_funding(id, turn);
            self.follow_chain(id, turn);
            // What should be in the mempool is asked for at the end of the step.
            turn.monitors.insert(id);
        }
    }
}

type Channels = (BTreeMap<ChannelId, Channel>, BTreeMap<ChannelId, UpdateId>);

/// Folds every channel from its checkpoint and the updates since.
fn read_channels(store: &dyn Store) -> Result<Channels, RestoreError> {
    let mut states: BTreeMap<ChannelId, ChannelState> = BTreeMap::new();
    let mut checkpoints = BTreeMap::new();
    for (key, frame) in store.read(&KeyRange::space(Space::Checkpoints))? {
        let record = decode_record(&key, &frame, CHECKPOINT_VERSION)?;
        let state = ChannelState::from_checkpoint(record.body).map_err(|fault| RestoreError::Body { key, fault })?;
        checkpoints.insert(state.facts.channel_id, state.last_update);
        states.insert(state.facts.channel_id, state);
    }
    for (key, frame) in store.read(&KeyRange::space(Space::Updates))? {
        let Key::Update(channel, id) = key else { continue };
        let record = decode_record(&key, &frame, UPDATE_VERSION)?;
        let update =
            ChannelMonitorUpdate::from_body(id, record.body).map_err(|fault| RestoreError::Body { key, fault })?;
        match states.get_mut(&channel) {
            // Already in the checkpoint: its removal was interrupted.
            Some(state) if id <= state.last_update => {}
            Some(state) if id == state.last_update.next() => state.apply_update(&update),
            Some(state) => {
                mark!("restore: a log with a gap");
                return Err(RestoreError::Gap {
                    channel,
                    missing: state.last_update.next(),
                });
            }
            None => {
                let first = (id == UpdateId(1))
                    .then(|| ChannelState::restore_first(&update))
                    .flatten();
                let state = first.ok_or(RestoreError::Gap {
                    channel,
                    missing: UpdateId(1),
                })?;
                states.insert(channel, state);
            }
        }
    }
    let channels = states
        .into_iter()
        .map(|(id, state)| (id, Channel::restore(state)))
        .collect();
    Ok((channels, checkpoints))
}

/// Reads the monitor of every channel.
fn read_monitors(
    store: &dyn Store,
    channels: &BTreeMap<ChannelId, Channel>,
) -> Result<BTreeMap<ChannelId, Monitored>, RestoreError> {
    let mut monitors = read_rows(
        store,
        Space::Monitors,
        MONITOR_VERSION,
        |key, monitor: ChannelMonitor| match key {
            Key::Monitor(channel) => (channel, Monitored::restored(monitor)),
            _ => unreachable!("the space of monitors holds monitors"),
        },
    )?;
    if let Some(channel) = channels.keys().find(|channel| !monitors.contains_key(channel)) {
        return Err(RestoreError::MonitorMissing(*channel));
    }
    monitors.retain(|channel, _| channels.contains_key(channel));
    Ok(monitors)
}

/// Design page, seed rule 6: a row behind the log is corrected, a row ahead of it is refused.
fn refuse_rows_ahead(
    store: &dyn Store,
    channels: &BTreeMap<ChannelId, Channel>,
    payments: &BTreeMap<PaymentId, Payment>,
) -> Result<(), RestoreError> {
    for payment in payments.values() {
        for (channel, row) in &payment.rests_on {
            let log = channels
                .get(channel)
                .map_or(UpdateId(0), |channel| channel.state().last_update);
            // Of a channel that is closed and forgotten an older copy of the rows may well speak.
            let is_forgotten = || {
                store
                    .get(&Key::Cold(*channel, ColdId::Closed))
                    .map(|closed| closed.is_some())
            };
            if *row > log && !(log == UpdateId(0) && is_forgotten()?) {
                mark!("restore: a row ahead of its log");
                return Err(RestoreError::RowAhead {
                    payment: payment.id,
                    channel: *channel,
                    row: *row,
                    log,
                });
            }
        }
    }
    Ok(())
}

/// A number of the journal's header; 0 before it was first written.
fn mark(store: &dyn Store, row: HeaderRow) -> Result<EventNumber, RestoreError> {
    let key = Key::Header(row);
    match store.get(&key)? {
        Some(frame) => body(key, &frame, EVENT_VERSION),
        None => Ok(EventNumber(0)),
    }
}

fn read_rows<T: Record, K: Ord, V>(
    store: &dyn Store,
    space: Space,
    version: u16,
    entry: impl Fn(Key, T) -> (K, V),
) -> Result<BTreeMap<K, V>, RestoreError> {
    let rows = store.read(&KeyRange::space(space))?;
    rows.into_iter()
        .map(|(key, frame)| Ok(entry(key, body(key, &frame, version)?)))
        .collect()
}

fn body<T: Record>(key: Key, frame: &[u8], version: u16) -> Result<T, RestoreError> {
    let record = decode_record(&key, frame, version)?;
    T::from_bytes(record.body).map_err(|fault| RestoreError::Body { key, fault })
}

/// What is on disk about a payment whose end the user has handled.
fn finished(store: &dyn Store, id: PaymentId) -> Result<Option<Payment>, RestoreError> {
    let key = Key::FinishedPayment(id);
    store
        .get(&key)?
        .map(|frame| body(key, &frame, FINISHED_PAYMENT_VERSION))
        .transpose()
}
