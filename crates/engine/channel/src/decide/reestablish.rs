//! A new connection (BOLT 2, message retransmission): what each side missed is sent again, in the order in which it was sent.
//!
//! A node that lost state finds out here, by the peer's proof, and never broadcasts (I-8: a commitment that may be revoked is
//! never broadcast). A claim without proof is the peer's fault.

use std::sync::Arc;

use quittance_journal::mark;
use quittance_primitives::Features;
use quittance_wire::{ChannelReady, ChannelReestablish, ErrorMessage, UpdateFee};

use crate::channel::{Link, Session};
use crate::effect::{CommitmentToSign, RevocationDue};
use crate::states::ClosingAgreed;
use crate::{
    Channel, ChannelEffect, ChannelState, Consequence, Decision, HtlcState, LastSent, Phase, SentUpdate, Side, Step,
    View, Violation,
};

/// The signer's word on the secret in the peer's `channel_reestablish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretCheck {
    /// It is the secret of our commitment `next_revocation_number - 1`.
    Ours,
    /// It is not, or `next_revocation_number` is zero and there is none.
    NotOurs,
}

/// What the peer lacks, by the numbers in its `channel_reestablish`.
struct Missing {
    revocation: bool,
    commitment: bool,
    ready: bool,
}

impl Channel {
    /// The peer is connected: greets it with our `channel_reestablish`. `features` are those that both sides support.
    pub fn decide_connected(&self, features: Features) -> Decision {
        let state = self.state();
        let decision = Decision {
            link: Some(Link::AwaitingReestablish(features)),
            ..Decision::default()
        };
        match state.phase {
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::FellBehind => decision.send(state.reestablish_message()),
            Phase::ForceClosed(_) => {
                mark!("peer told that the channel is closed");
                // Our numbers come first: a peer that lost state learns it from them, before `error` has it broadcast what is revoked.
                let decision = decision.send(state.reestablish_message());
                decision.send(state.closed_error("the channel is closed by its commitment"))
            }
            Phase::Abandoned(_) => decision.send(state.closed_error("the funding was never confirmed")),
        }
    }

    /// The peer's `channel_reestablish`, with the signer's word on the secret in it.
    ///
    /// # Errors
    /// [`Violation`] when the numbers or the secret do not fit, and do not prove that we lost state.
    pub fn decide_reestablish(&self, message: &ChannelReestablish, secret: SecretCheck) -> Result<Decision, Violation> {
        let features = match self.link() {
            Link::AwaitingReestablish(features) => features.clone(),
            Link::Up(_) => return Err(Violation::ReestablishedTwice),
            Link::Down => {
                return Err(Violation::BeforeReestablish {
                    message: "channel_reestablish",
                });
            }
        };
        let state = self.state();
        match state.phase {
            Phase::AwaitingReady(_) | Phase::Normal | Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => {}
            Phase::FellBehind => {
                mark!("peer asked again to close what we lost");
                return Ok(state.ask_to_close(Decision::default()));
            }
            Phase::ForceClosed(_) | Phase::Abandoned(_) => return Ok(Decision::default()),
        }
        let Some(missing) = state.compare(message, secret)? else {
            mark!("we lost state, by the peer's proof");
            return Ok(state.ask_to_close(Decision::step(Step::FellBehind).so(Consequence::WeFellBehind)));
        };
        let mut decision = Decision {
            link: Some(Link::Up(Session::new(features))),
            ..Decision::default()
        };
        let forgets = state.has_uncommitted_updates_of_peer();
        #[cfg(feature = "mutants")]
        let forgets = forgets && !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::UncommittedKept);
        if forgets {
            mark!("the peer's uncommitted updates are forgotten");
            decision.steps.push(Step::UncommittedForgotten);
        }
        decision.effects = state.retransmission(&missing);
        Ok(decision)
    }
}

impl ChannelState {
    fn reestablish_message(&self) -> ChannelReestablish {
        let commitments = &self.commitments;
        let awaited = if commitments.is_awaiting_revocation() {
            commitments
                .remote
                .number
                .previous()
                .expect("a revocation follows a signature")
        } else {
            commitments.remote.number
        };
        let last = awaited
            .previous()
            .and_then(|revoked| commitments.remote_secrets.secret(revoked));
        ChannelReestablish {
            channel_id: self.facts.channel_id,
            next_commitment_number: commitments.local.number.next().0,
            next_revocation_number: awaited.0,
            your_last_per_commitment_secret: last.map_or([0; 32], |secret| secret.0),
            my_current_per_commitment_point: commitments.local.point,
            next_funding: None,
            my_current_funding_locked: None,
        }
    }

    /// What the peer lacks, or `None` when it proves that we lost state.
    fn compare(&self, message: &ChannelReestablish, secret: SecretCheck) -> Result<Option<Missing>, Violation> {
        let commitments = &self.commitments;
        let (local, remote) = (commitments.local.number.0, commitments.remote.number.0);
        let (commitment, revocation) = (message.next_commitment_number, message.next_revocation_number);
        if commitment == 0 {
            return Err(Violation::ReestablishAtZero);
        }
        let proven = match revocation {
            0 => message.your_last_per_commitment_secret == [0; 32],
            _ => secret == SecretCheck::Ours,
        };
        #[cfg(feature = "mutants")]
        let proven = proven || quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::FalseProofBelieved);
        if revocation > local {
            let ahead = Violation::RevocationNumberAhead {
                got: revocation,
                expected: local,
            };
            #[cfg(feature = "mutants")]
            let proven =
                proven && !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::FellBehindBroadcasts);
            return if proven {
                Ok(None)
            } else {
                mark!("the peer claims without proof that we lost state");
                Err(ahead)
            };
        }
        if revocation + 1 < local {
            mark!("the peer lost revocations");
            return Err(Violation::PeerFellBehind {
                what: "revocation",
                got: revocation,
                expected: local,
            });
        }
        if !proven {
            return Err(Violation::WrongLastSecret);
        }
        let (awaiting, expected) = (commitments.is_awaiting_revocation(), remote + 1);
        if commitment > expected {
            return Err(Violation::CommitmentNumberAhead {
                got: commitment,
                expected,
            });
        }
        if commitment < remote || (commitment == remote && !awaiting) {
            mark!("the peer lost commitments");
            return Err(Violation::PeerFellBehind {
                what: "commitment",
                got: commitment,
                expected,
            });
        }
        Ok(Some(Missing {
            revocation: revocation < local,
            commitment: commitment == remote,
            ready: commitment == 1 && local == 0,
        }))
    }

    fn retransmission(&self, missing: &Missing) -> Vec<ChannelEffect> {
        let mut effects = Vec::new();
        #[cfg(feature = "mutants")]
        let missing = &Missing {
            revocation: missing.revocation
                && !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::RevocationNotRepeated),
            ready: missing.ready
                && !quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ReadyNotRepeated),
            ..*missing
        };
        if missing.ready && self.has_sent_ready() {
            effects.push(ChannelEffect::Send(Box::new(self.ready_message().into())));
        }
        let (sent, local) = (&self.commitments.sent, &self.commitments.local);
        let revocation = missing.revocation.then(|| {
            let revoked = local.number.previous().expect("the peer awaits a revocation of ours");
            ChannelEffect::SendRevocation(RevocationDue::new(&self.facts, revoked, local.next_point))
        });
        let commitment = if missing.commitment {
            self.commitment_again()
        } else {
            Vec::new()
        };
        #[cfg(feature = "mutants")]
        let (revocation, commitment) = {
            use quittance_journal::mutant::{Mutant, is_on};
            if is_on(Mutant::UpdatesDoubled) {
                effects.extend(sent.unsigned.iter().map(|update| self.update_again(*update)));
            }
            if is_on(Mutant::RetransmissionReordered) && missing.commitment {
                let (early, late) = match sent.last {
                    LastSent::Commitment => (commitment, revocation),
                    LastSent::Revocation => {
                        effects.extend(revocation);
                        (commitment, None)
                    }
                };
                effects.extend(early);
                (late, Vec::new())
            } else {
                (revocation, commitment)
            }
        };
        match sent.last {
            LastSent::Commitment => {
                if revocation.is_some() && !commitment.is_empty() {
                    mark!("revocation and then commitment are sent again");
                }
                effects.extend(revocation.into_iter().chain(commitment));
            }
            LastSent::Revocation => {
                if revocation.is_some() && !commitment.is_empty() {
                    mark!("commitment and then revocation are sent again");
                }
                effects.extend(commitment.into_iter().chain(revocation));
            }
        }
        // Before the updates that nothing commits to: `shutdown` never left while there were any.
        let script = self.shutting_down().and_then(|closing| closing.scripts.local.clone());
        effects.extend(script.map(|script| ChannelEffect::Send(Box::new(self.shutdown_message(script).into()))));
        effects.extend(sent.unsigned.iter().map(|update| self.update_again(*update)));
        effects
    }

    /// The updates of our latest signed commitment, and the commitment.
    fn commitment_again(&self) -> Vec<ChannelEffect> {
        let signed = &self.commitments.sent.signed;
        let mut commitment: Vec<_> = signed.iter().map(|update| self.update_again(*update)).collect();
        let contents = self.commitments.contents(&self.facts, View::Remote);
        let contents = contents.expect("the latest signed commitment has a point");
        #[cfg(feature = "mutants")]
        let contents = if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::SignedAgainOtherwise) {
            quittance_transactions::CommitmentContents {
                feerate: self.commitments.fees.last().map_or(contents.feerate, |fee| fee.feerate),
                ..contents
            }
        } else {
            contents
        };
        commitment.push(ChannelEffect::SendCommitment(Arc::new(CommitmentToSign::new(
            &self.facts,
            contents,
        ))));
        commitment
    }

    /// The effect that sends an update of ours again.
    pub(crate) fn update_again(&self, update: SentUpdate) -> ChannelEffect {
        let message = match update {
            SentUpdate::Added(id) => return ChannelEffect::SendHtlc(id),
            SentUpdate::Removed(id) => {
                let removal = self
                    .commitments
                    .received
                    .get(&id)
                    .and_then(|htlc| htlc.removal.as_ref());
                self.removal_message(
                    id,
                    removal.expect("an HTLC stays until the peer acknowledged its removal"),
                )
            }
            SentUpdate::Fee(feerate) => UpdateFee {
                channel_id: self.facts.channel_id,
                feerate_per_kw: feerate,
            }
            .into(),
        };
        ChannelEffect::Send(Box::new(message))
    }

    pub(crate) fn ready_message(&self) -> ChannelReady {
        ChannelReady {
            channel_id: self.facts.channel_id,
            second_per_commitment_point: self.commitments.local.next_point,
            short_channel_id: self.aliases.local,
        }
    }

    pub(crate) const fn has_sent_ready(&self) -> bool {
        match &self.phase {
            Phase::AwaitingReady(awaiting) => awaiting.sent.local,
            Phase::Normal => true,
            Phase::ShuttingDown(shutdown) | Phase::ClosingAgreed(ClosingAgreed { shutdown, .. }) => {
                shutdown.ready.local
            }
            Phase::ForceClosed(_) | Phase::FellBehind | Phase::Abandoned(_) => false,
        }
    }

    fn has_uncommitted_updates_of_peer(&self) -> bool {
        let commitments = &self.commitments;
        let received = commitments.received.values().map(|htlc| htlc.state);
        let offered = commitments.offered.values().map(|htlc| htlc.state);
        let fees = commitments.fees.iter().map(|fee| fee.state);
        received
            .chain(offered)
            .chain(fees)
            .any(|state: HtlcState| state.is_uncommitted_update_of(Side::Remote))
    }

    /// Asks the peer to close the channel: it holds the newer state.
    fn ask_to_close(&self, decision: Decision) -> Decision {
        decision.send(self.closed_error("we lost state; please close the channel with your latest commitment"))
    }

    fn closed_error(&self, text: &str) -> ErrorMessage {
        ErrorMessage {
            channel_id: self.facts.channel_id,
            data: text.as_bytes().to_vec(),
        }
    }
}
