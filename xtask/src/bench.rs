//! `cargo xtask bench`: the side-by-side benches of `testing/bench`, and the tables in `docs/BENCHMARKS.md`.
//!
//! Criterion leaves a file for each function of each group; a table is made of those of this run, a row for each group. With
//! `--versus-ldk` whole nodes are measured instead of the protocol layer ([`versus`]).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::repository::{Verdict, cache, cargo_apart, finish, locked_version, machine, rewrite_table, root};

const FOLDER: &str = "testing/bench";
const PAGE: &str = "docs/BENCHMARKS.md";
/// The groups of the protocol layer.
const PROTOCOL: [&str; 5] = ["commitments", "invoices", "messages", "noise", "onion"];

mod versus;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds of measurement for each function.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Whole nodes beside LDK's instead: payments, starts, storage, onions and commitments. Takes five minutes.
    #[arg(long)]
    versus_ldk: bool,
    /// The same in one minute, with fewer payments; leaves docs/BENCHMARKS.md as it is.
    #[arg(long, requires = "versus_ldk")]
    quick: bool,
}

/// One group of one run.
#[derive(Default)]
struct Row {
    /// When its first function was measured: the rows stand in the order of the run.
    since: Option<SystemTime>,
    /// Median nanoseconds by the function's name.
    median_ns: BTreeMap<String, f64>,
}

pub(crate) fn run(options: &Options) -> Verdict {
    if options.versus_ldk {
        return versus::run(options.quick);
    }
    let rows = criterion(&PROTOCOL, options.seconds)?;
    let table = format!("{}\n{}", measured_on(), table(&rows));
    println!("{table}");
    rewrite_table(&root().join(PAGE), "table", &table)
}

/// Runs some of the benches.
fn criterion(benches: &[&str], seconds: u64) -> Result<BTreeMap<String, Row>, String> {
    let results = cache().join("criterion");
    if results.exists() {
        fs::remove_dir_all(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    }
    let mut command = cargo_apart(FOLDER, &["bench", "--locked"]);
    command.args(benches.iter().flat_map(|bench| ["--bench", bench]));
    let seconds = seconds.to_string();
    command.args(["--", "--noplot", "--warm-up-time", "1", "--measurement-time", &seconds]);
    finish(command.env("CRITERION_HOME", &results))?;
    let mut rows = BTreeMap::new();
    collect(&results, &mut rows)?;
    Ok(rows)
}

/// Machine, compiler and LDK.
fn measured_on() -> String {
    let ldk = locked_version(FOLDER, "lightning");
    format!("{}; LDK is `lightning` {ldk}.\n", machine())
}

/// Reads what Criterion left below `folder`.
fn collect(folder: &Path, rows: &mut BTreeMap<String, Row>) -> Verdict {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join("estimates.json").exists() && path.file_name().is_some_and(|name| name == "new") {
            let description = json(&path.join("benchmark.json"))?;
            let estimates = json(&path.join("estimates.json"))?;
            let (Some(group), Some(function), Some(median)) = (
                description["group_id"].as_str(),
                description["function_id"].as_str(),
                estimates["median"]["point_estimate"].as_f64(),
            ) else {
                return Err(format!("{} has another form than expected", path.display()));
            };
            let measured = fs::metadata(path.join("estimates.json")).and_then(|file| file.modified());
            let row = rows.entry(group.to_owned()).or_default();
            row.median_ns.insert(function.to_owned(), median);
            row.since = [row.since, measured.ok()].into_iter().flatten().min();
        } else if path.is_dir() {
            collect(&path, rows)?;
        }
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let mut ordered: Vec<(&String, &Row)> = rows.iter().collect();
    ordered.sort_by_key(|(_, row)| row.since);
    let mut table =
        String::from("| work | Quittance | LDK | bare | to LDK | to bare |\n|---|---:|---:|---:|---:|---:|\n");
    for (name, row) in ordered {
        let [ours, ldk, bare] = ["quittance", "ldk", "bare"].map(|function| row.median_ns.get(function).copied());
        let time = |nanoseconds: Option<f64>| nanoseconds.filter(|time| *time >= 5.0).map_or(String::new(), readable);
        let ratio = |other: Option<f64>| match (ours, other.filter(|time| *time >= 5.0)) {
            (Some(ours), Some(other)) => format!("{:.2}", ours / other),
            (_, None) | (None, _) => String::new(),
        };
        let (to_ldk, to_bare) = (ratio(ldk), ratio(bare));
        let [ours, ldk, bare] = [time(ours), time(ldk), time(bare)];
        writeln!(table, "| {name} | {ours} | {ldk} | {bare} | {to_ldk} | {to_bare} |").expect("a string takes it");
    }
    table
}

/// Three digits and a unit.
fn readable(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        small if small < 1e3 => (small, "ns"),
        middle if middle < 1e6 => (middle / 1e3, "us"),
        large => (large / 1e6, "ms"),
    };
    let digits = match value {
        below_ten if below_ten < 10.0 => 2,
        below_hundred if below_hundred < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_ratios_and_a_missing_column_is_empty() {
        let row = |functions: &[(&str, f64)]| Row {
            since: None,
            median_ns: functions
                .iter()
                .map(|(name, time)| ((*name).to_owned(), *time))
                .collect(),
        };
        let rows = BTreeMap::from([
            (
                "a".to_owned(),
                row(&[("quittance", 150_000.0), ("ldk", 300_000.0), ("bare", 100_000.0)]),
            ),
            ("b".to_owned(), row(&[("quittance", 2_500_000.0), ("bare", 0.5)])),
        ]);
        let lines: Vec<String> = table(&rows).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "| a | 150 us | 300 us | 100 us | 0.50 | 1.50 |",
                "| b | 2.50 ms |  |  |  |  |"
            ]
        );
    }
}
