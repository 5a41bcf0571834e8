//! The end of a run: faults have stopped, everything runs and is connected again. What must be true then, of everyone.

use quittance_channel::{Channel, ChannelState, Link, OnChain, Phase};
use quittance_manager::{Command, Event, Purpose, Response};
use quittance_payments::PaymentStatus;
use quittance_primitives::{ChannelId, MilliSatoshi, PaymentId};

use crate::{End, NodeIndex, Requested, World};

impl World {
    /// Everything recovers, every user handles what it is shown, and then all must be well: every payment has its one true outcome,
    /// nothing is in flight, nothing is kept that nobody waits for, no msat is lost, and every channel can be used.
    pub fn conclude(&mut self) {
        self.recover();
        for _ in 0..3 {
            for node in 0..self.nodes.len() {
                self.nodes[node].user.handles_at_once = true;
                self.handle_all_events(node);
            }
            self.reconnect();
        }
        for node in 0..self.nodes.len() {
            self.judge_channels(node);
            self.judge_agreement(node);
            self.judge_terms(node);
            self.judge_announcements(node);
            self.judge_answers(node);
            self.checker.nothing_is_owed(node);
            self.judge_balance(node);
        }
        let requested: Vec<_> = self.requested.iter().map(|(id, made)| (*id, made.clone())).collect();
        for (id, made) in requested {
            self.judge_payment(id, &made);
        }
    }

    /// As [`Self::conclude`], and panics when anything is not well.
    ///
    /// # Panics
    /// With everything that is not well.
    pub fn conclude_well(&mut self) {
        self.conclude();
        self.checker.assert_kept();
    }

    /// Claims every payment that a user was told it can claim, where the caller knows the preimage; refuses the rest.
    pub fn refuse_all_held(&mut self) {
        for node in 0..self.nodes.len() {
            let shown = self.nodes[node].user.shown.clone();
            for event in shown {
                if let Event::PaymentClaimable { payment_hash, .. } = event.event {
                    self.command(node, Command::RefusePayment(payment_hash));
                }
            }
        }
        self.settle();
    }

    fn judge_channels(&mut self, node: NodeIndex) {
        let Some(process) = &self.nodes[node].process else {
            self.checker.found("G6", format!("node {node} does not run"));
            return;
        };
        let mut found = Vec::new();
        for channel in process.manager.channels() {
            let (state, id) = (channel.state(), channel.state().facts.channel_id);
            if self.was_never_funded(state) {
                continue;
            }
            if !self.checker.closable && (state.phase != Phase::Normal || !matches!(channel.link(), Link::Up(_))) {
                found.push(("G6", format!("node {node} cannot use {id}: {}", state.phase.name())));
                continue;
            }
            let offered = state.commitments.offered.values().map(|htlc| htlc.on_chain);
            let received = state.commitments.received.values().map(|htlc| htlc.on_chain);
            let in_flight = offered
                .chain(received)
                .filter(|on_chain| *on_chain == OnChain::Open)
                .count();
            if in_flight > 0 {
                found.push(("G3", format!("node {node} has {in_flight} HTLCs left in {id}")));
            }
            let kept = state.unreleased_htlcs().count() + state.claims.len();
            if kept > 0 {
                let htlc = state.unreleased_htlcs().next();
                let first = htlc.map(|htlc| {
                    (
                        htlc.terms.id,
                        &htlc.source,
                        htlc.state,
                        htlc.on_chain,
                        htlc.acknowledged,
                    )
                });
                found.push((
                    "G8",
                    format!("node {node} keeps {kept} outcomes in {id} for nobody: {first:?}"),
                ));
            }
        }
        let unhandled = process.manager.unhandled_events();
        if unhandled > 0 {
            found.push(("G8", format!("node {node} never showed {unhandled} events")));
        }
        if !self.checker.excused.contains(&node) {
            for (guarantee, what) in found {
                self.checker.found(guarantee, what);
            }
        }
    }

    /// Whether a channel waits for a funding that its funder gave up, or lost with its life: the fundee waits until it is overdue (BOLT 2).
    fn was_never_funded(&self, state: &ChannelState) -> bool {
        state.funding.is_none() && !self.has_left(state.facts.channel_id)
    }

    /// Whether the funding of a channel that was opened over the wire was broadcast.
    fn has_left(&self, channel: ChannelId) -> bool {
        let mut fundings = self.broadcast.iter().map(|(_, _, Purpose::Funding(id))| *id);
        fundings.any(|id| id == channel)
    }

    /// What a node had at first, and what it put into channels since, or was given in them, in msat.
    fn put_in(&self, node: NodeIndex) -> u64 {
        let process = self.nodes[node].process.iter();
        let states = process.flat_map(|process| process.manager.channels().map(Channel::state));
        let opened = states.filter(|state| self.has_left(state.facts.channel_id));
        let put_in: u64 = opened.map(|state| state.facts.initial_balance.local.0).sum();
        self.nodes[node].balance_at_first + put_in
    }

    /// The settled balances of all channels of a node that are funded, in msat.
    pub fn balance(&self, node: NodeIndex) -> u64 {
        let process = self.nodes[node].process.iter();
        let states = process.flat_map(|process| process.manager.channels().map(Channel::state));
        let funded = states.filter(|state| !self.was_never_funded(state));
        funded.map(|state| state.commitments.settled.local.0).sum()
    }

    /// Both ends of a channel say the same of it, and no msat is lost between them.
    fn judge_agreement(&mut self, node: NodeIndex) {
        let Some(process) = self.nodes[node].process.as_ref() else {
            return;
        };
        let mut found = Vec::new();
        for channel in process.manager.channels() {
            let state = channel.state();
            let id = state.facts.channel_id;
            let settled = state.commitments.settled;
            if settled.local.0 + settled.remote.0 != MilliSatoshi::from_sat(state.facts.capacity).0 {
                found.push(format!("{settled:?} in {id}, which holds {}", state.facts.capacity));
            }
            let other = self.index_of(&state.facts.peer);
            let peer = self.nodes[other].process.as_ref();
            let theirs = peer
                .and_then(|process| process.manager.channel(&id))
                .map(Channel::state);
            let Some(theirs) = theirs.filter(|theirs| theirs.phase == state.phase) else {
                continue;
            };
            let [ours, theirs] = [&state.commitments, &theirs.commitments];
            let agree = (ours.settled.local, ours.local.number) == (theirs.settled.remote, theirs.remote.number);
            if !agree {
                let (one, other) = (ours.settled.local, theirs.settled.remote);
                found.push(format!("the ends of {id} disagree: {one} here, {other} there"));
            }
        }
        if !self.checker.closable && self.checker.excused.is_empty() {
            for what in found {
                self.checker.found("G6", what);
            }
        }
    }

    /// What a node has beside what it was given, received and paid is what it earned by forwarding: never less than nothing.
    fn judge_balance(&mut self, node: NodeIndex) {
        if !self.is_up(node) || self.checker.closable || !self.checker.excused.is_empty() {
            return;
        }
        let paid: u64 = self.paid_by(node).iter().map(|(amount, fee)| amount.0 + fee.0).sum();
        let due = i128::from(self.put_in(node)) + i128::from(self.checker.received_by(node)) - i128::from(paid);
        let earned = i128::from(self.balance(node)) - due;
        let has_forwarded = self.checker.has_forwarded(node);
        if earned < 0 || (!has_forwarded && earned > 0) {
            self.checker.found(
                "G3",
                format!("node {node} has {earned} msat beside what it should have"),
            );
        }
    }

    fn paid_by(&self, node: NodeIndex) -> Vec<(MilliSatoshi, MilliSatoshi)> {
        let made = self.requested.iter().filter(|(_, made)| made.payer == node);
        let sent = made.filter_map(|(id, made)| match self.checker.end_of(node, *id) {
            Some(End::Sent { fee_paid, .. }) => Some((made.payment.amount, *fee_paid)),
            Some(End::Failed(_)) | None => None,
        });
        sent.collect()
    }

    fn judge_payment(&mut self, id: PaymentId, made: &Requested) {
        if self.checker.excused.contains(&made.payer) || self.checker.excused.contains(&made.payee) {
            return;
        }
        let hash = made.payment.payment_hash;
        let is_claimed = self.checker.claimed(&hash).is_some();
        let end = self.checker.end_of(made.payer, id).cloned();
        let received = self.checker.claim_of(made.payee, &hash);
        match (&end, is_claimed) {
            (Some(End::Sent { fee_paid, .. }), true) => {
                if *fee_paid > made.payment.fee_limit {
                    self.checker
                        .found("G7", format!("{id} cost {fee_paid}, more than its limit"));
                }
                if received.is_none_or(|received| received < made.payment.amount) {
                    self.checker.found(
                        "G4",
                        format!("the payee of {id} was told of {received:?}, not of the full amount"),
                    );
                }
            }
            (Some(End::Failed(_)), false) => {}
            (Some(End::Failed(_)), true) if self.checker.is_betrayed(&hash) => {}
            (None, false) if self.never_began(id, made) => {}
            (end, claimed) => {
                let what = format!("{id} ended as {end:?}; claimed by its payee: {claimed}");
                self.checker.found("G1", what);
            }
        }
    }

    /// Whether a payment without an outcome may have none: it never became durable, or had no HTLC and its row is lost.
    fn never_began(&self, id: PaymentId, made: &Requested) -> bool {
        let process = self.nodes[made.payer].process.as_ref();
        let is_known = process.is_some_and(|process| process.manager.payments().any(|payment| payment.id == id));
        let answer = self.answer(made.payer, made.request);
        let had_no_htlc = matches!(answer, None | Some(Response::Payment(_, PaymentStatus::Failed { .. })));
        let has_left = self.checker.has_paid_for(made.payer, made.payment.payment_hash);
        !is_known && had_no_htlc && !has_left
    }
}
