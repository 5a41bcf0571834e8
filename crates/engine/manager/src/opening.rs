//! Channels on their way to existence (BOLT 2, channel establishment v1). Nothing of an opening is durable before the channel's first step: a
//! lost connection or a restart forgets it, and no money is at stake.

use std::collections::BTreeMap;

use quittance_channel::opening::{
    Forgotten, Fundee, Funder, FundingTransaction, NewChannelKeys, OpenRefusal, OpenRequest, OurPart, Proposal,
    Refused, Trust,
};
use quittance_channel::{Attached, Channel, ForwardingPolicy, Phase, Reaction, Side, SideFacts};
use quittance_journal::mark;
use quittance_primitives::{ChannelId, MilliSatoshi, NodeId};
use quittance_wire::{AcceptChannel, ErrorMessage, FundingCreated, FundingSigned, Message, OpenChannel, Warning};

use crate::api::{Effect, NewChannel, OpeningEnd, Outgoing, Response};
use crate::chain::Monitored;
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// How many openings of one peer's are kept, those that it signed and whose funding nobody has seen among them: each costs memory, and
/// these a record for two weeks, and cost the peer nothing.
const OPENINGS_PER_PEER_MAX: usize = 8;
/// How many channels of all peers together may wait for a funding that is theirs to bring.
const UNFUNDED_MAX: usize = 1_000;

/// A channel on its way.
#[derive(Clone, Debug)]
pub(crate) enum Opening {
    /// We open it.
    Ours(Box<Funder>),
    /// The peer opens it.
    Theirs(Box<Fundee>),
}

impl ChannelManager {
    /// Whether a message belongs to an opening.
    pub(crate) const fn is_about_opening(message: &Message) -> bool {
        matches!(
            message,
            Message::OpenChannel(_)
                | Message::AcceptChannel(_)
                | Message::FundingCreated(_)
                | Message::FundingSigned(_)
        )
    }

    /// A peer's message about an opening.
    pub(crate) fn receive_opening(
        &mut self,
        peer: &NodeId,
        message: &Message,
        attached: Attached,
        turn: &mut Turn<'_>,
    ) {
        let refused = match message {
            Message::OpenChannel(open) => {
                let Attached::NewChannel(keys) = attached else {
                    panic!("keys are attached to open_channel")
                };
                self.opened_by_peer(peer, open, *keys, turn)
            }
            Message::AcceptChannel(accept) => self.accepted_by_peer(peer, accept, turn),
            Message::FundingCreated(created) => self.funded_by_peer(peer, created, turn),
            Message::FundingSigned(signed) => self.signed_by_peer(peer, signed, turn),
            _ => Ok(()),
        };
        if let Err(refused) = refused {
            let ErrorMessage { channel_id, data } = refused.message();
            let answer = if self.channels.contains_key(&channel_id) {
                // It is a channel already, and said twice. An `error` would close it.
                mark!("opening: a message about what is a channel already");
                Warning { channel_id, data }.into()
            } else {
                ErrorMessage { channel_id, data }.into()
            };
            self.send(*peer, Outgoing::Message(Box::new(answer)), turn);
        }
    }

    /// Opens a channel to a peer.
    pub(crate) fn open_channel(&mut self, new: NewChannel, turn: &mut Turn<'_>) -> Response {
        let Some(connected) = self.peers.get(&new.peer) else {
            return Response::PeerNotConnected(new.peer);
        };
        let negotiated = connected.features.clone();
        let policy = &self.config.opening;
        let channel_type = new.channel_type.or_else(|| {
            let format = policy.preferred_format(&negotiated)?;
            Some(quittance_channel::opening::ChannelType::basic(format))
        });
        let Some(channel_type) = channel_type else {
            return Response::OpenRefused(OpenRefusal::ChannelTypeMissing);
        };
        let temporary_channel_id = ChannelId(turn.draw());
        let script = new.keys.upfront_shutdown_script.clone();
        let demands = policy.demands(new.capacity, channel_type.format, new.keys.keys, script);
        let request = OpenRequest {
            peer: new.peer,
            negotiated,
            temporary_channel_id,
            capacity: new.capacity,
            push: new.push,
            channel_type,
            announce: new.announce,
            feerate: new.feerate,
            ours: self.our_part(demands, &new.keys),
        };
        match quittance_channel::opening::AwaitingAccept::propose(request, policy, turn.context.limits) {
            Err(why) => Response::OpenRefused(why),
            Ok((state, message)) => {
                let funder = Box::new(Funder::AwaitingAccept(Box::new(state)));
                self.openings
                    .insert((new.peer, temporary_channel_id), Opening::Ours(funder));
                self.send(new.peer, Outgoing::Message(Box::new(message.into())), turn);
                Response::Opening(temporary_channel_id)
            }
        }
    }

    /// The wallet's transaction for an opening of ours.
    pub(crate) fn fund_channel(
        &mut self,
        peer: NodeId,
        id: ChannelId,
        funding: FundingTransaction,
        turn: &mut Turn<'_>,
    ) -> Response {
        let key = (peer, id);
        match self.openings.remove(&key) {
            Some(Opening::Ours(funder)) => match *funder {
                Funder::AwaitingFunding(state) => match state.fund(funding, self.tip.height) {
                    Ok((state, effect)) => {
                        let funder = Funder::AwaitingFundingSigned(Box::new(state));
                        self.openings.insert(key, Opening::Ours(Box::new(funder)));
                        self.send(peer, Outgoing::Opening(Box::new(effect)), turn);
                        Response::Opening(id)
                    }
                    Err(unchanged) => {
                        let funder = Funder::AwaitingFunding(Box::new(unchanged.state));
                        self.openings.insert(key, Opening::Ours(Box::new(funder)));
                        Response::UnfitFunding(unchanged.why)
                    }
                },
                other @ (Funder::AwaitingAccept(_) | Funder::AwaitingFundingSigned(_)) => {
                    self.openings.insert(key, Opening::Ours(Box::new(other)));
                    Response::UnknownOpening(id)
                }
            },
            Some(theirs @ Opening::Theirs(_)) => {
                self.openings.insert(key, theirs);
                Response::UnknownOpening(id)
            }
            None => {
                self.give_up(funding.channels(), turn);
                let forgotten = Forgotten {
                    temporary_channel_id: id,
                    funding: Some(funding),
                };
                turn.emit(Effect::OpeningEnded(Box::new(forgotten), OpeningEnd::GivenUp));
                Response::UnknownOpening(id)
            }
        }
    }

    /// Gives up an opening of ours.
    pub(crate) fn abandon_opening(&mut self, peer: NodeId, id: ChannelId, turn: &mut Turn<'_>) -> Response {
        match self.openings.remove(&(peer, id)) {
            Some(Opening::Ours(funder)) => {
                self.tell_given_up(peer, funder.current_channel_id(), turn);
                self.opening_ended(funder.forget(), OpeningEnd::GivenUp, turn);
                Response::Done
            }
            Some(theirs @ Opening::Theirs(_)) => {
                self.openings.insert((peer, id), theirs);
                Response::UnknownOpening(id)
            }
            None => Response::UnknownOpening(id),
        }
    }

    /// BOLT 2: openings are forgotten with their connection.
    ///
    /// A batch that lost one of its openings is given up: the rest of it would never be broadcast.
    pub(crate) fn forget_openings(&mut self, peer: &NodeId, turn: &mut Turn<'_>) {
        let (lost, left): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.openings)
            .into_iter()
            .partition(|((other, _), _)| other == peer);
        self.openings = left;
        for opening in lost.into_values() {
            if let Opening::Ours(funder) = opening {
                self.opening_ended(funder.forget(), OpeningEnd::Disconnected, turn);
            }
        }
    }

    /// The peer failed an opening, or all of them.
    pub(crate) fn opening_failed(&mut self, peer: &NodeId, meant: ChannelId, text: &str, turn: &mut Turn<'_>) {
        let is_meant = |(other, temporary): &(NodeId, ChannelId), opening: &Opening| {
            let current = match opening {
                Opening::Ours(funder) => funder.current_channel_id(),
                Opening::Theirs(_) => *temporary,
            };
            other == peer && [ChannelId::ALL, *temporary, current].contains(&meant)
        };
        let failed: Vec<_> = self
            .openings
            .iter()
            .filter(|(key, opening)| is_meant(key, opening))
            .map(|(key, _)| *key)
            .collect();
        for key in failed {
            if let Some(Opening::Ours(funder)) = self.openings.remove(&key) {
                self.opening_ended(funder.forget(), OpeningEnd::RefusedByPeer(text.to_owned()), turn);
            }
        }
    }

    /// We refuse what the peer answered to an opening of ours.
    fn opening_refused(
        &mut self,
        temporary_channel_id: ChannelId,
        funding: Option<FundingTransaction>,
        refused: Refused,
        turn: &mut Turn<'_>,
    ) -> Refused {
        let forgotten = Forgotten {
            temporary_channel_id,
            funding,
        };
        self.opening_ended(forgotten, OpeningEnd::Refused(refused.why.clone()), turn);
        refused
    }

    /// Tells how an opening of ours ended, and gives up the batch that it was part of, if it was part of one.
    fn opening_ended(&mut self, forgotten: Forgotten, why: OpeningEnd, turn: &mut Turn<'_>) {
        if let Some(batch) = forgotten.funding.as_ref().filter(|funding| funding.is_batch()) {
            self.give_up(batch.channels(), turn);
        }
        turn.emit(Effect::OpeningEnded(Box::new(forgotten), why));
    }

    /// Gives up channels that were to be funded together.
    fn give_up(&mut self, members: &[ChannelId], turn: &mut Turn<'_>) {
        let is_member = |opening: &Opening| match opening {
            Opening::Ours(funder) => members.contains(&funder.current_channel_id()),
            Opening::Theirs(_) => false,
        };
        let (lost, left): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.openings)
            .into_iter()
            .partition(|(_, opening)| is_member(opening));
        self.openings = left;
        for ((peer, _), opening) in lost {
            if let Opening::Ours(funder) = opening {
                self.tell_given_up(peer, funder.current_channel_id(), turn);
                turn.emit(Effect::OpeningEnded(Box::new(funder.forget()), OpeningEnd::GivenUp));
            }
        }
        for id in members {
            let Some(channel) = self.channels.get(id) else { continue };
            let peer = channel.state().facts.peer;
            if let Some(decision) = channel.decide_batch_failed() {
                self.adopt(*id, decision, turn);
                self.tell_closed(*id, "another channel of its batch did not open".to_owned(), turn);
                self.tell_given_up(peer, *id, turn);
            }
        }
    }

    fn tell_given_up(&self, peer: NodeId, channel_id: ChannelId, turn: &mut Turn<'_>) {
        let data = b"the funding was given up".to_vec();
        let error = ErrorMessage { channel_id, data };
        self.send(peer, Outgoing::Message(Box::new(error.into())), turn);
    }

    /// After a start: openings are forgotten, and with them the batches that still waited for one.
    pub(crate) fn give_up_broken_batches(&mut self, turn: &mut Turn<'_>) {
        for id in self.channel_ids() {
            let Some(funding) = &self.channels[&id].state().facts.funding_transaction else {
                continue;
            };
            let is_broken = funding.is_batch() && funding.channels().iter().any(|id| !self.channels.contains_key(id));
            if is_broken {
                let members = funding.channels().to_vec();
                self.give_up(&members, turn);
            }
        }
    }

    fn opened_by_peer(
        &mut self,
        peer: &NodeId,
        message: &OpenChannel,
        keys: NewChannelKeys,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let id = message.temporary_channel_id;
        let refused = |why| Refused { channel_id: id, why };
        let theirs = self
            .openings
            .iter()
            .filter(|((other, _), opening)| other == peer && matches!(opening, Opening::Theirs(_)));
        let unfunded: Vec<_> = self
            .channels
            .values()
            .filter(|channel| awaits_their_funding(channel))
            .collect();
        let of_peer = unfunded.iter().filter(|channel| channel.state().facts.peer == *peer);
        if theirs.count() + of_peer.count() >= OPENINGS_PER_PEER_MAX {
            return Err(refused(OpenRefusal::TooManyOpenings(OPENINGS_PER_PEER_MAX)));
        }
        if unfunded.len() >= UNFUNDED_MAX {
            return Err(refused(OpenRefusal::TooManyUnfunded(UNFUNDED_MAX)));
        }
        if self.openings.contains_key(&(*peer, id)) {
            return Err(refused(OpenRefusal::TemporaryIdTaken(id)));
        }
        let trust = if self.config.zeroconf_peers.contains(peer) {
            Trust::Zeroconf
        } else {
            Trust::Ordinary
        };
        let policy = &self.config.opening;
        let negotiated = self.peers[peer].features.clone();
        let proposal = Proposal::check(message.clone(), *peer, negotiated, trust, policy, turn.context.limits)?;
        let demands = proposal.demands(policy, keys.keys, keys.upfront_shutdown_script.clone());
        let accepted = proposal.accept(self.our_part(demands, &keys), policy);
        let (state, answer) = accepted.map_err(|unchanged| refused(unchanged.why))?;
        let fundee = Box::new(Fundee::AwaitingFundingCreated(Box::new(state)));
        self.openings.insert((*peer, id), Opening::Theirs(fundee));
        self.send(*peer, Outgoing::Message(Box::new(answer.into())), turn);
        Ok(())
    }

    fn accepted_by_peer(&mut self, peer: &NodeId, message: &AcceptChannel, turn: &mut Turn<'_>) -> Result<(), Refused> {
        let id = message.temporary_channel_id;
        let Some(Opening::Ours(funder)) = self.openings.remove(&(*peer, id)) else {
            return Err(unknown(id, "accept_channel"));
        };
        let funding = funder.funding().cloned();
        let (state, wanted) = funder
            .accept_channel(message, &self.config.opening)
            .map_err(|refused| self.opening_refused(id, funding, refused, turn))?;
        let funder = Box::new(Funder::AwaitingFunding(Box::new(state)));
        self.openings.insert((*peer, id), Opening::Ours(funder));
        turn.emit(Effect::FundingWanted {
            peer: *peer,
            temporary_channel_id: id,
            output: wanted.output,
        });
        Ok(())
    }

    fn funded_by_peer(&mut self, peer: &NodeId, message: &FundingCreated, turn: &mut Turn<'_>) -> Result<(), Refused> {
        let id = message.temporary_channel_id;
        let Some(Opening::Theirs(fundee)) = self.openings.remove(&(*peer, id)) else {
            return Err(unknown(id, "funding_created"));
        };
        let context = self.channel_context(turn);
        let opened = fundee.funding_created(message, |id| self.is_channel_id_taken(id), &context)?;
        self.channel_exists(opened, turn);
        Ok(())
    }

    /// Whether a channel has this id, or will have it once its funder, which we are, has the peer's signature. A peer that was told our
    /// funding output could else have a channel of its own take the id first.
    fn is_channel_id_taken(&self, id: &ChannelId) -> bool {
        let is_ours = |opening: &Opening| match opening {
            Opening::Ours(funder) => funder.current_channel_id() == *id,
            Opening::Theirs(_) => false,
        };
        self.channels.contains_key(id) || self.openings.values().any(is_ours)
    }

    fn signed_by_peer(&mut self, peer: &NodeId, message: &FundingSigned, turn: &mut Turn<'_>) -> Result<(), Refused> {
        let id = message.channel_id;
        let is_meant = |key: &&(NodeId, ChannelId), opening: &Opening| {
            key.0 == *peer && matches!(opening, Opening::Ours(funder) if funder.current_channel_id() == id)
        };
        let key = self
            .openings
            .iter()
            .find(|(key, opening)| is_meant(key, opening))
            .map(|(key, _)| *key);
        let Some(Opening::Ours(funder)) = key.and_then(|key| self.openings.remove(&key)) else {
            return Err(unknown(id, "funding_signed"));
        };
        let (temporary, funding) = (funder.temporary_channel_id(), funder.funding().cloned());
        let opened = funder.funding_signed(message, &self.channel_context(turn));
        let opened = opened.map_err(|refused| self.opening_refused(temporary, funding, refused, turn))?;
        self.channel_exists(opened, turn);
        Ok(())
    }

    /// A channel has its first step: what leaves for it waits until that is durable.
    fn channel_exists(&mut self, (channel, reaction): (Box<Channel>, Reaction), turn: &mut Turn<'_>) {
        let id = channel.state().facts.channel_id;
        let replaced = self.channels.insert(id, *channel);
        assert!(replaced.is_none(), "a funding output makes one channel");
        self.monitors.insert(id, Monitored::new(self.tip));
        turn.channels.insert(id);
        turn.pending
            .extend(reaction.consequences.into_iter().map(|consequence| (id, consequence)));
        for effect in reaction.effects {
            self.emit_channel_effect(id, effect, turn);
        }
        let funding = self.channels[&id].state().facts.funding_transaction.as_ref();
        match funding.filter(|funding| funding.is_batch()) {
            None => self.say_ready(id, turn),
            Some(batch) => {
                let there = batch
                    .channels()
                    .iter()
                    .filter(|other| self.channels.contains_key(other));
                let members: Vec<_> = there.copied().collect();
                self.owe_funding(id, turn);
                for member in members {
                    self.say_ready(member, turn);
                }
            }
        }
    }

    fn our_part(&self, demands: SideFacts, keys: &NewChannelKeys) -> OurPart {
        let forwarding = ForwardingPolicy {
            htlc_maximum: MilliSatoshi::MAX_MONEY,
            ..self.config.forwarding
        };
        OurPart {
            demands,
            signer_keys_id: keys.signer_keys_id,
            points: keys.points,
            forwarding,
        }
    }
}

/// Whether a channel waits for a funding transaction that its peer may never broadcast.
fn awaits_their_funding(channel: &Channel) -> bool {
    let state = channel.state();
    // One that its peer failed waits as well: it is given up as late as any other.
    let waits = matches!(state.phase, Phase::AwaitingReady(_) | Phase::ForceClosed(_)) && state.funding.is_none();
    waits && state.facts.opener == Side::Remote
}

fn unknown(channel_id: ChannelId, message: &'static str) -> Refused {
    Refused {
        channel_id,
        why: OpenRefusal::OutOfPlace {
            message,
            awaited: "an opening with this id",
        },
    }
}
