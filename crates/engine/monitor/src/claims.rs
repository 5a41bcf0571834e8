//! Which outputs are ours to take, by what input, from when, and until when (BOLT 5).

use bitcoin::Sequence;
use quittance_channel::{ChannelState, HtlcSource, Removal, Side};
use quittance_journal::mark;
use quittance_primitives::{BlockCount, BlockHeight, HtlcId, PaymentHash, PaymentPreimage};
use quittance_transactions::{ClaimInput, CommitmentOutput, Htlc, OutputRole, RevokedCommitment};

use crate::ChainView;
use crate::closing::OnChainCommitment;
use crate::outputs::{Output, Purpose, offered_by, outputs};

/// An output that is ours to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How it is spent. Its keys are public ones; a signer completes it.
    pub input: ClaimInput,
    /// Why it is ours.
    pub reason: ClaimReason,
    /// The lowest block that may hold the claim.
    pub matures_at: BlockHeight,
    /// The height by which the claim should be in a block, since somebody else can take the output afterwards, or since an
    /// HTLC upstream expires. `None` when nobody else ever can.
    pub deadline: Option<BlockHeight>,
}

/// Why an output is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimReason {
    /// It is our balance.
    Balance,
    /// An HTLC of the peer's, whose preimage we know.
    Preimage(HtlcId),
    /// An HTLC of ours that expired.
    Timeout(HtlcId),
    /// The second stage of an HTLC of our own commitment, after the delay.
    SecondStage(Side, HtlcId),
    /// The balance of a cheating peer.
    Penalty,
    /// An HTLC of a revoked commitment, in either direction, by whom it was offered.
    PenaltyHtlc(Side, HtlcId),
    /// What the cheating peer made of an HTLC before we took it.
    PenaltySecondStage(Side, HtlcId),
    /// An anchor that nobody used: 330 satoshis that anyone can take.
    Anchor,
}

/// How long after its expiry an HTLC of our own should be back, when no HTLC upstream says otherwise.
const TIMEOUT_PATIENCE: BlockCount = BlockCount(36);

/// The unspent outputs that are ours, mature or not, in the order of their outpoints.
pub(crate) fn claims(state: &ChannelState, view: &ChainView, commitment: &OnChainCommitment) -> Vec<Claim> {
    let Some(closing) = &view.closing else {
        return Vec::new();
    };
    let outputs = outputs(view, commitment, closing.height);
    let unspent = outputs.iter().filter(|output| output.spend.is_none());
    let mut claims: Vec<_> = unspent.filter_map(|output| claim(state, commitment, output)).collect();
    claims.sort_by_key(|claim| claim.input.outpoint);
    claims
}

fn claim(state: &ChannelState, commitment: &OnChainCommitment, output: &Output) -> Option<Claim> {
    let scripts = &commitment.scripts;
    let Output { outpoint, value, .. } = *output;
    let (input, reason, deadline) = match output.purpose {
        Purpose::Delayed => match commitment.owner {
            Side::Local => (scripts.delayed_claim(outpoint, value), ClaimReason::Balance, None),
            Side::Remote => (
                penalty(commitment, output)?,
                ClaimReason::Penalty,
                Some(delay_end(commitment, output)),
            ),
        },
        Purpose::AtOnce => match commitment.owner {
            Side::Local => return None,
            Side::Remote => (
                scripts.to_countersignatory_claim(outpoint, value),
                ClaimReason::Balance,
                None,
            ),
        },
        Purpose::Anchor(Some(party)) => (
            scripts.abandoned_anchor_claim(party, outpoint),
            ClaimReason::Anchor,
            None,
        ),
        // At most 240 satoshis, which no output of ours could hold alone.
        Purpose::Anchor(None) => return None,
        Purpose::Htlc(htlc) => return htlc_claim(state, commitment, output, &htlc),
        Purpose::SecondStage(htlc) => {
            let side = offered_by(commitment.owner, &htlc);
            match commitment.owner {
                Side::Local => (
                    scripts.delayed_claim(outpoint, value),
                    ClaimReason::SecondStage(side, htlc.id),
                    None,
                ),
                #[cfg(feature = "mutants")]
                Side::Remote
                    if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::SecondStageUnpunished) =>
                {
                    return None;
                }
                Side::Remote => (
                    penalty(commitment, output)?,
                    ClaimReason::PenaltySecondStage(side, htlc.id),
                    Some(delay_end(commitment, output)),
                ),
            }
        }
    };
    Some(Claim::new(input, reason, output.height, deadline))
}

fn htlc_claim(state: &ChannelState, commitment: &OnChainCommitment, output: &Output, htlc: &Htlc) -> Option<Claim> {
    let side = offered_by(commitment.owner, htlc);
    if commitment.secret.is_some() {
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::PenaltyMissesHtlc) {
            return None;
        }
        mark!("monitor: an HTLC of a revoked commitment is taken");
        let reason = ClaimReason::PenaltyHtlc(side, htlc.id);
        let deadline = Some(delay_end(commitment, output));
        return Some(Claim::new(
            penalty(commitment, output)?,
            reason,
            output.height,
            deadline,
        ));
    }
    let preimage = match side {
        Side::Local => None,
        Side::Remote => Some(preimage(state, htlc.id, &htlc.payment_hash)?),
    };
    let input = match &commitment.ours {
        Some(ours) => {
            let mut places = ours.htlc_outputs().iter().zip(&state.commitments.local.htlc_signatures);
            let (place, signature) = places.find(|(place, _)| place.vout == output.outpoint.vout)?;
            ours.second_stage_claim(place, signature, preimage)?
        }
        None => commitment
            .scripts
            .countersignatory_htlc_claim(htlc, output.outpoint, preimage)?,
    };
    let expiry = BlockHeight(htlc.cltv_expiry.0);
    let (reason, deadline) = match side {
        Side::Local => {
            mark!("monitor: an HTLC of ours is taken back");
            (ClaimReason::Timeout(htlc.id), timeout_deadline(state, htlc.id, expiry))
        }
        Side::Remote => {
            mark!("monitor: an HTLC of the peer's is claimed");
            (ClaimReason::Preimage(htlc.id), expiry)
        }
    };
    Some(Claim::new(input, reason, output.height, Some(deadline)))
}

/// What claims an HTLC of the peer's, if we know it: from the HTLC itself, or from the decision to claim its payment.
pub(crate) fn preimage(state: &ChannelState, id: HtlcId, hash: &PaymentHash) -> Option<PaymentPreimage> {
    let htlc = state.commitments.received.get(&id);
    let known = htlc.and_then(|htlc| {
        let late = htlc.preimage;
        #[cfg(feature = "mutants")]
        let late =
            late.filter(|_| !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::LatePreimageIgnored));
        late.or_else(|| htlc.removal.as_ref().and_then(Removal::preimage))
    });
    let decided = || {
        let part = |claim: &&quittance_channel::UnreleasedClaim| {
            let mut parts = claim.claim.parts.iter();
            parts.any(|part| part.channel == state.facts.channel_id && part.htlc == id)
        };
        state.claims.values().find(part).map(|claim| claim.claim.preimage)
    };
    known.or_else(decided).filter(|preimage| hash.is_paid_by(preimage))
}

/// When an HTLC that we forwarded must be back: before the one upstream expires.
fn timeout_deadline(state: &ChannelState, id: HtlcId, expiry: BlockHeight) -> BlockHeight {
    let source = state.offered_htlc(id).map(|htlc| &htlc.source);
    match source {
        Some(HtlcSource::Forward(source)) => BlockHeight(source.cltv_expiry.0),
        Some(HtlcSource::Payment(_)) | None => expiry.saturating_add(TIMEOUT_PATIENCE),
    }
}

fn penalty(commitment: &OnChainCommitment, output: &Output) -> Option<ClaimInput> {
    let revoked = RevokedCommitment::new(&commitment.scripts, commitment.secret.as_ref()?);
    let revoked = revoked.expect("the scripts were derived from the secret");
    let Output { outpoint, value, .. } = *output;
    match output.purpose {
        Purpose::Delayed | Purpose::SecondStage(_) => Some(revoked.delayed_penalty(outpoint, value)),
        Purpose::Htlc(htlc) => revoked.penalty(&CommitmentOutput {
            outpoint,
            value,
            role: OutputRole::Htlc(htlc),
        }),
        Purpose::AtOnce | Purpose::Anchor(_) => None,
    }
}

/// When the cheating peer could take a delayed output itself, or, of an HTLC, what it could make of it in the next block.
fn delay_end(commitment: &OnChainCommitment, output: &Output) -> BlockHeight {
    let delay = BlockCount(u32::from(commitment.scripts.to_self_delay().0));
    output.height.saturating_add(delay)
}

impl Claim {
    fn new(input: ClaimInput, reason: ClaimReason, height: BlockHeight, deadline: Option<BlockHeight>) -> Self {
        let after_parent = height.saturating_add(BlockCount(relative_blocks(input.sequence)));
        let after_lock = BlockHeight(input.lock_time.to_consensus_u32()).saturating_add(BlockCount(1));
        Self {
            matures_at: after_parent.max(after_lock),
            input,
            reason,
            deadline,
        }
    }

    /// Whether the next block after `tip` may hold the claim.
    pub fn is_mature(&self, tip: BlockHeight) -> bool {
        self.matures_at <= tip.saturating_add(BlockCount(1))
    }
}

/// How many blocks an input waits after the output that it spends. Only heights are used by BOLT 3.
fn relative_blocks(sequence: Sequence) -> u32 {
    if sequence.is_height_locked() {
        sequence.to_consensus_u32() & 0xffff
    } else {
        0
    }
}
