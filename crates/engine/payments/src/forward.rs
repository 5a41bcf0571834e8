//! Whether an HTLC may be forwarded: fee, expiries and amounts against the outgoing channel's policy (BOLT 7, BOLT 2).

use quittance_channel::ForwardingPolicy;
use quittance_onion::{ChannelUpdateBytes, Failure};
use quittance_primitives::{BlockCount, BlockHeight, CltvExpiry, MilliSatoshi};

/// BOLT 2: an HTLC that expires sooner than this cannot be forwarded safely: there would be no time to claim it on chain.
pub const EXPIRY_MARGIN: BlockCount = BlockCount(18);
/// BOLT 4 `max_htlc_cltv`: nobody's funds are locked for longer than two weeks.
pub const EXPIRY_MAX: BlockCount = BlockCount(2016);

/// An HTLC that came in, and what its onion wants sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// What came in, in msat.
    pub amount_in: MilliSatoshi,
    /// When that expires.
    pub expiry_in: CltvExpiry,
    /// What is to go out, in msat.
    pub amount_out: MilliSatoshi,
    /// When that expires.
    pub expiry_out: CltvExpiry,
}

/// Judges a forward by the outgoing channel's policy, at height `tip`.
///
/// # Errors
/// The [`Failure`] for the payer.
pub fn judge(forwarding: &Forwarding, policy: &ForwardingPolicy, tip: BlockHeight) -> Result<(), Failure> {
    let Forwarding {
        amount_in,
        expiry_in,
        amount_out,
        expiry_out,
    } = *forwarding;
    let update = ChannelUpdateBytes::default;
    if amount_out < policy.htlc_minimum {
        return Err(Failure::AmountBelowMinimum {
            htlc: amount_out,
            channel_update: update(),
        });
    }
    if amount_out > policy.htlc_maximum {
        return Err(Failure::TemporaryChannelFailure(update()));
    }
    let enough = fee(amount_out, policy)
        .and_then(|fee| amount_out.checked_add(fee))
        .is_some_and(|sum| amount_in >= sum);
    if !enough {
        return Err(Failure::FeeInsufficient {
            htlc: amount_in,
            channel_update: update(),
        });
    }
    if expiry_in
        .checked_sub(policy.cltv_expiry_delta)
        .is_none_or(|latest| expiry_out > latest)
    {
        return Err(Failure::IncorrectCltvExpiry {
            expiry: expiry_out,
            channel_update: update(),
        });
    }
    if expiry_out.blocks_left(tip) < EXPIRY_MARGIN {
        return Err(Failure::ExpiryTooSoon(update()));
    }
    if expiry_out.blocks_left(tip) > EXPIRY_MAX {
        return Err(Failure::ExpiryTooFar);
    }
    Ok(())
}

/// Our fee for sending on `amount`, in msat, rounded down; `None` beyond all money (BOLT 7).
pub fn fee(amount: MilliSatoshi, policy: &ForwardingPolicy) -> Option<MilliSatoshi> {
    let proportional = u128::from(amount.0) * u128::from(policy.fee_proportional_millionths) / 1_000_000;
    policy
        .fee_base
        .checked_add(MilliSatoshi(u64::try_from(proportional).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_primitives::CltvExpiryDelta;

    const POLICY: ForwardingPolicy = ForwardingPolicy {
        fee_base: MilliSatoshi(1_000),
        fee_proportional_millionths: 100,
        cltv_expiry_delta: CltvExpiryDelta(40),
        htlc_minimum: MilliSatoshi(1_000),
        htlc_maximum: MilliSatoshi(1_000_000_000),
    };
    const GOOD: Forwarding = Forwarding {
        amount_in: MilliSatoshi(10_002_000),
        expiry_in: CltvExpiry(1_140),
        amount_out: MilliSatoshi(10_000_000),
        expiry_out: CltvExpiry(1_100),
    };

    fn judged(change: impl Fn(&mut Forwarding)) -> Result<(), Failure> {
        let mut forwarding = GOOD;
        change(&mut forwarding);
        judge(&forwarding, &POLICY, BlockHeight(1_000))
    }

    #[test]
    fn each_bound_is_the_first_value_beyond_it() {
        let update = ChannelUpdateBytes::default;
        assert_eq!(judged(|_| {}), Ok(()));
        let short = judged(|forwarding| forwarding.amount_in.0 -= 1);
        assert_eq!(
            short,
            Err(Failure::FeeInsufficient {
                htlc: MilliSatoshi(10_001_999),
                channel_update: update()
            })
        );
        let close = judged(|forwarding| forwarding.expiry_in.0 -= 1);
        assert_eq!(
            close,
            Err(Failure::IncorrectCltvExpiry {
                expiry: CltvExpiry(1_100),
                channel_update: update()
            })
        );
        let small = judged(|forwarding| forwarding.amount_out.0 = 999);
        assert_eq!(
            small,
            Err(Failure::AmountBelowMinimum {
                htlc: MilliSatoshi(999),
                channel_update: update()
            })
        );
        let soon = judged(|forwarding| forwarding.expiry_out.0 = 1_017);
        assert_eq!(soon, Err(Failure::ExpiryTooSoon(update())));
        let far = judged(|forwarding| {
            forwarding.expiry_out.0 = 3_017;
            forwarding.expiry_in.0 = 4_000;
        });
        assert_eq!(far, Err(Failure::ExpiryTooFar));
    }
}
