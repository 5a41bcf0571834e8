//! The signatures of a large commitment, checked by the caller alone and with a thread on each of two cores. Before each check the caller
//! rests, as a node does that waits for a message: work that is shared by threads which are awake already says little.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use quittance_channel::Verifier;
use quittance_signer::LocalSigner;
use quittance_transactions::VerificationJob;
use secp256k1::{Message, SECP256K1, SecretKey};

const REST: Duration = Duration::from_micros(700);

fn jobs(count: u8) -> Vec<VerificationJob> {
    let job = |number| {
        let key = SecretKey::from_slice(&[number + 1; 32]).expect("a valid key");
        let message = Message::from_digest([number; 32]);
        VerificationJob {
            message,
            signature: SECP256K1.sign_ecdsa(&message, &key),
            public_key: key.public_key(SECP256K1),
        }
    };
    (0..count).map(job).collect()
}

fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("100 signatures checked");
    let (signer, jobs) = (LocalSigner::new([1; 32]), jobs(100));
    for (name, cores) in [("by the caller alone", 1), ("by two cores", 2)] {
        signer.use_cores(cores);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    std::thread::sleep(REST);
                    let begun = Instant::now();
                    assert_eq!(black_box(signer.verifier().first_invalid(&jobs)), None);
                    spent += begun.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, crowd);
criterion_main!(benches);
