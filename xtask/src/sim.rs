//! `cargo xtask sim`: random runs of the simulator, and the mutants that it must catch.
//!
//! The work is done by a binary of `testing/simulator`. Mutants are known bugs behind a feature that nothing else switches on;
//! their build lives in a folder of its own, so that no other build ever holds them.

use crate::repository::{Verdict, cache, cargo, finish};

/// Options of `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for all runs; for each mutant an equal share.
    #[arg(long, default_value_t = 60)]
    budget: u64,
    /// Only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells the story of the run.
    #[arg(long)]
    trace: bool,
    /// Every known bug, switched on alone, must be caught.
    #[arg(long)]
    mutants: bool,
}

pub(crate) fn run(options: &Options) -> Verdict {
    let mut command = cargo(&["run", "--quiet", "--package", "quittance-simulator", "--bin", "sim"]);
    if options.mutants {
        command
            .args(["--features", "mutants"])
            .env("CARGO_TARGET_DIR", cache().join("target/mutants"));
    }
    command.args(["--", "--budget", &options.budget.to_string()]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    for (flag, is_set) in [("--trace", options.trace), ("--mutants", options.mutants)] {
        if is_set {
            command.arg(flag);
        }
    }
    finish(&mut command)
}
