//! Random runs on two threads until the budget is spent. What breaks is made small, and its recipe is printed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quittance_simulator::sweep::{self, Outcome, Recipe, Story};

use crate::hunt;
use crate::options::Options;

/// How many broken runs are made small.
const SHRUNK_MAX: usize = 3;
/// How long one of them may take to become small.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Sum {
    runs: u64,
    broken: usize,
    figures: Outcome,
}

/// What broke something once comes first, then fresh seeds. Where they begin follows from the clock: each sweep sees new ones.
pub(crate) fn search(options: &Options) -> bool {
    let started = Instant::now();
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = since_epoch.map_or(1, |passed| passed.as_secs() % 1_000_000_000 * 1_000);
    let known = sweep::regressions();
    println!(
        "{} recipes that broke something once, then seeds from {first}",
        known.len()
    );
    let next = AtomicUsize::new(0);
    let fresh = AtomicU64::new(first);
    let shrunk = AtomicUsize::new(0);
    let sum: Mutex<Sum> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                hunt::switch_on(options.mutant.as_deref());
                loop {
                    let recipe = match known.get(next.fetch_add(1, Ordering::Relaxed)) {
                        Some(recipe) => recipe.clone(),
                        None if started.elapsed() > options.budget => return,
                        None => Recipe::of(fresh.fetch_add(1, Ordering::Relaxed)),
                    };
                    let outcome = sweep::run(&recipe, Story::Untold);
                    if !outcome.broken.is_empty() {
                        let is_wanted = shrunk.fetch_add(1, Ordering::Relaxed) < SHRUNK_MAX;
                        tell(&recipe, &outcome, options, is_wanted);
                    }
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.runs += 1;
                    sum.broken += usize::from(!outcome.broken.is_empty());
                    sum.figures.add(&outcome);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    print(&sum, started.elapsed());
    sum.broken == 0
}

/// Prints what a run broke, and what replays it.
fn tell(recipe: &Recipe, outcome: &Outcome, options: &Options, is_wanted_small: bool) {
    let small = is_wanted_small.then(|| sweep::shrink(recipe, PATIENCE)).flatten();
    let (recipe, outcome, how) = match &small {
        Some(small) => {
            let how = format!(" (made small in {} runs: {} moves)", small.tried, small.outcome.moves);
            (&small.recipe, &small.outcome, how)
        }
        None => (recipe, outcome, String::new()),
    };
    let mutant = options.mutant.iter().map(|name| format!("--mutant {name} "));
    let mutant: String = mutant.collect();
    let what = outcome.broken.first();
    let what = what.map(|broken| format!("{} broken: {}", broken.guarantee, broken.what));
    println!(
        "{}{how}\n  replay: cargo xtask sim {mutant}{recipe} --trace",
        what.unwrap_or_default()
    );
}

fn print(sum: &Sum, taken: Duration) {
    let Sum { runs, broken, figures } = sum;
    let milliseconds = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX).max(1);
    println!(
        "{runs} runs in {} s on two threads: {} moves, {} steps ({} a second), {} simulated hours",
        milliseconds / 1_000,
        figures.moves,
        figures.steps,
        figures.steps * 1_000 / milliseconds,
        figures.simulated_seconds / 3_600,
    );
    println!(
        "faults: {} deaths planned or at once, {} processes died and started, {} of them lost rows, {} wires cut, {} pieces of garbage, {} questions and false words, {} long silences",
        figures.crashes,
        figures.restores,
        figures.rebuilds,
        figures.cuts,
        figures.garbage,
        figures.words,
        figures.silences,
    );
    println!(
        "chain: {} blocks among the faults, {} reorganisations, {} that moved announced channels, {} fee spikes, {} channels opened, {} commitments broadcast",
        figures.blocks, figures.reorgs, figures.displaced, figures.spikes, figures.opens, figures.closes,
    );
    println!(
        "betrayals: {} revoked commitments in blocks, {} of them with second stages; {} stores or replicas of an older moment",
        figures.cheats, figures.second_stages, figures.backups,
    );
    println!(
        "payments: {} sent, {} failed, {} never began; runs that broke something: {broken}",
        figures.sent, figures.failed, figures.never,
    );
}
