//! We sent `funding_created` and wait for the peer's signature on our first commitment (BOLT 2).

use quittance_primitives::ChannelId;
use quittance_wire::FundingSigned;

use super::super::FundingTransaction;
use super::super::agreed::Funded;
use super::{OpenRefusal, Refused};
use crate::{Channel, ChannelEffect, Context, Reaction};

/// A channel that only lacks the peer's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingFundingSigned {
    funded: Funded,
    funding: FundingTransaction,
}

impl AwaitingFundingSigned {
    pub(super) const fn new(funded: Funded, funding: FundingTransaction) -> Self {
        Self { funded, funding }
    }

    /// The name of the opening.
    pub const fn temporary_channel_id(&self) -> ChannelId {
        self.funded.agreed.temporary_channel_id
    }

    /// The name that the channel has from here on.
    pub const fn channel_id(&self) -> ChannelId {
        self.funded.facts.channel_id
    }

    /// The peer's signature. The channel's first step must be durable before the effect is carried out, which broadcasts the
    /// funding transaction. One that funds several channels is not broadcast by any of them, but by whoever sees that all of
    /// them are durable ([`ChannelState::funding_to_broadcast`](crate::ChannelState::funding_to_broadcast)).
    ///
    /// # Errors
    /// [`Refused`] when the signature is invalid. The opening is over, and the transaction must not be broadcast.
    pub fn funding_signed(
        self,
        message: &FundingSigned,
        context: &Context<'_>,
    ) -> Result<(Box<Channel>, Reaction), Refused> {
        let expected = self.channel_id();
        let refused = |why| Refused {
            channel_id: expected,
            why,
        };
        if message.channel_id != expected {
            return Err(refused(OpenRefusal::OtherChannel {
                got: message.channel_id,
                expected,
            }));
        }
        let channel = self.funded.open(message.signature, context).map_err(refused)?;
        let mut reaction = Reaction::default();
        if !self.funding.is_batch() {
            let transaction = self.funding.transaction().clone();
            reaction
                .effects
                .push(ChannelEffect::BroadcastFunding(Box::new(transaction)));
        }
        Ok((Box::new(channel), reaction))
    }

    pub(super) const fn funding(&self) -> &FundingTransaction {
        &self.funding
    }

    pub(super) fn into_funding(self) -> FundingTransaction {
        self.funding
    }
}
