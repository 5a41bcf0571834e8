//! `/metrics`, in the text format that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::State as Extracted;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use quittance_node::{Figures, Info, Latency};

use super::{Refusal, State};

/// Counts and gauges of the node.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Prometheus text format", body = String)))]
pub(crate) async fn metrics(Extracted(state): Extracted<State>) -> Result<Response, Refusal> {
    let (figures, info) = (state.node()?.figures().await?, state.node()?.info().await?);
    let mut channels: BTreeMap<&str, u64> = BTreeMap::new();
    for channel in state.node()?.channels().await? {
        *channels.entry(channel.stage.name()).or_default() += 1;
    }
    let text = written(&figures, &info, &channels);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

fn written(figures: &Figures, info: &Info, channels: &BTreeMap<&str, u64>) -> String {
    let mut text = String::new();
    let mut line = |what: std::fmt::Arguments<'_>| {
        text.write_fmt(what)
            .and_then(|()| text.write_char('\n'))
            .expect("a string takes what it is given");
    };
    let sync = &figures.sync;
    line(format_args!(
        "# HELP quittance_sync_seconds How long steps waited for the disk."
    ));
    line(format_args!("# TYPE quittance_sync_seconds histogram"));
    for (bound_ms, within) in Latency::BUCKETS_MS.iter().zip(sync.within) {
        let (whole, rest) = (bound_ms / 1_000, bound_ms % 1_000);
        line(format_args!(
            "quittance_sync_seconds_bucket{{le=\"{whole}.{rest:03}\"}} {within}"
        ));
    }
    line(format_args!(
        "quittance_sync_seconds_bucket{{le=\"+Inf\"}} {}",
        sync.count
    ));
    line(format_args!("quittance_sync_seconds_sum {:.6}", sync.sum.as_secs_f64()));
    line(format_args!("quittance_sync_seconds_count {}", sync.count));
    line(format_args!(
        "# HELP quittance_events_unhandled Events that nobody has handled."
    ));
    line(format_args!("# TYPE quittance_events_unhandled gauge"));
    line(format_args!("quittance_events_unhandled {}", info.unhandled_events));
    line(format_args!(
        "# HELP quittance_payments_total Payments that ended, by outcome, since the start."
    ));
    line(format_args!("# TYPE quittance_payments_total counter"));
    for (outcome, count) in [
        ("sent", figures.payments_sent),
        ("failed", figures.payments_failed),
        ("received", figures.payments_received),
        ("forwarded", figures.payments_forwarded),
    ] {
        line(format_args!(
            "quittance_payments_total{{outcome=\"{outcome}\"}} {count}"
        ));
    }
    line(format_args!("# HELP quittance_channels Channels, by state."));
    line(format_args!("# TYPE quittance_channels gauge"));
    for (state, count) in channels {
        line(format_args!("quittance_channels{{state=\"{state}\"}} {count}"));
    }
    line(format_args!("# HELP quittance_peers Peers that are connected."));
    line(format_args!("# TYPE quittance_peers gauge"));
    line(format_args!("quittance_peers {}", info.peers));
    line(format_args!(
        "# HELP quittance_height The height up to which the chain was read."
    ));
    line(format_args!("# TYPE quittance_height gauge"));
    line(format_args!("quittance_height {}", info.height.0));
    line(format_args!(
        "# HELP quittance_messages_sent_total Messages that were handed to connections."
    ));
    line(format_args!("# TYPE quittance_messages_sent_total counter"));
    line(format_args!("quittance_messages_sent_total {}", figures.messages_sent));
    text
}
