//! The side to which a channel is opened.
//!
//! [`Proposal::check`] judges `open_channel`; if we want the channel, [`Proposal::accept`] makes `accept_channel`; the peer's
//! `funding_created` leads to a channel and `funding_signed`. [`Fundee`] is either state, for whoever keeps openings by their
//! temporary id.

mod awaiting_funding_created;
mod proposal;

use quittance_primitives::ChannelId;
use quittance_wire::FundingCreated;

pub use awaiting_funding_created::AwaitingFundingCreated;
pub use proposal::{Proposal, Trust};

use super::{OpenRefusal, Refused};
use crate::{Channel, Context, Reaction};

/// An opening of the peer's, in whatever state it is. A lost connection forgets it (BOLT 2): drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fundee {
    /// Waits for our decision.
    Proposal(Box<Proposal>),
    /// Waits for `funding_created`.
    AwaitingFundingCreated(Box<AwaitingFundingCreated>),
}

impl Fundee {
    /// The id by which both sides know the opening.
    pub fn temporary_channel_id(&self) -> ChannelId {
        match self {
            Self::Proposal(state) => state.temporary_channel_id(),
            Self::AwaitingFundingCreated(state) => state.temporary_channel_id(),
        }
    }

    /// The peer's `funding_created`: there is a channel, and `funding_signed`, which waits for its first step to be durable.
    /// `is_taken` says whether a channel of ours has an id already.
    ///
    /// # Errors
    /// [`Refused`] when its signature is invalid, its funding output is another channel's, or nothing was accepted. The opening
    /// is over.
    pub fn funding_created(
        self,
        message: &FundingCreated,
        is_taken: impl FnOnce(&ChannelId) -> bool,
        context: &Context<'_>,
    ) -> Result<(Box<Channel>, Reaction), Refused> {
        match self {
            Self::AwaitingFundingCreated(state) => state.funding_created(message, is_taken, context),
            Self::Proposal(state) => Err(Refused {
                channel_id: state.temporary_channel_id(),
                why: OpenRefusal::OutOfPlace {
                    message: "funding_created",
                    awaited: "our accept_channel",
                },
            }),
        }
    }
}
