//! Money that closing channels may need: what ordinary spending leaves alone.
//!
//! A channel with anchors is closed by a commitment that pays little or nothing itself; the wallet pays for it. Without a confirmed coin
//! at that moment HTLCs can be lost, so each open channel of that kind keeps an amount in the wallet.

use std::collections::BTreeSet;

use bitcoin::{Amount, OutPoint};

use crate::Wallet;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservePolicy {
    /// For each open channel with anchors.
    pub per_channel: Amount,
    /// For all of them together.
    pub total_max: Amount,
}

impl Default for ReservePolicy {
    /// 25,000 sat for each channel, at most 500,000 sat: a commitment with some HTLCs and its child have 500 virtual bytes, at 50 sat each.
    fn default() -> Self {
        Self {
            per_channel: Amount::from_sat(25_000),
            total_max: Amount::from_sat(500_000),
        }
    }
}

impl Wallet {
    /// Says how many channels with anchors are open. To be told at the start and whenever it changes: the wallet does not know channels.
    pub fn set_anchor_channels(&mut self, open: u32) {
        self.anchor_channels = open;
    }

    /// What ordinary spending must leave.
    pub(crate) fn reserve(&self) -> Amount {
        let ReservePolicy { per_channel, total_max } = self.reserve_policy;
        let all = per_channel.to_sat().saturating_mul(u64::from(self.anchor_channels));
        Amount::from_sat(all).min(total_max)
    }

    /// The confirmed coins that best make up the reserve: the smallest that does alone, or else the largest ones until it is reached.
    /// None if all coins together do not.
    pub(crate) fn coins_for_reserve(&self, promised: &BTreeSet<OutPoint>) -> Vec<OutPoint> {
        let reserve = self.reserve();
        if reserve == Amount::ZERO {
            return Vec::new();
        }
        let mut coins: Vec<(Amount, OutPoint)> = self
            .view
            .list_unspent()
            .filter(|coin| coin.chain_position.is_confirmed() && self.is_mature(coin))
            .filter(|coin| !promised.contains(&coin.outpoint))
            .map(|coin| (coin.txout.value, coin.outpoint))
            .collect();
        coins.sort_unstable();
        if let Some((_, alone)) = coins.iter().find(|(value, _)| *value >= reserve) {
            return vec![*alone];
        }
        let (mut kept, mut sum) = (Vec::new(), Amount::ZERO);
        for (value, coin) in coins.into_iter().rev() {
            kept.push(coin);
            sum += value;
            if sum >= reserve {
                return kept;
            }
        }
        Vec::new()
    }
}
