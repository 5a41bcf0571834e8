//! Payments of our own: made once for an id, tried again while that is safe, and ended once (G1, G2, G7).
//!
//! A payment is sent when the first of its HTLCs is fulfilled, whatever became of the others. It fails only when each of its HTLCs has
//! failed for good: no outcome is ever taken from something that is missing. How it ended stands in the log of the channel that
//! ended it, in the same batch as the event; and everything about a payment but its chance of another attempt can be had from
//! the logs again.

use quittance_channel::{
    ColdOrigin, ColdOutcome, HtlcSource, NewHtlc, Outcome, PaymentFailureReason, PaymentPart, Report, ReportedEnd,
};
use quittance_journal::{ColdId, EventNumber, Key, mark};
use quittance_payments::failure::{self, ReadFailure};
use quittance_payments::onion::{self, ForPayee};
use quittance_payments::{
    FirstHop, GivenRoutes, Payment, PaymentKind, PaymentStatus, Retry, Route, RouteHop, RouteRequest, Router,
    UnfitRoute, Wanted,
};
use quittance_primitives::{
    BlockCount, ChannelId, CltvExpiry, CltvExpiryDelta, HtlcId, MilliSatoshi, PaymentId, PaymentPreimage,
    ShortChannelId,
};
use quittance_records::Record;

use crate::api::{Effect, Event, NewPayment, Response};
use crate::manager::{COLD_VERSION, ChannelManager};
use crate::turn::Turn;
use crate::upgrade::FINISHED_PAYMENT_VERSION;

/// How many parts a payment has at most.
const PARTS_MAX: usize = 16;
/// How often routes are asked for within one attempt, when a channel refuses what its numbers promised.
const ROUTINGS_PER_ATTEMPT: usize = 4;
/// Blocks that may be found while a payment is on its way: added to what the payee asks for.
const FINAL_EXPIRY_MARGIN: u16 = 3;

impl ChannelManager {
    /// Makes a payment, unless one with this id was made before: then says how that one stands (G7).
    pub(crate) fn send_payment(
        &mut self,
        new: NewPayment,
        finished: Option<&Payment>,
        turn: &mut Turn<'_>,
    ) -> Response {
        #[cfg(feature = "mutants")]
        let finished =
            finished.filter(|_| !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::IdReused));
        if let Some(known) = self.payments.get(&new.id).or(finished) {
            let same = known.payment_hash == new.payment_hash && known.amount == new.amount;
            return if same {
                Response::Payment(new.id, known.status)
            } else {
                Response::PaymentConflict(new.id)
            };
        }
        let NewPayment {
            id,
            payment_hash,
            amount,
            fee_limit,
            kind,
            attempts,
            routes,
        } = new;
        let given = match self.given_routes(routes, &kind, (amount, fee_limit)) {
            Ok(given) => given,
            Err(unfit) => return Response::RouteRefused(unfit),
        };
        let attempts_left = if given.is_some() { 0 } else { attempts };
        let payment = Payment {
            id,
            payment_hash,
            amount,
            fee_limit,
            kind: Some(kind),
            retry: Retry {
                attempts_left,
                avoid: Vec::new(),
            },
            status: PaymentStatus::Pending,
            rests_on: Vec::new(),
        };
        self.payments.insert(id, payment);
        turn.payments.insert(id);
        let found = turn.context.router;
        let router = given.as_ref().map_or(found, |given| given as &dyn Router);
        if let Err(reason) = self.attempt(id, amount, router, turn)
            && !self.is_alive(id)
        {
            self.fail_payment(id, reason, None, turn);
        }
        Response::Payment(id, self.payments[&id].status)
    }

    /// The routes that the caller gave, if it gave any, after a look at what can be known to be wrong with them.
    fn given_routes(
        &self,
        mut routes: Vec<Vec<RouteHop>>,
        kind: &PaymentKind,
        (amount, fee_limit): (MilliSatoshi, MilliSatoshi),
    ) -> Result<Option<GivenRoutes>, UnfitRoute> {
        if routes.is_empty() {
            return Ok(None);
        }
        for first in routes.iter_mut().filter_map(|hops| hops.first_mut()) {
            let ours = self.channel_meant_by_user(first.short_channel_id);
            if let Some(id) = ours {
                first.short_channel_id = Self::name_of(&self.channels[&id]);
            }
        }
        let wanted = Wanted {
            payee: kind.payee,
            for_payee: &kind.for_payee,
            amount,
            fee_limit,
            final_delta: BlockCount(u32::from(kind.min_final_cltv_expiry_delta)),
            tip: self.tip.height,
            parts_max: PARTS_MAX,
            ours: &self.channels_to_send_by().collect::<Vec<_>>(),
        };
        GivenRoutes::check(routes, &wanted).map(Some)
    }

    /// Makes no further attempt for a payment. HTLCs that are on their way decide its outcome.
    pub(crate) fn abandon_payment(
        &mut self,
        id: PaymentId,
        finished: Option<&Payment>,
        turn: &mut Turn<'_>,
    ) -> Response {
        let Some(payment) = self.payments.get_mut(&id) else {
            return finished.map_or(Response::UnknownPayment(id), |known| {
                Response::Payment(id, known.status)
            });
        };
        if payment.status == PaymentStatus::Pending {
            payment.status = PaymentStatus::Abandoned;
            turn.payments.insert(id);
            let is_over = !self.is_alive(id);
            #[cfg(feature = "mutants")]
            let is_over =
                is_over || quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::AbandonedIsFailed);
            if is_over {
                self.fail_payment(id, PaymentFailureReason::Abandoned, None, turn);
            }
        }
        Response::Payment(id, self.payments[&id].status)
    }

    /// Offers HTLCs that deliver `amount` together.
    fn attempt(
        &mut self,
        id: PaymentId,
        amount: MilliSatoshi,
        router: &dyn Router,
        turn: &mut Turn<'_>,
    ) -> Result<(), PaymentFailureReason> {
        let mut left = amount;
        for _ in 0..ROUTINGS_PER_ATTEMPT {
            let payment = &self.payments[&id];
            let kind = payment.kind.as_ref().ok_or(PaymentFailureReason::RecordsLost)?;
            if turn.context.now_ms > kind.expires_at_ms {
                return Err(PaymentFailureReason::Expired);
            }
            let request = self.route_request(payment, kind, left);
            let for_payee = kind.for_payee.clone();
            let routes = router.routes(&request, &self.first_hops());
            for route in routes.ok_or(PaymentFailureReason::RouteNotFound)? {
                if let Some(delivered) = self.offer_part(id, &route, &for_payee, turn) {
                    left = left.saturating_sub(delivered);
                } else {
                    let name = Self::name_of(&self.channels[&route.channel]);
                    self.payments.get_mut(&id).expect("it is here").retry.avoid.push(name);
                }
            }
            if left.is_zero() {
                return Ok(());
            }
        }
        Err(PaymentFailureReason::RouteNotFound)
    }

    /// Offers one HTLC along `route`. Returns what it delivers, or nothing when the channel refused it.
    fn offer_part(
        &mut self,
        id: PaymentId,
        route: &Route,
        for_payee: &ForPayee,
        turn: &mut Turn<'_>,
    ) -> Option<MilliSatoshi> {
        let payment = &self.payments[&id];
        let (first, last) = (route.hops.first()?, route.hops.last()?);
        let part = PaymentPart {
            payment_id: id,
            total: payment.amount,
            delivers: last.amount,
            fee_limit: payment.fee_limit,
            session_key: turn.draw(),
            hops: onion::hops(route, for_payee),
        };
        onion::check(&part).ok()?;
        let htlc = NewHtlc {
            amount: first.amount,
            payment_hash: payment.payment_hash,
            cltv_expiry: first.cltv_expiry,
            path_key: None,
            source: HtlcSource::Payment(Box::new(part)),
        };
        let channel = self.channels.get(&route.channel)?;
        let htlc_id = channel.state().commitments.next_htlc_id.local;
        let decision = channel.decide_offer(htlc, &self.channel_context(turn)).ok()?;
        self.parts.entry(id).or_default().insert((route.channel, htlc_id));
        self.adopt(route.channel, decision, turn);
        Some(last.amount)
    }

    fn route_request(&self, payment: &Payment, kind: &PaymentKind, amount: MilliSatoshi) -> RouteRequest {
        let delta = CltvExpiryDelta(kind.min_final_cltv_expiry_delta.saturating_add(FINAL_EXPIRY_MARGIN));
        let parts = self.parts.get(&payment.id).map_or(0, std::collections::BTreeSet::len);
        RouteRequest {
            payee: kind.payee,
            amount,
            fee_limit: payment.fee_limit.saturating_sub(self.fees_on_their_way(payment.id)),
            final_expiry: CltvExpiry(self.tip.height.0)
                .checked_add(delta)
                .unwrap_or(CltvExpiry(self.tip.height.0)),
            hints: kind.hints.clone(),
            parts_max: PARTS_MAX.saturating_sub(parts).max(1),
            avoid: payment.retry.avoid.clone(),
        }
    }

    fn first_hops(&self) -> Vec<FirstHop> {
        self.channels_to_send_by()
            .filter(|hop| !hop.sendable.is_zero())
            .collect()
    }

    fn channels_to_send_by(&self) -> impl Iterator<Item = FirstHop> {
        self.channels.iter().map(|(id, channel)| FirstHop {
            channel: *id,
            peer: channel.state().facts.peer,
            short_channel_id: Self::name_of(channel),
            sendable: channel.sendable(),
            minimum: channel.state().facts.sides.remote.htlc_minimum,
        })
    }

    /// An HTLC of a payment of ours was paid: so is the payment, if this is the first.
    pub(crate) fn part_fulfilled(
        &mut self,
        channel: ChannelId,
        htlc: HtlcId,
        part: &PaymentPart,
        preimage: PaymentPreimage,
        turn: &mut Turn<'_>,
    ) {
        let id = part.payment_id;
        let offered = self.channels[&channel]
            .state()
            .offered_htlc(htlc)
            .expect("it was fulfilled just now");
        if offered.acknowledged {
            // The user has handled the payment's end already (seed rule 4).
            mark!("payment: a part is fulfilled after the end was handled");
            return;
        }
        let payment_hash = offered.terms.payment_hash;
        let fee_paid = self.fees_on_their_way(id);
        let payment = self.payment_of(part, payment_hash);
        match payment.status {
            PaymentStatus::Sent { .. } => mark!("payment: a further part is fulfilled"),
            PaymentStatus::Failed { .. } => panic!("G1: a payment fails only when none of its HTLCs can be claimed"),
            PaymentStatus::Pending | PaymentStatus::Abandoned => {
                mark!("payment: sent");
                let amount = payment.amount;
                let event = self.events.number(turn);
                self.end_row(
                    id,
                    PaymentStatus::Sent {
                        preimage,
                        fee_paid,
                        event,
                    },
                    turn,
                );
                let sent = Event::PaymentSent {
                    payment_id: id,
                    payment_hash,
                    preimage,
                    amount,
                    fee_paid,
                };
                self.end_payment((channel, htlc), event, ReportedEnd::Sent { fee_paid }, sent, turn);
            }
        }
    }

    /// An HTLC of a payment of ours failed for good: the payment is tried again, or has failed if nothing of it is left.
    pub(crate) fn part_failed(&mut self, channel: ChannelId, htlc: HtlcId, part: &PaymentPart, turn: &mut Turn<'_>) {
        let id = part.payment_id;
        let first = Self::name_of(&self.channels[&channel]);
        let offered = self.channels[&channel]
            .state()
            .offered_htlc(htlc)
            .expect("it failed just now");
        if offered.acknowledged {
            mark!("payment: a part fails after the end was handled");
            return;
        }
        let outcome = offered.outcome.clone().expect("it failed just now");
        let read = failure::read(part, &outcome, first);
        let payment_hash = offered.terms.payment_hash;
        if self.config.tell_path_failures {
            let failed = Event::PaymentPathFailed {
                payment_id: id,
                payment_hash,
                channel,
                htlc,
                hop: read.hop.and_then(|hop| u32::try_from(hop).ok()),
                failure_code: read.failure.as_ref().map(|failure| failure.code().0),
                avoid: read.avoid,
            };
            self.events.push(failed, turn);
        }
        // What another part brought in the same block is known already, though its turn may come after this one's.
        let is_paid = self.is_paid(id);
        let payment = self.payment_of(part, payment_hash);
        payment.retry.avoid.extend(read.avoid);
        if payment.status.is_final() || is_paid {
            mark!("payment: a part fails after the end");
            return;
        }
        turn.payments.insert(id);
        let reason = match self.try_again(id, part.delivers, &read, turn) {
            Ok(()) => {
                mark!("payment: a failed part is tried again");
                return;
            }
            Err(reason) => reason,
        };
        if self.is_alive(id) {
            mark!("payment: a part failed, and others decide");
            // The payee cannot be paid in full any more; what is still on its way decides how the payment ends.
            self.payments.get_mut(&id).expect("it is here").retry.attempts_left = 0;
        } else {
            self.fail_payment(id, reason, Some((channel, htlc)), turn);
        }
    }

    fn try_again(
        &mut self,
        id: PaymentId,
        amount: MilliSatoshi,
        read: &ReadFailure,
        turn: &mut Turn<'_>,
    ) -> Result<(), PaymentFailureReason> {
        let payment = self.payments.get_mut(&id).expect("it is here");
        if payment.status == PaymentStatus::Abandoned {
            mark!("payment: abandoned, and not tried again");
            return Err(PaymentFailureReason::Abandoned);
        }
        if read.is_final {
            mark!("payment: refused by its payee");
            payment.retry.attempts_left = 0;
            return Err(PaymentFailureReason::RejectedByPayee);
        }
        if payment.kind.is_none() {
            mark!("payment: what another attempt needs is lost");
            return Err(PaymentFailureReason::RecordsLost);
        }
        payment.retry.attempts_left = payment
            .retry
            .attempts_left
            .checked_sub(1)
            .ok_or(PaymentFailureReason::RetriesExhausted)?;
        #[cfg(feature = "mutants")]
        let amount = if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::RetrySendsAll) {
            self.payments[&id].amount
        } else {
            amount
        };
        let router = turn.context.router;
        self.attempt(id, amount, router, turn)
    }

    /// Ends a payment that has no HTLC left which anyone could claim. `cause` is the HTLC whose failure ended it.
    pub(crate) fn fail_payment(
        &mut self,
        id: PaymentId,
        reason: PaymentFailureReason,
        cause: Option<(ChannelId, HtlcId)>,
        turn: &mut Turn<'_>,
    ) {
        assert!(
            !self.is_alive(id),
            "G1: a payment fails only when none of its HTLCs can be claimed"
        );
        mark!("payment: failed");
        let event = self.events.number(turn);
        let payment_hash = self.payments[&id].payment_hash;
        let failed = Event::PaymentFailed {
            payment_id: id,
            payment_hash,
            reason,
        };
        self.end_row(id, PaymentStatus::Failed { reason, event }, turn);
        let any_part = || self.parts.get(&id).and_then(|parts| parts.last().copied());
        match cause.or_else(any_part) {
            Some(part) => self.end_payment(part, event, ReportedEnd::Failed(reason), failed, turn),
            None => self.events.add(event, failed, turn),
        }
    }

    /// Ends a payment's row. What was only there for another attempt goes.
    fn end_row(&mut self, id: PaymentId, status: PaymentStatus, turn: &mut Turn<'_>) {
        let payment = self.payments.get_mut(&id).expect("it is here");
        payment.status = status;
        payment.kind = None;
        payment.retry.avoid = Vec::new();
        turn.payments.insert(id);
    }

    /// Writes how a payment ended into the log of the channel whose outcome ended it, and tells the user.
    fn end_payment(
        &mut self,
        (channel, htlc): (ChannelId, HtlcId),
        number: EventNumber,
        content: ReportedEnd,
        event: Event,
        turn: &mut Turn<'_>,
    ) {
        let decision = self.channels[&channel].decide_reported(htlc, Report { event: number, content });
        self.adopt(channel, decision, turn);
        self.events.add(number, event, turn);
    }

    /// Pending payments that can wait no longer, and of which nothing is on its way.
    pub(crate) fn expire_payments(&mut self, turn: &mut Turn<'_>) {
        let open = self
            .payments
            .values()
            .filter(|payment| !payment.status.is_final() && !self.is_alive(payment.id));
        let stranded: Vec<_> = open.map(|payment| payment.id).collect();
        for id in stranded {
            self.fail_payment(id, PaymentFailureReason::RetriesExhausted, None, turn);
        }
    }

    /// Whether an HTLC of the payment may still be claimed by someone.
    pub(crate) fn is_alive(&self, id: PaymentId) -> bool {
        self.parts.get(&id).into_iter().flatten().any(|(channel, htlc)| {
            let offered = self.channels[channel].state().offered_htlc(*htlc);
            offered.is_some_and(|offered| offered.outcome.is_none())
        })
    }

    /// Whether an HTLC of the payment was fulfilled.
    fn is_paid(&self, id: PaymentId) -> bool {
        self.parts.get(&id).into_iter().flatten().any(|(channel, htlc)| {
            let offered = self.channels[channel].state().offered_htlc(*htlc);
            offered.is_some_and(|offered| matches!(offered.outcome, Some(Outcome::Fulfilled(_))))
        })
    }

    /// What the parts that have not failed cost together in fees, in msat.
    pub(crate) fn fees_on_their_way(&self, id: PaymentId) -> MilliSatoshi {
        let parts = self.parts.get(&id).into_iter().flatten();
        let fees = parts.filter_map(|(channel, htlc)| {
            let offered = self.channels[channel].state().offered_htlc(*htlc)?;
            match (&offered.source, &offered.outcome) {
                (HtlcSource::Payment(part), None | Some(Outcome::Fulfilled(_))) => {
                    offered.terms.amount.checked_sub(part.delivers)
                }
                (HtlcSource::Payment(_) | HtlcSource::Forward(_), _) => None,
            }
        });
        MilliSatoshi::checked_sum(fees).expect("fees are less than all bitcoin")
    }

    /// The payment that a part belongs to. One whose row was lost is known again from its part.
    pub(crate) fn payment_of(
        &mut self,
        part: &PaymentPart,
        payment_hash: quittance_primitives::PaymentHash,
    ) -> &mut Payment {
        self.payments.entry(part.payment_id).or_insert_with(|| Payment {
            id: part.payment_id,
            payment_hash,
            amount: part.total,
            fee_limit: part.fee_limit,
            kind: None,
            retry: Retry {
                attempts_left: 0,
                avoid: Vec::<ShortChannelId>::new(),
            },
            status: PaymentStatus::Pending,
            rests_on: Vec::new(),
        })
    }

    /// The user has handled every event up to `last`. Outcomes that it knows now need not be kept for it (seed rule 4).
    pub(crate) fn events_handled(&mut self, last: EventNumber, turn: &mut Turn<'_>) {
        let Some(handled) = self.events.handled(last, turn) else {
            turn.emit(Effect::HandledRefused(last));
            return;
        };
        for (number, event) in handled {
            match event {
                Event::PaymentSent { payment_id, .. } | Event::PaymentFailed { payment_id, .. } => {
                    self.payment_handled(payment_id, turn);
                }
                Event::PaymentClaimed { .. } => {
                    let ids: Vec<_> = self.channels.keys().copied().collect();
                    for id in ids {
                        let decision = self.channels[&id].decide_claim_handled(number);
                        self.adopt_if_any(id, decision, turn);
                    }
                }
                Event::PaymentClaimable { .. }
                | Event::PaymentForwarded { .. }
                | Event::PaymentPathFailed { .. }
                | Event::HtlcIntercepted { .. }
                | Event::ChannelReady(_)
                | Event::ChannelClosed(..) => {}
            }
        }
        turn.emit(Effect::HandledConfirmed(last));
    }

    /// Marks every part of a payment as handled, in the log of each channel that has one, and puts its row away.
    fn payment_handled(&mut self, id: PaymentId, turn: &mut Turn<'_>) {
        for (channel, htlc) in self.parts.get(&id).cloned().unwrap_or_default() {
            let decision = self.channels[&channel].decide_acknowledged(htlc);
            self.adopt_if_any(channel, decision, turn);
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::HandledInOneLog) {
                break;
            }
        }
        if let Some(payment) = self.payments.remove(&id) {
            let changes = turn.step.changes_mut();
            changes.delete(Key::Payment(id));
            let body = payment.finished().to_bytes();
            changes.put(Key::FinishedPayment(id), FINISHED_PAYMENT_VERSION, &body);
            turn.payments.remove(&id);
        }
    }

    /// An outcome left a channel's log. What is to be known of it for ever becomes a cold record in the same batch.
    pub(crate) fn outcome_released(&mut self, channel: ChannelId, cold: &ColdOutcome, turn: &mut Turn<'_>) {
        let key = Key::Cold(channel, ColdId::Outcome(cold.id));
        turn.step.changes_mut().put(key, COLD_VERSION, &cold.to_bytes());
        match cold.origin {
            ColdOrigin::Payment(id) => {
                if let Some(parts) = self.parts.get_mut(&id) {
                    parts.remove(&(channel, cold.id));
                    if parts.is_empty() {
                        self.parts.remove(&id);
                    }
                }
            }
            ColdOrigin::Forward(upstream, htlc) => {
                self.forwards.remove(&(upstream, htlc));
            }
        }
    }
}
