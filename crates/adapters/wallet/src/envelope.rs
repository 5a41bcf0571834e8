//! The wallet's files: a short envelope with a version and a checksum, read within a limit, and replaced as a whole or not at all.
//!
//! A file is `QWAL`, its kind, its version, the network, the payload's length and the payload, and the CRC-32 of all that
//! (`docs/formats/wallet.md`). It is readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bitcoin::Network;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Seed = 1,
    Promises = 2,
    History = 3,
}

/// A file of the wallet's cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the texts say")]
pub enum FileError {
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    /// It is there already, and must not be overwritten.
    #[error("{} exists already: a seed is never overwritten", .path.display())]
    Exists { path: PathBuf },
    /// The bytes are not those that were written.
    #[error("{} is damaged ({what}): take it from a backup", .path.display())]
    Damaged { path: PathBuf, what: String },
    /// It is no file of a wallet, or another of its files.
    #[error("{} is not a wallet's {expected} file", .path.display())]
    Foreign { path: PathBuf, expected: &'static str },
    /// It belongs to another network.
    #[error("{} belongs to the network {found}, not to {expected}", .path.display())]
    OtherNetwork {
        path: PathBuf,
        found: Network,
        expected: Network,
    },
    /// A newer version wrote it.
    #[error("{} has version {found}, and this program knows versions up to {known}: use a newer one", .path.display())]
    Newer { path: PathBuf, found: u8, known: u8 },
}

const MAGIC: [u8; 4] = *b"QWAL";
const VERSION: u8 = 1;
/// Magic, kind, version, network, length.
const HEAD_BYTES: usize = 4 + 1 + 1 + 1 + 4;
const CHECKSUM_BYTES: usize = 4;
/// More than a wallet with a hundred thousand transactions has to say.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Promises => "promises",
            Self::History => "history",
        }
    }
}

/// Writes a new file, or fails if there is one.
pub(crate) fn create(path: &Path, kind: Kind, network: Network, payload: &[u8]) -> Result<(), FileError> {
    if path.try_exists().map_err(|error| io_error(path, error))? {
        return Err(FileError::Exists { path: path.to_owned() });
    }
    replace(path, kind, network, payload)
}

/// Replaces the file. When this returns, the new content is durable; when the system dies before, the old one is.
pub(crate) fn replace(path: &Path, kind: Kind, network: Network, payload: &[u8]) -> Result<(), FileError> {
    let bytes = enclosed(kind, network, payload).ok_or_else(|| FileError::Damaged {
        path: path.to_owned(),
        what: format!("{} bytes are too many", payload.len()),
    })?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let written = write_private(&temporary, &bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
    written.map_err(|error| io_error(path, error))
}

/// The payload of a file; `None` if there is no file.
pub(crate) fn read(path: &Path, kind: Kind, network: Network) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(path, error))?;
    opened(path, &bytes, kind, network).map(Some)
}

fn enclosed(kind: Kind, network: Network, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| u64::from(*length) < FILE_BYTES_MAX / 2)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + CHECKSUM_BYTES);
    bytes.extend(MAGIC);
    bytes.extend([kind as u8, VERSION, network_number(network)]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Some(bytes)
}

fn opened(path: &Path, bytes: &[u8], kind: Kind, network: Network) -> Result<Vec<u8>, FileError> {
    let damaged = |what: &str| FileError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let foreign = || FileError::Foreign {
        path: path.to_owned(),
        expected: kind.name(),
    };
    let (head, rest) = bytes
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or_else(|| damaged("it is too short"))?;
    let [m, a, g, i, found_kind, version, found_network, l0, l1, l2, l3] = *head;
    if [m, a, g, i] != MAGIC || found_kind != kind as u8 {
        return Err(foreign());
    }
    if version > VERSION {
        return Err(FileError::Newer {
            path: path.to_owned(),
            found: version,
            known: VERSION,
        });
    }
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).map_err(|_| damaged("its length"))?;
    let (payload, checksum) = rest
        .split_at_checked(length)
        .ok_or_else(|| damaged("its end is missing"))?;
    let checked = bytes
        .get(..HEAD_BYTES + length)
        .ok_or_else(|| damaged("its end is missing"))?;
    if checksum != crc32fast::hash(checked).to_be_bytes() {
        return Err(damaged("its checksum is wrong"));
    }
    let found = network_of(found_network).ok_or_else(|| damaged("its network is unknown"))?;
    if found != network {
        return Err(FileError::OtherNetwork {
            path: path.to_owned(),
            found,
            expected: network,
        });
    }
    Ok(payload.to_vec())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash has left may be readable by others.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn io_error(path: &Path, error: io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Part of the stored format.
pub(crate) const fn network_number(network: Network) -> u8 {
    match network {
        Network::Bitcoin => 0,
        Network::Testnet => 1,
        Network::Signet => 2,
        Network::Regtest => 3,
        Network::Testnet4 => 4,
    }
}

fn network_of(number: u8) -> Option<Network> {
    let all = [
        Network::Bitcoin,
        Network::Testnet,
        Network::Signet,
        Network::Regtest,
        Network::Testnet4,
    ];
    all.into_iter().find(|network| network_number(*network) == number)
}
