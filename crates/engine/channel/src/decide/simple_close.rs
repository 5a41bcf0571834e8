//! The simple negotiation (BOLT 2, `closing_complete` and `closing_sig`): each side proposes a transaction that it pays for
//! itself, and the other one signs it. Either may be replaced, by a higher fee or another script, any number of times.

use SimpleCloseVariant::{CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::{Feature, FeeratePerKw};
use quittance_transactions::{ClosingError, ShutdownScript, SimpleCloseVariant};
use quittance_wire::{ClosingComplete, ClosingSig};
use secp256k1::ecdsa::Signature;

use crate::channel::Link;
use crate::closing::{AgreedClosing, Closing, ClosingForm, ClosingToSign, Proposal, Unsigned, WantedClose};
use crate::{
    BySide, Channel, ChannelEffect, ChannelState, Context, Decision, Phase, Refusal, Session, Side, Step, Violation,
};

/// The lock time of what we propose: none, so that a proposal that is made again is the same transaction.
const NO_LOCK_TIME: u32 = 0;

impl Channel {
    /// The peer's `closing_complete`: we sign the variant that BOLT 2 names, and broadcast it.
    ///
    /// # Errors
    /// [`Violation`] when the time has not come, the scripts are not the latest, or fee or signature do not fit.
    pub fn decide_closing_complete(
        &self,
        message: &ClosingComplete,
        context: &Context<'_>,
    ) -> Result<Decision, Violation> {
        const NAME: &str = "closing_complete";
        let session = self.simple_session(NAME)?;
        let state = self.state();
        let known = state.scripts_for(NAME)?;
        let fee = message.fee_satoshis;
        let balance = state.closing_balance(Side::Remote);
        if fee > balance {
            return Err(Violation::ClosingFeeAboveBalance { fee, balance });
        }
        if message.closee_scriptpubkey != known.local {
            return Err(Violation::StaleClosingScript);
        }
        let closer_script = &message.closer_scriptpubkey;
        ShutdownScript::new(closer_script.clone(), session.shutdown_forms())
            .map_err(|_| Violation::InvalidClosingScript)?;
        state.check_promise(closer_script, NAME)?;
        let mut proposal = Proposal {
            scripts: BySide {
                local: known.local,
                remote: closer_script.clone(),
            },
            fee,
            lock_time: message.locktime,
            variants: Vec::new(),
        };
        let offered = [
            (CloserOutputOnly, message.closer_output_only),
            (CloseeOutputOnly, message.closee_output_only),
            (CloserAndCloseeOutputs, message.closer_and_closee_outputs),
        ];
        let (variant, signature) = state.variant_to_sign(&proposal, offered)?;
        proposal.variants = vec![variant];
        let agreed = state.check_signature(&proposal, Side::Remote, variant, signature, context)?;
        let mut decision = Decision::default();
        if known.remote != *closer_script {
            decision.steps.push(Step::ShutdownReceived(closer_script.clone()));
        }
        let transaction = state.build_closing(&agreed.closing).expect("its signature was checked");
        state.note_signed(&mut decision, &transaction)?;
        let to_sign = ClosingToSign::new(&state.facts, vec![transaction], Unsigned::Sig(proposal));
        decision.effects.push(ChannelEffect::SendClosing(Box::new(to_sign)));
        state.agree(&mut decision, agreed)?;
        let mut session = session.clone();
        session.negotiation.peer_began = true;
        decision.link = Some(Link::Up(session));
        Ok(decision)
    }

    /// The peer's `closing_sig`: what we proposed is signed by both sides.
    ///
    /// # Errors
    /// [`Violation`] when it does not answer our `closing_complete`, or the signature does not fit.
    pub fn decide_closing_sig(&self, message: &ClosingSig, context: &Context<'_>) -> Result<Decision, Violation> {
        const NAME: &str = "closing_sig";
        let session = self.simple_session(NAME)?;
        let state = self.state();
        state.scripts_for(NAME)?;
        let proposal = session.negotiation.proposed.as_ref();
        let proposal = proposal.ok_or(Violation::UnexpectedClosingSig)?;
        let is_repeated = message.closer_scriptpubkey == proposal.scripts.local
            && message.closee_scriptpubkey == proposal.scripts.remote
            && message.fee_satoshis == proposal.fee
            && message.locktime == proposal.lock_time;
        if !is_repeated {
            return Err(Violation::ClosingSigMismatch);
        }
        let signatures = [
            message.closer_output_only.map(|one| (CloserOutputOnly, one)),
            message.closee_output_only.map(|one| (CloseeOutputOnly, one)),
            message
                .closer_and_closee_outputs
                .map(|one| (CloserAndCloseeOutputs, one)),
        ];
        let signatures: Vec<_> = signatures.into_iter().flatten().collect();
        let [(got, signature)] = signatures[..] else {
            return Err(Violation::ClosingSigCount { got: signatures.len() });
        };
        if !proposal.variants.contains(&got) {
            return Err(Violation::ClosingVariantNotOffered { got });
        }
        let agreed = state.check_signature(proposal, Side::Local, got, signature, context)?;
        let mut decision = Decision::default();
        state.agree(&mut decision, agreed)?;
        let mut session = session.clone();
        session.negotiation.proposed = None;
        session.negotiation.waiting_since_ms = None;
        decision.link = Some(Link::Up(session));
        Ok(decision)
    }

    /// Proposes a closing transaction at our own expense: the first of a closing, or one that replaces the last.
    pub(crate) fn decide_due_simple_close(
        &self,
        scripts: &BySide<ScriptBuf>,
        context: &Context<'_>,
    ) -> Option<Decision> {
        let session = self.session()?;
        let state = self.state();
        // BOLT 2: the answer to our last proposal comes first. The peer's latest script comes with its `shutdown`.
        if session.negotiation.proposed.is_some() || !session.negotiation.peer_sent_shutdown {
            return None;
        }
        let wanted = state.shutting_down()?.wanted.as_ref();
        let scripts = BySide {
            local: wanted.map_or_else(|| scripts.local.clone(), |wanted| wanted.script.clone()),
            remote: scripts.remote.clone(),
        };
        ShutdownScript::new(scripts.local.clone(), session.shutdown_forms()).ok()?;
        let feerate = wanted.and_then(|wanted| wanted.feerate);
        let fee = state.simple_fee(&scripts, feerate.unwrap_or(context.limits.closing.feerate));
        let replaces = |previous: &Closing| {
            wanted.is_some() && (previous.scripts.local != scripts.local || (feerate.is_some() && fee > previous.fee))
        };
        if state.own_closing().is_some_and(|previous| !replaces(previous)) {
            return None;
        }
        // What does not relay is not worth proposing: then only the peer can pay.
        if fee < state.simple_fee_at(&scripts, FeeratePerKw::FLOOR) {
            return None;
        }
        let close = state.simple_close(Side::Local, &scripts, fee, NO_LOCK_TIME);
        let variants = close.variants_to_offer().ok()?;
        let proposal = Proposal {
            scripts,
            fee,
            lock_time: NO_LOCK_TIME,
            variants,
        };
        self.propose(session, proposal, context)
    }

    fn propose(&self, session: &Session, proposal: Proposal, context: &Context<'_>) -> Option<Decision> {
        let state = self.state();
        let mut decision = Decision::default();
        if state.shutting_down()?.scripts.local.as_ref() != Some(&proposal.scripts.local) {
            decision.steps.push(Step::ShutdownSent(proposal.scripts.local.clone()));
        }
        let mut transactions = Vec::new();
        for variant in &proposal.variants {
            let closing = proposal.closing(Side::Local, *variant);
            let transaction = state.build_closing(&closing).ok()?;
            state.note_signed(&mut decision, &transaction).ok()?;
            transactions.push(transaction);
        }
        let mut session = session.clone();
        session.negotiation.proposed = Some(proposal.clone());
        session.negotiation.waiting_since_ms = Some(context.now_ms);
        decision.link = Some(Link::Up(session));
        let to_sign = ClosingToSign::new(&state.facts, transactions, Unsigned::Complete(proposal));
        Some(decision.then(ChannelEffect::SendClosing(Box::new(to_sign))))
    }

    /// Whether an order may replace what our last `closing_complete` or `shutdown` said.
    pub(crate) fn check_replacement(&self, wanted: &WantedClose, context: &Context<'_>) -> Result<(), Refusal> {
        let session = self.live_session()?;
        if !session.has_simple_close() {
            return Err(Refusal::ShutdownSent);
        }
        let state = self.state();
        let Some(previous) = state.own_closing() else {
            return Ok(());
        };
        let scripts = BySide {
            local: wanted.script.clone(),
            remote: previous.scripts.remote.clone(),
        };
        let got = state.simple_fee(&scripts, wanted.feerate.unwrap_or(context.limits.closing.feerate));
        if got > previous.fee {
            Ok(())
        } else {
            Err(Refusal::ClosingFeeNotHigher {
                got,
                previous: previous.fee,
            })
        }
    }

    fn simple_session(&self, message: &'static str) -> Result<&Session, Violation> {
        let session = self.session_for(message)?;
        if session.has_simple_close() {
            Ok(session)
        } else {
            Err(Violation::WrongClosingProtocol { message })
        }
    }
}

impl Session {
    /// Whether closing transactions are negotiated in the simple way.
    pub(crate) fn has_simple_close(&self) -> bool {
        self.features.supports(Feature::SimpleClose)
    }
}

impl Proposal {
    fn closing(&self, closer: Side, variant: SimpleCloseVariant) -> Closing {
        Closing {
            scripts: self.scripts.clone(),
            fee: self.fee,
            form: ClosingForm::Simple {
                closer,
                lock_time: self.lock_time,
                variant,
            },
        }
    }
}

impl ChannelState {
    /// The latest transaction that we pay for and that the peer signed.
    fn own_closing(&self) -> Option<&Closing> {
        let Phase::ClosingAgreed(agreed) = &self.phase else {
            return None;
        };
        agreed.closings.local.as_ref().map(|agreed| &agreed.closing)
    }

    fn variant_to_sign(
        &self,
        proposal: &Proposal,
        offered: [(SimpleCloseVariant, Option<Signature>); 3],
    ) -> Result<(SimpleCloseVariant, Signature), Violation> {
        let close = self.simple_close(Side::Remote, &proposal.scripts, proposal.fee, proposal.lock_time);
        let signed: Vec<_> = offered
            .iter()
            .filter(|(_, signature)| signature.is_some())
            .map(|(variant, _)| *variant)
            .collect();
        let missing = |needed| Violation::MissingClosingSignature { needed };
        let variant = close.variant_to_sign(&signed).map_err(|lack| missing(lack.needed))?;
        let signature = offered.iter().find(|(offered, _)| *offered == variant);
        let signature = signature.and_then(|(_, signature)| *signature);
        Ok((variant, signature.ok_or(missing(variant))?))
    }

    fn check_signature(
        &self,
        proposal: &Proposal,
        closer: Side,
        variant: SimpleCloseVariant,
        signature: Signature,
        context: &Context<'_>,
    ) -> Result<AgreedClosing, Violation> {
        let closing = proposal.closing(closer, variant);
        let fee = proposal.fee;
        let transaction = self.build_closing(&closing).map_err(|fault| match fault {
            ClosingError::FeeExceedsBalance { fee, balance } => Violation::ClosingFeeAboveBalance {
                fee,
                balance: balance.to_sat_floor(),
            },
            ClosingError::NoOutput => Violation::ClosingHasNoOutput { fee },
        })?;
        let job = transaction.verification(self.facts.role(Side::Remote), &signature);
        if context.verifier.first_invalid(&[job]).is_some() {
            return Err(Violation::InvalidClosingSignature);
        }
        Ok(AgreedClosing { closing, signature })
    }

    /// What we pay at `feerate`, or all that we have if that is less.
    fn simple_fee(&self, scripts: &BySide<ScriptBuf>, feerate: FeeratePerKw) -> Amount {
        let balance = self.closing_balance(Side::Local);
        self.simple_fee_at(scripts, feerate).min(balance)
    }

    /// The fee of a transaction with both outputs.
    fn simple_fee_at(&self, scripts: &BySide<ScriptBuf>, feerate: FeeratePerKw) -> Amount {
        let close = self.simple_close(Side::Local, scripts, Amount::ZERO, NO_LOCK_TIME);
        let transaction = close.build(&self.facts.terms(), CloserAndCloseeOutputs);
        transaction.map_or(Amount::ZERO, |transaction| {
            feerate.fee_ceil(transaction.signed_weight())
        })
    }
}
