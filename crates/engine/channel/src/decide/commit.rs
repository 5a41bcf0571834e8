//! The commitment dance (BOLT 2): signing the peer's next commitment, accepting ours, revoking and being revoked.

use std::sync::Arc;

use quittance_journal::mark;
use quittance_primitives::HtlcId;
use quittance_transactions::{CommitmentTransaction, InvalidSignatures, PerCommitmentSecret};
use quittance_wire::{CommitmentSigned, RevokeAndAck};
use secp256k1::PublicKey;

use crate::effect::{CommitmentToSign, RevocationDue};
use crate::{
    Channel, ChannelEffect, ChannelState, Consequence, Context, Decision, HtlcState, Side, Step, View, Violation,
};

impl Channel {
    /// Signs the peer's next commitment, if there is anything new in it and the last one was acknowledged. To be asked after
    /// everything that an input caused has been adopted, so that one signature covers it all.
    pub fn decide_commitment(&self) -> Option<Decision> {
        let session = self.session()?;
        let state = self.state();
        let commitments = &state.commitments;
        let may_sign = state.phase.is_operating()
            && !session.quiescence.is_quiet()
            // What was not sent is not committed to: after our `stfu` a removal waits for the next connection.
            && (session.quiescence.lets_us_remove() || commitments.sent.unsigned.is_empty())
            && !commitments.is_awaiting_revocation()
            && commitments.has_news_for(Side::Remote);
        if !may_sign {
            return None;
        }
        let contents = commitments.contents(&state.facts, View::RemoteNext)?;
        let opener_balance = *commitments.balances(View::RemoteNext).of(state.facts.opener);
        if opener_balance.to_sat_floor() < state.facts.format.anchors_cost() {
            // Both sides added HTLCs at once, and the opener cannot even pay for the anchors: until some are removed, the
            // next commitment cannot be built.
            return None;
        }
        let to_sign = CommitmentToSign::new(&state.facts, contents);
        Some(Decision::step(Step::CommitmentSent).then(ChannelEffect::SendCommitment(Arc::new(to_sign))))
    }

    /// The peer's `commitment_signed`. Our commitment before it is revoked in the same step; `next_point` is our point for
    /// the commitment after the new one, fresh from the signer.
    ///
    /// # Errors
    /// [`Violation`] when nothing is new in it, or a signature is missing or invalid.
    pub fn decide_commitment_signed(
        &self,
        message: &CommitmentSigned,
        next_point: PublicKey,
        context: &Context<'_>,
    ) -> Result<Decision, Violation> {
        const NAME: &str = "commitment_signed";
        let session = self.session_for(NAME)?;
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Violation::WrongPhase {
                message: NAME,
                phase: state.phase.name(),
            });
        }
        if session.quiescence.is_quiet() {
            return Err(Violation::WhileQuiescent { message: NAME });
        }
        if let Some(got) = message.funding_txid.filter(|txid| *txid != state.facts.funding.txid) {
            return Err(Violation::UnknownFunding { got });
        }
        if !state.commitments.has_news_for(Side::Local) {
            return Err(Violation::CommitmentWithoutUpdate);
        }
        state.check_signatures(message, context)?;
        let revoked = state.commitments.local.number;
        let step = Step::CommitmentReceived {
            signature: message.signature,
            htlc_signatures: message.htlc_signature.clone(),
            next_point,
        };
        let mut decision = Decision::step(step);
        let due = RevocationDue::new(&state.facts, revoked, next_point);
        decision.effects.push(ChannelEffect::SendRevocation(due));
        // The removals that the peer acknowledged are final once our own old commitment is revoked.
        let gone: Vec<_> = state.received_in(HtlcState::RcvdRemoveRevocation).collect();
        decision
            .consequences
            .extend(gone.iter().copied().map(Consequence::ReceivedHtlcGone));
        Ok(state.release_claims(decision, &gone))
    }

    /// The peer's `revoke_and_ack`.
    ///
    /// # Errors
    /// [`Violation`] when none is awaited, or the secret is not the one that is due.
    pub fn decide_revocation(&self, message: &RevokeAndAck, context: &Context<'_>) -> Result<Decision, Violation> {
        const NAME: &str = "revoke_and_ack";
        self.session_for(NAME)?;
        let state = self.state();
        if !state.phase.is_operating() {
            return Err(Violation::WrongPhase {
                message: NAME,
                phase: state.phase.name(),
            });
        }
        let commitments = &state.commitments;
        let awaited = commitments
            .remote
            .unrevoked_previous
            .zip(commitments.remote.number.previous());
        let (point, revoked) = awaited.ok_or(Violation::NoRevocationAwaited)?;
        let secret = PerCommitmentSecret(message.per_commitment_secret);
        if !context.verifier.is_secret_of(&secret, &point) {
            return Err(Violation::WrongSecret(revoked));
        }
        let mut secrets = commitments.remote_secrets.clone();
        secrets
            .insert(revoked, secret)
            .map_err(|_| Violation::SecretNotDerived(revoked))?;
        let mut decision = Decision::step(Step::RevocationReceived {
            secret: message.per_commitment_secret,
            next_point: message.next_per_commitment_point,
        });
        let accepted = state
            .received_in(HtlcState::SentAddAckCommit)
            .map(Consequence::HtlcAccepted);
        let removed = || {
            commitments
                .offered
                .values()
                .filter(|htlc| htlc.state == HtlcState::SentRemoveAckCommit)
        };
        let ends = removed().map(|htlc| {
            if htlc.outcome.is_some() {
                mark!("HTLC with an outcome is gone for good");
                Consequence::OfferedHtlcGone(htlc.terms.id)
            } else if htlc.acknowledged {
                mark!("HTLC failed for good, and nobody waits for it any more");
                Consequence::OfferedHtlcGone(htlc.terms.id)
            } else {
                mark!("HTLC failed for good");
                Consequence::HtlcFailed(htlc.terms.id)
            }
        });
        decision.consequences.extend(accepted.chain(ends));
        Ok(decision.releasing(removed()))
    }
}

impl ChannelState {
    fn check_signatures(&self, message: &CommitmentSigned, context: &Context<'_>) -> Result<(), Violation> {
        let contents = self.commitments.contents(&self.facts, View::LocalNext);
        let contents = contents.expect("our own next point is always known");
        let terms = self.facts.terms();
        let keys = |htlc_outputs| context.verifier.keys_of(&terms, &contents, htlc_outputs);
        let commitment = CommitmentTransaction::build_with_keys(&terms, &contents, keys);
        let commitment = commitment.map_err(Violation::OpenerCannotAfford)?;
        let mut jobs = vec![commitment.funding_verification(&message.signature)];
        jobs.extend(
            commitment
                .htlc_verifications(&message.htlc_signature)
                .map_err(Violation::InvalidSignatures)?,
        );
        match context.verifier.first_invalid(&jobs) {
            None => Ok(()),
            Some(0) => Err(Violation::InvalidSignatures(InvalidSignatures::Funding)),
            Some(place) => {
                let htlc = commitment.htlc_outputs()[place - 1].htlc;
                Err(Violation::InvalidSignatures(InvalidSignatures::Htlc { htlc }))
            }
        }
    }

    fn received_in(&self, wanted: HtlcState) -> impl Iterator<Item = HtlcId> {
        let received = self.commitments.received.values();
        received
            .filter(move |htlc| htlc.state == wanted)
            .map(|htlc| htlc.terms.id)
    }
}
