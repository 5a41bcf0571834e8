//! What the two commitments of a channel contain, now, next and before: balances, HTLCs, feerate, numbers and points.
//!
//! Invariants, asserted after every change:
//! - I-3: the balances and the HTLCs of every commitment are together the channel's capacity, to the msat.
//! - I-7: at most one commitment of the peer's is signed and not yet acknowledged by a revocation.
//!
//! Nothing here decides what is allowed; start at [`Commitments::contents`].

mod fee;
mod fold;
mod htlc;
mod htlc_state;
mod sent_updates;

use std::collections::BTreeMap;

use quittance_primitives::{CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_records::record;
use quittance_transactions::{CommitmentContents, Htlc, HtlcDirection, SecretStore};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

pub use fee::FeeUpdate;
pub use htlc::{
    AttributionData, ForwardSource, HtlcSource, HtlcTerms, OfferedHtlc, OnChain, OnionHop, OnionPacket, PaymentPart,
    ReceivedHtlc, ReceivedOnion, Removal,
};
pub use htlc_state::{HtlcState, Transition};
pub use sent_updates::{LastSent, SentUpdate, SentUpdates};

use crate::{BySide, ChannelFacts, Side};

/// Everything that the commitments of both sides are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// The commitment that we hold.
    pub local: LocalCommitment,
    /// The commitments that the peer holds.
    pub remote: RemoteCommitments,
    /// The secrets of the peer's revoked commitments.
    pub remote_secrets: SecretStore,
    /// The balances in msat, as if every HTLC that is still here would fail.
    pub settled: BySide<MilliSatoshi>,
    /// The feerates that some commitment still uses or will use, oldest first. Never empty.
    pub fees: Vec<FeeUpdate>,
    /// The HTLCs that we offered and that are not irrevocably removed.
    pub offered: BTreeMap<HtlcId, OfferedHtlc>,
    /// The HTLCs that the peer offered and that are not irrevocably removed.
    pub received: BTreeMap<HtlcId, ReceivedHtlc>,
    /// The id of the next HTLC that each side offers.
    pub next_htlc_id: BySide<HtlcId>,
    /// What we sent and may have to send again.
    pub sent: SentUpdates,
}

record!(Commitments {
    local,
    remote,
    remote_secrets,
    settled,
    fees,
    offered,
    received,
    next_htlc_id,
    sent,
});

/// The commitment that we hold, with the peer's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCommitment {
    /// Its number.
    pub number: CommitmentNumber,
    /// Our point for it.
    pub point: PublicKey,
    /// Our point for the next one; the peer knows it.
    pub next_point: PublicKey,
    /// The peer's signature on it.
    pub signature: Signature,
    /// The peer's signatures on the second stages of its HTLCs.
    pub htlc_signatures: Vec<Signature>,
}

record!(LocalCommitment {
    number,
    point,
    next_point,
    signature,
    htlc_signatures
});

/// The commitments that the peer holds: the latest one that we signed, and the one before it until it is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCommitments {
    /// The number of the latest one that we signed.
    pub number: CommitmentNumber,
    /// The peer's point for it.
    pub point: PublicKey,
    /// The point of the one before it, while the peer has not revoked that one.
    pub unrevoked_previous: Option<PublicKey>,
    /// The point for the next one; missing until the peer's `channel_ready`, and while a revocation is awaited.
    pub next_point: Option<PublicKey>,
}

record!(RemoteCommitments {
    number,
    point,
    unrevoked_previous,
    next_point
});

/// One of the commitments that exist or are about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Ours.
    Local,
    /// Ours, were the peer to sign now.
    LocalNext,
    /// The peer's latest one that we signed.
    Remote,
    /// The peer's, were we to sign now.
    RemoteNext,
    /// The peer's before the latest one, as long as it is not revoked.
    RemotePrevious,
    /// Ours, with every HTLC that is on its way there, and none that is only on its way out: what we must be able to afford.
    LocalPending,
    /// The same of the peer's.
    RemotePending,
}

impl View {
    /// Whose commitment it is.
    pub const fn owner(self) -> Side {
        match self {
            Self::Local | Self::LocalNext | Self::LocalPending => Side::Local,
            Self::Remote | Self::RemoteNext | Self::RemotePrevious | Self::RemotePending => Side::Remote,
        }
    }

    /// The owner's next commitment.
    pub const fn next_of(owner: Side) -> Self {
        match owner {
            Side::Local => Self::LocalNext,
            Side::Remote => Self::RemoteNext,
        }
    }

    /// Whether it contains an HTLC, or rests on a feerate, in this state.
    pub const fn contains(self, state: HtlcState) -> bool {
        match self {
            Self::Local => state.is_in_commitment_of(Side::Local),
            Self::LocalNext => state.will_be_in_commitment_of(Side::Local),
            Self::Remote => state.is_in_commitment_of(Side::Remote),
            Self::RemoteNext => state.will_be_in_commitment_of(Side::Remote),
            Self::RemotePrevious => state.is_in_previous_remote_commitment(),
            Self::LocalPending => state.is_or_will_be_in_commitment_of(Side::Local),
            Self::RemotePending => state.is_or_will_be_in_commitment_of(Side::Remote),
        }
    }
}

impl Commitments {
    /// The feerate of the commitment `view`.
    pub fn feerate(&self, view: View) -> FeeratePerKw {
        let newest = self.fees.iter().rev().find(|fee| view.contains(fee.state));
        newest.expect("the oldest feerate is in every commitment").feerate
    }

    /// The HTLCs of the commitment `view`, each with the side that offered it. The peer's come last.
    pub fn htlcs(&self, view: View) -> impl Iterator<Item = (Side, &HtlcTerms)> {
        let offered = self.offered.values().filter(move |htlc| view.contains(htlc.state));
        let received = self.received.values().filter(move |htlc| view.contains(htlc.state));
        let offered = offered.map(|htlc| (Side::Local, &htlc.terms));
        offered.chain(received.map(|htlc| (Side::Remote, &htlc.terms)))
    }

    /// The balances of both sides in the commitment `view`, beside its HTLCs, before fee and anchors, in msat.
    pub fn balances(&self, view: View) -> BySide<MilliSatoshi> {
        let moved = |side| {
            let mut moved = Moved::default();
            for htlc in self.places_of(side) {
                moved.count(&htlc, view);
            }
            moved
        };
        self.balances_beside(BySide::each(moved))
    }

    /// The balances of both sides beside what their HTLCs move, in msat.
    pub(crate) fn balances_beside(&self, moved: BySide<Moved>) -> BySide<MilliSatoshi> {
        let balance_of = |side: Side| {
            let own = moved.of(side);
            let mut balance = *self.settled.of(side);
            add(&mut balance, moved.of(side.other()).fulfilled);
            subtract(&mut balance, own.in_flight);
            subtract(&mut balance, own.fulfilled);
            balance
        };
        BySide::each(balance_of)
    }

    /// Every HTLC of `side` that is not irrevocably removed, and where it stands, for sums over them. HTLCs are large: several sums cost
    /// less over this than over them.
    pub(crate) fn places_of(&self, side: Side) -> Vec<Place<'_>> {
        match side {
            Side::Local => {
                let offered = self.offered.values();
                offered
                    .map(|htlc| Place::of(&htlc.terms, htlc.state, htlc.removal.as_ref()))
                    .collect()
            }
            Side::Remote => {
                let received = self.received.values();
                received
                    .map(|htlc| Place::of(&htlc.terms, htlc.state, htlc.removal.as_ref()))
                    .collect()
            }
        }
    }

    /// What the commitment `view` shares out, or `None` if its point is not known yet or it does not exist.
    pub fn contents(&self, facts: &ChannelFacts, view: View) -> Option<CommitmentContents> {
        let (number, point) = match view {
            View::Local => (self.local.number, self.local.point),
            View::LocalNext | View::LocalPending => (self.local.number.next(), self.local.next_point),
            View::Remote => (self.remote.number, self.remote.point),
            View::RemoteNext | View::RemotePending => (self.remote.number.next(), self.remote.next_point?),
            View::RemotePrevious => (self.remote.number.previous()?, self.remote.unrevoked_previous?),
        };
        let owner = view.owner();
        let balances = self.balances(view);
        let contents = CommitmentContents {
            broadcaster: facts.role(owner),
            number,
            per_commitment_point: point,
            feerate: self.feerate(view),
            to_broadcaster: *balances.of(owner),
            to_countersignatory: *balances.of(owner.other()),
            htlcs: self
                .htlcs(view)
                .map(|(offered_by, terms)| terms.in_commitment_of(owner, offered_by))
                .collect(),
        };
        let capacity = MilliSatoshi::from_sat(facts.capacity);
        assert_eq!(
            contents.total(),
            Some(capacity),
            "I-3: balances and HTLCs are the capacity"
        );
        Some(contents)
    }

    /// Whether we signed a commitment that the peer has not acknowledged by a revocation.
    pub const fn is_awaiting_revocation(&self) -> bool {
        self.remote.unrevoked_previous.is_some()
    }

    /// Whether the next commitment of `owner` would have anything new in it (BOLT 2: none is signed without an update).
    pub fn has_news_for(&self, owner: Side) -> bool {
        let transition = match owner {
            Side::Local => Transition::CommitmentReceived,
            Side::Remote => Transition::CommitmentSent,
        };
        self.states().any(|state| state.after(transition).is_some())
    }

    /// Whether both commitments are the same and nothing is on its way, HTLCs that both sides hold excepted.
    pub fn is_at_rest(&self) -> bool {
        !self.is_awaiting_revocation() && self.states().all(HtlcState::is_irrevocably_added)
    }

    /// Whether an update that `side` proposed is not yet in both commitments for good (BOLT 2, quiescence, shutdown).
    pub fn has_pending_updates_of(&self, side: Side) -> bool {
        self.states()
            .any(|state| state.proposer_of_pending_update() == Some(side))
    }

    /// Whether no HTLC is left in any commitment and nothing is on its way: the channel may be closed by agreement.
    pub fn is_empty_and_at_rest(&self) -> bool {
        self.offered.is_empty() && self.received.is_empty() && self.is_at_rest()
    }

    /// Whether an HTLC stays whose removal has not begun.
    pub fn has_lasting_htlc(&self) -> bool {
        let offered = self.offered.values().map(|htlc| htlc.state);
        let received = self.received.values().map(|htlc| htlc.state);
        offered.chain(received).any(HtlcState::is_irrevocably_added)
    }

    fn states(&self) -> impl Iterator<Item = HtlcState> {
        let offered = self.offered.values().map(|htlc| htlc.state);
        let received = self.received.values().map(|htlc| htlc.state);
        offered.chain(received).chain(self.fees.iter().map(|fee| fee.state))
    }
}

/// What a sum over HTLCs needs of one of them.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) amount: MilliSatoshi,
    state: HtlcState,
    removal: Option<&'a Removal>,
}

impl<'a> Place<'a> {
    const fn of(terms: &HtlcTerms, state: HtlcState, removal: Option<&'a Removal>) -> Self {
        Self {
            amount: terms.amount,
            state,
            removal,
        }
    }
}

/// What the HTLCs of one side take from its balance in one commitment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Held by HTLCs that are in it.
    pub(crate) in_flight: MilliSatoshi,
    /// The other side's by now: their HTLCs have left it by their preimages.
    fulfilled: MilliSatoshi,
}

impl Moved {
    /// Counts one more HTLC. Whether the commitment `view` contains it.
    pub(crate) fn count(&mut self, htlc: &Place<'_>, view: View) -> bool {
        let is_in = view.contains(htlc.state);
        if is_in {
            add(&mut self.in_flight, htlc.amount);
        } else if htlc.removal.and_then(Removal::preimage).is_some() {
            add(&mut self.fulfilled, htlc.amount);
        }
        is_in
    }
}

impl HtlcTerms {
    /// The HTLC as it stands in a commitment of `owner`.
    pub(crate) fn in_commitment_of(&self, owner: Side, offered_by: Side) -> Htlc {
        Htlc {
            direction: direction_in(owner, offered_by),
            id: self.id,
            amount: self.amount,
            payment_hash: self.payment_hash,
            cltv_expiry: self.cltv_expiry,
        }
    }
}

/// What an HTLC of `offered_by` is in a commitment of `owner`.
pub(crate) fn direction_in(owner: Side, offered_by: Side) -> HtlcDirection {
    if owner == offered_by {
        HtlcDirection::Offered
    } else {
        HtlcDirection::Received
    }
}

pub(crate) fn subtract(balance: &mut MilliSatoshi, amount: MilliSatoshi) {
    *balance = balance
        .checked_sub(amount)
        .expect("I-3: nobody offers more than it has");
}

pub(crate) fn add(balance: &mut MilliSatoshi, amount: MilliSatoshi) {
    *balance = balance
        .checked_add(amount)
        .expect("I-3: nobody receives more than there is");
}
