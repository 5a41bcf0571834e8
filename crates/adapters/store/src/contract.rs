//! What every store must do, whatever it is made of.
//!
//! A store's tests implement [`Subject`] and call [`check_all`]; each check starts from an empty store. Faults of the disk are not
//! part of it: each store's own tests bring about those that it can suffer.

#![allow(clippy::unwrap_used, reason = "a check that fails panics")]

use std::ops::ControlFlow;

use quittance_journal::{Batch, EventNumber, Key, KeyRange, Lsn, Rows, Space, Store, UpdateId, decode_record};
use quittance_primitives::{ChannelId, HtlcId, NodeId, PaymentHash, PaymentId};

/// A kind of store under test.
pub trait Subject {
    /// The store.
    type Store: Store;

    /// A new, empty store, in place of whatever was there.
    fn create(&mut self) -> Self::Store;

    /// Returns when all that was appended is durable.
    fn sync(&mut self, store: &mut Self::Store);

    /// Closes the store in good order and opens it again.
    fn reopen(&mut self, store: Self::Store) -> Self::Store;

    /// Kills the store's process, as far as that can be done, and opens it in the next one. What was durable must be there.
    fn crash(&mut self, store: Self::Store) -> Self::Store;
}

/// Runs every check.
///
/// # Panics
/// When the store breaks the contract.
pub fn check_all<S: Subject>(subject: &mut S) {
    batches_are_numbered_from_one_without_a_gap(subject);
    reads_see_what_was_appended_before(subject);
    later_changes_of_a_batch_win(subject);
    scans_go_in_the_order_of_keys_and_break_off(subject);
    a_checkpoint_drops_its_channels_updates_only(subject);
    what_was_durable_survives_a_crash(subject);
    a_reopened_store_goes_on_where_it_was(subject);
    large_and_empty_records_are_kept(subject);
    a_long_history_adds_up_to_its_rows(subject);
}

fn batches_are_numbered_from_one_without_a_gap<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    assert_eq!(
        (store.appended(), store.durable(), store.failure()),
        (Lsn::NONE, Lsn::NONE, None)
    );
    assert_eq!(store.read(&KeyRange::all()), Ok(vec![]));
    for number in 1..=5 {
        assert_eq!(store.append(put(Key::Wallet(number), b"row")), Ok(Lsn(number)));
        assert_eq!(store.appended(), Lsn(number));
        assert!(
            store.durable() <= Lsn(number),
            "nothing is durable before it is appended"
        );
    }
    assert!(store.has_room());
    subject.sync(&mut store);
    assert_eq!((store.durable(), store.failure()), (Lsn(5), None));
}

fn reads_see_what_was_appended_before<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let key = Key::Payment(PaymentId([7; 32]));
    assert_eq!(store.get(&key), Ok(None));
    store.append(put(key, b"sent")).unwrap();
    assert_eq!(body(&store, &key), Some(b"sent".to_vec()));
    store.append(put(key, b"settled")).unwrap();
    assert_eq!(body(&store, &key), Some(b"settled".to_vec()));
    assert_eq!(keys(&store, &KeyRange::space(Space::Payments)), [key]);
    subject.sync(&mut store);
    assert_eq!(body(&store, &key), Some(b"settled".to_vec()));
    let mut batch = Batch::new();
    batch.delete(key);
    batch.delete(Key::Wallet(404));
    store.append(batch).unwrap();
    assert_eq!(store.get(&key), Ok(None));
    assert_eq!(keys(&store, &KeyRange::all()), []);
}

fn later_changes_of_a_batch_win<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let mut batch = Batch::new();
    batch.put(Key::Wallet(1), 1, b"old");
    batch.put(Key::Wallet(1), 1, b"new");
    batch.put(Key::Wallet(2), 1, b"gone");
    batch.delete(Key::Wallet(2));
    batch.delete(Key::Wallet(3));
    batch.put(Key::Wallet(3), 1, b"back");
    batch.put(update(1, 1), 1, b"dropped");
    batch.delete_updates(channel(1), UpdateId(1));
    batch.put(update(1, 1), 1, b"written again");
    store.append(batch).unwrap();
    let expected = [
        (update(1, 1), b"written again".to_vec()),
        (Key::Wallet(1), b"new".to_vec()),
        (Key::Wallet(3), b"back".to_vec()),
    ];
    assert_eq!(bodies(&store), expected);
    subject.sync(&mut store);
    let store = subject.reopen(store);
    assert_eq!(bodies(&store), expected);
}

fn scans_go_in_the_order_of_keys_and_break_off<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let mut ordered = one_key_of_each_space();
    ordered.extend([Key::Event(EventNumber(256)), Key::Event(EventNumber(u64::MAX))]);
    ordered.sort_unstable();
    // Half of it durable, half of it not, in no order: a scan must not show the seam.
    for (place, key) in ordered.iter().enumerate().rev() {
        store.append(put(*key, &[1])).unwrap();
        if place == ordered.len() / 2 {
            subject.sync(&mut store);
        }
    }
    assert_eq!(keys(&store, &KeyRange::all()), ordered);
    for space in Space::ALL {
        let expected: Vec<Key> = ordered.iter().copied().filter(|key| key.space() == space).collect();
        assert_eq!(keys(&store, &KeyRange::space(space)), expected);
    }
    assert_eq!(
        keys(&store, &KeyRange::events_from(EventNumber(256))),
        [Key::Event(EventNumber(256)), Key::Event(EventNumber(u64::MAX))]
    );
    let mut seen = Vec::new();
    let two = &mut |key, _| {
        seen.push(key);
        if seen.len() == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    store.scan(&KeyRange::all(), two).unwrap();
    assert_eq!(seen, ordered[..2]);
}

fn a_checkpoint_drops_its_channels_updates_only<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    for id in [1, 2, 255, 256] {
        let mut batch = put(update(1, id), b"ours");
        batch.put(update(2, id), 1, b"other");
        store.append(batch).unwrap();
    }
    subject.sync(&mut store);
    let mut batch = put(Key::Checkpoint(channel(1)), b"state at 255");
    batch.delete_updates(channel(1), UpdateId(255));
    store.append(batch).unwrap();
    let left = [
        update(1, 256),
        update(2, 1),
        update(2, 2),
        update(2, 255),
        update(2, 256),
    ];
    assert_eq!(keys(&store, &KeyRange::space(Space::Updates)), left);
    assert_eq!(
        keys(&store, &KeyRange::updates_after(channel(2), UpdateId(2))),
        left[3..]
    );
    subject.sync(&mut store);
    let store = subject.reopen(store);
    assert_eq!(keys(&store, &KeyRange::space(Space::Updates)), left);
}

fn what_was_durable_survives_a_crash<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    for number in 1..=10 {
        store.append(put(Key::Wallet(number), &number.to_be_bytes())).unwrap();
    }
    subject.sync(&mut store);
    store.append(put(Key::Wallet(11), b"perhaps")).unwrap();
    let store = subject.crash(store);
    assert_eq!(store.appended(), store.durable(), "what a store opens with is durable");
    assert!([Lsn(10), Lsn(11)].contains(&store.durable()), "{}", store.durable());
    let expected: Vec<Key> = (1..=store.durable().0).map(Key::Wallet).collect();
    assert_eq!(keys(&store, &KeyRange::all()), expected);
}

fn a_reopened_store_goes_on_where_it_was<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let mut number = 0;
    for _ in 0..4 {
        for _ in 0..3 {
            number += 1;
            assert_eq!(
                store.append(put(Key::Wallet(number % 5), &number.to_be_bytes())),
                Ok(Lsn(number))
            );
        }
        subject.sync(&mut store);
        store = subject.reopen(store);
        assert_eq!((store.appended(), store.durable()), (Lsn(number), Lsn(number)));
    }
    assert_eq!(body(&store, &Key::Wallet(2)), Some(12_u64.to_be_bytes().to_vec()));
    assert_eq!(keys(&store, &KeyRange::all()).len(), 5);
}

fn large_and_empty_records_are_kept<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut batch = put(Key::Wallet(1), &large);
    batch.put(Key::Wallet(2), 1, b"");
    store.append(batch).unwrap();
    subject.sync(&mut store);
    let store = subject.reopen(store);
    assert!(
        body(&store, &Key::Wallet(1)) == Some(large),
        "a record of 4 MB comes back as it was"
    );
    assert_eq!(body(&store, &Key::Wallet(2)), Some(vec![]));
}

fn a_long_history_adds_up_to_its_rows<S: Subject>(subject: &mut S) {
    let mut store = subject.create();
    let mut expected = Rows::new();
    for number in 1..=600_u64 {
        let batch = history_batch(number);
        expected.apply(batch.clone());
        assert_eq!(store.append(batch), Ok(Lsn(number)));
        if number % 50 == 0 {
            subject.sync(&mut store);
        }
        if number % 150 == 0 {
            store = subject.reopen(store);
        }
        if number % 200 == 0 {
            store = subject.crash(store);
        }
    }
    let rows: Rows = store.read(&KeyRange::all()).unwrap().into_iter().collect();
    assert!(rows == expected, "the store holds what its batches add up to");
}

/// A batch of a made-up history that puts, overwrites and deletes rows, and checkpoints its channels: the same for the same number.
pub fn history_batch(number: u64) -> Batch {
    let turn = (number % 3) as u8;
    let mut batch = put(update(turn, number), &vec![turn; 50 + (number % 200) as usize]);
    batch.put(
        Key::Payment(PaymentId([(number % 20) as u8; 32])),
        1,
        &number.to_be_bytes(),
    );
    batch.put(Key::Event(EventNumber(number)), 1, b"event");
    if number > 10 {
        batch.delete(Key::Event(EventNumber(number - 10)));
    }
    if number.is_multiple_of(30) {
        batch.put(Key::Checkpoint(channel(turn)), 1, &vec![9; 3_000]);
        batch.delete_updates(channel(turn), UpdateId(number - 1));
    }
    batch
}

fn one_key_of_each_space() -> Vec<Key> {
    vec![
        Key::Header(quittance_journal::HeaderRow::ReservedEvents),
        Key::Checkpoint(channel(1)),
        update(1, 1),
        Key::Cold(channel(1), quittance_journal::ColdId::Outcome(HtlcId(1))),
        Key::Payment(PaymentId([1; 32])),
        Key::Forward(channel(1), HtlcId(1)),
        Key::Event(EventNumber(1)),
        Key::Invoice(PaymentHash([1; 32])),
        Key::Peer(NodeId([2; 33])),
        Key::Wallet(1),
    ]
}

fn channel(number: u8) -> ChannelId {
    ChannelId([number; 32])
}

fn update(of: u8, id: u64) -> Key {
    Key::Update(channel(of), UpdateId(id))
}

fn put(key: Key, body: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, 1, body);
    batch
}

fn body(store: &impl Store, key: &Key) -> Option<Vec<u8>> {
    let record = store.get(key).expect("the record can be read")?;
    Some(
        decode_record(key, &record, 1)
            .expect("the record is whole")
            .body
            .to_vec(),
    )
}

fn bodies(store: &impl Store) -> Vec<(Key, Vec<u8>)> {
    let records = store
        .read(&KeyRange::all())
        .expect("the records can be read")
        .into_iter();
    records
        .map(|(key, record)| {
            (
                key,
                decode_record(&key, &record, 1)
                    .expect("the record is whole")
                    .body
                    .to_vec(),
            )
        })
        .collect()
}

fn keys(store: &impl Store, range: &KeyRange) -> Vec<Key> {
    let records = store.read(range).expect("the records can be read");
    records.into_iter().map(|(key, _)| key).collect()
}
