//! The terms are agreed on, and our wallet is making the funding transaction.

use bitcoin::TxOut;
use quittance_primitives::{BlockHeight, ChannelId};

use super::super::agreed::Agreed;
use super::super::first_commitment::FundingCreatedToSign;
use super::super::{FundingTransaction, Unchanged, UnfitFunding};
use super::AwaitingFundingSigned;
use crate::ChannelEffect;

/// A channel that only lacks its funding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingFunding {
    agreed: Agreed,
}

/// What the wallet is asked for: a signed transaction with this output, not broadcast. Outputs of several openings may be in
/// one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "without a funding transaction the opening goes no further"]
pub struct FundingWanted {
    /// The opening that it is for.
    pub temporary_channel_id: ChannelId,
    /// The output.
    pub output: TxOut,
}

impl AwaitingFunding {
    pub(super) fn new(agreed: Agreed) -> (Self, FundingWanted) {
        let wanted = FundingWanted {
            temporary_channel_id: agreed.temporary_channel_id,
            output: agreed.funding_output(),
        };
        (Self { agreed }, wanted)
    }

    /// The name of the opening.
    pub const fn temporary_channel_id(&self) -> ChannelId {
        self.agreed.temporary_channel_id
    }

    /// The wallet's transaction, at this height of the chain: the effect signs the peer's first commitment and sends
    /// `funding_created`. Nothing has to be durable for that.
    ///
    /// # Errors
    /// [`UnfitFunding`], with the state as it was, when the transaction does not fund this channel.
    pub fn fund(
        self,
        funding: FundingTransaction,
        height: BlockHeight,
    ) -> Result<(AwaitingFundingSigned, ChannelEffect), Box<Unchanged<Self, UnfitFunding>>> {
        let (outpoint, index) = match funding.outpoint_of(&self.agreed.funding_output()) {
            Ok(found) => found,
            Err(why) => return Err(Box::new(Unchanged { state: self, why })),
        };
        let temporary_channel_id = self.agreed.temporary_channel_id;
        let funded = self.agreed.funded(outpoint, Some(funding.clone()), height);
        let to_sign = FundingCreatedToSign::new(temporary_channel_id, index, funded.to_sign());
        let effect = ChannelEffect::SendFundingCreated(Box::new(to_sign));
        Ok((AwaitingFundingSigned::new(funded, funding), effect))
    }
}
