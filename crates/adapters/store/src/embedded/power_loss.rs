//! Power loss, and every other trouble of a disk, on the embedded store's real code over the real SQLite.
//!
//! A [`layer::Machine`] knows what was synced. The store works on it until the machine dies in the middle of a write or a sync;
//! the disk is rebuilt without what was not synced, and the store is opened again. Then every batch that was reported as durable
//! is there, and nothing is half there. The store's work is done step by step, without its threads: the same functions, and the
//! same order for the same seed.

use quittance_journal::{EventNumber, Key, KeyRange, Lsn, ReadError, Rows, StoreFailed};

use super::database::{Checkpoint, Database, Place, Syncs};
use super::error::OpenError;
use super::shared::{Limits, Shared};
use crate::contract::history_batch;
use disk::{Dice, Disk, Faults, Ignored};
use layer::{LAYER, Machine, read, reserve, settle};

mod disk;
mod layer;

const LIMITS: Limits = Limits {
    waiting_max: 1_000,
    waiting_bytes_max: 10_000_000,
    kept: 12,
    moved_at_once: 5,
    kept_bytes: 60_000,
    quick: std::time::Duration::ZERO,
};

/// A store without its threads.
struct Process {
    shared: Shared,
    writer: Database,
    keeper: Database,
    reader: Database,
}

impl Process {
    fn start(machine: &Machine, syncs: Syncs) -> Result<Self, OpenError> {
        let place = place(machine, syncs);
        let writer = Database::open(&place)?;
        let shared = Shared::new(writer.journal()?, LIMITS, None);
        Ok(Self {
            shared,
            writer,
            keeper: Database::open_again(&place)?,
            reader: Database::open_again(&place)?,
        })
    }

    fn write(&mut self) -> Result<(), StoreFailed> {
        let group = self.shared.waiting_group();
        self.shared.write_group(&mut self.writer, &group).map(|_| ())
    }

    fn rows(&self) -> Result<Rows, ReadError> {
        let mut rows = Vec::new();
        let read = |after| self.shared.read_part(&KeyRange::all(), after, &self.reader);
        super::visit_parts(read, &mut |key, record| {
            rows.push((key, record));
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(rows.into_iter().collect())
    }
}

fn place(machine: &Machine, syncs: Syncs) -> Place {
    Place {
        path: machine.path(),
        layer: Some(LAYER),
        syncs,
        settle: if syncs == Syncs::NotAtStart { |_| Ok(()) } else { settle },
        read,
        reserve,
    }
}

fn new_machine() -> Machine {
    let machine = Machine::with(Disk::default());
    drop(Database::create(&place(&machine, Syncs::EveryCommit)).unwrap());
    machine.disk(Disk::make_safe);
    machine
}

/// How the store broke its promise.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    /// What was reported as durable is gone.
    Lost { reported: Lsn, found: Lsn },
    /// The store does not hold what the batches that it has add up to.
    HalfThere(Lsn),
    /// The store cannot be opened.
    Closed(String),
}

/// What a run has seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    deaths: u64,
    deaths_at_start: u64,
    losses_of_power: u64,
    batches_lost: u64,
    batches: u64,
}

/// A world whose machine dies again and again.
struct World {
    dice: Dice,
    machine: Machine,
    syncs: Syncs,
    ignored: Option<Ignored>,
    /// What the store must hold after each batch that may be its last.
    states: Vec<Rows>,
    /// The batch of the first of these states: the last that was reported as durable.
    reported: Lsn,
    seen: Seen,
}

impl World {
    fn new(seed: u64, syncs: Syncs, ignored: Option<Ignored>) -> Self {
        Self {
            dice: Dice(seed),
            machine: new_machine(),
            syncs,
            ignored,
            states: vec![Rows::new()],
            reported: Lsn::NONE,
            seen: Seen::default(),
        }
    }

    /// Lets the machine die `deaths` times.
    fn run(mut self, deaths: u64) -> Result<Seen, Broken> {
        while self.seen.deaths < deaths {
            let faults = self.next_faults();
            self.machine.disk(|disk| disk.faults = faults);
            match Process::start(&self.machine, self.syncs) {
                Ok(mut process) => {
                    self.check(&process)?;
                    self.work_until_death(&mut process);
                }
                Err(_) if self.machine.disk(|disk| disk.in_trouble()) => self.seen.deaths_at_start += 1,
                Err(error) => return Err(Broken::Closed(error.to_string())),
            }
            self.die();
        }
        Ok(self.seen)
    }

    // Mostly a death at some call; now and then one during the start, or a sync that fails.
    fn next_faults(&mut self) -> Faults {
        let mut faults = Faults {
            ignored_syncs: self.ignored,
            ..Faults::default()
        };
        match self.dice.roll(8) {
            0 => faults.calls_left = Some(self.dice.roll(2)),
            1 => faults.syncs_left = Some(self.dice.roll(10)),
            _ => faults.calls_left = Some(2 + self.dice.roll(120)),
        }
        faults
    }

    /// What the store opened with is durable, and is the whole truth.
    fn check(&mut self, process: &Process) -> Result<(), Broken> {
        let found = process.shared.durable();
        let Some(place) = found.0.checked_sub(self.reported.0) else {
            let reported = self.reported;
            return Err(Broken::Lost { reported, found });
        };
        let expected = self
            .states
            .get(usize::try_from(place).unwrap())
            .ok_or(Broken::HalfThere(found))?;
        match process.rows() {
            Ok(rows) if rows == *expected => {}
            Err(_) if self.machine.disk(|disk| disk.in_trouble()) => return Ok(()),
            _ => return Err(Broken::HalfThere(found)),
        }
        self.seen.batches_lost += self.states.len() as u64 - 1 - place;
        self.report(found);
        self.states.truncate(1);
        Ok(())
    }

    fn work_until_death(&mut self, process: &mut Process) {
        loop {
            for _ in 0..self.dice.roll(4) {
                let number = process.shared.appended().next();
                let mut state = self.states.last().unwrap().clone();
                state.apply(history_batch(number.0));
                self.states.push(state);
                assert_eq!(process.shared.append(history_batch(number.0)), Ok(number));
                self.seen.batches += 1;
            }
            if process.write().is_err() {
                return;
            }
            self.report(process.shared.durable());
            let how = match self.dice.roll(20) {
                0 | 1 => Checkpoint::Passive,
                2 => Checkpoint::Restart,
                3 => Checkpoint::Truncate,
                _ => continue,
            };
            if process.keeper.checkpoint(how).is_err() {
                return;
            }
        }
    }

    fn report(&mut self, durable: Lsn) {
        let newly = usize::try_from(durable.0 - self.reported.0).unwrap();
        self.states.drain(..newly);
        self.reported = durable;
    }

    fn die(&mut self) {
        self.seen.deaths += 1;
        let power_lost = self.dice.roll(3) > 0;
        self.seen.losses_of_power += u64::from(power_lost);
        let dice = &mut self.dice;
        let disk = self.machine.disk(|disk| {
            if power_lost {
                disk.after_power_loss(dice)
            } else {
                disk.after_kill()
            }
        });
        self.machine = Machine::with(disk);
    }
}

fn run(seeds: std::ops::Range<u64>, deaths: u64, syncs: Syncs, ignored: Option<Ignored>) -> Result<Seen, Broken> {
    let mut total = Seen::default();
    for seed in seeds {
        let seen = World::new(seed, syncs, ignored).run(deaths)?;
        total.deaths += seen.deaths;
        total.deaths_at_start += seen.deaths_at_start;
        total.losses_of_power += seen.losses_of_power;
        total.batches_lost += seen.batches_lost;
        total.batches += seen.batches;
    }
    Ok(total)
}

#[test]
fn nothing_durable_is_lost_and_nothing_is_half_there_at_a_thousand_deaths() {
    let seen = run(0..25, 40, Syncs::EveryCommit, None).unwrap();
    assert_eq!(seen.deaths, 1_000);
    assert!(seen.losses_of_power > 500 && seen.deaths_at_start > 20, "{seen:?}");
    assert!(seen.batches > 5_000 && seen.batches_lost > 100, "{seen:?}");
}

#[test]
fn a_commit_without_its_sync_is_noticed() {
    let broken = run(0..25, 40, Syncs::CheckpointsOnly, None).unwrap_err();
    assert!(matches!(broken, Broken::Lost { .. }), "{broken:?}");
}

#[test]
fn a_log_that_is_never_synced_is_noticed() {
    run(0..25, 40, Syncs::EveryCommit, Some(Ignored::OfTheLog)).unwrap_err();
}

#[test]
fn a_file_that_is_never_synced_is_noticed() {
    run(0..25, 40, Syncs::EveryCommit, Some(Ignored::OfTheFile)).unwrap_err();
}

#[test]
fn trust_in_what_a_killed_process_did_not_sync_is_noticed() {
    run(0..25, 40, Syncs::NotAtStart, None).unwrap_err();
}

/// A process with batches 1 to 3 durable.
fn three_durable() -> (Machine, Process) {
    let machine = new_machine();
    let mut process = Process::start(&machine, Syncs::EveryCommit).unwrap();
    for number in 1..=3 {
        process.shared.append(history_batch(number)).unwrap();
    }
    process.write().unwrap();
    (machine, process)
}

#[test]
fn a_failed_sync_is_not_retried_into_success() {
    let (machine, mut process) = three_durable();
    machine.disk(|disk| disk.faults.syncs_left = Some(0));
    process.shared.append(history_batch(4)).unwrap();
    let failure = process.write().unwrap_err();
    assert_eq!(failure, StoreFailed::Io("disk I/O error".to_owned()));
    let syncs = machine.disk(|disk| disk.sync_count);
    machine.disk(|disk| disk.faults = Faults::default());
    assert_eq!(process.shared.append(history_batch(5)), Err(failure.clone()));
    assert_eq!(
        (process.shared.wait_for_work(), process.shared.failure()),
        (false, Some(failure))
    );
    assert_eq!(process.shared.durable(), Lsn(3));
    drop(process);
    assert_eq!(
        machine.disk(|disk| disk.sync_count),
        syncs,
        "a failed store writes nothing, not even when it is closed"
    );

    // The page cache still shows batch 4, marked clean: the next process may read it, but must make it durable anew.
    let next = Machine::with(machine.disk(|disk| disk.after_kill()));
    let process = Process::start(&next, Syncs::EveryCommit).unwrap();
    let durable = process.shared.durable();
    drop(process);
    let last = Machine::with(next.disk(|disk| disk.after_power_loss(&mut Dice(1))));
    assert_eq!(
        Process::start(&last, Syncs::EveryCommit).unwrap().shared.durable(),
        durable
    );
}

#[test]
fn a_full_disk_fails_the_store_and_is_named() {
    let (machine, mut process) = three_durable();
    machine.disk(|disk| disk.faults.bytes_max = Some(0));
    // The log has room left that was made at the start.
    let mut written = (4..100).map(|number| {
        process.shared.append(history_batch(number)).unwrap();
        process.write()
    });
    let failure = written.find_map(Result::err).unwrap();
    assert_eq!(failure, StoreFailed::Full("database or disk is full".to_owned()));
    let last = process.shared.durable();
    assert!((Lsn(4)..Lsn(50)).contains(&last), "{last}");
    assert_eq!(process.shared.append(history_batch(last.0 + 1)), Err(failure));
    drop(process);
    let next = Machine::with(machine.disk(|disk| disk.after_kill()));
    let mut process = Process::start(&next, Syncs::EveryCommit).unwrap();
    assert_eq!(process.shared.durable(), last);
    assert_eq!(process.shared.append(history_batch(last.0 + 1)), Ok(last.next()));
    process.write().unwrap();
    assert_eq!(process.shared.durable(), last.next());
}

#[test]
fn a_read_error_is_not_an_absence() {
    let (machine, process) = three_durable();
    drop(process);
    let process = Process::start(&machine, Syncs::EveryCommit).unwrap();
    machine.disk(|disk| disk.faults.reads_fail = true);
    let key = Key::Event(EventNumber(77));
    let error = ReadError::Io {
        what: "event/77".to_owned(),
        detail: "disk I/O error".to_owned(),
    };
    assert_eq!(process.shared.get(&key, &process.reader), Err(error));
    let Err(ReadError::Io { what, .. }) = process.rows() else {
        panic!("the rows cannot be read");
    };
    assert_eq!(what, KeyRange::all().to_string());
    drop(process);
    let error = Process::start(&machine, Syncs::EveryCommit).err().unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}
