//! `announcement_signatures` and `channel_announcement`: a channel that both ends want to be known is made known, once its place in the
//! chain does not change any more.
//!
//! The peer's half of the signatures stands in the channel's log. Ours is made again whenever it is wanted: the same words give the same
//! signature. On each connection our half is sent once at most for each place, so that two nodes never answer each other for ever, and
//! a channel that a reorganisation has moved is announced anew.

use quittance_channel::{Channel, Link, Phase, Step};
use quittance_journal::mark;
use quittance_primitives::{BlockCount, ChannelId, NodeId};
use quittance_transactions::VerificationJob;
use quittance_wire::{AnnouncementSignatures, ChannelAnnouncement, Excess, FeatureBytes};

use crate::api::{AnnouncementEnd, AnnouncementToSign, GossipToSign, Outgoing};
use crate::gossip::terms::Audience;
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// BOLT 7: no channel is announced before its funding is so deep.
const ANNOUNCE_DEPTH: BlockCount = BlockCount(6);

impl ChannelManager {
    /// The peer's `announcement_signatures`.
    pub(crate) fn hear_signatures(&mut self, peer: &NodeId, message: &AnnouncementSignatures, turn: &mut Turn<'_>) {
        let id = message.channel_id;
        let channel = self.channels.get(&id);
        let Some(channel) = channel.filter(|channel| channel.state().facts.peer == *peer) else {
            return;
        };
        let is_awaited = is_in_use(channel) && channel.state().facts.announce;
        let Some(to_sign) = self.announcement_of(channel).filter(|_| is_awaited) else {
            // Its peer sends it again when we are as far.
            mark!("gossip: a half of an announcement that is not awaited");
            return;
        };
        let (node, bitcoin) = (message.node_signature, message.bitcoin_signature);
        let is_same_name = to_sign.announcement.short_channel_id == message.short_channel_id;
        if !is_same_name || !is_signed_by_peer(channel, &to_sign, (node, bitcoin), turn) {
            mark!("gossip: a half of an announcement that does not fit");
            let text = "announcement_signatures does not sign the announcement of this channel";
            self.warn(*peer, id, text, turn);
            return;
        }
        // A half that fits is kept; another one that fits as well says nothing new.
        if !self.has_both_halves(id, turn) {
            mark!("gossip: the peer's half of an announcement is kept");
            let decision = quittance_channel::Decision::step(Step::AnnouncementSigned { node, bitcoin });
            self.adopt(id, decision, turn);
        }
        self.gossip.signatures_wanted.insert(id);
        self.exchange_signatures(id, turn);
    }

    /// New blocks came: channels may be deep enough now.
    pub(crate) fn announce_deep_channels(&mut self, turn: &mut Turn<'_>) {
        let waiting = self.channels.iter().filter(|(id, channel)| {
            channel.state().facts.announce && !self.gossip.published.contains_key(*id) && is_in_use(channel)
        });
        let waiting: Vec<_> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.tell_of_channel(id, turn);
        }
    }

    /// Tells whoever is to hear of it what is new about a channel.
    pub(crate) fn tell_of_channel(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        self.exchange_signatures(id, turn);
        let audience = self.publish(id, turn);
        self.tell_terms(id, audience, turn);
        if audience == Audience::NewEveryone {
            self.publish_node(turn);
            self.gossip.relay.note_our_node(turn.context.now_ms);
        }
    }

    /// Announces a channel to every peer that is connected, once in the life of this process. Who may know it.
    fn publish(&mut self, id: ChannelId, turn: &mut Turn<'_>) -> Audience {
        if !self.is_announced(id, turn) {
            self.gossip.published.remove(&id);
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::PrivateTermsTold) {
                return Audience::Everyone;
            }
            return Audience::Peer;
        }
        let channel = &self.channels[&id];
        let known = self.gossip.published.get(&id);
        let Some(whole) = self.whole_announcement(channel) else {
            return Audience::Peer;
        };
        let name = whole.announcement.short_channel_id;
        if known == Some(&name) {
            return Audience::Everyone;
        }
        if channel.state().phase != Phase::Normal {
            // It is about to be gone: whoever has not heard of it need not.
            return Audience::Peer;
        }
        mark!("gossip: a channel is announced");
        self.gossip.published.insert(id, name);
        let (other, now_ms) = (channel.state().facts.peer, turn.context.now_ms);
        self.gossip.relay.note_terms(id, now_ms);
        self.gossip.relay.note_node(other, now_ms);
        for peer in self.peers.keys() {
            let whole = GossipToSign::Announcement(Box::new(whole.clone()));
            self.send(*peer, Outgoing::Gossip(Box::new(whole)), turn);
        }
        Audience::NewEveryone
    }

    /// Sends our half of an announcement: BOLT 7 wants it on each connection until the peer's half is here, and as an answer to it.
    pub(crate) fn exchange_signatures(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let channel = &self.channels[&id];
        if !channel.state().facts.announce || !is_in_use(channel) || !self.is_deep(channel) {
            return;
        }
        let is_wanted = self.gossip.signatures_wanted.contains(&id) || !self.has_both_halves(id, turn);
        if !is_wanted {
            return;
        }
        let channel = &self.channels[&id];
        let (peer, to_sign) = (channel.state().facts.peer, self.announcement_of(channel));
        if let Some(to_sign) = to_sign {
            let name = to_sign.announcement.short_channel_id;
            if self.gossip.signatures_sent.insert(id, name) == Some(name) {
                return;
            }
            mark!("gossip: our half of an announcement");
            let half = GossipToSign::Signatures(Box::new(to_sign));
            self.send(peer, Outgoing::Gossip(Box::new(half)), turn);
        }
    }

    /// Whether a channel is announced: both halves of the signatures are here, and fit its place in the chain.
    pub(crate) fn is_announced(&mut self, id: ChannelId, turn: &Turn<'_>) -> bool {
        self.is_deep(&self.channels[&id]) && self.has_both_halves(id, turn)
    }

    /// The whole announcement of a channel that is announced, but for our half of the signatures.
    pub(crate) fn whole_announcement(&self, channel: &Channel) -> Option<AnnouncementToSign> {
        let mut to_sign = self.announcement_of(channel)?;
        let (node, bitcoin) = channel.state().announcement?;
        let announcement = &mut to_sign.announcement;
        match to_sign.ours {
            AnnouncementEnd::First => {
                (announcement.node_signature_2, announcement.bitcoin_signature_2) = (node, bitcoin);
            }
            AnnouncementEnd::Second => {
                (announcement.node_signature_1, announcement.bitcoin_signature_1) = (node, bitcoin);
            }
        }
        Some(to_sign)
    }

    fn is_deep(&self, channel: &Channel) -> bool {
        let funding = channel.state().funding;
        funding.is_some_and(|funding| funding.height.depth_at(self.tip.height) >= ANNOUNCE_DEPTH)
    }

    /// Whether the peer's half fits the place where the channel stands. A reorganisation may have moved it since it was signed.
    fn has_both_halves(&mut self, id: ChannelId, turn: &Turn<'_>) -> bool {
        let channel = &self.channels[&id];
        let (Some(halves), Some(to_sign)) = (channel.state().announcement, self.announcement_of(channel)) else {
            return false;
        };
        let name = to_sign.announcement.short_channel_id;
        if self.gossip.signed_for.get(&id) == Some(&name) {
            return true;
        }
        let fits = is_signed_by_peer(channel, &to_sign, halves, turn);
        if fits {
            self.gossip.signed_for.insert(id, name);
        } else {
            mark!("gossip: a channel has moved since its peer signed its announcement");
        }
        fits
    }

    /// The announcement of a channel without any signature. Nothing for one that is to stay unknown, or stands nowhere yet.
    fn announcement_of(&self, channel: &Channel) -> Option<AnnouncementToSign> {
        let (state, facts) = (channel.state(), &channel.state().facts);
        let (funding, us) = (state.funding.filter(|_| facts.announce)?, self.config.node_id);
        let [ours, theirs] = [&facts.sides.local, &facts.sides.remote].map(|side| side.keys.funding);
        let (end, nodes, keys) = if us < facts.peer {
            (AnnouncementEnd::First, [us, facts.peer], [ours, theirs])
        } else {
            (AnnouncementEnd::Second, [facts.peer, us], [theirs, ours])
        };
        let unsigned = GossipToSign::unsigned();
        let announcement = ChannelAnnouncement {
            node_signature_1: unsigned,
            node_signature_2: unsigned,
            bitcoin_signature_1: unsigned,
            bitcoin_signature_2: unsigned,
            features: FeatureBytes::default(),
            chain_hash: self.config.opening.chain_hash,
            short_channel_id: funding.short_channel_id,
            node_id_1: nodes[0],
            node_id_2: nodes[1],
            bitcoin_key_1: keys[0],
            bitcoin_key_2: keys[1],
            excess: Excess::default(),
        };
        Some(AnnouncementToSign {
            channel_id: facts.channel_id,
            signer_keys_id: facts.signer_keys_id,
            ours: end,
            announcement,
        })
    }
}

/// BOLT 7: `announcement_signatures` waits for both `channel_ready`, and does not follow a `shutdown`.
fn is_in_use(channel: &Channel) -> bool {
    matches!(channel.link(), Link::Up(_)) && channel.state().phase == Phase::Normal
}

fn is_signed_by_peer(
    channel: &Channel,
    to_sign: &AnnouncementToSign,
    (node, bitcoin): (secp256k1::ecdsa::Signature, secp256k1::ecdsa::Signature),
    turn: &Turn<'_>,
) -> bool {
    let facts = &channel.state().facts;
    let Ok(node_key) = facts.peer.public_key() else {
        return false;
    };
    let message = to_sign.announcement.signature_hash();
    let jobs = [(node, node_key), (bitcoin, facts.sides.remote.keys.funding)];
    let jobs = jobs.map(|(signature, public_key)| VerificationJob {
        message,
        signature,
        public_key,
    });
    turn.context.verifier.first_invalid(&jobs).is_none()
}
