//! What direct peers tell each other of their channels' terms (BOLT 7): ours are sent once for each connection, theirs are kept for the
//! hints of our invoices. They are held in memory only: peers send them again on every connection.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::constants::ChainHash;
use quittance_channel::{Channel, Link, Phase};
use quittance_net::Outbound;
use quittance_primitives::{MilliSatoshi, NodeId, ShortChannelId};
use quittance_wire::{ChannelUpdate, Excess, Message};
use secp256k1::ecdsa::Signature;

use super::{Driver, now_ms};

/// Terms of peers, and which of ours were told.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// What each peer asks for forwarding to us, by the name that it gives the channel.
    theirs: BTreeMap<NodeId, BTreeMap<ShortChannelId, ChannelUpdate>>,
    told: BTreeMap<NodeId, BTreeSet<ShortChannelId>>,
}

/// How many channels' terms are kept of one peer: more than it has with us.
const TERMS_PER_PEER_MAX: usize = 64;

impl Terms {
    pub(crate) fn connected(&mut self, peer: &NodeId) {
        self.told.remove(peer);
    }

    pub(crate) fn learn(&mut self, peer: NodeId, update: ChannelUpdate) {
        let theirs = self.theirs.entry(peer).or_default();
        let is_newer = theirs
            .get(&update.short_channel_id)
            .is_none_or(|known| known.timestamp <= update.timestamp);
        if is_newer && (theirs.len() < TERMS_PER_PEER_MAX || theirs.contains_key(&update.short_channel_id)) {
            theirs.insert(update.short_channel_id, update);
        }
    }

    /// What the peer of a channel asks for forwarding to us, if it has said so.
    pub(crate) fn of(&self, channel: &Channel) -> Option<&ChannelUpdate> {
        let state = channel.state();
        let theirs = self.theirs.get(&state.facts.peer)?;
        let real = state.funding.map(|funding| funding.short_channel_id);
        let names = [real, state.aliases.local, state.aliases.remote];
        names.into_iter().flatten().find_map(|name| theirs.get(&name))
    }
}

impl Driver {
    /// Tells every connected peer our terms for its channels, once for each connection.
    pub(super) fn tell_terms(&mut self) {
        let mut updates = Vec::new();
        for channel in self.manager.channels() {
            let (state, facts) = (channel.state(), &channel.state().facts);
            let is_usable = matches!(channel.link(), Link::Up(_)) && state.phase == Phase::Normal;
            let real = state.funding.map(|funding| funding.short_channel_id);
            // BOLT 7: a peer knows the channel by the alias that it sent us, or by its place in the chain.
            let Some(name) = state.aliases.remote.or(real) else {
                continue;
            };
            let is_told = self
                .work
                .gossip
                .told
                .get(&facts.peer)
                .is_some_and(|told| told.contains(&name));
            if is_usable && !is_told {
                updates.push((facts.peer, self.our_terms(channel, name)));
            }
        }
        for (peer, mut update) in updates {
            self.signer.sign_channel_update(&mut update);
            self.work
                .gossip
                .told
                .entry(peer)
                .or_default()
                .insert(update.short_channel_id);
            if let Some(line) = self.work.lines.get(&peer) {
                // A connection that is gone is told again on the next one.
                let _ = line.outbox.send(Outbound::from(Message::ChannelUpdate(update)));
            }
        }
    }

    fn our_terms(&self, channel: &Channel, name: ShortChannelId) -> ChannelUpdate {
        let (policy, facts) = (&channel.state().policy, &channel.state().facts);
        let direction = u8::from(self.signer.node_id() > facts.peer);
        let timestamp = u32::try_from(now_ms() / 1_000).unwrap_or(u32::MAX);
        let capacity = MilliSatoshi::from_sat(facts.capacity);
        let in_flight = facts.sides.remote.max_htlc_value_in_flight;
        ChannelUpdate {
            signature: unsigned(),
            chain_hash: self.chain_hash(),
            short_channel_id: name,
            timestamp,
            message_flags: ChannelUpdate::MUST_BE_ONE | ChannelUpdate::DONT_FORWARD,
            channel_flags: direction * ChannelUpdate::DIRECTION,
            cltv_expiry_delta: policy.cltv_expiry_delta,
            htlc_minimum_msat: policy.htlc_minimum.max(facts.sides.remote.htlc_minimum),
            fee_base_msat: u32::try_from(policy.fee_base.0).unwrap_or(u32::MAX),
            fee_proportional_millionths: policy.fee_proportional_millionths,
            htlc_maximum_msat: policy.htlc_maximum.min(capacity).min(in_flight),
            excess: Excess::default(),
        }
    }

    const fn chain_hash(&self) -> ChainHash {
        self.chain_hash
    }
}

/// A place for a signature, which is no signature of anything.
fn unsigned() -> Signature {
    Signature::from_compact(&[1; 64]).expect("two small scalars are a signature's form")
}
