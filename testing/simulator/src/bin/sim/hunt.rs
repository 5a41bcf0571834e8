//! Known bugs, each switched on alone: what catches it, and after how long.

#[cfg(not(feature = "mutants"))]
pub(crate) fn hunt(_: std::time::Duration) -> bool {
    eprintln!("error: this build has no mutants; run `cargo xtask sim --mutants`");
    false
}

/// Switches a known bug on in this thread, by its name.
#[cfg(not(feature = "mutants"))]
pub(crate) fn switch_on(name: Option<&str>) {
    if name.is_some() {
        eprintln!("error: this build has no mutants; run `cargo xtask sim --mutant`");
        std::process::exit(1);
    }
}

#[cfg(feature = "mutants")]
pub(crate) use switched::{hunt, switch_on};

#[cfg(feature = "mutants")]
mod switched {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use quittance_journal::mutant::{self, Mutant};
    use quittance_simulator::sweep::{self, Recipe, Story};
    use quittance_simulator::{Effort, scenarios};

    /// Each mutant must be caught within so much simulation.
    const MOST: Duration = Duration::from_mins(1);

    pub(crate) fn switch_on(name: Option<&str>) {
        let Some(name) = name else { return };
        let meant = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
        if meant.is_none() {
            eprintln!("error: no mutant is called {name}; there are {:?}", Mutant::ALL);
            std::process::exit(1);
        }
        mutant::switch_on(meant);
    }

    /// Every mutant: random seeds first, then the rows of the table, until the first of them breaks or its time is spent.
    pub(crate) fn hunt(budget: Duration) -> bool {
        let share = (budget * 2 / u32::try_from(Mutant::ALL.len()).unwrap_or(1)).min(MOST);
        let next = AtomicUsize::new(0);
        let missed = AtomicUsize::new(0);
        println!("{} mutants, each with {} s at most", Mutant::ALL.len(), share.as_secs());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let started = Instant::now();
                        let caught = by_seeds(*mutant, share / 2).or_else(|| by_rows(*mutant, share / 2));
                        let seconds = started.elapsed().as_secs_f32();
                        let name = format!("{mutant:?}");
                        if let Some(how) = caught {
                            println!("{name:<32} {seconds:>5.1} s  {how}");
                        } else {
                            missed.fetch_add(1, Ordering::Relaxed);
                            println!("{name:<32} {seconds:>5.1} s  NOT CAUGHT");
                        }
                    }
                });
            }
        });
        let missed = missed.into_inner();
        println!("{} mutants, {missed} not caught", Mutant::ALL.len());
        missed == 0
    }

    fn by_seeds(bug: Mutant, share: Duration) -> Option<String> {
        let started = Instant::now();
        for seed in 1.. {
            mutant::switch_on(Some(bug));
            let outcome = sweep::run(&Recipe::of(seed), Story::Untold);
            mutant::switch_on(None);
            if let Some(broken) = outcome.broken.first() {
                let what = in_one_line(&broken.what);
                return Some(format!("{:<9} by seed {seed}: {what}", broken.guarantee));
            }
            if started.elapsed() > share {
                break;
            }
        }
        None
    }

    fn by_rows(bug: Mutant, share: Duration) -> Option<String> {
        let started = Instant::now();
        let mut runs = 0;
        for row in scenarios::ALL {
            mutant::switch_on(Some(bug));
            let outcome = std::panic::catch_unwind(|| (row.run)(Effort { runs_max: 16 }));
            mutant::switch_on(None);
            match outcome {
                Ok(report) => runs += report.runs,
                Err(panic) => {
                    let words = panic.downcast_ref::<String>().cloned();
                    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    let what = in_one_line(&words.unwrap_or_default());
                    return Some(format!("{:<9} by row, after {runs} runs of rows: {what}", row.id));
                }
            }
            if started.elapsed() > share {
                break;
            }
        }
        None
    }

    fn in_one_line(text: &str) -> String {
        let words: Vec<_> = text.split_whitespace().collect();
        words.join(" ").chars().take(120).collect()
    }
}
