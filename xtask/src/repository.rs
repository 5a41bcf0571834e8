//! Where things are, and how other programs are started there.

use std::env;
use std::fs;
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

/// Builds our program with its known bugs, which stay switched off, and what runs it. Both at once, and everybody the same: built one after the
/// other, or once without, the known bugs would be compiled in and out again.
pub(crate) fn build_with_mutants(runner: &str) -> Verdict {
    let packages = ["--package", "quittance", "--package", runner];
    let features = ["--features", "quittance/mutants"];
    finish(cargo(&["build", "--quiet"]).args(packages).args(features))
}

/// Cargo, in a workspace of its own below `testing/`. Its build lives in the cache folder: it is long, and its flags are others.
pub(crate) fn cargo_apart(folder: &str, arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command
        .current_dir(root().join(folder))
        .env("CARGO_TARGET_DIR", cache().join("target").join(folder));
    command
}

/// What is measured on: processor, cores, compiler.
pub(crate) fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(": ")))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let compiler = told(Command::new("rustc").arg("--version"));
    format!("{model}, {cores} cores; {compiler}")
}

/// The commit that is checked out, in short.
pub(crate) fn commit() -> String {
    told(
        Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .current_dir(root()),
    )
}

/// The version of a crate that a workspace apart has locked.
pub(crate) fn locked_version(folder: &str, name: &str) -> String {
    let lock = fs::read_to_string(root().join(folder).join("Cargo.lock")).unwrap_or_default();
    lock.split_once(&format!("name = \"{name}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("unknown")
        .to_owned()
}

/// Replaces the table that stands in a page between `<!-- name -->` and `<!-- end of name -->`.
pub(crate) fn rewrite_table(page: &Path, name: &str, table: &str) -> Verdict {
    let failed = |error: std::io::Error| format!("{}: {error}", page.display());
    let text = fs::read_to_string(page).map_err(failed)?;
    let replaced =
        replace_table(&text, name, table).ok_or_else(|| format!("{} has no place for a {name}", page.display()))?;
    fs::write(page, replaced).map_err(failed)
}

fn replace_table(text: &str, name: &str, table: &str) -> Option<String> {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&start)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{start}{table}{end}{after}"))
}

/// What a program says on standard output.
fn told(command: &mut Command) -> String {
    command.output().map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_replaced() {
        let text = "a\n<!-- table -->\nold\n<!-- end of table -->\nb";
        assert_eq!(
            replace_table(text, "table", "new\n").as_deref(),
            Some("a\n<!-- table -->\nnew\n<!-- end of table -->\nb")
        );
        assert_eq!(replace_table(text, "other", "new"), None);
    }
}
