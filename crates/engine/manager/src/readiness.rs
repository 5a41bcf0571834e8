//! When a channel is ready to be used, and the alias that it gets then (BOLT 2, `channel_ready`): an opener that is trusted does not wait for
//! a block, and what has no place in the chain yet needs another name. The alias stands in the channel's log with the message that
//! gives it, so that it is the same ever after.

use quittance_channel::{Channel, Link};
use quittance_primitives::{ChannelId, Feature, ShortChannelId};

use crate::manager::ChannelManager;
use crate::turn::Turn;

impl ChannelManager {
    /// Sends `channel_ready` for a channel whose funding is as deep as it must be, if that was not done yet.
    pub(crate) fn say_ready(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        let (channel, tip) = (&self.channels[&id], self.tip.height);
        let Some(plain) = channel.decide_ready(tip, None) else {
            return;
        };
        if self.lacks_its_batch(channel) {
            return;
        }
        let alias = wants_alias(channel).then(|| self.fresh_alias(turn));
        let named = alias.and_then(|alias| channel.decide_ready(tip, Some(alias)));
        #[cfg(feature = "mutants")]
        let named = named.map(|named| quittance_channel::Decision {
            steps: if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::AliasNotLogged) {
                plain.steps.clone()
            } else {
                named.steps
            },
            ..named
        });
        self.adopt(id, named.unwrap_or(plain), turn);
    }

    /// Whether a channel that needs no block is to be funded with others, of which one is still missing: it may yet be given up.
    fn lacks_its_batch(&self, channel: &Channel) -> bool {
        let state = channel.state();
        let is_ours = state.facts.funding_transaction.is_some() && state.funding.is_none();
        let is_known = |other: &ChannelId| self.channels.contains_key(other);
        is_ours && state.funding_to_broadcast(is_known).is_none()
    }

    /// A name that says nothing of where the channel's funding stands, and that no other channel of ours has.
    fn fresh_alias(&self, turn: &mut Turn<'_>) -> ShortChannelId {
        loop {
            let drawn = turn.draw();
            let first = drawn.first_chunk().expect("32 bytes begin with 8");
            let alias = ShortChannelId(u64::from_be_bytes(*first));
            let is_intercepted = self.config.forwards.intercept.contains(&alias);
            if self.channel_named(alias).is_none() && !is_intercepted {
                return alias;
            }
        }
    }
}

/// BOLT 2: whoever negotiated `option_scid_alias` gives every channel an alias; `option_zeroconf` needs it.
fn wants_alias(channel: &Channel) -> bool {
    let channel_type = &channel.state().facts.channel_type;
    let is_negotiated = match channel.link() {
        Link::Up(session) => session.features.supports(Feature::ScidAlias),
        Link::Down | Link::AwaitingReestablish(_) => false,
    };
    is_negotiated || channel_type.requires(Feature::ScidAlias) || channel_type.requires(Feature::Zeroconf)
}
