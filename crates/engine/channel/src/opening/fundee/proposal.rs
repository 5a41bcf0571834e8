//! The peer's `open_channel`, held against BOLT 2 and our policy, and waiting for our decision.

use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::{BlockCount, ChannelId, Feature, Features, MilliSatoshi, NodeId};
use quittance_transactions::ChannelPublicKeys;
use quittance_wire::{ANNOUNCE_CHANNEL, AcceptChannel, OpenChannel};

use super::super::agreed::Agreed;
use super::super::proposed::{FirstBalances, Proposed};
use super::super::{Announcement, ChannelType, OpeningPolicy, OurPart, Unchanged, demands, upfront_script};
use super::{AwaitingFundingCreated, OpenRefusal, Refused};
use crate::{BySide, ChannelLimits, Side, SideFacts};

/// What we trust a peer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: a channel is used once its funding is deep enough.
    Ordinary,
    /// That it does not double-spend the funding of a channel of type `option_zeroconf`.
    Zeroconf,
}

/// A channel that a peer wants to open to us, and that nothing speaks against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    message: OpenChannel,
    peer: NodeId,
    negotiated: Features,
    channel_type: ChannelType,
    theirs: SideFacts,
    balances: FirstBalances,
}

impl Proposal {
    /// Judges the peer's `open_channel`. `negotiated` are the features that both sides support.
    ///
    /// # Errors
    /// [`Refused`] when BOLT 2 or our policy is against it.
    pub fn check(
        message: OpenChannel,
        peer: NodeId,
        negotiated: Features,
        trust: Trust,
        policy: &OpeningPolicy,
        limits: &ChannelLimits,
    ) -> Result<Self, Refused> {
        let theirs = demands::of_open_channel(&message, &negotiated);
        match judge(&message, &theirs, &negotiated, trust, policy, limits) {
            Ok((channel_type, balances)) => Ok(Self {
                message,
                peer,
                negotiated,
                channel_type,
                theirs,
                balances,
            }),
            Err(why) => Err(Refused {
                channel_id: message.temporary_channel_id,
                why,
            }),
        }
    }

    /// The name of the opening.
    pub const fn temporary_channel_id(&self) -> ChannelId {
        self.message.temporary_channel_id
    }

    /// Who proposes it.
    pub const fn peer(&self) -> NodeId {
        self.peer
    }

    /// What the channel would hold.
    pub const fn capacity(&self) -> Amount {
        self.message.funding_satoshis
    }

    /// What we would get for nothing.
    pub const fn pushed(&self) -> MilliSatoshi {
        self.message.push_msat
    }

    /// Its type.
    pub const fn channel_type(&self) -> ChannelType {
        self.channel_type
    }

    /// Whether it is to be announced.
    pub const fn is_announced(&self) -> bool {
        self.message.channel_flags & ANNOUNCE_CHANNEL != 0
    }

    /// Our demands by the policy, with a reserve that covers the peer's dust limit too (BOLT 2, `accept_channel`).
    pub fn demands(
        &self,
        policy: &OpeningPolicy,
        keys: ChannelPublicKeys,
        upfront_shutdown_script: Option<ScriptBuf>,
    ) -> SideFacts {
        let ours = policy.demands(self.capacity(), self.channel_type.format, keys, upfront_shutdown_script);
        SideFacts {
            channel_reserve: ours.channel_reserve.max(self.theirs.dust_limit),
            ..ours
        }
    }

    /// We want the channel: `accept_channel`, and we wait for the funding.
    ///
    /// # Errors
    /// [`OpenRefusal`], with the proposal as it was, when what we demand does not fit it.
    pub fn accept(
        self,
        ours: OurPart,
        policy: &OpeningPolicy,
    ) -> Result<(AwaitingFundingCreated, AcceptChannel), Box<Unchanged<Self, OpenRefusal>>> {
        if let Err(why) = self.check_ours(&ours.demands, policy) {
            return Err(Box::new(Unchanged { state: self, why }));
        }
        let minimum_depth = if self.channel_type.zeroconf {
            BlockCount(0)
        } else {
            // Without trust there is no channel without confirmation, whatever the policy says.
            policy.minimum_depth.max(BlockCount(1))
        };
        let message = self.accept_message(&ours, minimum_depth);
        let announce = self.is_announced();
        let agreed = Agreed {
            temporary_channel_id: self.message.temporary_channel_id,
            peer: self.peer,
            opener: Side::Remote,
            negotiated: self.negotiated,
            channel_type: self.channel_type,
            announce,
            capacity: self.message.funding_satoshis,
            initial_balance: BySide {
                local: self.balances.accepter,
                remote: self.balances.opener,
            },
            feerate: self.message.feerate_per_kw,
            sides: BySide {
                local: ours.demands,
                remote: self.theirs,
            },
            signer_keys_id: ours.signer_keys_id,
            local_points: ours.points,
            remote_point: self.message.first_per_commitment_point,
            minimum_depth,
            forwarding: ours.forwarding,
        };
        Ok((AwaitingFundingCreated::new(agreed), message))
    }

    /// We do not want the channel. The reason is for the peer to read.
    pub fn reject(self, reason: impl Into<String>) -> Refused {
        Refused {
            channel_id: self.message.temporary_channel_id,
            why: OpenRefusal::Unwanted(reason.into()),
        }
    }

    fn check_ours(&self, ours: &SideFacts, policy: &OpeningPolicy) -> Result<(), OpenRefusal> {
        let format = self.channel_type.format;
        demands::check(ours, format, &self.negotiated, policy)?;
        demands::check_against(ours, &self.theirs)?;
        self.balances
            .check(format, self.message.feerate_per_kw, ours.channel_reserve)
    }

    fn accept_message(&self, ours: &OurPart, minimum_depth: BlockCount) -> AcceptChannel {
        let demands = &ours.demands;
        AcceptChannel {
            temporary_channel_id: self.message.temporary_channel_id,
            dust_limit_satoshis: demands.dust_limit,
            max_htlc_value_in_flight_msat: demands.max_htlc_value_in_flight,
            channel_reserve_satoshis: demands.channel_reserve,
            htlc_minimum_msat: demands.htlc_minimum,
            minimum_depth,
            to_self_delay: demands.to_self_delay,
            max_accepted_htlcs: demands.max_accepted_htlcs,
            funding_pubkey: demands.keys.funding,
            revocation_basepoint: demands.keys.revocation_basepoint,
            payment_basepoint: demands.keys.payment_basepoint,
            delayed_payment_basepoint: demands.keys.delayed_payment_basepoint,
            htlc_basepoint: demands.keys.htlc_basepoint,
            first_per_commitment_point: ours.points.0,
            upfront_shutdown_script: Some(upfront_script(demands)),
            channel_type: Some(self.channel_type.features()),
        }
    }
}

fn judge(
    message: &OpenChannel,
    theirs: &SideFacts,
    negotiated: &Features,
    trust: Trust,
    policy: &OpeningPolicy,
    limits: &ChannelLimits,
) -> Result<(ChannelType, FirstBalances), OpenRefusal> {
    if message.chain_hash != policy.chain_hash {
        return Err(OpenRefusal::UnknownChain {
            got: message.chain_hash,
            ours: policy.chain_hash,
        });
    }
    if message.temporary_channel_id == ChannelId::ALL {
        return Err(OpenRefusal::TemporaryIdZero);
    }
    if negotiated.supports(Feature::DualFund) {
        return Err(OpenRefusal::DualFundNegotiated);
    }
    let announce = message.channel_flags & ANNOUNCE_CHANNEL != 0;
    match (policy.announcement, announce) {
        (Announcement::Required, false) => return Err(OpenRefusal::AnnouncementRequired),
        (Announcement::Forbidden, true) => return Err(OpenRefusal::AnnouncementForbidden),
        (Announcement::Either, _) | (Announcement::Required, true) | (Announcement::Forbidden, false) => {}
    }
    let features = message.channel_type.as_ref().ok_or(OpenRefusal::ChannelTypeMissing)?;
    let undefined = || OpenRefusal::ChannelTypeUndefined { got: features.clone() };
    let channel_type = ChannelType::parse(features).ok_or_else(undefined)?;
    if channel_type.zeroconf && trust != Trust::Zeroconf {
        return Err(OpenRefusal::ZeroconfNotTrusted);
    }
    let proposed = Proposed {
        channel_type,
        announce,
        capacity: message.funding_satoshis,
        push: message.push_msat,
        feerate: message.feerate_per_kw,
        demands: theirs,
        negotiated,
    };
    let balances = proposed.check(policy, limits)?;
    policy.theirs.check(theirs, message.funding_satoshis)?;
    Ok((channel_type, balances))
}
