//! A close by agreement (BOLT 2, channel close): what the user wants, what is negotiated, and what both sides signed.
//!
//! Keeps I-4: no closing transaction is signed while an HTLC, or any update, is on its way. Every closing transaction that we
//! signed is noted in the log before its signature leaves, since it may confirm from then on. What both sides signed is kept
//! with the peer's signature: our own can be made again at any time, so the transaction can be broadcast from the log alone.
//!
//! Decides nothing; start at [`Closing`], then `decide/shutdown.rs`.

mod fees;
mod negotiation;
mod to_sign;

use bitcoin::{Amount, ScriptBuf, Txid, absolute};
use quittance_primitives::FeeratePerKw;
use quittance_records::{record, tagged};
use quittance_transactions::{
    ClosingError, ClosingShare, ClosingShares, ClosingTransaction, ShutdownForms, ShutdownScript, SimpleClose,
    SimpleCloseVariant, closing,
};
use secp256k1::ecdsa::Signature;

use crate::{BySide, ChannelState, Phase, ShuttingDown, Side};

pub(crate) use fees::{FeeAnswer, LegacyFees};
pub use negotiation::Negotiation;
pub(crate) use negotiation::{LegacyOffer, Proposal};
pub(crate) use to_sign::Unsigned;
pub use to_sign::{ClosingToBroadcast, ClosingToSign};

/// How many closing transactions of one channel we sign: a peer that replaces its own without end must not fill our disk.
pub const CLOSINGS_MAX: usize = 1_000;

/// How a channel is to be closed, as the user orders it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseRequest {
    /// Where we want to be paid to. Without one: where the channel has to, or the node wants to.
    pub script: Option<ScriptBuf>,
    /// The feerate that we want to pay. Without one: what the node pays for closings at the time.
    pub feerate: Option<FeeratePerKw>,
}

/// An order to close that was accepted. It stands until the channel is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedClose {
    /// Where we want to be paid to.
    pub script: ScriptBuf,
    /// The feerate that we want to pay; what the node pays at the time if there is none.
    pub feerate: Option<FeeratePerKw>,
}

record!(WantedClose { script, feerate });

/// A closing transaction, by what it is built from beside the channel's terms and balances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Where each side is paid to.
    pub scripts: BySide<ScriptBuf>,
    /// What it costs, rounding aside.
    pub fee: Amount,
    /// By which of the two protocols it was made.
    pub form: ClosingForm,
}

record!(Closing { scripts, fee, form });

/// How a closing transaction was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingForm {
    /// By `closing_signed`: the opener pays, and what is below the signer's dust limit is left out.
    Legacy {
        /// Whose variant it is.
        signer: Side,
        /// Whether the signer left its own output out.
        omits_own_output: bool,
    },
    /// By `closing_complete`: the closer pays.
    Simple {
        /// Who proposed it.
        closer: Side,
        /// As it stands in the transaction.
        lock_time: u32,
        /// Which outputs it has.
        variant: SimpleCloseVariant,
    },
}

tagged!(ClosingForm {
    1 => Legacy { signer, omits_own_output },
    2 => Simple { closer, lock_time, variant },
});

/// A closing transaction that both sides signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedClosing {
    /// The transaction.
    pub closing: Closing,
    /// The peer's signature on it. Ours is made again when it is needed.
    pub signature: Signature,
}

record!(AgreedClosing { closing, signature });

impl ChannelState {
    /// A closing begun: the scripts, and what is wanted. `None` in every phase but the two of a close by agreement.
    pub const fn shutting_down(&self) -> Option<&ShuttingDown> {
        match &self.phase {
            Phase::ShuttingDown(shutting_down) => Some(shutting_down),
            Phase::ClosingAgreed(agreed) => Some(&agreed.shutdown),
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => None,
        }
    }

    /// The closing transactions that both sides signed, ready for our signature: to be broadcast until one of them, or a
    /// commitment, is buried. At most two, since each side may pay for one of its own (BOLT 2, closing negotiation).
    pub fn agreed_closings(&self) -> Vec<ClosingToBroadcast> {
        let Phase::ClosingAgreed(agreed) = &self.phase else {
            return Vec::new();
        };
        let both = [&agreed.closings.local, &agreed.closings.remote];
        both.into_iter()
            .flatten()
            .map(|agreed| {
                let transaction = self.build_closing(&agreed.closing);
                let transaction = transaction.expect("what was agreed could be built");
                ClosingToBroadcast::new(&self.facts, transaction, agreed.signature)
            })
            .collect()
    }

    /// Whether a transaction is one that we signed to close the channel by agreement.
    pub fn is_closing_of_ours(&self, txid: &Txid) -> bool {
        self.closings.contains(txid)
    }

    /// Who pays for a closing transaction.
    pub(crate) const fn payer_of(&self, closing: &Closing) -> Side {
        match closing.form {
            ClosingForm::Legacy { .. } => self.facts.opener,
            ClosingForm::Simple { closer, .. } => closer,
        }
    }

    /// Both scripts, once closing transactions may be signed: both sides sent `shutdown`, and nothing is left on its way.
    pub(crate) fn scripts_to_close(&self) -> Option<BySide<ScriptBuf>> {
        let scripts = &self.shutting_down()?.scripts;
        // I-4: no closing transaction is signed while an HTLC is pending.
        if !self.commitments.is_empty_and_at_rest() {
            return None;
        }
        Some(BySide {
            local: scripts.local.clone()?,
            remote: scripts.remote.clone()?,
        })
    }

    pub(crate) fn build_closing(&self, closing: &Closing) -> Result<ClosingTransaction, ClosingError> {
        let terms = self.facts.terms();
        match closing.form {
            ClosingForm::Legacy {
                signer,
                omits_own_output,
            } => {
                let dust_limit = self.facts.sides.of(signer).dust_limit;
                let omitted = omits_own_output.then(|| self.facts.role(signer));
                let shares = self.closing_shares(&closing.scripts);
                closing::legacy(&terms, &shares, closing.fee, dust_limit, omitted)
            }
            ClosingForm::Simple {
                closer,
                lock_time,
                variant,
            } => {
                let close = self.simple_close(closer, &closing.scripts, closing.fee, lock_time);
                close.build(&terms, variant)
            }
        }
    }

    pub(crate) fn simple_close(
        &self,
        closer: Side,
        scripts: &BySide<ScriptBuf>,
        fee: Amount,
        lock_time: u32,
    ) -> SimpleClose {
        SimpleClose {
            closer: self.facts.role(closer),
            shares: self.closing_shares(scripts),
            fee,
            lock_time: absolute::LockTime::from_consensus(lock_time),
        }
    }

    /// What `side` has, in whole satoshis.
    pub(crate) const fn closing_balance(&self, side: Side) -> Amount {
        self.commitments.settled.of(side).to_sat_floor()
    }

    fn closing_shares(&self, scripts: &BySide<ScriptBuf>) -> ClosingShares {
        let share = |side: Side| ClosingShare {
            balance: *self.commitments.settled.of(side),
            script: ShutdownScript::new(scripts.of(side).clone(), EVERY_FORM)
                .expect("a script is checked before it is recorded"),
        };
        ClosingShares {
            opener: share(self.facts.opener),
            accepter: share(self.facts.opener.other()),
        }
    }
}

/// Every form that some pair of features allows.
pub(crate) const EVERY_FORM: ShutdownForms = ShutdownForms {
    any_segwit: true,
    op_return: true,
};
