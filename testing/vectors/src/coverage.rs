//! Whether every vector file is accounted for: run, or listed as not run, and never both.

use std::collections::BTreeSet;
use std::path::Path;

/// A line for each vector file (`data/**/*.json`) that is neither run nor listed in [`crate::NOT_RUN`], for each that is both,
/// and for each name that stands for no file.
///
/// # Panics
/// If the data folder cannot be read: it is part of this crate.
pub fn unaccounted() -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut present = BTreeSet::new();
    collect(&data, "", &mut present).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
    let run = crate::files().map(|(file, _)| file).collect();
    let not_run = crate::NOT_RUN.iter().map(|(file, _)| *file).collect();
    compare(&present, &run, &not_run)
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name);
        }
    }
    Ok(())
}

fn compare(present: &BTreeSet<String>, run: &BTreeSet<&str>, not_run: &BTreeSet<&str>) -> Vec<String> {
    let is_vector = |file: &&String| Path::new(file).extension().is_some_and(|extension| extension == "json");
    let mut lines = Vec::new();
    for file in present.iter().filter(is_vector) {
        match (run.contains(file.as_str()), not_run.contains(file.as_str())) {
            (false, false) => lines.push(format!("{file} is neither run nor listed as not run")),
            (true, true) => lines.push(format!("{file} is run, and listed as not run")),
            (true, false) | (false, true) => {}
        }
    }
    for name in run.union(not_run).filter(|name| !present.contains(**name)) {
        lines.push(format!("{name} is named, but is no file"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(present: &[&str], run: &[&'static str], not_run: &[&'static str]) -> Vec<String> {
        compare(
            &present.iter().map(|file| (*file).to_owned()).collect(),
            &run.iter().copied().collect(),
            &not_run.iter().copied().collect(),
        )
    }

    #[test]
    fn a_file_that_nobody_runs_is_named() {
        assert_eq!(
            compared(&["bolt03/a.json", "bolt03/b.json"], &["bolt03/a.json"], &[]),
            ["bolt03/b.json is neither run nor listed as not run"]
        );
    }

    #[test]
    fn a_listed_file_needs_no_check_and_an_index_is_no_vector() {
        assert_eq!(
            compared(&["INDEX.md", "bolt12/a.json"], &[], &["bolt12/a.json"]),
            [""; 0]
        );
    }

    #[test]
    fn a_file_both_run_and_listed_is_named() {
        assert_eq!(
            compared(&["a.json"], &["a.json"], &["a.json"]),
            ["a.json is run, and listed as not run"]
        );
    }

    #[test]
    fn a_name_without_a_file_is_named() {
        assert_eq!(
            compared(&[], &["a.json"], &["b.json"]),
            ["a.json is named, but is no file", "b.json is named, but is no file"]
        );
    }
}
