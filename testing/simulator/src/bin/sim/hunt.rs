//! Known bugs, each switched on alone: what catches it, and after how long.

#[cfg(not(feature = "mutants"))]
pub(crate) fn hunt(_: std::time::Duration, _: Option<&str>) -> bool {
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

    /// In how many runs a bug that breaks many is looked for.
    const SEEDS_MAX: u64 = 1_000;

    pub(crate) fn switch_on(name: Option<&str>) {
        if let Some(name) = name {
            mutant::switch_on(Some(named(name)));
        }
    }

    fn named(name: &str) -> Mutant {
        let meant = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
        meant.unwrap_or_else(|| {
            eprintln!("error: no mutant is called {name}; there are {:?}", Mutant::ALL);
            std::process::exit(1)
        })
    }

    /// Every mutant, or the one that is named.
    pub(crate) fn hunt(budget: Duration, only: Option<&str>) -> bool {
        only.map_or_else(|| hunt_all(budget), |name| hunt_one(named(name), budget.min(MOST)))
    }

    /// One mutant, in both ways.
    fn hunt_one(mutant: Mutant, share: Duration) -> bool {
        let ways: [fn(Mutant, Duration) -> Option<String>; 2] = [by_rows, by_seeds];
        let caught = ways.map(|way| {
            let started = Instant::now();
            tell(mutant, started, way(mutant, share / 2))
        });
        caught.contains(&true)
    }

    /// Prints what caught a mutant; whether anything did.
    fn tell(mutant: Mutant, started: Instant, caught: Option<String>) -> bool {
        let (name, seconds) = (format!("{mutant:?}"), started.elapsed().as_secs_f32());
        let is_caught = caught.is_some();
        let how = caught.unwrap_or_else(|| "NOT CAUGHT".to_owned());
        println!("{name:<32} {seconds:>5.1} s  {how}");
        is_caught
    }

    /// Every mutant: random seeds first, then the rows of the table, until the first of them breaks or its time is spent.
    fn hunt_all(budget: Duration) -> bool {
        let share = (budget * 2 / u32::try_from(Mutant::ALL.len()).unwrap_or(1)).min(MOST);
        let next = AtomicUsize::new(0);
        let missed = AtomicUsize::new(0);
        println!("{} mutants, each with {} s at most", Mutant::ALL.len(), share.as_secs());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let started = Instant::now();
                        let has_story = STORIES.iter().any(|(bug, _)| bug == mutant);
                        let chance = || by_seeds(*mutant, share / 2);
                        let caught = if has_story {
                            by_rows(*mutant, share / 2).or_else(chance)
                        } else {
                            chance().or_else(|| by_rows(*mutant, share / 2))
                        };
                        if !tell(*mutant, started, caught) {
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let missed = missed.into_inner();
        println!("{} mutants, {missed} not caught", Mutant::ALL.len());
        missed == 0 && shrinks()
    }

    /// A run that a mutant breaks becomes small, and breaks the same way.
    fn shrinks() -> bool {
        mutant::switch_on(Some(Mutant::ForwardForgotten));
        let mut seeds = (1..=SEEDS_MAX).map(|seed| (seed, sweep::run(&Recipe::of(seed), Story::Untold)));
        let broken = seeds.find(|(_, outcome)| !outcome.broken.is_empty());
        let shrunk = broken.and_then(|(seed, whole)| {
            let shrunk = sweep::shrink(&Recipe::of(seed), Duration::from_secs(20))?;
            Some((whole, shrunk))
        });
        mutant::switch_on(None);
        let Some((whole, shrunk)) = shrunk else {
            println!("no run is broken that could be made small");
            return false;
        };
        let (moves, left) = (whole.moves, shrunk.outcome.moves);
        println!(
            "a run of {moves} moves was made small, to {left} moves, in {} runs; replay: cargo xtask sim --mutant ForwardForgotten {} --trace",
            shrunk.tried, shrunk.recipe
        );
        let is_same = whole.broken[0].guarantee == shrunk.outcome.broken[0].guarantee;
        if !is_same || left * 4 > moves {
            println!("the shrinker did not make it small");
        }
        is_same && left * 4 <= moves
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

    /// Rows that are about what a mutant does, where chance would seldom come to it: they are tried first.
    const STORIES: [(Mutant, &str); 27] = [
        (Mutant::OutcomeReleasedAtRevocation, "OP-02"),
        (Mutant::PaymentRowAfterSend, "OP-09"),
        (Mutant::OldRowBelieved, "OP-11"),
        (Mutant::SignedAgainOtherwise, "RE-02"),
        (Mutant::ReadyNotRepeated, "CH-04"),
        (Mutant::FalseProofBelieved, "RE-13"),
        (Mutant::FellBehindBroadcasts, "RB-10"),
        (Mutant::FundingForgottenEarly, "CH-05"),
        (Mutant::RetrySendsAll, "OP-18"),
        (Mutant::HeldFailedAtStart, "IN-05"),
        (Mutant::TornBatchKept, "ST-03"),
        (Mutant::FailedSyncRetried, "ST-04"),
        (Mutant::UnreadableIsAbsent, "ST-08"),
        (Mutant::PreimageOnChainIgnored, "OC-01"),
        (Mutant::LatePreimageIgnored, "OC-05"),
        (Mutant::PenaltyMissesHtlc, "OC-08"),
        (Mutant::SecondStageUnpunished, "OC-09"),
        (Mutant::ReorgForgotten, "OC-15"),
        (Mutant::ClaimDeadlineIgnored, "FW-13"),
        (Mutant::RevokedHtlcsNotKept, "OC-08"),
        (Mutant::AliasNotLogged, "CH-08"),
        (Mutant::UpgradeUnannounced, "ST-14"),
        (Mutant::BarredUntilSeen, "RB-11"),
        (Mutant::UnsignedTermsBelieved, "GO-03"),
        (Mutant::UnsignedNameBelieved, "GO-03"),
        (Mutant::PrivateTermsTold, "OP-09"),
        (Mutant::AnswerLeavesOut, "GO-04"),
    ];

    /// Runs of each schedule of a row that is about what a mutant does.
    const RUNS_OF_STORY: usize = 48;

    fn by_rows(bug: Mutant, share: Duration) -> Option<String> {
        let started = Instant::now();
        let mut runs = 0;
        let is_about_it = |row: &&scenarios::Scenario| STORIES.contains(&(bug, row.id));
        let first = scenarios::ALL.iter().filter(is_about_it);
        let then = scenarios::ALL.iter().filter(|row| !is_about_it(row));
        for row in first.chain(then) {
            mutant::switch_on(Some(bug));
            let runs_max = if is_about_it(&row) { RUNS_OF_STORY } else { 16 };
            let outcome = std::panic::catch_unwind(|| (row.run)(Effort { runs_max }));
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
