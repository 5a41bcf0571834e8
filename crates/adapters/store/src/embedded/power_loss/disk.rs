//! A disk that remembers what was synced, and what it looks like after the power went.
//!
//! Each file has the content that the running system sees and the content that is safe. What differs is a set of sectors: after a
//! loss of power any subset of them is there. A sync makes a file safe; a failed one forgets what was to be made safe, as systems
//! do that mark pages clean although writing them failed.

use std::collections::{BTreeMap, BTreeSet};

pub(super) const SECTOR: usize = 512;

/// A disk in memory.
#[derive(Clone, Default)]
pub(super) struct Disk {
    files: BTreeMap<String, Content>,
    pub(super) faults: Faults,
    /// Set once the machine is dead: every further call fails.
    dead: bool,
    sync_failed: bool,
    pub(super) sync_count: u64,
}

/// What is to go wrong.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// Calls that change or sync something until the machine dies in the middle of one.
    pub(super) calls_left: Option<u64>,
    /// Syncs that still succeed before one fails.
    pub(super) syncs_left: Option<u64>,
    /// Bytes that all files together may have.
    pub(super) bytes_max: Option<usize>,
    /// Whether reads of files fail.
    pub(super) reads_fail: bool,
    /// Syncs that are reported as done and never happen.
    pub(super) ignored_syncs: Option<Ignored>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignored {
    OfTheLog,
    OfTheFile,
}

/// Why a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Dead,
    SyncFailed,
    Full,
    ReadFailed,
}

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    safe: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// The least length since the file was made safe.
    least: usize,
    /// Whether the file itself survives, whatever becomes of its content.
    entry_is_safe: bool,
}

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }

    fn place(&mut self, places: usize) -> usize {
        usize::try_from(self.roll(places as u64)).unwrap()
    }
}

impl Disk {
    /// Whether the machine is dead, or a sync has failed.
    pub(super) const fn in_trouble(&self) -> bool {
        self.dead || self.sync_failed
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(super) fn create(&mut self, name: &str) -> Result<(), Trouble> {
        if !self.exists(name) {
            self.count_call()?;
            self.files.insert(name.to_owned(), Content::default());
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), Trouble> {
        self.count_call()?;
        self.files.remove(name);
        Ok(())
    }

    pub(super) fn len(&self, name: &str) -> usize {
        self.files.get(name).map_or(0, |file| file.seen.len())
    }

    /// Fills `buffer` as far as the file goes, and returns how far that was.
    pub(super) fn read(&self, name: &str, offset: usize, buffer: &mut [u8]) -> Result<usize, Trouble> {
        if self.dead {
            return Err(Trouble::Dead);
        }
        if self.faults.reads_fail {
            return Err(Trouble::ReadFailed);
        }
        let seen = self.files.get(name).map_or(&[][..], |file| &file.seen);
        let there = seen.get(offset..).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        Ok(length)
    }

    pub(super) fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) -> Result<(), Trouble> {
        let end = offset + bytes.len();
        let grown = end.saturating_sub(self.len(name));
        let used: usize = self.files.values().map(|file| file.seen.len()).sum();
        if self.faults.bytes_max.is_some_and(|max| grown > 0 && used + grown > max) {
            return Err(Trouble::Full);
        }
        let counted = self.count_call();
        if counted.is_ok() || self.dies_now() {
            let file = self.files.entry(name.to_owned()).or_default();
            let first = offset.min(file.seen.len());
            if end > file.seen.len() {
                file.seen.resize(end, 0);
            }
            file.seen[offset..end].copy_from_slice(bytes);
            file.dirty.extend(first / SECTOR..end.div_ceil(SECTOR));
        }
        counted
    }

    pub(super) fn truncate(&mut self, name: &str, length: usize) -> Result<(), Trouble> {
        self.count_call()?;
        if let Some(file) = self.files.get_mut(name) {
            file.seen.truncate(length);
            file.least = file.least.min(file.seen.len());
            file.dirty.retain(|sector| sector * SECTOR < length);
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, name: &str) -> Result<(), Trouble> {
        self.count_call()?;
        self.sync_count += 1;
        let log = name.ends_with("-wal");
        match self.faults.ignored_syncs {
            Some(Ignored::OfTheLog) if log => return Ok(()),
            Some(Ignored::OfTheFile) if !log => return Ok(()),
            _ => {}
        }
        let fails = self.faults.syncs_left == Some(0);
        self.faults.syncs_left = self.faults.syncs_left.map(|left| left.saturating_sub(1));
        let Some(file) = self.files.get_mut(name) else {
            return Ok(());
        };
        if fails {
            file.dirty.clear();
            self.sync_failed = true;
            return Err(Trouble::SyncFailed);
        }
        file.make_safe();
        Ok(())
    }

    /// Makes all files safe as they are: what a careful creator of a store does.
    pub(super) fn make_safe(&mut self) {
        self.files.values_mut().for_each(Content::make_safe);
    }

    /// Syncs a file and forgets what is cached of it: from now on reads show what is safe, and nothing else.
    pub(super) fn settle(&mut self, name: &str) -> Result<(), Trouble> {
        self.sync(name)?;
        if let Some(file) = self.files.get_mut(name) {
            file.seen = file.safe.clone();
            file.least = file.seen.len();
        }
        Ok(())
    }

    /// The disk as the next process finds it when only the process has died.
    pub(super) fn after_kill(&self) -> Self {
        Self {
            files: self.files.clone(),
            ..Self::default()
        }
    }

    /// The disk as the next process finds it when the power went.
    pub(super) fn after_power_loss(&self, dice: &mut Dice) -> Self {
        // Nothing of what was not synced, all of it, or each sector by chance.
        let chance = [0, 100, 50, 10, 90][dice.place(5)];
        let mut files = BTreeMap::new();
        for (name, file) in &self.files {
            if file.entry_is_safe || dice.roll(100) < chance {
                files.insert(name.clone(), file.after_power_loss(chance, dice));
            }
        }
        Self {
            files,
            ..Self::default()
        }
    }

    fn count_call(&mut self) -> Result<(), Trouble> {
        if self.dead {
            return Err(Trouble::Dead);
        }
        match &mut self.faults.calls_left {
            Some(0) => {
                self.dead = true;
                Err(Trouble::Dead)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    // The call in whose middle the machine dies is the one that found no calls left.
    fn dies_now(&mut self) -> bool {
        self.faults.calls_left.take() == Some(0)
    }
}

impl Content {
    fn make_safe(&mut self) {
        self.entry_is_safe = true;
        self.safe.resize(self.seen.len(), 0);
        self.least = self.seen.len();
        for sector in std::mem::take(&mut self.dirty) {
            self.copy_sector(sector);
        }
    }

    fn copy_sector(&mut self, sector: usize) {
        let end = ((sector + 1) * SECTOR).min(self.seen.len());
        if let Some(bytes) = self.seen.get(sector * SECTOR..end) {
            let end = end.max(self.safe.len());
            self.safe.resize(end, 0);
            self.safe[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn after_power_loss(&self, chance: u64, dice: &mut Dice) -> Self {
        let mut lost = self.clone();
        let (seen, safe) = (self.seen.len(), self.safe.len());
        // The length is data of the file system: the old one, or, after a cut if there was one, any on the way to the new one.
        let grown = self.least + dice.place(seen - self.least + 1);
        let (length, most) = ([safe, seen, grown][dice.place(3)], seen.max(safe));
        let filling = [0x00, 0xa5][dice.place(2)];
        lost.safe.resize(most, filling);
        for sector in &self.dirty {
            if dice.roll(100) < chance {
                lost.copy_sector(*sector);
            }
        }
        lost.safe.truncate(length);
        lost.seen = lost.safe.clone();
        lost.least = lost.seen.len();
        lost.dirty = BTreeSet::new();
        lost.entry_is_safe = true;
        lost
    }
}
