//! `cargo xtask ci`: everything a change must pass, beside the tests (`cargo test --workspace`, which come first in `.ci/run`).
//!
//! Every check runs, also after one has failed. Each has a budget on two cores from a cold start; being over it is shown, and
//! is a reason to look, no failure. To add a check: a line in [`CHECKS`], in the order of what fails soonest.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::repository::{Verdict, cache, cargo, cargo_apart, finish, root};
use crate::{e2e, fuzz, interop, scenarios, schemathesis, sim, tidy, vectors};

/// Options of `cargo xtask ci`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these checks; all when none is named.
    #[arg(value_parser = CHECKS.map(|check| check.name))]
    checks: Vec<String>,
}

struct Check {
    name: &'static str,
    budget_minutes: u64,
    run: fn() -> Outcome,
}

enum Outcome {
    Passed,
    Failed(String),
    /// Not run, and why: what it needs is not on this machine.
    Skipped(String),
}

const CHECKS: [Check; 15] = [
    Check {
        name: "fmt",
        budget_minutes: 1,
        run: || formatted().into(),
    },
    Check {
        name: "tidy",
        budget_minutes: 1,
        run: || tidy::run().into(),
    },
    Check {
        name: "clippy",
        budget_minutes: 8,
        run: || linted().into(),
    },
    Check {
        name: "doc",
        budget_minutes: 4,
        run: || documented().into(),
    },
    Check {
        name: "vectors",
        budget_minutes: 3,
        run: || vectors::run().into(),
    },
    Check {
        name: "scenarios",
        budget_minutes: 9,
        run: || scenarios::run(&scenarios::Options::within(360)).into(),
    },
    Check {
        name: "sim",
        budget_minutes: 5,
        run: || swept().into(),
    },
    Check {
        name: "mutants",
        budget_minutes: 10,
        run: || sim::run(&sim::Options::mutants(360)).into(),
    },
    Check {
        name: "marks",
        budget_minutes: 4,
        run: || sim::run(&sim::Options::marks(90)).into(),
    },
    Check {
        name: "e2e",
        budget_minutes: 12,
        run: || e2e::run(&e2e::Options::smoke()).into(),
    },
    Check {
        name: "interop",
        budget_minutes: 10,
        run: || interop::run(&interop::Options::smoke()).into(),
    },
    Check {
        name: "schemathesis",
        budget_minutes: 4,
        run: interface_asked,
    },
    Check {
        name: "deny",
        budget_minutes: 10,
        run: permitted,
    },
    Check {
        name: "fuzz",
        budget_minutes: 8,
        run: || fuzz::run(&fuzz::Options::smoke()).into(),
    },
    Check {
        name: "differential",
        budget_minutes: 10,
        run: || {
            finish(&mut cargo_apart(
                "testing/differential",
                &["test", "--locked", "--release"],
            ))
            .into()
        },
    },
];

pub(crate) fn run(options: &Options) -> Verdict {
    let is_wanted = |check: &&Check| options.checks.is_empty() || options.checks.iter().any(|name| name == check.name);
    let wanted: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
    let mut table = String::new();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let start = Instant::now();
    for (number, check) in (1..).zip(&wanted) {
        let minutes = check.budget_minutes;
        println!("== {number}/{} {} (budget {minutes} min)", wanted.len(), check.name);
        let check_start = Instant::now();
        let outcome = (check.run)();
        let taken = check_start.elapsed();
        let (word, note) = match outcome {
            Outcome::Passed => {
                passed += 1;
                ("passed", String::new())
            }
            Outcome::Failed(reason) => {
                failed += 1;
                ("FAILED", reason)
            }
            Outcome::Skipped(reason) => {
                skipped += 1;
                ("skipped", reason)
            }
        };
        let over = if taken > Duration::from_secs(minutes * 60) {
            " OVER BUDGET"
        } else {
            ""
        };
        let line = format!(
            "{:14} {word:8} {:>7} of {minutes} min{over}  {note}",
            check.name,
            clock(taken)
        );
        println!("== {}\n", line.trim_end());
        table.push_str(line.trim_end());
        table.push('\n');
    }
    println!("{table}\nall checks together: {}", clock(start.elapsed()));
    println!("ci: {passed} passed, {failed} failed, {skipped} skipped");
    match failed {
        0 => Ok(()),
        count => Err(format!("{count} of {} checks failed", wanted.len())),
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(reason) => Self::Failed(reason),
        }
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// The workspaces below `testing/` that are no members of ours.
fn workspaces_apart() -> Vec<String> {
    let folders = fs::read_dir(root().join("testing")).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|folder| folder.path().join("Cargo.lock").exists())
        .map(|folder| format!("testing/{}", folder.file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

fn formatted() -> Verdict {
    finish(&mut cargo(&["fmt", "--all", "--check"]))?;
    for folder in workspaces_apart() {
        finish(cargo(&["fmt", "--all", "--check"]).current_dir(root().join(folder)))?;
    }
    Ok(())
}

fn linted() -> Verdict {
    finish(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn documented() -> Verdict {
    finish(cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// What broke something once, fresh random runs, and 200 seeds in two processes each.
fn swept() -> Verdict {
    sim::run(&sim::Options::sweep(180))?;
    sim::run(&sim::Options::twice(200))
}

/// A minute of schemathesis, where it can be had.
fn interface_asked() -> Outcome {
    match schemathesis::schemathesis() {
        Ok(_) => schemathesis::run(&schemathesis::Options::smoke()).into(),
        Err(reason) => Outcome::Skipped(reason),
    }
}

/// Licences, sources and bans. Advisories need a database from the network, so they are no part of this check.
fn permitted() -> Outcome {
    let tool = match cargo_deny() {
        Ok(tool) => tool,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let mut command = Command::new(tool);
    command.current_dir(root()).args([
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    finish(&mut command).into()
}

/// The path of cargo-deny, installed into the cache folder when it is not there.
fn cargo_deny() -> Result<PathBuf, String> {
    let folder = cache().join("tools");
    let tool = folder.join("bin/cargo-deny");
    if !tool.exists() {
        println!("cargo-deny is built once, into {}", folder.display());
        let mut install = cargo(&["install", "cargo-deny", "--locked", "--version", "0.20.2", "--root"]);
        finish(install.arg(&folder).env_remove("CARGO_TARGET_DIR"))
            .map_err(|reason| format!("cargo-deny is not installed, and could not be: {reason}"))?;
    }
    Ok(tool)
}
