//! ST: storage.

use quittance_journal::{Key, KeyRange, Lsn, Rows, Space, Store};
use quittance_manager::Input;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_store::embedded::{EmbeddedStore, Options};
use quittance_store::memory::{Fault, Keep, MemoryStore};

use super::stage::{
    A, AMOUNT, B, C, claim, direct, ends_once, held_by_b, held_by_c, is_paid_once, is_sent, line, pay_direct,
    pay_through, restart, unhandled,
};
use crate::{CrashPlan, Effort, Harm, NodeIndex, Report, RowsAfterCrash, Schedule, World};

/// A payment through B, with disks that sync only after every few messages.
fn forwarded_over_slow_disks() -> (World, impl Fn(&mut World)) {
    let mut world = line();
    let invoice = world.invoice(C, AMOUNT);
    let others: Vec<_> = (0..3).map(|_| world.invoice(C, MilliSatoshi(3_000_000))).collect();
    let script = move |world: &mut World| {
        for node in 0..3 {
            world.nodes[node].syncs_wait = true;
        }
        pay_through(world, &invoice);
        for (number, other) in (10..).zip(&others) {
            if world.is_up(A) && world.is_up(B) {
                let hint = world.hint(B, C);
                let id = PaymentId([number; 32]);
                world.pay(A, C, id, other, MilliSatoshi(3_000_000), vec![vec![hint]]);
            }
        }
        for _ in 0..30 {
            world.settle();
            for node in [C, B, A] {
                world.sync(node);
            }
        }
        for node in 0..3 {
            world.nodes[node].syncs_wait = false;
            world.sync(node);
        }
    };
    (world, script)
}

pub(super) fn unsynced_batches_let_nothing_out(effort: Effort) -> Report {
    let (world, script) = forwarded_over_slow_disks();
    let schedule = Schedule::new(world, &[A, B, C], script, ends_once);
    schedule.only(|plan| matches!(plan.harm, Harm::Dies(_))).run(effort)
}

pub(super) fn durable_steps_release_what_they_owe(effort: Effort) -> Report {
    let (world, hold) = held_by_c();
    let script = |world: &mut World| {
        claim(world, C, &hold);
        world.settle();
    };
    let end = |world: &mut World| {
        claim(world, C, &hold);
        world.conclude();
        is_sent(world);
    };
    let schedule = Schedule::new(unhandled(world), &[A, B, C], script, end);
    schedule.only(|plan| plan.harm == Harm::Dies(Keep::None)).run(effort)
}

fn forward_with(chosen: fn(&CrashPlan) -> bool, effort: Effort) -> Report {
    forward_in(line(), chosen, effort)
}

fn forward_in(mut world: World, chosen: fn(&CrashPlan) -> bool, effort: Effort) -> Report {
    let invoice = world.invoice(C, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &invoice);
        world.settle();
    };
    Schedule::new(world, &[A, B, C], script, ends_once)
        .only(chosen)
        .run(effort)
}

pub(super) fn torn_last_batch_is_dropped_whole(effort: Effort) -> Report {
    let is_torn: fn(&CrashPlan) -> bool = |plan| matches!(plan.harm, Harm::Dies(Keep::Torn { .. }));
    // An event of which half is there is told again under another number, unless it was handled meanwhile.
    forward_with(is_torn, effort) + forward_in(unhandled(line()), is_torn, effort)
}

pub(super) fn failed_fsync_is_not_retried_into_success(effort: Effort) -> Report {
    let fails: fn(&CrashPlan) -> bool = |plan| plan.harm == Harm::SyncFails;
    let (world, script) = forwarded_over_slow_disks();
    let with_several_batches = Schedule::new(world, &[A, B, C], script, ends_once).only(fails);
    forward_with(fails, effort) + with_several_batches.run(effort)
}

pub(super) fn full_disk_stops_and_resumes(effort: Effort) -> Report {
    forward_with(|plan| plan.harm == Harm::DiskFills, effort)
}

/// The records that a start reads.
const READ_AT_START: [Space; 7] = [
    Space::Header,
    Space::Checkpoints,
    Space::Updates,
    Space::Monitors,
    Space::Payments,
    Space::Events,
    Space::Terms,
];

/// A node with a pending payment, unhandled events and a log, that is down.
fn stopped(node: NodeIndex) -> World {
    let (world, _) = held_by_b();
    let mut world = unhandled(world);
    let back = world.invoice(A, MilliSatoshi(2_000_000));
    world.pay(B, A, PaymentId([3; 32]), &back, MilliSatoshi(2_000_000), Vec::new());
    world.settle();
    world.crash(node, Keep::All, RowsAfterCrash::Whole);
    world
}

/// The node does not start, says why with these words, and has let nothing out.
pub(super) fn refuses_to_start(world: &mut World, node: NodeIndex, words: &str) {
    let (sent, lsn) = (world.nodes[node].sent.len(), world.nodes[node].store.appended());
    let error = world.try_start(node).expect_err("it does not start").to_string();
    assert!(error.contains(words), "{error:?} names {words:?}");
    assert!(!world.is_up(node));
    assert_eq!(world.nodes[node].sent.len(), sent, "nothing left");
    assert_eq!(world.nodes[node].store.appended(), lsn, "nothing was written");
}

pub(super) fn damaged_record_is_named_not_skipped(_effort: Effort) -> Report {
    let mut report = Report::default();
    for node in [A, B] {
        let world = stopped(node);
        let keys: Vec<Key> = world.nodes[node].store.rows().iter().map(|(key, _)| *key).collect();
        for key in keys.into_iter().filter(|key| READ_AT_START.contains(&key.space())) {
            for change in [
                |record: &mut Vec<u8>| *record.last_mut().expect("it has bytes") ^= 1,
                |record: &mut Vec<u8>| {
                    record.truncate(record.len() / 2);
                },
                |record: &mut Vec<u8>| record[0] = 0xff,
            ] {
                let mut world = world.clone();
                assert!(world.nodes[node].store.damage(&key, change));
                refuses_to_start(&mut world, node, &key.to_string());
                report.runs += 1;
            }
            report.crash_points += 1;
        }
        // One update in the middle of a log is gone.
        let updates: Vec<Key> = world.nodes[node].store.rows().iter().map(|(key, _)| *key).collect();
        let updates: Vec<Key> = updates
            .into_iter()
            .filter(|key| key.space() == Space::Updates)
            .collect();
        for key in &updates[..updates.len() - 1] {
            let mut world = world.clone();
            let mut rows = world.nodes[node].store.rows().clone();
            rows.retain(|other| other != key);
            let lsn = world.nodes[node].store.appended();
            world.nodes[node].store = MemoryStore::holding(lsn, rows);
            refuses_to_start(&mut world, node, "lacks update");
            report.crash_points += 1;
            report.runs += 1;
        }
    }
    report
}

pub(super) fn read_error_is_not_absence(_effort: Effort) -> Report {
    let mut report = Report::default();
    for node in [A, B] {
        let world = stopped(node);
        let keys: Vec<Key> = world.nodes[node].store.rows().iter().map(|(key, _)| *key).collect();
        for key in keys.into_iter().filter(|key| READ_AT_START.contains(&key.space())) {
            let range = KeyRange::single(key);
            for fault in [Fault::ReadFails(range), Fault::RecordsMissing(range)] {
                let mut world = world.clone();
                world.nodes[node].store.break_(fault);
                refuses_to_start(&mut world, node, &key.to_string());
                report.runs += 1;
            }
            report.crash_points += 1;
        }
    }
    report
}

pub(super) fn recovery_survives_its_own_crashes(effort: Effort) -> Report {
    let mut world = unhandled(line());
    let invoice = world.invoice(C, AMOUNT);
    let script = |world: &mut World| {
        pay_through(world, &invoice);
        world.settle();
    };
    let schedule = Schedule::new(world, &[A, B, C], script, ends_once).with_starts_that_die(10);
    schedule.only(|plan| plan.rows != RowsAfterCrash::Whole).run(effort)
}

pub(super) fn interrupted_checkpoint_loses_nothing(effort: Effort) -> Report {
    // So many payments that the next one fills the log, and a checkpoint is due at the tick behind it.
    let mut world = direct();
    let amount = MilliSatoshi(1_000_000);
    for number in 0..33u8 {
        let invoice = world.invoice(B, amount);
        let mut id = [9; 32];
        id[0] = number;
        world.pay(A, B, PaymentId(id), &invoice, amount, Vec::new());
        world.settle();
    }
    let invoice = world.invoice(B, AMOUNT);
    let before = world.clone();
    let script = |world: &mut World| {
        for number in 0..4u8 {
            let mut id = [8; 32];
            id[0] = number;
            let invoice = world.invoice(B, amount);
            world.pay(A, B, PaymentId(id), &invoice, amount, Vec::new());
            world.settle();
        }
        world.tick();
        pay_direct(world, &invoice);
        world.settle();
    };
    // The updates that a checkpoint holds are still there, all or some of them.
    let mut after = before.clone();
    script(&mut after);
    let mut report = Report::default();
    for node in [A, B] {
        let updates = |store: &MemoryStore| {
            store
                .rows()
                .iter()
                .filter(|(key, _)| key.space() == Space::Updates)
                .count()
        };
        assert!(
            updates(&after.nodes[node].store) < updates(&before.nodes[node].store),
            "a checkpoint was written"
        );
        for kept in [1, 50, 150, 1_000] {
            let mut world = after.clone();
            let mut rows = world.nodes[node].store.rows().clone();
            let old: Vec<_> = before.nodes[node].store.rows().iter().collect();
            let old = old
                .into_iter()
                .filter(|(key, _)| key.space() == Space::Updates)
                .rev()
                .take(kept);
            for (key, record) in old {
                rows.insert(*key, record.clone());
            }
            let live = world.nodes[node].process.clone().expect("it runs");
            world.crash(node, Keep::All, RowsAfterCrash::Whole);
            let lsn = world.nodes[node].store.appended();
            world.nodes[node].store = MemoryStore::holding(lsn, rows);
            world.start(node);
            let restored = world.nodes[node].process.as_ref().expect("it runs");
            for (live, restored) in live.manager.channels().zip(restored.manager.channels()) {
                assert_eq!(live.state(), restored.state(), "the same channel");
            }
            is_paid_once(&mut world);
            report = report
                + Report {
                    crash_points: 1,
                    runs: 1,
                };
        }
    }
    report + Schedule::new(before, &[A], script, is_paid_once).run(effort)
}

pub(super) fn slow_disk_keeps_order(effort: Effort) -> Report {
    let (world, script) = forwarded_over_slow_disks();
    let mut once = world.clone();
    script(&mut once);
    let batches = once.lsn(B).0 - world.lsn(B).0;
    let syncs = once.nodes[B].syncs - world.nodes[B].syncs;
    assert!(syncs < batches + 31, "{syncs} syncs serve {batches} batches");
    let ticks = |world: &mut World| {
        world.input(A, Input::Tick);
        ends_once(world);
        restart(world, B, RowsAfterCrash::Whole);
    };
    Schedule::new(world, &[B], script, ticks).run(effort)
}

pub(super) fn kill_and_clean_stop_end_alike(effort: Effort) -> Report {
    // Payments are pending, and nobody handles events.
    let (world, hold) = held_by_c();
    let world = unhandled(world);
    let mut report = Report::default();
    for count in 0..24_usize.min(effort.runs_max) {
        for node in [A, B, C] {
            // By order (all is synced first), by kill, and by power loss with the last steps unsynced or synced.
            let stops = [
                (false, Keep::All),
                (true, Keep::All),
                (true, Keep::None),
                (false, Keep::None),
            ]
            .map(|(syncs_wait, keep)| {
                let mut world = world.clone();
                world.nodes[node].syncs_wait = syncs_wait;
                claim(&mut world, C, &hold);
                for _ in 0..count {
                    let Some((from, to)) = world.busy_wires().first().copied() else {
                        break;
                    };
                    world.deliver(from, to);
                }
                world.crash(node, keep, RowsAfterCrash::Whole);
                world.recover();
                claim(&mut world, C, &hold);
                world.conclude_well();
                is_sent(&world);
                [A, B, C].map(|node| world.balance(node))
            });
            let first = stops[0];
            assert!(
                stops.iter().all(|balances| *balances == first),
                "all end alike: {stops:?}"
            );
            report = report
                + Report {
                    crash_points: 1,
                    runs: stops.len(),
                };
        }
    }
    report
}

/// What a store holds, read back through its port.
fn rows_of(store: &impl Store) -> Rows {
    let mut rows = Rows::new();
    for space in READ_AT_START.into_iter().chain([Space::Cold, Space::FinishedPayments]) {
        for (key, record) in store.read(&KeyRange::space(space)).expect("the disk is good") {
            rows.insert(key, record);
        }
    }
    rows
}

pub(super) fn second_process_is_kept_out(effort: Effort) -> Report {
    // The batches of a node with a pending payment, in a store of files.
    let (world, _) = held_by_b();
    let last = world.nodes[A].store.appended().0;
    let folder = std::env::temp_dir().join(format!("quittance-second-process-{}", std::process::id()));
    let mut report = Report::default();
    for stop in (1..=last).take(effort.runs_max) {
        let _ = std::fs::remove_dir_all(&folder);
        let mut store = EmbeddedStore::create(&folder, Options::default()).expect("a new folder");
        for lsn in 1..=stop {
            let batch = world.nodes[A]
                .store
                .batch(Lsn(lsn))
                .expect("nothing is forgotten")
                .clone();
            store.append(batch).expect("the disk is good");
            if lsn == 1 || lsn == stop {
                // The first process lives, and may be frozen for all that anybody knows.
                let refused = EmbeddedStore::open(&folder, Options::default()).err();
                let says = refused.map(|why| why.to_string()).unwrap_or_default();
                assert!(says.contains("is in use by"), "it says why: {says:?}");
            }
        }
        // It ends without a word, with batches on their way.
        drop(store);
        let store = EmbeddedStore::open(&folder, Options::default()).expect("nothing is to be cleaned first");
        let mut world = world.clone();
        let (kept, rows) = (store.durable(), rows_of(&store));
        assert!(
            kept <= Lsn(stop) && rows == world.nodes[A].store.rows_at(kept),
            "it holds whole batches, from the first on"
        );
        world.crash(A, Keep::All, RowsAfterCrash::Whole);
        world.nodes[A].store = MemoryStore::holding(kept, rows);
        world.start(A);
        drop(store);
        report = report
            + Report {
                crash_points: 1,
                runs: 1,
            };
    }
    let _ = std::fs::remove_dir_all(&folder);
    report
}
