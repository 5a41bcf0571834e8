//! Which claims go together into one transaction, and with which feerate each such transaction was tried.
//!
//! Claims that nobody contests are swept together. Of those that have a deadline, only the ones that stand and fall in the same
//! way go together, and none once the deadline is near: then one contested input cannot hold up the rest (BOLT 5, revoked
//! transaction close); but for those that nobody else can take before it, and that need coins. A transaction that was broadcast keeps its inputs for as long as they are unspent, so that raising it
//! replaces it and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, OutPoint, Weight};
use quittance_primitives::{BlockHeight, FeeratePerKw};
use quittance_records::{Listed, record};
use quittance_transactions::CommitmentFormat;

use crate::fees::{budget, is_urgent};
use crate::{Claim, ClaimReason};

/// Everything that was broadcast to claim outputs, by the first output that it claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts(pub(crate) BTreeMap<OutPoint, Attempt>);

record!(Attempts(attempts));

/// A transaction that was broadcast, as far as it must be remembered to replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it claims.
    pub inputs: Vec<OutPoint>,
    /// What it pays.
    pub feerate: FeeratePerKw,
    /// What that comes to, or came to at least.
    pub fee: Amount,
    /// The height at which it was made or raised last.
    pub since: BlockHeight,
}

record!(Attempt {
    inputs,
    feerate,
    fee,
    since
});
impl Listed for Attempt {}

/// Claims for one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Never empty.
    pub(crate) claims: Vec<Claim>,
    /// How the same claims were tried last.
    pub(crate) attempt: Option<Attempt>,
    /// What a transaction that this one replaces pays, whatever became of its inputs.
    pub(crate) replaces: Option<Attempt>,
}

/// Claims of one kind may stand in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A second stage that the peer signed as a whole transaction.
    Whole(OutPoint),
    /// Second stages that coins are added to, by their lock time.
    SecondStage(u32),
    /// Nobody else can take these.
    Uncontested,
    /// Anyone can take these.
    Anchors,
    /// With a preimage, on the peer's commitment.
    Preimages,
    /// After their expiry, on the peer's commitment.
    Timeouts,
    /// Of the cheater's balance.
    Penalty,
    /// Of HTLCs that the cheater can still move.
    HtlcPenalties,
    /// Whatever it is, its deadline is near.
    Urgent(OutPoint),
}

/// A transaction of version 3 has at most 10,000 vB (BIP 431); the rest is for coins.
const SECOND_STAGES_WEIGHT_MAX: Weight = Weight::from_wu(36_000);
/// A quarter of what a standard transaction may weigh, so that a raise never has to pay for a large transaction at once.
const GROUP_WEIGHT_MAX: Weight = Weight::from_wu(100_000);

impl Attempts {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn note(&mut self, attempt: Attempt) {
        if let Some(first) = attempt.inputs.first() {
            self.0.insert(*first, attempt);
        }
    }
}

/// Puts mature claims together. Attempts whose inputs are no longer all unspent are dropped: they can never confirm.
pub(crate) fn groups(
    claims: Vec<Claim>,
    attempts: &mut Attempts,
    format: CommitmentFormat,
    tip: BlockHeight,
) -> Vec<Group> {
    let mut open: BTreeMap<OutPoint, Claim> = claims.into_iter().map(|claim| (claim.input.outpoint, claim)).collect();
    attempts
        .0
        .retain(|_, attempt| attempt.inputs.iter().all(|input| open.contains_key(input)));
    let mut groups = Vec::new();
    for attempt in std::mem::take(&mut attempts.0).into_values() {
        let claims: Vec<_> = attempt.inputs.iter().filter_map(|input| open.remove(input)).collect();
        if claims.len() < attempt.inputs.len() {
            open.extend(claims.into_iter().map(|claim| (claim.input.outpoint, claim)));
            continue;
        }
        attempts.note(attempt.clone());
        if is_together(&claims, tip) || !can_come_apart(&claims, &attempt) {
            groups.push(Group {
                claims,
                attempt: Some(attempt),
                replaces: None,
            });
        } else {
            attempts.0.remove(&attempt.inputs[0]);
            groups.extend(apart(claims, attempt));
        }
    }
    groups.extend(fresh(open.into_values(), format, tip));
    groups
}

/// Whether claims that were put together may stay so.
fn is_together(claims: &[Claim], tip: BlockHeight) -> bool {
    claims.len() == 1 || !claims.iter().any(|claim| stands_alone(claim, tip))
}

/// Whether a claim goes into a transaction of its own: somebody else can take its output, and its deadline is near.
fn stands_alone(claim: &Claim, tip: BlockHeight) -> bool {
    is_contested(claim) && is_urgent(claim.deadline, tip) && !is_only_ours_yet(claim, tip)
}

/// Whether an output is nobody else's before the deadline, and its claim needs a coin: an HTLC of the peer's on our own commitment, whose
/// preimage we know. Each alone would need a coin of its own, which wallets do not have; together one coin is enough.
fn is_only_ours_yet(claim: &Claim, tip: BlockHeight) -> bool {
    let is_by_preimage = matches!(claim.reason, ClaimReason::Preimage(_));
    is_by_preimage && claim.input.second_stage.is_some() && claim.deadline.is_some_and(|deadline| tip < deadline)
}

/// Whether the most valuable of the claims can pay, alone and within its budget, for taking the place of them all. Otherwise they are raised
/// together: what the mempool refuses replaces nothing.
fn can_come_apart(claims: &[Claim], attempt: &Attempt) -> bool {
    let most_valuable = claims.iter().max_by_key(|claim| claim.input.output.value);
    most_valuable.is_some_and(|claim| {
        let alone = weight_with_coin(std::slice::from_ref(claim));
        budget(claim.input.output.value) >= attempt.fee + FeeratePerKw::FLOOR.fee_ceil(alone)
    })
}

/// Each claim alone, the most valuable one first: it replaces the transaction of all, and makes room for the others.
fn apart(mut claims: Vec<Claim>, attempt: Attempt) -> impl Iterator<Item = Group> {
    claims.sort_by_key(|claim| std::cmp::Reverse(claim.input.output.value));
    let mut replaces = Some(attempt);
    claims.into_iter().map(move |claim| Group {
        claims: vec![claim],
        attempt: None,
        replaces: replaces.take(),
    })
}

fn fresh(claims: impl Iterator<Item = Claim>, format: CommitmentFormat, tip: BlockHeight) -> Vec<Group> {
    let mut by_kind: BTreeMap<Kind, Vec<Vec<Claim>>> = BTreeMap::new();
    for claim in claims {
        let kind = Kind::of(&claim, tip);
        let limit = match kind {
            Kind::SecondStage(_) if format == CommitmentFormat::ZeroFee => SECOND_STAGES_WEIGHT_MAX,
            _ => GROUP_WEIGHT_MAX,
        };
        let batches = by_kind.entry(kind).or_default();
        match batches.last_mut() {
            Some(batch) if weight(batch) + claim_weight(&claim) <= limit => batch.push(claim),
            Some(_) | None => batches.push(vec![claim]),
        }
    }
    let batches = by_kind.into_values().flatten();
    batches
        .map(|claims| Group {
            claims,
            attempt: None,
            replaces: None,
        })
        .collect()
}

impl Kind {
    fn of(claim: &Claim, tip: BlockHeight) -> Self {
        let outpoint = claim.input.outpoint;
        let second_stage = claim.input.second_stage.as_ref();
        if second_stage.is_some_and(|terms| terms.sighash_type == EcdsaSighashType::All) {
            return Self::Whole(outpoint);
        }
        if stands_alone(claim, tip) {
            return Self::Urgent(outpoint);
        }
        if second_stage.is_some() {
            return Self::SecondStage(claim.input.lock_time.to_consensus_u32());
        }
        match claim.reason {
            ClaimReason::Balance | ClaimReason::SecondStage(..) => Self::Uncontested,
            ClaimReason::Anchor => Self::Anchors,
            ClaimReason::Preimage(_) => Self::Preimages,
            ClaimReason::Timeout(_) => Self::Timeouts,
            ClaimReason::Penalty | ClaimReason::PenaltySecondStage(..) => Self::Penalty,
            ClaimReason::PenaltyHtlc(..) => Self::HtlcPenalties,
        }
    }
}

/// Whether somebody else can take the output at any moment.
const fn is_contested(claim: &Claim) -> bool {
    match claim.reason {
        ClaimReason::Preimage(_)
        | ClaimReason::Timeout(_)
        | ClaimReason::Penalty
        | ClaimReason::PenaltyHtlc(..)
        | ClaimReason::PenaltySecondStage(..) => true,
        ClaimReason::Balance | ClaimReason::SecondStage(..) | ClaimReason::Anchor => false,
    }
}

/// What these claims add to a transaction.
pub(crate) fn weight(claims: &[Claim]) -> Weight {
    claims.iter().map(claim_weight).sum()
}

/// What a transaction of these claims weighs at most, with one coin for its fee and one output for what is left.
pub(crate) fn weight_with_coin(claims: &[Claim]) -> Weight {
    const REST: Weight = Weight::from_wu(600);
    weight(claims) + REST
}

fn claim_weight(claim: &Claim) -> Weight {
    const OUTPUT: Weight = Weight::from_wu(4 * 43);
    let output = claim.input.second_stage.as_ref().map_or(Weight::ZERO, |_| OUTPUT);
    claim.input.input_weight() + output
}

/// The outputs that a set of claims takes, in order.
pub(crate) fn inputs(claims: &[Claim]) -> Vec<OutPoint> {
    let inputs: BTreeSet<_> = claims.iter().map(|claim| claim.input.outpoint).collect();
    inputs.into_iter().collect()
}
