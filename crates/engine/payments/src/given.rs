//! Routes that the caller gives: checked before anything is paid, so that a wrong one is refused with its reason, and then answered by a
//! [`Router`] like any other.

use quittance_primitives::{BlockCount, BlockHeight, CltvExpiry, MilliSatoshi, NodeId, ShortChannelId};

use crate::forward::EXPIRY_MAX;
use crate::onion::{self, ForPayee};
use crate::route::{FirstHop, Route, RouteHop, RouteRequest, Router};

/// Hops of a route: as many as failures can be attributed to (BOLT 4).
const HOPS_MAX: usize = 20;

/// The routes of one payment, each for one part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenRoutes(Vec<Route>);

/// What given routes are held against.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Who is paid.
    pub payee: NodeId,
    /// What the payee is told.
    pub for_payee: &'a ForPayee,
    /// What the payee is to receive, in msat.
    pub amount: MilliSatoshi,
    /// The most that it may cost in fees, in msat.
    pub fee_limit: MilliSatoshi,
    /// The distance that the payee's HTLCs must keep to the tip.
    pub final_delta: BlockCount,
    /// The chain's tip.
    pub tip: BlockHeight,
    /// How many parts there may be.
    pub parts_max: usize,
    /// Our channels, those that cannot be used now among them.
    pub ours: &'a [FirstHop],
}

/// Why routes that the caller gave are refused. Nothing was paid. Routes and hops are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values compared, and the text says how")]
pub enum UnfitRoute {
    #[error("{got} routes, more than {limit} parts of a payment")]
    TooManyParts { got: usize, limit: usize },
    #[error("route {0} has no hop")]
    Empty(usize),
    #[error("route {route} has {got} hops, more than {limit}")]
    TooLong { route: usize, got: usize, limit: usize },
    #[error("route {0} does not fit an onion: what the payee is to be told is too long for so many hops")]
    OnionTooLarge(usize),
    #[error("route {route} begins with {channel}, which is no channel of ours with {node}")]
    UnknownFirstChannel {
        route: usize,
        channel: ShortChannelId,
        node: NodeId,
    },
    #[error("{channel} is to carry {wanted}, and can carry {sendable} now")]
    FirstChannelTooNarrow {
        channel: ShortChannelId,
        wanted: MilliSatoshi,
        sendable: MilliSatoshi,
    },
    #[error("hop {hop} of route {route} is to pass {out} on, and gets {arrives}")]
    AmountGrows {
        route: usize,
        hop: usize,
        arrives: MilliSatoshi,
        out: MilliSatoshi,
    },
    #[error("route {0} brings nothing")]
    BringsNothing(usize),
    #[error("hop {hop} of route {route} is to pass on until {out} what it has until {arrives}")]
    ExpiryGrows {
        route: usize,
        hop: usize,
        arrives: CltvExpiry,
        out: CltvExpiry,
    },
    #[error("route {route} reaches the payee with an HTLC until {got}, which wants {minimum} at least")]
    ExpiresTooSoon {
        route: usize,
        got: CltvExpiry,
        minimum: CltvExpiry,
    },
    #[error("route {route} begins with an HTLC until {got}; nobody locks money beyond {maximum}")]
    ExpiresTooLate {
        route: usize,
        got: CltvExpiry,
        maximum: CltvExpiry,
    },
    #[error("route {route} ends at {got}, and the payee is {payee}")]
    OtherPayee { route: usize, got: NodeId, payee: NodeId },
    #[error("the routes bring {got} together, and {wanted} is to be paid")]
    OtherAmount { got: MilliSatoshi, wanted: MilliSatoshi },
    #[error("the routes cost {got} in fees, more than the limit of {limit}")]
    FeeAboveLimit { got: MilliSatoshi, limit: MilliSatoshi },
}

impl GivenRoutes {
    /// Checks what can be checked before anything is paid.
    ///
    /// # Errors
    /// [`UnfitRoute`], with the values compared.
    pub fn check(routes: Vec<Vec<RouteHop>>, wanted: &Wanted<'_>) -> Result<Self, UnfitRoute> {
        let (got, limit) = (routes.len(), wanted.parts_max);
        if got > limit {
            return Err(UnfitRoute::TooManyParts { got, limit });
        }
        let places = routes.into_iter().enumerate();
        let routes: Vec<Route> = places
            .map(|(place, hops)| check_one(place, hops, wanted))
            .collect::<Result<_, _>>()?;
        check_sums(&routes, wanted)?;
        Ok(Self(routes))
    }
}

impl Router for GivenRoutes {
    /// The routes as they were given, for the whole amount and nothing else: what a channel refused is not sent another way.
    fn routes(&self, request: &RouteRequest, _first_hops: &[FirstHop]) -> Option<Vec<Route>> {
        (brought(&self.0) == Some(request.amount)).then(|| self.0.clone())
    }
}

fn check_one(route: usize, hops: Vec<RouteHop>, wanted: &Wanted<'_>) -> Result<Route, UnfitRoute> {
    let (Some(first), Some(last)) = (hops.first(), hops.last()) else {
        return Err(UnfitRoute::Empty(route));
    };
    let (got, limit) = (hops.len(), HOPS_MAX);
    if got > limit {
        return Err(UnfitRoute::TooLong { route, got, limit });
    }
    let (channel, node) = (first.short_channel_id, NodeId::from(first.node));
    let is_meant = |ours: &&FirstHop| (ours.short_channel_id, ours.peer) == (channel, node);
    let Some(ours) = wanted.ours.iter().find(is_meant) else {
        return Err(UnfitRoute::UnknownFirstChannel { route, channel, node });
    };
    let (got, payee) = (NodeId::from(last.node), wanted.payee);
    if got != payee {
        return Err(UnfitRoute::OtherPayee { route, got, payee });
    }
    if last.amount.is_zero() {
        return Err(UnfitRoute::BringsNothing(route));
    }
    for (hop, pair) in hops.windows(2).enumerate() {
        check_passing_on(route, hop, &pair[0], &pair[1])?;
    }
    check_expiries(route, (first.cltv_expiry, last.cltv_expiry), wanted)?;
    let channel = ours.channel;
    let checked = Route { channel, hops };
    if !onion::fits(&checked, wanted.for_payee) {
        return Err(UnfitRoute::OnionTooLarge(route));
    }
    Ok(checked)
}

/// What a node passes on is no more, and expires no later, than what it gets.
fn check_passing_on(route: usize, hop: usize, gets: &RouteHop, passes_on: &RouteHop) -> Result<(), UnfitRoute> {
    let (arrives, out) = (gets.amount, passes_on.amount);
    if out > arrives {
        return Err(UnfitRoute::AmountGrows {
            route,
            hop,
            arrives,
            out,
        });
    }
    let (arrives, out) = (gets.cltv_expiry, passes_on.cltv_expiry);
    if out > arrives {
        return Err(UnfitRoute::ExpiryGrows {
            route,
            hop,
            arrives,
            out,
        });
    }
    Ok(())
}

fn check_expiries(
    route: usize,
    (first, last): (CltvExpiry, CltvExpiry),
    wanted: &Wanted<'_>,
) -> Result<(), UnfitRoute> {
    let minimum = CltvExpiry(wanted.tip.0.saturating_add(wanted.final_delta.0));
    if last < minimum {
        return Err(UnfitRoute::ExpiresTooSoon {
            route,
            got: last,
            minimum,
        });
    }
    let maximum = CltvExpiry(wanted.tip.0.saturating_add(EXPIRY_MAX.0));
    if first > maximum {
        return Err(UnfitRoute::ExpiresTooLate {
            route,
            got: first,
            maximum,
        });
    }
    Ok(())
}

/// What all routes bring and cost together, and what each of our channels is to carry of it.
fn check_sums(routes: &[Route], wanted: &Wanted<'_>) -> Result<(), UnfitRoute> {
    let got = brought(routes).unwrap_or(MilliSatoshi::MAX_MONEY);
    if got != wanted.amount {
        let wanted = wanted.amount;
        return Err(UnfitRoute::OtherAmount { got, wanted });
    }
    let sent = sum(routes.iter().filter_map(|route| route.hops.first()));
    let got = sent.unwrap_or(MilliSatoshi::MAX_MONEY).saturating_sub(got);
    let limit = wanted.fee_limit;
    if got > limit {
        return Err(UnfitRoute::FeeAboveLimit { got, limit });
    }
    for ours in wanted.ours {
        let over = routes.iter().filter(|route| route.channel == ours.channel);
        let carries = sum(over.filter_map(|route| route.hops.first())).unwrap_or(MilliSatoshi::MAX_MONEY);
        if carries > ours.sendable {
            return Err(UnfitRoute::FirstChannelTooNarrow {
                channel: ours.short_channel_id,
                wanted: carries,
                sendable: ours.sendable,
            });
        }
    }
    Ok(())
}

fn brought(routes: &[Route]) -> Option<MilliSatoshi> {
    sum(routes.iter().filter_map(|route| route.hops.last()))
}

fn sum<'a>(hops: impl Iterator<Item = &'a RouteHop>) -> Option<MilliSatoshi> {
    let mut amounts = hops.map(|hop| hop.amount);
    amounts.try_fold(MilliSatoshi::ZERO, MilliSatoshi::checked_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_primitives::{ChannelId, PaymentSecret};
    use secp256k1::{PublicKey, SECP256K1, SecretKey};

    fn key(byte: u8) -> PublicKey {
        SecretKey::from_slice(&[byte; 32]).unwrap().public_key(SECP256K1)
    }

    fn hop(node: u8, channel: u64, amount: u64, expiry: u32) -> RouteHop {
        RouteHop {
            node: key(node),
            short_channel_id: ShortChannelId(channel),
            amount: MilliSatoshi(amount),
            cltv_expiry: CltvExpiry(expiry),
        }
    }

    /// Us to 8 by channel 1, to 9 by channel 77.
    fn route() -> Vec<RouteHop> {
        vec![hop(8, 1, 101_000, 700_100), hop(9, 77, 100_000, 700_030)]
    }

    fn check(routes: Vec<Vec<RouteHop>>) -> Result<GivenRoutes, UnfitRoute> {
        check_for(100_000, routes)
    }

    fn check_for(amount: u64, routes: Vec<Vec<RouteHop>>) -> Result<GivenRoutes, UnfitRoute> {
        let for_payee = ForPayee {
            payment_secret: Some(PaymentSecret([5; 32])),
            total: MilliSatoshi(amount),
            metadata: None,
            keysend_preimage: None,
        };
        let ours = [(1, 8, 500_000), (2, 7, 500_000)].map(|(channel, peer, sendable)| FirstHop {
            channel: ChannelId([channel; 32]),
            peer: NodeId::from(key(peer)),
            short_channel_id: ShortChannelId(u64::from(channel)),
            sendable: MilliSatoshi(sendable),
            minimum: MilliSatoshi(1),
        });
        let wanted = Wanted {
            payee: NodeId::from(key(9)),
            for_payee: &for_payee,
            amount: MilliSatoshi(amount),
            fee_limit: MilliSatoshi(2_000),
            final_delta: BlockCount(30),
            tip: BlockHeight(700_000),
            parts_max: 2,
            ours: &ours,
        };
        GivenRoutes::check(routes, &wanted)
    }

    fn request(amount: u64) -> RouteRequest {
        RouteRequest {
            payee: NodeId::from(key(9)),
            amount: MilliSatoshi(amount),
            fee_limit: MilliSatoshi(2_000),
            final_expiry: CltvExpiry(700_030),
            hints: Vec::new(),
            parts_max: 2,
            avoid: Vec::new(),
        }
    }

    #[test]
    fn given_routes_are_answered_once_and_as_they_are() {
        let second = vec![hop(7, 2, 50_000, 700_090), hop(9, 78, 50_000, 700_030)];
        let given = check_for(150_000, vec![route(), second.clone()]).unwrap();
        let routes = given.routes(&request(150_000), &[]).unwrap();
        assert_eq!(
            routes[0],
            Route {
                channel: ChannelId([1; 32]),
                hops: route()
            }
        );
        assert_eq!(
            routes[1],
            Route {
                channel: ChannelId([2; 32]),
                hops: second
            }
        );
        assert_eq!(
            given.routes(&request(50_000), &[]),
            None,
            "a part that was refused is not spread anew"
        );
    }

    #[test]
    fn a_route_that_cannot_be_meant_is_refused_with_what_is_wrong_in_it() {
        let with = |change: &dyn Fn(&mut Vec<RouteHop>)| {
            let mut hops = route();
            change(&mut hops);
            check(vec![hops]).unwrap_err().to_string()
        };
        assert_eq!(with(&|hops| hops.clear()), "route 0 has no hop");
        assert_eq!(
            with(&|hops| *hops = vec![hops[0]; 21]),
            "route 0 has 21 hops, more than 20"
        );
        assert_eq!(
            with(&|hops| hops[0].short_channel_id = ShortChannelId(2)),
            format!(
                "route 0 begins with {}, which is no channel of ours with {}",
                ShortChannelId(2),
                NodeId::from(key(8))
            )
        );
        assert_eq!(
            with(&|hops| hops[1].node = key(6)),
            format!(
                "route 0 ends at {}, and the payee is {}",
                NodeId::from(key(6)),
                NodeId::from(key(9))
            )
        );
        assert_eq!(
            with(&|hops| hops[0].amount = MilliSatoshi(99_999)),
            "hop 0 of route 0 is to pass 100000 msat on, and gets 99999 msat"
        );
        assert_eq!(
            with(&|hops| hops[1].cltv_expiry = CltvExpiry(700_101)),
            "hop 0 of route 0 is to pass on until height 700101 what it has until height 700100"
        );
        assert_eq!(
            with(&|hops| hops[1].cltv_expiry = CltvExpiry(700_029)),
            "route 0 reaches the payee with an HTLC until height 700029, which wants height 700030 at least"
        );
        assert_eq!(
            with(&|hops| hops[0].cltv_expiry = CltvExpiry(702_017)),
            "route 0 begins with an HTLC until height 702017; nobody locks money beyond height 702016"
        );
        assert_eq!(with(&|hops| hops[1].amount = MilliSatoshi(0)), "route 0 brings nothing");
        assert_eq!(
            with(&|hops| hops[1].amount = MilliSatoshi(99_000)),
            "the routes bring 99000 msat together, and 100000 msat is to be paid"
        );
        assert_eq!(
            with(&|hops| hops[0].amount = MilliSatoshi(102_001)),
            "the routes cost 2001 msat in fees, more than the limit of 2000 msat"
        );
    }

    #[test]
    fn a_channel_carries_the_sum_of_its_routes() {
        let half = vec![hop(8, 1, 300_000, 700_100), hop(9, 77, 300_000, 700_030)];
        let refused = check_for(600_000, vec![half.clone(), half.clone()]);
        let why = UnfitRoute::FirstChannelTooNarrow {
            channel: ShortChannelId(1),
            wanted: MilliSatoshi(600_000),
            sendable: MilliSatoshi(500_000),
        };
        assert_eq!(refused, Err(why));
        let refused = check_for(900_000, vec![half.clone(), half.clone(), half]);
        assert_eq!(refused, Err(UnfitRoute::TooManyParts { got: 3, limit: 2 }));
    }
}
