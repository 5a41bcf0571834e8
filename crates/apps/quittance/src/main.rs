//! The Quittance program. There is no daemon yet; `demo` shows what the engine is for.

#![forbid(unsafe_code)]

mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Lightning node whose payments end in one outcome, whatever crashes.
#[derive(Parser)]
#[command(name = "quittance", version, after_help = "Example:\n  quittance demo --payments 3")]
struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Three nodes in this process, real channels on an embedded chain, real stores on disk: the payer pays through a
    /// forwarder, and each time another node dies at another moment and comes back from its files.
    #[command(
        after_help = "Example:\n  quittance demo --payments 5\n\nNothing leaves this machine; the stores are in a temporary folder that is \
                            removed at the end."
    )]
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let Arguments {
        command: Commands::Demo(options),
    } = Arguments::parse();
    match demo::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
