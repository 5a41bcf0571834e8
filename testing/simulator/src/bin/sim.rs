//! Random runs until the budget is spent, or one seed with its story, or every mutant until it is caught.
//!
//! `sim [--budget SECONDS] [--seed N] [--trace] [--mutants]`. Exit code 1: something broke, or a mutant was not caught.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quittance_simulator::sweep::{self, Outcome};

struct Options {
    budget: Duration,
    seed: Option<u64>,
    trace: bool,
    mutants: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    // What an engine asserts is part of a run's outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let is_well = match (options.mutants, options.seed) {
        (true, _) => hunt(&options),
        (false, Some(seed)) => replay(seed, options.trace),
        (false, None) => search(options.budget),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        budget: Duration::from_mins(1),
        seed: None,
        trace: false,
        mutants: false,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, String> {
            let text = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            text.parse().map_err(|error| format!("{argument} {text}: {error}"))
        };
        match argument.as_str() {
            "--budget" => options.budget = Duration::from_secs(number()?),
            "--seed" => options.seed = Some(number()?),
            "--trace" => options.trace = true,
            "--mutants" => options.mutants = true,
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(options)
}

/// One seed, twice: its story, and whether it is the same run each time.
fn replay(seed: u64, trace: bool) -> bool {
    let (outcome, again) = (sweep::run(seed, trace), sweep::run(seed, false));
    for line in &outcome.story {
        println!("{line}");
    }
    println!("seed {seed}: {} steps, hash {:016x}", outcome.steps, outcome.hash);
    for broken in &outcome.broken {
        println!("{} broken: {}", broken.guarantee, broken.what);
    }
    if again.hash != outcome.hash {
        println!("a second run of the seed has another hash: {:016x}", again.hash);
    }
    outcome.broken.is_empty() && again.hash == outcome.hash
}

/// Regressions first, then fresh seeds on two threads. Where they begin follows from the clock: each sweep sees new ones.
fn search(budget: Duration) -> bool {
    let started = Instant::now();
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = since_epoch.map_or(1, |passed| passed.as_secs() % 1_000_000_000 * 1_000);
    let known = sweep::REGRESSIONS
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let known: Vec<u64> = known.collect();
    let next = AtomicU64::new(0);
    let total: Mutex<(u64, Outcome, Vec<u64>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while started.elapsed() < budget {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let seed = usize::try_from(place).ok().and_then(|place| known.get(place).copied());
                    let seed = seed.unwrap_or(first + place);
                    let outcome = sweep::run(seed, false);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0 += 1;
                    add(&mut total.1, &outcome);
                    if let Some(broken) = outcome.broken.first() {
                        total.2.push(seed);
                        println!("seed {seed}: {} broken: {}", broken.guarantee, broken.what);
                        println!("  replay: cargo xtask sim --seed {seed} --trace");
                    }
                }
            });
        }
    });
    let (seeds, sum, broken) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = started.elapsed().as_secs().max(1);
    println!(
        "{seeds} seeds from {first}: {} steps ({} a second), {} simulated hours, {} deaths planned or at once, {} rebuilds, {} cuts",
        sum.steps,
        sum.steps / seconds,
        sum.simulated_seconds / 3_600,
        sum.crashes,
        sum.rebuilds,
        sum.cuts,
    );
    println!(
        "payments: {} sent, {} failed, {} never began; seeds that broke something: {}",
        sum.sent,
        sum.failed,
        sum.never,
        broken.len()
    );
    broken.is_empty()
}

fn add(sum: &mut Outcome, outcome: &Outcome) {
    sum.steps += outcome.steps;
    sum.crashes += outcome.crashes;
    sum.rebuilds += outcome.rebuilds;
    sum.cuts += outcome.cuts;
    sum.sent += outcome.sent;
    sum.failed += outcome.failed;
    sum.never += outcome.never;
    sum.simulated_seconds += outcome.simulated_seconds;
}

#[cfg(not(feature = "mutants"))]
fn hunt(options: &Options) -> bool {
    let _ = options.budget;
    eprintln!("error: this build has no mutants; run `cargo xtask sim --mutants`");
    false
}

/// Every mutant: random seeds, and the rows of the table, each until something breaks or its share of the time is spent.
#[cfg(feature = "mutants")]
fn hunt(options: &Options) -> bool {
    use quittance_journal::mutant::Mutant;
    let share = options.budget * 2 / u32::try_from(Mutant::ALL.len()).unwrap_or(1);
    let next = AtomicU64::new(0);
    let missed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mutant) =
                    Mutant::ALL.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0))
                {
                    let caught = [by_seeds(*mutant, share / 3), by_rows(*mutant, share * 2 / 3)];
                    if caught.iter().all(Option::is_none) {
                        missed.fetch_add(1, Ordering::Relaxed);
                    }
                    let [seeds, rows] = caught.map(|how| how.unwrap_or_else(|| "NOT CAUGHT".to_owned()));
                    println!(
                        "{:<31} by seeds: {seeds}\n{:<31} by rows:  {rows}",
                        format!("{mutant:?}"),
                        ""
                    );
                }
            });
        }
    });
    let missed = missed.into_inner();
    println!("{} mutants, {missed} not caught", Mutant::ALL.len());
    missed == 0
}

#[cfg(feature = "mutants")]
fn by_seeds(mutant: quittance_journal::mutant::Mutant, share: Duration) -> Option<String> {
    use quittance_journal::mutant::switch_on;
    let started = Instant::now();
    for seed in 1.. {
        switch_on(Some(mutant));
        let outcome = sweep::run(seed, false);
        switch_on(None);
        if let Some(broken) = outcome.broken.first() {
            let what: String = broken
                .what
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .chars()
                .take(110)
                .collect();
            return Some(format!("{} after {seed} seeds: {what}", broken.guarantee));
        }
        if started.elapsed() > share {
            break;
        }
    }
    None
}

#[cfg(feature = "mutants")]
fn by_rows(mutant: quittance_journal::mutant::Mutant, share: Duration) -> Option<String> {
    use quittance_journal::mutant::switch_on;
    use quittance_simulator::{Effort, scenarios};
    let started = Instant::now();
    let mut runs = 0;
    for row in scenarios::ALL {
        switch_on(Some(mutant));
        let outcome = std::panic::catch_unwind(|| (row.run)(Effort { runs_max: 16 }));
        switch_on(None);
        match outcome {
            Ok(report) => runs += report.runs,
            Err(_) => return Some(format!("{} {} after {runs} runs of rows", row.id, row.name)),
        }
        if started.elapsed() > share {
            break;
        }
    }
    None
}
