//! What we say of our own channels, and hear of them, in the words of BOLT 7. Not the network's graph.
//!
//! Nothing here decides what becomes of money: our fees are the channel's policy, in its log; a peer's are kept for the hints of our
//! invoices. What is kept is a row for each channel, which may be lost: then a peer says it again, and so do we.
//! What is said is derived from the channels whenever one has changed, and compared with what its peer was told on this connection, so
//! that there is no list of messages that are still owed.
//!
//! Start at `terms`.

mod terms;

use std::collections::BTreeMap;

use quittance_channel::ForwardingPolicy;
use quittance_primitives::ChannelId;
use quittance_wire::ChannelUpdate;

pub(crate) use terms::{TERMS_VERSION, Terms};

/// What was said of our channels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gossip {
    /// What both ends of each channel ask for, as they said it last: the rows.
    pub(crate) terms: BTreeMap<ChannelId, Terms>,
    /// What each peer that is connected was told of our terms since it is.
    told: BTreeMap<ChannelId, ChannelUpdate>,
    /// Policies that were replaced a short while ago, and until when payers may still go by them, in milliseconds since 1970.
    replaced: BTreeMap<ChannelId, (ForwardingPolicy, u64)>,
}

impl Gossip {
    /// From the rows.
    pub(crate) fn restore(terms: BTreeMap<ChannelId, Terms>) -> Self {
        Self {
            terms,
            ..Self::default()
        }
    }

    /// The connection of a channel is gone: on the next one its peer is told again.
    pub(crate) fn disconnected(&mut self, channel: &ChannelId) {
        self.told.remove(channel);
    }

    /// A channel is over.
    pub(crate) fn forget(&mut self, channel: &ChannelId) {
        self.terms.remove(channel);
        self.told.remove(channel);
        self.replaced.remove(channel);
    }
}
