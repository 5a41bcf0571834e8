//! HTLCs that pass through and wait: for our user's decision, when their next channel is one that the user named for it; or for a moment, so
//! that several leave in one commitment. Neither has a row: an HTLC is undecided as long as the log shows that it was neither sent on
//! nor removed, and the question is asked again after a start exactly then.

use quittance_channel::{ForwardSource, HtlcSource, NewHtlc};
use quittance_onion::{Failure, Forward, Payload};
use quittance_payments::forward::{self, Forwarding};
use quittance_primitives::{ChannelId, HtlcId, MilliSatoshi};

use crate::api::{Event, Response};
use crate::inbound::{CLAIM_MARGIN, judged};
use crate::manager::ChannelManager;
use crate::turn::Turn;

impl ChannelManager {
    /// Whether the next channel that a payer names is one about which the user decides.
    pub(crate) fn is_for_the_user(&self, wanted: &Forward) -> bool {
        let name = wanted.short_channel_id;
        self.config.forwards.intercept.contains(&name) && self.channel_named(name).is_none()
    }

    /// Asks the user what is to become of an HTLC, once.
    pub(crate) fn intercept(&mut self, id: ChannelId, htlc: HtlcId, wanted: &Forward, turn: &mut Turn<'_>) {
        self.waiting.remove(&(id, htlc));
        let is_asked = self.events.unhandled().any(
            |(_, event)| matches!(event, Event::HtlcIntercepted { upstream, htlc: asked, .. } if (*upstream, *asked) == (id, htlc)),
        );
        if !self.intercepted.insert((id, htlc)) || is_asked {
            return;
        }
        let terms = self.channels[&id].state().commitments.received[&htlc].terms;
        let event = Event::HtlcIntercepted {
            upstream: id,
            htlc,
            payment_hash: terms.payment_hash,
            amount_in: terms.amount,
            amount_out: wanted.amount,
            expiry_out: wanted.expiry,
            next: wanted.short_channel_id,
        };
        self.events.push(event, turn);
    }

    /// The user sends an intercepted HTLC on, through a channel and with an amount of its choice.
    pub(crate) fn forward_intercepted(
        &mut self,
        at: (ChannelId, HtlcId),
        over: ChannelId,
        amount: MilliSatoshi,
        turn: &mut Turn<'_>,
    ) -> Response {
        let Some(wanted) = self.undecided(at) else {
            return Response::NothingIntercepted(at.0, at.1);
        };
        let Some(next) = self.channels.get(&over) else {
            return Response::UnknownChannel(over);
        };
        let terms = self.channels[&at.0].state().commitments.received[&at.1].terms;
        // The fee is the user's affair; that we are not out of pocket, and can claim upstream in time, is ours.
        let mut policy = next.state().policy;
        (policy.fee_base, policy.fee_proportional_millionths) = (MilliSatoshi(0), 0);
        let forwarding = Forwarding {
            amount_in: terms.amount,
            expiry_in: terms.cltv_expiry,
            amount_out: amount,
            expiry_out: wanted.expiry,
        };
        if let Err(failure) = forward::judge(&forwarding, &policy, self.tip.height) {
            return Response::ForwardRefused(format!("{failure:?}"));
        }
        let source = ForwardSource {
            channel: at.0,
            htlc: at.1,
            amount: terms.amount,
            cltv_expiry: terms.cltv_expiry,
        };
        let new = NewHtlc {
            amount,
            payment_hash: terms.payment_hash,
            cltv_expiry: wanted.expiry,
            path_key: None,
            source: HtlcSource::Forward(source),
        };
        let sent_on = next.state().commitments.next_htlc_id.local;
        match next.decide_offer(new, &self.channel_context(turn)) {
            Err(refusal) => Response::ChannelRefused(over, refusal),
            Ok(decision) => {
                self.intercepted.remove(&at);
                self.forwards.insert(at, (over, sent_on));
                self.adopt(over, decision, turn);
                Response::Done
            }
        }
    }

    /// The user refuses an intercepted HTLC: it is failed upstream.
    pub(crate) fn refuse_intercepted(&mut self, at: (ChannelId, HtlcId), turn: &mut Turn<'_>) -> Response {
        if self.undecided(at).is_none() {
            return Response::NothingIntercepted(at.0, at.1);
        }
        self.intercepted.remove(&at);
        self.refuse(at.0, at.1, &Failure::UnknownNextPeer, turn);
        Response::Done
    }

    /// A new block: what nobody decided is failed while there is time.
    pub(crate) fn refuse_expiring(&mut self, turn: &mut Turn<'_>) {
        for at in self.intercepted.clone() {
            let wanted = self.undecided(at);
            if wanted.is_none_or(|wanted| wanted.expiry.blocks_left(self.tip.height).0 < CLAIM_MARGIN) {
                self.refuse_intercepted(at, turn);
                self.intercepted.remove(&at);
            }
        }
    }

    /// Whether the user may still decide about an HTLC.
    pub(crate) fn is_undecided(&self, at: (ChannelId, HtlcId)) -> bool {
        let Some(channel) = self
            .channels
            .get(&at.0)
            .filter(|channel| channel.state().phase.is_operating())
        else {
            return false;
        };
        let received = channel.state().commitments.received.get(&at.1);
        let waits = received.is_some_and(|htlc| htlc.state.is_irrevocably_added() && htlc.removal.is_none());
        waits && !self.forwards.contains_key(&at)
    }

    /// What the payer wants of an HTLC that waits for the user's decision.
    fn undecided(&self, at: (ChannelId, HtlcId)) -> Option<Forward> {
        if !self.intercepted.contains(&at) || !self.is_undecided(at) {
            return None;
        }
        match judged(self.channels[&at.0].state().commitments.received.get(&at.1)?) {
            Ok(Payload::Forward(wanted)) => Some(wanted),
            Ok(_) | Err(_) => None,
        }
    }

    /// Sends an HTLC on now, or at the end of the delay in which others are gathered.
    pub(crate) fn forward_soon(&mut self, id: ChannelId, htlc: HtlcId, wanted: &Forward, turn: &mut Turn<'_>) {
        if self.config.forwards.delay_ms == 0 {
            self.forward(id, htlc, wanted, turn);
        } else {
            let due_ms = turn.context.now_ms.saturating_add(self.config.forwards.delay_ms);
            self.delayed.insert((id, htlc), due_ms);
        }
    }

    /// Sends on what was gathered.
    pub(crate) fn forward_delayed(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.context.now_ms;
        // A clock that was set back since keeps nobody waiting for longer than it was meant to.
        let latest_ms = now_ms.saturating_add(self.config.forwards.delay_ms);
        let due = self
            .delayed
            .iter()
            .filter(|(_, due_ms)| **due_ms <= now_ms || **due_ms > latest_ms);
        for at in due.map(|(at, _)| *at).collect::<Vec<_>>() {
            self.delayed.remove(&at);
            if !self.is_undecided(at) {
                continue;
            }
            let received = &self.channels[&at.0].state().commitments.received[&at.1];
            if let Ok(Payload::Forward(wanted)) = judged(received) {
                self.forward(at.0, at.1, &wanted, turn);
            }
        }
    }
}
