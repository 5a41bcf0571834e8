//! Which of the channel's transactions spent the funding output, and what its outputs are (BOLT 5).

use std::cmp::Ordering;

use bitcoin::{ScriptBuf, Transaction};
use quittance_channel::{ChannelState, Side, View};
use quittance_primitives::CommitmentNumber;
use quittance_transactions::{
    CommitmentOutput, CommitmentScripts, CommitmentTransaction, HtlcOutputs, ObscuringFactor, PerCommitmentSecret,
};

use crate::RevokedHtlcs;

/// What closed a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// A closing transaction that both sides signed.
    Mutual,
    /// The commitment that we hold.
    Ours(CommitmentNumber),
    /// A commitment of the peer's that it has not revoked.
    Peers(Holder, CommitmentNumber),
    /// A commitment that the peer had revoked.
    Revoked(CommitmentNumber),
    /// A commitment of the peer's that we know nothing of: we lost state. Only our balance can be saved.
    StateLost(CommitmentNumber),
    /// None of the above: a key of the funding output leaked, or a revoked commitment of our own was broadcast. The user must be
    /// warned (BOLT 5).
    Unknown,
}

/// Which of the commitments that a peer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The latest one that we signed.
    Latest,
    /// The one before it, not yet revoked.
    Previous,
}

/// A commitment in the chain, and all that its outputs can be claimed by.
#[derive(Debug)]
pub(crate) struct OnChainCommitment {
    pub(crate) closing: Closing,
    pub(crate) owner: Side,
    pub(crate) scripts: CommitmentScripts,
    pub(crate) outputs: Vec<CommitmentOutput>,
    /// Ours, with its second stages.
    pub(crate) ours: Option<CommitmentTransaction>,
    /// The secret, of a revoked one.
    pub(crate) secret: Option<PerCommitmentSecret>,
}

/// What closed the channel, with the commitment as it was rebuilt to recognise it.
enum Recognised {
    Mutual,
    Unrevoked(Closing, View, Box<CommitmentTransaction>),
    Revoked(CommitmentNumber, PerCommitmentSecret),
    Other(Closing),
}

impl Recognised {
    fn of(state: &ChannelState, transaction: &Transaction) -> Self {
        let txid = transaction.compute_txid();
        if state.is_closing_of_ours(&txid) {
            return Self::Mutual;
        }
        let Some(number) = ObscuringFactor::of(&state.facts.terms()).number_of(transaction) else {
            return Self::Other(Closing::Unknown);
        };
        let commitments = &state.commitments;
        let is = |view| {
            unrevoked(state, view)
                .filter(|commitment| commitment.txid() == txid)
                .map(Box::new)
        };
        if number == commitments.local.number
            && let Some(ours) = is(View::Local)
        {
            return Self::Unrevoked(Closing::Ours(number), View::Local, ours);
        }
        if let Some(secret) = commitments.remote_secrets.secret(number) {
            return if pays_the_peer_at_once(state, transaction) {
                Self::Other(Closing::Unknown)
            } else {
                Self::Revoked(number, secret)
            };
        }
        let (view, holder) = match number.cmp(&commitments.remote.number) {
            Ordering::Less => (View::RemotePrevious, Holder::Previous),
            Ordering::Equal => (View::Remote, Holder::Latest),
            Ordering::Greater => return Self::Other(Closing::StateLost(number)),
        };
        match is(view) {
            Some(theirs) => Self::Unrevoked(Closing::Peers(holder, number), view, theirs),
            None => Self::Other(Closing::Unknown),
        }
    }

    const fn closing(&self) -> Closing {
        match self {
            Self::Mutual => Closing::Mutual,
            Self::Unrevoked(closing, ..) | Self::Other(closing) => *closing,
            Self::Revoked(number, _) => Closing::Revoked(*number),
        }
    }
}

impl OnChainCommitment {
    /// What `transaction`, which spends the funding output, is made of. Nothing for one that both sides signed.
    pub(crate) fn of(state: &ChannelState, transaction: &Transaction, revoked: Option<&RevokedHtlcs>) -> Option<Self> {
        let recognised = Recognised::of(state, transaction);
        let closing = recognised.closing();
        match recognised {
            Recognised::Mutual => None,
            Recognised::Unrevoked(_, view, commitment) => Some(Self {
                closing,
                owner: view.owner(),
                scripts: commitment.scripts().clone(),
                outputs: commitment.outputs().collect(),
                ours: (view.owner() == Side::Local).then_some(*commitment),
                secret: None,
            }),
            Recognised::Revoked(number, secret) => {
                let scripts = remote_scripts(state, secret.point().ok()?);
                let known = revoked.filter(|revoked| revoked.number == number);
                let htlcs = known.map(RevokedHtlcs::htlcs).unwrap_or_default();
                Some(Self {
                    closing,
                    owner: Side::Remote,
                    outputs: scripts.recognise(transaction, &htlcs),
                    scripts,
                    ours: None,
                    secret: Some(secret),
                })
            }
            // The point of such a commitment is not known. What it pays to us needs none: `to_remote` is our payment basepoint.
            Recognised::Other(_) => {
                let scripts = remote_scripts(state, state.commitments.remote.point);
                Some(Self {
                    closing,
                    owner: Side::Remote,
                    outputs: scripts.recognise(transaction, &[]),
                    scripts,
                    ours: None,
                    secret: None,
                })
            }
        }
    }
}

impl OnChainCommitment {
    /// The output script of the second stages that concern us. The peer's second stages on a commitment that is not revoked are none of our
    /// business.
    pub(crate) fn delayed_script(&self) -> Option<ScriptBuf> {
        match self.closing {
            Closing::Ours(_) | Closing::Revoked(_) => Some(self.scripts.delayed_output()),
            Closing::Mutual | Closing::Peers(..) | Closing::StateLost(_) | Closing::Unknown => None,
        }
    }
}

/// The commitment `view` as it was signed, if there is one.
pub(crate) fn unrevoked(state: &ChannelState, view: View) -> Option<CommitmentTransaction> {
    let contents = state.commitments.contents(&state.facts, view)?;
    let commitment = CommitmentTransaction::build_with_reduced_fee(&state.facts.terms(), &contents);
    Some(commitment.expect("a commitment that was signed can be built"))
}

fn remote_scripts(state: &ChannelState, point: secp256k1::PublicKey) -> CommitmentScripts {
    let owner = state.facts.role(Side::Remote);
    CommitmentScripts::derive(&state.facts.terms(), owner, point, HtlcOutputs::Some)
}

/// Whether the transaction holds the peer's balance as only a commitment of *ours* does.
fn pays_the_peer_at_once(state: &ChannelState, transaction: &Transaction) -> bool {
    let owner = state.facts.role(Side::Local);
    let point = state.commitments.local.point;
    let scripts = CommitmentScripts::derive(&state.facts.terms(), owner, point, HtlcOutputs::None);
    let balance = scripts.to_countersignatory_output();
    transaction.output.iter().any(|output| output.script_pubkey == balance)
}
