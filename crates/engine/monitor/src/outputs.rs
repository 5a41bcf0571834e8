//! The outputs of a confirmed commitment and of the second stages on it, each with its HTLC and with what spent it.

use bitcoin::{Amount, OutPoint};
use quittance_channel::Side;
use quittance_primitives::BlockHeight;
use quittance_transactions::{Htlc, HtlcDirection, OutputRole, Party};

use crate::closing::OnChainCommitment;
use crate::{ChainView, Spend};

/// An output that came from the funding output.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) outpoint: OutPoint,
    pub(crate) value: Amount,
    /// The block that holds it.
    pub(crate) height: BlockHeight,
    pub(crate) purpose: Purpose,
    /// What spent it, if anything has.
    pub(crate) spend: Option<Spend>,
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The balance of the commitment's owner.
    Delayed,
    /// The balance of the other side.
    AtOnce,
    /// An anchor, of one side or of both.
    Anchor(Option<Party>),
    /// An HTLC.
    Htlc(Htlc),
    /// What the commitment's owner made of an HTLC.
    SecondStage(Htlc),
}

/// Who offered an HTLC that stands in a commitment of `owner`.
pub(crate) const fn offered_by(owner: Side, htlc: &Htlc) -> Side {
    match htlc.direction {
        HtlcDirection::Offered => owner,
        HtlcDirection::Received => owner.other(),
    }
}

/// Everything that came from the funding output, as far as it is known.
pub(crate) fn outputs(view: &ChainView, commitment: &OnChainCommitment, height: BlockHeight) -> Vec<Output> {
    let mut outputs = Vec::with_capacity(commitment.outputs.len());
    for output in &commitment.outputs {
        let purpose = match output.role {
            OutputRole::ToBroadcaster => Purpose::Delayed,
            OutputRole::ToCountersignatory => Purpose::AtOnce,
            OutputRole::Anchor(party) => Purpose::Anchor(Some(party)),
            OutputRole::SharedAnchor => Purpose::Anchor(None),
            OutputRole::Htlc(htlc) => Purpose::Htlc(htlc),
        };
        let spend = view.spends.get(&output.outpoint).cloned();
        if let (Some(spend), OutputRole::Htlc(htlc)) = (&spend, output.role) {
            outputs.extend(second_stage(view, spend, htlc));
        }
        outputs.push(Output {
            outpoint: output.outpoint,
            value: output.value,
            height,
            purpose,
            spend,
        });
    }
    outputs
}

fn second_stage(view: &ChainView, spend: &Spend, htlc: Htlc) -> Option<Output> {
    let outpoint = spend.successor();
    Some(Output {
        outpoint,
        value: spend.second_stage?,
        height: spend.height,
        purpose: Purpose::SecondStage(htlc),
        spend: view.spends.get(&outpoint).cloned(),
    })
}
