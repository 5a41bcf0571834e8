//! The legacy negotiation (BOLT 2, `closing_signed`): both sides sign one transaction after the other until their fees meet.
//!
//! The opener pays and begins. Each side may leave out outputs that are dust to it, so what is agreed, and broadcast, is the
//! variant that the peer signed.

use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::FeeratePerKw;
use quittance_transactions::{ClosingError, ClosingTransaction};
use quittance_wire::{ClosingSigned, FeeRange};

use crate::channel::Link;
use crate::closing::{
    AgreedClosing, CLOSINGS_MAX, Closing, ClosingForm, ClosingToBroadcast, ClosingToSign, FeeAnswer, LegacyFees,
    LegacyOffer, Unsigned,
};
use crate::{BySide, Channel, ChannelEffect, ChannelState, Context, Decision, Phase, Session, Side, Step, Violation};

impl Channel {
    /// The peer's `closing_signed`.
    ///
    /// # Errors
    /// [`Violation`] when the time has not come, the signature does not fit, or the fee breaks the rules or can never suit.
    pub fn decide_closing_signed(&self, message: &ClosingSigned, context: &Context<'_>) -> Result<Decision, Violation> {
        const NAME: &str = "closing_signed";
        let session = self.session_for(NAME)?;
        if session.has_simple_close() {
            return Err(Violation::WrongClosingProtocol { message: NAME });
        }
        let state = self.state();
        let scripts = state.scripts_for(NAME)?;
        let theirs = state.check_closing_signed(message, &scripts, context)?;
        let range = state.legacy_range(&scripts, message.fee_range, context);
        let fees = LegacyFees {
            role: state.facts.role(Side::Local),
            range,
            offered: session.negotiation.offered,
            received: session.negotiation.fee_received,
        };
        let got = message.fee_satoshis;
        let answer = fees.answer(got, message.fee_range)?;
        let mut session = session.clone();
        session.negotiation.peer_began = true;
        session.negotiation.fee_received = Some(got);
        let mut decision = Decision::default();
        match answer {
            FeeAnswer::Agreed => {}
            FeeAnswer::Agree => state.offer_legacy(&mut decision, &mut session, &scripts, got, range, context)?,
            FeeAnswer::Offer(fee) => state.offer_legacy(&mut decision, &mut session, &scripts, fee, range, context)?,
        }
        if answer == FeeAnswer::Agreed || answer == FeeAnswer::Agree {
            state.agree(&mut decision, theirs)?;
        }
        decision.link = Some(Link::Up(session));
        Ok(decision)
    }

    /// As opener, the first offer of a connection; as accepter, the time from which we wait for it.
    pub(crate) fn decide_due_legacy_close(
        &self,
        scripts: &BySide<ScriptBuf>,
        context: &Context<'_>,
    ) -> Option<Decision> {
        let session = self.session()?;
        let state = self.state();
        if session.negotiation.waiting_since_ms.is_some() || session.negotiation.peer_began {
            return None;
        }
        let mut session = session.clone();
        let mut decision = Decision::default();
        match state.facts.opener {
            Side::Local => {
                let range = state.legacy_range(scripts, None, context);
                let fee = state.legacy_fee(scripts, range, context);
                let offered = state.offer_legacy(&mut decision, &mut session, scripts, fee, range, context);
                offered.ok()?;
            }
            Side::Remote => session.negotiation.waiting_since_ms = Some(context.now_ms),
        }
        decision.link = Some(Link::Up(session));
        Some(decision)
    }
}

impl ChannelState {
    /// Both scripts, for a message that may only come once there is nothing left but to close.
    pub(crate) fn scripts_for(&self, message: &'static str) -> Result<BySide<ScriptBuf>, Violation> {
        match self.phase {
            Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => {
                self.scripts_to_close().ok_or(Violation::ClosingTooEarly { message })
            }
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => Err(Violation::WrongPhase {
                message,
                phase: self.phase.name(),
            }),
        }
    }

    /// Notes that we sign `transaction`, unless we did already.
    pub(crate) fn note_signed(
        &self,
        decision: &mut Decision,
        transaction: &ClosingTransaction,
    ) -> Result<(), Violation> {
        let txid = transaction.txid();
        let step = Step::ClosingSigned(txid);
        if self.is_closing_of_ours(&txid) || decision.steps.contains(&step) {
            return Ok(());
        }
        if self.closings.len() >= CLOSINGS_MAX {
            return Err(Violation::TooManyClosings { limit: CLOSINGS_MAX });
        }
        decision.steps.push(step);
        Ok(())
    }

    /// Adopts a closing transaction that the peer signed: we sign it too, and it is broadcast.
    pub(crate) fn agree(&self, decision: &mut Decision, agreed: AgreedClosing) -> Result<(), Violation> {
        if let Phase::ClosingAgreed(known) = &self.phase {
            let known = known.closings.of(self.payer_of(&agreed.closing));
            if known.as_ref().is_some_and(|known| known.closing == agreed.closing) {
                return Ok(());
            }
        }
        let transaction = self.build_closing(&agreed.closing).expect("its signature was checked");
        self.note_signed(decision, &transaction)?;
        let broadcast = ClosingToBroadcast::new(&self.facts, transaction, agreed.signature);
        decision.steps.push(Step::ClosingAgreed(Box::new(agreed)));
        decision
            .effects
            .push(ChannelEffect::BroadcastClosing(Box::new(broadcast)));
        Ok(())
    }

    /// The variant that the peer signed: with all outputs that are not dust to it, or without its own.
    fn check_closing_signed(
        &self,
        message: &ClosingSigned,
        scripts: &BySide<ScriptBuf>,
        context: &Context<'_>,
    ) -> Result<AgreedClosing, Violation> {
        let fee = message.fee_satoshis;
        let signer = Side::Remote;
        let balance = self.closing_balance(self.facts.opener);
        if fee > balance {
            return Err(Violation::ClosingFeeAboveBalance { fee, balance });
        }
        let mut built = Vec::new();
        for omits_own_output in [false, true] {
            let closing = Closing {
                scripts: scripts.clone(),
                fee,
                form: ClosingForm::Legacy {
                    signer,
                    omits_own_output,
                },
            };
            if let Ok(transaction) = self.build_closing(&closing) {
                built.push((closing, transaction));
            }
        }
        if built.is_empty() {
            return Err(Violation::ClosingHasNoOutput { fee });
        }
        let (role, signature) = (self.facts.role(signer), message.signature);
        let signed = built.into_iter().find(|(_, transaction)| {
            let job = transaction.verification(role, &signature);
            context.verifier.first_invalid(&[job]).is_none()
        });
        let (closing, transaction) = signed.ok_or(Violation::InvalidClosingSignature)?;
        if transaction.has_dust_output() {
            return Err(Violation::ClosingOutputIsDust);
        }
        Ok(AgreedClosing { closing, signature })
    }

    /// Signs our variant at `fee` and offers it.
    fn offer_legacy(
        &self,
        decision: &mut Decision,
        session: &mut Session,
        scripts: &BySide<ScriptBuf>,
        fee: Amount,
        range: FeeRange,
        context: &Context<'_>,
    ) -> Result<(), Violation> {
        let closing = Closing {
            scripts: scripts.clone(),
            fee,
            form: ClosingForm::Legacy {
                signer: Side::Local,
                omits_own_output: false,
            },
        };
        let transaction = self.build_closing(&closing).map_err(|fault| match fault {
            ClosingError::FeeExceedsBalance { fee, balance } => Violation::ClosingFeeAboveBalance {
                fee,
                balance: balance.to_sat_floor(),
            },
            ClosingError::NoOutput => Violation::ClosingHasNoOutput { fee },
        })?;
        self.note_signed(decision, &transaction)?;
        session.negotiation.offered = Some(LegacyOffer { fee, range });
        session.negotiation.waiting_since_ms = Some(context.now_ms);
        let to_sign = ClosingToSign::new(&self.facts, vec![transaction], Unsigned::Signed { fee, range });
        decision.effects.push(ChannelEffect::SendClosing(Box::new(to_sign)));
        Ok(())
    }

    /// The fees that we accept. The accepter does not pay, so what the opener would pay is never too much for it.
    fn legacy_range(&self, scripts: &BySide<ScriptBuf>, theirs: Option<FeeRange>, context: &Context<'_>) -> FeeRange {
        let policy = &context.limits.closing;
        let balance = self.closing_balance(self.facts.opener);
        let fee_at = |feerate| self.legacy_fee_at(scripts, feerate).min(balance);
        let minimum = fee_at(policy.feerate_min);
        let maximum = fee_at(policy.feerate_max).max(minimum);
        FeeRange {
            min_fee_satoshis: minimum,
            max_fee_satoshis: match (self.facts.opener, theirs) {
                (Side::Remote, Some(theirs)) => maximum.max(theirs.max_fee_satoshis.min(balance)),
                (Side::Remote, None) => balance,
                (Side::Local, _) => maximum,
            },
        }
    }

    /// The fee that we offer first: the one agreed on before, so that a new connection ends where the last one did, or what the
    /// user or the node wants to pay.
    fn legacy_fee(&self, scripts: &BySide<ScriptBuf>, range: FeeRange, context: &Context<'_>) -> Amount {
        if let Phase::ClosingAgreed(agreed) = &self.phase
            && let Some(agreed) = agreed.closings.of(self.facts.opener)
        {
            return agreed.closing.fee;
        }
        let wanted = self.shutting_down().and_then(|closing| closing.wanted.as_ref());
        let feerate = wanted.and_then(|wanted| wanted.feerate);
        let feerate = feerate.unwrap_or(context.limits.closing.feerate);
        self.legacy_fee_at(scripts, feerate)
            .clamp(range.min_fee_satoshis, range.max_fee_satoshis)
    }

    fn legacy_fee_at(&self, scripts: &BySide<ScriptBuf>, feerate: FeeratePerKw) -> Amount {
        let free = Closing {
            scripts: scripts.clone(),
            fee: Amount::ZERO,
            form: ClosingForm::Legacy {
                signer: Side::Local,
                omits_own_output: false,
            },
        };
        self.build_closing(&free).map_or(Amount::ZERO, |transaction| {
            feerate.fee_ceil(transaction.signed_weight())
        })
    }
}
