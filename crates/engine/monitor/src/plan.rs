//! Which claims go together into one transaction, which come apart, and which wait.
//!
//! Claims that nobody contests are swept together. Of those that have a deadline, only the ones that stand and fall in the same
//! way go together, and none once the deadline is near: then one contested input cannot hold up the rest (BOLT 5, revoked
//! transaction close); but for those that nobody else can take before it, and that need coins, and as far as there is [`Room`]. A
//! transaction that was broadcast keeps its inputs for as long as they are unspent, so that raising it replaces it and nothing else.
//! What is not urgent waits for a place, by deadline. Start at [`groups`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, OutPoint, Weight};
use quittance_journal::mark;
use quittance_primitives::{BlockHeight, FeeratePerKw};
use quittance_transactions::CommitmentFormat;

use crate::fees::{budget, is_urgent};
use crate::room::Room;
use crate::{Attempt, Attempts, Claim, ClaimReason, FeeContext, FeeEstimates};

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
}

/// Claims that are in one transaction, or will be if they do not come apart.
struct Batch {
    claims: Vec<Claim>,
    attempt: Option<Attempt>,
}

/// A transaction of version 3 has at most 10,000 vB (BIP 431); the rest is for coins.
const SECOND_STAGES_WEIGHT_MAX: Weight = Weight::from_wu(36_000);
/// A quarter of what a standard transaction may weigh, so that a raise never has to pay for a large transaction at once.
const GROUP_WEIGHT_MAX: Weight = Weight::from_wu(100_000);

/// Puts mature claims together, the earliest deadline first. Attempts whose inputs are no longer all unspent are dropped: they can never
/// confirm. The coins of `context` that new transactions will ask for are taken from it.
pub(crate) fn groups(
    claims: Vec<Claim>,
    attempts: &mut Attempts,
    format: CommitmentFormat,
    tip: BlockHeight,
    context: &mut FeeContext<'_>,
) -> Vec<Group> {
    let mut batches = batches(claims, attempts, format);
    // Those who lack a coin are in the order in which the wallet is asked.
    batches.sort_by_key(|batch| (batch.deadline().is_none(), batch.deadline()));
    let estimates = context.estimates;
    let certain = batches.iter().filter(|batch| batch.is_certain(tip)).count();
    let asking = batches.iter().filter(|batch| batch.asks_for_coin()).count();
    let mut room = Room::beside(certain, asking, &mut context.coins);
    let is_patient = |batch: &Batch| batch.attempt.is_some() && !is_urgent(batch.deadline(), tip);
    let mut is_patient_in_flight = batches.iter().any(is_patient);
    let mut groups = Vec::new();
    for batch in batches {
        if !batch.is_certain(tip) {
            // One has a place in any case: what is urgent may stay so for long, where the blocks are full.
            if !room.take_place() && is_patient_in_flight {
                mark!("monitor: a claim waits for a place");
                continue;
            }
            is_patient_in_flight = true;
        }
        let feerate = estimates.before(batch.deadline(), tip);
        let first_coin = batch
            .asks_for_coin()
            .then(|| feerate.fee_ceil(weight_with_coin(&batch.claims)));
        groups.extend(apart(batch, attempts, tip, &mut room, estimates));
        if let Some(least) = first_coin {
            room.take_coin(least);
        }
    }
    groups
}

/// Mature claims as they are together already, and the others as they go together.
fn batches(claims: Vec<Claim>, attempts: &mut Attempts, format: CommitmentFormat) -> Vec<Batch> {
    let mut open: BTreeMap<OutPoint, Claim> = claims.into_iter().map(|claim| (claim.input.outpoint, claim)).collect();
    attempts
        .0
        .retain(|_, attempt| attempt.inputs.iter().all(|input| open.contains_key(input)));
    let mut batches = Vec::new();
    for attempt in std::mem::take(&mut attempts.0).into_values() {
        let claims: Vec<_> = attempt.inputs.iter().filter_map(|input| open.remove(input)).collect();
        if claims.len() < attempt.inputs.len() {
            open.extend(claims.into_iter().map(|claim| (claim.input.outpoint, claim)));
            continue;
        }
        attempts.note(attempt.clone());
        batches.push(Batch {
            claims,
            attempt: Some(attempt),
        });
    }
    batches.extend(fresh(open.into_values(), format));
    batches
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

/// The claims that must stand alone, each alone as far as there is room, the most valuable first: it replaces the transaction of all if there
/// is one, and makes room for the others. What is left stays together.
fn apart(
    batch: Batch,
    attempts: &mut Attempts,
    tip: BlockHeight,
    room: &mut Room<'_>,
    estimates: FeeEstimates,
) -> Vec<Group> {
    let Batch { mut claims, attempt } = batch;
    let stays = |attempt: &Attempt| is_together(&claims, tip) || !can_come_apart(&claims, attempt);
    let mut groups = Vec::new();
    if attempt.as_ref().is_none_or(|attempt| !stays(attempt)) {
        // Who replaces the transaction of all must be able to pay for that, whether its own deadline is near or not.
        let leaves = |claim: &Claim| attempt.is_some() || stands_alone(claim, tip);
        claims.sort_by_key(|claim| (!leaves(claim), Reverse(claim.input.output.value)));
        let mut replaces = attempt.clone();
        while claims.len() > 1 && leaves(&claims[0]) {
            let feerate = attempt.as_ref().map_or(FeeratePerKw::FLOOR, |attempt| attempt.feerate);
            let feerate = feerate.max(estimates.before(claims[0].deadline, tip));
            let replaced = replaces.as_ref().map_or(Amount::ZERO, |replaced| replaced.fee);
            if !room.take_part(coin_needed(&claims[0], feerate, replaced)) {
                break;
            }
            groups.push(Group {
                claims: vec![claims.remove(0)],
                attempt: None,
                replaces: replaces.take(),
            });
        }
    }
    // In the order of their attempt: the same claims are the same transaction.
    claims.sort_by_key(|claim| claim.input.outpoint);
    let attempt = attempt.filter(|attempt| {
        if !groups.is_empty() {
            attempts.0.remove(&attempt.inputs[0]);
        }
        groups.is_empty()
    });
    groups.push(Group {
        claims,
        attempt,
        replaces: None,
    });
    groups
}

/// What a coin for a claim that is to stand alone must be worth at least, if it needs one: for its fee twice over, so that it can be raised,
/// and for the fee of what it replaces.
fn coin_needed(claim: &Claim, feerate: FeeratePerKw, replaced: Amount) -> Option<Amount> {
    let fee = feerate.fee_ceil(weight_with_coin(std::slice::from_ref(claim)));
    needs_coin(claim).then(|| fee * 2 + replaced)
}

fn fresh(claims: impl Iterator<Item = Claim>, format: CommitmentFormat) -> impl Iterator<Item = Batch> {
    let mut by_kind: BTreeMap<Kind, Vec<Vec<Claim>>> = BTreeMap::new();
    for claim in claims {
        let kind = Kind::of(&claim);
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
    batches.map(|claims| Batch { claims, attempt: None })
}

impl Batch {
    fn deadline(&self) -> Option<BlockHeight> {
        deadline(&self.claims)
    }

    /// Whether it goes out, whatever else there is: it is in the mempool already, or its deadline is near.
    fn is_certain(&self, tip: BlockHeight) -> bool {
        self.attempt.is_some() || is_urgent(self.deadline(), tip)
    }

    /// Whether the wallet has yet to be asked for its coin.
    fn asks_for_coin(&self) -> bool {
        self.attempt.is_none() && self.claims.iter().any(needs_coin)
    }
}

impl Kind {
    fn of(claim: &Claim) -> Self {
        if is_whole(claim) {
            return Self::Whole(claim.input.outpoint);
        }
        if claim.input.second_stage.is_some() {
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

/// When the first of the claims should be in a block.
pub(crate) fn deadline(claims: &[Claim]) -> Option<BlockHeight> {
    claims.iter().filter_map(|claim| claim.deadline).min()
}

/// Whether the peer signed the claim as a whole transaction, to which nothing can be added.
pub(crate) fn is_whole(claim: &Claim) -> bool {
    let terms = claim.input.second_stage.as_ref();
    terms.is_some_and(|terms| terms.sighash_type == EcdsaSighashType::All)
}

/// Whether the claim cannot pay for itself.
pub(crate) fn needs_coin(claim: &Claim) -> bool {
    claim.input.second_stage.is_some() && !is_whole(claim)
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
