//! Where things are, and how other programs are started there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a check says: nothing when it holds, the reason when it does not.
pub(crate) type Verdict = Result<(), String>;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The one folder for what outlives the checkout: tools, and builds too long to repeat.
pub(crate) fn cache() -> PathBuf {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("QUITTANCE_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("quittance")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/quittance")))
        .unwrap_or_else(|| root().join("target/cache"))
}

/// Cargo, in the checkout's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// A program of the workspace, as a debug build leaves it.
pub(crate) fn built(name: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder));
    target.join("debug").join(name)
}

/// Cargo, in a workspace of its own below `testing/`. Its build lives in the cache folder: it is long, and its flags are others.
pub(crate) fn cargo_apart(folder: &str, arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command
        .current_dir(root().join(folder))
        .env("CARGO_TARGET_DIR", cache().join("target").join(folder));
    command
}

/// Runs a program to its end, its output passed through.
pub(crate) fn finish(command: &mut Command) -> Verdict {
    let name = describe(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{name}` ended with {status}")),
        Err(error) => Err(format!("`{name}` could not be started: {error}")),
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    [program]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
