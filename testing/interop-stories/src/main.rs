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

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use quittance_town::Outcome;

use crate::stories::{GROUPS, Group, Story};
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
    /// How many worlds are lived in at a time
    #[arg(long, default_value = "2")]
    worlds: NonZeroUsize,
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
    let failed: Vec<&Row> = rows.iter().filter(|row| row.result.is_err()).collect();
    println!("{} passed, {} failed", rows.len() - failed.len(), failed.len());
    if !failed.is_empty() || rows.is_empty() {
        for row in failed {
            println!("{}", row.line());
        }
        println!("again: --seed {seed}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs what is wanted, in as many worlds at a time as there are to be: most of a story is waiting. Each world has a chain, ports and files of
/// its own. The rows come back in the order of the groups.
fn run(options: &Options, seed: u64) -> Vec<Row> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.worlds.get() {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(group) = GROUPS.get(number) else { break };
                    let told = live(group, options, seed);
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    rows.insert(number, told);
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.into_values().flatten().collect()
}

/// Lives through what is wanted of a group: its stories share a world, until one fails.
fn live(group: &Group, options: &Options, seed: u64) -> Vec<Row> {
    let tools = Tools {
        quittance: options.quittance.clone(),
        ldk: options.ldk.clone(),
        bitcoind: options.bitcoind.clone(),
    };
    let is_wanted = |story: &&Story| {
        let named = options.only.as_ref().is_none_or(|part| story.name.contains(part));
        named && (story.smallest..=story.largest).contains(&options.size)
    };
    let mut world: Option<World> = None;
    let mut rows = Vec::new();
    for story in group.stories.iter().filter(is_wanted) {
        let began = Instant::now();
        let result = tell(&tools, group.build, &mut world, story, (options.size, seed));
        let row = Row {
            name: story.name,
            taken: began.elapsed(),
            result: result.map_err(|error| error.to_string()),
        };
        let mut line = row.line();
        if row.result.is_err()
            && let Some(world) = world.take()
        {
            let folder = world.folder.keep();
            line = format!("{line}\n        its nodes' files are kept in {}", folder.display());
        }
        // In one call: other worlds print too.
        println!("{line}");
        rows.push(row);
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
