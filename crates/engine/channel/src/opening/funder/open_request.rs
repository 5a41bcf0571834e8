//! What our own user wants when it opens a channel.

use bitcoin::Amount;
use quittance_primitives::{ChannelId, Features, FeeratePerKw, MilliSatoshi, NodeId};
use quittance_wire::{ANNOUNCE_CHANNEL, OpenChannel};

use super::super::proposed::{FirstBalances, Proposed};
use super::super::{ChannelType, OpenRefusal, OpeningPolicy, OurPart, upfront_script};
use crate::ChannelLimits;

/// A channel that we want to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// With whom.
    pub peer: NodeId,
    /// What both sides support on this connection.
    pub negotiated: Features,
    /// A fresh random name for the opening, unlike every other id with this peer.
    pub temporary_channel_id: ChannelId,
    /// What the channel holds.
    pub capacity: Amount,
    /// What the peer gets for nothing.
    pub push: MilliSatoshi,
    /// Of which type it is.
    pub channel_type: ChannelType,
    /// Whether it is to be announced to the network.
    pub announce: bool,
    /// The feerate of the first commitments; zero with zero-fee commitments.
    pub feerate: FeeratePerKw,
    /// Our demands, keys and points.
    pub ours: OurPart,
}

impl OpenRequest {
    pub(super) fn check(&self, policy: &OpeningPolicy, limits: &ChannelLimits) -> Result<FirstBalances, OpenRefusal> {
        if self.temporary_channel_id == ChannelId::ALL {
            return Err(OpenRefusal::TemporaryIdZero);
        }
        let proposed = Proposed {
            channel_type: self.channel_type,
            announce: self.announce,
            capacity: self.capacity,
            push: self.push,
            feerate: self.feerate,
            demands: &self.ours.demands,
            negotiated: &self.negotiated,
        };
        proposed.check(policy, limits)
    }

    pub(super) fn message(&self, policy: &OpeningPolicy) -> OpenChannel {
        let demands = &self.ours.demands;
        OpenChannel {
            chain_hash: policy.chain_hash,
            temporary_channel_id: self.temporary_channel_id,
            funding_satoshis: self.capacity,
            push_msat: self.push,
            dust_limit_satoshis: demands.dust_limit,
            max_htlc_value_in_flight_msat: demands.max_htlc_value_in_flight,
            channel_reserve_satoshis: demands.channel_reserve,
            htlc_minimum_msat: demands.htlc_minimum,
            feerate_per_kw: self.feerate,
            to_self_delay: demands.to_self_delay,
            max_accepted_htlcs: demands.max_accepted_htlcs,
            funding_pubkey: demands.keys.funding,
            revocation_basepoint: demands.keys.revocation_basepoint,
            payment_basepoint: demands.keys.payment_basepoint,
            delayed_payment_basepoint: demands.keys.delayed_payment_basepoint,
            htlc_basepoint: demands.keys.htlc_basepoint,
            first_per_commitment_point: self.ours.points.0,
            channel_flags: if self.announce { ANNOUNCE_CHANNEL } else { 0 },
            upfront_shutdown_script: Some(upfront_script(demands)),
            channel_type: Some(self.channel_type.features()),
        }
    }
}
