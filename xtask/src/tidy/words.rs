//! What a public tree must not name: paths of one machine, and hosts of one network's package registry.

use super::Finding;
use super::source::SourceFile;

/// Folders of one machine. Split, so that this file does not find itself.
const MACHINE_FOLDERS: [&str; 4] = [
    concat!("/", "work"),
    concat!("/", "root"),
    concat!("/", "home"),
    concat!("/", "tmp/target"),
];

/// Names of package registries' hosts and of what fronts them.
const HOSTS: [&str; 4] = [
    concat!("arti", "factory"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
];

/// The one source that a lock file names.
const REGISTRY: &str = concat!("registry+https://github.com/rust-lang/", "crates.io-index");

/// Every line that names what it must not.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let is_lock = file.path.ends_with("Cargo.lock");
        for (number, line) in (1..).zip(file.text.lines()) {
            let mut report = |what: String| findings.push(Finding::new(format!("{}:{number}", file.path), what));
            for folder in MACHINE_FOLDERS.iter().filter(|folder| names_folder(line, folder)) {
                report(format!("names {folder}, a folder of one machine"));
            }
            for host in HOSTS.iter().filter(|host| line.contains(**host)) {
                report(format!("names {host}, a host of one network"));
            }
            if is_lock
                && let Some(source) = line.strip_prefix("source = ")
                && source.trim_matches('"') != REGISTRY
            {
                report(format!("takes a crate from {source}"));
            }
        }
    }
    findings
}

/// Whether the line holds `folder` as the start of an absolute path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + folder.len()..).and_then(|text| text.chars().next());
        let continues = |character: char| character.is_alphanumeric() || "._-~}*".contains(character);
        !before.is_some_and(continues) && after.is_some_and(|character| character == '/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let findings = check(&[SourceFile::new(path, text)]);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_folder_of_one_machine_is_named() {
        let folder = concat!("/", "work");
        assert_eq!(
            found("a.rs", &format!("let a = \"{folder}/x\";")),
            [format!("a.rs:1: names {folder}, a folder of one machine")]
        );
    }

    #[test]
    fn a_folder_within_the_tree_is_fine() {
        for text in [
            "docs/work/x",
            ".github/workflows",
            "$HOME/work/x",
            "${A}/root/b",
            "it may / work",
        ] {
            assert_eq!(found("a.md", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_host_of_a_registry_is_named() {
        let host = concat!("index.", "crates.io");
        assert_eq!(
            found("a.md", &format!("\nhttps://{host}/x")),
            [format!("a.md:2: names {host}, a host of one network")]
        );
    }

    #[test]
    fn a_lock_file_names_one_source() {
        let line = |source: &str| format!("source = \"{source}\"");
        assert_eq!(found("a/Cargo.lock", &line(REGISTRY)), [""; 0]);
        assert_eq!(
            found("Cargo.lock", &line("git+https://example.org/a")),
            ["Cargo.lock:1: takes a crate from \"git+https://example.org/a\""]
        );
    }
}
