//! `cargo xtask sim`: random runs of the simulator, the mutants that it must catch, and the marks that it must reach.
//!
//! The work is done by a binary of `testing/simulator`. Mutants are known bugs, and marks notes, behind features that nothing else
//! switches on; their build lives in a folder of its own, so that no other build ever holds them.

use crate::repository::{Verdict, cache, cargo, finish};

/// Options of `cargo xtask sim`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for all runs; for each mutant an equal share, and a minute at most.
    #[arg(long, default_value_t = 60)]
    budget: u64,
    /// Only the run of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that run: no more nodes than these.
    #[arg(long, requires = "seed")]
    nodes: Option<u8>,
    /// Of that run: kinds of faults that are left out.
    #[arg(long, requires = "seed")]
    without: Option<String>,
    /// Of that run: the only moves that are made, like 0-4,17.
    #[arg(long, requires = "seed")]
    moves: Option<String>,
    /// Tells the story of the run.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Every known bug, switched on alone, must be caught.
    #[arg(long)]
    mutants: bool,
    /// This known bug is on in all runs; with --mutants it alone must be caught, and it is said by which row and by which seed.
    #[arg(long)]
    mutant: Option<String>,
    /// Every coverage mark of the engine must be reached.
    #[arg(long, conflicts_with_all = ["mutants", "mutant"])]
    marks: bool,
    /// So many seeds are run in two processes each, and must give the same steps.
    #[arg(long, conflicts_with_all = ["mutants", "mutant", "marks"])]
    twice: Option<u64>,
}

impl Options {
    /// Random runs for so many seconds.
    pub(crate) fn sweep(budget: u64) -> Self {
        Self {
            budget,
            seed: None,
            nodes: None,
            without: None,
            moves: None,
            trace: false,
            mutants: false,
            mutant: None,
            marks: false,
            twice: None,
        }
    }

    /// So many seeds in two processes each.
    pub(crate) fn twice(seeds: u64) -> Self {
        Self {
            twice: Some(seeds),
            ..Self::sweep(0)
        }
    }

    /// Every mutant within so many seconds.
    pub(crate) fn mutants(budget: u64) -> Self {
        Self {
            mutants: true,
            ..Self::sweep(budget)
        }
    }

    /// Every mark within so many seconds.
    pub(crate) fn marks(budget: u64) -> Self {
        Self {
            marks: true,
            ..Self::sweep(budget)
        }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    let mut command = cargo(&["run", "--quiet", "--package", "quittance-simulator", "--bin", "sim"]);
    if options.mutants || options.mutant.is_some() || options.marks {
        command
            .args(["--features", "mutants,marks"])
            .env("CARGO_TARGET_DIR", cache().join("target/mutants"));
    }
    command.args(["--", "--budget", &options.budget.to_string()]);
    let numbers = [
        ("--seed", options.seed.map(|seed| seed.to_string())),
        ("--nodes", options.nodes.map(|nodes| nodes.to_string())),
        ("--without", options.without.clone()),
        ("--moves", options.moves.clone()),
        ("--mutant", options.mutant.clone()),
        ("--twice", options.twice.map(|seeds| seeds.to_string())),
    ];
    for (word, value) in numbers {
        command.args(value.iter().flat_map(|value| [word, value]));
    }
    let flags = [
        ("--trace", options.trace),
        ("--mutants", options.mutants),
        ("--marks", options.marks),
    ];
    command.args(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag));
    finish(&mut command)
}
