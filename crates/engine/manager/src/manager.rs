//! The engine: one input, one step.

use std::collections::{BTreeMap, BTreeSet};

use quittance_channel::opening::OpeningPolicy;
use quittance_channel::{
    Attached, CHECKPOINT_VERSION, Channel, ChannelEffect, Consequence, Context as ChannelContext, Decision,
    ForceCloseReason, ForwardingPolicy, HtlcSource, Link, Need, NextCommitment, Opening, Reaction, Refusal, Side,
    UPDATE_VERSION,
};
use quittance_journal::{ColdId, EventNumber, Generation, Key, Scope, Step, UpdateId};
use quittance_monitor::Tip;
use quittance_payments::{InvoiceKey, Payment, onion};
use quittance_primitives::{BlockHeight, ChannelId, Features, HtlcId, NodeId, PaymentHash, PaymentId, ShortChannelId};
use quittance_records::Record;
use quittance_wire::{Message, UpdateAddHtlc};

use crate::api::{Command, Context, Effect, Event, Input, Outgoing, Purpose, RequestId, Response};
use crate::chain::Monitored;
use crate::events::Events;
use crate::gossip::{Face, Gossip};
use crate::opening::Opening as OpeningChannel;
use crate::turn::Turn;

/// The newest version of the record format of payment rows; that of finished ones is [`crate::FINISHED_PAYMENT_VERSION`].
pub const PAYMENT_VERSION: u16 = 1;
/// The version of the record format of cold records.
pub(crate) use quittance_channel::COLD_VERSION;
/// A channel's updates are folded into a checkpoint after so many: a start reads no more than these.
const UPDATES_PER_CHECKPOINT: u64 = 200;
/// What keeps a channel from being closed by force after a restore that was declared.
const UNCONFIRMED: &str = "waiting for its peer to tell its state, since the store was declared to be old";

/// What a node is set up with, and never changes while it runs.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// Our own id: which end of our channels we are follows from it.
    pub node_id: NodeId,
    /// By which our invoices are recognised.
    pub invoice_key: InvoiceKey,
    /// Whether spontaneous payments are accepted (bLIP 3).
    pub accept_keysend: bool,
    /// How long parts of a payment wait for the others, in milliseconds (BOLT 4: at least 60 s).
    pub mpp_timeout_ms: u64,
    /// How long an HTLC that was accepted before a restart waits for its next peer, in milliseconds.
    pub forward_timeout_ms: u64,
    /// Which channels we open and accept.
    pub opening: OpeningPolicy,
    /// What others are told of us.
    pub face: Face,
    /// By which we forward through new channels.
    pub forwarding: ForwardingPolicy,
    /// Peers that we trust with channels whose funding is not confirmed.
    pub zeroconf_peers: BTreeSet<NodeId>,
    /// What becomes of HTLCs that pass through, beside each channel's own policy.
    pub forwards: ForwardConfig,
    /// Whether the user is told of each part of a payment that fails, by `Event::PaymentPathFailed`.
    pub tell_path_failures: bool,
}

/// What becomes of HTLCs that pass through. By default they leave at once, and nobody is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardConfig {
    /// How long an HTLC waits for others, so that they leave in one commitment, in milliseconds. `Input::Tick` must come as often.
    pub delay_ms: u64,
    /// Names of channels that do not exist: who is asked to forward to one of them asks the user, by `Event::HtlcIntercepted`.
    pub intercept: BTreeSet<ShortChannelId>,
}

/// The engine of a node.
#[derive(Clone, Debug)]
pub struct ChannelManager {
    pub(crate) config: ManagerConfig,
    pub(crate) tip: Tip,
    /// How high the best chain is, as far as it is known: above the tip while older blocks are caught up with.
    pub(crate) best: BlockHeight,
    pub(crate) peers: BTreeMap<NodeId, ConnectedPeer>,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// Channels whose state their peers have yet to confirm, after a restore that the operator declared.
    pub(crate) awaiting_peers: BTreeSet<ChannelId>,
    /// Each channel's monitor.
    pub(crate) monitors: BTreeMap<ChannelId, Monitored>,
    /// Channels on their way to existence, by peer and temporary id. Forgotten with the connection.
    pub(crate) openings: BTreeMap<(NodeId, ChannelId), OpeningChannel>,
    /// Payments whose outcome the user has not confirmed.
    pub(crate) payments: BTreeMap<PaymentId, Payment>,
    pub(crate) events: Events,
    pub(crate) gossip: Gossip,
    /// Where checkpoints stand.
    pub(crate) checkpoints: BTreeMap<ChannelId, UpdateId>,
    // Derived from the channels' logs, to be found quickly.
    /// The HTLCs of each payment whose outcomes are not released.
    pub(crate) parts: BTreeMap<PaymentId, BTreeSet<(ChannelId, HtlcId)>>,
    /// Where each forwarded HTLC went, until its outcome is released.
    pub(crate) forwards: BTreeMap<(ChannelId, HtlcId), (ChannelId, HtlcId)>,
    /// HTLCs that are for us and not yet decided.
    pub(crate) held: BTreeMap<PaymentHash, BTreeSet<(ChannelId, HtlcId)>>,
    /// Held payments that the user was told of.
    pub(crate) shown_claimable: BTreeSet<PaymentHash>,
    /// HTLCs that were accepted and whose next peer is not connected, with when they began to wait.
    pub(crate) waiting: BTreeMap<(ChannelId, HtlcId), Option<u64>>,
    /// HTLCs that wait for the user's decision.
    pub(crate) intercepted: BTreeSet<(ChannelId, HtlcId)>,
    /// HTLCs that wait for others to leave with, and until when, in milliseconds since 1970.
    pub(crate) delayed: BTreeMap<(ChannelId, HtlcId), u64>,
    /// Channels that changed in a step after which more was at hand: what is new on them is signed for with the next step that signs.
    pub(crate) unsigned: BTreeSet<ChannelId>,
}

/// When the commitments are signed that follow from an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// In its own step.
    Now,
    /// More inputs are at hand: in the step of one of those.
    WithTheNext,
}

/// A peer that is connected.
#[derive(Clone, Debug)]
pub(crate) struct ConnectedPeer {
    pub(crate) generation: Generation,
    pub(crate) features: Features,
}

impl ChannelManager {
    /// Handles one input. The step's records must be appended, and its effects held, by the gate.
    pub fn handle(&mut self, input: Input, context: &Context<'_>) -> Step<Effect> {
        self.handle_one(input, Signing::Now, context)
    }

    /// Handles one of several inputs that came together. With [`Signing::WithTheNext`] no commitment is signed, so that one signature of
    /// each HTLC covers what follows from all of them; the next input of any kind that is handled otherwise signs, and whoever has
    /// none at hand must send [`Input::Tick`] while [`Self::owes_signatures`].
    pub fn handle_one(&mut self, input: Input, signing: Signing, context: &Context<'_>) -> Step<Effect> {
        let mut turn = Turn::new(*context);
        self.dispatch(input, &mut turn);
        self.finish(turn, signing)
    }

    /// Whether something was left unsigned that the next input is to sign for.
    pub fn owes_signatures(&self) -> bool {
        !self.unsigned.is_empty()
    }

    /// What the driver attaches to a message of `peer` before it is handled.
    pub fn needs(&self, peer: &NodeId, message: &Message) -> Need {
        if let Message::OpenChannel(_) = message {
            return Need::NewChannel;
        }
        self.channel_of(peer, message)
            .map_or(Need::Nothing, |channel| channel.needs(message))
    }

    /// The key of the signer's secrets for the channel that a message is about.
    pub fn signer_keys_id(&self, peer: &NodeId, message: &Message) -> Option<[u8; 32]> {
        self.channel_of(peer, message)
            .map(|channel| channel.state().facts.signer_keys_id)
    }

    /// What is known of a channel's commitment that follows on one that a message has moved on ([`NextCommitment::moved_by`]).
    pub fn next_commitment(&self, (channel, owner): (ChannelId, Side)) -> Option<NextCommitment> {
        self.channel(&channel)?.next_commitment(owner)
    }

    /// The record that the driver reads before it hands over a command: what is known of a payment that ended long ago.
    pub fn wants(&self, command: &Command) -> Option<Key> {
        let id = match command {
            Command::SendPayment(payment) => payment.id,
            Command::AbandonPayment(id) => *id,
            Command::ClaimPayment(_)
            | Command::RefusePayment(_)
            | Command::SetFeerate(..)
            | Command::Quiesce(_)
            | Command::SetPolicy(..)
            | Command::ForceClose(_)
            | Command::CloseChannel(..)
            | Command::OpenChannel(_)
            | Command::ForwardIntercepted { .. }
            | Command::RefuseIntercepted(..)
            | Command::FundChannel { .. }
            | Command::AbandonOpening(..) => {
                return None;
            }
        };
        (!self.payments.contains_key(&id)).then_some(Key::FinishedPayment(id))
    }

    /// The channels, by id.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }

    /// A channel.
    pub fn channel(&self, id: &ChannelId) -> Option<&Channel> {
        self.channels.get(id)
    }

    /// The payments whose outcome the user has not confirmed.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// How many events the user has not handled.
    pub fn unhandled_events(&self) -> usize {
        self.events.unhandled().count()
    }

    /// The number of the event that comes next, shown or not. Payments end with one.
    pub fn next_event(&self) -> EventNumber {
        self.events.next_number()
    }

    /// Whether a user who was shown events up to `shown` since the start can have handled everything up to `last`: if not,
    /// [`Input::EventHandled`] is refused. An event of an earlier life of the node may be confirmed although its row was lost since.
    pub fn may_be_handled(&self, last: EventNumber, shown: Option<EventNumber>) -> bool {
        let shown_below = shown.map_or(EventNumber(0), EventNumber::next);
        self.events.may_be_handled(last, shown_below)
    }

    /// The height of the best chain's tip, as it was told.
    pub const fn tip(&self) -> BlockHeight {
        self.tip.height
    }

    fn dispatch(&mut self, input: Input, turn: &mut Turn<'_>) {
        match input {
            Input::PeerConnected {
                peer,
                generation,
                features,
            } => self.connect(peer, generation, features, turn),
            Input::PeerDisconnected(peer) => self.disconnect(&peer, turn),
            Input::PeerMessage {
                peer,
                message,
                attached,
            } => self.receive(&peer, &message, attached, turn),
            Input::ChannelOpened {
                opening,
                features,
                effect,
            } => self.open(*opening, features, *effect, turn),
            Input::Command {
                request,
                command,
                finished,
            } => self.command(request, *command, finished.as_deref(), turn),
            Input::Chain(event) => self.chain(event, turn),
            Input::Loaded(loaded) => self.loaded(*loaded, turn),
            Input::EventHandled(last) => self.events_handled(last, turn),
            Input::Tick => self.tick(turn),
        }
    }

    fn command(&mut self, request: RequestId, command: Command, finished: Option<&Payment>, turn: &mut Turn<'_>) {
        let response = match command {
            Command::SendPayment(payment) => self.send_payment(*payment, finished, turn),
            Command::AbandonPayment(id) => self.abandon_payment(id, finished, turn),
            Command::ClaimPayment(preimage) => self.claim_held(preimage, turn),
            Command::RefusePayment(hash) => self.refuse_held(hash, turn),
            Command::ForwardIntercepted {
                upstream,
                htlc,
                over,
                amount,
            } => self.forward_intercepted((upstream, htlc), over, amount, turn),
            Command::RefuseIntercepted(upstream, htlc) => self.refuse_intercepted((upstream, htlc), turn),
            Command::SetFeerate(id, feerate) => {
                let context = self.channel_context(turn);
                let decided = self
                    .channels
                    .get(&id)
                    .map(|channel| channel.decide_fee(feerate, &context));
                self.done_if_decided(id, decided, turn)
            }
            Command::Quiesce(id) => {
                let decided = self.channels.get(&id).map(Channel::decide_quiesce);
                self.done_if_decided(id, decided, turn)
            }
            Command::SetPolicy(id, policy) => self.set_policy(id, policy, turn),
            Command::OpenChannel(new) => self.open_channel(*new, turn),
            Command::FundChannel {
                peer,
                temporary_channel_id,
                funding,
            } => self.fund_channel(peer, temporary_channel_id, *funding, turn),
            Command::AbandonOpening(peer, id) => self.abandon_opening(peer, id, turn),
            Command::CloseChannel(id, close) => {
                let context = self.channel_context(turn);
                let decided = self
                    .channels
                    .get(&id)
                    .map(|channel| channel.decide_shutdown(close, &context));
                self.done_if_decided(id, decided, turn)
            }
            Command::ForceClose(id) if !self.channels.contains_key(&id) => Response::UnknownChannel(id),
            Command::ForceClose(id) if self.awaiting_peers.contains(&id) => {
                Response::ChannelRefused(id, Refusal::WrongPhase(UNCONFIRMED))
            }
            Command::ForceClose(id) => {
                self.force_close(id, ForceCloseReason::Ordered, turn);
                Response::Done
            }
        };
        turn.emit(Effect::Respond(request, Box::new(response)));
    }

    fn connect(&mut self, peer: NodeId, generation: Generation, features: Features, turn: &mut Turn<'_>) {
        self.disconnect(&peer, turn);
        self.peers.insert(
            peer,
            ConnectedPeer {
                generation,
                features: features.clone(),
            },
        );
        for id in self.channels_with(&peer) {
            let decision = self.channels[&id].decide_connected(features.clone());
            self.adopt(id, decision, turn);
        }
        self.greet_with_gossip(peer, turn);
    }

    pub(crate) fn disconnect(&mut self, peer: &NodeId, turn: &mut Turn<'_>) {
        self.peers.remove(peer);
        self.gossip.hung_up(peer);
        self.forget_openings(peer, turn);
        for (id, channel) in &mut self.channels {
            if channel.state().facts.peer == *peer {
                channel.disconnect();
                let is_public = channel.state().facts.announce;
                self.gossip.disconnected(*id, is_public, turn.context.now_ms);
            }
        }
    }

    fn channels_with(&self, peer: &NodeId) -> Vec<ChannelId> {
        let theirs = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.state().facts.peer == *peer);
        theirs.map(|(id, _)| *id).collect()
    }

    fn receive(&mut self, peer: &NodeId, message: &Message, attached: Attached, turn: &mut Turn<'_>) {
        if !self.peers.contains_key(peer) {
            // What a connection that we closed still brings is not listened to.
            return;
        }
        if let Message::Error(error) = message {
            self.peer_failed(peer, error, turn);
            return;
        }
        if self.hear_gossip(peer, message, turn) {
            return;
        }
        if Self::is_about_opening(message) {
            self.receive_opening(peer, message, attached, turn);
            return;
        }
        let Some(channel) = self.channel_of(peer, message) else {
            self.answer_unknown_channel(peer, message, turn);
            return;
        };
        let id = channel.state().facts.channel_id;
        match channel.decide_message(message, attached, &self.channel_context(turn)) {
            Ok(decision) => {
                let was_up = matches!(channel.link(), Link::Up(_));
                self.adopt(id, decision, turn);
                if !was_up && matches!(self.channels[&id].link(), Link::Up(_)) {
                    self.peer_confirmed(id, turn);
                    self.link_is_up(id, turn);
                }
            }
            Err(violation) => self.answer_violation(id, &violation, turn),
        }
    }

    /// A channel can be used again: what waited for it goes on.
    fn link_is_up(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        self.say_ready(id, turn);
        self.forward_waiting(turn);
    }

    fn open(&mut self, opening: Opening, features: Features, effect: ChannelEffect, turn: &mut Turn<'_>) {
        let id = opening.facts.channel_id;
        assert!(!self.channels.contains_key(&id), "a funding output makes one channel");
        self.channels.insert(id, Channel::open(opening, features));
        self.monitors.insert(id, Monitored::new(self.tip));
        turn.channels.insert(id);
        self.emit_channel_effect(id, effect, turn);
    }

    /// Answers a command about one channel, and does what was decided.
    fn done_if_decided(
        &mut self,
        id: ChannelId,
        decided: Option<Result<Decision, Refusal>>,
        turn: &mut Turn<'_>,
    ) -> Response {
        match decided {
            None => Response::UnknownChannel(id),
            Some(Err(refusal)) => Response::ChannelRefused(id, refusal),
            Some(Ok(decision)) => {
                self.adopt(id, decision, turn);
                Response::Done
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.time_out_parts(turn);
        self.time_out_waiting(turn);
        self.forward_delayed(turn);
        self.expire_payments(turn);
        self.renew_terms(turn);
        self.pass_on(turn);
        self.answer_overdue(turn);
        self.write_checkpoints(turn);
    }

    /// Folds a decision into its channel, and queues what follows from it.
    pub(crate) fn adopt(&mut self, id: ChannelId, decision: Decision, turn: &mut Turn<'_>) {
        self.keep_revoked(id, &decision.steps, turn);
        let channel = self
            .channels
            .get_mut(&id)
            .expect("a decision was made by a channel that is there");
        let Reaction { effects, consequences } = channel.adopt(decision);
        turn.channels.insert(id);
        turn.pending
            .extend(consequences.into_iter().map(|consequence| (id, consequence)));
        for effect in effects {
            self.emit_channel_effect(id, effect, turn);
        }
    }

    pub(crate) fn emit_channel_effect(&self, id: ChannelId, effect: ChannelEffect, turn: &mut Turn<'_>) {
        let outgoing = match effect {
            ChannelEffect::Send(message) => Outgoing::Message(message),
            ChannelEffect::SendHtlc(htlc) => Outgoing::Message(Box::new(self.add_message(id, htlc))),
            ChannelEffect::SendCommitment(to_sign) => Outgoing::Commitment(to_sign),
            ChannelEffect::SendRevocation(due) => Outgoing::Revocation(due),
            ChannelEffect::SendFundingCreated(_) | ChannelEffect::SendFundingSigned(_) => {
                Outgoing::Opening(Box::new(effect))
            }
            ChannelEffect::BroadcastFunding(transaction) => {
                turn.emit(Effect::Broadcast(transaction, Purpose::Funding(id)));
                return;
            }
            ChannelEffect::SendClosing(to_sign) => Outgoing::Closing(to_sign),
            // The monitor asks for it at the end of the step, and after every block.
            ChannelEffect::BroadcastClosing(_) => return,
        };
        let peer = self.channels[&id].state().facts.peer;
        self.send(peer, outgoing, turn);
    }

    /// Queues something for a peer, if it is connected.
    pub(crate) fn send(&self, peer: NodeId, outgoing: Outgoing, turn: &mut Turn<'_>) {
        if let Some(connected) = self.peers.get(&peer) {
            let scope = Scope::Connection {
                peer,
                generation: connected.generation,
            };
            turn.step.emit(scope, Effect::Send(peer, outgoing));
        }
    }

    /// `update_add_htlc`, with the onion that follows from the HTLC's source.
    fn add_message(&self, id: ChannelId, htlc: HtlcId) -> Message {
        let state = self.channels[&id].state();
        let offered = state.offered_htlc(htlc).expect("what is sent is there");
        let terms = &offered.terms;
        let onion = match &offered.source {
            HtlcSource::Payment(part) => {
                onion::packet(part, &terms.payment_hash).expect("the onion was checked before the HTLC was offered")
            }
            HtlcSource::Forward(source) => self.next_packet(source.channel, source.htlc),
        };
        UpdateAddHtlc {
            channel_id: id,
            id: htlc,
            amount_msat: terms.amount,
            payment_hash: terms.payment_hash,
            cltv_expiry: terms.cltv_expiry,
            onion_routing_packet: onion,
            blinded_path: terms.path_key,
        }
        .into()
    }

    /// Follows every consequence to its end, signs what is to be signed, and makes one batch of it all.
    pub(crate) fn finish(&mut self, mut turn: Turn<'_>, signing: Signing) -> Step<Effect> {
        while let Some((id, consequence)) = turn.pending.pop_front() {
            self.follow(id, consequence, &mut turn);
        }
        self.unsigned.extend(&turn.channels);
        match signing {
            Signing::WithTheNext => {}
            Signing::Now => self.sign(&mut turn),
        }
        assert!(turn.pending.is_empty(), "signing has no consequence");
        self.tell_gossip(&mut turn);
        self.write_monitors(&mut turn);
        self.write_updates(&mut turn);
        self.write_payments(&mut turn);
        self.events.show(&mut turn);
        turn.step
    }

    /// Signs for all that is new on the channels that changed since commitments were last signed.
    fn sign(&mut self, turn: &mut Turn<'_>) {
        for id in std::mem::take(&mut self.unsigned) {
            // A channel of an earlier step may have come to its end since.
            let Some(decision) = self.channels.get(&id).map(Channel::decide_commitment) else {
                continue;
            };
            if let Some(decision) = decision {
                self.adopt(id, decision, turn);
            }
            let context = self.channel_context(turn);
            while let Some(decision) = self.channels[&id].decide_next(&context) {
                self.adopt(id, decision, turn);
            }
        }
    }

    fn follow(&mut self, id: ChannelId, consequence: Consequence, turn: &mut Turn<'_>) {
        match consequence {
            Consequence::Usable => {
                self.events.push(Event::ChannelReady(id), turn);
                self.forward_waiting(turn);
            }
            Consequence::HtlcAccepted(htlc) => self.accepted(id, htlc, turn),
            Consequence::HtlcFulfilled { id: htlc, preimage } => self.fulfilled(id, htlc, preimage, turn),
            Consequence::HtlcFailed(htlc) => self.failed(id, htlc, turn),
            // Its outcome was taken care of when it became known.
            Consequence::OfferedHtlcGone(_) => {}
            Consequence::ReceivedHtlcGone(htlc) => self.upstream_gone(id, htlc, turn),
            Consequence::OutcomeReleased(cold) => self.outcome_released(id, &cold, turn),
            Consequence::ClaimReleased(claim) => {
                for part in claim.parts.iter().filter(|part| part.channel == id) {
                    let key = Key::Cold(id, ColdId::Receipt(part.htlc));
                    turn.step.changes_mut().put(key, COLD_VERSION, &claim.to_bytes());
                }
            }
            Consequence::WeFellBehind => {
                let why = "we lost state, and asked the peer to close the channel".to_owned();
                self.tell_closed(id, why, turn);
            }
        }
    }

    fn write_updates(&mut self, turn: &mut Turn<'_>) {
        for id in &turn.channels {
            let channel = self.channels.get_mut(id).expect("channels are not removed in a turn");
            if let Some(update) = channel.take_update() {
                let key = update.key(&channel.state().facts);
                turn.step.changes_mut().put(key, UPDATE_VERSION, &update.to_body());
            }
        }
    }

    fn write_payments(&mut self, turn: &mut Turn<'_>) {
        for id in &turn.payments {
            let Some(payment) = self.payments.get_mut(id) else {
                continue;
            };
            let channels: BTreeSet<_> = self
                .parts
                .get(id)
                .into_iter()
                .flatten()
                .map(|(channel, _)| *channel)
                .collect();
            let rests_on = channels
                .into_iter()
                .map(|channel| (channel, self.channels[&channel].state().last_update));
            payment.rests_on = rests_on.collect();
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::PaymentRowAfterSend)
                && !payment.status.is_final()
            {
                continue;
            }
            turn.step
                .changes_mut()
                .put(Key::Payment(*id), PAYMENT_VERSION, &payment.to_bytes());
        }
    }

    fn write_checkpoints(&mut self, turn: &mut Turn<'_>) {
        for (id, channel) in &self.channels {
            let state = channel.state();
            let at = self.checkpoints.get(id).copied().unwrap_or(UpdateId(0));
            if state.last_update.0 - at.0 >= UPDATES_PER_CHECKPOINT && !turn.channels.contains(id) {
                let changes = turn.step.changes_mut();
                changes.put(Key::Checkpoint(*id), CHECKPOINT_VERSION, &state.to_checkpoint());
                changes.delete_updates(*id, state.last_update);
                self.checkpoints.insert(*id, state.last_update);
            }
        }
    }

    pub(crate) fn channel_context<'a>(&self, turn: &Turn<'a>) -> ChannelContext<'a> {
        ChannelContext {
            now_ms: turn.context.now_ms,
            height: self.tip.height,
            limits: turn.context.limits,
            verifier: turn.context.verifier,
        }
    }

    /// The channel with `peer` that a message is about.
    fn channel_of(&self, peer: &NodeId, message: &Message) -> Option<&Channel> {
        let channel = self.channels.get(&channel_id(message)?)?;
        (channel.state().facts.peer == *peer).then_some(channel)
    }

    /// The name of a channel of ours as the first hop of a payment: the one at its other end, as far as there is one.
    pub fn name_of(channel: &Channel) -> ShortChannelId {
        let state = channel.state();
        state.name_at_peer().or(state.aliases.local).unwrap_or_default()
    }

    /// The channel that our own user means, who may call it by its place even where nobody else does.
    pub(crate) fn channel_meant_by_user(&self, name: ShortChannelId) -> Option<ChannelId> {
        let is_at = |channel: &&Channel| channel.state().is_at(name);
        let placed = || Some(self.channels.values().find(is_at)?.state().facts.channel_id);
        self.channel_named(name).or_else(placed)
    }

    /// The channel that a sender means by a short channel id.
    pub(crate) fn channel_named(&self, name: ShortChannelId) -> Option<ChannelId> {
        let named = self.channels.values().find(|channel| channel.state().is_named(name));
        named.map(|channel| channel.state().facts.channel_id)
    }
}

/// The channel that a message is about, if it is about one that exists.
pub(crate) fn channel_id(message: &Message) -> Option<ChannelId> {
    match message {
        Message::ChannelReady(message) => Some(message.channel_id),
        Message::ChannelReestablish(message) => Some(message.channel_id),
        Message::UpdateAddHtlc(message) => Some(message.channel_id),
        Message::UpdateFulfillHtlc(message) => Some(message.channel_id),
        Message::UpdateFailHtlc(message) => Some(message.channel_id),
        Message::UpdateFailMalformedHtlc(message) => Some(message.channel_id),
        Message::UpdateFee(message) => Some(message.channel_id),
        Message::CommitmentSigned(message) => Some(message.channel_id),
        Message::RevokeAndAck(message) => Some(message.channel_id),
        Message::Shutdown(message) => Some(message.channel_id),
        Message::ClosingSigned(message) => Some(message.channel_id),
        Message::ClosingComplete(message) => Some(message.channel_id),
        Message::ClosingSig(message) => Some(message.channel_id),
        Message::Stfu(message) => Some(message.channel_id),
        _ => None,
    }
}
