//! Backups: a folder with a copy of the store, what the wallet promised, the peers' addresses, and a letter to whoever has to restore it. The
//! seed is not among them: its words are on paper, and a copy that someone finds is no wallet.
//!
//! A backup gets its name when it is whole, declared to be old, checked and on disk: whoever puts it in place by hand runs it as what it is (G5).
//! What it can do, and what no copy of an old moment can, is in `docs/BACKUP.md`; a store is declared to be old by
//! [`quittance_node::declare_restored`]. Start at [`Draft`] and [`restore`].

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quittance_api::Hex;
use quittance_journal::{HeaderRow, Key, KeyRange, Store, decode_record};
use quittance_store::embedded::{EmbeddedStore, Inspection, Options};
use quittance_wallet::SeedFacts;
use serde::{Deserialize, Serialize};

use crate::files;

/// What a backup says of itself: `backup.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// The version of the backup's form.
    version: u32,
    /// Whose it is.
    pub(crate) node: Hex<33>,
    /// The network.
    pub(crate) network: String,
    /// The block before the first that can hold anything of the wallet's: its height and its hash.
    pub(crate) birthday: (u32, String),
    /// The last batch of the node's journal in it; the one behind it says that the copy is old.
    pub(crate) last_batch: u64,
}

/// A backup that is being made. It is removed again unless it is finished.
pub(crate) struct Draft {
    target: PathBuf,
    unfinished: PathBuf,
    is_finished: bool,
}

const LABEL: &str = "backup.json";
const VERSION: u32 = 1;
/// Files beside the store that go into a backup when they are there. The wallet's history is not: the chain has it.
const FILES: [&str; 2] = ["wallet-promises", "peers"];
const LETTER: &str = include_str!("backup/READ-ME.txt");

impl Draft {
    /// Begins a backup, which will be `target`.
    pub(crate) fn begin(target: &Path) -> Result<Self, String> {
        if target.exists() {
            return Err(format!("{} exists already: name a new folder", target.display()));
        }
        let mut unfinished = target.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        DirBuilder::new().mode(0o700).create(&unfinished).map_err(|error| {
            let advice = if error.kind() == io::ErrorKind::AlreadyExists {
                ": another backup is under way, or was cut off; remove it then"
            } else {
                ""
            };
            format!("{}: {error}{advice}", unfinished.display())
        })?;
        Ok(Self {
            target: target.to_owned(),
            unfinished,
            is_finished: false,
        })
    }

    /// Where the copy of the store goes.
    pub(crate) fn store(&self) -> PathBuf {
        self.unfinished.join("store")
    }

    /// Adds what stands beside the store in the node's `folder`, has the copy say that it is old, checks it, and gives the backup its name.
    pub(crate) fn finish(mut self, folder: &Path, last_batch: u64) -> Result<Label, String> {
        declare(&self.store())?;
        let seed = SeedFacts::read(&files::seed(folder)).map_err(|error| error.to_string())?;
        let label = Label {
            version: VERSION,
            node: checked(&self.store())?,
            network: seed.network.to_string(),
            birthday: (seed.birthday.height.0, seed.birthday.hash.to_string()),
            last_batch,
        };
        let written = serde_json::to_string_pretty(&label).map_err(|error| error.to_string())?;
        let told = |error: io::Error| format!("{}: {error}", self.unfinished.display());
        for name in FILES {
            copy_if_there(&folder.join(name), &self.unfinished.join(name)).map_err(told)?;
        }
        write(&self.unfinished.join(LABEL), &written).map_err(told)?;
        write(&self.unfinished.join("READ-ME.txt"), LETTER).map_err(told)?;
        settle(&self.unfinished, &self.target).map_err(told)?;
        self.is_finished = true;
        Ok(label)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // What is left of it is named as unfinished.
            let _ = fs::remove_dir_all(&self.unfinished);
        }
    }
}

/// Makes a backup of a node that is stopped, and whose folder the caller has taken.
pub(crate) fn make_offline(folder: &Path, target: &Path) -> Result<Label, String> {
    let draft = Draft::begin(target)?;
    let store = EmbeddedStore::open(&folder.join("store"), Options::default()).map_err(|error| error.to_string())?;
    let last = store.copier().copy(&draft.store()).map_err(|error| error.to_string())?;
    store.close().map_err(|error| error.to_string())?;
    draft.finish(folder, last.0)
}

/// What a backup says of itself.
pub(crate) fn label(backup: &Path) -> Result<Label, String> {
    let path = backup.join(LABEL);
    let text = fs::read_to_string(&path).map_err(|error| format!("{} is no backup: {error}", backup.display()))?;
    let label: Label = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if label.version > VERSION {
        return Err(format!(
            "{} is of version {}; this program knows up to {VERSION}",
            path.display(),
            label.version
        ));
    }
    Ok(label)
}

/// What a restore has done.
#[derive(Debug)]
pub(crate) struct Restored {
    /// How many channels wait for their peers.
    pub(crate) waiting: usize,
    /// Files that were in the node's folder already, and stay as they were: they are newer than the backup, or somebody's work.
    pub(crate) kept: Vec<PathBuf>,
}

/// Refuses a folder that has a store.
pub(crate) fn require_no_store(folder: &Path) -> Result<(), String> {
    let store = folder.join("store");
    if store.exists() {
        return Err(format!(
            "there is a store at {} already, and it may be newer than the backup: move it away, or name another folder\n  next: if that store itself is an older copy, quittance restore --in-place",
            store.display()
        ));
    }
    Ok(())
}

/// Puts a backup into a node's folder that has no store, and declares that it is old, before it can be started.
pub(crate) fn restore(backup: &Path, folder: &Path, label: &Label) -> Result<Restored, String> {
    require_no_store(folder)?;
    let unfinished = folder.join("store.unfinished");
    let told = |error: io::Error| format!("{}: {error}", unfinished.display());
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(told)?;
    }
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(told)?;
    copy_if_there(&backup.join("store/journal.sqlite"), &unfinished.join("journal.sqlite")).map_err(told)?;
    let owner = checked(&unfinished)?;
    if owner != label.node {
        return Err(format!(
            "the backup is labelled as node {}'s, and its store is {owner}'s",
            label.node
        ));
    }
    let waiting = declare(&unfinished)?;
    let mut kept = Vec::new();
    for name in FILES {
        let (from, to) = (backup.join(name), folder.join(name));
        if to.exists() {
            kept.push(to);
            continue;
        }
        match fs::read(&from) {
            Ok(content) => quittance_node::write_whole(&to, &content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|error| format!("{}: {error}", to.display()))?;
    }
    settle(&unfinished, &folder.join("store")).map_err(told)?;
    Ok(Restored { waiting, kept })
}

/// Declares that a store comes from an older moment. How many channels wait for their peers then.
pub(crate) fn declare(store: &Path) -> Result<usize, String> {
    let mut store = EmbeddedStore::open(store, Options::default()).map_err(|error| error.to_string())?;
    let (batch, channels) = quittance_node::declare_restored(&store).map_err(|error| error.to_string())?;
    store.append(batch).map_err(|error| error.to_string())?;
    store.close().map_err(|error| error.to_string())?;
    Ok(channels)
}

/// Checks every page and record of a copy, and says whose it is.
fn checked(store: &Path) -> Result<Hex<33>, String> {
    let inspection = Inspection::open(store).map_err(|error| error.to_string())?;
    let report = inspection.verify().map_err(|error| error.to_string())?;
    if let Some(fault) = report.faults.first() {
        return Err(format!("the copy is not whole: {fault}"));
    }
    let key = Key::Header(HeaderRow::Owner);
    let mut owner = None;
    let visit = &mut |key: Key, frame: Vec<u8>| {
        // The node's id comes first, then the chain's.
        owner = decode_record(&key, &frame, 1)
            .ok()
            .and_then(|record| record.body.first_chunk::<33>().copied());
        ControlFlow::Break(())
    };
    let read = inspection.records(&KeyRange::single(key), visit);
    read.map_err(|error| error.to_string())?;
    drop(inspection);
    owner.map(Hex).ok_or_else(|| "the store names no owner".to_owned())
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

/// Syncs a folder and all in it, and gives it its name.
fn settle(unfinished: &Path, target: &Path) -> io::Result<()> {
    sync_all(unfinished)?;
    fs::rename(unfinished, target)?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
