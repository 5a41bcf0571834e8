//! `channel_update`: what either end of a channel of ours asks for forwarding through it.

use quittance_channel::{Channel, ForwardingPolicy, Link, Phase};
use quittance_journal::{Key, mark};
use quittance_payments::forward::{self, Forwarding};
use quittance_primitives::{ChannelId, MilliSatoshi, NodeId, ShortChannelId};
use quittance_records::{Record, record};
use quittance_transactions::VerificationJob;
use quittance_wire::{ChannelUpdate, Excess};
use secp256k1::ecdsa::Signature;

use super::hearing::Hearing;
use crate::api::{GossipToSign, Outgoing, Response};
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// The newest version of the record format of a channel's terms.
pub(crate) const TERMS_VERSION: u16 = 1;

/// What both ends of a channel ask for, as they said it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Ours, still to be signed: signing the same again gives the same message.
    pub(crate) ours: Option<ChannelUpdate>,
    /// The peer's, with its signature.
    pub(crate) theirs: Option<ChannelUpdate>,
}

record!(Terms { ours, theirs });

/// BOLT 7: payers that have not heard of new terms go by the old ones for ten minutes.
const OLD_POLICY_MS: u64 = 10 * 60 * 1_000;
/// BOLT 7: who says nothing for two weeks is forgotten, so the same is said again after one.
const RENEWAL_S: u32 = 7 * 24 * 60 * 60;
/// A peer that is away for so long may stay away: its channel is said to be unusable.
const AWAY_MS: u64 = 20 * 60 * 1_000;
/// How far a peer's clock may be ahead of ours: a time far in the future would shut out all that the peer says after it.
const CLOCKS_APART_S: u32 = 24 * 60 * 60;

/// Who is told of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Its peer: nobody else may know it.
    Peer,
    /// Every peer that is connected, since it is announced.
    Everyone,
    /// The same, and none of them knows anything of it yet.
    NewEveryone,
}

impl ChannelManager {
    /// What the peer of a channel asks for forwarding through it to us, if it has said so.
    pub fn terms_of_peer(&self, channel: &ChannelId) -> Option<&ChannelUpdate> {
        self.gossip.terms.get(channel)?.theirs.as_ref()
    }

    /// Sets by what we forward through a channel. Its peer is told at once, or when it is there again.
    pub(crate) fn set_policy(&mut self, id: ChannelId, policy: ForwardingPolicy, turn: &mut Turn<'_>) -> Response {
        let Some(channel) = self.channels.get(&id) else {
            return Response::UnknownChannel(id);
        };
        let replaced = channel.state().policy;
        match channel.decide_policy(policy) {
            Err(refusal) => return Response::ChannelRefused(id, refusal),
            Ok(decision) if decision.steps.is_empty() => {}
            Ok(decision) => {
                self.adopt(id, decision, turn);
                let until = turn.context.now_ms.saturating_add(OLD_POLICY_MS);
                self.gossip.replaced.insert(id, (replaced, until));
            }
        }
        Response::Done
    }

    /// Whether an HTLC may be sent on through `next`: by our policy, or by the one that it replaced a short while ago.
    pub(crate) fn judge_forward(
        &self,
        next: ChannelId,
        forwarding: &Forwarding,
        turn: &Turn<'_>,
    ) -> Result<(), quittance_onion::Failure> {
        let height = self.tip.height;
        let judged = forward::judge(forwarding, &self.channels[&next].state().policy, height);
        let replaced = self.gossip.replaced.get(&next);
        let replaced = replaced.filter(|(_, until)| turn.context.now_ms < *until);
        judged.or_else(|failure| {
            let (policy, _) = replaced.ok_or_else(|| failure.clone())?;
            forward::judge(forwarding, policy, height).map_err(|_| failure)?;
            mark!("gossip: a payer goes by terms that were replaced a short while ago");
            Ok(())
        })
    }

    /// Tells of the channels that this step touched what is new about them.
    pub(crate) fn tell_gossip(&mut self, turn: &mut Turn<'_>) {
        for id in turn.channels.clone() {
            self.tell_of_channel(id, turn);
        }
    }

    /// Says again what was said a week ago, says of channels whose peers stay away that they cannot be used, and forgets policies that
    /// nobody goes by any more.
    pub(crate) fn renew_terms(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.context.now_ms;
        self.gossip.replaced.retain(|_, (_, until)| now_ms < *until);
        let is_old = |update: &ChannelUpdate| seconds(now_ms).saturating_sub(update.timestamp) >= RENEWAL_S;
        let ours = |id: &ChannelId| self.gossip.terms.get(id).and_then(|terms| terms.ours.as_ref());
        let old = self
            .gossip
            .told
            .iter()
            .filter(|(_, told)| is_old(told))
            .map(|(id, _)| *id);
        let is_said = |id: &ChannelId| ours(id).is_none_or(|said| said.channel_flags & ChannelUpdate::DISABLE != 0);
        let away = self.gossip.away.iter();
        let away = away.filter(|(id, since)| now_ms.saturating_sub(**since) >= AWAY_MS && !is_said(id));
        let due: Vec<_> = old.chain(away.map(|(id, _)| *id)).collect();
        for id in due {
            mark!("gossip: terms are renewed, or a channel is said to be unusable");
            self.tell_of_channel(id, turn);
        }
    }

    /// Sends our terms to whoever is to hear them: the peer once for each connection, everyone when the channel is announced and they are
    /// new, or the channel is.
    pub(crate) fn tell_terms(&mut self, id: ChannelId, audience: Audience, turn: &mut Turn<'_>) {
        let channel = &self.channels[&id];
        let (peer, is_connected) = (channel.state().facts.peer, matches!(channel.link(), Link::Up(_)));
        let is_usable = is_connected && channel.state().phase == Phase::Normal;
        if is_usable {
            self.gossip.away.remove(&id);
        }
        if !is_usable && audience == Audience::Peer {
            return;
        }
        let Some(update) = self.our_terms(&self.channels[&id], audience, turn) else {
            return;
        };
        let row = self.gossip.terms.entry(id).or_default();
        let said = row.ours.as_ref();
        let said = said.map(|said| (said.timestamp, is_same_but_for_time(said, &update)));
        let timestamp = dated(said, seconds(turn.context.now_ms));
        let update = ChannelUpdate { timestamp, ..update };
        let is_new = row.ours.as_ref() != Some(&update);
        if is_new {
            row.ours = Some(update.clone());
            let changes = turn.step.changes_mut();
            changes.put(Key::Terms(id), TERMS_VERSION, &row.to_bytes());
        }
        let outgoing = |update: &ChannelUpdate| Outgoing::Gossip(Box::new(GossipToSign::Update(update.clone())));
        if is_connected && self.gossip.told.get(&id) != Some(&update) {
            mark!("gossip: a peer is told our terms");
            self.send(peer, outgoing(&update), turn);
            self.gossip.told.insert(id, update.clone());
        }
        if audience == Audience::NewEveryone || is_new && audience == Audience::Everyone {
            mark!("gossip: everyone is told our terms");
            for other in self.peers.keys().filter(|other| **other != peer) {
                self.send(*other, outgoing(&update), turn);
            }
        }
    }

    /// Our terms for a channel, without time and signature. Nothing for one that has no name yet.
    fn our_terms(&self, channel: &Channel, audience: Audience, turn: &Turn<'_>) -> Option<ChannelUpdate> {
        let (state, facts) = (channel.state(), &channel.state().facts);
        let (policy, theirs) = (&state.policy, &facts.sides.remote);
        let direction = u8::from(self.config.node_id > facts.peer);
        let capacity = MilliSatoshi::from_sat(facts.capacity);
        let (name, forwarded, usable) = match audience {
            // BOLT 7: to the peer by the alias that it gave us, and for the peer alone.
            Audience::Peer => (Self::name_of(channel), ChannelUpdate::DONT_FORWARD, 0),
            Audience::Everyone | Audience::NewEveryone => {
                let away = self.gossip.away.get(&facts.channel_id);
                let is_away = away.is_some_and(|since| turn.context.now_ms.saturating_sub(*since) >= AWAY_MS);
                let disabled = u8::from(is_away || state.phase != Phase::Normal);
                (state.funding?.short_channel_id, 0, disabled * ChannelUpdate::DISABLE)
            }
        };
        (name != ShortChannelId::default()).then(|| ChannelUpdate {
            signature: GossipToSign::unsigned(),
            chain_hash: self.config.opening.chain_hash,
            short_channel_id: name,
            timestamp: 0,
            message_flags: ChannelUpdate::MUST_BE_ONE | forwarded,
            channel_flags: (direction * ChannelUpdate::DIRECTION) | usable,
            cltv_expiry_delta: policy.cltv_expiry_delta,
            htlc_minimum_msat: policy.htlc_minimum.max(theirs.htlc_minimum),
            fee_base_msat: u32::try_from(policy.fee_base.0).unwrap_or(u32::MAX),
            fee_proportional_millionths: policy.fee_proportional_millionths,
            htlc_maximum_msat: policy.htlc_maximum.min(capacity).min(theirs.max_htlc_value_in_flight),
            excess: Excess::default(),
        })
    }

    /// A peer's `channel_update`. Kept if it is the peer's own word on a channel with us, and newer than what it said before; not more often than
    /// [`Hearing`] allows.
    pub(crate) fn hear_update(&mut self, peer: &NodeId, update: &ChannelUpdate, turn: &mut Turn<'_>) {
        let Some(id) = self.channel_meant(peer, update.short_channel_id) else {
            return;
        };
        let direction = u8::from(*peer > self.config.node_id) * ChannelUpdate::DIRECTION;
        let is_its_own = update.channel_flags & ChannelUpdate::DIRECTION == direction;
        let is_of_our_chain = update.chain_hash == self.config.opening.chain_hash;
        let waiting = self.gossip.updates.get(&id).and_then(Hearing::waiting);
        let mut known = self.terms_of_peer(&id).into_iter().chain(waiting);
        let is_news = known.all(|known| update.timestamp > known.timestamp);
        if !is_its_own || !is_of_our_chain || !is_news || is_too_far_ahead(update.timestamp, turn) {
            mark!("gossip: an update that is not the peer's word, or no news");
            return;
        }
        let hearing = self.gossip.updates.entry(id).or_default();
        match hearing.now_or_later(update.clone(), turn.context.now_ms) {
            Some(update) => self.keep_update(id, update, turn),
            None => mark!("gossip: a peer changes its terms faster than they are listened to"),
        }
    }

    /// Keeps the peers' updates that have waited until there was time for them.
    pub(super) fn keep_waiting_updates(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.context.now_ms;
        let updates = self.gossip.updates.iter_mut();
        let due: Vec<_> = updates
            .filter_map(|(id, hearing)| Some((*id, hearing.due(now_ms)?)))
            .collect();
        for (id, update) in due {
            mark!("gossip: the last of too many updates is heard");
            self.keep_update(id, update, turn);
        }
    }

    /// Keeps a peer's update, if it is signed by the peer.
    fn keep_update(&mut self, id: ChannelId, update: ChannelUpdate, turn: &mut Turn<'_>) {
        let Some(peer) = self.channels.get(&id).map(|channel| channel.state().facts.peer) else {
            return;
        };
        let is_its_word = is_signed(&peer, update.signature_hash(), update.signature, turn);
        #[cfg(feature = "mutants")]
        let is_its_word =
            is_its_word || quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::UnsignedTermsBelieved);
        if !is_its_word {
            mark!("gossip: an update with a bad signature");
            // BOLT 7 would have the connection closed; it is worth more than this mistake is bad.
            self.warn(peer, id, "the signature of channel_update is invalid", turn);
            return;
        }
        mark!("gossip: a peer's terms are kept");
        if is_public(&update) {
            self.gossip.relay.note_terms(id, turn.context.now_ms);
        }
        let row = self.gossip.terms.entry(id).or_default();
        row.theirs = Some(update);
        turn.step
            .changes_mut()
            .put(Key::Terms(id), TERMS_VERSION, &row.to_bytes());
    }

    /// The channel with `peer` that the peer calls so: by the alias that we gave it or, whatever others may call it, by its place (BOLT 7).
    fn channel_meant(&self, peer: &NodeId, name: ShortChannelId) -> Option<ChannelId> {
        let mut states = self.channels.values().map(Channel::state);
        let meant = states.find(|state| state.facts.peer == *peer && (state.is_named(name) || state.is_at(name)))?;
        Some(meant.facts.channel_id)
    }
}

fn is_same_but_for_time(one: &ChannelUpdate, other: &ChannelUpdate) -> bool {
    let timed = ChannelUpdate {
        timestamp: one.timestamp,
        ..other.clone()
    };
    *one == timed
}

/// The time under which words are said. `said` is when words were said last, and whether they are the same. What did not change is said in the
/// same words for a week, so that nobody has to keep it twice; anything else later than all before, whatever our clock says (BOLT 7).
pub(super) fn dated(said: Option<(u32, bool)>, now: u32) -> u32 {
    match said {
        Some((at, true)) if now.saturating_sub(at) < RENEWAL_S => at,
        Some((at, _)) => now.max(at.saturating_add(1)),
        None => now.max(1),
    }
}

/// Whether terms are for everybody.
pub(super) const fn is_public(update: &ChannelUpdate) -> bool {
    update.message_flags & ChannelUpdate::DONT_FORWARD == 0
}

/// Whether a node signed this.
pub(super) fn is_signed(node: &NodeId, message: secp256k1::Message, signature: Signature, turn: &Turn<'_>) -> bool {
    node.public_key().is_ok_and(|public_key| {
        let job = VerificationJob {
            message,
            signature,
            public_key,
        };
        turn.context.verifier.first_invalid(&[job]).is_none()
    })
}

/// Whether words are of a time to come, which no difference of clocks explains.
pub(super) fn is_too_far_ahead(timestamp: u32, turn: &Turn<'_>) -> bool {
    timestamp > seconds(turn.context.now_ms).saturating_add(CLOCKS_APART_S)
}

pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::constants::ChainHash;
    use quittance_primitives::CltvExpiryDelta;

    #[test]
    fn rows_of_version_1_are_read() {
        let ours = ChannelUpdate {
            signature: GossipToSign::unsigned(),
            chain_hash: ChainHash::from([0x42; 32]),
            short_channel_id: ShortChannelId(0x0102_0304_0506_0708),
            timestamp: 0x6000_0001,
            message_flags: 3,
            channel_flags: 1,
            cltv_expiry_delta: CltvExpiryDelta(72),
            htlc_minimum_msat: MilliSatoshi(5),
            fee_base_msat: 1_000,
            fee_proportional_millionths: 100,
            htlc_maximum_msat: MilliSatoshi(0x0a00),
            excess: Excess(vec![0xee]),
        };
        let mut stored = vec![1, 0x89, 1];
        stored.extend([1; 64]);
        stored.extend([0x42; 32]);
        stored.extend([1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0, 0, 1, 3, 1, 0, 72]);
        stored.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 3, 0xe8, 0, 0, 0, 100]);
        stored.extend([0, 0, 0, 0, 0, 0, 0x0a, 0, 0xee, 0]);
        let terms = Terms {
            ours: Some(ours),
            theirs: None,
        };
        assert_eq!(Terms::from_bytes(&stored), Ok(terms.clone()));
        assert_eq!(terms.to_bytes(), stored);
        let cut = Terms::from_bytes(&stored[..40]);
        assert_eq!(cut, Err(quittance_records::BadRecord::Short("bytes")));
    }
}
