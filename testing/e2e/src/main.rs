//! Payments between real processes over real sockets and real stores, one of which dies by SIGKILL again and again. Its manager's rows are
//! left whole, rolled back to before the payments were sent, or deleted; it starts again, and in the end the payer's ledger of outcomes
//! is the payee's, to the msat. And the town's life on a chain that is not quiet, and disks that are full. `cargo xtask e2e` builds the
//! program and runs this.

#![forbid(unsafe_code)]

mod full_disk;
mod hostile;
mod known;
mod life;
mod offers;
mod schemathesis;
mod stories;
mod village;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use quittance_town::{Outcome, Rows};

/// End-to-end tests of the program.
#[derive(Parser)]
pub(crate) struct Options {
    /// The program, built with the feature `mutants`
    #[arg(long)]
    pub(crate) program: PathBuf,
    /// How often somebody is killed
    #[arg(long, default_value_t = 50)]
    pub(crate) kills: u32,
    /// Payments on their way at each kill
    #[arg(long, default_value_t = 4)]
    pub(crate) payments: u32,
    /// By which moments and victims are drawn
    #[arg(long)]
    seed: Option<u64>,
    /// A bitcoind to live on, instead of the embedded chain
    #[arg(long)]
    pub(crate) bitcoind: Option<PathBuf>,
    /// Leave the known bugs out, which the stories must notice
    #[arg(long)]
    no_mutants: bool,
    /// Only this: strangers that mean no good, each kind of them for so many seconds
    #[arg(long, value_name = "SECONDS")]
    hostile: Option<u64>,
    /// Only this: requests that this program of schemathesis draws from the OpenAPI document
    #[arg(long, value_name = "PROGRAM")]
    schemathesis: Option<PathBuf>,
    /// Only this: private channels, those that are used before a block, and those that the network knows
    #[arg(long)]
    channels: bool,
    /// For how many seconds it may draw them
    #[arg(long, default_value_t = 60)]
    budget: u32,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(quittance_town::fresh_seed);
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
    if let Some(seconds) = options.hostile {
        println!("{}", hostile::run(&options.program, seconds, seed)?);
        return Ok(());
    }
    if let Some(tool) = &options.schemathesis {
        println!("{}", schemathesis::run(&options.program, tool, options.budget, seed)?);
        return Ok(());
    }
    if options.channels {
        return channels(options);
    }
    let began = Instant::now();
    if let Some(untrue) = stories::worst_moment(&options.program, None, &Rows::ALL)? {
        return Err(untrue.into());
    }
    println!(
        "the payer died with its receipt unhandled, rows whole, rolled back and deleted: told each time ({:.1?})",
        began.elapsed()
    );
    if !options.no_mutants {
        for mutant in ["PreimageNotKept", "OutcomeReleasedAtRevocation"] {
            // Each by itself: the first that is red would hide the other.
            for rows in [Rows::RolledBack, Rows::Deleted] {
                let began = Instant::now();
                match stories::worst_moment(&options.program, Some(mutant), &[rows])? {
                    None => {
                        let words = rows.in_words();
                        return Err(format!("the known bug {mutant} was not noticed with {words}").into());
                    }
                    Some(untrue) => println!(
                        "with the known bug {mutant} it is red: {untrue} ({:.1?})",
                        began.elapsed()
                    ),
                }
            }
        }
    }
    let began = Instant::now();
    let told = life::town_life(&options.program, options.bitcoind.as_deref())?;
    println!("{told} ({:.1?})", began.elapsed());
    channels(options)?;
    let began = Instant::now();
    let told = full_disk::full_disks(&options.program)?;
    println!("{told} ({:.1?})", began.elapsed());
    let began = Instant::now();
    let told = stories::random_kills(options, seed)?;
    println!("{told} ({:.1?})", began.elapsed());
    Ok(())
}

/// What channels can be beside the plain.
fn channels(options: &Options) -> Outcome<()> {
    let began = Instant::now();
    let told = offers::offers(&options.program, options.bitcoind.as_deref())?;
    println!("{told} ({:.1?})", began.elapsed());
    let began = Instant::now();
    let told = known::known(&options.program, options.bitcoind.as_deref())?;
    println!("{told} ({:.1?})", began.elapsed());
    Ok(())
}

/// A folder for the files of one town. With `QUITTANCE_KEEP` set it is left there, for whoever wants to know what happened.
pub(crate) fn folder() -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::tempdir()?;
    if is_kept() {
        folder.disable_cleanup(true);
        println!("files: {}", folder.path().display());
    }
    Ok(folder)
}

/// Whether files of nodes are left behind.
pub(crate) fn is_kept() -> bool {
    std::env::var_os("QUITTANCE_KEEP").is_some()
}
