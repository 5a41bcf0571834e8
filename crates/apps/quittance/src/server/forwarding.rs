//! Calls about what others may do through our channels.

use axum::Json;
use axum::extract::State as Extracted;
use quittance_api as api;
use quittance_node::PolicyChange;
use quittance_primitives::{ChannelId, CltvExpiryDelta, MilliSatoshi};

use super::State;
use super::calls::{Answer, Body, Part, bytes};

/// Sets by what HTLCs are forwarded through a channel. What is left out stays as it is; the peer is told.
#[utoipa::path(post, path = "/v1/channels/{id}/policy", params(("id" = String, Path)), request_body = api::SetPolicy, responses((status = 200, body = api::Done)))]
pub(crate) async fn set_policy(
    Extracted(state): Extracted<State>,
    Part(id): Part,
    Body(body): Body<api::SetPolicy>,
) -> Answer<api::Done> {
    let change = PolicyChange {
        fee_base: body.fee_base_msat.map(MilliSatoshi),
        fee_proportional_millionths: body.fee_proportional_millionths,
        cltv_expiry_delta: body.cltv_expiry_delta.map(CltvExpiryDelta),
        htlc_minimum: body.htlc_minimum_msat.map(MilliSatoshi),
        htlc_maximum: body.htlc_maximum_msat.map(MilliSatoshi),
    };
    state.node()?.set_policy(ChannelId(bytes(&id, "id")?), change).await?;
    Ok(Json(api::Done {}))
}
