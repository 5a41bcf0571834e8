//! The limits that an operator of bitcoind may set, with the defaults of Bitcoin Core.

use bitcoin::FeeRate;

/// The mempool's configurable limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The static minimum (`-minrelaytxfee`).
    pub min_relay_feerate: FeeRate,
    /// What a replacement must pay for its own size on top of what it replaces (`-incrementalrelayfee`).
    pub incremental_relay_feerate: FeeRate,
    /// The feerate at which spending an output must not cost more than its value (`-dustrelayfee`).
    pub dust_relay_feerate: FeeRate,
    /// The most transactions in a cluster (`-limitclustercount`).
    pub cluster_count_max: usize,
    /// The largest cluster, in virtual bytes (`-limitclustersize`).
    pub cluster_vsize_max: u64,
}

impl Policy {
    /// The defaults since Bitcoin Core 30: 0.1 sat/vB to enter and to replace.
    pub const BITCOIN_CORE_31: Self = Self {
        min_relay_feerate: FeeRate::from_sat_per_kwu(25),
        incremental_relay_feerate: FeeRate::from_sat_per_kwu(25),
        dust_relay_feerate: FeeRate::from_sat_per_kwu(750),
        cluster_count_max: 64,
        cluster_vsize_max: 101_000,
    };

    /// Fee limits as in Bitcoin Core 28 and before: 1 sat/vB to enter and to replace.
    pub const ONE_SAT_PER_VBYTE: Self = Self {
        min_relay_feerate: FeeRate::from_sat_per_kwu(250),
        incremental_relay_feerate: FeeRate::from_sat_per_kwu(250),
        ..Self::BITCOIN_CORE_31
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::BITCOIN_CORE_31
    }
}
