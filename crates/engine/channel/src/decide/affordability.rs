//! Whether both sides can pay for one more HTLC or a new feerate: reserves, fees, anchors, limits in flight, dust.

use bitcoin::Amount;
use quittance_primitives::{FeeratePerKw, MilliSatoshi};
use quittance_transactions::fees;

use crate::{BySide, ChannelState, HtlcTerms, Side, View};

/// One commitment as it would be, for checks: balances, and what is in flight from whom.
pub(crate) struct Prospect<'a> {
    state: &'a ChannelState,
    owner: Side,
    feerate: FeeratePerKw,
    balances: BySide<MilliSatoshi>,
    htlcs: Vec<(Side, &'a HtlcTerms)>,
}

/// A balance does not cover what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    pub(crate) balance: MilliSatoshi,
    pub(crate) needed: MilliSatoshi,
}

impl<'a> Prospect<'a> {
    /// The commitment `view`, at the newest feerate that it rests on.
    pub(crate) fn of(state: &'a ChannelState, view: View) -> Self {
        let commitments = &state.commitments;
        Self {
            state,
            owner: view.owner(),
            feerate: commitments.feerate(view),
            balances: commitments.balances(view),
            htlcs: commitments.htlcs(view).collect(),
        }
    }

    /// The same at another feerate.
    pub(crate) fn at(mut self, feerate: FeeratePerKw) -> Self {
        self.feerate = feerate;
        self
    }

    /// The same with one more HTLC of `offered_by`.
    pub(crate) fn with(mut self, offered_by: Side, terms: &'a HtlcTerms) -> Result<Self, Shortfall> {
        let balance = self.balances.of_mut(offered_by);
        let left = balance.checked_sub(terms.amount);
        *balance = left.ok_or(Shortfall {
            balance: *balance,
            needed: terms.amount,
        })?;
        self.htlcs.push((offered_by, terms));
        Ok(self)
    }

    /// How many HTLCs `side` has in flight in it, dust included.
    pub(crate) fn count_of(&self, side: Side) -> usize {
        self.htlcs.iter().filter(|(offered_by, _)| *offered_by == side).count()
    }

    /// How much `side` has in flight in it, dust included.
    pub(crate) fn in_flight_of(&self, side: Side) -> MilliSatoshi {
        let own = self.htlcs.iter().filter(|(offered_by, _)| *offered_by == side);
        MilliSatoshi::checked_sum(own.map(|(_, terms)| terms.amount)).expect("I-1: less than the capacity is in flight")
    }

    /// What the HTLCs without an output hold together.
    pub(crate) fn dust(&self) -> MilliSatoshi {
        let dust = self
            .htlcs
            .iter()
            .filter(|(offered_by, terms)| self.is_trimmed(*offered_by, terms));
        MilliSatoshi::checked_sum(dust.map(|(_, terms)| terms.amount))
            .expect("I-1: less than the capacity is in flight")
    }

    /// Whether `side` keeps its reserve, and pays fee and anchors beside it if it is the opener. `further` untrimmed HTLCs are
    /// counted in.
    pub(crate) fn check_balance(&self, side: Side, further: u32) -> Result<(), Shortfall> {
        let facts = &self.state.facts;
        let fees = if side == facts.opener {
            self.opener_cost(further)
        } else {
            Amount::ZERO
        };
        let needed = MilliSatoshi::from_sat(facts.reserve_of(side) + fees);
        let balance = *self.balances.of(side);
        if balance < needed {
            Err(Shortfall { balance, needed })
        } else {
            Ok(())
        }
    }

    /// What `side` has beyond its reserve, and beyond fee and anchors if it is the opener, with `further` untrimmed HTLCs counted in.
    pub(crate) fn spare_of(&self, side: Side, further: u32) -> MilliSatoshi {
        let facts = &self.state.facts;
        let fees = if side == facts.opener {
            self.opener_cost(further)
        } else {
            Amount::ZERO
        };
        self.balances
            .of(side)
            .saturating_sub(MilliSatoshi::from_sat(facts.reserve_of(side) + fees))
    }

    /// Whether the opener pays fee and anchors, its reserve aside.
    pub(crate) fn check_fees(&self) -> Result<(), Shortfall> {
        let needed = MilliSatoshi::from_sat(self.opener_cost(0));
        let balance = *self.balances.of(self.state.facts.opener);
        if balance < needed {
            Err(Shortfall { balance, needed })
        } else {
            Ok(())
        }
    }

    fn opener_cost(&self, further: u32) -> Amount {
        let untrimmed = self
            .htlcs
            .iter()
            .filter(|(offered_by, terms)| !self.is_trimmed(*offered_by, terms))
            .count();
        let untrimmed = u32::try_from(untrimmed).expect("no commitment holds 2^32 HTLCs");
        fees::opener_cost(self.state.facts.format, self.feerate, untrimmed + further)
    }

    fn is_trimmed(&self, offered_by: Side, terms: &HtlcTerms) -> bool {
        let facts = &self.state.facts;
        let htlc = terms.in_commitment_of(self.owner, offered_by);
        fees::is_trimmed(
            facts.format,
            htlc.direction,
            self.feerate,
            facts.sides.of(self.owner).dust_limit,
            htlc.amount,
        )
    }
}

impl ChannelState {
    /// What the HTLCs without an output hold on the commitment of `owner`, with all that is on its way there, in msat (BOLT 2,
    /// bounding exposure to trimmed in-flight HTLCs).
    pub fn dust_exposure(&self, owner: Side) -> MilliSatoshi {
        Prospect::of(self, pending_of(owner)).dust()
    }
}

/// The view of everything that is on its way into the commitment of `owner`.
pub(crate) const fn pending_of(owner: Side) -> View {
    match owner {
        Side::Local => View::LocalPending,
        Side::Remote => View::RemotePending,
    }
}
