//! What an `open_channel` proposes, ours or the peer's, held against BOLT 2 and our policy for every channel.

use bitcoin::Amount;
use quittance_primitives::{Feature, Features, FeeratePerKw, MilliSatoshi};
use quittance_transactions::{CommitmentFormat, OpenerCannotAfford, fees};

use super::{ChannelType, OpenRefusal, OpeningPolicy, SMALL_CHANNEL_LIMIT, demands};
use crate::{ChannelLimits, SideFacts};

/// What an `open_channel` proposes.
pub(super) struct Proposed<'a> {
    pub(super) channel_type: ChannelType,
    pub(super) announce: bool,
    pub(super) capacity: Amount,
    pub(super) push: MilliSatoshi,
    pub(super) feerate: FeeratePerKw,
    pub(super) demands: &'a SideFacts,
    pub(super) negotiated: &'a Features,
}

/// What each side has before fee and anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstBalances {
    pub(super) opener: MilliSatoshi,
    pub(super) accepter: MilliSatoshi,
}

impl Proposed<'_> {
    /// Checks everything that holds for our own proposals as for a peer's, and gives the first balances.
    pub(super) fn check(&self, policy: &OpeningPolicy, limits: &ChannelLimits) -> Result<FirstBalances, OpenRefusal> {
        self.check_channel_type(policy)?;
        self.check_funding(policy)?;
        self.check_feerate(limits)?;
        demands::check(self.demands, self.channel_type.format, self.negotiated, policy)?;
        let balances = FirstBalances::of(self.capacity, self.push)?;
        balances.check(self.channel_type.format, self.feerate, self.demands.channel_reserve)?;
        Ok(balances)
    }

    fn check_channel_type(&self, policy: &OpeningPolicy) -> Result<(), OpenRefusal> {
        let channel_type = self.channel_type;
        if !policy.formats.contains(&channel_type.format) {
            return Err(OpenRefusal::ChannelTypeUnwanted(channel_type.format));
        }
        if let Some(feature) = channel_type.not_negotiated(self.negotiated) {
            return Err(OpenRefusal::ChannelTypeNotNegotiated(feature));
        }
        if channel_type.scid_alias && self.announce {
            return Err(OpenRefusal::ScidAliasAnnounced);
        }
        Ok(())
    }

    fn check_funding(&self, policy: &OpeningPolicy) -> Result<(), OpenRefusal> {
        let got = self.capacity;
        if got < policy.funding_min {
            return Err(OpenRefusal::FundingTooSmall {
                got,
                minimum: policy.funding_min,
            });
        }
        let is_large_supported = self.negotiated.supports(Feature::LargeChannel);
        if got >= SMALL_CHANNEL_LIMIT && !is_large_supported {
            return Err(OpenRefusal::FundingNeedsLargeChannel {
                got,
                limit: SMALL_CHANNEL_LIMIT,
            });
        }
        let maximum = policy.funding_max.min(Amount::MAX_MONEY);
        if got > maximum {
            return Err(OpenRefusal::FundingTooLarge { got, maximum });
        }
        Ok(())
    }

    fn check_feerate(&self, limits: &ChannelLimits) -> Result<(), OpenRefusal> {
        let got = self.feerate;
        if self.channel_type.format == CommitmentFormat::ZeroFee {
            return match got {
                FeeratePerKw(0) => Ok(()),
                FeeratePerKw(_) => Err(OpenRefusal::FeerateNotZero { got }),
            };
        }
        let (minimum, maximum) = (limits.feerate_min, limits.feerate_max);
        if (minimum..=maximum).contains(&got) {
            Ok(())
        } else {
            Err(OpenRefusal::FeerateOutOfRange { got, minimum, maximum })
        }
    }
}

impl FirstBalances {
    fn of(capacity: Amount, push: MilliSatoshi) -> Result<Self, OpenRefusal> {
        let too_large = |_| OpenRefusal::FundingTooLarge {
            got: capacity,
            maximum: Amount::MAX_MONEY,
        };
        let funding = MilliSatoshi::try_from_sat(capacity).map_err(too_large)?;
        let opener = funding.checked_sub(push);
        Ok(Self {
            opener: opener.ok_or(OpenRefusal::PushAboveFunding { push, funding })?,
            accepter: push,
        })
    }

    /// The opener pays fee and anchors in full, and one side has more than `reserve` to spend (BOLT 2, `open_channel`).
    pub(super) fn check(
        &self,
        format: CommitmentFormat,
        feerate: FeeratePerKw,
        reserve: Amount,
    ) -> Result<(), OpenRefusal> {
        let cost = fees::opener_cost(format, feerate, 0);
        let cost_msat = MilliSatoshi::try_from_sat(cost).unwrap_or(MilliSatoshi(u64::MAX));
        let to_opener = self.opener.checked_sub(cost_msat);
        let to_opener = to_opener.ok_or(OpenRefusal::FunderCannotAfford(OpenerCannotAfford {
            cost,
            balance: self.opener,
        }))?;
        let has_more = |balance: MilliSatoshi| balance.to_sat_floor() > reserve;
        if has_more(to_opener) || has_more(self.accepter) {
            Ok(())
        } else {
            Err(OpenRefusal::BothBelowReserve {
                to_opener,
                to_accepter: self.accepter,
                reserve,
            })
        }
    }
}
