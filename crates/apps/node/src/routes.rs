//! Routes as callers write them: hop by hop, with amounts and expiries said outright or left to follow from the next hop's.

use quittance_payments::RouteHop;
use quittance_primitives::{BlockHeight, CltvExpiry, CltvExpiryDelta, MilliSatoshi, NodeId, ShortChannelId};

/// A hop of a route that the caller gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenHop {
    /// The node that the hop leads to; the last one is the payee.
    pub node: NodeId,
    /// The channel that leads to it, as the node before it knows it. The first one is ours.
    pub short_channel_id: ShortChannelId,
    /// What arrives at the node. Only the last hop may leave it out: then all that is to be paid arrives there.
    pub amount: Option<HopAmount>,
    /// Until when the node has the HTLC. Only the last hop may leave it out: then as long as the payee wants it, and a little more.
    pub expiry: Option<HopExpiry>,
}

/// What arrives at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopAmount {
    /// This, in msat.
    Arrives(MilliSatoshi),
    /// What it sends on, and this fee for itself, in msat. Of the payee nothing but 0.
    Fee(MilliSatoshi),
}

/// Until when a node has an HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopExpiry {
    /// Until this height.
    Height(CltvExpiry),
    /// For so many blocks more than the next one; of the payee, than the chain's tip.
    Delta(CltvExpiryDelta),
}

/// What a hop of a given route does not say. Counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the text says it")]
pub enum IncompleteRoute {
    #[error("route {0} has no hop")]
    Empty(usize),
    #[error("hop {hop} of route {route}: say what arrives there, or what fee the node takes")]
    NoAmount { route: usize, hop: usize },
    #[error(
        "hop {hop} of route {route}: say until which height it has the HTLC, or for how many blocks more than the next hop"
    )]
    NoExpiry { route: usize, hop: usize },
    #[error("hop {hop} of route {route}: the sum is more than there is money, or time")]
    OutOfRange { route: usize, hop: usize },
    #[error("hop {hop} of route {route}: {node} is no public key")]
    NoNode { route: usize, hop: usize, node: NodeId },
}

/// What the last hop of a route brings, and until when, where it does not say so itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// What is to be paid.
    pub(crate) amount: MilliSatoshi,
    /// How far beyond the tip the payee's HTLCs expire.
    pub(crate) final_delta: CltvExpiryDelta,
    pub(crate) tip: BlockHeight,
}

/// The hops with everything said outright, from the payee back to us.
pub(crate) fn complete(route: usize, given: &[GivenHop], ending: Ending) -> Result<Vec<RouteHop>, IncompleteRoute> {
    let mut hops: Vec<RouteHop> = Vec::new();
    for (hop, given) in given.iter().enumerate().rev() {
        let next = hops.last();
        let range = IncompleteRoute::OutOfRange { route, hop };
        let amount = match (given.amount, next) {
            (Some(HopAmount::Arrives(amount)), _) => amount,
            (Some(HopAmount::Fee(fee)), next) => {
                let sent_on = next.map_or(ending.amount, |next| next.amount);
                sent_on.checked_add(fee).ok_or_else(|| range.clone())?
            }
            (None, None) => ending.amount,
            (None, Some(_)) => return Err(IncompleteRoute::NoAmount { route, hop }),
        };
        let cltv_expiry = match (given.expiry, next) {
            (Some(HopExpiry::Height(height)), _) => height,
            (Some(HopExpiry::Delta(delta)), next) => {
                let from = next.map_or(CltvExpiry(ending.tip.0), |next| next.cltv_expiry);
                from.checked_add(delta).ok_or(range)?
            }
            (None, None) => CltvExpiry(ending.tip.0).checked_add(ending.final_delta).ok_or(range)?,
            (None, Some(_)) => return Err(IncompleteRoute::NoExpiry { route, hop }),
        };
        let node = given.node;
        let public_key = node.public_key();
        hops.push(RouteHop {
            node: public_key.map_err(|_| IncompleteRoute::NoNode { route, hop, node })?,
            short_channel_id: given.short_channel_id,
            amount,
            cltv_expiry,
        });
    }
    if hops.is_empty() {
        return Err(IncompleteRoute::Empty(route));
    }
    hops.reverse();
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secp256k1::{SECP256K1, SecretKey};

    const ENDING: Ending = Ending {
        amount: MilliSatoshi(100_000),
        final_delta: CltvExpiryDelta(33),
        tip: BlockHeight(700_000),
    };

    fn hop(amount: Option<HopAmount>, expiry: Option<HopExpiry>) -> GivenHop {
        GivenHop {
            node: SecretKey::from_slice(&[7; 32]).unwrap().public_key(SECP256K1).into(),
            short_channel_id: ShortChannelId(1),
            amount,
            expiry,
        }
    }

    fn said(given: &[GivenHop]) -> Result<Vec<(u64, u32)>, IncompleteRoute> {
        let hops = complete(0, given, ENDING)?;
        Ok(hops.iter().map(|hop| (hop.amount.0, hop.cltv_expiry.0)).collect())
    }

    fn fee(msat: u64) -> HopAmount {
        HopAmount::Fee(MilliSatoshi(msat))
    }

    fn delta(blocks: u16) -> HopExpiry {
        HopExpiry::Delta(CltvExpiryDelta(blocks))
    }

    #[test]
    fn fees_and_deltas_add_up_from_the_payee_back_to_us() {
        let given = [
            hop(Some(fee(1_000)), Some(delta(40))),
            hop(Some(fee(200)), Some(delta(72))),
            hop(None, None),
        ];
        assert_eq!(
            said(&given),
            Ok(vec![(101_200, 700_145), (100_200, 700_105), (100_000, 700_033)])
        );
    }

    #[test]
    fn what_is_said_outright_stands() {
        let arrives = |msat| Some(HopAmount::Arrives(MilliSatoshi(msat)));
        let height = |height| Some(HopExpiry::Height(CltvExpiry(height)));
        let given = [
            hop(arrives(150_000), height(700_200)),
            hop(arrives(60_000), height(700_040)),
        ];
        assert_eq!(said(&given), Ok(vec![(150_000, 700_200), (60_000, 700_040)]));
    }

    #[test]
    fn what_cannot_be_known_is_asked_for() {
        let refused = |given: &[GivenHop]| said(given).unwrap_err();
        let last = hop(None, None);
        assert_eq!(refused(&[]), IncompleteRoute::Empty(0));
        assert_eq!(
            refused(&[hop(None, Some(delta(40))), last]),
            IncompleteRoute::NoAmount { route: 0, hop: 0 }
        );
        assert_eq!(
            refused(&[hop(Some(fee(1)), None), last]),
            IncompleteRoute::NoExpiry { route: 0, hop: 0 }
        );
        let too_much = hop(Some(fee(u64::MAX)), Some(delta(40)));
        assert_eq!(
            refused(&[too_much, last]),
            IncompleteRoute::OutOfRange { route: 0, hop: 0 }
        );
    }
}
