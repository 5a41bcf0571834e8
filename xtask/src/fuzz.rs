//! `cargo xtask fuzz`: a short run of every target in `testing/fuzz`.
//!
//! The targets are ordinary cargo-fuzz targets; here they are built with the stable compiler and without the address sanitizer
//! (our code has no `unsafe`), so that a smoke run needs neither a nightly nor cargo-fuzz. What was found interesting is kept in
//! the cache folder and is where the next run begins.

use std::collections::VecDeque;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::repository::{Verdict, cache, cargo_apart, finish, root};

const FOLDER: &str = "testing/fuzz";

/// The coverage counters that libFuzzer reads.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code -Cdebug-assertions -Coverflow-checks";

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for all targets together, the build left out.
    #[arg(long, default_value_t = SMOKE_SECONDS)]
    budget: u64,
    /// Only these targets; all when none is named.
    targets: Vec<String>,
}

const SMOKE_SECONDS: u64 = 180;

impl Options {
    /// All targets, within the budget of a `ci` run.
    pub(crate) const fn smoke() -> Self {
        Self {
            budget: SMOKE_SECONDS,
            targets: Vec::new(),
        }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    let targets = if options.targets.is_empty() {
        all_targets()?
    } else {
        options.targets.clone()
    };
    let host = host()?;
    let mut build = cargo_apart(FOLDER, &["build", "--release", "--locked", "--bins", "--target", &host]);
    finish(build.env("RUSTFLAGS", COVERAGE))?;
    let programs = cache().join("target").join(FOLDER).join(&host).join("release");

    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(targets.len());
    let seconds = seconds_each(options.budget, targets.len(), workers);
    println!("fuzz: {} targets, {seconds} s each, {workers} at a time", targets.len());
    let waiting = Mutex::new(VecDeque::from(targets));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = take(&waiting) {
                    if let Err(reason) = attack(&programs, &target, seconds) {
                        println!("{target}: {reason}");
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(target);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("fuzz targets failed: {}", failed.join(", ")))
    }
}

fn take(waiting: &Mutex<VecDeque<String>>) -> Option<String> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// So many seconds for each target that all of them end within the budget.
fn seconds_each(budget: u64, targets: usize, workers: usize) -> u64 {
    let rounds = targets.div_ceil(workers.max(1)).max(1);
    (budget / u64::try_from(rounds).unwrap_or(u64::MAX)).max(1)
}

fn all_targets() -> Result<Vec<String>, String> {
    let folder = root().join(FOLDER).join("fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(format!("{} holds no target", folder.display()));
    }
    Ok(names)
}

/// The triple to build for. Named, so that the flags do not reach build scripts and procedural macros.
fn host() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc could not be started: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "rustc names no host".to_owned())
}

/// Runs one target; its output is shown only when it found something.
fn attack(programs: &Path, target: &str, seconds: u64) -> Verdict {
    let corpus = cache().join("corpus").join(target);
    let artifacts = root().join(FOLDER).join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let seeds: Option<PathBuf> = Some(root().join(FOLDER).join("seeds").join(target)).filter(|folder| folder.exists());
    let output = Command::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .arg(&corpus)
        .args(seeds)
        .output()
        .map_err(|error| format!("could not be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{text}\nended with {}", output.status));
    }
    let runs = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{target}: {} runs, nothing found", runs.unwrap_or("unknown").trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_targets_end_within_the_budget() {
        assert_eq!(seconds_each(180, 9, 2), 36);
        assert_eq!(seconds_each(180, 1, 2), 180);
        assert_eq!(seconds_each(3, 10, 1), 1);
    }
}
