//! What the program is asked for.

use std::time::Duration;

use quittance_simulator::sweep::Recipe;

/// What the program is asked for.
pub(crate) struct Options {
    pub(crate) budget: Duration,
    pub(crate) trace: bool,
    /// A known bug that is on in all runs.
    pub(crate) mutant: Option<String>,
    pub(crate) task: Task,
}

/// What is to be done.
pub(crate) enum Task {
    /// Random runs.
    Search,
    /// One run.
    Replay(Recipe),
    /// Every known bug.
    Mutants,
    /// Every coverage mark.
    Marks,
    /// The hashes of so many seeds.
    Hashes(u64),
    /// The hashes of so many seeds, from two processes.
    Twice(u64),
}

impl Options {
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            budget: Duration::from_mins(1),
            trace: false,
            mutant: None,
            task: Task::Search,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            let number = |text: String| {
                let number: Result<u64, _> = text.parse();
                number.map_err(|error| format!("{argument} {text}: {error}"))
            };
            match argument.as_str() {
                "--budget" => options.budget = Duration::from_secs(number(value()?)?),
                "--trace" => options.trace = true,
                "--mutants" => options.task = Task::Mutants,
                "--mutant" => options.mutant = Some(value()?),
                "--marks" => options.task = Task::Marks,
                "--hashes" => options.task = Task::Hashes(number(value()?)?),
                "--twice" => options.task = Task::Twice(number(value()?)?),
                _ => {
                    let value = value()?;
                    let mut recipe = match options.task {
                        Task::Replay(recipe) => recipe,
                        _ => Recipe::of(0),
                    };
                    if !recipe.take(&argument, &value)? {
                        return Err(format!("{argument} is no option"));
                    }
                    options.task = Task::Replay(recipe);
                }
            }
        }
        Ok(options)
    }
}
