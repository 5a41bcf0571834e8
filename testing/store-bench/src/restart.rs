//! How long a store takes to open, and to read what a node needs at its start: 1,000 channels, 100,000 payments made before.

use std::path::Path;
use std::time::{Duration, Instant};

use quittance_journal::{Batch, ColdId, Key, KeyRange, Space, Store, UpdateId};
use quittance_primitives::{ChannelId, HtlcId, PaymentId};
use quittance_store::embedded::{EmbeddedStore, Options};

use crate::{usage, workload};

pub fn measure(folder: &Path) {
    let mut store = EmbeddedStore::create(folder, Options::default()).expect("made");
    fill(&mut store);
    let last = store.close().expect("closed");
    let size = usage::size_of(folder) as f64 / 1e6;

    let start = Instant::now();
    let store = EmbeddedStore::open(folder, Options::default()).expect("opened");
    let opened = start.elapsed();
    let hot = [
        Space::Header,
        Space::Checkpoints,
        Space::Updates,
        Space::Forwards,
        Space::Events,
        Space::Peers,
    ];
    let records: usize = hot
        .iter()
        .map(|space| store.read(&KeyRange::space(*space)).expect("read").len())
        .sum();
    let read = start.elapsed() - opened;
    println!(
        "{} batches, {size:.0} MB: opened in {opened:.1?}, {records} hot records read in {read:.1?}",
        last.0
    );

    let start = Instant::now();
    for number in 0..1_000_u64 {
        let key = Key::Payment(PaymentId(workload::spread(number * 97)));
        store.get(&key).expect("read").expect("there");
    }
    println!("one cold payment read in {:.1?}", start.elapsed() / 1_000);
}

fn fill(store: &mut EmbeddedStore) {
    for number in 0..100_000_u64 {
        let channel = ChannelId(workload::spread(number % 1_000));
        let mut batch = Batch::new();
        batch.put(
            Key::Payment(PaymentId(workload::spread(number))),
            1,
            &workload::noise(number, 150),
        );
        batch.put(
            Key::Cold(channel, ColdId::Outcome(HtlcId(number))),
            1,
            &workload::noise(number, 100),
        );
        if number < 1_000 {
            batch.put(Key::Checkpoint(channel), 1, &workload::noise(number, 5_000));
        }
        if number >= 95_000 {
            batch.put(Key::Update(channel, UpdateId(number)), 1, &workload::noise(number, 250));
        }
        while !store.has_room() {
            std::thread::sleep(Duration::from_millis(1));
        }
        store.append(batch).expect("appended");
    }
}
