//! `cargo xtask`: the project's own checks, one file for each command.
//!
//! A command either looks at the tree itself (`tidy`) or starts the program that does the work, in the crate it belongs to
//! (`vectors` runs the binary of `testing/vectors`), so that xtask depends on none of our crates and builds in seconds.
//! To add a command: a file beside this one, a variant of [`Command`], an arm in [`main`], and, if `ci` shall run it, a line
//! in `ci.rs`.

mod bench;
mod bitcoind;
mod ci;
mod e2e;
mod fuzz;
mod interop;
mod repository;
mod scenarios;
mod schemathesis;
mod sim;
mod tidy;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The checks of the Quittance repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The protocol layer beside LDK and the bare cryptography; rewrites docs/BENCHMARKS.md.
    Bench(bench::Options),
    /// Everything a change must pass, beside `cargo test --workspace`.
    Ci(ci::Options),
    /// Fails on what the compiler does not see: layers, purity, sizes, words.
    Tidy,
    /// Runs the official test vectors.
    Vectors,
    /// The path of a bitcoind for tests, built once if there is none.
    Bitcoind(bitcoind::Options),
    /// Real processes over real sockets and stores, killed at random moments.
    E2e(e2e::Options),
    /// A short run of every fuzz target.
    Fuzz(fuzz::Options),
    /// Our nodes and LDK's beside each other, as processes on one chain.
    Interop(interop::Options),
    /// Requests that the OpenAPI document allows and forbids, against a node; from PyPI.
    Schemathesis(schemathesis::Options),
    /// The rows of docs/SCENARIOS.md, each over its crash points.
    Scenarios(scenarios::Options),
    /// Random runs of whole networks under every fault; with --mutants, known bugs that they must catch.
    Sim(sim::Options),
}

fn main() -> ExitCode {
    let verdict = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::Tidy => tidy::run(),
        Command::Vectors => vectors::run(),
        Command::Bitcoind(options) => bitcoind::run(&options),
        Command::E2e(options) => e2e::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Interop(options) => interop::run(&options),
        Command::Scenarios(options) => scenarios::run(&options),
        Command::Schemathesis(options) => schemathesis::run(&options),
        Command::Sim(options) => sim::run(&options),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
