//! Coverage marks: every branch of the engine that changes an outcome, a close or a punishment bears one, and runs must reach it.

#[cfg(not(feature = "marks"))]
pub(crate) fn reach(_: std::time::Duration) -> bool {
    eprintln!("error: this build notes no marks; run `cargo xtask sim --marks`");
    false
}

#[cfg(feature = "marks")]
pub(crate) use counted::reach;

#[cfg(feature = "marks")]
mod counted {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use quittance_journal::marks;
    use quittance_simulator::sweep::{self, Recipe, Story};
    use quittance_simulator::{Effort, scenarios};

    const NOT_REACHED: &str = include_str!("../../../marks_not_reached.txt");
    const ENGINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/engine");

    /// Random runs for the budget, then every row of the table once: every mark must be reached.
    pub(crate) fn reach(budget: Duration) -> bool {
        let placed = match placed() {
            Ok(placed) => placed,
            Err(reason) => {
                eprintln!("error: the engine's sources: {reason}");
                return false;
            }
        };
        let by_seeds = by_seeds(budget);
        let by_rows = by_rows();
        let excused = excused();
        let mut missing = 0;
        for (name, file) in &placed {
            let name = name.as_str();
            let why = excused.get(name);
            match (by_seeds.contains(name), by_rows.contains(name), why) {
                (true, _, None) => {}
                (_, _, Some(why)) if why.starts_with("seldom") => println!("seldom:        {name} ({file})"),
                (false, true, None) => println!("by rows only:  {name} ({file})"),
                (false, false, Some(why)) => println!("not yet:       {name} ({file}): {why}"),
                (true, _, Some(_)) | (false, true, Some(_)) => {
                    missing += 1;
                    println!("REACHED:       {name} ({file}) must leave marks_not_reached.txt");
                }
                (false, false, None) => {
                    missing += 1;
                    println!("NOT REACHED:   {name} ({file})");
                }
            }
        }
        for name in excused.keys().filter(|name| !placed.contains_key(**name)) {
            missing += 1;
            println!("NO SUCH MARK:  {name}, of marks_not_reached.txt");
        }
        let seeds = placed.keys().filter(|name| by_seeds.contains(name.as_str())).count();
        println!(
            "{} marks, {seeds} reached by random runs, {missing} not as they should be",
            placed.len()
        );
        missing == 0
    }

    /// The marks that no simulation reaches yet, with why.
    fn excused() -> BTreeMap<&'static str, &'static str> {
        let lines = NOT_REACHED.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(" # ")).collect()
    }

    fn by_seeds(budget: Duration) -> BTreeSet<&'static str> {
        let started = Instant::now();
        let next = AtomicU64::new(1);
        let reached: Mutex<BTreeSet<&'static str>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while started.elapsed() < budget {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        let _ = sweep::run(&Recipe::of(seed), Story::Untold);
                    }
                    let mut all = reached.lock().unwrap_or_else(PoisonError::into_inner);
                    all.extend(marks::take_reached());
                });
            }
        });
        println!("{} random runs", next.into_inner());
        reached.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_rows() -> BTreeSet<&'static str> {
        let next = AtomicUsize::new(0);
        let reached: Mutex<BTreeSet<&'static str>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(row) = scenarios::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let run = || (row.run)(Effort { runs_max: 12 });
                        if std::panic::catch_unwind(run).is_err() {
                            println!("{} failed; `cargo xtask scenarios {}` says why", row.id, row.id);
                        }
                    }
                    let mut all = reached.lock().unwrap_or_else(PoisonError::into_inner);
                    all.extend(marks::take_reached());
                });
            }
        });
        reached.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every mark in the engine's sources, with the file that it stands in.
    fn placed() -> Result<BTreeMap<String, String>, String> {
        let mut placed = BTreeMap::new();
        walk(Path::new(ENGINE), &mut placed).map_err(|error| error.to_string())?;
        Ok(placed)
    }

    fn walk(folder: &Path, placed: &mut BTreeMap<String, String>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, placed)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                for place in text.split("mark!(\"").skip(1) {
                    let name = place.split('"').next().unwrap_or_default().to_owned();
                    let file = path.strip_prefix(ENGINE).unwrap_or(&path).display().to_string();
                    placed.insert(name, file);
                }
            }
        }
        Ok(())
    }
}
