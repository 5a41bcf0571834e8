//! Random runs until the budget is spent; or one of them with its story; or every known bug until it is caught.
//!
//! `sim [--budget SECONDS] [--trace] [--mutants [--mutant NAME] | --mutant NAME | --marks | --hashes COUNT | --twice COUNT] [RECIPE]`, where a recipe
//! is `--seed N [--nodes N] [--without KINDS] [--moves PLACES]`. Exit code 1: something broke, a mutant was not caught, a mark was not
//! reached, or a seed gave two different runs.

mod hunt;
mod marks;
mod options;
mod search;
mod twice;

use std::process::ExitCode;

use quittance_simulator::sweep::{self, Recipe, Story};

use options::{Options, Task};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    // What an engine asserts is part of a run's outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let is_well = match &options.task {
        Task::Search => search::search(&options),
        Task::Replay(recipe) => replay(recipe, &options),
        Task::Mutants => hunt::hunt(options.budget, options.mutant.as_deref()),
        Task::Marks => marks::reach(options.budget),
        Task::Hashes(count) => twice::print_hashes(*count),
        Task::Twice(count) => twice::compare(*count),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One run, twice: its story, and whether it is the same run each time.
fn replay(recipe: &Recipe, options: &Options) -> bool {
    hunt::switch_on(options.mutant.as_deref());
    let story = if options.trace { Story::Told } else { Story::Untold };
    let (outcome, again) = (sweep::run(recipe, story), sweep::run(recipe, Story::Untold));
    for line in &outcome.story {
        println!("{line}");
    }
    println!(
        "{recipe}: {} moves, {} steps, hash {:016x}",
        outcome.moves, outcome.steps, outcome.hash
    );
    for broken in &outcome.broken {
        println!("{} broken: {}", broken.guarantee, broken.what);
    }
    if again.hash != outcome.hash {
        println!("a second run has another hash: {:016x}", again.hash);
    }
    outcome.broken.is_empty() && again.hash == outcome.hash
}
