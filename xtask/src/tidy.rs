//! `cargo xtask tidy`: what the project holds itself to and the compiler does not see.
//!
//! Each rule is a pure function over text, syntax or the crates' manifests, in a file of its own with tests that prove it can fail:
//! [`layers`] (who may depend on whom), [`purity`] (no clock, socket, file, thread or randomness below the adapters),
//! [`walls`] (length of files and functions, a ratchet), [`words`] (what a public tree must not name).
//! To add a rule: a file here, and a line in [`findings`].

mod layers;
mod purity;
mod source;
mod walls;
mod words;

use std::fmt;

use crate::repository::{Verdict, root};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file or crate, with the line where there is one.
    place: String,
    /// What is wrong, and what to do instead.
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.what)
    }
}

pub(crate) fn run() -> Verdict {
    let mut findings = findings()?;
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: nothing found");
            Ok(())
        }
        count => Err(format!("tidy: {count} found")),
    }
}

fn findings() -> Result<Vec<Finding>, String> {
    let files = source::tree(&root())?;
    let allowed = walls::Allowed::parse(source::text_of(&files, walls::ALLOWED)?)?;
    let mut findings = layers::check(&layers::crates()?);
    findings.extend(layers::check_reasons(
        &layers::crates()?,
        source::text_of(&files, layers::REASONS)?,
    ));
    findings.extend(purity::check(&files)?);
    findings.extend(walls::check(&files, &allowed)?);
    findings.extend(words::check(&files));
    Ok(findings)
}
