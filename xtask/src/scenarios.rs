//! `cargo xtask scenarios`: the table of `docs/SCENARIOS.md`, each row with what became of it.
//!
//! The work is done by a binary of `testing/simulator`, which reads the table itself: a row without a test shows.

use crate::repository::{Verdict, cargo, finish};

/// Options of `cargo xtask scenarios`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for all rows together: crash points are sampled. Without it every one is tried.
    #[arg(long)]
    budget: Option<u64>,
    /// Rows of later phases are left out.
    #[arg(long, default_value_t = 1)]
    phase: u8,
    /// Fail when a row has no test.
    #[arg(long)]
    strict: bool,
    /// Only these rows; all when none is named.
    ids: Vec<String>,
}

impl Options {
    /// Every row of phases 1 and 2 that has a test, within so many seconds.
    pub(crate) const fn within(seconds: u64) -> Self {
        Self {
            budget: Some(seconds),
            phase: 2,
            strict: false,
            ids: Vec::new(),
        }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    let mut command = cargo(&[
        "run",
        "--quiet",
        "--package",
        "quittance-simulator",
        "--bin",
        "scenarios",
    ]);
    // Every crash point takes long enough for the better code to be worth its build.
    if options.budget.is_none() && options.ids.is_empty() {
        command.arg("--release");
    }
    command.arg("--");
    command.args(["--phase", &options.phase.to_string()]);
    if let Some(budget) = options.budget {
        command.args(["--budget", &budget.to_string()]);
    }
    if options.strict {
        command.arg("--strict");
    }
    finish(command.args(&options.ids))
}
