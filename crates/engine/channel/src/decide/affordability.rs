//! Whether both sides can pay for one more HTLC or a new feerate: reserves, fees, anchors, limits in flight, dust.

use bitcoin::Amount;
use quittance_primitives::{FeeratePerKw, MilliSatoshi};
use quittance_transactions::fees;

use crate::commitments::{Moved, Place, add, direction_in};
use crate::{BySide, ChannelFacts, ChannelState, HtlcTerms, Side, View};

/// BOLT 2, `update_add_htlc`: the feerate may rise by this factor before the opener runs short.
const FEE_SPIKE_FACTOR: u32 = 2;

/// One commitment as it would be, summed up for checks: balances, and what is in flight from whom. Made in one pass over the HTLCs, so
/// that a full channel stays quick.
pub(crate) struct Prospect<'a> {
    facts: &'a ChannelFacts,
    view: View,
    feerate: FeeratePerKw,
    balances: BySide<MilliSatoshi>,
    moved: Moved,
    flight: BySide<Flight>,
    dust: MilliSatoshi,
    untrimmed: u32,
    untrimmed_in_spike: u32,
    outputs_from: BySide<Threshold>,
}

/// From which amount on an HTLC has an output, by who offered it.
#[derive(Clone, Copy)]
struct Threshold {
    now: MilliSatoshi,
    in_spike: MilliSatoshi,
}

/// What one side has in flight, dust included.
#[derive(Clone, Copy, Default)]
struct Flight {
    count: u32,
    sum: MilliSatoshi,
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
        Self::at(state, view, state.commitments.feerate(view))
    }

    /// The commitment `view` at another feerate.
    pub(crate) fn at(state: &'a ChannelState, view: View, feerate: FeeratePerKw) -> Self {
        let mut prospect = Self::without_htlcs(state, view, feerate);
        for htlc in state.commitments.places() {
            prospect.see(&htlc);
        }
        prospect.balanced(state)
    }

    /// What is on its way into the commitments of both sides.
    pub(crate) fn pending(state: &'a ChannelState) -> BySide<Self> {
        let of = |view| Self::without_htlcs(state, view, state.commitments.feerate(view));
        let (mut local, mut remote) = (of(View::LocalPending), of(View::RemotePending));
        // HTLCs are large: two passes over what the sums need of them cost less than a second one over all of them.
        let places: Vec<_> = state.commitments.places().collect();
        for htlc in &places {
            local.see(htlc);
        }
        for htlc in &places {
            remote.see(htlc);
        }
        BySide {
            local: local.balanced(state),
            remote: remote.balanced(state),
        }
    }

    fn without_htlcs(state: &'a ChannelState, view: View, feerate: FeeratePerKw) -> Self {
        let (facts, owner) = (&state.facts, view.owner());
        let dust_limit = facts.sides.of(owner).dust_limit;
        let least = |offered_by, feerate| {
            let direction = direction_in(owner, offered_by);
            let least = fees::htlc_output_min(facts.format, direction, feerate, dust_limit);
            MilliSatoshi(least.to_sat().saturating_mul(1_000))
        };
        let outputs_from = |offered_by| Threshold {
            now: least(offered_by, feerate),
            in_spike: least(offered_by, spiked(feerate)),
        };
        Self {
            facts,
            view,
            feerate,
            balances: BySide::default(),
            moved: Moved::default(),
            flight: BySide::default(),
            dust: MilliSatoshi::ZERO,
            untrimmed: 0,
            untrimmed_in_spike: 0,
            outputs_from: BySide {
                local: outputs_from(Side::Local),
                remote: outputs_from(Side::Remote),
            },
        }
    }

    fn see(&mut self, htlc: &Place<'_>) {
        self.moved.count(htlc, self.view);
        if htlc.is_in(self.view) {
            self.count(htlc.offered_by, htlc.amount);
        }
    }

    fn balanced(mut self, state: &ChannelState) -> Self {
        self.balances = self.moved.balances(&state.commitments);
        self
    }

    /// The same with one more HTLC of `offered_by`.
    pub(crate) fn with(mut self, offered_by: Side, terms: &HtlcTerms) -> Result<Self, Shortfall> {
        let balance = self.balances.of_mut(offered_by);
        let left = balance.checked_sub(terms.amount);
        *balance = left.ok_or(Shortfall {
            balance: *balance,
            needed: terms.amount,
        })?;
        self.count(offered_by, terms.amount);
        Ok(self)
    }

    /// How many HTLCs `side` has in flight in it, dust included.
    pub(crate) const fn count_of(&self, side: Side) -> u32 {
        self.flight.of(side).count
    }

    /// How much `side` has in flight in it, dust included.
    pub(crate) const fn in_flight_of(&self, side: Side) -> MilliSatoshi {
        self.flight.of(side).sum
    }

    /// What the HTLCs without an output hold together.
    pub(crate) const fn dust(&self) -> MilliSatoshi {
        self.dust
    }

    /// Whether `side` keeps its reserve, and pays fee and anchors beside it if it is the opener.
    pub(crate) fn check_balance(&self, side: Side) -> Result<(), Shortfall> {
        self.check(
            side,
            if side == self.facts.opener {
                self.opener_cost()
            } else {
                Amount::ZERO
            },
        )
    }

    /// BOLT 2, `update_add_htlc`: whether the opener could still pay at twice the feerate with one more HTLC, beside its reserve, so that
    /// the channel does not get stuck when fees rise.
    pub(crate) fn check_fee_spike_buffer(&self) -> Result<(), Shortfall> {
        self.check(self.facts.opener, self.spiked_cost(1))
    }

    /// What `side` has beyond its reserve and, if it is the opener, beyond what two more HTLCs would cost in a fee spike.
    pub(crate) fn spare_of(&self, side: Side) -> MilliSatoshi {
        let fees = if side == self.facts.opener {
            self.spiked_cost(2)
        } else {
            Amount::ZERO
        };
        self.balances.of(side).saturating_sub(self.reserve_and(side, fees))
    }

    /// Whether the opener pays fee and anchors, its reserve aside.
    pub(crate) fn check_fees(&self) -> Result<(), Shortfall> {
        let needed = MilliSatoshi::from_sat(self.opener_cost());
        let balance = *self.balances.of(self.facts.opener);
        if balance < needed {
            Err(Shortfall { balance, needed })
        } else {
            Ok(())
        }
    }

    fn check(&self, side: Side, fees: Amount) -> Result<(), Shortfall> {
        let needed = self.reserve_and(side, fees);
        let balance = *self.balances.of(side);
        if balance < needed {
            Err(Shortfall { balance, needed })
        } else {
            Ok(())
        }
    }

    fn reserve_and(&self, side: Side, fees: Amount) -> MilliSatoshi {
        MilliSatoshi::from_sat(self.facts.reserve_of(side) + fees)
    }

    fn opener_cost(&self) -> Amount {
        fees::opener_cost(self.facts.format, self.feerate, self.untrimmed)
    }

    fn spiked_cost(&self, further: u32) -> Amount {
        fees::opener_cost(
            self.facts.format,
            spiked(self.feerate),
            self.untrimmed_in_spike + further,
        )
    }

    fn count(&mut self, offered_by: Side, amount: MilliSatoshi) {
        let flight = self.flight.of_mut(offered_by);
        flight.count += 1;
        add(&mut flight.sum, amount);
        let outputs_from = self.outputs_from.of(offered_by);
        if amount < outputs_from.now {
            add(&mut self.dust, amount);
        } else {
            self.untrimmed += 1;
        }
        if amount >= outputs_from.in_spike {
            self.untrimmed_in_spike += 1;
        }
    }
}

fn spiked(feerate: FeeratePerKw) -> FeeratePerKw {
    feerate.saturating_mul(FEE_SPIKE_FACTOR)
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
