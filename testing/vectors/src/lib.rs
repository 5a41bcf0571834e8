//! The official Lightning test vectors as files, and the checks that run our code against everything they state.
//!
//! One module for each BOLT, one function for each file; `cargo xtask vectors` prints what they report, and the tests of this
//! crate fail when one of them does. Where the data came from: `data/INDEX.md`.
//!
//! ```
//! let vector = quittance_vectors::load("bolt03/appendix-d-per-commitment-secret.json");
//! assert!(vector.is_object());
//! ```

mod bolt01;
mod bolt02;
mod bolt03;
mod bolt04;
mod bolt07;
mod bolt08;
mod bolt11;
mod coverage;
mod report;

use std::path::Path;

pub use coverage::unaccounted;
pub use report::{Case, Report};
use serde_json::Value;

/// A check of one vector file.
pub type Check = fn(&mut Report);

/// Every vector file that is run, with its check. The file's name is relative to `data/`.
pub fn files() -> impl Iterator<Item = (&'static str, Check)> {
    [
        bolt01::FILES,
        bolt02::FILES,
        bolt03::FILES,
        bolt04::FILES,
        bolt07::FILES,
        bolt08::FILES,
        bolt11::FILES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Vector files that are kept for later stages, and why they are not run yet.
pub const NOT_RUN: &[(&str, &str)] = &[
    ("bolt12/offers-test.json", "stage 3: offers"),
    ("bolt12/format-string-test.json", "stage 3: offers"),
    ("bolt12/signature-test.json", "stage 3: offers"),
    ("bolt-simple-taproot/commitment-tx.json", "stage 3: taproot"),
    ("proposals/pr836-trampoline-onion-error-test.json", "an open proposal"),
    ("proposals/pr836-trampoline-payment-onion-test.json", "an open proposal"),
    (
        "proposals/pr836-trampoline-to-blinded-path-payment-onion-test.json",
        "an open proposal",
    ),
    ("proposals/pr1153-liquidity-ads.json", "an open proposal"),
];

/// Reads a vector file of this crate.
///
/// # Panics
/// If the file is missing or is no JSON: the files are part of this crate.
pub fn load(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs one file's check.
pub fn run(file: &'static str, check: Check) -> Report {
    let mut report = Report::new(file);
    check(&mut report);
    report
}
