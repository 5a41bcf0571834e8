//! What the chain decided, for the channel's log. Facts are derived from view and state: what the log has already is not told
//! again, so telling them after every block, after a restart or after a reorganisation does no harm.

use bitcoin::{Transaction, Txid};
use quittance_channel::{ChannelState, OnChain, Outcome, Phase, Side};
use quittance_journal::mark;
use quittance_primitives::{BlockHeight, HtlcId};

use crate::closing::OnChainCommitment;
use crate::depths::{FORGET_DEPTH, is_buried};
use crate::outputs::{Output, Purpose, offered_by, outputs};
use crate::{ChainView, Closing};

/// Something that the chain decided and the log does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A commitment closed the channel: nothing may be signed any more.
    CommitmentConfirmed(Txid),
    /// The peer holds commitments that we know nothing of: ours must never be broadcast.
    FellBehind,
    /// An HTLC of ours has its outcome: its preimage was seen, or nobody can claim it any more.
    Resolved {
        /// Which of ours.
        id: HtlcId,
        /// What became of it.
        outcome: Outcome,
    },
    /// What became of an HTLC cannot change any more.
    Buried {
        /// Who offered it.
        offered_by: Side,
        /// Which one.
        id: HtlcId,
    },
}

/// What the log lacks, in the order in which it is to be written.
pub(crate) fn facts(state: &ChannelState, view: &ChainView, commitment: &OnChainCommitment) -> Vec<Fact> {
    let Some(closing) = &view.closing else {
        return Vec::new();
    };
    let mut facts: Vec<_> = of_the_channel(state, commitment, closing.transaction.compute_txid())
        .into_iter()
        .collect();
    // Of a revoked commitment nothing is told before its HTLCs are known, lest one that it holds counts as missing.
    let is_complete = match commitment.closing {
        Closing::Revoked(number) => view.revoked.as_ref().is_some_and(|revoked| revoked.number == number),
        Closing::Mutual | Closing::Ours(_) | Closing::Peers(..) | Closing::StateLost(_) | Closing::Unknown => true,
    };
    if !is_complete {
        return facts;
    }
    let chain = Decided {
        outputs: outputs(view, commitment, closing.height),
        commitment,
        may_hide_htlcs: may_hide_htlcs(commitment, &closing.transaction),
        closed_at: closing.height,
        tip: view.tip.height,
    };
    facts.extend(of_offered(state, &chain));
    facts.extend(of_received(state, &chain));
    facts
}

/// What the log lacks of a channel whose funding can never confirm, which was used without: nobody will ever claim an HTLC of it.
pub(crate) fn of_nothing(state: &ChannelState) -> Vec<Fact> {
    let offered = state.commitments.offered.iter();
    let offered = offered.filter(|(_, htlc)| htlc.on_chain == OnChain::Open);
    let offered = offered.flat_map(|(id, htlc)| {
        let failed = htlc.outcome.is_none().then_some(Fact::Resolved {
            id: *id,
            outcome: Outcome::FailedOnChain,
        });
        let buried = Fact::Buried {
            offered_by: Side::Local,
            id: *id,
        };
        failed.into_iter().chain([buried])
    });
    let received = state.commitments.received.iter();
    let received = received.filter(|(_, htlc)| htlc.on_chain == OnChain::Open);
    let received = received.map(|(id, _)| Fact::Buried {
        offered_by: Side::Remote,
        id: *id,
    });
    offered.chain(received).collect()
}

/// What the chain made of the commitment's outputs.
struct Decided<'a> {
    outputs: Vec<Output>,
    commitment: &'a OnChainCommitment,
    /// Whether an HTLC that is not among the outputs may be there all the same.
    may_hide_htlcs: bool,
    closed_at: BlockHeight,
    tip: BlockHeight,
}

impl Decided<'_> {
    /// The output of an HTLC, if it has one.
    fn output_of(&self, offered: Side, id: HtlcId) -> Option<&Output> {
        self.outputs.iter().find(|output| match output.purpose {
            Purpose::Htlc(htlc) => htlc.id == id && offered_by(self.commitment.owner, &htlc) == offered,
            Purpose::Delayed | Purpose::AtOnce | Purpose::Anchor(_) | Purpose::SecondStage(_) => false,
        })
    }
}

fn of_offered(state: &ChannelState, chain: &Decided<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let tip = chain.tip;
    for (id, htlc) in &state.commitments.offered {
        let output = chain.output_of(Side::Local, *id);
        let proves_nothing = output.is_none() && chain.may_hide_htlcs;
        let end = End::of(output, &htlc.terms.payment_hash, chain.closed_at, tip);
        let known = htlc.outcome.is_some();
        match end {
            End::Open => {}
            End::Fulfilled { .. } if known => mark!("monitor: a known preimage is shown on chain"),
            End::Failed if known => mark!("monitor: an HTLC with an outcome ends otherwise on chain"),
            End::Fulfilled { preimage, .. } => {
                mark!("monitor: a preimage is shown on chain");
                facts.push(Fact::Resolved {
                    id: *id,
                    outcome: Outcome::Fulfilled(preimage),
                });
            }
            End::Failed if proves_nothing => mark!("monitor: a missing HTLC proves nothing"),
            End::Failed => {
                mark!("monitor: an HTLC of ours failed on chain");
                facts.push(Fact::Resolved {
                    id: *id,
                    outcome: Outcome::FailedOnChain,
                });
            }
        }
        let is_final = match end {
            End::Open => false,
            End::Fulfilled { buried, .. } => buried,
            End::Failed => known || !proves_nothing,
        };
        if is_final && htlc.on_chain == OnChain::Open {
            facts.push(Fact::Buried {
                offered_by: Side::Local,
                id: *id,
            });
        }
    }
    facts
}

fn of_received(state: &ChannelState, chain: &Decided<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let tip = chain.tip;
    for (id, htlc) in &state.commitments.received {
        let output = chain.output_of(Side::Remote, *id);
        let spent = match output {
            Some(output) => output.spend.as_ref().is_some_and(|spend| is_buried(spend.height, tip)),
            None => is_buried(chain.closed_at, tip),
        };
        // The peer may never take back what it offered. Long after the expiry nobody waits for it any more.
        let expired = BlockHeight(htlc.terms.cltv_expiry.0).max(chain.closed_at);
        if (spent || expired.depth_at(tip) > FORGET_DEPTH) && htlc.on_chain == OnChain::Open {
            facts.push(Fact::Buried {
                offered_by: Side::Remote,
                id: *id,
            });
        }
    }
    facts
}

/// What became of an HTLC of ours.
enum End {
    Open,
    Fulfilled {
        preimage: quittance_primitives::PaymentPreimage,
        buried: bool,
    },
    Failed,
}

impl End {
    fn of(
        output: Option<&Output>,
        hash: &quittance_primitives::PaymentHash,
        closed_at: BlockHeight,
        tip: BlockHeight,
    ) -> Self {
        let Some(output) = output else {
            #[cfg(feature = "mutants")]
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::MissingFailsAtOnce) {
                return Self::Failed;
            }
            // Seed rule 7: missing from the confirmed commitment, which is buried.
            return if is_buried(closed_at, tip) {
                Self::Failed
            } else {
                Self::Open
            };
        };
        let Some(spend) = &output.spend else {
            return Self::Open;
        };
        let buried = is_buried(spend.height, tip);
        let shown = spend.preimage_of(hash);
        #[cfg(feature = "mutants")]
        let shown = shown
            .filter(|_| !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::PreimageOnChainIgnored));
        match shown {
            Some(preimage) => Self::Fulfilled { preimage, buried },
            None if buried => Self::Failed,
            None => Self::Open,
        }
    }
}

/// Whether the commitment may hold HTLCs that we cannot find: then a missing one proves nothing (M-1). Of a revoked one, any output that
/// cannot be named may be an HTLC whose record is lost.
fn may_hide_htlcs(commitment: &OnChainCommitment, closing: &Transaction) -> bool {
    match commitment.closing {
        Closing::StateLost(_) | Closing::Unknown => true,
        Closing::Revoked(_) => commitment.outputs.len() < closing.output.len(),
        Closing::Mutual | Closing::Ours(_) | Closing::Peers(..) => false,
    }
}

fn of_the_channel(state: &ChannelState, commitment: &OnChainCommitment, txid: Txid) -> Option<Fact> {
    let is_open = match state.phase {
        Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => true,
        Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => false,
    };
    match commitment.closing {
        Closing::StateLost(_) => {
            mark!("monitor: closed by a commitment that we know nothing of");
            (state.phase != Phase::FellBehind).then_some(Fact::FellBehind)
        }
        Closing::Ours(_) | Closing::Peers(..) | Closing::Revoked(_) | Closing::Unknown => {
            is_open.then_some(Fact::CommitmentConfirmed(txid))
        }
        Closing::Mutual => None,
    }
}
