//! Where peers are, as far as callers have said: a file of its own beside the store, one line for each address.
//!
//! It stands outside of the store so that it outlives the loss of the manager's rows: a node that is rebuilt from its channels' logs must
//! still be able to call their peers. A text file can be read, mended and copied by hand; no safety rests on it. It is replaced as a
//! whole and synced before a caller is told that a peer is kept.

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
    addresses: Mutex<Addresses>,
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
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            addresses: Mutex::new(parse(&text)),
            path,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> Addresses {
        self.lock().clone()
    }

    /// Notes where a peer is, in the place of what was noted before.
    ///
    /// # Errors
    /// What the system says against writing; the book is as before then.
    pub(crate) fn note(&self, peer: NodeId, addresses: Vec<PeerAddress>) -> io::Result<()> {
        self.change(|known| drop(known.insert(peer, addresses)))
    }

    /// Notes those that are not known yet.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn take_over(&self, older: Addresses) -> io::Result<()> {
        self.change(|known| {
            for (peer, addresses) in older {
                known.entry(peer).or_insert(addresses);
            }
        })
    }

    /// Forgets a peer.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn forget(&self, peer: &NodeId) -> io::Result<()> {
        self.change(|known| drop(known.remove(peer)))
    }

    /// The lock is held while the file is written, so that the last change is what stands in it.
    fn change(&self, change: impl FnOnce(&mut Addresses)) -> io::Result<()> {
        let mut known = self.lock();
        let mut changed = known.clone();
        change(&mut changed);
        if changed != *known {
            write_whole(&self.path, written(&changed).as_bytes())?;
            *known = changed;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(addresses: &Addresses) -> String {
    let lines = addresses
        .iter()
        .flat_map(|(peer, known)| known.iter().map(move |address| format!("{peer}@{address}\n")));
    lines.collect()
}

/// A line that is no address is passed over: who cannot be called can still call us.
fn parse(text: &str) -> Addresses {
    let mut addresses = Addresses::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = line.split_once('@').and_then(|(peer, address)| {
            let peer = NodeId::from(PublicKey::from_str(peer).ok()?);
            Some((peer, address.parse::<PeerAddress>().ok()?))
        });
        if let Some((peer, address)) = parsed {
            addresses.entry(peer).or_default().push(address);
        } else {
            warn!(number, line, "a line of the file of peers is not NODE@HOST:PORT");
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_signer::LocalSigner;

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

    #[test]
    fn a_line_that_is_none_is_passed_over() {
        let known = peer(1);
        let text = format!("# by hand\n\n  {known}@h:1  \nnobody@h:2\n{known}@\n{known}@h:3");
        assert_eq!(parse(&text), [(known, addresses(&["h:1", "h:3"]))].into());
    }

    #[test]
    fn a_book_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::open(&folder.path().join("missing")).unwrap();
        assert!(book.note(peer(1), addresses(&["h:1"])).is_err());
        assert_eq!(book.all(), Addresses::new());
    }
}
