//! What nodes tell each other of their channels (BOLT 7).

use quittance_channel::{Channel, ChannelState, ForwardingPolicy, Link, Phase};
use quittance_manager::{Command, Input};
use quittance_payments::HintHop;
use quittance_primitives::{BlockCount, ChannelId, MilliSatoshi, NodeId};
use quittance_wire::ChannelUpdate;
use secp256k1::SECP256K1;

use super::{NodeIndex, World};

impl World {
    /// A user sets by what its node forwards through a channel.
    pub fn set_policy(&mut self, node: NodeIndex, channel: ChannelId, policy: ForwardingPolicy) {
        self.command(node, Command::SetPolicy(channel, policy));
    }

    /// By what a node forwards through a channel, if it runs and has it.
    pub fn policy(&self, node: NodeIndex, channel: ChannelId) -> Option<ForwardingPolicy> {
        let process = self.nodes[node].process.as_ref()?;
        Some(process.manager.channel(&channel)?.state().policy)
    }

    /// What a node was told by its peer of a channel.
    pub fn heard(&self, node: NodeIndex, channel: ChannelId) -> Option<&ChannelUpdate> {
        self.nodes[node].process.as_ref()?.manager.terms_of_peer(&channel)
    }

    /// The hint that `to` would put into an invoice, by what `from` told it.
    ///
    /// # Panics
    /// When `to` does not run, shares no channel with `from`, or was told nothing.
    pub fn hint_as_told(&self, from: NodeIndex, to: NodeIndex) -> HintHop {
        let channel = self.nodes[to]
            .channel_with(&self.nodes[from].id())
            .expect("they share a channel");
        let told = self.heard(to, channel.state().facts.channel_id);
        let told = told.expect("it was told");
        HintHop {
            node: self.nodes[from].id(),
            short_channel_id: quittance_manager::ChannelManager::name_of(channel),
            fee_base: MilliSatoshi(u64::from(told.fee_base_msat)),
            fee_proportional_millionths: told.fee_proportional_millionths,
            cltv_expiry_delta: told.cltv_expiry_delta.0,
        }
    }

    /// What a node knows of the terms of a peer.
    fn all_heard(&self, node: NodeIndex, peer: &NodeId) -> Vec<(ChannelId, Option<ChannelUpdate>)> {
        let process = self.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels().map(Channel::state));
        let ids = channels
            .filter(|state| state.facts.peer == *peer)
            .map(|state| state.facts.channel_id);
        ids.map(|id| (id, self.heard(node, id).cloned())).collect()
    }

    /// What a peer says of its terms is put before a node, which believes no more of it than it may: what the peer signed, of the peer's own
    /// end, and later than what it said before.
    pub(super) fn put_terms_before(&mut self, node: NodeIndex, peer: &NodeId, input: Input) {
        let before = self.all_heard(node, peer);
        self.input(node, input);
        for (id, known) in before {
            let now = self.heard(node, id);
            let Some(believed) = now.filter(|now| Some(*now) != known.as_ref()) else {
                continue;
            };
            let is_news = known.is_none_or(|known| known.timestamp < believed.timestamp);
            let is_its_own =
                believed.channel_flags & ChannelUpdate::DIRECTION == direction(peer, &self.nodes[node].id());
            if !is_news || !is_its_own || !is_signed(peer, believed) {
                let what = format!("node {node} believes {believed:?} of its peer, which is no news of that end");
                self.checker.found("BOLT 7", what);
            }
        }
    }

    /// A node's terms left it: its own, or those of a channel's other end, which it passes on.
    pub(super) fn update_left(&mut self, node: NodeIndex, to: &NodeId, update: &ChannelUpdate) {
        let name = update.short_channel_id;
        let channels = self.nodes[node]
            .process
            .iter()
            .flat_map(|process| process.manager.channels().map(Channel::state));
        let is_meant =
            |state: &&ChannelState| state.is_at(name) || state.is_named(name) || state.name_at_peer() == Some(name);
        let Some(state) = channels.into_iter().find(is_meant) else {
            return;
        };
        let peer = state.facts.peer;
        let is_for_peer = update.message_flags & ChannelUpdate::DONT_FORWARD != 0;
        // One that is to be public may have been announced while nobody was there to hear of it.
        if *to != peer && (is_for_peer || !state.facts.announce) {
            let what = format!("node {node} tells another than the peer of {name}, which is theirs alone");
            self.checker.found("BOLT 7", what);
        }
        if update.channel_flags & ChannelUpdate::DIRECTION == direction(&self.nodes[node].id(), &peer) {
            self.checker.terms_left(node, update);
            return;
        }
        if !is_signed(&peer, update) {
            self.checker.found(
                "BOLT 7",
                format!("node {node} passes on terms of {name} that nobody signed"),
            );
        }
    }

    /// Whoever shares a channel that is to be known, and deep enough, has announced it to others than its peer, who announces it as well: what
    /// was on its way to the peer alone may be lost with the connection, and is not said again.
    pub(crate) fn judge_announcements(&mut self, node: NodeIndex) {
        let tip = self.tip();
        let Some(process) = self.nodes[node].process.as_ref() else {
            return;
        };
        let mut found = Vec::new();
        for channel in process.manager.channels().filter(|channel| is_usable(channel)) {
            let (state, facts) = (channel.state(), &channel.state().facts);
            let peer = self.nodes[self.index_of(&facts.peer)].process.as_ref();
            let peer = peer.and_then(|process| process.manager.channel(&facts.channel_id));
            let Some(funding) = state.funding.filter(|_| peer.is_some_and(is_usable)) else {
                continue;
            };
            let is_due = facts.announce && funding.height.depth_at(tip) >= BlockCount(6);
            let is_announced = self.checker.has_announced(node, funding.short_channel_id);
            let with = self.index_of(&facts.peer);
            let hears = |other: NodeIndex| other != node && other != with && self.share_a_channel(node, other);
            let has_others = (0..self.nodes.len()).any(hears);
            let is_wrong = if is_due {
                has_others && !is_announced
            } else {
                is_announced && !facts.announce
            };
            if is_wrong {
                let name = funding.short_channel_id;
                found.push(format!(
                    "node {node} announced {name}: {is_announced}, and should have: {is_due}"
                ));
            }
        }
        for what in found {
            self.checker.found("BOLT 7", what);
        }
    }

    /// Whoever can use a channel knows by what its peer forwards through it.
    pub(crate) fn judge_terms(&mut self, node: NodeIndex) {
        let Some(process) = self.nodes[node].process.as_ref() else {
            return;
        };
        let mut found = Vec::new();
        for channel in process.manager.channels().filter(|channel| is_usable(channel)) {
            let (id, other) = (
                channel.state().facts.channel_id,
                self.index_of(&channel.state().facts.peer),
            );
            let peer = self.nodes[other].process.as_ref();
            let peer = peer.and_then(|process| process.manager.channel(&id));
            let Some(peer) = peer.filter(|peer| is_usable(peer)) else {
                continue;
            };
            let goes_by = peer.state().policy;
            let told = process.manager.terms_of_peer(&id);
            let is_told = told.is_some_and(|told| is_said(&goes_by, told));
            let is_excused = [node, other].iter().any(|end| self.checker.excused.contains(end));
            let may_be_missing =
                self.checker.may_have_forgotten_terms(other) || self.checker.may_have_ignored_terms(node);
            if !is_told && !is_excused && !may_be_missing {
                found.push(format!(
                    "node {node} was told {told:?} by {other}, which goes by {goes_by:?}"
                ));
            }
        }
        for what in found {
            self.checker.found("BOLT 7", what);
        }
    }
}

/// The direction in which `from` forwards to `to`.
fn direction(from: &NodeId, to: &NodeId) -> u8 {
    u8::from(from > to) * ChannelUpdate::DIRECTION
}

fn is_signed(node: &NodeId, update: &ChannelUpdate) -> bool {
    let key = node.public_key().expect("nodes of these worlds have keys");
    SECP256K1
        .verify_ecdsa(&update.signature_hash(), &update.signature, &key)
        .is_ok()
}

fn is_usable(channel: &Channel) -> bool {
    channel.state().phase == Phase::Normal && matches!(channel.link(), Link::Up(_))
}

/// Whether an update says this policy, as far as a channel allows it.
fn is_said(policy: &ForwardingPolicy, told: &ChannelUpdate) -> bool {
    let fees = (u64::from(told.fee_base_msat), told.fee_proportional_millionths);
    fees == (policy.fee_base.0, policy.fee_proportional_millionths)
        && told.cltv_expiry_delta == policy.cltv_expiry_delta
        && told.htlc_minimum_msat >= policy.htlc_minimum
        && told.htlc_maximum_msat <= policy.htlc_maximum
}
