//! All stories on a real node.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::{Chain, Faucet, MineOptions, Policy};

use crate::all_stories;
use crate::world::World;

/// One node serves all stories, one after the other, since starting one takes longer than most stories.
#[test]
fn a_real_node_keeps_the_contract() {
    let Some(program) = Bitcoind::program() else {
        println!("skipped: BITCOIND_EXE names no bitcoind");
        return;
    };
    let node = Bitcoind::start(program, &Policy::default()).expect("the node starts");
    let mut world = World {
        chain: BitcoindChain::new(node),
        faucet: Faucet::new(),
    };
    let mut broken = Vec::new();
    for (name, story) in all_stories() {
        println!("{name}");
        if catch_unwind(AssertUnwindSafe(|| story(&mut world))).is_err() {
            broken.push(name);
        }
        clear_mempool(&mut world.chain);
    }
    assert_eq!(broken, [""; 0], "stories that a real node tells otherwise");
}

/// Confirms what a story left behind, whatever it pays.
fn clear_mempool(chain: &mut BitcoindChain) {
    let mut waiting: Vec<_> = chain
        .mempool()
        .iter()
        .filter_map(|entry| chain.mempool_transaction(&entry.txid))
        .collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let txids: Vec<_> = waiting.iter().map(|transaction| transaction.compute_txid()).collect();
        let (later, next): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|transaction| {
            transaction
                .input
                .iter()
                .any(|input| txids.contains(&input.previous_output.txid))
        });
        ordered.extend(next.iter().map(|transaction| (**transaction).clone()));
        waiting = later;
    }
    chain
        .mine(&MineOptions::empty(1).including(ordered))
        .expect("what is in the mempool is valid");
}
