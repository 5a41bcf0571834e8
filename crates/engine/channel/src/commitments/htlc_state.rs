//! The life of an HTLC between the two commitments, as named states in protocol order (BOLT 2, normal operation).
//!
//! An update is proposed, committed to by its receiver, acknowledged by the receiver's revocation, committed to by its
//! sender, and acknowledged by the sender's revocation: five states to add an HTLC, five to remove it, for each of the two
//! directions. Everything that a commitment contains follows from the states alone. A fee update goes through the first five.

use quittance_records::tagged;

use crate::Side;

/// What moves updates on: the four messages of the commitment dance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// We sent `commitment_signed`.
    CommitmentSent,
    /// We received `revoke_and_ack`.
    RevocationReceived,
    /// We received `commitment_signed`.
    CommitmentReceived,
    /// We sent `revoke_and_ack`.
    RevocationSent,
}

/// Where an HTLC stands. The name tells the last thing that happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "each name says what happened, in the order of the module's header"
)]
pub enum HtlcState {
    // Offered by us.
    SentAddHtlc,
    SentAddCommit,
    RcvdAddRevocation,
    RcvdAddAckCommit,
    SentAddAckRevocation,
    RcvdRemoveHtlc,
    RcvdRemoveCommit,
    SentRemoveRevocation,
    SentRemoveAckCommit,
    RcvdRemoveAckRevocation,
    // Offered by the peer.
    RcvdAddHtlc,
    RcvdAddCommit,
    SentAddRevocation,
    SentAddAckCommit,
    RcvdAddAckRevocation,
    SentRemoveHtlc,
    SentRemoveCommit,
    RcvdRemoveRevocation,
    RcvdRemoveAckCommit,
    SentRemoveAckRevocation,
}

tagged!(HtlcState {
    1 => SentAddHtlc,
    2 => SentAddCommit,
    3 => RcvdAddRevocation,
    4 => RcvdAddAckCommit,
    5 => SentAddAckRevocation,
    6 => RcvdRemoveHtlc,
    7 => RcvdRemoveCommit,
    8 => SentRemoveRevocation,
    9 => SentRemoveAckCommit,
    10 => RcvdRemoveAckRevocation,
    11 => RcvdAddHtlc,
    12 => RcvdAddCommit,
    13 => SentAddRevocation,
    14 => SentAddAckCommit,
    15 => RcvdAddAckRevocation,
    16 => SentRemoveHtlc,
    17 => SentRemoveCommit,
    18 => RcvdRemoveRevocation,
    19 => RcvdRemoveAckCommit,
    20 => SentRemoveAckRevocation,
});

impl HtlcState {
    /// The state in which an HTLC, or a fee update, is proposed by `side`.
    pub const fn proposed_by(side: Side) -> Self {
        match side {
            Side::Local => Self::SentAddHtlc,
            Side::Remote => Self::RcvdAddHtlc,
        }
    }

    /// Who offered the HTLC.
    pub const fn offered_by(self) -> Side {
        match self {
            Self::SentAddHtlc
            | Self::SentAddCommit
            | Self::RcvdAddRevocation
            | Self::RcvdAddAckCommit
            | Self::SentAddAckRevocation
            | Self::RcvdRemoveHtlc
            | Self::RcvdRemoveCommit
            | Self::SentRemoveRevocation
            | Self::SentRemoveAckCommit
            | Self::RcvdRemoveAckRevocation => Side::Local,
            Self::RcvdAddHtlc
            | Self::RcvdAddCommit
            | Self::SentAddRevocation
            | Self::SentAddAckCommit
            | Self::RcvdAddAckRevocation
            | Self::SentRemoveHtlc
            | Self::SentRemoveCommit
            | Self::RcvdRemoveRevocation
            | Self::RcvdRemoveAckCommit
            | Self::SentRemoveAckRevocation => Side::Remote,
        }
    }

    /// The state after `transition`, or `None` when it does not concern an HTLC in this state.
    pub const fn after(self, transition: Transition) -> Option<Self> {
        use Transition::{CommitmentReceived, CommitmentSent, RevocationReceived, RevocationSent};
        Some(match (transition, self) {
            (CommitmentSent, Self::SentAddHtlc) => Self::SentAddCommit,
            (CommitmentSent, Self::SentRemoveRevocation) => Self::SentRemoveAckCommit,
            (CommitmentSent, Self::SentAddRevocation) => Self::SentAddAckCommit,
            (CommitmentSent, Self::SentRemoveHtlc) => Self::SentRemoveCommit,
            (RevocationReceived, Self::SentAddCommit) => Self::RcvdAddRevocation,
            (RevocationReceived, Self::SentRemoveAckCommit) => Self::RcvdRemoveAckRevocation,
            (RevocationReceived, Self::SentAddAckCommit) => Self::RcvdAddAckRevocation,
            (RevocationReceived, Self::SentRemoveCommit) => Self::RcvdRemoveRevocation,
            (CommitmentReceived, Self::RcvdAddHtlc) => Self::RcvdAddCommit,
            (CommitmentReceived, Self::RcvdRemoveRevocation) => Self::RcvdRemoveAckCommit,
            (CommitmentReceived, Self::RcvdAddRevocation) => Self::RcvdAddAckCommit,
            (CommitmentReceived, Self::RcvdRemoveHtlc) => Self::RcvdRemoveCommit,
            (RevocationSent, Self::RcvdAddCommit) => Self::SentAddRevocation,
            (RevocationSent, Self::RcvdRemoveAckCommit) => Self::SentRemoveAckRevocation,
            (RevocationSent, Self::RcvdAddAckCommit) => Self::SentAddAckRevocation,
            (RevocationSent, Self::RcvdRemoveCommit) => Self::SentRemoveRevocation,
            (CommitmentSent | RevocationReceived | CommitmentReceived | RevocationSent, _) => return None,
        })
    }

    /// Whether the latest commitment of `side` contains the HTLC. For the peer that is the latest one that we signed.
    pub const fn is_in_commitment_of(self, side: Side) -> bool {
        match self {
            Self::RcvdAddAckCommit
            | Self::SentAddAckRevocation
            | Self::RcvdRemoveHtlc
            | Self::SentAddAckCommit
            | Self::RcvdAddAckRevocation
            | Self::SentRemoveHtlc => true,
            Self::SentAddCommit | Self::RcvdAddRevocation | Self::RcvdRemoveCommit | Self::SentRemoveRevocation => {
                matches!(side, Side::Remote)
            }
            Self::RcvdAddCommit | Self::SentAddRevocation | Self::SentRemoveCommit | Self::RcvdRemoveRevocation => {
                matches!(side, Side::Local)
            }
            Self::SentAddHtlc
            | Self::RcvdAddHtlc
            | Self::SentRemoveAckCommit
            | Self::RcvdRemoveAckRevocation
            | Self::RcvdRemoveAckCommit
            | Self::SentRemoveAckRevocation => false,
        }
    }

    /// Whether the peer's commitment before the latest one that we signed contains it: the peer may still broadcast that one
    /// until it revokes it.
    pub const fn is_in_previous_remote_commitment(self) -> bool {
        match self {
            Self::SentAddCommit | Self::SentAddAckCommit => false,
            Self::SentRemoveAckCommit | Self::SentRemoveCommit => true,
            Self::SentAddHtlc
            | Self::RcvdAddRevocation
            | Self::RcvdAddAckCommit
            | Self::SentAddAckRevocation
            | Self::RcvdRemoveHtlc
            | Self::RcvdRemoveCommit
            | Self::SentRemoveRevocation
            | Self::RcvdRemoveAckRevocation
            | Self::RcvdAddHtlc
            | Self::RcvdAddCommit
            | Self::SentAddRevocation
            | Self::RcvdAddAckRevocation
            | Self::SentRemoveHtlc
            | Self::RcvdRemoveRevocation
            | Self::RcvdRemoveAckCommit
            | Self::SentRemoveAckRevocation => self.is_in_commitment_of(Side::Remote),
        }
    }

    /// Whether the next commitment of `side` would contain it, were it signed now.
    pub const fn will_be_in_commitment_of(self, side: Side) -> bool {
        let transition = match side {
            Side::Local => Transition::CommitmentReceived,
            Side::Remote => Transition::CommitmentSent,
        };
        match self.after(transition) {
            Some(next) => next.is_in_commitment_of(side),
            None => self.is_in_commitment_of(side),
        }
    }

    /// Whether the latest commitment of `side` contains it, or some later one will unless a connection is lost.
    pub const fn is_or_will_be_in_commitment_of(self, side: Side) -> bool {
        matches!(
            self,
            Self::SentAddHtlc
                | Self::SentAddCommit
                | Self::RcvdAddRevocation
                | Self::RcvdAddHtlc
                | Self::RcvdAddCommit
                | Self::SentAddRevocation
        ) || self.is_in_commitment_of(side)
    }

    /// Whether both sides are committed to the HTLC for good and its removal has not begun: it may be fulfilled or failed.
    pub const fn is_irrevocably_added(self) -> bool {
        matches!(self, Self::SentAddAckRevocation | Self::RcvdAddAckRevocation)
    }

    /// Whether no commitment that is not revoked contains the HTLC any more.
    pub const fn is_irrevocably_removed(self) -> bool {
        matches!(self, Self::RcvdRemoveAckRevocation | Self::SentRemoveAckRevocation)
    }

    /// Who proposed the update that is on its way, if one is: the addition, or the removal by the other side.
    pub const fn proposer_of_pending_update(self) -> Option<Side> {
        match self {
            Self::SentAddHtlc
            | Self::SentAddCommit
            | Self::RcvdAddRevocation
            | Self::RcvdAddAckCommit
            | Self::SentRemoveHtlc
            | Self::SentRemoveCommit
            | Self::RcvdRemoveRevocation
            | Self::RcvdRemoveAckCommit => Some(Side::Local),
            Self::RcvdAddHtlc
            | Self::RcvdAddCommit
            | Self::SentAddRevocation
            | Self::SentAddAckCommit
            | Self::RcvdRemoveHtlc
            | Self::RcvdRemoveCommit
            | Self::SentRemoveRevocation
            | Self::SentRemoveAckCommit => Some(Side::Remote),
            Self::SentAddAckRevocation
            | Self::RcvdRemoveAckRevocation
            | Self::RcvdAddAckRevocation
            | Self::SentRemoveAckRevocation => None,
        }
    }

    /// Whether it was proposed by one side and its receiver has not committed to it: a new connection forgets it.
    pub const fn is_uncommitted_update_of(self, side: Side) -> bool {
        match side {
            Side::Local => matches!(self, Self::SentAddHtlc | Self::SentRemoveHtlc),
            Side::Remote => matches!(self, Self::RcvdAddHtlc | Self::RcvdRemoveHtlc),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HtlcState::*;
    use Transition::*;

    #[test]
    fn an_htlc_of_ours_lives_through_ten_states_in_order() {
        let mut state = SentAddHtlc;
        let mut seen = vec![state];
        for transition in [CommitmentSent, RevocationReceived, CommitmentReceived, RevocationSent] {
            state = state.after(transition).unwrap();
            seen.push(state);
        }
        assert!(state.is_irrevocably_added());
        state = RcvdRemoveHtlc;
        seen.push(state);
        for transition in [CommitmentReceived, RevocationSent, CommitmentSent, RevocationReceived] {
            state = state.after(transition).unwrap();
            seen.push(state);
        }
        assert!(state.is_irrevocably_removed());
        assert!(seen.is_sorted() && seen.len() == 10 && seen.iter().all(|state| state.offered_by() == Side::Local));
    }

    #[test]
    fn a_transition_concerns_exactly_four_states() {
        let all: Vec<HtlcState> = (1..=20)
            .map(|tag| quittance_records::Record::from_bytes(&[tag]).unwrap())
            .collect();
        for transition in [CommitmentSent, RevocationReceived, CommitmentReceived, RevocationSent] {
            assert_eq!(
                all.iter().filter(|state| state.after(transition).is_some()).count(),
                4,
                "{transition:?}"
            );
        }
    }

    #[test]
    fn only_a_signature_changes_what_a_commitment_contains() {
        let all: Vec<HtlcState> = (1..=20)
            .map(|tag| quittance_records::Record::from_bytes(&[tag]).unwrap())
            .collect();
        for state in all {
            for (transition, changes) in [
                (CommitmentSent, Some(Side::Remote)),
                (CommitmentReceived, Some(Side::Local)),
                (RevocationSent, None),
                (RevocationReceived, None),
            ] {
                let Some(next) = state.after(transition) else { continue };
                for side in [Side::Local, Side::Remote] {
                    let differs = state.is_in_commitment_of(side) != next.is_in_commitment_of(side);
                    assert_eq!(
                        differs,
                        changes == Some(side),
                        "{state:?} -> {next:?}, commitment of {side:?}"
                    );
                }
                if transition == CommitmentSent {
                    assert_eq!(
                        next.is_in_previous_remote_commitment(),
                        state.is_in_commitment_of(Side::Remote),
                        "{next:?}"
                    );
                }
            }
        }
    }
}
