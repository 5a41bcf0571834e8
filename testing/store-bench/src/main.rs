//! Measures candidate engines for the embedded store on the work that a node gives them.
//!
//! One step is a channel update, a payment row, an event put and one deleted; now and then a checkpoint that drops updates.
//! For 1, 10 and 100 steps per sync it prints time, CPU and bytes written per step. Run with a folder on the disk to measure:
//! `cargo run --release -- /var/tmp/store-bench [steps per case [part of an engine's name]]`. The decision is in `docs/adr/`.
//! With `restart` for the number of steps it measures how long the store takes to open instead.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engines::Engine;

mod engines;
mod restart;
mod usage;
mod workload;

type Open = fn(&Path) -> Box<dyn Engine>;

const ENGINES: [(&str, Open); 6] = [
    ("sqlite, rows", engines::sqlite::rows),
    ("sqlite, journal", engines::sqlite::journal),
    ("redb", engines::redb::open),
    ("fjall", engines::fjall::open),
    ("plain log", engines::log::open),
    ("quittance-store", engines::embedded::open),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "store-bench.data".to_owned()));
    let steps = arguments.next();
    if steps.as_deref() == Some("restart") {
        let _ = std::fs::remove_dir_all(&folder);
        restart::measure(&folder);
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    let steps: u64 = steps.map_or(20_000, |text| text.parse().expect("a number of steps"));
    let only = arguments.next();
    println!(
        "{:<16} {:>9} {:>10} {:>12} {:>13} {:>10} {:>10}",
        "engine", "steps/sync", "sync ms", "steps/s", "CPU us/step", "kB/step", "MB after"
    );
    for (name, open) in ENGINES {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        for group in [1, 10, 100] {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            measure(name, open(&folder), group, steps.min(group * 2_000), &folder);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}

fn measure(name: &str, mut engine: Box<dyn Engine>, group: u64, steps: u64, folder: &Path) {
    // A store that has lived for a while: its files have grown, its trees have depth.
    for number in 1..=20 {
        engine.commit(&workload::group(number, 500));
    }
    let groups = steps / group;
    let batches: Vec<_> = (0..groups)
        .map(|number| workload::steps(20 * 500 + number * group, group))
        .collect();
    let (before, start) = (usage::now(), Instant::now());
    for batch in &batches {
        engine.commit(batch);
    }
    let (elapsed, after) = (start.elapsed(), usage::now());
    engine.rest();
    let rested = usage::now();
    let steps = (groups * group) as f64;
    println!(
        "{name:<16} {group:>9} {:>10.2} {:>12.0} {:>6.1}+{:<6.1} {:>10.2} {:>10.1}",
        elapsed.as_secs_f64() * 1e3 / groups as f64,
        steps / elapsed.as_secs_f64(),
        (after.cpu - before.cpu).as_secs_f64() * 1e6 / steps,
        (rested.cpu - after.cpu).as_secs_f64() * 1e6 / steps,
        (rested.written - before.written) as f64 / 1e3 / steps,
        usage::size_of(folder) as f64 / 1e6,
    );
}
