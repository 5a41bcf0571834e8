//! Random histories of a channel: whatever the order of actions, messages, cuts and crashes, no msat is lost, both ends build
//! the same commitments, every signature verifies, no HTLC is lost or doubled, and the channel goes on.
//!
//! `QUITTANCE_HISTORIES` sets how many are run, `QUITTANCE_FIRST_SEED` where they begin, `QUITTANCE_SEED` runs a single one.

mod pair;

use std::panic::catch_unwind;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn run_seeds(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(|| pair::random::run(seed)) {
            eprintln!("replay with QUITTANCE_SEED={seed} cargo test -p quittance-channel --test random_histories");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn every_random_history_ends_in_agreement() {
    if let Some(seed) = number_from("QUITTANCE_SEED") {
        return run_seeds(seed..seed + 1);
    }
    let histories = number_from("QUITTANCE_HISTORIES").unwrap_or(10_000);
    let first = number_from("QUITTANCE_FIRST_SEED").unwrap_or(0);
    let (middle, last) = (first + histories / 2, first + histories);
    std::thread::scope(|scope| {
        scope.spawn(move || run_seeds(first..middle));
        run_seeds(middle..last);
    });
}
