//! `/metrics`, in the text format that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

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
    let mut text = Written::default();
    let sync = &figures.sync;
    text.head("sync_seconds", "histogram", "How long steps waited for the disk.");
    for (bound_ms, within) in Latency::BUCKETS_MS.iter().zip(sync.within) {
        let (whole, rest) = (bound_ms / 1_000, bound_ms % 1_000);
        text.line("sync_seconds_bucket", &format!("{{le=\"{whole}.{rest:03}\"}}"), within);
    }
    text.line("sync_seconds_bucket", "{le=\"+Inf\"}", sync.count);
    text.line("sync_seconds_sum", "", format_args!("{:.6}", sync.sum.as_secs_f64()));
    text.line("sync_seconds_count", "", sync.count);
    text.head("events_unhandled", "gauge", "Events that nobody has handled.");
    text.line("events_unhandled", "", info.unhandled_events);
    text.head(
        "payments_total",
        "counter",
        "Payments that ended, by outcome, since the start.",
    );
    for (outcome, count) in [
        ("sent", figures.payments_sent),
        ("failed", figures.payments_failed),
        ("received", figures.payments_received),
        ("forwarded", figures.payments_forwarded),
    ] {
        text.line("payments_total", &format!("{{outcome=\"{outcome}\"}}"), count);
    }
    text.head("channels", "gauge", "Channels, by state.");
    for (state, count) in channels {
        text.line("channels", &format!("{{state=\"{state}\"}}"), count);
    }
    text.head("peers", "gauge", "Peers that are connected.");
    text.line("peers", "", info.peers);
    text.head("height", "gauge", "The height up to which the chain was read.");
    text.line("height", "", info.height.0);
    text.head(
        "messages_sent_total",
        "counter",
        "Messages that were handed to connections.",
    );
    text.line("messages_sent_total", "", figures.messages_sent);
    text.head(
        "commitments_signed_total",
        "counter",
        "Commitments of peers that were signed: while the disk was at work, or after it.",
    );
    for (when, count) in [
        ("ahead", figures.commitments_signed_ahead),
        ("late", figures.commitments_signed_late),
    ] {
        text.line("commitments_signed_total", &format!("{{when=\"{when}\"}}"), count);
    }
    text.0
}

/// Figures in the text that Prometheus reads. Names are written behind the program's.
#[derive(Default)]
struct Written(String);

impl Written {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP quittance_{name} {help}"));
        self.put(format_args!("# TYPE quittance_{name} {kind}"));
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        self.put(format_args!("quittance_{name}{labels} {value}"));
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes what it is given");
    }
}
