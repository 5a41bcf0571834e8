//! The opener's feerate, on its way from one commitment to the other.

use quittance_primitives::FeeratePerKw;
use quittance_records::{Listed, record};

use crate::HtlcState;

/// A feerate that the opener proposed. It passes through the first five states of an HTLC, and stays in the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeUpdate {
    /// The feerate of commitments and of HTLC transactions.
    pub feerate: FeeratePerKw,
    /// How far it has come.
    pub state: HtlcState,
}

record!(FeeUpdate { feerate, state });
impl Listed for FeeUpdate {}
