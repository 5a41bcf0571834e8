//! What a commitment costs beside the elliptic-curve operations that it cannot do without: key derivation, one signature and
//! one check for the transaction and for each HTLC.

#[path = "../tests/channel/mod.rs"]
mod channel;

use std::hint::black_box;
use std::time::{Duration, Instant};

use channel::{Channel, FORMATS, htlc};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use quittance_transactions::signing::{derive_private_key, sign};
use quittance_transactions::{
    CommitmentContents, CommitmentFormat, CommitmentKeys, CommitmentSignatures, CommitmentTransaction, Htlc,
    HtlcDirection, HtlcOutputs, Role, VerificationJob,
};
use secp256k1::Message;

const HTLC_COUNTS: [u64; 3] = [0, 30, 483];

struct Work {
    channel: Channel,
    contents: CommitmentContents,
    signatures: CommitmentSignatures,
}

impl Work {
    fn new(format: CommitmentFormat, htlcs: u64) -> Self {
        let channel = Channel::new(format);
        let direction = |id| {
            if id % 2 == 0 {
                HtlcDirection::Offered
            } else {
                HtlcDirection::Received
            }
        };
        let htlcs: Vec<Htlc> = (0..htlcs).map(|id| htlc(direction(id), id, 2_000 + id)).collect();
        let contents = Channel::contents(Role::Opener, 42, htlcs);
        let commitment = channel.commitment(&contents);
        let signatures = channel.accepter.countersign(&commitment);
        Self {
            channel,
            contents,
            signatures,
        }
    }

    fn build(&self) -> CommitmentTransaction {
        self.channel.commitment(black_box(&self.contents))
    }

    fn keys(&self) -> CommitmentKeys {
        let outputs = if self.contents.htlcs.is_empty() {
            HtlcOutputs::None
        } else {
            HtlcOutputs::Some
        };
        CommitmentKeys::derive(
            &self.channel.terms,
            Role::Opener,
            black_box(self.contents.per_commitment_point),
            outputs,
        )
    }

    fn bare_signatures(&self, message: &Message) {
        let keys = self.keys();
        black_box(sign(message, &self.channel.accepter.funding));
        if keys.htlc.is_some() {
            let key = derive_private_key(&self.channel.accepter.htlc_basepoint, &keys.per_commitment_point);
            for _ in &self.contents.htlcs {
                black_box(sign(black_box(message), &key));
            }
        }
    }

    fn bare_checks(&self, jobs: &[VerificationJob]) {
        black_box(self.keys());
        for job in jobs {
            assert!(black_box(job).is_valid());
        }
    }

    fn jobs(&self) -> Vec<VerificationJob> {
        let commitment = self.build();
        let mut jobs = vec![commitment.funding_verification(&self.signatures.funding)];
        jobs.extend(
            commitment
                .htlc_verifications(&self.signatures.htlcs)
                .expect("as many as HTLCs"),
        );
        jobs
    }
}

fn benches(criterion: &mut Criterion) {
    for format in FORMATS {
        let mut group = criterion.benchmark_group(format!("{format:?}"));
        for count in HTLC_COUNTS {
            if count > u64::from(format.accepted_htlcs_max()) {
                continue;
            }
            let work = Work::new(format, count);
            let message = work.build().funding_sighash();
            let jobs = work.jobs();
            group.sample_size(if count > 100 { 20 } else { 60 });
            group.bench_function(BenchmarkId::new("build", count), |bencher| {
                bencher.iter(|| work.build());
            });
            group.bench_function(BenchmarkId::new("build and sign", count), |bencher| {
                bencher.iter(|| work.channel.accepter.countersign(&work.build()));
            });
            group.bench_function(BenchmarkId::new("bare signatures", count), |bencher| {
                bencher.iter(|| work.bare_signatures(&message));
            });
            group.bench_function(BenchmarkId::new("build and verify", count), |bencher| {
                bencher.iter(|| work.build().verify(&work.signatures).expect("valid"));
            });
            group.bench_function(BenchmarkId::new("bare checks", count), |bencher| {
                bencher.iter(|| work.bare_checks(&jobs));
            });
        }
        group.finish();
    }
}

/// The goal is a ratio, and other work on the machine disturbs two separate measurements differently: here both sides take
/// turns, and the quickest turn of each counts.
fn ratios(_: &mut Criterion) {
    for format in FORMATS {
        for count in HTLC_COUNTS
            .into_iter()
            .filter(|count| *count <= u64::from(format.accepted_htlcs_max()))
        {
            let work = Work::new(format, count);
            let (message, jobs) = (work.build().funding_sighash(), work.jobs());
            let sign = quickest(
                || drop(work.channel.accepter.countersign(&work.build())),
                || work.bare_signatures(&message),
            );
            let verify = quickest(
                || work.build().verify(&work.signatures).expect("valid"),
                || work.bare_checks(&jobs),
            );
            println!(
                "{format:?}, {count} HTLCs: build and sign {:?}, bare {:?}, ratio {:.3}; build and verify {:?}, bare {:?}, ratio {:.3}",
                sign.0,
                sign.1,
                sign.0.as_secs_f64() / sign.1.as_secs_f64(),
                verify.0,
                verify.1,
                verify.0.as_secs_f64() / verify.1.as_secs_f64(),
            );
        }
    }
}

fn quickest(work: impl Fn(), bare: impl Fn()) -> (Duration, Duration) {
    let time = |run: &dyn Fn()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let turns = (0..TURNS).map(|_| (time(&work), time(&bare)));
    turns.fold((Duration::MAX, Duration::MAX), |best, turn| {
        (best.0.min(turn.0), best.1.min(turn.1))
    })
}

const TURNS: u32 = 100;

criterion_group!(commitment, ratios, benches);
criterion_main!(commitment);
