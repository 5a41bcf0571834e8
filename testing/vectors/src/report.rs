//! What a vector file's check found: cases passed, and for each failed one what differed.

use std::fmt::Debug;

use serde_json::Value;

/// The result of one vector file.
#[derive(Debug)]
pub struct Report {
    /// The file, relative to `data/`.
    pub file: &'static str,
    /// Cases in which everything stated was met.
    pub passed: u32,
    /// A line for each case that was not met: its name and what differed.
    pub failures: Vec<String>,
}

/// One case of a vector file: all comparisons that it states.
#[derive(Debug, Default)]
pub struct Case {
    compared: u32,
    differences: Vec<String>,
}

impl Report {
    /// An empty report on `file`.
    pub const fn new(file: &'static str) -> Self {
        Self {
            file,
            passed: 0,
            failures: Vec::new(),
        }
    }

    /// Runs one case. A case that compares nothing counts as failed: it could not have caught anything.
    pub fn case(&mut self, name: impl Into<String>, check: impl FnOnce(&mut Case)) {
        let mut case = Case::default();
        check(&mut case);
        if case.compared == 0 {
            case.differences.push("nothing was compared".to_owned());
        }
        if case.differences.is_empty() {
            self.passed += 1;
        } else {
            self.failures
                .push(format!("{}: {}", name.into(), case.differences.join("; ")));
        }
    }
}

impl Case {
    /// Compares a value of ours with the stated one.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, ours: T, stated: T) {
        self.compared += 1;
        if ours != stated {
            self.differences
                .push(format!("{what}: ours {ours:?}, stated {stated:?}"));
        }
    }

    /// Compares bytes of ours with the stated hex string.
    pub fn hex(&mut self, what: &str, ours: impl AsRef<[u8]>, stated: &Value) {
        self.equal(
            what,
            hex::encode(ours),
            stated.as_str().unwrap_or("(no hex string is stated)").to_owned(),
        );
    }

    /// Asserts something that the vector states in words.
    pub fn holds(&mut self, what: &str, condition: bool) {
        self.equal(what, condition, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_compares_nothing_fails() {
        let mut report = Report::new("none");
        report.case("empty", |_| {});
        assert_eq!((report.passed, report.failures.len()), (0, 1));
    }

    #[test]
    fn a_difference_is_named() {
        let mut report = Report::new("none");
        report.case("good", |case| case.equal("sum", 2, 2));
        report.case("bad", |case| case.hex("key", [1], &Value::from("02")));
        assert_eq!(report.passed, 1);
        assert_eq!(report.failures, [r#"bad: key: ours "01", stated "02""#]);
    }
}
