use std::ops::ControlFlow;

use super::*;
use crate::{Batch, Key, KeyRange, ReadError};

/// Numbers batches; durable as far as the test says; refuses the batch after `capacity`.
struct Disk {
    appended: Lsn,
    capacity: u64,
}

impl Store for Disk {
    fn append(&mut self, _: Batch) -> Result<Lsn, StoreFailed> {
        if self.appended.0 == self.capacity {
            return Err(full());
        }
        self.appended = self.appended.next();
        Ok(self.appended)
    }

    fn appended(&self) -> Lsn {
        self.appended
    }

    fn durable(&self) -> Lsn {
        Lsn::NONE
    }

    fn failure(&self) -> Option<StoreFailed> {
        None
    }

    fn get(&self, _: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(None)
    }

    fn scan(&self, _: &KeyRange, _: &mut dyn FnMut(Key, Vec<u8>) -> ControlFlow<()>) -> Result<(), ReadError> {
        Ok(())
    }
}

struct World {
    gate: Gate<&'static str>,
    disk: Disk,
}

const PEER: NodeId = NodeId([2; 33]);

fn full() -> StoreFailed {
    StoreFailed::Full("0 bytes left".to_owned())
}

fn world() -> World {
    World {
        gate: Gate::new(Lsn::NONE),
        disk: Disk {
            appended: Lsn::NONE,
            capacity: 100,
        },
    }
}

fn to_peer(generation: u64) -> Scope {
    Scope::Connection {
        peer: PEER,
        generation: Generation(generation),
    }
}

impl World {
    fn write(&mut self, scope: Scope, effects: &[&'static str]) -> Result<Lsn, StoreFailed> {
        let mut step = Step::new();
        step.changes_mut().put(Key::Wallet(1), 1, b"x");
        for effect in effects {
            step.emit(scope, *effect);
        }
        self.gate.append(step, &mut self.disk)
    }

    fn out(&mut self, durable: u64) -> Vec<&'static str> {
        self.gate.release(Lsn(durable)).collect()
    }
}

#[test]
fn effects_wait_for_their_batch_and_leave_in_order() {
    let mut world = world();
    assert_eq!(world.write(Scope::Global, &["a1", "a2"]), Ok(Lsn(1)));
    assert_eq!(world.write(Scope::Global, &["b"]), Ok(Lsn(2)));
    assert_eq!(world.write(Scope::Global, &["c"]), Ok(Lsn(3)));
    assert_eq!(world.out(0), [""; 0]);
    assert_eq!(world.gate.held(), 4);
    assert_eq!(world.out(2), ["a1", "a2", "b"]);
    assert_eq!(world.out(2), [""; 0]);
    assert_eq!(world.out(3), ["c"]);
    assert_eq!(world.gate.held(), 0);
}

#[test]
fn a_step_without_changes_waits_for_all_that_was_appended_before() {
    let mut world = world();
    world.write(Scope::Global, &["a"]).unwrap();
    let mut idle = Step::new();
    idle.emit(Scope::Global, "rests on a");
    assert_eq!(world.gate.append(idle, &mut world.disk), Ok(Lsn(1)));
    assert_eq!(world.disk.appended, Lsn(1));
    assert_eq!(world.out(0), [""; 0]);
    assert_eq!(world.out(1), ["a", "rests on a"]);
}

#[test]
fn a_gate_over_an_old_journal_lets_out_what_rests_on_it() {
    let mut gate = Gate::new(Lsn(41));
    let mut disk = Disk {
        appended: Lsn(41),
        capacity: 100,
    };
    let mut owed = Step::new();
    owed.emit(Scope::Global, "owed");
    assert_eq!(gate.append(owed, &mut disk), Ok(Lsn(41)));
    assert_eq!(gate.release(Lsn(41)).collect::<Vec<_>>(), ["owed"]);
}

#[test]
fn nothing_queued_for_a_dead_connection_reaches_its_successor() {
    let mut world = world();
    world.gate.connected(PEER, Generation(1));
    world.write(to_peer(1), &["to the first"]).unwrap();
    world.write(Scope::Global, &["to all"]).unwrap();
    world.gate.disconnected(&PEER);
    world.gate.connected(PEER, Generation(2));
    world.write(to_peer(1), &["late for the first"]).unwrap();
    world.write(to_peer(2), &["to the second"]).unwrap();
    assert_eq!(world.out(4), ["to all", "to the second"]);
}

#[test]
fn a_connection_that_died_without_a_successor_gets_nothing() {
    let mut world = world();
    world.gate.connected(PEER, Generation(1));
    world.write(to_peer(1), &["a", "b"]).unwrap();
    assert_eq!(world.gate.release(Lsn(1)).next(), Some("a"));
    world.gate.disconnected(&PEER);
    assert_eq!(world.out(1), [""; 0]);
    assert_eq!(world.gate.held(), 0);
}

#[test]
fn what_waits_is_known_by_its_kind_and_only_while_it_may_still_leave() {
    let mut world = world();
    let is_urgent = |effect: &&'static str| *effect != "has time";
    world.gate.connected(PEER, Generation(1));
    world.write(Scope::Global, &["has time"]).unwrap();
    assert!(!world.gate.holds_any(is_urgent));
    world.write(to_peer(1), &["urgent"]).unwrap();
    assert!(world.gate.holds_any(is_urgent));
    world.gate.disconnected(&PEER);
    assert!(!world.gate.holds_any(is_urgent));
    world.write(Scope::Global, &["urgent"]).unwrap();
    assert!(world.gate.holds_any(is_urgent));
    assert_eq!(world.out(3), ["has time", "urgent"]);
    assert!(!world.gate.holds_any(|_| true));
}

#[test]
fn what_is_not_taken_stays_in_the_gate() {
    let mut world = world();
    world.write(Scope::Global, &["a", "b"]).unwrap();
    assert_eq!(world.gate.release(Lsn(1)).next(), Some("a"));
    assert_eq!(world.out(0), ["b"]);
}

#[test]
fn after_a_failure_nothing_ever_leaves() {
    let mut world = world();
    world.disk.capacity = 2;
    world.write(Scope::Global, &["a"]).unwrap();
    world.write(Scope::Global, &["b"]).unwrap();
    assert_eq!(world.write(Scope::Global, &["c"]), Err(full()));
    assert_eq!(world.out(2), [""; 0]);
    world.disk.capacity = 100;
    assert_eq!(world.write(Scope::Global, &["d"]), Err(full()));
    assert_eq!(world.disk.appended, Lsn(2));
    assert_eq!(world.gate.append(Step::new(), &mut world.disk), Err(full()));
    assert_eq!((world.out(2), world.gate.held()), (vec![], 0));
}

#[test]
fn a_failure_that_the_driver_learns_of_closes_the_gate() {
    let mut world = world();
    world.write(Scope::Global, &["a"]).unwrap();
    let failure = StoreFailed::Io("fsync: input/output error".to_owned());
    world.gate.fail(failure.clone());
    world.gate.fail(full());
    assert_eq!(world.out(1), [""; 0]);
    assert_eq!(world.gate.failure(), Some(&failure));
}

#[test]
#[should_panic(expected = "every batch passes the gate, in order")]
fn a_batch_written_past_the_gate_is_noticed() {
    let mut world = world();
    world.disk.append(Batch::new()).unwrap();
    let _ = world.write(Scope::Global, &["a"]);
}

#[test]
fn merged_steps_are_one_write() {
    #[derive(Debug, PartialEq)]
    struct Outer(&'static str);
    impl From<&'static str> for Outer {
        fn from(inner: &'static str) -> Self {
            Self(inner)
        }
    }
    let mut disk = world().disk;
    let mut gate = Gate::new(Lsn::NONE);
    let mut one = Step::new();
    one.changes_mut().put(Key::Wallet(1), 1, b"x");
    one.emit(Scope::Global, "one");
    let mut other = Step::new();
    other.changes_mut().delete(Key::Wallet(2));
    other.emit(Scope::Global, "other");
    one.append(other);
    assert_eq!((one.changes().changes().len(), one.effect_count()), (2, 2));
    assert_eq!(gate.append(one.lift::<Outer>(), &mut disk), Ok(Lsn(1)));
    assert_eq!(gate.release(Lsn(1)).collect::<Vec<_>>(), [Outer("one"), Outer("other")]);
}
