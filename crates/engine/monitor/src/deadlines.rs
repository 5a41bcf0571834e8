//! When a channel must be closed for an HTLC's sake (BOLT 2, `cltv_expiry_delta` selection).

use quittance_channel::{ChannelState, ForceCloseReason, HtlcState, Phase, Removal, Side, View};
use quittance_primitives::{BlockCount, BlockHeight, HtlcId};

/// Before an HTLC of the peer's expires whose preimage we know: time for two reorganised blocks on each of our commitment and
/// our claim, and for both to confirm (BOLT 2: `2R + G + S`, with `R` = 2, `G` = 2 and `S` = 12).
const FULFIL_MARGIN: BlockCount = BlockCount(18);
/// After an HTLC of ours expired: the peer's grace to fail it (`G`).
const TIMEOUT_GRACE: BlockCount = BlockCount(2);

/// Why the channel must be closed at `tip`, if it must: the HTLC whose deadline came first. `None` for a channel that is closed
/// already.
pub fn close_due(state: &ChannelState, tip: BlockHeight) -> Option<ForceCloseReason> {
    match state.phase {
        Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) => {}
        Phase::ClosingAgreed(_) | Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => return None,
    }
    let due = deadlines(state).filter(|(deadline, _)| *deadline <= tip).min();
    due.map(|(_, id)| ForceCloseReason::HtlcDeadline(id))
}

fn deadlines(state: &ChannelState) -> impl Iterator<Item = (BlockHeight, HtlcId)> + '_ {
    let offered = state.commitments.offered.values();
    let offered = offered.filter(|htlc| is_committed(htlc.state)).map(|htlc| {
        let expiry = BlockHeight(htlc.terms.cltv_expiry.0);
        (expiry.saturating_add(TIMEOUT_GRACE), htlc.terms.id)
    });
    let received = state.commitments.received.values();
    let fulfilled = received.filter(|htlc| {
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ClaimDeadlineIgnored) {
            return false;
        }
        let is_fulfilled = htlc.removal.as_ref().and_then(Removal::preimage).is_some() || htlc.preimage.is_some();
        is_fulfilled && is_committed(htlc.state)
    });
    offered.chain(fulfilled.map(|htlc| {
        let expiry = BlockHeight(htlc.terms.cltv_expiry.0);
        (expiry.saturating_sub(FULFIL_MARGIN), htlc.terms.id)
    }))
}

/// Whether some commitment that may be broadcast holds the HTLC.
fn is_committed(state: HtlcState) -> bool {
    [Side::Local, Side::Remote]
        .into_iter()
        .any(|side| state.is_in_commitment_of(side))
        || View::RemotePrevious.contains(state)
}
