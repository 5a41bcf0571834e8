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
    feerate: FeeratePerKw,
    balances: BySide<MilliSatoshi>,
    flight: BySide<Flight>,
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
    moved: Moved,
    count: u32,
    /// What HTLCs without an output hold.
    dust: MilliSatoshi,
    untrimmed: u32,
    untrimmed_in_spike: u32,
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
        Self::over(state, view, feerate, &places(state))
    }

    /// What is on its way into the commitments of both sides.
    pub(crate) fn pending(state: &'a ChannelState) -> BySide<Self> {
        let places = places(state);
        let of = |view| Self::over(state, view, state.commitments.feerate(view), &places);
        BySide {
            local: of(View::LocalPending),
            remote: of(View::RemotePending),
        }
    }

    fn over(state: &'a ChannelState, view: View, feerate: FeeratePerKw, places: &BySide<Vec<Place<'_>>>) -> Self {
        let (facts, owner) = (&state.facts, view.owner());
        let dust_limit = facts.sides.of(owner).dust_limit;
        let least = |offered_by, feerate| {
            let direction = direction_in(owner, offered_by);
            let least = fees::htlc_output_min(facts.format, direction, feerate, dust_limit);
            MilliSatoshi(least.to_sat().saturating_mul(1_000))
        };
        let outputs_from = BySide::each(|offered_by| Threshold {
            now: least(offered_by, feerate),
            in_spike: least(offered_by, spiked(feerate)),
        });
        let flight = BySide::each(|side| Flight::of(places.of(side), view, *outputs_from.of(side)));
        let moved = BySide::each(|side| flight.of(side).moved);
        Self {
            facts,
            feerate,
            balances: state.commitments.balances_beside(moved),
            flight,
            outputs_from,
        }
    }

    /// The same with one more HTLC of `offered_by`.
    pub(crate) fn with(mut self, offered_by: Side, terms: &HtlcTerms) -> Result<Self, Shortfall> {
        let balance = self.balances.of_mut(offered_by);
        let left = balance.checked_sub(terms.amount);
        *balance = left.ok_or(Shortfall {
            balance: *balance,
            needed: terms.amount,
        })?;
        let flight = self.flight.of_mut(offered_by);
        add(&mut flight.moved.in_flight, terms.amount);
        flight.count(terms.amount, *self.outputs_from.of(offered_by));
        Ok(self)
    }

    /// How many HTLCs `side` has in flight in it, dust included.
    pub(crate) const fn count_of(&self, side: Side) -> u32 {
        self.flight.of(side).count
    }

    /// How much `side` has in flight in it, dust included.
    pub(crate) const fn in_flight_of(&self, side: Side) -> MilliSatoshi {
        self.flight.of(side).moved.in_flight
    }

    /// What the HTLCs without an output hold together.
    pub(crate) fn dust(&self) -> MilliSatoshi {
        let mut dust = self.flight.local.dust;
        add(&mut dust, self.flight.remote.dust);
        dust
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
        fees::opener_cost(self.facts.format, self.feerate, self.sum_of(|flight| flight.untrimmed))
    }

    fn spiked_cost(&self, further: u32) -> Amount {
        fees::opener_cost(
            self.facts.format,
            spiked(self.feerate),
            self.sum_of(|flight| flight.untrimmed_in_spike) + further,
        )
    }

    fn sum_of(&self, count: impl Fn(&Flight) -> u32) -> u32 {
        count(&self.flight.local) + count(&self.flight.remote)
    }
}

impl Flight {
    fn of(places: &[Place<'_>], view: View, outputs_from: Threshold) -> Self {
        let mut flight = Self::default();
        for htlc in places {
            if flight.moved.count(htlc, view) {
                flight.count(htlc.amount, outputs_from);
            }
        }
        flight
    }

    fn count(&mut self, amount: MilliSatoshi, outputs_from: Threshold) {
        self.count += 1;
        if amount < outputs_from.now {
            add(&mut self.dust, amount);
        } else {
            self.untrimmed += 1;
        }
        self.untrimmed_in_spike += u32::from(amount >= outputs_from.in_spike);
    }
}

fn places(state: &ChannelState) -> BySide<Vec<Place<'_>>> {
    BySide::each(|side| state.commitments.places_of(side))
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
