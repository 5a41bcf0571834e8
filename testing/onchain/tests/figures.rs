//! What blocks cost monitors. `cargo test --release -p quittance-onchain-tests --test figures -- --ignored --nocapture` prints it.

use std::hint::black_box;
use std::time::Instant;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction};
use quittance_monitor::{Block, FeeContext};
use quittance_onchain_tests::World;
use quittance_onchain_tests::pair::{Setup, Who};
use quittance_primitives::{BlockHeight, MilliSatoshi};

const BLOCKS: u32 = 100;

/// Connects blocks of `transactions` to `monitors` copies of one monitor, and asks each for facts and broadcasts.
fn microseconds(world: &World, monitors: usize, transactions: &[&Transaction]) -> f64 {
    let replica = world.replica(Who::Alice);
    let mut all = vec![replica.monitor.clone(); monitors];
    let mut context = FeeContext {
        estimates: world.estimates,
        destination: &world.wallets[0].destination.clone(),
        coins: world.wallets[0].coins(),
    };
    let started = Instant::now();
    for number in 0..BLOCKS {
        for monitor in &mut all {
            let tip = monitor.tip();
            let block = Block {
                height: BlockHeight(tip.height.0 + 1),
                hash: BlockHash::hash(&number.to_be_bytes()),
                previous: tip.hash,
                transactions,
            };
            let _ = black_box(monitor.connect(&replica.state, &block));
            black_box(monitor.facts(&replica.state));
            black_box(monitor.broadcasts(&replica.state, &mut context));
        }
    }
    let blocks = f64::from(BLOCKS) * f64::from(u32::try_from(monitors).expect("small"));
    started.elapsed().as_secs_f64() * 1e6 / blocks
}

#[test]
#[ignore = "a measurement"]
fn microseconds_per_monitor_and_block() {
    let mut world = World::new(&Setup::default());
    for preimage in 1..=10 {
        world.offer(Who::Alice, MilliSatoshi(20_000_000), preimage, 50);
    }
    world.pair.settle();
    world.act();
    for monitors in [1_000, 10_000] {
        println!(
            "{monitors} idle, nothing of theirs in the block: {:.2} us",
            microseconds(&world, monitors, &[])
        );
    }
    world.force_close(Who::Bob);
    world.run(2);
    println!(
        "100 closing with 10 HTLCs each: {:.2} us",
        microseconds(&world, 100, &[])
    );
}
