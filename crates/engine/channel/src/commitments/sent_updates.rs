//! What we sent and the peer has not acknowledged: what a new connection may ask for again (BOLT 2, message retransmission).

use quittance_primitives::{FeeratePerKw, HtlcId};
use quittance_records::{Listed, record, tagged};

/// An update of ours, by what is needed to send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentUpdate {
    /// `update_add_htlc` for an HTLC of ours.
    Added(HtlcId),
    /// The removal of one of the peer's HTLCs.
    Removed(HtlcId),
    /// `update_fee`.
    Fee(FeeratePerKw),
}

tagged!(SentUpdate { 1 => Added(id), 2 => Removed(id), 3 => Fee(feerate) });
impl Listed for SentUpdate {}

/// Which of the two came last: both may have to be sent again, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSent {
    /// `commitment_signed`.
    Commitment,
    /// `revoke_and_ack`.
    Revocation,
}

tagged!(LastSent { 1 => Commitment, 2 => Revocation });

/// The updates that we sent and that the peer has not acknowledged, in the order in which they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentUpdates {
    /// Those that our last `commitment_signed` covers, until it is acknowledged.
    pub signed: Vec<SentUpdate>,
    /// Those that came after it.
    pub unsigned: Vec<SentUpdate>,
    /// Whether `commitment_signed` or `revoke_and_ack` went out last.
    pub last: LastSent,
}

record!(SentUpdates { signed, unsigned, last });
