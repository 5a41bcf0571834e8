//! Whole nodes beside LDK's: the same payments on both sides, in one process, alternating, with the same durability.
//!
//! LDK's nodes are driven by its public API and get typed messages handed over in memory; ours encode and decode every message. On
//! both sides one thread runs all nodes (our stores have threads of their own; where it is said, so have our signatures, or our nodes), invoices are made by the payee, routes are given, and
//! users handle every event. Durable means: whatever a node may not act on before it is on disk is synced, file by file for LDK
//! (`FilesystemStore` under `MonitorUpdatingPersister`), in our embedded store for us.
//!
//! `cargo xtask bench --versus-ldk` runs it and puts what it prints into `docs/BENCHMARKS.md`. With `--quick` in its arguments it takes a
//! minute, with fewer payments; with `--only WORD` it does what has that word in its name.

mod bare;
mod counts;
mod curve;
mod disk;
mod figures;
mod goals;
mod ldk;
mod ours;
mod payments;
mod start;
mod storage;

use quittance_payments_bench::node::Outcome;

use goals::Goals;

/// How much is measured.
pub(crate) struct Plan {
    /// How often each work is done by each side.
    rounds: usize,
    /// By how much less is done than in a full run.
    divisor: u64,
    /// After how many payments channels are weighed.
    weighed_after: &'static [u64],
    only: Option<String>,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let is_quick = arguments.iter().any(|argument| argument == "--quick");
        let place = arguments.iter().position(|argument| argument == "--only");
        Self {
            rounds: if is_quick { 3 } else { 5 },
            divisor: if is_quick { 3 } else { 1 },
            weighed_after: if is_quick { &[0, 300] } else { &[0, 1_000, 10_000] },
            only: place.and_then(|place| arguments.get(place + 1).cloned()),
        }
    }

    fn includes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|word| name.contains(word.as_str()))
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan::of(&arguments);
    let mut goals = Goals::default();
    payments::measure(&plan, &mut goals)?;
    curve::measure(&plan);
    disk::measure(&plan)?;
    start::measure(&plan, &mut goals)?;
    storage::measure(&plan, &mut goals)?;
    goals.print();
    Ok(())
}
