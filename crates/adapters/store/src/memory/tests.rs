use super::*;
use crate::contract::{self, Subject};
use quittance_journal::{EventNumber, Space, UpdateId, decode_record};
use quittance_primitives::{ChannelId, PaymentId};

const PAYMENT: Key = Key::Payment(PaymentId([1; 32]));
const UPDATE: Key = Key::Update(ChannelId([1; 32]), UpdateId(1));

struct Memory(Keep);

impl Subject for Memory {
    type Store = MemoryStore;

    fn create(&mut self) -> MemoryStore {
        MemoryStore::new()
    }

    fn sync(&mut self, store: &mut MemoryStore) {
        store.sync().unwrap();
    }

    fn reopen(&mut self, store: MemoryStore) -> MemoryStore {
        store.crash(Keep::All)
    }

    fn crash(&mut self, store: MemoryStore) -> MemoryStore {
        store.crash(self.0)
    }
}

fn event(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Key::Event(EventNumber(number)), 1, b"event");
    batch
}

/// Three batches durable, three more appended.
fn half_synced() -> MemoryStore {
    let mut store = MemoryStore::new();
    for number in 1..=6 {
        store.append(event(number)).unwrap();
    }
    store.sync_through(Lsn(3)).unwrap();
    store
}

fn events(store: &MemoryStore) -> usize {
    store.read(&KeyRange::space(Space::Events)).unwrap().len()
}

#[test]
fn keeps_the_contract() {
    for keep in [
        Keep::None,
        Keep::All,
        Keep::First(1),
        Keep::Torn { whole: 0, changes: 1 },
    ] {
        contract::check_all(&mut Memory(keep));
    }
}

#[test]
fn a_crash_leaves_a_prefix_and_at_least_what_was_durable() {
    let left = |keep| {
        let store = half_synced().crash(keep);
        assert_eq!(store.appended(), store.durable());
        (store.durable(), events(&store))
    };
    assert_eq!(left(Keep::None), (Lsn(3), 3));
    assert_eq!(left(Keep::First(2)), (Lsn(5), 5));
    assert_eq!(left(Keep::First(9)), (Lsn(6), 6));
    assert_eq!(left(Keep::All), (Lsn(6), 6));
}

#[test]
fn a_torn_batch_is_dropped_whole_unless_the_store_is_defective() {
    let torn = |defect: Option<Defect>| {
        let mut store = MemoryStore::new();
        store.defect = defect;
        let mut batch = event(1);
        batch.append(event(2));
        store.append(batch).unwrap();
        events(&store.crash(Keep::Torn { whole: 0, changes: 1 }))
    };
    assert_eq!(torn(None), 0);
    assert_eq!(torn(Some(Defect::KeepsTornBatches)), 1);
}

#[test]
fn a_failed_sync_fails_the_store_until_the_next_process() {
    let mut store = half_synced();
    store.break_(Fault::SyncFails);
    let failure = store.sync().unwrap_err();
    assert_eq!(
        failure,
        StoreFailed::Io("the sync failed: input/output error".to_owned())
    );
    assert_eq!(store.sync(), Err(failure.clone()));
    assert_eq!(store.append(event(7)), Err(failure.clone()));
    assert_eq!((store.durable(), store.failure()), (Lsn(3), Some(failure)));
    let mut store = store.crash(Keep::All);
    assert_eq!((store.durable(), store.failure()), (Lsn(3), None));
    assert_eq!(store.append(event(4)), Ok(Lsn(4)));
    assert_eq!(store.sync(), Ok(Lsn(4)));
}

#[test]
fn a_store_that_retries_a_failed_sync_loses_what_it_calls_durable() {
    let mut store = half_synced().with_defect(Defect::RetriesFailedSyncs);
    store.break_(Fault::SyncFails);
    store.sync().unwrap_err();
    assert!(!store.believes_what_is_lost());
    assert_eq!(store.sync(), Ok(Lsn(6)));
    assert!(store.believes_what_is_lost());
    let store = store.crash(Keep::All);
    assert_eq!((store.durable(), store.believes_what_is_lost()), (Lsn(3), false));
}

#[test]
fn a_full_disk_fails_the_store_and_stays_full_until_there_is_space() {
    let mut store = half_synced();
    let bytes_max = size_of_rows(store.rows()) + event(7).to_bytes().len() - 1;
    store.break_(Fault::Full { bytes_max });
    let failure = store.append(event(7)).unwrap_err();
    let detail = format!("{} bytes needed, {bytes_max} there", bytes_max + 1);
    assert_eq!(failure, StoreFailed::Full(detail));
    assert_eq!(store.sync(), Err(failure));
    let mut store = store.crash(Keep::All);
    store.append(event(7)).unwrap_err();
    store.repair();
    store.append(event(7)).unwrap_err();
    let mut store = store.crash(Keep::All);
    assert_eq!(store.append(event(7)), Ok(Lsn(7)));
}

#[test]
fn a_hanging_disk_lets_nothing_become_durable_and_runs_out_of_room() {
    let mut store = MemoryStore::new().with_waiting_max(2);
    store.break_(Fault::SyncHangs);
    store.append(event(1)).unwrap();
    assert_eq!((store.sync(), store.has_room()), (Ok(Lsn(0)), true));
    store.append(event(2)).unwrap();
    assert!(!store.has_room());
    store.append(event(3)).unwrap();
    store.append(event(4)).unwrap();
    assert_eq!(store.append(event(5)), Err(StoreFailed::Overrun { waiting: 4 }));
}

#[test]
fn a_read_that_fails_is_never_an_absence() {
    let mut store = half_synced();
    let first = Key::Event(EventNumber(1));
    store.break_(Fault::RecordsMissing(KeyRange::single(first)));
    assert_eq!(store.get(&first), Err(ReadError::Missing(first)));
    assert_eq!(store.read(&KeyRange::all()), Err(ReadError::Missing(first)));
    let second = Key::Event(EventNumber(2));
    store.break_(Fault::ReadFails(KeyRange::single(second)));
    let error = ReadError::Io {
        what: "event/2".to_owned(),
        detail: "input/output error".to_owned(),
    };
    assert_eq!(store.get(&second), Err(error));
    let store = store.crash(Keep::All).with_defect(Defect::ReportsFailedReadsAsAbsent);
    assert_eq!((store.get(&first), events(&store)), (Ok(None), 4));
    let mut store = store;
    store.repair();
    assert_eq!(events(&store), 6);
}

#[test]
fn damage_lasts_over_a_crash() {
    let mut store = half_synced();
    let key = Key::Event(EventNumber(2));
    assert!(store.damage(&key, |record| record[8] ^= 1));
    assert!(!store.damage(&Key::Wallet(1), |_| ()));
    let store = store.crash(Keep::None);
    let record = store.get(&key).unwrap().unwrap();
    assert_eq!(decode_record(&key, &record, 1).unwrap_err().key, key);
    assert_eq!(store.batch(Lsn(3)), Some(&event(3)));
}

#[test]
fn manager_rows_can_be_older_than_the_channels_or_gone() {
    let mut store = MemoryStore::new();
    for number in 1..=3_u8 {
        let mut batch = Batch::new();
        batch.put(PAYMENT, 1, &[number]);
        batch.put(UPDATE, 1, &[number]);
        store.append(batch).unwrap();
    }
    store.sync().unwrap();
    let bodies = |store: &MemoryStore| {
        let of = |key: &Key| {
            let record = store.get(key).unwrap()?;
            Some(decode_record(key, &record, 1).unwrap().body[0])
        };
        (store.durable(), of(&PAYMENT), of(&UPDATE))
    };
    assert_eq!(bodies(&store.clone().mixed(Lsn(1), Lsn(3))), (Lsn(3), Some(1), Some(3)));
    assert_eq!(bodies(&store.clone().mixed(Lsn(0), Lsn(2))), (Lsn(2), None, Some(2)));
    assert_eq!(bodies(&store.clone().mixed(Lsn(3), Lsn(2))), (Lsn(2), Some(3), Some(2)));
    assert_eq!(bodies(&store.clone().without_manager_rows()), (Lsn(3), None, Some(3)));
    assert_eq!(bodies(&store.clone().restored(Lsn(2))), (Lsn(2), Some(2), Some(2)));
    store.forget_before(Lsn(2));
    assert_eq!((store.oldest(), store.rows_at(Lsn(2)).len()), (Lsn(2), 2));
    assert_eq!(bodies(&store.restored(Lsn(2))), (Lsn(2), Some(2), Some(2)));
}
