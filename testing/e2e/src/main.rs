//! Payments between real processes over real sockets and real stores, one of which dies by SIGKILL again and again. Its manager's rows are
//! left whole, rolled back to before the payments were sent, or deleted; it starts again, and in the end the payer's ledger of outcomes
//! is the payee's, to the msat. `cargo xtask e2e` builds the program and runs this.

#![forbid(unsafe_code)]

mod random;
mod stories;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use quittance_town::Outcome;

/// End-to-end tests of the program.
#[derive(Parser)]
struct Options {
    /// The program, built with the feature `mutants`
    #[arg(long)]
    program: PathBuf,
    /// How often somebody is killed
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Payments on their way at each kill
    #[arg(long, default_value_t = 4)]
    payments: u32,
    /// By which moments and victims are drawn
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the known bugs out, which the stories must notice
    #[arg(long)]
    no_mutants: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(random::fresh);
    println!("seed {seed}");
    match run(&options, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}\nagain: --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, seed: u64) -> Outcome<()> {
    let began = Instant::now();
    stories::worst_moment(&options.program, None)?;
    println!(
        "the payer died with its receipt unhandled, rows whole, rolled back and deleted: told each time ({:.1?})",
        began.elapsed()
    );
    if !options.no_mutants {
        for mutant in ["PreimageNotKept", "OutcomeReleasedAtRevocation"] {
            let began = Instant::now();
            let seen = stories::worst_moment(&options.program, Some(mutant));
            match seen {
                Ok(()) => return Err(format!("the known bug {mutant} was not noticed").into()),
                Err(error) => println!(
                    "with the known bug {mutant} it is red: {error} ({:.1?})",
                    began.elapsed()
                ),
            }
        }
    }
    let began = Instant::now();
    let told = stories::random_kills(&options.program, options.kills, options.payments, seed)?;
    println!("{told} ({:.1?})", began.elapsed());
    Ok(())
}
