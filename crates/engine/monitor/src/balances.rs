//! What the user may expect from a channel: how much, from when, and on what it depends.

use bitcoin::Amount;
use quittance_channel::{ChannelState, Side, View};
use quittance_primitives::{BlockHeight, HtlcId};

use crate::claims::{ClaimReason, claims, preimage};
use crate::closing::{OnChainCommitment, unrevoked};
use crate::depths::OUTCOME_DEPTH;
use crate::outputs::{Purpose, offered_by, outputs};
use crate::{ChainView, Claim};

/// A part of a channel's value that is, or may become, ours. Fees of claims are not taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimableBalance {
    /// How much.
    pub amount: Amount,
    /// Why, and what it waits for.
    pub kind: BalanceKind,
}

/// Why a balance is ours, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceKind {
    /// The channel is open: so much would be ours, were our commitment broadcast now.
    OnClose,
    /// It can be taken from the height `from` on; nobody else ever can.
    Waiting {
        /// The lowest block that may hold the claim.
        from: BlockHeight,
    },
    /// Somebody else can take it, too, at the latest after `until`.
    Contested {
        /// Why it is ours.
        reason: ClaimReason,
        /// The lowest block that may hold the claim.
        from: BlockHeight,
        /// The height by which we should have it.
        until: Option<BlockHeight>,
    },
    /// An HTLC of the peer's that is ours if we learn its preimage before it expires.
    IfPreimage {
        /// Which one.
        id: HtlcId,
        /// When the peer takes it back.
        expires_at: BlockHeight,
    },
    /// It is taken; `buried_at` makes it final.
    Confirming {
        /// When the claim is buried.
        buried_at: BlockHeight,
    },
}

pub(crate) fn balances(
    state: &ChannelState,
    view: &ChainView,
    commitment: Option<&OnChainCommitment>,
) -> Vec<ClaimableBalance> {
    let Some(closing) = &view.closing else {
        return open(state);
    };
    let Some(commitment) = commitment else {
        return Vec::new();
    };
    let mut balances: Vec<_> = claims(state, view, commitment)
        .iter()
        .filter(|claim| claim.reason != ClaimReason::Anchor)
        .map(of_claim)
        .collect();
    for output in outputs(view, commitment, closing.height) {
        let (Purpose::Htlc(htlc) | Purpose::SecondStage(htlc)) = output.purpose else {
            continue;
        };
        let is_theirs = offered_by(commitment.owner, &htlc) == Side::Remote;
        let unknown = is_theirs && preimage(state, htlc.id, &htlc.payment_hash).is_none();
        if unknown
            && output.spend.is_none()
            && commitment.secret.is_none()
            && matches!(output.purpose, Purpose::Htlc(_))
        {
            balances.push(ClaimableBalance {
                amount: output.value,
                kind: BalanceKind::IfPreimage {
                    id: htlc.id,
                    expires_at: BlockHeight(htlc.cltv_expiry.0),
                },
            });
        }
    }
    balances.extend(confirming(view, commitment, closing.height));
    balances
}

/// Our balance in our own commitment.
fn open(state: &ChannelState) -> Vec<ClaimableBalance> {
    let Some(commitment) = unrevoked(state, View::Local) else {
        return Vec::new();
    };
    let ours = commitment.outputs().filter(|output| match output.role {
        quittance_transactions::OutputRole::ToBroadcaster => true,
        quittance_transactions::OutputRole::ToCountersignatory
        | quittance_transactions::OutputRole::Anchor(_)
        | quittance_transactions::OutputRole::SharedAnchor
        | quittance_transactions::OutputRole::Htlc(_) => false,
    });
    ours.map(|output| ClaimableBalance {
        amount: output.value,
        kind: BalanceKind::OnClose,
    })
    .collect()
}

fn of_claim(claim: &Claim) -> ClaimableBalance {
    let kind = match claim.reason {
        ClaimReason::Balance | ClaimReason::SecondStage(..) | ClaimReason::Anchor => {
            BalanceKind::Waiting { from: claim.matures_at }
        }
        ClaimReason::Preimage(_)
        | ClaimReason::Timeout(_)
        | ClaimReason::Penalty
        | ClaimReason::PenaltyHtlc(..)
        | ClaimReason::PenaltySecondStage(..) => BalanceKind::Contested {
            reason: claim.reason,
            from: claim.matures_at,
            until: claim.deadline,
        },
    };
    ClaimableBalance {
        amount: claim.input.output.value,
        kind,
    }
}

/// What was ours alone and is spent, until that is buried.
fn confirming(
    view: &ChainView,
    commitment: &OnChainCommitment,
    closed_at: BlockHeight,
) -> impl Iterator<Item = ClaimableBalance> {
    let owner = commitment.owner;
    let tip = view.tip.height;
    let ours = outputs(view, commitment, closed_at)
        .into_iter()
        .filter(move |output| match output.purpose {
            Purpose::Delayed | Purpose::SecondStage(_) => owner == Side::Local,
            Purpose::AtOnce => owner == Side::Remote,
            Purpose::Anchor(_) | Purpose::Htlc(_) => false,
        });
    ours.filter_map(move |output| {
        let spend = output.spend?;
        (spend.height.depth_at(tip) < OUTCOME_DEPTH).then_some(ClaimableBalance {
            amount: output.value,
            kind: BalanceKind::Confirming {
                buried_at: BlockHeight(spend.height.0 + OUTCOME_DEPTH.0 - 1),
            },
        })
    })
}
