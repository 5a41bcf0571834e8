//! What a forward costs (BOLT 7, HTLC fees).

use quittance_primitives::MilliSatoshi;

/// A channel's price for a forward, as `channel_update` states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardingFee {
    /// For each HTLC, in msat.
    pub base_msat: u32,
    /// In millionths of the amount that is forwarded.
    pub proportional_millionths: u32,
}

impl ForwardingFee {
    /// The fee for forwarding `amount` (the outgoing HTLC's), rounded down; `None` if no 64 bits hold it.
    ///
    /// ```
    /// use quittance_primitives::MilliSatoshi;
    /// use quittance_wire::ForwardingFee;
    ///
    /// let fee = ForwardingFee { base_msat: 200, proportional_millionths: 2_000 };
    /// assert_eq!(fee.of_forwarding(MilliSatoshi(4_999_999)), Some(MilliSatoshi(10_199)));
    /// ```
    pub fn of_forwarding(self, amount: MilliSatoshi) -> Option<MilliSatoshi> {
        let proportional = u128::from(amount.0) * u128::from(self.proportional_millionths) / 1_000_000;
        u64::try_from(u128::from(self.base_msat) + proportional)
            .ok()
            .map(MilliSatoshi)
    }

    /// What must come in so that `amount` can go out; `None` if no 64 bits hold it.
    pub fn amount_in(self, amount: MilliSatoshi) -> Option<MilliSatoshi> {
        self.of_forwarding(amount)?.checked_add(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_part_is_rounded_down() {
        let fee = ForwardingFee {
            base_msat: 1,
            proportional_millionths: 1,
        };
        assert_eq!(fee.of_forwarding(MilliSatoshi(999_999)), Some(MilliSatoshi(1)));
        assert_eq!(fee.of_forwarding(MilliSatoshi(1_000_000)), Some(MilliSatoshi(2)));
    }

    #[test]
    fn fees_beyond_64_bits_are_no_fees() {
        let fee = ForwardingFee {
            base_msat: u32::MAX,
            proportional_millionths: u32::MAX,
        };
        assert_eq!(fee.of_forwarding(MilliSatoshi(u64::MAX)), None);
        let free = ForwardingFee::default();
        assert_eq!(free.amount_in(MilliSatoshi(u64::MAX)), Some(MilliSatoshi(u64::MAX)));
    }
}
