//! Nothing in protocol/ and engine/ looks at the world: no clock, socket, file, thread, lock, randomness, log, nor a container
//! whose order is random, nor a float, whose rounding may differ between machines.
//!
//! A scan of the syntax: paths in code, in `use` and within macros' arguments. It is a net for honest mistakes, no proof: a name
//! hidden by a macro of another crate slips through; the list of allowed dependencies in `layers` is what makes that hard.
//! Code that is compiled for tests only is not looked at.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{AttrStyle, ImplItem, Item, ItemUse, LitFloat, Macro, Meta, Path, UseTree};

use super::Finding;
use super::source::{SourceFile, attributes_of, attributes_of_member, for_tests};

/// Modules of the standard library, what they stand for, and what of them is a plain value all the same.
const MODULES: &[(&str, &str, &[&str])] = &[
    ("env", "the process's surroundings", &[]),
    ("fs", "files", &[]),
    (
        "net",
        "sockets",
        &[
            "IpAddr",
            "Ipv4Addr",
            "Ipv6Addr",
            "SocketAddr",
            "SocketAddrV4",
            "SocketAddrV6",
            "AddrParseError",
        ],
    ),
    ("os", "the operating system", &[]),
    ("process", "processes", &[]),
    ("random", "randomness", &[]),
    ("sync", "threads and locks", &["Arc", "Weak", "LazyLock", "OnceLock"]),
    ("thread", "threads", &[]),
    ("time", "a clock", &["Duration"]),
];

/// Names that mean the same wherever they come from.
const NAMES: &[(&str, &str)] = &[
    ("DefaultHasher", "an order or hash that differs between builds"),
    ("File", "files"),
    ("HashMap", "a random order: take BTreeMap"),
    ("HashSet", "a random order: take BTreeSet"),
    ("Instant", "a clock"),
    ("JoinHandle", "threads"),
    ("OsRng", "randomness"),
    ("RandomState", "a random order"),
    ("SystemTime", "a clock"),
    ("TcpListener", "sockets"),
    ("TcpStream", "sockets"),
    ("UdpSocket", "sockets"),
    ("f32", "a float"),
    ("f64", "a float"),
    ("stderr", "output"),
    ("stdin", "input"),
    ("stdout", "output"),
    ("thread_rng", "randomness"),
];

/// Crates that are in reach through others, such as `bitcoin::secp256k1::rand`. All others are kept out by `layers`.
const CRATES: &[(&str, &str)] = &[("getrandom", "randomness"), ("rand", "randomness")];

/// Macros that look at the world.
const MACROS: &[(&str, &str)] = &[
    ("dbg", "output"),
    ("eprint", "output"),
    ("eprintln", "output"),
    ("print", "output"),
    ("println", "output"),
    ("thread_local", "threads"),
];

/// Every breach in the sources of protocol/ and engine/.
pub(crate) fn check(files: &[SourceFile]) -> Result<Vec<Finding>, String> {
    let sources: Vec<&SourceFile> = files.iter().filter(|file| is_pure(file)).collect();
    let mut parsed = Vec::new();
    let mut test_modules = BTreeSet::new();
    for file in sources {
        let syntax = file.parse()?;
        collect_test_modules(&file.path, &syntax.items, &mut test_modules);
        parsed.push((file, syntax));
    }
    let mut findings = Vec::new();
    for (file, syntax) in &parsed {
        if file.path.ends_with("/src/lib.rs") && !forbids_unsafe(syntax) {
            findings.push(Finding::new(&file.path, "has no #![forbid(unsafe_code)]"));
        }
        let stem = file.path.trim_end_matches(".rs");
        let is_test = test_modules
            .iter()
            .any(|module: &String| stem == module || stem.starts_with(&format!("{module}/")));
        if !is_test {
            let mut scan = Scan {
                path: &file.path,
                findings: &mut findings,
            };
            scan.visit_file(syntax);
        }
    }
    Ok(findings)
}

fn is_pure(file: &SourceFile) -> bool {
    let is_below = |layer: &str| file.path.starts_with(layer) && file.path.contains("/src/");
    file.is_rust() && (is_below("crates/protocol/") || is_below("crates/engine/"))
}

fn forbids_unsafe(syntax: &syn::File) -> bool {
    syntax.attrs.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => {
            matches!(attribute.style, AttrStyle::Inner(_))
                && list.path.is_ident("forbid")
                && list.tokens.to_string().contains("unsafe_code")
        }
        Meta::Path(_) | Meta::NameValue(_) => false,
    })
}

/// The modules in other files that are compiled for tests only, as paths without `.rs`.
fn collect_test_modules(path: &str, items: &[Item], modules: &mut BTreeSet<String>) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let children = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    for item in items {
        if let Item::Mod(module) = item
            && module.content.is_none()
            && for_tests(&module.attrs)
        {
            modules.insert(format!("{children}/{}", module.ident));
        }
    }
}

struct Scan<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Scan<'_> {
    fn report(&mut self, span: Span, name: &str, reason: &str) {
        let place = format!("{}:{}", self.path, span.start().line);
        self.findings.push(Finding::new(place, format!("{name} is {reason}")));
    }

    fn check_path(&mut self, segments: &[String], span: Span) {
        if let Some(reason) = objection(segments) {
            self.report(span, &segments.join("::"), reason);
        }
    }

    fn check_use(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.check_use(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.check_path(&with(name.ident.to_string()), name.ident.span()),
            UseTree::Rename(rename) => self.check_path(&with(rename.ident.to_string()), rename.ident.span()),
            UseTree::Glob(glob) => self.check_path(&with("*".to_owned()), glob.star_token.span),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.check_use(tree, prefix);
                }
            }
        }
    }

    /// The arguments of a macro are no syntax yet: names joined by `::` are taken for paths.
    fn check_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    self.check_path(&path, ident.span());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    path.clear();
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    path.clear();
                    colons = 0;
                    self.check_tokens(group.stream());
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !for_tests(attributes_of_member(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.check_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.check_path(&segments, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_lit_float(&mut self, literal: &'ast LitFloat) {
        self.report(literal.span(), &literal.to_string(), "a float");
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        if let Some(last) = invocation.path.segments.last()
            && let Some((name, reason)) = MACROS.iter().find(|(name, _)| last.ident == name)
        {
            self.report(last.ident.span(), &format!("{name}!"), reason);
        }
        self.check_tokens(invocation.tokens.clone());
    }
}

/// Why a path is refused, if it is.
fn objection(segments: &[String]) -> Option<&'static str> {
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Some((_, reason)) = NAMES.iter().find(|(name, _)| words.contains(name)) {
        return Some(reason);
    }
    let (first, rest) = words.split_first()?;
    if !matches!(*first, "std" | "core" | "alloc") {
        // A lone word may be a local name; a path into the crate is not.
        let is_path = !rest.is_empty();
        let reached = CRATES.iter().find(|(name, _)| is_path && words.contains(name));
        return reached.map(|(_, reason)| *reason);
    }
    match rest {
        ["*"] | ["collections", "*"] => Some("everything at once: name what you take"),
        [module, inner @ ..] => {
            let (_, reason, values) = MODULES.iter().find(|(name, _, _)| name == module)?;
            let is_value = inner.first().is_some_and(|name| values.contains(name));
            (!is_value).then_some(*reason)
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#![forbid(unsafe_code)]\n";

    fn found(code: &str) -> Vec<String> {
        let file = SourceFile::new("crates/engine/channel/src/lib.rs", &format!("{HEADER}{code}"));
        let findings = check(&[file]).expect("the code parses");
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_impurity_is_found() {
        for (code, name) in [
            ("use std::time::Instant;", "std::time::Instant is a clock"),
            ("use std::{fmt, time::SystemTime};", "std::time::SystemTime is a clock"),
            ("use std::time;", "std::time is a clock"),
            ("use std::time::*;", "std::time::* is a clock"),
            ("use std::net::TcpStream as Pipe;", "std::net::TcpStream is sockets"),
            ("fn f() { std::fs::read(p); }", "std::fs::read is files"),
            (
                "fn f() { core::time::Other::new(); }",
                "core::time::Other::new is a clock",
            ),
            ("use std::sync::Mutex;", "std::sync::Mutex is threads and locks"),
            ("use std::thread;", "std::thread is threads"),
            (
                "type A = std::collections::HashMap<u8, u8>;",
                "std::collections::HashMap is a random order: take BTreeMap",
            ),
            (
                "use std::collections::{self, HashSet};",
                "std::collections::HashSet is a random order: take BTreeSet",
            ),
            (
                "use std::collections::*;",
                "std::collections::* is everything at once: name what you take",
            ),
            ("fn f() { rand::random(); }", "rand::random is randomness"),
            (
                "use bitcoin::secp256k1::rand;",
                "bitcoin::secp256k1::rand is randomness",
            ),
            ("fn f() -> f64 { g() }", "f64 is a float"),
            ("const A: u8 = h(1.5);", "1.5 is a float"),
            ("fn f() { println!(); }", "println! is output"),
            (
                "fn f() { assert!(std::env::var(x)); }",
                "std::env is the process's surroundings",
            ),
        ] {
            let lines = found(code);
            let line = format!("crates/engine/channel/src/lib.rs:2: {name}");
            assert!(lines.contains(&line), "{code}: {lines:?}");
        }
    }

    #[test]
    fn plain_values_and_ordered_containers_are_fine() {
        let code = "use std::net::{Ipv4Addr, SocketAddr};\nuse std::sync::Arc;\nuse std::collections::BTreeMap;
            mod log; use log::Step;
            fn f(rand: u8, log: u8) -> std::time::Duration { g(rand + log, 3) }";
        assert_eq!(found(code), [""; 0]);
    }

    #[test]
    fn tests_may_do_what_they_like() {
        let code = "#[cfg(test)] mod tests { use std::time::Instant; }\n#[test] fn f() { std::fs::read(p); }
            struct A; impl A { #[cfg(test)] fn b() -> f64 { 0.5 } }";
        assert_eq!(found(code), [""; 0]);
        assert_eq!(found("#[cfg(not(test))] use std::thread;").len(), 1);
        assert_eq!(found("#[cfg(any(test, feature = \"a\"))] use std::thread;").len(), 1);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_a_test() {
        let parent = SourceFile::new("crates/engine/channel/src/pay.rs", "#[cfg(test)] mod tests;");
        let child = |path| SourceFile::new(path, "use std::thread;");
        let test = child("crates/engine/channel/src/pay/tests.rs");
        let below = child("crates/engine/channel/src/pay/tests/slow.rs");
        let other = child("crates/engine/channel/src/tests.rs");
        let findings = check(&[parent, test, below, other]).expect("the code parses");
        assert_eq!(
            findings,
            [Finding::new(
                "crates/engine/channel/src/tests.rs:1",
                "std::thread is threads"
            )]
        );
    }

    #[test]
    fn only_the_pure_layers_are_held_to_it() {
        let file = SourceFile::new("crates/adapters/net/src/lib.rs", "use std::thread;");
        assert_eq!(check(&[file]), Ok(vec![]));
    }

    #[test]
    fn a_library_that_may_hold_unsafe_code_is_named() {
        let file = SourceFile::new("crates/protocol/wire/src/lib.rs", "#![deny(unsafe_code)]");
        assert_eq!(
            check(&[file]),
            Ok(vec![Finding::new(
                "crates/protocol/wire/src/lib.rs",
                "has no #![forbid(unsafe_code)]"
            )])
        );
    }
}
