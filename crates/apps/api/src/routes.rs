//! Routes that the caller gives, and probes.

use quittance_node::{GivenHop, HopAmount, HopExpiry};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, MilliSatoshi, NodeId, ShortChannelId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ErrorCode, Hex, Problem};

/// A hop of a route, our peer's first, the payee's last. Only the payee's may leave amount and expiry to the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteHop {
    /// The node that the hop leads to.
    #[schema(value_type = String)]
    pub node: Hex<33>,
    /// The channel that leads to it, as `block x transaction x output`. The first one is ours.
    pub short_channel_id: String,
    /// What arrives at the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<u64>,
    /// Instead of `amount_msat`: what the node keeps of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_msat: Option<u64>,
    /// Until which height the node has the HTLC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_height: Option<u32>,
    /// Instead of `expiry_height`: for how many blocks more than the next node; of the payee, than the chain's tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cltv_delta: Option<u16>,
}

/// Try whether a payment would reach a node, by one that nobody can claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Who would be paid.
    #[schema(value_type = String)]
    pub node: Hex<33>,
    /// How much.
    pub amount_msat: u64,
    /// The most that it may cost in fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_limit_msat: Option<u64>,
    /// The way to be tried, one at most: a probe goes in one part. Without one it goes over the widest channel with the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Vec<RouteHop>>,
    /// How long the answer may wait for the end; a minute by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u32>,
}

/// What a probe found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probed {
    /// Whether the payee was reached: a payment would have been, too.
    pub reached: bool,
    /// Why not, as far as it is known.
    pub reason: Option<String>,
}

impl RouteHop {
    /// The hop as the node takes it.
    ///
    /// # Errors
    /// A [`Problem`] that names the field.
    pub fn given(&self) -> Result<GivenHop, Problem> {
        let bad = |why: String| Problem::new(ErrorCode::BadRequest, why);
        let name: Result<ShortChannelId, _> = self.short_channel_id.parse();
        let short_channel_id = name.map_err(|error| bad(format!("short_channel_id: {error}")))?;
        let amount = match (self.amount_msat, self.fee_msat) {
            (Some(_), Some(_)) => return Err(bad("a hop has amount_msat or fee_msat, not both".to_owned())),
            (Some(amount), None) => Some(HopAmount::Arrives(MilliSatoshi(amount))),
            (None, Some(fee)) => Some(HopAmount::Fee(MilliSatoshi(fee))),
            (None, None) => None,
        };
        let expiry = match (self.expiry_height, self.cltv_delta) {
            (Some(_), Some(_)) => return Err(bad("a hop has expiry_height or cltv_delta, not both".to_owned())),
            (Some(height), None) => Some(HopExpiry::Height(CltvExpiry(height))),
            (None, Some(delta)) => Some(HopExpiry::Delta(CltvExpiryDelta(delta))),
            (None, None) => None,
        };
        Ok(GivenHop {
            node: NodeId(self.node.0),
            short_channel_id,
            amount,
            expiry,
        })
    }
}

/// Routes as the node takes them.
///
/// # Errors
/// A [`Problem`] that names what is wrong.
pub fn given_routes(routes: &[Vec<RouteHop>]) -> Result<Vec<Vec<GivenHop>>, Problem> {
    let given = routes.iter().map(|hops| hops.iter().map(RouteHop::given).collect());
    given.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_says_one_amount_and_one_expiry() {
        let node = format!("02{}", "11".repeat(32));
        let read = |rest: &str| {
            let text = format!(r#"{{"node":"{node}","short_channel_id":"700x1x0"{rest}}}"#);
            serde_json::from_str::<RouteHop>(&text).unwrap().given()
        };
        let hop = read(r#","fee_msat":7,"expiry_height":800"#).unwrap();
        assert_eq!(hop.amount, Some(HopAmount::Fee(MilliSatoshi(7))));
        assert_eq!(hop.expiry, Some(HopExpiry::Height(CltvExpiry(800))));
        assert_eq!(hop.short_channel_id.to_string(), "700x1x0");
        let both = read(r#","fee_msat":7,"amount_msat":8"#).unwrap_err();
        assert_eq!(both.message, "a hop has amount_msat or fee_msat, not both");
        let both = read(r#","cltv_delta":7,"expiry_height":8"#).unwrap_err();
        assert_eq!(both.message, "a hop has expiry_height or cltv_delta, not both");
    }
}
