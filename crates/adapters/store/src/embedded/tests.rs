use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::contract::{self, Subject, history_batch};
use quittance_journal::{EventNumber, Rows};
use tempfile::TempDir;

/// Stores in a folder of their own, with limits low enough for every path to be taken.
struct Embedded {
    folder: TempDir,
    limits: Limits,
}

impl Embedded {
    fn new(limits: Limits) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            limits,
        }
    }

    fn options(&self) -> Options {
        Options {
            limits: self.limits,
            on_durable: None,
        }
    }

    fn open(&self) -> EmbeddedStore {
        EmbeddedStore::open(self.folder.path(), self.options()).unwrap()
    }
}

impl Subject for Embedded {
    type Store = EmbeddedStore;

    fn create(&mut self) -> EmbeddedStore {
        self.folder = TempDir::new().unwrap();
        EmbeddedStore::create(self.folder.path(), self.options()).unwrap()
    }

    fn sync(&mut self, store: &mut EmbeddedStore) {
        let last = store.appended();
        assert_eq!(store.watch().wait_for(last, Duration::from_secs(30)), Ok(last));
    }

    fn reopen(&mut self, store: EmbeddedStore) -> EmbeddedStore {
        store.close().unwrap();
        self.open()
    }

    // A process that dies leaves its files as they are: a copy of them is what the next one finds.
    fn crash(&mut self, store: EmbeddedStore) -> EmbeddedStore {
        let copy = copied(self.folder.path());
        drop(store);
        self.folder = copy;
        self.open()
    }
}

fn copied(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

const LIMITS: Limits = Limits {
    waiting_max: 4_096,
    waiting_bytes_max: 10_000_000,
    kept: 20,
    moved_at_once: 7,
    kept_bytes: 100_000,
    quick: Duration::from_millis(1),
};

fn event(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Key::Event(EventNumber(number)), 1, b"event");
    batch
}

#[test]
fn keeps_the_contract() {
    contract::check_all(&mut Embedded::new(LIMITS));
    contract::check_all(&mut Embedded::new(Limits::default()));
}

#[test]
fn one_sync_serves_all_that_waits_and_every_advance_is_told() {
    let folder = TempDir::new().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&calls);
    let options = Options {
        limits: Limits::default(),
        on_durable: Some(Box::new(move |durable| {
            assert!(durable.is_ok());
            told.fetch_add(1, Ordering::SeqCst);
        })),
    };
    let mut store = EmbeddedStore::create(folder.path(), options).unwrap();
    for number in 1..=500 {
        store.append(history_batch(number)).unwrap();
    }
    assert_eq!(store.close(), Ok(Lsn(500)));
    let groups = calls.load(Ordering::SeqCst);
    assert!((1..100).contains(&groups), "500 batches took {groups} syncs");
}

/// A driver with more messages at hand: what it makes of them is one commit, not the first alone and then the rest.
#[test]
fn what_is_gathered_waits_and_goes_together() {
    let folder = TempDir::new().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&calls);
    let options = Options {
        limits: Limits::default(),
        on_durable: Some(Box::new(move |_| {
            told.fetch_add(1, Ordering::SeqCst);
        })),
    };
    let mut store = EmbeddedStore::create(folder.path(), options).unwrap();
    let (gathering, inner) = (store.gather(), store.gather());
    (1..=3).for_each(|number| assert_eq!(store.append(history_batch(number)), Ok(Lsn(number))));
    let moment = Duration::from_millis(50);
    assert_eq!(store.watch().wait_for(Lsn(1), moment), Ok(Lsn::NONE));
    drop(inner);
    assert_eq!(store.watch().wait_for(Lsn(1), moment), Ok(Lsn::NONE));
    drop(gathering);
    assert_eq!(store.watch().wait_for(Lsn(3), Duration::from_secs(30)), Ok(Lsn(3)));

    let _gathering = store.gather();
    store.append(history_batch(4)).unwrap();
    assert_eq!(store.close(), Ok(Lsn(4)), "closing waits for nobody");
    // Told when the writer has ended: a waiter may wake before the commit is reported.
    assert_eq!(
        calls.load(Ordering::SeqCst),
        2,
        "three batches in one commit, and the last one"
    );
}

/// Where commits are quick their owner makes them himself, in turn with the writer: what was appended first is durable first.
#[test]
fn the_owner_writes_what_it_has_appended_where_that_is_quick() {
    let folder = TempDir::new().unwrap();
    let writers = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&writers);
    let limits = Limits {
        kept: 100,
        moved_at_once: 50,
        quick: Duration::MAX,
        ..Limits::default()
    };
    let on_durable: OnDurable = Box::new(move |durable| {
        let here = std::thread::current();
        told.lock()
            .unwrap()
            .push((durable.unwrap(), here.name().map(str::to_owned)));
    });
    let options = Options {
        limits,
        on_durable: Some(on_durable),
    };
    let mut store = EmbeddedStore::create(folder.path(), options).unwrap();
    for number in 1..=400 {
        if number % 7 == 0 {
            // The writer is on it, now at this point of its work and now at that one, while the owner goes on.
            store.append(history_batch(number)).unwrap();
            std::thread::sleep(Duration::from_micros(number));
            continue;
        }
        let gathering = store.gather();
        store.append(history_batch(number)).unwrap();
        if gathering.write_if_quick() {
            assert_eq!(store.durable(), Lsn(number));
        }
    }
    assert_eq!(store.close(), Ok(Lsn(400)));
    let writers = writers.lock().unwrap();
    assert!(writers.is_sorted(), "what is durable never goes back");
    let by_owner = writers
        .iter()
        .filter(|(_, name)| name.as_deref() != Some("store-writer"));
    let by_owner = by_owner.count();
    assert!(
        by_owner > 200 && by_owner < writers.len(),
        "{by_owner} of {}",
        writers.len()
    );
    let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let mut expected = Rows::new();
    (1..=400).for_each(|number| expected.apply(history_batch(number)));
    let rows: Rows = store.read(&KeyRange::all()).unwrap().into_iter().collect();
    assert!(rows == expected);
}

#[test]
fn the_owner_does_not_wait_for_a_slow_disk_nor_writes_past_who_gathers() {
    let folder = TempDir::new().unwrap();
    let options = |quick| Options {
        limits: Limits {
            quick,
            ..Limits::default()
        },
        on_durable: None,
    };
    let mut store = EmbeddedStore::create(folder.path(), options(Duration::ZERO)).unwrap();
    let patience = Duration::from_secs(30);
    for number in 1..=3 {
        let gathering = store.gather();
        store.append(history_batch(number)).unwrap();
        assert!(!gathering.write_if_quick());
        assert_eq!(store.watch().wait_for(Lsn(number), patience), Ok(Lsn(number)));
    }
    store.close().unwrap();
    let mut store = EmbeddedStore::open(folder.path(), options(Duration::MAX)).unwrap();
    store.append(history_batch(4)).unwrap();
    assert_eq!(store.watch().wait_for(Lsn(4), patience), Ok(Lsn(4)));
    let (outer, inner) = (store.gather(), store.gather());
    store.append(history_batch(5)).unwrap();
    assert!(!inner.write_if_quick(), "another one gathers");
    assert_eq!(store.durable(), Lsn(4));
    assert!(outer.write_if_quick());
    assert_eq!(store.durable(), Lsn(5));
}

/// A driver that has more inputs at hand gathers again at once, for as long as it has: what it let go before is written meanwhile.
#[test]
fn what_was_let_go_is_written_while_more_is_gathered() {
    let folder = TempDir::new().unwrap();
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    let patience = Duration::from_secs(30);
    let mut gathering = store.gather();
    for number in 1..=50 {
        store.append(history_batch(number)).unwrap();
        drop(gathering);
        gathering = store.gather();
        store.append(history_batch(100 + number)).unwrap();
        let (let_go, gathered) = (Lsn(2 * number - 1), Lsn(2 * number));
        assert_eq!(store.watch().wait_for(let_go, patience), Ok(let_go));
        assert_eq!(store.appended(), gathered);
        drop(gathering);
        assert_eq!(store.watch().wait_for(gathered, patience), Ok(gathered));
        gathering = store.gather();
    }
}

#[test]
fn a_store_that_was_closed_in_good_order_has_an_empty_log() {
    let folder = TempDir::new().unwrap();
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    store.append(event(1)).unwrap();
    store.close().unwrap();
    assert_eq!(
        std::fs::metadata(folder.path().join("journal.sqlite-wal"))
            .unwrap()
            .len(),
        0
    );
    assert_eq!(
        EmbeddedStore::open(folder.path(), Options::default())
            .unwrap()
            .durable(),
        Lsn(1)
    );
}

/// Symptom: a copy that went on after its backup was given up made the backup's folder anew, and left it there.
#[test]
fn a_copy_makes_no_folder_but_its_own() {
    let (folder, copies) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    let removed = copies.path().join("removed");
    let refused = store.copier().copy(&removed.join("store"));
    assert!(
        matches!(&refused, Err(OpenError::Io { path, .. }) if *path == removed.join("store")),
        "{refused:?}"
    );
    assert!(!removed.exists());
    store.copier().copy(&copies.path().join("store")).unwrap();
}

#[test]
fn a_copy_made_while_batches_are_written_is_the_store_at_one_moment() {
    let (folder, copies) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let options = Options {
        limits: LIMITS,
        on_durable: None,
    };
    let mut store = EmbeddedStore::create(folder.path(), options).unwrap();
    let copier = store.copier();
    let mut batches = 0;
    let mut write = |store: &mut EmbeddedStore, count: u64| {
        (0..count).for_each(|_| {
            batches += 1;
            store.append(history_batch(batches)).unwrap();
        });
        Lsn(batches)
    };
    let first = write(&mut store, 500);
    store.watch().wait_for(first, Duration::from_secs(30)).unwrap();
    let mut made = Vec::new();
    std::thread::scope(|threads| {
        let copying = threads.spawn(|| {
            let copy = |number: u32| {
                let to = copies.path().join(number.to_string());
                (copier.copy(&to).unwrap(), to)
            };
            (0..5).map(copy).collect::<Vec<_>>()
        });
        while !copying.is_finished() {
            let last = write(&mut store, 20);
            store.watch().wait_for(last, Duration::from_secs(30)).unwrap();
        }
        made = copying.join().unwrap();
    });
    for (last, to) in made {
        assert!(last >= first, "what was durable before is in the copy");
        let copy = EmbeddedStore::open(&to, Options::default()).unwrap();
        assert_eq!(copy.durable(), last);
        let mut expected = crate::memory::MemoryStore::new();
        for number in (1..=last.0).map(Lsn) {
            assert_eq!(expected.append(history_batch(number.0)), Ok(number));
            if !expected.has_room() {
                assert_eq!(expected.sync(), Ok(number));
            }
        }
        for space in quittance_journal::Space::ALL {
            let range = KeyRange::space(space);
            assert_eq!(copy.read(&range).unwrap(), expected.read(&range).unwrap(), "{space:?}");
        }
        drop(copy);
        assert_eq!(
            Inspection::open(&to).unwrap().verify().unwrap().faults,
            Vec::<String>::new()
        );
        assert_eq!(
            copier.copy(&to),
            Err(OpenError::Exists(to)),
            "a copy is never overwritten"
        );
    }
}

#[test]
fn the_log_does_not_begin_anew_under_a_copy() {
    let shared = Shared::new(Vec::new(), Limits::default(), None);
    assert_eq!(shared.if_log_is_free(|| 1), Some(1));
    let (one, other) = (shared.keep_log(), shared.keep_log());
    drop(one);
    assert_eq!(shared.if_log_is_free(|| 1), None);
    drop(other);
    assert_eq!(shared.if_log_is_free(|| 1), Some(1));
}

#[test]
fn a_second_process_is_kept_out_and_told_by_whom() {
    let folder = TempDir::new().unwrap();
    let first = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    let Err(OpenError::Locked { path, holder }) = EmbeddedStore::open(folder.path(), Options::default()) else {
        panic!("the store is in use");
    };
    assert_eq!(path, folder.path());
    assert!(
        holder.starts_with(&format!("process {} (", std::process::id())),
        "{holder}"
    );
    drop(first);
    EmbeddedStore::open(folder.path(), Options::default()).unwrap();
}

#[test]
fn a_store_is_made_once_and_never_made_up() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let opened = EmbeddedStore::open(&path, Options::default());
    assert_eq!(opened.err(), Some(OpenError::NotFound(path.clone())));
    // What an interrupted creation leaves behind.
    std::fs::write(path.join("unfinished.sqlite"), b"half").unwrap();
    drop(EmbeddedStore::create(&path, Options::default()).unwrap());
    let again = EmbeddedStore::create(&path, Options::default());
    assert_eq!(again.err(), Some(OpenError::Exists(path)));
}

#[test]
fn foreign_and_newer_files_are_named_as_such_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(FILE_NAME);
    let open = || EmbeddedStore::open(folder.path(), Options::default()).err().unwrap();
    std::fs::write(&file, "this is not a database, but a letter ".repeat(100)).unwrap();
    assert!(matches!(open(), OpenError::Foreign { .. }), "{}", open());

    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE t(x)")
        .unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(open(), OpenError::Foreign { .. }), "{}", open());
    assert!(std::fs::read(&file).unwrap() == before, "a foreign file is not touched");

    std::fs::remove_file(&file).unwrap();
    drop(EmbeddedStore::create(folder.path(), Options::default()).unwrap());
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("PRAGMA user_version=2")
        .unwrap();
    let newer = OpenError::Newer {
        path: file,
        found: 2,
        known: 1,
    };
    assert_eq!(open(), newer);
}

#[test]
fn a_damaged_batch_is_named_not_skipped() {
    let folder = TempDir::new().unwrap();
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    (1..=5).for_each(|number| assert_eq!(store.append(event(number)), Ok(Lsn(number))));
    store.close().unwrap();
    let tamper = |statement| {
        let connection = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
        connection.execute_batch(statement).unwrap();
    };
    let open = || match EmbeddedStore::open(folder.path(), Options::default()) {
        Err(OpenError::Damaged { detail, .. }) => detail,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the store is damaged"),
    };
    tamper("UPDATE journal SET batch = CAST(x'00' || substr(batch, 2) AS BLOB) WHERE lsn = 3");
    assert!(open().starts_with("batch 3: its checksum is"), "{}", open());
    tamper("DELETE FROM journal WHERE lsn = 3");
    assert_eq!(open(), "batch 4 follows batch 2");
    tamper("INSERT INTO record SELECT x'01', batch FROM journal LIMIT 1; DELETE FROM journal");
    assert_eq!(open(), "there are records, but the journal that wrote them is empty");
}

#[test]
fn a_driver_that_ignores_that_there_is_no_room_is_stopped() {
    let limits = Limits {
        waiting_max: 2,
        ..LIMITS
    };
    let shared = Shared::new(Vec::new(), limits, None);
    let mut room = Vec::new();
    for number in 1..=4 {
        room.push(shared.has_room());
        assert_eq!(shared.append(event(number)), Ok(Lsn(number)));
    }
    assert_eq!(room, [true, true, false, false]);
    let overrun = StoreFailed::Overrun { waiting: 4 };
    assert_eq!(shared.append(event(5)), Err(overrun.clone()));
    assert_eq!((shared.failure(), shared.wait_for_work()), (Some(overrun), false));

    let limits = Limits {
        waiting_bytes_max: 1,
        ..LIMITS
    };
    let shared = Shared::new(Vec::new(), limits, None);
    assert_eq!((shared.append(event(1)), shared.has_room()), (Ok(Lsn(1)), false));
    assert_eq!(shared.append(event(2)), Err(StoreFailed::Overrun { waiting: 1 }));
}

#[test]
fn reads_agree_with_the_rows_at_every_step_of_a_batchs_way() {
    let mut subject = Embedded::new(LIMITS);
    let mut store = subject.create();
    let mut rows = Rows::new();
    for number in 1..=300 {
        let batch = history_batch(number);
        rows.apply(batch.clone());
        store.append(batch).unwrap();
        if number % 7 == 0 {
            let read: Rows = store.read(&KeyRange::all()).unwrap().into_iter().collect();
            assert!(
                read == rows,
                "at batch {number}, of which {} are durable",
                store.durable().0
            );
        }
    }
    for (key, record) in rows.iter() {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(record));
    }
}

/// A store whose process died when its log held `batches` batches, each a commit of its own.
fn dead_with_a_log(batches: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    for number in 1..=batches {
        store.append(event(number)).unwrap();
        store.watch().wait_for(Lsn(number), Duration::from_secs(30)).unwrap();
    }
    copied(folder.path())
}

#[test]
fn damage_in_the_middle_of_the_log_stops_the_start_and_changes_nothing() {
    let folder = dead_with_a_log(5);
    let path = folder.path().join("journal.sqlite-wal");
    let whole = std::fs::read(&path).unwrap();
    // Behind them are the zeros that were put there at the start.
    let frames = whole[32..]
        .chunks_exact(24 + 4096)
        .take_while(|frame| frame[..24] != [0; 24])
        .count();
    // A flipped bit of each frame in turn: its page, then its header.
    for (frame, offset) in (0..frames).flat_map(|frame| [(frame, 24 + 2_000), (frame, 17), (frame, 2)]) {
        let mut log = whole.clone();
        log[32 + frame * (24 + 4096) + offset] ^= 0x10;
        std::fs::write(&path, &log).unwrap();
        let opened = EmbeddedStore::open(folder.path(), Options::default());
        if frame + 1 < frames {
            let Err(OpenError::Damaged { detail, .. }) = opened else {
                panic!("frame {frame} of {frames} is damaged at {offset}");
            };
            assert!(
                detail.starts_with(&format!("frame {} of its log does not fit", frame + 1)),
                "{detail}"
            );
            assert!(std::fs::read(&path).unwrap() == log, "the log is left as it is");
        } else {
            // The newest commit: no log can tell this from a commit that was never finished.
            assert_eq!(opened.unwrap().durable(), Lsn(4));
        }
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(
        EmbeddedStore::open(folder.path(), Options::default())
            .unwrap()
            .durable(),
        Lsn(5)
    );
}

#[test]
fn a_log_has_its_room_before_the_first_commit() {
    let folder = TempDir::new().unwrap();
    let log = || {
        std::fs::metadata(folder.path().join("journal.sqlite-wal"))
            .unwrap()
            .len()
    };
    let mut store = EmbeddedStore::create(folder.path(), Options::default()).unwrap();
    let reserved = log();
    assert!(reserved >= 4_096 * 4_096);
    for number in 1..=100 {
        store.append(history_batch(number)).unwrap();
        store.watch().wait_for(Lsn(number), Duration::from_secs(30)).unwrap();
    }
    assert_eq!(log(), reserved, "commits do not make it longer");
    let dead = copied(folder.path());
    let store = EmbeddedStore::open(dead.path(), Options::default()).unwrap();
    let mut expected = Rows::new();
    (1..=100).for_each(|number| expected.apply(history_batch(number)));
    let rows: Rows = store.read(&KeyRange::all()).unwrap().into_iter().collect();
    assert!(rows == expected);
}

#[test]
fn an_inspection_finds_what_is_damaged_and_changes_nothing() {
    let mut subject = Embedded::new(LIMITS);
    let mut store = subject.create();
    // This one nobody overwrites, so that it is moved.
    let key = Key::Wallet(1);
    let mut first = Batch::new();
    first.put(key, 1, b"kept");
    for (number, batch) in (1..)
        .map(Lsn)
        .zip(std::iter::once(first).chain((1..=55).map(history_batch)))
    {
        assert_eq!(store.append(batch), Ok(number));
        // Each in a commit of its own: with those in between older ones are moved.
        assert_eq!(store.watch().wait_for(number, Duration::from_secs(30)), Ok(number));
    }
    store.close().unwrap();
    let folder = subject.folder.path();

    let content = || {
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        (read(FILE_NAME), read("journal.sqlite-wal"))
    };
    let before = content();
    let report = Inspection::open(folder).unwrap().verify().unwrap();
    assert_eq!((report.last, report.faults.len()), (Lsn(56), 0));
    assert!((1..56).contains(&report.journal_batches));
    assert_eq!(report.spaces[&quittance_journal::Space::Events].0, 10);
    assert_eq!(report.spaces[&quittance_journal::Space::Payments].0, 20);
    assert!(content() == before, "an inspection changes nothing");

    let connection = rusqlite::Connection::open(folder.join(FILE_NAME)).unwrap();
    let tamper = "UPDATE record SET value = CAST(substr(value, 1, length(value) - 1) || x'00' AS BLOB) WHERE key = ?1";
    let tampered = connection.execute(tamper, [key.to_bytes()]).unwrap();
    connection
        .execute("INSERT INTO record VALUES (x'ff', x'')", [])
        .unwrap();
    drop(connection);
    let faults = Inspection::open(folder).unwrap().verify().unwrap().faults;
    assert_eq!((tampered, faults.len()), (1, 2), "{faults:?}");
    assert!(
        faults[0].starts_with(&format!("the record {key} cannot be read: it is damaged")),
        "{faults:?}"
    );
    assert!(faults[1].contains("does not know: ff"), "{faults:?}");
}
