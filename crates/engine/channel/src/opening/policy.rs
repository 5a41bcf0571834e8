//! What we ask for and what we put up with when a channel opens: the configurable part of BOLT 2's requirements.
//!
//! Feerates are not here: the bounds of an opening are those of a channel that is open
//! ([`ChannelLimits`](crate::ChannelLimits)).

use bitcoin::constants::ChainHash;
use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::{BlockCount, Features, MilliSatoshi, ToSelfDelay};
use quittance_transactions::{ChannelPublicKeys, CommitmentFormat};

use super::ChannelType;
use crate::SideFacts;

/// BOLT 2: the least `dust_limit_satoshis`, at which every kind of output relays.
pub const BOLT_DUST_LIMIT_MIN: Amount = Amount::from_sat(354);
/// BOLT 2: `funding_satoshis` from here on need `option_support_large_channel` on both sides.
pub const SMALL_CHANNEL_LIMIT: Amount = Amount::from_sat(1 << 24);

/// By which we open channels and let others open them to us. [`Self::for_chain`] has the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningPolicy {
    /// The chain that we are on.
    pub chain_hash: ChainHash,
    /// The commitment formats that we use, the one that we like best first. Default: anchors, then static_remotekey.
    /// [`CommitmentFormat::ZeroFee`] can be added.
    pub formats: Vec<CommitmentFormat>,
    /// Whether channels must be announced. Default: as the opener wishes.
    pub announcement: Announcement,
    /// The smallest channel. Default: 20,000 sat.
    pub funding_min: Amount,
    /// The largest channel, where `option_support_large_channel` lifts BOLT 2's limit of 2^24 - 1 sat. Default: 10 BTC.
    pub funding_max: Amount,
    /// Confirmations before we use a channel that a peer opened, unless we trust it to open one without; at least 1.
    /// Default: 6.
    pub minimum_depth: BlockCount,
    /// The most confirmations that we let a peer ask for. Default: 144, a day.
    pub minimum_depth_max: BlockCount,
    /// What we ask of the peer.
    pub ours: OwnDemands,
    /// What we let the peer ask of us.
    pub theirs: DemandBounds,
}

/// Whether channels that peers open to us must be announced to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// As the peer wishes.
    Either,
    /// Always.
    Required,
    /// Never.
    Forbidden,
}

/// What we ask of every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnDemands {
    /// `dust_limit_satoshis`: our commitments have no output below it. Default: 354 sat, BOLT 2's least.
    pub dust_limit: Amount,
    /// `htlc_minimum_msat`. Default: 1 msat.
    pub htlc_minimum: MilliSatoshi,
    /// `max_htlc_value_in_flight_msat`, in hundredths of the capacity. Default: 100.
    pub in_flight_max_percent: u8,
    /// `channel_reserve_satoshis`, in hundredths of the capacity, rounded up; at least the larger dust limit. Default: 1.
    pub reserve_percent: u8,
    /// `to_self_delay`: the time that we have to punish a revoked commitment, in blocks. Default: 144.
    pub to_self_delay: ToSelfDelay,
    /// `max_accepted_htlcs`, held at what the commitment format allows (483, or 114 with zero-fee commitments). Default: 483.
    pub max_accepted_htlcs: u16,
}

/// What a peer may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemandBounds {
    /// The most that its `dust_limit_satoshis` may be: HTLCs below it are the miners'. Default: 1,000 sat.
    pub dust_limit_max: Amount,
    /// The most that its `htlc_minimum_msat` may be. Default: 1,000 sat.
    pub htlc_minimum_max: MilliSatoshi,
    /// The least that its `max_htlc_value_in_flight_msat` may be. Default: 1,000 sat.
    pub in_flight_max_min: MilliSatoshi,
    /// The most that its `channel_reserve_satoshis` may be, in hundredths of the capacity, rounded down. Default: 20.
    pub reserve_percent_max: u8,
    /// The most that its `to_self_delay` may be, in blocks. Default: 2016, two weeks. Ours keeps to it too.
    pub to_self_delay_max: ToSelfDelay,
    /// The least that its `max_accepted_htlcs` may be. Default: 5.
    pub max_accepted_htlcs_min: u16,
}

impl OpeningPolicy {
    /// The defaults, on this chain.
    pub fn for_chain(chain_hash: ChainHash) -> Self {
        Self {
            chain_hash,
            formats: vec![CommitmentFormat::Anchors, CommitmentFormat::StaticRemotekey],
            announcement: Announcement::Either,
            funding_min: Amount::from_sat(20_000),
            funding_max: Amount::from_sat(1_000_000_000),
            minimum_depth: BlockCount(6),
            minimum_depth_max: BlockCount(144),
            ours: OwnDemands::default(),
            theirs: DemandBounds::default(),
        }
    }

    /// The format that we like best among those that both sides support: what our own channels are, unless the user says
    /// otherwise.
    pub fn preferred_format(&self, negotiated: &Features) -> Option<CommitmentFormat> {
        let is_supported =
            |format: &&CommitmentFormat| ChannelType::basic(**format).not_negotiated(negotiated).is_none();
        self.formats.iter().find(is_supported).copied()
    }

    /// Our demands on a channel of this capacity and format.
    pub fn demands(
        &self,
        capacity: Amount,
        format: CommitmentFormat,
        keys: ChannelPublicKeys,
        upfront_shutdown_script: Option<ScriptBuf>,
    ) -> SideFacts {
        let ours = &self.ours;
        let in_flight = u128::from(capacity.to_sat()) * 1_000 * u128::from(ours.in_flight_max_percent) / 100;
        let reserve = (u128::from(capacity.to_sat()) * u128::from(ours.reserve_percent)).div_ceil(100);
        SideFacts {
            keys,
            dust_limit: ours.dust_limit,
            max_htlc_value_in_flight: MilliSatoshi(u64::try_from(in_flight).unwrap_or(u64::MAX)),
            channel_reserve: saturating_sat(reserve).max(ours.dust_limit),
            htlc_minimum: ours.htlc_minimum,
            to_self_delay: ours.to_self_delay,
            max_accepted_htlcs: ours.max_accepted_htlcs.min(format.accepted_htlcs_max()),
            upfront_shutdown_script,
        }
    }
}

impl DemandBounds {
    /// The most that a peer may ask as reserve on a channel of this capacity.
    pub(super) fn reserve_max(&self, capacity: Amount) -> Amount {
        saturating_sat(u128::from(capacity.to_sat()) * u128::from(self.reserve_percent_max) / 100)
    }
}

impl Default for OwnDemands {
    fn default() -> Self {
        Self {
            dust_limit: BOLT_DUST_LIMIT_MIN,
            htlc_minimum: MilliSatoshi(1),
            in_flight_max_percent: 100,
            reserve_percent: 1,
            to_self_delay: ToSelfDelay(144),
            max_accepted_htlcs: 483,
        }
    }
}

impl Default for DemandBounds {
    fn default() -> Self {
        Self {
            dust_limit_max: Amount::from_sat(1_000),
            htlc_minimum_max: MilliSatoshi(1_000_000),
            in_flight_max_min: MilliSatoshi(1_000_000),
            reserve_percent_max: 20,
            to_self_delay_max: ToSelfDelay(2_016),
            max_accepted_htlcs_min: 5,
        }
    }
}

fn saturating_sat(sat: u128) -> Amount {
    Amount::from_sat(u64::try_from(sat).unwrap_or(u64::MAX))
}
