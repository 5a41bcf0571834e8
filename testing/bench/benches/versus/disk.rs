//! What a payment costs at least beside the curve: writes that are synced, at the price that the file system has for any program.

use std::fs::File;
use std::os::unix::fs::FileExt;

use quittance_payments_bench::node::Outcome;

use crate::Plan;
use crate::counts::Moment;
use crate::figures::{median, millis, short, to_float};

/// Writes for one price.
const TIMES: u64 = 200;
/// What one write has: a page of a store.
const PAGE: [u8; 4_096] = [7; 4_096];
/// Pages that a file has room for.
const PAGES: u64 = 1_000;
/// Commits of a payment alone, both nodes of a hop together.
pub(crate) const COMMITS_OF_A_HOP: u32 = 6;

/// The plainest thing that is durable: a page over another that is on the disk, and its `fdatasync`.
pub(crate) struct Pages {
    file: File,
    next: u64,
}

impl Pages {
    /// A file of zeros.
    pub(crate) fn new() -> Outcome<Self> {
        let file = tempfile::tempfile()?;
        let room = PAGES * u64::try_from(PAGE.len())?;
        file.write_all_at(&vec![0; usize::try_from(room)?], 0)?;
        file.sync_all()?;
        Ok(Self { file, next: 0 })
    }

    /// Writes the next one.
    pub(crate) fn write(&mut self) -> Outcome<()> {
        let place = self.next * u64::try_from(PAGE.len())?;
        self.next = (self.next + 1) % PAGES;
        self.file.write_all_at(&PAGE, place)?;
        Ok(self.file.sync_data()?)
    }
}

/// Measures it, and prints a table.
pub(crate) fn measure(plan: &Plan) -> Outcome<()> {
    if !plan.includes("disk") {
        return Ok(());
    }
    let mut pages = Pages::new()?;
    let mut costs = Vec::new();
    for _ in 0..5 {
        let before = Moment::now();
        for _ in 0..TIMES {
            pages.write()?;
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
        "| 4 KiB written over zeros and synced | {} | {} | {COMMITS_OF_A_HOP} | {} |\n",
        short(time),
        short(processor),
        short(processor * f64::from(COMMITS_OF_A_HOP) / 1_000.0)
    );
    Ok(())
}
