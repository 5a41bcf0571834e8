//! What a cheater keeps: a commitment that it is about to revoke, with the signatures on its second stages.

use std::collections::BTreeMap;

use bitcoin::{Amount, Transaction};
use quittance_channel::View;
use quittance_primitives::{CommitmentNumber, HtlcId, PaymentPreimage};
use quittance_regtest::Chain;
use quittance_transactions::{CommitmentTransaction, HtlcDirection, HtlcOutput, OutputRole};
use secp256k1::ecdsa::Signature;

use crate::World;
use crate::pair::Who;

/// A commitment, signed, as its owner holds it at one moment.
#[derive(Clone, Debug)]
pub struct RevokedCommitment {
    /// Which one it is of its owner's.
    pub number: CommitmentNumber,
    /// What it is made of.
    pub commitment: CommitmentTransaction,
    /// Complete.
    pub transaction: Transaction,
    htlc_signatures: Vec<Signature>,
}

impl RevokedCommitment {
    /// What `owner` holds now.
    ///
    /// # Panics
    /// Never: a channel always holds a commitment.
    pub fn held_by(world: &mut World, owner: Who) -> Self {
        let end = world.pair.end(owner);
        let state = end.channel.state();
        let contents = state
            .commitments
            .contents(&state.facts, View::Local)
            .expect("there is one");
        let commitment = CommitmentTransaction::build_with_reduced_fee(&state.facts.terms(), &contents);
        let commitment = commitment.expect("it was signed");
        let own = end.keys.channel.sign_own_commitment(&commitment);
        Self {
            number: contents.number,
            transaction: commitment.signed(&own, &state.commitments.local.signature),
            commitment,
            htlc_signatures: state.commitments.local.htlc_signatures.clone(),
        }
    }

    /// The second stages that `owner` can make at the chain's tip: of its own HTLCs that have expired, and of the others whose
    /// preimage is among `known`.
    pub fn second_stages(
        &self,
        world: &mut World,
        owner: Who,
        known: &BTreeMap<HtlcId, PaymentPreimage>,
    ) -> Vec<Transaction> {
        let preimage = |output: &HtlcOutput| known.get(&output.htlc.id).copied();
        self.moves(world, owner, preimage)
    }

    /// The same, with preimages of whatever HTLCs.
    pub fn any_second_stages(&self, world: &mut World, owner: Who, known: &[PaymentPreimage]) -> Vec<Transaction> {
        let preimage = |output: &HtlcOutput| {
            let mut known = known.iter().copied();
            known.find(|preimage| output.htlc.payment_hash.is_paid_by(preimage))
        };
        self.moves(world, owner, preimage)
    }

    fn moves(
        &self,
        world: &mut World,
        owner: Who,
        preimage: impl Fn(&HtlcOutput) -> Option<PaymentPreimage>,
    ) -> Vec<Transaction> {
        let tip = world.chain.tip().height.0;
        let outputs = self.commitment.htlc_outputs().iter().zip(&self.htlc_signatures);
        let mut moves = Vec::new();
        for (output, signature) in outputs {
            let expired = output.htlc.cltv_expiry.0 <= tip;
            if output.htlc.direction == HtlcDirection::Offered && !expired {
                continue;
            }
            let claim = self.commitment.second_stage_claim(output, signature, preimage(output));
            if let Some(claim) = claim {
                moves.push(world.complete(owner, claim));
            }
        }
        moves
    }

    /// All that the commitment holds, anchors aside.
    pub fn value_without_anchors(&self) -> Amount {
        let is_anchor = |role: OutputRole| matches!(role, OutputRole::Anchor(_) | OutputRole::SharedAnchor);
        let outputs = self.commitment.outputs().filter(|output| !is_anchor(output.role));
        outputs.map(|output| output.value).sum()
    }

    /// What the commitment holds in outputs below `least`: they cannot pay for a transaction of their own, which has some 900 weight units.
    pub fn value_not_worth(&self, least: Amount) -> Amount {
        let values = self.commitment.outputs().map(|output| output.value);
        values.filter(|value| *value < least).sum()
    }

    /// The balance of the one who does not own the commitment.
    pub fn balance_of_the_other(&self) -> Amount {
        let outputs = self.commitment.outputs();
        let theirs = outputs.filter(|output| output.role == OutputRole::ToCountersignatory);
        theirs.map(|output| output.value).sum()
    }

    /// What all second stages leave to miners.
    pub fn second_stage_fees(&self) -> Amount {
        let outputs = self.commitment.htlc_outputs().iter();
        outputs
            .map(|output| output.htlc.amount.to_sat_floor() - output.second_stage_value)
            .sum()
    }

    /// What these second stages leave to miners.
    pub fn fees_of(&self, moves: &[Transaction]) -> Amount {
        let spent = |output: &&HtlcOutput| {
            moves.iter().any(|transaction| {
                let mut inputs = transaction.input.iter();
                inputs.any(|input| {
                    input.previous_output.txid == self.commitment.txid() && input.previous_output.vout == output.vout
                })
            })
        };
        let outputs = self.commitment.htlc_outputs().iter().filter(spent);
        outputs
            .map(|output| output.htlc.amount.to_sat_floor() - output.second_stage_value)
            .sum()
    }
}
