//! Numbers to be read.

use std::time::Duration;

/// The middle of some samples.
///
/// # Panics
/// When there is none.
pub(crate) fn median(samples: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = samples.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Three digits.
pub(crate) fn short(value: f64) -> String {
    match value {
        below_ten if below_ten < 10.0 => format!("{value:.2}"),
        below_hundred if below_hundred < 100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// The figures of several nodes.
pub(crate) fn by_node(figures: impl Iterator<Item = f64>) -> String {
    figures.map(short).collect::<Vec<_>>().join(" / ")
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "figures to be read")]
pub(crate) fn to_float(count: u64) -> f64 {
    count as f64
}

/// A whole number, its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let grouped = digits.bytes().enumerate().flat_map(|(place, digit)| {
        let needs_comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        needs_comma.then_some(b',').into_iter().chain([digit])
    });
    grouped.map(char::from).collect()
}
