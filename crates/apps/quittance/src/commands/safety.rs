//! The node's seed and its backups, and what its key signs.

use std::path::Path;
use std::str::FromStr;

use bitcoin::{BlockHash, Network};
use quittance_api as api;
use quittance_api::Hex;
use quittance_chain::Tip;
use quittance_primitives::BlockHeight;
use quittance_wallet::{Seed, SeedFacts, StoredSeed};

use super::{Desk, Handled, Outcome};
use crate::arguments::Command;
use crate::backup::{self, Label};
use crate::files::FolderLock;
use crate::{files, secrets, settings};

impl Desk<'_> {
    /// What keeps the node safe.
    pub(super) fn keep_safe(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Backup { folder } => self.back_up(folder),
            Command::Restore { in_place: true, .. } => self.declare(),
            Command::Restore {
                backup: Some(backup),
                words_file,
                passphrase_file,
                ..
            } => self.restore(backup, words_file.as_deref(), passphrase_file.as_deref()),
            Command::Unlock { passphrase_file } => {
                let passphrase = match passphrase_file {
                    Some(path) => secrets::from_file(path)?,
                    None => secrets::asked("passphrase")?,
                };
                self.show(
                    &self
                        .client()?
                        .post::<api::Done>("/v1/unlock", &api::Unlock { passphrase })?,
                )
            }
            Command::Sign { message } => {
                let body = api::Sign {
                    message: message.clone(),
                };
                self.show(&self.client()?.post::<api::Signed>("/v1/sign", &body)?)
            }
            Command::Check {
                message,
                signature,
                node,
            } => {
                let signer = quittance_node::who_signed(message.as_bytes(), signature);
                let signer = signer.ok_or("the signature is none of a node's")?;
                let expected = node.as_deref().map(settings::node_of).transpose()?;
                if let Some(expected) = expected.filter(|expected| *expected != signer) {
                    return Err(
                        format!("not signed by {expected}: if the message is whole, {signer} signed it").into(),
                    );
                }
                self.show(&api::Checked { node: Hex(signer.0) })
            }
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// From the node's files if nobody has its folder, else by the node, which may have to say what it waits for.
    fn back_up(&self, target: &Path) -> Outcome {
        let target = std::path::absolute(target)?;
        let made = if let Some(_lock) = FolderLock::take_if_free(&self.folder)? {
            let label = backup::make_offline(&self.folder, &target)?;
            api::BackupMade {
                folder: text(&target)?,
                last_batch: label.last_batch,
            }
        } else {
            let folder = text(&target)?;
            self.client()?
                .post::<api::BackupMade>("/v1/backup", &api::Backup { folder })?
        };
        self.show(&made)
    }

    fn declare(&self) -> Outcome {
        let _lock = FolderLock::take(&self.folder)?;
        let channels = backup::declare(&self.folder.join("store"))?;
        println!("{}", waiting(channels));
        Ok(())
    }

    fn restore(&self, from: &Path, words_file: Option<&Path>, passphrase_file: Option<&Path>) -> Outcome {
        let label = backup::label(from)?;
        files::make_folder(&self.folder)?;
        let _lock = FolderLock::take(&self.folder)?;
        backup::require_no_store(&self.folder)?;
        let seed = files::seed(&self.folder);
        let passphrase = match passphrase_file {
            Some(path) => Some(secrets::from_file(path)?),
            None => std::env::var("QUITTANCE_PASSPHRASE")
                .ok()
                .filter(|given| !given.is_empty()),
        };
        if seed.exists() {
            check_seed(&seed, &label, passphrase)?;
            println!("the seed in {} is used", seed.display());
        } else {
            make_seed(&seed, &label, words_file, passphrase.as_deref())?;
        }
        let restored = backup::restore(from, &self.folder, &label)?;
        println!("restored: node {}, up to batch {}", label.node, label.last_batch);
        for kept in restored.kept {
            println!(
                "{} is kept as it was; the backup's is in {}",
                kept.display(),
                from.display()
            );
        }
        println!("{}", waiting(restored.waiting));
        Ok(())
    }
}

/// Refuses a seed that is not the backup's: a node would start on a store that is not its own, or overwrite another node's files.
fn check_seed(path: &Path, label: &Label, passphrase: Option<String>) -> Outcome {
    let passphrase = match passphrase {
        None if SeedFacts::read(path)?.is_encrypted => {
            Some(secrets::asked("the passphrase of the seed that is there")?)
        }
        given => given,
    };
    let network = Network::from_str(&label.network)?;
    let stored = StoredSeed::open(path, network, passphrase.as_deref())?;
    let node = node_of(&stored.seed, network);
    if node != label.node {
        return Err(format!(
            "the seed in {} is that of node {node}, and the backup is node {}'s: name another folder",
            path.display(),
            label.node
        )
        .into());
    }
    Ok(())
}

/// Writes the seed of a backup from its words, if they are the right ones.
fn make_seed(path: &Path, label: &Label, words_file: Option<&Path>, passphrase: Option<&str>) -> Outcome {
    let words = match words_file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => secrets::asked("the seed's words")?,
    };
    let network = Network::from_str(&label.network)?;
    let seed = Seed::from_words(&words)?;
    let node = node_of(&seed, network);
    if node != label.node {
        return Err(format!(
            "these words are those of node {node}, and the backup is node {}'s",
            label.node
        )
        .into());
    }
    let (height, hash) = &label.birthday;
    let stored = StoredSeed {
        seed,
        birthday: Tip {
            height: BlockHeight(*height),
            hash: BlockHash::from_str(hash)?,
        },
    };
    stored.create(path, network, passphrase)?;
    Ok(())
}

/// The node whose seed this is.
fn node_of(seed: &Seed, network: Network) -> Hex<33> {
    Hex(quittance_node::node_id(&seed.node_seed(network)).0)
}

fn waiting(channels: usize) -> String {
    format!(
        "the store is declared to be old: of {channels} channels nothing is broadcast before their peers have told their state\n  next: quittance run, and quittance channels; never start the old node again"
    )
}

fn text(path: &Path) -> Result<String, String> {
    let text = path
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}
