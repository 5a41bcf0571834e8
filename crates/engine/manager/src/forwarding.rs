//! HTLCs that pass through (G3): forwarded once; claimed upstream with the downstream outcome, in one batch; failed upstream only when
//! the downstream HTLC is irrevocably gone.

use quittance_channel::{ForwardSource, HtlcSource, NewHtlc, ReceivedHtlc, ReceivedOnion, Removal};
use quittance_journal::mark;
use quittance_onion::{ChannelUpdateBytes, Failure, Forward, Payload};
use quittance_payments::failure;
use quittance_payments::forward::Forwarding;
use quittance_primitives::{ChannelId, Feature, HtlcId, MilliSatoshi, PaymentPreimage};

use crate::api::Event;
use crate::inbound::judged;
use crate::manager::ChannelManager;
use crate::turn::Turn;

impl ChannelManager {
    /// Sends an HTLC on, or fails it upstream. One whose next peer is not connected waits only if it was accepted before a restart.
    pub(crate) fn forward(&mut self, id: ChannelId, htlc: HtlcId, wanted: &Forward, turn: &mut Turn<'_>) {
        if self.forwards.contains_key(&(id, htlc)) {
            return;
        }
        if !self.channels[&id].state().phase.is_operating() {
            // It is left to the chain: what is not sent on cannot be lost.
            self.waiting.remove(&(id, htlc));
            return;
        }
        if self.is_for_the_user(wanted) {
            self.intercept(id, htlc, wanted, turn);
            return;
        }
        let received = &self.channels[&id].state().commitments.received[&htlc];
        let terms = received.terms;
        let Some(next) = self.channel_named(wanted.short_channel_id) else {
            mark!("forward: no such channel");
            self.refuse(id, htlc, &Failure::UnknownNextPeer, turn);
            return;
        };
        let forwarding = Forwarding {
            amount_in: terms.amount,
            expiry_in: terms.cltv_expiry,
            amount_out: wanted.amount,
            expiry_out: wanted.expiry,
        };
        if let Err(failure) = self.judge_forward(next, &forwarding, turn) {
            self.refuse(id, htlc, &failure, turn);
            return;
        }
        let source = ForwardSource {
            channel: id,
            htlc,
            amount: terms.amount,
            cltv_expiry: terms.cltv_expiry,
        };
        let new = NewHtlc {
            amount: wanted.amount,
            payment_hash: terms.payment_hash,
            cltv_expiry: wanted.expiry,
            path_key: None,
            source: HtlcSource::Forward(source),
        };
        #[cfg(feature = "mutants")]
        let new = mutated(new, &terms);
        let downstream_id = self.channels[&next].state().commitments.next_htlc_id.local;
        match self.channels[&next].decide_offer(new, &self.channel_context(turn)) {
            Ok(decision) => {
                mark!("forward: sent on");
                self.forwards.insert((id, htlc), (next, downstream_id));
                self.waiting.remove(&(id, htlc));
                self.adopt(next, decision, turn);
            }
            Err(_) if self.waiting.contains_key(&(id, htlc)) && !self.is_connected(next) => {
                mark!("forward: waits for its next peer");
            }
            Err(_) => {
                mark!("forward: refused by the next channel");
                self.refuse(
                    id,
                    htlc,
                    &Failure::TemporaryChannelFailure(ChannelUpdateBytes::default()),
                    turn,
                );
            }
        }
    }

    /// Whether a channel can be used at the moment.
    fn is_connected(&self, id: ChannelId) -> bool {
        !self.channels[&id].sendable().is_zero()
    }

    /// Tries again to send on what was accepted before a restart.
    pub(crate) fn forward_waiting(&mut self, turn: &mut Turn<'_>) {
        let waiting: Vec<_> = self.waiting.keys().copied().collect();
        for (id, htlc) in waiting {
            let received = self.channels[&id].state().commitments.received.get(&htlc);
            match received.filter(|received| received.removal.is_none()).map(judged) {
                Some(Ok(Payload::Forward(wanted))) => self.forward(id, htlc, &wanted, turn),
                Some(_) | None => {
                    self.waiting.remove(&(id, htlc));
                }
            }
        }
    }

    /// Fails upstream what waited too long for its next peer after a restart.
    pub(crate) fn time_out_waiting(&mut self, turn: &mut Turn<'_>) {
        let now = turn.context.now_ms;
        let timeout = self.config.forward_timeout_ms;
        let mut overdue = Vec::new();
        for (upstream, since) in &mut self.waiting {
            if now.saturating_sub(*since.get_or_insert(now)) > timeout {
                overdue.push(*upstream);
            }
        }
        for (id, htlc) in overdue {
            mark!("forward: waited too long");
            self.waiting.remove(&(id, htlc));
            self.refuse(
                id,
                htlc,
                &Failure::TemporaryChannelFailure(ChannelUpdateBytes::default()),
                turn,
            );
        }
    }

    /// An HTLC of ours was paid.
    pub(crate) fn fulfilled(&mut self, id: ChannelId, htlc: HtlcId, preimage: PaymentPreimage, turn: &mut Turn<'_>) {
        let offered = self.channels[&id]
            .state()
            .offered_htlc(htlc)
            .expect("it was fulfilled just now");
        match offered.source.clone() {
            HtlcSource::Payment(part) => self.part_fulfilled(id, htlc, &part, preimage, turn),
            HtlcSource::Forward(source) => self.claim_upstream(id, htlc, &source, preimage, turn),
        }
    }

    /// An HTLC of ours failed for good.
    pub(crate) fn failed(&mut self, id: ChannelId, htlc: HtlcId, turn: &mut Turn<'_>) {
        let offered = self.channels[&id]
            .state()
            .offered_htlc(htlc)
            .expect("it failed just now");
        match offered.source.clone() {
            HtlcSource::Payment(part) => self.part_failed(id, htlc, &part, turn),
            HtlcSource::Forward(source) => self.fail_upstream(id, htlc, &source, turn),
        }
    }

    /// Claims upstream what was claimed from us downstream, in the same batch.
    pub(crate) fn claim_upstream(
        &mut self,
        id: ChannelId,
        htlc: HtlcId,
        source: &ForwardSource,
        preimage: PaymentPreimage,
        turn: &mut Turn<'_>,
    ) {
        let Some(upstream) = self.channels.get(&source.channel) else {
            panic!("G3: the channel that brought a forwarded HTLC is kept until that HTLC is settled");
        };
        let paid_on = self.channels[&id]
            .state()
            .offered_htlc(htlc)
            .map(|offered| offered.terms.amount);
        let Some(received) = upstream.state().commitments.received.get(&source.htlc) else {
            return;
        };
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::UpstreamNotClaimed) {
            return;
        }
        if received.removal.is_some() {
            return;
        }
        if !upstream.state().phase.is_operating() {
            if received.preimage.is_some() {
                return;
            }
            mark!("forward: claimed from a closed channel");
            let decision = upstream.decide_preimage_known(source.htlc, preimage);
            self.adopt_if_any(source.channel, decision, turn);
            self.forwarded(id, source, paid_on, turn);
            return;
        }
        mark!("forward: claimed upstream");
        let attribution = self.attribution(source.channel, received, None, turn);
        self.remove(
            source.channel,
            source.htlc,
            Removal::Fulfilled { preimage, attribution },
            turn,
        );
        self.forwarded(id, source, paid_on, turn);
    }

    fn forwarded(&mut self, id: ChannelId, source: &ForwardSource, paid_on: Option<MilliSatoshi>, turn: &mut Turn<'_>) {
        let fee_earned = paid_on.map_or(source.amount, |paid_on| source.amount.saturating_sub(paid_on));
        let forwarded = Event::PaymentForwarded {
            upstream: source.channel,
            upstream_htlc: source.htlc,
            downstream: id,
            fee_earned,
        };
        self.events.push(forwarded, turn);
    }

    /// Fails upstream what failed downstream for good, with the reason wrapped for the payer.
    pub(crate) fn fail_upstream(&mut self, id: ChannelId, htlc: HtlcId, source: &ForwardSource, turn: &mut Turn<'_>) {
        let offered = self.channels[&id]
            .state()
            .offered_htlc(htlc)
            .expect("it failed just now");
        let outcome = offered.outcome.clone().expect("it failed just now");
        let upstream = self.channels.get(&source.channel);
        let received = upstream.and_then(|upstream| upstream.state().commitments.received.get(&source.htlc));
        let Some(received) = received.filter(|received| received.removal.is_none()) else {
            return;
        };
        let ReceivedOnion::Peeled { shared_secret, .. } = &received.onion else {
            return;
        };
        let held = failure::held(received.received_at_ms, turn.context.now_ms);
        let removal = failure::pass_on(*shared_secret, &outcome, Some(held));
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ForwardForgotten) {
            return;
        }
        mark!("forward: failed upstream");
        self.remove(source.channel, source.htlc, removal, turn);
    }

    /// An HTLC of a peer's is irrevocably gone: what we forwarded for it needs no outcome any more.
    pub(crate) fn upstream_gone(&mut self, id: ChannelId, htlc: HtlcId, turn: &mut Turn<'_>) {
        self.waiting.remove(&(id, htlc));
        self.intercepted.remove(&(id, htlc));
        if let Some((downstream, sent_on)) = self.forwards.get(&(id, htlc)).copied() {
            let decision = self.channels[&downstream].decide_acknowledged(sent_on);
            self.adopt_if_any(downstream, decision, turn);
        }
    }

    /// The attribution data that a fulfilment goes out with, where both sides support it and no blinded path forbids it (BOLT 4).
    pub(crate) fn attribution(
        &self,
        id: ChannelId,
        received: &ReceivedHtlc,
        from_downstream: Option<quittance_onion::AttributionData>,
        turn: &Turn<'_>,
    ) -> Option<Box<[u8; 920]>> {
        let peer = self.peers.get(&self.channels[&id].state().facts.peer)?;
        let ReceivedOnion::Peeled { shared_secret, .. } = &received.onion else {
            return None;
        };
        if !peer.features.supports(Feature::AttributionData) || received.terms.path_key.is_some() {
            return None;
        }
        let held = failure::held(received.received_at_ms, turn.context.now_ms);
        Some(failure::fulfilment(from_downstream, *shared_secret, held))
    }

    /// Folds a decision that may be empty.
    pub(crate) fn adopt_if_any(&mut self, id: ChannelId, decision: quittance_channel::Decision, turn: &mut Turn<'_>) {
        if !decision.steps.is_empty() {
            self.adopt(id, decision, turn);
        }
    }
}

/// A forward as known bugs make it.
#[cfg(feature = "mutants")]
fn mutated(new: NewHtlc, terms: &quittance_channel::HtlcTerms) -> NewHtlc {
    use quittance_journal::mutant::{Mutant, is_on};
    NewHtlc {
        amount: if is_on(Mutant::FeeNotTaken) {
            terms.amount
        } else {
            new.amount
        },
        cltv_expiry: if is_on(Mutant::ForwardExpiryKept) {
            terms.cltv_expiry
        } else {
            new.cltv_expiry
        },
        ..new
    }
}
