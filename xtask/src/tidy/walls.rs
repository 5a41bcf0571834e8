//! How long a file and a function may be, and which names a file may not have.
//!
//! A ratchet: what is past a wall today stands in [`ALLOWED`] with its length, and that list only shrinks: an entry whose length
//! grew, fell, or is no longer needed fails. Lines of a function are those of its body, blank and comment lines left out.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, TraitItemFn};

use super::Finding;
use super::source::SourceFile;

/// The list of what is past a wall: `path lines` for a file, `path::function lines` for a function.
pub(crate) const ALLOWED: &str = "xtask/tidy-allow.txt";

const FILE_LINES_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing of what a file holds.
const DRAWERS: [&str; 7] = ["common", "helper", "helpers", "misc", "types", "util", "utils"];

/// The lengths that are allowed past the walls, by what has them.
pub(crate) struct Allowed(BTreeMap<String, usize>);

impl Allowed {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let entry = line
                .rsplit_once(' ')
                .and_then(|(name, lines)| Some((name, lines.parse().ok()?)));
            let (name, lines) = entry.ok_or_else(|| format!("{ALLOWED}: `{line}` is no name and length"))?;
            entries.insert(name.to_owned(), lines);
        }
        Ok(Self(entries))
    }
}

/// Every length past a wall that is not allowed, every allowance that no longer fits, every drawer.
pub(crate) fn check(files: &[SourceFile], allowed: &Allowed) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    let mut past = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if DRAWERS.contains(&stem) {
            findings.push(Finding::new(&file.path, "is a drawer: name it by what it holds"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            past.insert(file.path.clone(), (lines, FILE_LINES_MAX));
        }
        for (name, lines) in functions(file)? {
            if lines > FUNCTION_LINES_MAX {
                past.insert(format!("{}::{name}", file.path), (lines, FUNCTION_LINES_MAX));
            }
        }
    }
    for (name, (lines, wall)) in &past {
        match allowed.0.get(name) {
            None => findings.push(Finding::new(name, format!("has {lines} lines; the wall is {wall}"))),
            Some(allowance) if allowance < lines => findings.push(Finding::new(
                name,
                format!("grew to {lines} lines; {ALLOWED} has {allowance}"),
            )),
            Some(allowance) if allowance > lines => findings.push(Finding::new(
                name,
                format!("has {lines} lines now: lower its entry in {ALLOWED}"),
            )),
            Some(_) => {}
        }
    }
    for name in allowed.0.keys().filter(|name| !past.contains_key(*name)) {
        findings.push(Finding::new(
            name,
            format!("is past no wall: remove its entry from {ALLOWED}"),
        ));
    }
    Ok(findings)
}

/// The length of each function; of two with one name, the longer.
fn functions(file: &SourceFile) -> Result<BTreeMap<String, usize>, String> {
    struct Measure<'a> {
        lines: Vec<&'a str>,
        functions: BTreeMap<String, usize>,
    }
    impl Measure<'_> {
        fn measure(&mut self, name: String, body: &Block) {
            let braces = body.brace_token.span;
            let (first, last) = (braces.open().start().line, braces.close().start().line);
            let inner = self.lines.get(first..last.saturating_sub(1));
            let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
            let count = inner.unwrap_or_default().iter().filter(is_code).count();
            let longest = self.functions.entry(name).or_default();
            *longest = count.max(*longest);
        }
    }
    impl<'ast> Visit<'ast> for Measure<'_> {
        fn visit_item_fn(&mut self, function: &'ast ItemFn) {
            self.measure(function.sig.ident.to_string(), &function.block);
            visit::visit_item_fn(self, function);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
            self.measure(function.sig.ident.to_string(), &function.block);
            visit::visit_impl_item_fn(self, function);
        }
        fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
            if let Some(body) = &function.default {
                self.measure(function.sig.ident.to_string(), body);
            }
            visit::visit_trait_item_fn(self, function);
        }
    }
    let mut measure = Measure {
        lines: file.text.lines().collect(),
        functions: BTreeMap::new(),
    };
    measure.visit_file(&file.parse()?);
    Ok(measure.functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[SourceFile], allowed: &str) -> Vec<String> {
        let allowed = Allowed::parse(allowed).expect("the list is well formed");
        let findings = check(files, &allowed).expect("the code parses");
        findings.iter().map(ToString::to_string).collect()
    }

    fn function(lines: usize) -> SourceFile {
        let body = "    // why\n\n    a();\n".repeat(lines);
        SourceFile::new(
            "crates/a/src/pay.rs",
            &format!("fn short() {{}}\nfn long() {{\n{body}}}\n"),
        )
    }

    fn long_file(lines: usize) -> SourceFile {
        SourceFile::new("crates/a/src/pay.rs", &"\n".repeat(lines))
    }

    #[test]
    fn a_function_past_the_wall_is_named() {
        assert_eq!(found(&[function(70)], ""), [""; 0]);
        assert_eq!(
            found(&[function(71)], ""),
            ["crates/a/src/pay.rs::long: has 71 lines; the wall is 70"]
        );
    }

    #[test]
    fn a_file_past_the_wall_is_named() {
        assert_eq!(found(&[long_file(1_000)], ""), [""; 0]);
        assert_eq!(
            found(&[long_file(1_001)], ""),
            ["crates/a/src/pay.rs: has 1001 lines; the wall is 1000"]
        );
    }

    #[test]
    fn the_list_only_shrinks() {
        let list = "# why\ncrates/a/src/pay.rs 1010\n";
        assert_eq!(found(&[long_file(1_010)], list), [""; 0]);
        assert_eq!(
            found(&[long_file(1_011)], list),
            ["crates/a/src/pay.rs: grew to 1011 lines; xtask/tidy-allow.txt has 1010"]
        );
        assert_eq!(
            found(&[long_file(1_009)], list),
            ["crates/a/src/pay.rs: has 1009 lines now: lower its entry in xtask/tidy-allow.txt"]
        );
        assert_eq!(
            found(&[long_file(10)], list),
            ["crates/a/src/pay.rs: is past no wall: remove its entry from xtask/tidy-allow.txt"]
        );
    }

    #[test]
    fn a_drawer_is_named() {
        assert_eq!(
            found(&[SourceFile::new("crates/a/src/utils.rs", "")], ""),
            ["crates/a/src/utils.rs: is a drawer: name it by what it holds"]
        );
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error() {
        assert_eq!(
            Allowed::parse("crates/a/src/pay.rs many").err(),
            Some("xtask/tidy-allow.txt: `crates/a/src/pay.rs many` is no name and length".to_owned())
        );
    }
}
