//! What a payment costs at least beside the curve: writes that are synced, at the price that the file system has for any program.

use std::os::unix::fs::FileExt;

use quittance_payments_bench::node::Outcome;

use crate::Plan;
use crate::counts::Moment;
use crate::figures::{median, millis, short, to_float};

/// Writes for one price.
const TIMES: u64 = 200;
/// What one write has: a page of a store.
const PAGE: [u8; 4_096] = [7; 4_096];
/// Commits of a payment alone, both nodes together.
const COMMITS: f64 = 6.0;

/// Measures the plainest thing that is durable, a page over zeros that are on the disk and its `fdatasync`, and prints a table.
pub(crate) fn measure(plan: &Plan) -> Outcome<()> {
    if !plan.includes("disk") {
        return Ok(());
    }
    let file = tempfile::tempfile()?;
    let room = 5 * TIMES * u64::try_from(PAGE.len())?;
    file.write_all_at(&vec![0; usize::try_from(room)?], 0)?;
    file.sync_all()?;
    let mut places = (0..room).step_by(PAGE.len());
    let mut costs = Vec::new();
    for _ in 0..5 {
        let before = Moment::now();
        for place in places.by_ref().take(usize::try_from(TIMES)?) {
            file.write_all_at(&PAGE, place)?;
            file.sync_data()?;
        }
        costs.push(Moment::now() - before);
    }
    let each = |ms: f64| ms * 1_000.0 / to_float(TIMES);
    let time = median(costs.iter().map(|cost| each(millis(cost.time))));
    let processor = median(costs.iter().map(|cost| each(millis(cost.processor))));
    println!(
        "| work on the disk | us each | processor us each | in a payment, both nodes | processor ms |\n|---|---:|---:|---:|---:|"
    );
    println!(
        "| 4 KiB written over zeros and synced | {} | {} | {} | {} |\n",
        short(time),
        short(processor),
        short(COMMITS),
        short(processor * COMMITS / 1_000.0)
    );
    Ok(())
}
