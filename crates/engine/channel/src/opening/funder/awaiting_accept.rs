//! We sent `open_channel` and wait for `accept_channel` (BOLT 2).

use quittance_primitives::{BlockCount, ChannelId};
use quittance_wire::{AcceptChannel, OpenChannel};

use super::super::agreed::Agreed;
use super::super::demands;
use super::super::proposed::FirstBalances;
use super::{AwaitingFunding, FundingWanted, OpenRefusal, OpenRequest, OpeningPolicy, Refused};
use crate::{BySide, ChannelLimits, Side, SideFacts};

/// We proposed a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingAccept {
    request: OpenRequest,
    balances: FirstBalances,
}

impl AwaitingAccept {
    /// Checks what our user asks for, and makes `open_channel` of it.
    ///
    /// # Errors
    /// [`OpenRefusal`] when no peer could accept it or our own policy does not; nothing was sent.
    pub fn propose(
        request: OpenRequest,
        policy: &OpeningPolicy,
        limits: &ChannelLimits,
    ) -> Result<(Self, OpenChannel), OpenRefusal> {
        let balances = request.check(policy, limits)?;
        let message = request.message(policy);
        Ok((Self { request, balances }, message))
    }

    /// The name of the opening.
    pub const fn temporary_channel_id(&self) -> ChannelId {
        self.request.temporary_channel_id
    }

    /// The peer's answer. The wallet is asked for the funding output.
    ///
    /// # Errors
    /// [`Refused`] when its terms are not acceptable. The opening is over.
    pub fn accept_channel(
        self,
        message: &AcceptChannel,
        policy: &OpeningPolicy,
    ) -> Result<(AwaitingFunding, FundingWanted), Refused> {
        let refused = |why| Refused {
            channel_id: self.request.temporary_channel_id,
            why,
        };
        let theirs = demands::of_accept_channel(message, &self.request.negotiated);
        self.check(message, &theirs, policy).map_err(refused)?;
        let Self { request, balances } = self;
        let agreed = Agreed {
            temporary_channel_id: request.temporary_channel_id,
            peer: request.peer,
            opener: Side::Local,
            negotiated: request.negotiated,
            channel_type: request.channel_type,
            announce: request.announce,
            capacity: request.capacity,
            initial_balance: BySide {
                local: balances.opener,
                remote: balances.accepter,
            },
            feerate: request.feerate,
            sides: BySide {
                local: request.ours.demands,
                remote: theirs,
            },
            signer_keys_id: request.ours.signer_keys_id,
            local_points: request.ours.points,
            remote_point: message.first_per_commitment_point,
            minimum_depth: message.minimum_depth,
            forwarding: request.ours.forwarding,
        };
        Ok(AwaitingFunding::new(agreed))
    }

    fn check(&self, message: &AcceptChannel, theirs: &SideFacts, policy: &OpeningPolicy) -> Result<(), OpenRefusal> {
        let request = &self.request;
        if message.temporary_channel_id != request.temporary_channel_id {
            return Err(OpenRefusal::OtherChannel {
                got: message.temporary_channel_id,
                expected: request.temporary_channel_id,
            });
        }
        let got = message.channel_type.as_ref().ok_or(OpenRefusal::ChannelTypeMissing)?;
        let expected = request.channel_type.features();
        if *got != expected {
            return Err(OpenRefusal::ChannelTypeChanged {
                got: got.clone(),
                expected,
            });
        }
        let (got, maximum) = (message.minimum_depth, policy.minimum_depth_max);
        if request.channel_type.zeroconf && got != BlockCount(0) {
            return Err(OpenRefusal::DepthNotZero { got });
        }
        if got > maximum {
            return Err(OpenRefusal::DepthTooLarge { got, maximum });
        }
        let format = request.channel_type.format;
        demands::check(theirs, format, &request.negotiated, policy)?;
        policy.theirs.check(theirs, request.capacity)?;
        demands::check_against(theirs, &request.ours.demands)?;
        self.balances.check(format, request.feerate, theirs.channel_reserve)
    }
}
