//! Events as they happen: server-sent events, which resume from the number that a client saw last.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State as Extracted};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream;
use quittance_api::{ErrorCode, Problem};
use quittance_journal::EventNumber;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Refusal, State};

/// From where on events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    /// The first number. Without it: the first event that is not handled, or the one after the header `Last-Event-ID`.
    from: Option<u64>,
}

/// Events, in order, each under its number as `id`. A client that was cut off comes again with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/events", params(From), responses(
    (status = 200, description = "Server-sent events; the data of each is an Event", body = quittance_api::Event, content_type = "text/event-stream"),
))]
pub(crate) async fn events(
    Extracted(state): Extracted<State>,
    query: Result<Query<From>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let Query(query) = query.map_err(|error| Problem::new(ErrorCode::BadRequest, error.body_text()))?;
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let from = query.from.or_else(|| last.and_then(|last| last.checked_add(1)));
    let events = state.node()?.events(from.map(EventNumber)).await?;
    let told = stream::unfold(events, |mut events| async {
        let event = quittance_api::Event::from(events.next().await?);
        let sent = Event::default().id(event.number.to_string()).json_data(&event);
        // Our own types always become JSON.
        Some((Ok(sent.unwrap_or_default()), events))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
