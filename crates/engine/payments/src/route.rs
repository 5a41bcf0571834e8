//! How a payment may go: what is asked of a router, and what it answers. The router for direct channels and given hops is here; one
//! over the graph is a crate of its own behind the same port.

use quittance_primitives::{ChannelId, CltvExpiry, MilliSatoshi, NodeId, ShortChannelId};
use quittance_records::{Listed, record};
use secp256k1::PublicKey;

/// One HTLC's way to the payee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Our channel for the first hop.
    pub channel: ChannelId,
    /// The hops in order, our peer first, the payee last.
    pub hops: Vec<RouteHop>,
}

/// A hop of a route: what arrives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteHop {
    /// The node.
    pub node: PublicKey,
    /// The channel that leads to it. Of the first hop it is our own.
    pub short_channel_id: ShortChannelId,
    /// The amount of the HTLC that arrives at the node, in msat.
    pub amount: MilliSatoshi,
    /// The expiry of the HTLC that arrives at the node.
    pub cltv_expiry: CltvExpiry,
}

record!(RouteHop {
    node,
    short_channel_id,
    amount,
    cltv_expiry
});
impl Listed for RouteHop {}

/// A channel of ours that can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstHop {
    /// Our channel.
    pub channel: ChannelId,
    /// The node at its other end.
    pub peer: NodeId,
    /// The name it has there.
    pub short_channel_id: ShortChannelId,
    /// What we can send through it now, in msat, as near as limits and fees allow to tell.
    pub sendable: MilliSatoshi,
    /// The least that the peer accepts, in msat.
    pub minimum: MilliSatoshi,
}

/// What a route is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRequest {
    /// Who is paid.
    pub payee: NodeId,
    /// What is still to be delivered, in msat.
    pub amount: MilliSatoshi,
    /// What may be spent on fees for it, in msat.
    pub fee_limit: MilliSatoshi,
    /// The expiry that the payee's HTLCs must have at least.
    pub final_expiry: CltvExpiry,
    /// Ways to the payee from nodes that we may reach: each a list of hops, the payee last, with amounts left out.
    pub hints: Vec<Vec<HintHop>>,
    /// How many parts the payment may have in all from now on.
    pub parts_max: usize,
    /// Channels that failed this payment and are not to be tried again.
    pub avoid: Vec<ShortChannelId>,
}

/// A hop of a hint: a channel from a node, with that node's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintHop {
    /// The node at the start of the channel.
    pub node: NodeId,
    /// The channel.
    pub short_channel_id: ShortChannelId,
    /// What the node takes for each payment, in msat.
    pub fee_base: MilliSatoshi,
    /// What it takes besides, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// How many blocks it wants between the expiries.
    pub cltv_expiry_delta: u16,
}

record!(HintHop {
    node,
    short_channel_id,
    fee_base,
    fee_proportional_millionths,
    cltv_expiry_delta
});
impl Listed for HintHop {}

/// Finds routes. A pure function of its arguments and of the knowledge it was made with.
pub trait Router {
    /// Routes that deliver the whole amount together, or none.
    fn routes(&self, request: &RouteRequest, first_hops: &[FirstHop]) -> Option<Vec<Route>>;
}

/// Finds routes over our own channels and the hints of an invoice, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectRouter;

impl Router for DirectRouter {
    fn routes(&self, request: &RouteRequest, first_hops: &[FirstHop]) -> Option<Vec<Route>> {
        let direct: &[HintHop] = &[];
        let ways = std::iter::once(direct).chain(request.hints.iter().map(Vec::as_slice));
        ways.into_iter().find_map(|way| spread(request, way, first_hops))
    }
}

/// Spreads the amount over our channels to the first node of `way`, the widest first, in as few parts as possible.
fn spread(request: &RouteRequest, way: &[HintHop], first_hops: &[FirstHop]) -> Option<Vec<Route>> {
    let entry = way.first().map_or(request.payee, |hop| hop.node);
    if way.iter().any(|hop| request.avoid.contains(&hop.short_channel_id)) {
        return None;
    }
    let usable = |hop: &&FirstHop| hop.peer == entry && !request.avoid.contains(&hop.short_channel_id);
    let mut usable: Vec<_> = first_hops.iter().filter(usable).collect();
    usable.sort_by_key(|hop| std::cmp::Reverse((hop.sendable, hop.channel)));
    let (mut left, mut fees_left, mut routes) = (request.amount, request.fee_limit, Vec::new());
    for first in usable.into_iter().take(request.parts_max) {
        let delivers = most_deliverable(first.sendable, left, way);
        if delivers.is_zero() {
            continue;
        }
        let route = along(request, way, first, delivers)?;
        let fee = route.hops.first()?.amount.checked_sub(delivers)?;
        if route.hops.first()?.amount < first.minimum {
            continue;
        }
        fees_left = fees_left.checked_sub(fee)?;
        left = left.checked_sub(delivers)?;
        routes.push(route);
        if left.is_zero() {
            return Some(routes);
        }
    }
    None
}

/// The most, up to `wanted`, that arrives when no more than `sendable` is sent.
fn most_deliverable(sendable: MilliSatoshi, wanted: MilliSatoshi, way: &[HintHop]) -> MilliSatoshi {
    let cost = |delivers: MilliSatoshi| amounts(delivers, way).and_then(|amounts| amounts.first().copied());
    if cost(wanted).is_some_and(|cost| cost <= sendable) {
        return wanted;
    }
    let (mut fits, mut exceeds) = (0, wanted.0.min(sendable.0).saturating_add(1));
    while exceeds - fits > 1 {
        let middle = fits + (exceeds - fits) / 2;
        match cost(MilliSatoshi(middle)) {
            Some(cost) if cost <= sendable => fits = middle,
            Some(_) | None => exceeds = middle,
        }
    }
    MilliSatoshi(fits)
}

/// What arrives at the first node of `way` and at each one after it, the payee last, for `delivers` to arrive there.
fn amounts(delivers: MilliSatoshi, way: &[HintHop]) -> Option<Vec<MilliSatoshi>> {
    let mut amounts = vec![delivers];
    let mut amount = delivers;
    for hop in way.iter().rev() {
        let proportional = u128::from(amount.0) * u128::from(hop.fee_proportional_millionths) / 1_000_000;
        let proportional = MilliSatoshi(u64::try_from(proportional).ok()?);
        amount = amount.checked_add(hop.fee_base)?.checked_add(proportional)?;
        amounts.push(amount);
    }
    amounts.reverse();
    Some(amounts)
}

fn along(request: &RouteRequest, way: &[HintHop], first: &FirstHop, delivers: MilliSatoshi) -> Option<Route> {
    let amounts = amounts(delivers, way)?;
    let mut expiries = vec![request.final_expiry];
    for hop in way.iter().rev() {
        let later = expiries
            .last()?
            .checked_add(quittance_primitives::CltvExpiryDelta(hop.cltv_expiry_delta))?;
        expiries.push(later);
    }
    expiries.reverse();
    let nodes = way.iter().map(|hop| hop.node).chain([request.payee]);
    let channels = std::iter::once(first.short_channel_id).chain(way.iter().map(|hop| hop.short_channel_id));
    let hops = nodes.zip(channels).zip(amounts.into_iter().zip(expiries));
    let hops = hops.map(|((node, short_channel_id), (amount, cltv_expiry))| {
        Some(RouteHop {
            node: node.public_key().ok()?,
            short_channel_id,
            amount,
            cltv_expiry,
        })
    });
    Some(Route {
        channel: first.channel,
        hops: hops.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secp256k1::{SECP256K1, SecretKey};

    fn node(byte: u8) -> NodeId {
        NodeId::from(SecretKey::from_slice(&[byte; 32]).unwrap().public_key(SECP256K1))
    }

    fn first_hop(channel: u8, peer: u8, sendable: u64) -> FirstHop {
        FirstHop {
            channel: ChannelId([channel; 32]),
            peer: node(peer),
            short_channel_id: ShortChannelId(u64::from(channel)),
            sendable: MilliSatoshi(sendable),
            minimum: MilliSatoshi(1),
        }
    }

    fn request(payee: u8, amount: u64) -> RouteRequest {
        RouteRequest {
            payee: node(payee),
            amount: MilliSatoshi(amount),
            fee_limit: MilliSatoshi(10_000),
            final_expiry: CltvExpiry(700_018),
            hints: Vec::new(),
            parts_max: 10,
            avoid: Vec::new(),
        }
    }

    #[test]
    fn a_payment_is_split_over_the_channels_to_a_peer_widest_first() {
        let hops = [
            first_hop(1, 9, 30_000),
            first_hop(2, 9, 80_000),
            first_hop(3, 8, 900_000),
        ];
        let routes = DirectRouter.routes(&request(9, 100_000), &hops).unwrap();
        let parts: Vec<_> = routes
            .iter()
            .map(|route| (route.channel.0[0], route.hops[0].amount.0))
            .collect();
        assert_eq!(parts, [(2, 80_000), (1, 20_000)]);
        assert_eq!(DirectRouter.routes(&request(9, 110_001), &hops), None);
    }

    #[test]
    fn a_hint_is_followed_with_its_fees_and_deltas() {
        let mut request = request(7, 100_000);
        request.hints = vec![vec![HintHop {
            node: node(8),
            short_channel_id: ShortChannelId(77),
            fee_base: MilliSatoshi(1_000),
            fee_proportional_millionths: 10_000,
            cltv_expiry_delta: 40,
        }]];
        let routes = DirectRouter.routes(&request, &[first_hop(3, 8, 900_000)]).unwrap();
        let hops: Vec<_> = routes[0]
            .hops
            .iter()
            .map(|hop| (hop.amount.0, hop.cltv_expiry.0, hop.short_channel_id.0))
            .collect();
        assert_eq!(hops, [(102_000, 700_058, 3), (100_000, 700_018, 77)]);
        request.fee_limit = MilliSatoshi(1_999);
        assert_eq!(DirectRouter.routes(&request, &[first_hop(3, 8, 900_000)]), None);
    }
}
