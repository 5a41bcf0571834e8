//! Whether a payment would reach its payee.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extracted;
use quittance_api as api;
use quittance_api::{ErrorCode, Problem};
use quittance_node::{PayLimits, PaymentStatus};
use quittance_primitives::{MilliSatoshi, NodeId};

use super::State;
use super::calls::{Answer, Body, WAIT_S_MAX, amount_msat};

/// How long a probe may take where the caller does not say.
const WAIT_S: u32 = 60;

/// Tries whether a payment would reach a node, by one that nobody can claim.
#[utoipa::path(post, path = "/v1/probe", request_body = api::Probe, responses((status = 200, body = api::Probed)))]
pub(crate) async fn probe(Extracted(state): Extracted<State>, Body(body): Body<api::Probe>) -> Answer<api::Probed> {
    let (payee, amount) = (NodeId(body.node.0), amount_msat(body.amount_msat, "amount_msat")?);
    let limits = PayLimits {
        fee: body.fee_limit_msat.map(MilliSatoshi),
        ..PayLimits::default()
    };
    let routes = api::given_routes(&body.routes)?;
    let patience = Duration::from_secs(u64::from(body.wait_s.unwrap_or(WAIT_S).min(WAIT_S_MAX)));
    let probed = tokio::time::timeout(patience, state.node()?.probe(payee, amount, limits, &routes)).await;
    let Ok(probed) = probed else {
        let why = "the probe has no end yet: what is on its way comes back by itself";
        return Err(Problem::new(ErrorCode::Refused, why)
            .next("probe again, or wait longer by wait_s")
            .into());
    };
    let probed = probed?;
    let reason = match probed.status {
        PaymentStatus::Failed { reason, .. } if !probed.reached => Some(api::reason(reason).to_owned()),
        PaymentStatus::Failed { .. }
        | PaymentStatus::Pending
        | PaymentStatus::Abandoned
        | PaymentStatus::Sent { .. } => None,
    };
    Ok(Json(api::Probed {
        reached: probed.reached,
        reason,
    }))
}
