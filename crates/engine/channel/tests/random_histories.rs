//! Random histories of a channel: whatever the order of actions, messages, cuts and crashes, no msat is lost, both ends build
//! the same commitments, every signature verifies, no HTLC is lost or doubled, and the channel goes on.
//!
//! `QUITTANCE_HISTORIES` sets how many are run, `QUITTANCE_FIRST_SEED` where they begin, `QUITTANCE_SEED` runs a single one. Signatures
//! are real; for a soak `QUITTANCE_REAL_EVERY=20` makes them real in the seeds that 20 divides, and stand-ins in the others.

mod pair;

use std::panic::catch_unwind;

use pair::curve::{self, Curve};
use quittance_channel::Verifier;
use quittance_transactions::VerificationJob;
use secp256k1::{Message, SecretKey};

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn run_seeds(seeds: std::ops::Range<u64>) {
    let real_every = number_from("QUITTANCE_REAL_EVERY").unwrap_or(1);
    for seed in seeds {
        let curve = if seed.is_multiple_of(real_every) {
            Curve::Real
        } else {
            Curve::StandIn
        };
        if let Err(panic) = catch_unwind(|| pair::random::run(seed, curve)) {
            eprintln!(
                "with {curve:?} signatures; replay with QUITTANCE_SEED={seed} cargo test -p quittance-channel --test random_histories"
            );
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

/// A soak rests on this: what two ends see differently is refused with stand-ins too.
#[test]
fn a_stand_in_verifies_only_for_its_digest_and_its_key() {
    let sign = |digest: u8, key: u8| {
        let key = SecretKey::from_slice(&[key; 32]).expect("a private key");
        let message = Message::from_digest([digest; 32]);
        (
            curve::stand_in(&message, &curve::public(&key)),
            message,
            curve::public(&key),
        )
    };
    let (signature, message, public_key) = sign(1, 1);
    let job = |message, public_key| VerificationJob {
        message,
        signature,
        public_key,
    };
    let jobs = [
        job(message, public_key),
        job(message, sign(1, 2).2),
        job(sign(2, 1).1, public_key),
    ];
    let verdicts = jobs.map(|job| Curve::StandIn.first_invalid(&[job]));
    assert_eq!(verdicts, [None, Some(0), Some(0)]);
    assert_eq!(Curve::Real.first_invalid(&jobs), Some(0), "it is no signature");
}
