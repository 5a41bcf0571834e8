//! The node's HTTP interface, on loopback, or by TLS beyond: JSON in, JSON out, a token for every call but `/health` and the document.

#![allow(unused_qualifications, reason = "the macros of the document write paths in full")]

mod access;
mod calls;
mod connections;
mod figures;
mod forwarding;
mod life;
mod probing;
mod streams;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use quittance_api::{ErrorCode, Problem};

pub(crate) use access::Tokens;
pub(crate) use life::{Life, Lifeline, State};

/// An invoice has some kilobytes; nothing that a client sends is larger.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// A problem as an answer.
pub(crate) struct Refusal(pub(crate) Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Answers until `end`, and then until those that have asked have their answers.
pub(crate) async fn serve<L: Listener>(listener: L, state: State, end: impl Future<Output = ()> + Send + 'static) {
    let patience = state.patience;
    connections::serve(listener, router(state), patience, end).await;
}

fn router(state: State) -> Router {
    let calls = Router::new()
        .route("/v1/info", get(calls::info))
        .route("/v1/balance", get(calls::balance))
        .route("/v1/address", post(calls::address))
        .route("/v1/peers", get(calls::peers).post(calls::connect))
        .route("/v1/peers/{id}", delete(calls::disconnect))
        .route("/v1/channels", get(calls::channels).post(calls::open))
        .route("/v1/channels/{id}/close", post(calls::close))
        .route("/v1/channels/{id}/feerate", post(calls::set_feerate))
        .route("/v1/channels/{id}/quiesce", post(calls::quiesce))
        .route("/v1/channels/{id}/policy", post(forwarding::set_policy))
        .route("/v1/invoices", post(calls::invoice))
        .route("/v1/decode", post(calls::decode))
        .route("/v1/payments", get(calls::payments).post(calls::pay))
        .route("/v1/received", get(calls::received))
        .route("/v1/payments/{id}", get(calls::payment))
        .route("/v1/payments/{id}/abandon", post(calls::abandon))
        .route("/v1/payments/{id}/receipt", get(calls::receipt))
        .route("/v1/keysend", post(calls::keysend))
        .route("/v1/probe", post(probing::probe))
        .route("/v1/held/claim", post(calls::claim))
        .route("/v1/held/refuse", post(calls::refuse))
        .route("/v1/events", get(streams::events))
        .route("/v1/events/handled", post(calls::handled))
        .route("/v1/onchain", post(calls::send_onchain))
        .route("/v1/onchain/{txid}/bump", post(calls::bump))
        .route("/v1/sign", post(calls::sign))
        .route("/v1/check", post(calls::check))
        .route("/v1/backup", post(calls::backup))
        .route("/v1/unlock", post(calls::unlock))
        .route("/v1/stop", post(calls::stop))
        .route("/metrics", get(figures::metrics))
        .route_layer(middleware::from_fn_with_state(state.clone(), access::check));
    Router::new()
        .route("/health", get(calls::health))
        .route("/openapi.json", get(calls::document))
        .merge(calls)
        .fallback(|| async {
            Refusal(Problem::new(ErrorCode::NotFound, "there is no such path").next("/openapi.json lists all of them"))
        })
        .method_not_allowed_fallback(|| async {
            Refusal(
                Problem::new(ErrorCode::MethodNotAllowed, "this path has other methods")
                    .next("/openapi.json lists all of them"),
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state)
}
