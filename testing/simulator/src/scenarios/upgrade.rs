//! ST: a store that an older version of the software wrote.

use quittance_journal::{HeaderRow, Key, KeyRange, Space, Store, decode_record, encode_record};
use quittance_manager::{FINISHED_PAYMENT_VERSION, Response, RestoreError, STORE_FORMAT, Upgrade, check_format};
use quittance_payments::{Payment, PaymentStatus, Retry};
use quittance_primitives::{MilliSatoshi, PaymentId, ShortChannelId};
use quittance_records::Record;
use quittance_store::memory::{Fault, Keep, MemoryStore};

use super::st::refuses_to_start;
use super::stage::{A, B, claim, held_by_b, is_sent};
use crate::{Effort, Hold, Report, RowsAfterCrash, World};

/// The payment that is over, and whose record is old.
const OLD_ID: PaymentId = PaymentId([7; 32]);
/// So many payments are over that rewriting them takes several batches.
const FINISHED: u32 = 600;

/// A is down; its store is in format 1, with a payment that is pending and many that are over.
fn old() -> (World, Hold) {
    let (mut world, hold) = held_by_b();
    let amount = MilliSatoshi(2_000_000);
    let invoice = world.invoice(B, amount);
    world.pay(A, B, OLD_ID, &invoice, amount, Vec::new());
    world.settle();
    world.crash(A, Keep::All, RowsAfterCrash::Whole);
    let store = &world.nodes[A].store;
    let mut rows = store.rows().clone();
    let header = Key::Header(HeaderRow::Format);
    rows.retain(|key| *key != header);
    let template = finished(store, OLD_ID);
    for number in 0..FINISHED {
        let mut id = OLD_ID;
        if number > 0 {
            id.0[..4].copy_from_slice(&number.to_be_bytes());
        }
        let key = Key::FinishedPayment(id);
        let payment = Payment {
            id,
            retry: Retry {
                attempts_left: 2,
                avoid: vec![ShortChannelId(number.into())],
            },
            ..template.clone()
        };
        rows.insert(key, encode_record(&key, 1, &payment.to_bytes()));
    }
    world.nodes[A].store = MemoryStore::holding(store.appended(), rows);
    (world, hold)
}

fn finished(store: &MemoryStore, id: PaymentId) -> Payment {
    let key = Key::FinishedPayment(id);
    let frame = store.get(&key).expect("the disk is good").expect("the payment is over");
    let record = decode_record(&key, &frame, FINISHED_PAYMENT_VERSION).expect("the record is whole");
    Payment::from_bytes(record.body).expect("the record is a payment")
}

/// In how many versions finished payments are.
fn versions(store: &MemoryStore) -> Vec<u16> {
    let records = store
        .read(&KeyRange::space(Space::FinishedPayments))
        .expect("the disk is good");
    let version = |(key, frame): &(Key, Vec<u8>)| decode_record(key, frame, u16::MAX).expect("whole").version;
    let mut versions: Vec<_> = records.iter().map(version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// Whoever knows only format 1 starts on what no newer version has touched, and on nothing else.
fn judge_for_the_old_version(store: &MemoryStore, is_touched: bool) {
    let newer = RestoreError::NewerFormat { found: 2, newest: 1 };
    let expected = if is_touched { Err(newer) } else { Ok(()) };
    assert_eq!(check_format(store, 1), expected);
    if !is_touched {
        assert_eq!(versions(store), [1], "what says nothing of an upgrade is untouched");
    }
}

/// The next start completes the upgrade; nothing is forgotten by it.
fn completes(mut world: World, hold: &Hold) {
    world.start(A);
    let store = &world.nodes[A].store;
    assert_eq!(versions(store), [FINISHED_PAYMENT_VERSION]);
    assert!(
        finished(store, OLD_ID).retry.avoid.is_empty(),
        "what no attempt needs any more is gone"
    );
    let next = Upgrade::of(store).expect("it is ours").next_batch(store);
    assert_eq!(next, Ok(None), "nothing is left to be done");
    let repeated = world.repeat(OLD_ID);
    let answer = world.answer(A, repeated);
    let is_known = matches!(answer, Some(Response::Payment(OLD_ID, PaymentStatus::Sent { .. })));
    assert!(is_known, "the old payment is known, and not made again: {answer:?}");
    world.reconnect();
    claim(&mut world, B, hold);
    world.conclude_well();
    is_sent(&world);
}

pub(super) fn interrupted_upgrade_is_repeatable(effort: Effort) -> Report {
    let (world, hold) = old();
    judge_for_the_old_version(&world.nodes[A].store, false);
    let mut report = Report::default();
    let mut stop = 0;
    loop {
        let mut is_done = false;
        let ways = [Keep::None, Keep::All, Keep::Torn { whole: 0, changes: 1 }];
        for keep in ways.into_iter().take(effort.runs_max) {
            let mut world = world.clone();
            let before = world.lsn(A);
            let store = &mut world.nodes[A].store;
            let mut upgrade = Upgrade::of(store).expect("it can be read");
            for number in 0..=stop {
                let Some(batch) = upgrade.next_batch(store).expect("it can be read") else {
                    is_done = true;
                    break;
                };
                store.append(batch).expect("the disk is good");
                if number < stop {
                    store.sync().expect("the disk is good");
                }
            }
            world.crash(A, keep, RowsAfterCrash::Whole);
            let is_touched = world.lsn(A) > before;
            judge_for_the_old_version(&world.nodes[A].store, is_touched);
            completes(world, &hold);
            report.runs += 1;
        }
        report.crash_points += 1;
        stop += 1;
        if is_done {
            break;
        }
    }
    // The disk fails in the upgrade, and nothing of it is done twice or left out.
    let mut failing = world.clone();
    for _ in 0..3 {
        failing.nodes[A].store.break_(Fault::SyncFails);
        failing.start(A);
        assert!(!failing.is_up(A), "it stops with its disk");
        failing.nodes[A].store.repair();
    }
    completes(failing, &hold);
    // To a version that knows format 2, format 3 is as 2 is to one that knows format 1.
    let mut world = world;
    let key = Key::Header(HeaderRow::Format);
    let newer = encode_record(&key, 1, &(STORE_FORMAT + 1, true).to_bytes());
    let mut rows = world.nodes[A].store.rows().clone();
    rows.insert(key, newer);
    world.nodes[A].store = MemoryStore::holding(world.lsn(A), rows);
    refuses_to_start(&mut world, A, "format 3 of Quittance's journal");
    report
        + Report {
            crash_points: 1,
            runs: 2,
        }
}
