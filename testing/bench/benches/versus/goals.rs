//! What was aimed at, and whether it was reached.

use crate::figures::short;

/// The goals that this run could judge.
#[derive(Default)]
pub(crate) struct Goals {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    bound: Bound,
    unit: &'static str,
    measured: f64,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: it is shown beside the others.
    None,
}

impl Goals {
    /// Judges a figure.
    pub(crate) fn judge(&mut self, what: impl Into<String>, bound: Bound, unit: &'static str, measured: f64) {
        self.rows.push(Row {
            what: what.into(),
            bound,
            unit,
            measured,
        });
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("| what | goal | measured | |\n|---|---|---:|---|");
        for row in &self.rows {
            let (goal, is_met) = match row.bound {
                Bound::AtLeast(bound) => (format!("at least {} {}", short(bound), row.unit), row.measured >= bound),
                Bound::AtMost(bound) => (format!("at most {} {}", short(bound), row.unit), row.measured <= bound),
                Bound::None => {
                    println!("| {} | | {} {} | |", row.what, short(row.measured), row.unit);
                    continue;
                }
            };
            let verdict = if is_met { "met" } else { "**missed**" };
            println!("| {} | {goal} | {} | {verdict} |", row.what, short(row.measured));
        }
    }
}
