//! Runs the rows of `docs/SCENARIOS.md` that have a test, and prints what became of each row of the table.
//!
//! `scenarios [--budget SECONDS] [--phase N] [--strict] [ID..]`. Without a budget every crash point is tried; with one, points are
//! sampled so that all rows fit into it. Exit code 1: a row failed, or a row of phase 1 has no test; with `--strict` any row
//! without a test.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quittance_simulator::{Effort, Report, scenarios};

/// What is measured first, to learn what a budget allows.
const PROBE: Effort = Effort { runs_max: 12 };

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let table = match std::fs::read_to_string(TABLE)
        .map_err(|error| error.to_string())
        .and_then(|text| rows(&text))
    {
        Ok(table) => table,
        Err(reason) => {
            eprintln!("error: {TABLE}: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let wanted: Vec<_> = table
        .iter()
        .filter(|row| row.phase <= options.phase)
        .filter(|row| options.ids.is_empty() || options.ids.contains(&row.id))
        .collect();
    let unknown: Vec<_> = options
        .ids
        .iter()
        .filter(|id| !table.iter().any(|row| row.id == **id))
        .collect();
    let strangers: Vec<_> = scenarios::ALL
        .iter()
        .filter(|test| !table.iter().any(|row| row.id == test.id && row.name == test.name))
        .map(|test| test.id)
        .collect();
    if !unknown.is_empty() || !strangers.is_empty() {
        eprintln!("error: not in the table: {unknown:?}; tests without a row of their name: {strangers:?}");
        return ExitCode::FAILURE;
    }
    let verdicts = run(&wanted, options.budget);
    print(&wanted, &verdicts, options.strict)
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SCENARIOS.md");

struct Options {
    budget: Option<Duration>,
    phase: u8,
    strict: bool,
    ids: Vec<String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            budget: None,
            phase: 1,
            strict: false,
            ids: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<u64, String> {
                let text = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
                text.parse().map_err(|error| format!("{argument} {text}: {error}"))
            };
            match argument.as_str() {
                "--budget" => options.budget = Some(Duration::from_secs(number()?)),
                "--phase" => options.phase = u8::try_from(number()?).map_err(|error| error.to_string())?,
                "--strict" => options.strict = true,
                id if !id.starts_with('-') => options.ids.push(id.to_owned()),
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok(options)
    }
}

struct Row {
    id: String,
    name: String,
    phase: u8,
}

/// The rows of the table: `| ID | name | schedule | must hold | phase |`.
fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].contains('-'))
    {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_row = cells
            .first()
            .is_some_and(|id| id.len() == 5 && id.as_bytes()[2] == b'-');
        if !is_row {
            continue;
        }
        let [id, name, _, _, phase] = cells.as_slice() else {
            return Err(format!("{} has {} cells, not five", cells[0], cells.len()));
        };
        rows.push(Row {
            id: (*id).to_owned(),
            name: name.trim_matches('`').to_owned(),
            phase: phase.parse().map_err(|error| format!("{id}: phase {phase}: {error}"))?,
        });
    }
    if rows.is_empty() {
        Err("no row was found".to_owned())
    } else {
        Ok(rows)
    }
}

enum Verdict {
    Passed(Report),
    Failed(String),
    NoTest,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(report) => write!(
                f,
                "pass  {:>5} crash points {:>6} runs",
                report.crash_points, report.runs
            ),
            Self::Failed(reason) => {
                let reason: Vec<_> = reason.split_whitespace().collect();
                write!(f, "FAIL  {}", reason.join(" "))
            }
            Self::NoTest => f.write_str("no test yet"),
        }
    }
}

/// Runs the rows on two threads. With a budget each row gets its share, by how long a few of its runs take; without one, which
/// may take long, each row is told when it ends.
fn run(wanted: &[&Row], budget: Option<Duration>) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts: Mutex<Vec<Option<Verdict>>> = Mutex::new(wanted.iter().map(|_| None).collect());
    let with_test = wanted.iter().filter(|row| test_of(row).is_some()).count();
    let share = budget.map(|budget| budget * 2 / u32::try_from(with_test.max(1)).unwrap_or(u32::MAX));
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(row) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let verdict = test_of(row).map_or(Verdict::NoTest, |test| judge(test, share));
                    if budget.is_none() && matches!(verdict, Verdict::Passed(_) | Verdict::Failed(_)) {
                        eprintln!("{} {verdict} in {:.0} s", row.id, started.elapsed().as_secs_f64());
                    }
                    let place = wanted.iter().position(|other| other.id == row.id).unwrap_or(0);
                    if let Ok(mut verdicts) = verdicts.lock() {
                        verdicts[place] = Some(verdict);
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let verdicts = verdicts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    verdicts
        .into_iter()
        .map(|verdict| verdict.unwrap_or(Verdict::NoTest))
        .collect()
}

fn test_of(row: &Row) -> Option<&'static scenarios::Scenario> {
    scenarios::ALL.iter().find(|test| test.id == row.id)
}

fn judge(test: &scenarios::Scenario, share: Option<Duration>) -> Verdict {
    let effort = match share {
        None => Effort::ALL,
        Some(share) => {
            let started = Instant::now();
            if let Failed(reason) = attempt(test, PROBE) {
                return Verdict::Failed(reason);
            }
            let spent = started.elapsed().max(Duration::from_millis(1));
            let left = share.saturating_sub(spent).as_millis() * 9 / 10;
            let runs = u128::from(PROBE.runs_max as u64) * left / spent.as_millis().max(1);
            Effort {
                runs_max: usize::try_from(runs).unwrap_or(usize::MAX).max(PROBE.runs_max),
            }
        }
    };
    match attempt(test, effort) {
        Passed(report) => Verdict::Passed(report),
        Failed(reason) => Verdict::Failed(reason),
    }
}

enum Attempt {
    Passed(Report),
    Failed(String),
}
use Attempt::{Failed, Passed};

fn attempt(test: &scenarios::Scenario, effort: Effort) -> Attempt {
    match std::panic::catch_unwind(|| (test.run)(effort)) {
        Ok(report) => Passed(report),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Failed(words.unwrap_or_else(|| "it panicked without a word".to_owned()))
        }
    }
}

fn print(wanted: &[&Row], verdicts: &[Verdict], strict: bool) -> ExitCode {
    let (mut passed, mut failed, mut missing, mut points, mut runs) = (0, 0, 0, 0, 0);
    // Every row of phase 1 has its test: one that lost it is as bad as one that fails.
    let mut overdue = 0;
    let mut text = String::new();
    for (row, verdict) in wanted.iter().zip(verdicts) {
        match verdict {
            Verdict::Passed(report) => {
                passed += 1;
                points += report.crash_points;
                runs += report.runs;
            }
            Verdict::Failed(_) => failed += 1,
            Verdict::NoTest => {
                missing += 1;
                overdue += u32::from(row.phase == 1);
            }
        }
        let _ = writeln!(text, "{} {:<76} {verdict}", row.id, row.name);
    }
    print!("{text}");
    println!("{passed} passed over {points} crash points in {runs} runs, {failed} failed, {missing} without a test");
    if failed > 0 || overdue > 0 || (strict && missing > 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
