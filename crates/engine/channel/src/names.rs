//! The names of a channel (BOLT 2, `channel_ready`): the place of its funding in the chain, and the alias that each side gave it.
//!
//! A side listens to the alias that it gave itself, and says to others the alias that the peer gave. The two are never mixed: a peer could
//! else give its channel the name of another one, and be sent what was meant for that.

use quittance_primitives::{Feature, ShortChannelId};

use crate::ChannelState;

impl ChannelState {
    /// Whether an HTLC whose payer names its next channel so is to leave by this one.
    pub fn is_named(&self, name: ShortChannelId) -> bool {
        self.aliases.local == Some(name) || self.shown_place() == Some(name)
    }

    /// Whether this is the funding's place in the chain: by it the two ends, and their users, may mean the channel also where nobody else does.
    pub fn is_at(&self, place: ShortChannelId) -> bool {
        self.funding.is_some_and(|funding| funding.short_channel_id == place)
    }

    /// By what others name the channel when they want an HTLC to be sent to us through it: what our peer listens to.
    pub fn name_at_peer(&self) -> Option<ShortChannelId> {
        self.aliases.remote.or_else(|| self.shown_place())
    }

    /// The funding's place in the chain, where it may be told.
    fn shown_place(&self) -> Option<ShortChannelId> {
        // BOLT 2: the place of an option_scid_alias channel is neither listened to nor given away in an invoice.
        let is_hidden = self.facts.channel_type.requires(Feature::ScidAlias);
        let place = self.funding.map(|funding| funding.short_channel_id);
        place.filter(|_| !is_hidden)
    }
}
