//! What should be in the mempool: the transaction that closes the channel, and then the claims on what came of it.

use bitcoin::{Amount, Script, TxOut, Weight};
use quittance_channel::{ChannelState, ClosingToBroadcast, Phase, Side, View};
use quittance_journal::mark;
use quittance_primitives::{BlockHeight, FeeratePerKw};
use quittance_transactions::{
    ClaimInput, ClaimTransaction, CommitmentTransaction, OutputRole, Party, dust_threshold, fees as bolt3,
};
use secp256k1::ecdsa::Signature;

use crate::closing::unrevoked;
use crate::fees::{budget, feerate_for, is_due, raised};
use crate::monitor::total;
use crate::plan::{Group, deadline, groups, inputs, is_whole, needs_coin, weight, weight_with_coin};
use crate::room::Room;
use crate::{Attempt, Attempts, ChainView, Claim, FeeEstimates, FeeRequest, Parent};

/// What feerates, scripts and coins claims are made with.
#[derive(Clone, Debug)]
pub struct FeeContext<'a> {
    /// What confirms when.
    pub estimates: FeeEstimates,
    /// Where what we claim goes: a script of the wallet's.
    pub destination: &'a Script,
    /// The coins that the wallet could give to what cannot pay for itself, and has not promised to anything. What a channel's claims will
    /// ask for is taken from them: the others of the same step find what is left.
    pub coins: Vec<Amount>,
}

/// Something that should be in the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// A closing transaction that the peer signed, and our funding key has yet to sign.
    Mutual(Box<ClosingToBroadcast>),
    /// Our commitment, which our funding key has yet to sign.
    Commitment {
        /// The transaction.
        commitment: Box<CommitmentTransaction>,
        /// The peer's signature on it.
        countersignature: Signature,
        /// The child that pays for it; both are broadcast as a package.
        child: Option<FeeRequest>,
    },
    /// A transaction that pays for itself, which our keys have yet to sign.
    Claims(ClaimTransaction),
    /// A transaction that needs coins.
    WithCoins(FeeRequest),
}

pub(crate) fn broadcasts(
    state: &ChannelState,
    view: &ChainView,
    claims: Vec<Claim>,
    attempts: &mut Attempts,
    context: &mut FeeContext<'_>,
) -> Vec<Broadcast> {
    let tip = view.tip.height;
    if view.closing.is_none() {
        return closing(state, attempts, context, tip);
    }
    let mature = claims.into_iter().filter(|claim| claim.is_mature(tip)).collect();
    let groups = groups(mature, attempts, state.facts.format, tip, context);
    groups
        .into_iter()
        .filter_map(|group| group_broadcast(group, attempts, context, tip))
        .collect()
}

/// What closes the channel, if it is to be closed.
fn closing(
    state: &ChannelState,
    attempts: &mut Attempts,
    context: &mut FeeContext<'_>,
    tip: BlockHeight,
) -> Vec<Broadcast> {
    match &state.phase {
        Phase::ClosingAgreed(_) => {
            let closings = state.agreed_closings().into_iter();
            closings.map(|closing| Broadcast::Mutual(Box::new(closing))).collect()
        }
        // It would spend what is not there: a funder that died before its channel was durable never broadcasts the funding.
        Phase::ForceClosed(_) if state.funding.is_none() => {
            mark!("a commitment waits for its funding");
            Vec::new()
        }
        Phase::ForceClosed(_) => {
            let Some(commitment) = unrevoked(state, View::Local) else {
                return Vec::new();
            };
            let child = child(state, &commitment, attempts, context, tip);
            vec![Broadcast::Commitment {
                commitment: Box::new(commitment),
                countersignature: state.commitments.local.signature,
                child,
            }]
        }
        // I-8: what may be revoked is never broadcast.
        Phase::FellBehind | Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::Abandoned(_) => {
            Vec::new()
        }
    }
}

/// The child of our own unconfirmed commitment, by its anchor.
fn child(
    state: &ChannelState,
    commitment: &CommitmentTransaction,
    attempts: &mut Attempts,
    context: &mut FeeContext<'_>,
    tip: BlockHeight,
) -> Option<FeeRequest> {
    let anchor = anchor(commitment)?;
    let untrimmed = u32::try_from(commitment.htlc_outputs().len()).expect("HTLCs are few");
    let parent = Parent {
        weight: bolt3::commitment_weight(state.facts.format, untrimmed),
        fee: commitment.fee(),
    };
    let deadline = commitment_deadline(state, commitment);
    let attempt = attempts.0.get(&anchor.outpoint);
    let feerate = next_feerate(attempt, deadline, context, tip);
    if commitment.fee() >= feerate.fee_ceil(parent.weight) && attempt.is_none() {
        return None;
    }
    if attempt.is_none() {
        let least = feerate.fee_ceil(parent.weight + CHILD_WEIGHT);
        Room::beside(1, 1, &mut context.coins).take_coin(least);
    }
    let at_stake: Amount = commitment
        .outputs()
        .filter(|output| is_ours(state, &output.role))
        .map(|output| output.value)
        .sum();
    let request = FeeRequest {
        claims: vec![anchor],
        feerate,
        parent: Some(parent),
        budget: budget(at_stake),
    };
    note(
        attempts,
        attempt.cloned(),
        vec![request.claims[0].outpoint],
        feerate,
        Amount::ZERO,
        tip,
    );
    Some(request)
}

/// What a child weighs, with one coin.
const CHILD_WEIGHT: Weight = Weight::from_wu(800);

fn anchor(commitment: &CommitmentTransaction) -> Option<ClaimInput> {
    let scripts = commitment.scripts();
    commitment.outputs().find_map(|output| match output.role {
        OutputRole::Anchor(Party::Broadcaster) => Some(scripts.anchor_claim(Party::Broadcaster, output.outpoint)),
        OutputRole::SharedAnchor => Some(scripts.shared_anchor_claim(output.outpoint, output.value)),
        OutputRole::Anchor(Party::Countersignatory)
        | OutputRole::ToBroadcaster
        | OutputRole::ToCountersignatory
        | OutputRole::Htlc(_) => None,
    })
}

/// Whether an output of our own commitment may come to us.
fn is_ours(state: &ChannelState, role: &OutputRole) -> bool {
    match role {
        OutputRole::ToBroadcaster => true,
        OutputRole::Htlc(htlc) => {
            crate::outputs::offered_by(Side::Local, htlc) == Side::Local
                || crate::claims::preimage(state, htlc.id, &htlc.payment_hash).is_some()
        }
        OutputRole::ToCountersignatory | OutputRole::Anchor(_) | OutputRole::SharedAnchor => false,
    }
}

/// When our commitment must be in a block, for the first of its HTLCs that matters to us.
fn commitment_deadline(state: &ChannelState, commitment: &CommitmentTransaction) -> Option<BlockHeight> {
    let htlcs = commitment.htlc_outputs().iter();
    let ours = htlcs.filter(|output| is_ours(state, &OutputRole::Htlc(output.htlc)));
    ours.map(|output| BlockHeight(output.htlc.cltv_expiry.0)).min()
}

fn group_broadcast(
    group: Group,
    attempts: &mut Attempts,
    context: &FeeContext<'_>,
    tip: BlockHeight,
) -> Option<Broadcast> {
    let deadline = deadline(&group.claims);
    let last = group.attempt.as_ref().or(group.replaces.as_ref());
    let feerate = next_feerate(last, deadline, context, tip);
    if group.claims.iter().any(is_whole) {
        let claims = group.claims.into_iter().map(|claim| claim.input).collect();
        return ClaimTransaction::new(claims, Vec::new(), Vec::new())
            .ok()
            .map(Broadcast::Claims);
    }
    if group.claims.iter().any(needs_coin) {
        let at_stake = total(&group.claims);
        let weight_max = weight_with_coin(&group.claims);
        let replaced = group.replaces.as_ref().map_or(FeeratePerKw(0), |replaced| {
            // It conflicts with the transaction of all, and must pay more than that one as a whole.
            feerate_for(
                replaced.fee + FeeratePerKw::FLOOR.fee_ceil(weight_max),
                weight(&group.claims),
            )
        });
        // What the budget does not allow need not be asked for.
        let most = feerate_for(budget(at_stake), weight(&group.claims));
        let feerate = feerate.max(replaced).min(most.max(FeeratePerKw::FLOOR));
        let fee = feerate.fee_ceil(weight_max).min(budget(at_stake));
        note(attempts, group.attempt, inputs(&group.claims), feerate, fee, tip);
        return Some(Broadcast::WithCoins(FeeRequest {
            claims: group.claims.into_iter().map(|claim| claim.input).collect(),
            feerate,
            parent: None,
            budget: budget(at_stake),
        }));
    }
    self_paying(group, feerate, attempts, context, tip)
}

/// A transaction that pays its fee from what it claims. What would cost more than it brings is left out.
fn self_paying(
    group: Group,
    feerate: FeeratePerKw,
    attempts: &mut Attempts,
    context: &FeeContext<'_>,
    tip: BlockHeight,
) -> Option<Broadcast> {
    let Group {
        mut claims,
        attempt,
        replaces,
    } = group;
    // What is in the mempool keeps its inputs, whatever they bring by now: it is raised as far as its budget goes, and never given up.
    if attempt.is_none() {
        claims.retain(|claim| claim.input.output.value > feerate.fee_ceil(claim.input.input_weight()));
    }
    if claims.is_empty() {
        return None;
    }
    let given = total(&claims);
    let build = |value: Amount| {
        let output = TxOut {
            value,
            script_pubkey: context.destination.to_owned(),
        };
        let claims = claims.iter().map(|claim| claim.input.clone()).collect();
        ClaimTransaction::new(claims, Vec::new(), vec![output]).ok()
    };
    let weight = build(given)?.weight();
    let incremental = FeeratePerKw::FLOOR.fee_ceil(weight);
    let least = replaces
        .as_ref()
        .map_or(Amount::ZERO, |replaced| replaced.fee + incremental);
    // A claim that nobody contests may cost all that it brings, up to dust; others keep to the budget.
    let most = if claims.iter().all(|claim| claim.deadline.is_none()) {
        given
    } else {
        budget(given)
    };
    let last = attempt.as_ref().map_or(Amount::ZERO, |attempt| attempt.fee);
    let raise = match &attempt {
        Some(attempt) if attempt.feerate != feerate => attempt.fee + incremental,
        Some(_) | None => last,
    };
    let wanted = feerate.fee_ceil(weight).max(least).max(raise).min(most);
    // What the budget leaves may be too little to replace what is there (BIP 125, rule 4): then that is broadcast again.
    let fee = if attempt.is_none() || wanted >= last + incremental {
        wanted
    } else {
        last
    };
    let value = given.checked_sub(fee)?;
    if value < dust_threshold(context.destination) {
        return None;
    }
    note(attempts, attempt, inputs(&claims), feerate, fee, tip);
    build(value).map(Broadcast::Claims)
}

/// The feerate of the next broadcast: the last one, until it is time to raise it.
fn next_feerate(
    last: Option<&Attempt>,
    deadline: Option<BlockHeight>,
    context: &FeeContext<'_>,
    tip: BlockHeight,
) -> FeeratePerKw {
    let estimate = context.estimates.before(deadline, tip);
    let Some(last) = last else {
        return estimate;
    };
    let raised = raised(last.feerate, deadline, tip);
    if is_due(deadline, last.since, tip) || estimate >= raised {
        estimate.max(raised)
    } else {
        last.feerate
    }
}

/// Remembers what is broadcast.
fn note(
    attempts: &mut Attempts,
    last: Option<Attempt>,
    inputs: Vec<bitcoin::OutPoint>,
    feerate: FeeratePerKw,
    fee: Amount,
    tip: BlockHeight,
) {
    let since = match &last {
        Some(last) if last.feerate == feerate && last.inputs == inputs => last.since,
        Some(_) | None => tip,
    };
    attempts.note(Attempt {
        inputs,
        feerate,
        fee,
        since,
    });
}
