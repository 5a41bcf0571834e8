//! How the commitments change, step by step.

use quittance_primitives::{FeeratePerKw, HtlcId};
use quittance_transactions::PerCommitmentSecret;
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use super::{add, subtract};
use crate::{
    Commitments, FeeUpdate, HtlcSource, HtlcState, HtlcTerms, LastSent, OfferedHtlc, OnChain, Outcome, ReceivedHtlc,
    ReceivedOnion, Removal, SentUpdate, Side, Transition,
};

impl Commitments {
    pub(crate) fn offer(&mut self, terms: HtlcTerms, source: HtlcSource) {
        let htlc = OfferedHtlc {
            terms,
            state: HtlcState::SentAddHtlc,
            source,
            removal: None,
            outcome: None,
            report: None,
            acknowledged: false,
            on_chain: OnChain::Open,
        };
        self.offered.insert(terms.id, htlc);
        self.next_htlc_id.local = terms.id.next();
        self.sent.unsigned.push(SentUpdate::Added(terms.id));
    }

    pub(crate) fn receive(&mut self, terms: HtlcTerms, onion: ReceivedOnion, received_at_ms: u64) {
        let state = HtlcState::RcvdAddHtlc;
        let htlc = ReceivedHtlc {
            terms,
            state,
            onion,
            received_at_ms,
            removal: None,
            preimage: None,
            on_chain: OnChain::Open,
        };
        self.received.insert(terms.id, htlc);
        self.next_htlc_id.remote = terms.id.next();
    }

    pub(crate) fn remove_received(&mut self, id: HtlcId, removal: Removal) {
        let htlc = self.received.get_mut(&id).expect("we remove HTLCs that are there");
        htlc.state = HtlcState::SentRemoveHtlc;
        htlc.removal = Some(removal);
        self.sent.unsigned.push(SentUpdate::Removed(id));
    }

    pub(crate) fn remove_offered(&mut self, id: HtlcId, removal: Removal) {
        let htlc = self.offered.get_mut(&id).expect("the peer's removal was checked");
        htlc.state = HtlcState::RcvdRemoveHtlc;
        #[cfg(feature = "mutants")]
        {
            use quittance_journal::mutant::{Mutant, is_on};
            let is_payment = matches!(htlc.source, HtlcSource::Payment(_));
            if is_on(Mutant::PreimageNotKept) && removal.preimage().is_some() {
                htlc.removal = Some(removal);
                return;
            }
            if removal.preimage().is_none()
                && (is_on(Mutant::RevocableFailureEndsPayment) && is_payment
                    || is_on(Mutant::RevocableFailurePassedUpstream) && !is_payment)
            {
                htlc.outcome.get_or_insert(Outcome::Failed(removal.clone()));
            }
        }
        if let Some(preimage) = removal.preimage() {
            htlc.outcome.get_or_insert(Outcome::Fulfilled(preimage));
        }
        htlc.removal = Some(removal);
    }

    pub(crate) fn propose_fee(&mut self, feerate: FeeratePerKw, opener: Side) {
        self.fees.push(FeeUpdate {
            feerate,
            state: HtlcState::proposed_by(opener),
        });
        if opener == Side::Local {
            self.sent.unsigned.push(SentUpdate::Fee(feerate));
        }
    }

    pub(crate) fn receive_commitment(
        &mut self,
        signature: Signature,
        htlc_signatures: Vec<Signature>,
        next_point: PublicKey,
    ) {
        self.local.number = self.local.number.next();
        self.local.point = std::mem::replace(&mut self.local.next_point, next_point);
        self.local.signature = signature;
        self.local.htlc_signatures = htlc_signatures;
        self.advance(Transition::CommitmentReceived);
        self.advance(Transition::RevocationSent);
        self.sent.last = LastSent::Revocation;
        self.settle_received();
    }

    pub(crate) fn send_commitment(&mut self) {
        let next = self
            .remote
            .next_point
            .take()
            .expect("a commitment is signed for a point that is known");
        let replaced = std::mem::replace(&mut self.remote.point, next);
        assert!(
            self.remote.unrevoked_previous.is_none(),
            "I-7: one signed commitment awaits its revocation"
        );
        self.remote.unrevoked_previous = Some(replaced);
        self.remote.number = self.remote.number.next();
        self.advance(Transition::CommitmentSent);
        assert!(
            self.sent.signed.is_empty(),
            "I-7: the updates of one commitment await its revocation"
        );
        self.sent.signed = std::mem::take(&mut self.sent.unsigned);
        self.sent.last = LastSent::Commitment;
    }

    pub(crate) fn receive_revocation(&mut self, secret: PerCommitmentSecret, next_point: PublicKey) {
        let revoked = self.remote.number.previous().expect("a revocation follows a signature");
        self.remote.unrevoked_previous.take().expect("a revocation was awaited");
        self.remote_secrets
            .insert(revoked, secret)
            .expect("the secret was checked");
        self.remote.next_point = Some(next_point);
        self.sent.signed.clear();
        self.advance(Transition::RevocationReceived);
    }

    fn advance(&mut self, transition: Transition) {
        let offered = self.offered.values_mut().map(|htlc| &mut htlc.state);
        let received = self.received.values_mut().map(|htlc| &mut htlc.state);
        let fees = self.fees.iter_mut().map(|fee| &mut fee.state);
        for state in offered.chain(received).chain(fees) {
            *state = state.after(transition).unwrap_or(*state);
        }
        // A feerate that both sides are committed to for good replaces all that came before it.
        let settled = self.fees.iter().rposition(|fee| fee.state.is_irrevocably_added());
        self.fees.drain(..settled.expect("the oldest feerate is settled"));
    }

    fn settle_received(&mut self) {
        let removed = |_: &HtlcId, htlc: &mut ReceivedHtlc| htlc.state == HtlcState::SentRemoveAckRevocation;
        let settled: Vec<_> = self.received.extract_if(.., removed).collect();
        for (_, htlc) in settled {
            if htlc.removal.as_ref().and_then(Removal::preimage).is_some() {
                subtract(&mut self.settled.remote, htlc.terms.amount);
                #[cfg(feature = "mutants")]
                if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::MsatLost) {
                    let rounded = quittance_primitives::MilliSatoshi(htlc.terms.amount.0 / 1_000 * 1_000);
                    add(&mut self.settled.local, rounded);
                    continue;
                }
                add(&mut self.settled.local, htlc.terms.amount);
            }
        }
    }

    /// BOLT 2, message retransmission: what the peer sent without committing to it is reversed. A fulfilment's preimage stays
    /// the outcome.
    pub(crate) fn forget_uncommitted(&mut self) {
        let uncommitted = |_: &HtlcId, htlc: &mut ReceivedHtlc| htlc.state == HtlcState::RcvdAddHtlc;
        if let Some((first, _)) = self.received.extract_if(.., uncommitted).collect::<Vec<_>>().first() {
            self.next_htlc_id.remote = *first;
        }
        self.fees.retain(|fee| fee.state != HtlcState::RcvdAddHtlc);
        for htlc in self
            .offered
            .values_mut()
            .filter(|htlc| htlc.state == HtlcState::RcvdRemoveHtlc)
        {
            htlc.state = HtlcState::SentAddAckRevocation;
            htlc.removal = None;
        }
    }
}
