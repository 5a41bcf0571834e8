//! The side that opens a channel and funds it.
//!
//! [`AwaitingAccept::propose`] makes `open_channel`; the peer's `accept_channel` leads to [`AwaitingFunding`], and to a wish to
//! the wallet; the wallet's transaction to [`AwaitingFundingSigned`] and `funding_created`; the peer's `funding_signed` to a
//! channel. [`Funder`] is any of the three, for whoever keeps openings by their temporary id.

mod awaiting_accept;
mod awaiting_funding;
mod awaiting_funding_signed;
mod open_request;

use quittance_primitives::ChannelId;
use quittance_wire::{AcceptChannel, FundingSigned};

pub use awaiting_accept::AwaitingAccept;
pub use awaiting_funding::{AwaitingFunding, FundingWanted};
pub use awaiting_funding_signed::AwaitingFundingSigned;
pub use open_request::OpenRequest;

use super::{FundingTransaction, OpenRefusal, OpeningPolicy, Refused};
use crate::{Channel, Context, Reaction};

/// An opening of ours, in whatever state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Funder {
    /// Waits for `accept_channel`.
    AwaitingAccept(Box<AwaitingAccept>),
    /// Waits for our wallet.
    AwaitingFunding(Box<AwaitingFunding>),
    /// Waits for `funding_signed`.
    AwaitingFundingSigned(Box<AwaitingFundingSigned>),
}

/// What is left of an opening that was given up: nothing that has to be durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The opening.
    pub temporary_channel_id: ChannelId,
    /// The transaction that will not be broadcast: its inputs are the wallet's again. Other channels of the same batch have
    /// to be given up too.
    pub funding: Option<FundingTransaction>,
}

impl Funder {
    /// The id by which both sides know the opening before `funding_created`.
    pub fn temporary_channel_id(&self) -> ChannelId {
        match self {
            Self::AwaitingAccept(state) => state.temporary_channel_id(),
            Self::AwaitingFunding(state) => state.temporary_channel_id(),
            Self::AwaitingFundingSigned(state) => state.temporary_channel_id(),
        }
    }

    /// The id by which the peer names the opening now; `error` has to use it too (BOLT 1).
    pub fn current_channel_id(&self) -> ChannelId {
        match self {
            Self::AwaitingAccept(state) => state.temporary_channel_id(),
            Self::AwaitingFunding(state) => state.temporary_channel_id(),
            Self::AwaitingFundingSigned(state) => state.channel_id(),
        }
    }

    /// The transaction that funds it, once the wallet has made it.
    pub const fn funding(&self) -> Option<&FundingTransaction> {
        match self {
            Self::AwaitingAccept(_) | Self::AwaitingFunding(_) => None,
            Self::AwaitingFundingSigned(state) => Some(state.funding()),
        }
    }

    /// The peer's `accept_channel`: from here on we wait for our wallet.
    ///
    /// # Errors
    /// [`Refused`] when its terms are not acceptable, or nothing was proposed. The opening is over.
    pub fn accept_channel(
        self,
        message: &AcceptChannel,
        policy: &OpeningPolicy,
    ) -> Result<(AwaitingFunding, FundingWanted), Refused> {
        match self {
            Self::AwaitingAccept(state) => state.accept_channel(message, policy),
            Self::AwaitingFunding(_) | Self::AwaitingFundingSigned(_) => Err(self.out_of_place("accept_channel")),
        }
    }

    /// The peer's `funding_signed`: there is a channel, and the effects that wait for its first step to be durable.
    ///
    /// # Errors
    /// [`Refused`] when its signature is invalid, or nothing was signed. The opening is over.
    pub fn funding_signed(
        self,
        message: &FundingSigned,
        context: &Context<'_>,
    ) -> Result<(Box<Channel>, Reaction), Refused> {
        match self {
            Self::AwaitingFundingSigned(state) => state.funding_signed(message, context),
            Self::AwaitingAccept(_) | Self::AwaitingFunding(_) => Err(self.out_of_place("funding_signed")),
        }
    }

    /// The connection is lost, or the peer sent `error`, or we changed our mind: the opening is forgotten (BOLT 2).
    pub fn forget(self) -> Forgotten {
        let temporary_channel_id = self.temporary_channel_id();
        let funding = match self {
            Self::AwaitingAccept(_) | Self::AwaitingFunding(_) => None,
            Self::AwaitingFundingSigned(state) => Some(state.into_funding()),
        };
        Forgotten {
            temporary_channel_id,
            funding,
        }
    }

    fn out_of_place(&self, message: &'static str) -> Refused {
        let awaited = match self {
            Self::AwaitingAccept(_) => "accept_channel",
            Self::AwaitingFunding(_) => "its funding transaction",
            Self::AwaitingFundingSigned(_) => "funding_signed",
        };
        Refused {
            channel_id: self.current_channel_id(),
            why: OpenRefusal::OutOfPlace { message, awaited },
        }
    }
}
