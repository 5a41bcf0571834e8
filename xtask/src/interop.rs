//! `cargo xtask interop`: our nodes and LDK's beside each other, as processes on one chain.
//!
//! LDK's node is a program of its own (`testing/interop`, built apart), ours is `quittance run`; the stories are those of
//! `testing/interop-stories`. A run of all of them, and a soak, rewrite their table in `docs/INTEROP.md`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;

use crate::repository::{
    Verdict, build_with_mutants, built, cache, cargo_apart, finish, locked_version, machine, rewrite_table, root,
};
use crate::{bitcoind, repository};

const FOLDER: &str = "testing/interop";
const PAGE: &str = "docs/INTEROP.md";

/// Options of `cargo xtask interop`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what every change must pass.
    #[arg(long, conflicts_with = "soak")]
    smoke: bool,
    /// The long stories, at their full length.
    #[arg(long)]
    soak: bool,
    /// Only stories with this in their names; the table stays as it is.
    #[arg(long)]
    only: Option<String>,
    /// By which moments are drawn; a fresh one if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many worlds are lived in at a time; two if it is not given.
    #[arg(long)]
    worlds: Option<NonZeroUsize>,
}

impl Options {
    /// What CI runs.
    pub(crate) const fn smoke() -> Self {
        Self {
            smoke: true,
            soak: false,
            only: None,
            seed: None,
            worlds: None,
        }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    build_with_mutants("quittance-interop")?;
    finish(&mut cargo_apart(FOLDER, &["build", "--quiet", "--locked"]))?;

    let size = match (options.smoke, options.soak) {
        (true, _) => "smoke",
        (_, true) => "soak",
        (false, false) => "all",
    };
    let table = cache().join("interop-table");
    let mut command = Command::new(built("quittance-interop"));
    command.arg("--quittance").arg(built("quittance"));
    command.arg("--ldk").arg(peer());
    command.args(["--size", size]).arg("--table").arg(&table);
    let chain = if options.smoke {
        bitcoind::find()?
    } else {
        Some(bitcoind::find_or_build()?)
    };
    match chain {
        Some(program) => _ = command.arg("--bitcoind").arg(program),
        None => println!("there is no bitcoind: the embedded chain takes its place"),
    }
    if let Some(part) = &options.only {
        command.args(["--only", part]);
    }
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(worlds) = options.worlds {
        command.args(["--worlds", &worlds.to_string()]);
    }
    let verdict = finish(&mut command);
    if !options.smoke && options.only.is_none() {
        let rows = fs::read_to_string(&table).map_err(|error| format!("{}: {error}", table.display()))?;
        rewrite_table(&root().join(PAGE), size, &format!("{}\n{rows}", versions()))?;
    }
    verdict
}

fn peer() -> PathBuf {
    cache().join("target").join(FOLDER).join("debug/quittance-interop-peer")
}

fn versions() -> String {
    let [node, library] = ["ldk-node", "lightning"].map(|name| locked_version(FOLDER, name));
    let commit = repository::commit();
    format!(
        "{}; `ldk-node` {node} with `lightning` {library}; Quittance {commit}.\n",
        machine()
    )
}
