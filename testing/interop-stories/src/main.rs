//! Stories that our nodes live through together with LDK's, as processes on one chain, over TCP. After each story the ledgers of all nodes
//! agree to the msat, and no channel is closed but those whose story it is. `cargo xtask interop` builds the programs and runs this.

#![forbid(unsafe_code)]

mod fees;
mod link;
mod payments;
mod peer;
#[path = "../../interop/src/protocol.rs"]
mod protocol;
mod stories;
mod table;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use quittance_town::Outcome;

use crate::stories::{GROUPS, Story};
use crate::table::Row;
use crate::world::{Tools, World};

/// Stories of our nodes and LDK's.
#[derive(Parser)]
struct Options {
    /// Our program
    #[arg(long)]
    quittance: PathBuf,
    /// LDK's program
    #[arg(long)]
    ldk: PathBuf,
    /// The chain's program; the embedded chain is taken without one
    #[arg(long)]
    bitcoind: Option<PathBuf>,
    /// How much is run
    #[arg(long, value_enum, default_value_t = Size::All)]
    size: Size,
    /// Only stories with this in their names
    #[arg(long)]
    only: Option<String>,
    /// Where the table is written
    #[arg(long)]
    table: Option<PathBuf>,
    /// By which moments are drawn; a fresh one if none is given
    #[arg(long)]
    seed: Option<u64>,
}

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Size {
    /// What every change must pass.
    Smoke,
    /// Every story.
    All,
    /// The long ones at their full length.
    Soak,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(quittance_town::fresh_seed);
    println!("seed {seed}");
    let rows = run(&options, seed);
    let text = table::markdown(&rows);
    println!("\n{text}");
    if let Some(path) = &options.table
        && let Err(error) = std::fs::write(path, &text)
    {
        println!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    let failed = rows.iter().filter(|row| row.result.is_err()).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    if failed > 0 || rows.is_empty() {
        println!("again: --seed {seed}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs what is wanted, group by group: the stories of one live in the same world, until one fails.
fn run(options: &Options, seed: u64) -> Vec<Row> {
    let tools = Tools {
        quittance: options.quittance.clone(),
        ldk: options.ldk.clone(),
        bitcoind: options.bitcoind.clone(),
    };
    let is_wanted = |story: &&Story| {
        let named = options.only.as_ref().is_none_or(|part| story.name.contains(part));
        named && (story.smallest..=story.largest).contains(&options.size)
    };
    let mut rows = Vec::new();
    for group in GROUPS {
        let mut world: Option<World> = None;
        for story in group.stories.iter().filter(is_wanted) {
            let began = Instant::now();
            let result = tell(&tools, group.build, &mut world, story, (options.size, seed));
            let row = Row {
                name: story.name,
                taken: began.elapsed(),
                result: result.map_err(|error| error.to_string()),
            };
            println!("{}", row.line());
            if row.result.is_err()
                && let Some(world) = world.take()
            {
                println!("the nodes' files are kept in {}", world.folder.keep().display());
            }
            rows.push(row);
        }
    }
    rows
}

fn tell(
    tools: &Tools,
    build: stories::Build,
    world: &mut Option<World>,
    story: &Story,
    (size, seed): (Size, u64),
) -> Outcome<String> {
    let world = match world {
        Some(world) => world,
        None => world.insert(build(tools)?),
    };
    let told = (story.tell)(
        world,
        &stories::Effort {
            is_soak: size == Size::Soak,
            seed,
        },
    )?;
    world.agree()?;
    world.check_manners()?;
    Ok(told)
}
