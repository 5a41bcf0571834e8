//! `cargo xtask vectors`: the official test vectors, each file against our code.
//!
//! The work is done by the binary of `testing/vectors`, which also fails when a file is neither run nor listed as not run.

use crate::repository::{Verdict, cargo, finish};

pub(crate) fn run() -> Verdict {
    finish(&mut cargo(&["run", "--quiet", "--package", "quittance-vectors"]))
}
