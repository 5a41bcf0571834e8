//! Where peers are, as far as callers have said: a file of its own beside the store, one line for each address.
//!
//! It stands outside of the store so that it outlives the loss of the manager's rows: a node that is rebuilt from its channels' logs must
//! still be able to call their peers. A text file can be read, mended and copied by hand; no safety rests on it, so nothing in it keeps the
//! node from its work, and a line that says nothing to us stays as it is. It is replaced as a whole and synced before a caller is told that
//! a peer is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quittance_net::PeerAddress;
use quittance_primitives::NodeId;
use secp256k1::PublicKey;
use tracing::warn;

use crate::whole_file::write_whole;

/// The addresses of peers, by peer.
pub(crate) type Addresses = BTreeMap<NodeId, Vec<PeerAddress>>;

/// The file, and what is in it.
#[derive(Debug)]
pub(crate) struct AddressBook {
    path: PathBuf,
    lines: Mutex<Vec<Line>>,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// One address of a peer.
    Address(NodeId, PeerAddress),
    /// Somebody's note, or what we cannot read, byte for byte.
    Other(Vec<u8>),
}

/// The file's name.
pub(crate) const FILE: &str = "peers";

impl AddressBook {
    /// Reads the book in a node's folder; a new one is empty.
    ///
    /// # Errors
    /// What the system says against reading it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            lines: Mutex::new(parse(&text)),
            path,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> Addresses {
        let mut addresses = Addresses::new();
        for line in &*self.lock() {
            if let Line::Address(peer, address) = line {
                addresses.entry(*peer).or_default().push(address.clone());
            }
        }
        addresses
    }

    /// Notes where a peer is, in the place of what was noted before.
    ///
    /// # Errors
    /// What the system says against writing; the book is as before then.
    pub(crate) fn note(&self, peer: NodeId, addresses: Vec<PeerAddress>) -> io::Result<()> {
        self.change(|lines| {
            let place = lines.iter().position(|line| line.is_of(&peer));
            lines.retain(|line| !line.is_of(&peer));
            let place = place.unwrap_or(lines.len());
            lines.splice(place..place, lines_of(peer, addresses));
        })
    }

    /// Notes those that are not known yet.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn take_over(&self, older: Addresses) -> io::Result<()> {
        self.change(|lines| {
            for (peer, addresses) in older {
                if !lines.iter().any(|line| line.is_of(&peer)) {
                    lines.extend(lines_of(peer, addresses));
                }
            }
        })
    }

    /// Forgets where a peer is.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn forget(&self, peer: &NodeId) -> io::Result<()> {
        self.change(|lines| lines.retain(|line| !line.is_of(peer)))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Line>)) -> io::Result<()> {
        let mut known = self.lock();
        let mut changed = known.clone();
        change(&mut changed);
        if changed != *known {
            write_whole(&self.path, &written(&changed))?;
            *known = changed;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn is_of(&self, peer: &NodeId) -> bool {
        matches!(self, Self::Address(of, _) if of == peer)
    }
}

fn lines_of(peer: NodeId, addresses: Vec<PeerAddress>) -> impl Iterator<Item = Line> {
    addresses.into_iter().map(move |address| Line::Address(peer, address))
}

fn written(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        match line {
            Line::Address(peer, address) => text.extend(format!("{peer}@{address}").as_bytes()),
            Line::Other(bytes) => text.extend(bytes),
        }
        text.push(b'\n');
    }
    text
}

/// A line that is no address is told of and kept: who cannot be called can still call us.
fn parse(text: &[u8]) -> Vec<Line> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let lines = (1..).zip(text.split(|byte| *byte == b'\n')).map(|(number, bytes)| {
        let line = bytes.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Line::Other(bytes.to_vec());
        }
        let address = std::str::from_utf8(line).ok().and_then(address);
        address.unwrap_or_else(|| {
            let shown = String::from_utf8_lossy(line).escape_debug().to_string();
            warn!(
                number,
                line = shown,
                "a line of the file of peers is not NODE@HOST:PORT"
            );
            Line::Other(bytes.to_vec())
        })
    });
    lines.collect()
}

fn address(line: &str) -> Option<Line> {
    let (peer, address) = line.split_once('@')?;
    let peer = NodeId::from(PublicKey::from_str(peer).ok()?);
    Some(Line::Address(peer, address.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_signer::LocalSigner;
    use std::os::unix::fs::PermissionsExt;

    fn peer(number: u8) -> NodeId {
        LocalSigner::new([number; 32]).node_id()
    }

    fn addresses(texts: &[&str]) -> Vec<PeerAddress> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_was_noted_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::open(folder.path()).unwrap();
        book.note(peer(1), addresses(&["127.0.0.1:1", "[::1]:2"])).unwrap();
        book.note(peer(2), addresses(&["node.example:3"])).unwrap();
        book.note(peer(3), addresses(&["127.0.0.1:4"])).unwrap();
        book.forget(&peer(3)).unwrap();
        book.take_over([(peer(1), addresses(&["127.0.0.1:9"])), (peer(4), addresses(&["h:5"]))].into())
            .unwrap();
        let again = AddressBook::open(folder.path()).unwrap().all();
        let expected = [
            (peer(1), addresses(&["127.0.0.1:1", "[::1]:2"])),
            (peer(2), addresses(&["node.example:3"])),
            (peer(4), addresses(&["h:5"])),
        ];
        assert_eq!(again, expected.into());
    }

    /// Symptoms: a byte that is no UTF-8 kept the node from starting, and the next `connect` deleted every line but addresses.
    #[test]
    fn lines_that_are_none_are_passed_over_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (known, other, new) = (peer(1), peer(2), peer(3));
        let text = format!("# by hand\n\n  {known}@h:1  \nnobody@h:2\n{known}@\n{other}@h:4\n# caf");
        let text = [text.as_bytes(), b"\xe9\n\xff@h:5\n", format!("{known}@h:3").as_bytes()].concat();
        fs::write(&path, &text).unwrap();
        let book = AddressBook::open(folder.path()).unwrap();
        let expected = [(known, addresses(&["h:1", "h:3"])), (other, addresses(&["h:4"]))];
        assert_eq!(book.all(), expected.into());

        book.note(known, addresses(&["h:9"])).unwrap();
        book.note(new, addresses(&["h:6"])).unwrap();
        book.forget(&other).unwrap();
        let text = format!("# by hand\n\n{known}@h:9\nnobody@h:2\n{known}@\n# caf");
        let text = [text.as_bytes(), b"\xe9\n\xff@h:5\n", format!("{new}@h:6\n").as_bytes()].concat();
        assert_eq!(fs::read(&path).unwrap(), text);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "whom we know is nobody else's business");
    }

    #[test]
    fn a_book_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::open(&folder.path().join("missing")).unwrap();
        assert!(book.note(peer(1), addresses(&["h:1"])).is_err());
        assert_eq!(book.all(), Addresses::new());
    }
}
