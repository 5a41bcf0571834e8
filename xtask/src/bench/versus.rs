//! `cargo xtask bench --versus-ldk`: whole nodes beside LDK's, and what they do most beside LDK and the bare cryptography.
//!
//! The nodes are the program `benches/versus` of `testing/bench`, which prints its own tables, the goals last; onions and commitments are
//! Criterion's groups.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Stdio;

use super::{FOLDER, PAGE, Row, criterion, measured_on, table};
use crate::repository::{Verdict, cargo_apart, rewrite_table, root};

/// Of the groups: what a payment is made of.
const GROUPS: [&str; 2] = ["commitments", "onion"];

/// The groups that have a goal: so many times the bare cryptography.
const TO_BARE: [(&str, f64); 2] = [
    ("commitment: build and sign, HTLCs: 483", 1.2),
    ("commitment: build and verify, HTLCs: 483", 1.2),
];

pub(super) fn run(is_quick: bool) -> Verdict {
    let load_before = load();
    let nodes = nodes(is_quick)?;
    let rows = criterion(&GROUPS, if is_quick { 1 } else { 2 })?;
    let tables = format!(
        "{}\nThe load average of the machine was {load_before} before the run and {} after it.\n\n{}\n{nodes}{}",
        measured_on(),
        load(),
        table(&rows),
        goals(&rows)
    );
    println!("{tables}");
    if is_quick {
        return Ok(());
    }
    rewrite_table(&root().join(PAGE), "versus", &tables)
}

/// What the program prints.
fn nodes(is_quick: bool) -> Result<String, String> {
    let mut command = cargo_apart(FOLDER, &["bench", "--locked", "--bench", "versus", "--"]);
    if is_quick {
        command.arg("--quick");
    }
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("the comparison ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// The rows of the goals that a group decides.
fn goals(rows: &BTreeMap<String, Row>) -> String {
    let mut goals = String::new();
    for (name, bound) in TO_BARE {
        let figure = |function| rows.get(name).and_then(|row| row.median_ns.get(function));
        let (Some(ours), Some(bare)) = (figure("quittance"), figure("bare")) else {
            continue;
        };
        let ratio = ours / bare;
        let verdict = if ratio <= bound { "met" } else { "**missed**" };
        writeln!(
            goals,
            "| {name}, to the bare cryptography | at most {bound:.2} times | {ratio:.2} | {verdict} |"
        )
        .expect("a string takes it");
    }
    goals
}

/// How many threads wanted to run in the last minute, on average.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_beyond_its_bound_is_missed() {
        let row = |ours: f64| Row {
            since: None,
            median_ns: [("quittance", ours), ("bare", 10.0)]
                .map(|(name, time)| (name.to_owned(), time))
                .into(),
        };
        let rows = TO_BARE
            .iter()
            .zip([11.0, 13.0])
            .map(|((name, _), ours)| ((*name).to_owned(), row(ours)));
        let goals = goals(&rows.collect());
        let ends: Vec<&str> = goals.lines().filter_map(|line| line.split(" | ").last()).collect();
        assert_eq!(ends, ["met |", "**missed** |"]);
    }
}
