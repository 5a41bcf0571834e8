//! What `open_channel` and `accept_channel` have in common: one side's demands on the other.

use quittance_primitives::{Feature, Features};
use quittance_transactions::{ChannelPublicKeys, CommitmentFormat, ShutdownScript};
use quittance_wire::{AcceptChannel, OpenChannel};

use super::policy::{BOLT_DUST_LIMIT_MIN, DemandBounds};
use super::{OpenRefusal, OpeningPolicy, shutdown_forms};
use crate::SideFacts;

/// The demands in either message: the fields have the same names in both.
macro_rules! demands {
    ($message:expr, $negotiated:expr) => {{
        let (message, negotiated): (_, &Features) = ($message, $negotiated);
        SideFacts {
            keys: ChannelPublicKeys {
                funding: message.funding_pubkey,
                revocation_basepoint: message.revocation_basepoint,
                payment_basepoint: message.payment_basepoint,
                delayed_payment_basepoint: message.delayed_payment_basepoint,
                htlc_basepoint: message.htlc_basepoint,
            },
            dust_limit: message.dust_limit_satoshis,
            max_htlc_value_in_flight: message.max_htlc_value_in_flight_msat,
            channel_reserve: message.channel_reserve_satoshis,
            htlc_minimum: message.htlc_minimum_msat,
            to_self_delay: message.to_self_delay,
            max_accepted_htlcs: message.max_accepted_htlcs,
            upfront_shutdown_script: message
                .upfront_shutdown_script
                .clone()
                .filter(|script| !script.is_empty() && negotiated.supports(Feature::UpfrontShutdownScript)),
        }
    }};
}

/// The opener's demands. An upfront script binds it only where both sides have the feature (BOLT 2, `shutdown`).
pub(super) fn of_open_channel(message: &OpenChannel, negotiated: &Features) -> SideFacts {
    demands!(message, negotiated)
}

/// The accepter's demands.
pub(super) fn of_accept_channel(message: &AcceptChannel, negotiated: &Features) -> SideFacts {
    demands!(message, negotiated)
}

/// What BOLT 2 demands of both sides' demands, ours included.
pub(super) fn check(
    demands: &SideFacts,
    format: CommitmentFormat,
    negotiated: &Features,
    policy: &OpeningPolicy,
) -> Result<(), OpenRefusal> {
    if demands.dust_limit < BOLT_DUST_LIMIT_MIN {
        return Err(OpenRefusal::DustLimitTooSmall {
            got: demands.dust_limit,
            minimum: BOLT_DUST_LIMIT_MIN,
        });
    }
    if demands.dust_limit > demands.channel_reserve {
        return Err(OpenRefusal::DustLimitAboveReserve {
            dust_limit: demands.dust_limit,
            reserve: demands.channel_reserve,
        });
    }
    if demands.max_accepted_htlcs > format.accepted_htlcs_max() {
        return Err(OpenRefusal::AcceptedHtlcsTooMany {
            got: demands.max_accepted_htlcs,
            maximum: format.accepted_htlcs_max(),
        });
    }
    if demands.to_self_delay > policy.theirs.to_self_delay_max {
        return Err(OpenRefusal::DelayTooLarge {
            got: demands.to_self_delay,
            maximum: policy.theirs.to_self_delay_max,
        });
    }
    let script = demands.upfront_shutdown_script.clone().unwrap_or_default();
    if script.is_empty() {
        return Ok(());
    }
    match ShutdownScript::new(script, shutdown_forms(negotiated)) {
        Ok(_) => Ok(()),
        Err(invalid) => Err(OpenRefusal::InvalidShutdownScript { got: invalid.0 }),
    }
}

impl DemandBounds {
    /// What we, beyond BOLT 2, do not put up with.
    pub(super) fn check(&self, demands: &SideFacts, capacity: bitcoin::Amount) -> Result<(), OpenRefusal> {
        if demands.dust_limit > self.dust_limit_max {
            return Err(OpenRefusal::DustLimitTooLarge {
                got: demands.dust_limit,
                maximum: self.dust_limit_max,
            });
        }
        let reserve_max = self.reserve_max(capacity);
        if demands.channel_reserve > reserve_max {
            return Err(OpenRefusal::ReserveTooLarge {
                got: demands.channel_reserve,
                maximum: reserve_max,
            });
        }
        if demands.htlc_minimum > self.htlc_minimum_max {
            return Err(OpenRefusal::HtlcMinimumTooLarge {
                got: demands.htlc_minimum,
                maximum: self.htlc_minimum_max,
            });
        }
        if demands.max_htlc_value_in_flight < self.in_flight_max_min {
            return Err(OpenRefusal::InFlightTooSmall {
                got: demands.max_htlc_value_in_flight,
                minimum: self.in_flight_max_min,
            });
        }
        if demands.max_accepted_htlcs < self.max_accepted_htlcs_min {
            return Err(OpenRefusal::AcceptedHtlcsTooFew {
                got: demands.max_accepted_htlcs,
                minimum: self.max_accepted_htlcs_min,
            });
        }
        Ok(())
    }
}

/// Each reserve covers the other side's dust limit, so that no commitment loses all its outputs (BOLT 2). `sender` made the
/// demands that are being judged.
pub(super) fn check_against(sender: &SideFacts, other: &SideFacts) -> Result<(), OpenRefusal> {
    if sender.channel_reserve < other.dust_limit {
        return Err(OpenRefusal::ReserveBelowOthersDustLimit {
            reserve: sender.channel_reserve,
            dust_limit: other.dust_limit,
        });
    }
    if sender.dust_limit > other.channel_reserve {
        return Err(OpenRefusal::DustLimitAboveOthersReserve {
            dust_limit: sender.dust_limit,
            reserve: other.channel_reserve,
        });
    }
    Ok(())
}
