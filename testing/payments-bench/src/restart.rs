//! The start of a node with many channels and a long past.

use std::path::Path;
use std::time::Duration;

use bitcoin::Amount;
use quittance_journal::{Key, KeyRange, Space, Step, decode_record};
use quittance_manager::{Effect, FINISHED_PAYMENT_VERSION};
use quittance_payments::Payment;
use quittance_primitives::PaymentId;
use quittance_records::Record;
use quittance_store::memory::MemoryStore;

use crate::cost::{Cost, Moment, memory_kib};
use crate::node::{Disk, Node, Outcome};
use crate::town::{Town, first_tip};

/// Payments that are really made; the others are copies of their records under other ids.
const REAL_PAYMENTS: u64 = 100;
/// Payments that are made after the copies: some thousand batches.
const NEWEST_PAYMENTS: u64 = 600;

/// A node that has started.
pub struct Started {
    /// It.
    pub node: Node,
    /// What its start took.
    pub cost: Cost,
    /// How much of it until the store was open.
    pub store_opened_after: Duration,
}

/// Makes the store in `folder`, or starts a node from it and says what that took.
pub fn measure(folder: &Path, channels: u32, payments: u64) -> Outcome<()> {
    if !folder.exists() {
        make(folder, channels, payments)?;
        println!("a store with {channels} channels and {payments} old payments");
        std::thread::sleep(Duration::from_millis(200));
        return Ok(());
    }
    let before = memory_kib();
    let started = start(folder)?;
    println!(
        "{} channels: started in {:?} ({:?} of processor time; the store opened in {:?}), with {} KiB more memory",
        started.node.manager.channels().count(),
        started.cost.time,
        started.cost.processor,
        started.store_opened_after,
        memory_kib() - before
    );
    Ok(())
}

/// Starts a node from the store in `folder`.
pub fn start(folder: &Path) -> Outcome<Started> {
    let begun = Moment::now();
    let disk = Disk::open(folder)?;
    let store_opened_after = begun.elapsed();
    let node = Node::start(0, disk, first_tip(), None)?;
    Ok(Started {
        node,
        cost: Moment::now() - begun,
        store_opened_after,
    })
}

/// Makes the store of a node with so many channels and, unless none are asked for, at least so many old payments.
pub fn make(folder: &Path, channels: u32, payments: u64) -> Outcome<()> {
    let disks = [Disk::create(folder)?, Disk::Memory(Box::new(MemoryStore::new()))];
    let started = (0..)
        .zip(disks)
        .map(|(number, disk)| Node::start(number, disk, first_tip(), None));
    let mut town = Town::of(started.collect::<Outcome<_>>()?);
    town.connect(0, 1)?;
    town.open_channels(0, 1, channels, Amount::from_sat(10_000_000))?;
    // Each channel has told that it is ready.
    town.handle_all_events()?;
    if payments == 0 {
        return Ok(());
    }
    town.pay((0, 1), 0..REAL_PAYMENTS, 1)?;
    town.handle_all_events()?;
    copy_payments(&mut town.nodes[0], payments)?;
    // The store's journal keeps its newest batches, which are read at start: they are to be what a node writes, not the copies.
    town.pay((0, 1), REAL_PAYMENTS..REAL_PAYMENTS + NEWEST_PAYMENTS, 1)?;
    town.handle_all_events()
}

/// Records of payments as they were made, each many times under ids of its own.
fn copy_payments(node: &mut Node, wanted: u64) -> Outcome<()> {
    let finished = node.disk.store().read(&KeyRange::space(Space::FinishedPayments))?;
    let mut copied = u64::try_from(finished.len())?;
    let mut templates = finished.iter().cycle();
    while copied < wanted {
        let mut step: Step<Effect> = Step::new();
        for _ in 0..100 {
            let (key, frame) = templates.next().ok_or("there are payments to copy")?;
            let record = decode_record(key, frame, FINISHED_PAYMENT_VERSION)?;
            let mut payment = Payment::from_bytes(record.body).map_err(|fault| format!("{key}: {fault}"))?;
            copied += 1;
            let mut id = [0xcc; 32];
            id[..8].copy_from_slice(&copied.to_be_bytes());
            payment.id = PaymentId(id);
            step.changes_mut().put(
                Key::FinishedPayment(payment.id),
                FINISHED_PAYMENT_VERSION,
                &payment.to_bytes(),
            );
        }
        node.gate.append(step, node.disk.store())?;
        while node.disk.is_behind() {
            node.disk.wait()?;
        }
    }
    Ok(())
}
