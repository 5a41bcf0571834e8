//! `cargo xtask schemathesis`: requests that the OpenAPI document allows and forbids, against a node on regtest; no answer may be a 500, and each
//! must be one that the document names.
//!
//! Schemathesis comes from PyPI, into an environment of its own in the cache folder. The node is one of `testing/e2e`'s town, with channels and
//! payments; its binary starts the tool and stops the town with it.

use std::path::PathBuf;
use std::process::Command;

use crate::repository::{Verdict, build_with_mutants, built, cache, finish};

/// Options of `cargo xtask schemathesis`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how many seconds.
    #[arg(long, default_value_t = 300)]
    budget: u32,
    /// By which requests are drawn; a fresh one if none is given.
    #[arg(long)]
    seed: Option<u32>,
}

/// What it is. Pinned: a check must not change by itself.
const TOOL: &str = "schemathesis==4.32.5";

impl Options {
    /// What CI runs.
    pub(crate) const fn smoke() -> Self {
        Self { budget: 60, seed: None }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    let tool = schemathesis()?;
    build_with_mutants("quittance-e2e")?;
    let mut command = Command::new(built("quittance-e2e"));
    command.arg("--program").arg(built("quittance"));
    command.arg("--schemathesis").arg(tool);
    command.args(["--budget", &options.budget.to_string()]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    finish(&mut command)
}

/// The tool's path, installed into the cache folder when it is not there.
///
/// # Errors
/// When there is no Python, or nothing to install from.
pub(crate) fn schemathesis() -> Result<PathBuf, String> {
    let folder = cache().join("tools").join(TOOL.replace("==", "-"));
    let tool = folder.join("bin/schemathesis");
    if tool.exists() {
        return Ok(tool);
    }
    println!("{TOOL} is installed once, into {}", folder.display());
    finish(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .and_then(|()| finish(Command::new(folder.join("bin/pip")).args(["install", "--quiet", TOOL])))
        .map_err(|reason| format!("{TOOL} is not there, and cannot be installed: {reason}"))?;
    Ok(tool)
}
