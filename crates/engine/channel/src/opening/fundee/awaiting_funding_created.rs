//! We sent `accept_channel` and wait for the funding output and the peer's signature on our first commitment (BOLT 2).

use bitcoin::OutPoint;
use quittance_primitives::ChannelId;
use quittance_wire::FundingCreated;

use super::super::agreed::Agreed;
use super::super::first_commitment::FundingSignedToSign;
use super::{OpenRefusal, Refused};
use crate::{Channel, ChannelEffect, Context, Reaction};

/// A channel that only lacks its funding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingFundingCreated {
    agreed: Agreed,
}

impl AwaitingFundingCreated {
    pub(super) const fn new(agreed: Agreed) -> Self {
        Self { agreed }
    }

    /// The name of the opening.
    pub const fn temporary_channel_id(&self) -> ChannelId {
        self.agreed.temporary_channel_id
    }

    /// The peer's funding output. The channel's first step must be durable before the effect is carried out, which signs the
    /// peer's first commitment and sends `funding_signed`: from then on the peer broadcasts. `is_taken` says whether a channel
    /// of ours, with any peer, has an id already.
    ///
    /// # Errors
    /// [`Refused`] when the signature is invalid, or the funding output is another channel's. The opening is over.
    pub fn funding_created(
        self,
        message: &FundingCreated,
        is_taken: impl FnOnce(&ChannelId) -> bool,
        context: &Context<'_>,
    ) -> Result<(Box<Channel>, Reaction), Refused> {
        let temporary_channel_id = self.agreed.temporary_channel_id;
        // BOLT 1: before our funding_signed, an error names the temporary id.
        let refused = |why| Refused {
            channel_id: temporary_channel_id,
            why,
        };
        if message.temporary_channel_id != temporary_channel_id {
            return Err(refused(OpenRefusal::OtherChannel {
                got: message.temporary_channel_id,
                expected: temporary_channel_id,
            }));
        }
        let funding = OutPoint {
            txid: message.funding_txid,
            vout: u32::from(message.funding_output_index),
        };
        let channel_id = ChannelId::v1(funding);
        if is_taken(&channel_id) {
            return Err(refused(OpenRefusal::ChannelIdTaken(channel_id)));
        }
        let funded = self.agreed.funded(funding, None, context.height);
        let to_sign = FundingSignedToSign::new(funded.to_sign());
        let channel = funded.open(message.signature, context).map_err(refused)?;
        let reaction = Reaction {
            effects: vec![ChannelEffect::SendFundingSigned(Box::new(to_sign))],
            ..Reaction::default()
        };
        Ok((Box::new(channel), reaction))
    }
}
