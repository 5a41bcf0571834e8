//! What came out.

use std::fmt::Write;
use std::time::Duration;

/// A story and its result.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) taken: Duration,
    /// What there is to tell of it, or why it failed.
    pub(crate) result: Result<String, String>,
}

impl Row {
    /// For who watches.
    pub(crate) fn line(&self) -> String {
        match &self.result {
            Ok(told) => format!("passed  {:>7.1?}  {}  {told}", self.taken, self.name),
            Err(why) => format!("FAILED  {:>7.1?}  {}  {why}", self.taken, self.name),
        }
    }
}

/// The table, as documents have it.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| story | result | time | figures |\n|---|---|---:|---|\n");
    for row in rows {
        let (word, told) = match &row.result {
            Ok(told) => ("passed", told.as_str()),
            Err(_) => ("FAILED", ""),
        };
        let taken = row.taken.as_secs_f32();
        writeln!(text, "| {} | {word} | {taken:.1} s | {told} |", row.name).expect("a string takes it");
    }
    text
}
