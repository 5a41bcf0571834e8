//! Words and passphrases, from a file or from whoever sits at the terminal.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A passphrase from a file: its first line.
pub(crate) fn from_file(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("the first line of {} is empty", path.display()));
    }
    Ok(line.to_owned())
}

/// A line from whoever sits at the terminal, which does not show it; or from what is piped in.
pub(crate) fn asked(question: &str) -> Result<String, String> {
    let _hidden = stdin().is_terminal().then(|| {
        eprint!("{question}: ");
        Hidden::begin()
    });
    let mut line = String::new();
    stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    let line = line.trim_end_matches(['\n', '\r']).to_owned();
    if line.is_empty() {
        return Err(format!("nothing was given for: {question}"));
    }
    Ok(line)
}

/// A terminal that does not show what is typed, as long as this lives.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(stdin()) else {
            return Self(None);
        };
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let changed = tcsetattr(stdin(), OptionalActions::Flush, &hidden);
        Self(changed.is_ok().then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            eprintln!();
            // A terminal that is gone shows nothing any more.
            let _ = tcsetattr(stdin(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_without_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, " two words \r\nand more").unwrap();
        assert_eq!(from_file(&path).unwrap(), " two words ");
        std::fs::write(&path, "\nlater").unwrap();
        assert!(from_file(&path).unwrap_err().contains("is empty"));
    }
}
