//! What a step of a channel costs beside its cryptography, with 0, 30 and 483 HTLCs in flight each way.
//!
//! `cargo bench -p quittance-channel`. Signatures are accepted unseen here; what they cost is measured in
//! `quittance-transactions`. Deriving a commitment's keys and hashing its transaction are cryptography too, and stand by
//! themselves as "accept a commitment, signatures unseen".

#[path = "../tests/pair/mod.rs"]
mod pair;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use pair::{End, Pair, Setup, Who};
use quittance_channel::{Attached, Channel, Context, Decision, Need, ReceivedOnion, Verifier};
use quittance_primitives::{BlockHeight, HtlcId, MilliSatoshi};
use quittance_transactions::VerificationJob;
use quittance_wire::Message;

struct Unseen;

impl Verifier for Unseen {
    fn first_invalid(&self, _: &[VerificationJob]) -> Option<usize> {
        None
    }
}

/// A channel with `htlcs` in flight each way, at rest.
fn busy(htlcs: u64) -> Pair {
    let setup = Setup {
        capacity: bitcoin::Amount::from_sat(1_000_000_000),
        pushed: MilliSatoshi(500_000_000_000),
        max_in_flight: MilliSatoshi(1_000_000_000_000),
        ..Setup::default()
    };
    let mut pair = Pair::of(&setup);
    for who in Who::BOTH {
        pair.end(who).set_auto_commit(false);
        for number in 0..htlcs {
            pair.offer(who, 1_000_000 + number, u8::try_from(number % 250).expect("a byte"));
        }
    }
    for _ in 0..3 {
        for who in Who::BOTH {
            pair.end(who).commit();
        }
        pair.settle();
    }
    pair
}

fn decide(end: &End, message: &Message) -> Decision {
    let limits = quittance_channel::ChannelLimits::default();
    let context = Context {
        now_ms: 1_000,
        height: BlockHeight(700_000),
        limits: &limits,
        verifier: &Unseen,
    };
    let attached = match end.channel.needs(message) {
        Need::Point(number) => Attached::Point(end.keys.seed.point(number)),
        Need::Onion => Attached::Onion(ReceivedOnion::Peeled {
            shared_secret: [9; 32],
            payload: vec![1; 60],
            next_packet: None,
        }),
        Need::Nothing | Need::SecretCheck(_) | Need::NewChannel => Attached::Nothing,
    };
    end.channel
        .decide_message(message, attached, &context)
        .expect("an honest message")
}

/// Decides, folds, and encodes the update, as a node does for each input.
fn whole_step(channel: &mut Channel, decision: Decision) -> Vec<u8> {
    let _ = channel.adopt(decision);
    channel.take_update().map_or_else(Vec::new, |update| update.to_body())
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for htlcs in [0, 30, 482] {
        let mut pair = busy(htlcs);
        let limits = quittance_channel::ChannelLimits::default();
        let context = Context {
            now_ms: 1_000,
            height: BlockHeight(700_000),
            limits: &limits,
            verifier: &Unseen,
        };

        group.bench_function(BenchmarkId::new("offer an HTLC", htlcs), |bencher| {
            bencher.iter_batched(
                || (pair.alice.channel.clone(), pair::new_htlc(1_000_000, 9)),
                |(mut channel, htlc)| {
                    let decision = channel.decide_offer(htlc, &context).expect("it fits");
                    black_box(whole_step(&mut channel, decision));
                    channel
                },
                BatchSize::LargeInput,
            );
        });

        pair.offer(Who::Alice, 1_000_000, 9);
        pair.alice.commit();
        let add = Message::decode(&pair.alice.take_message().expect("sent")).expect("ours");
        group.bench_function(BenchmarkId::new("receive an HTLC", htlcs), |bencher| {
            bencher.iter_batched(
                || pair.bob.channel.clone(),
                |mut channel| {
                    let decision = decide(&pair.bob, &add);
                    black_box(whole_step(&mut channel, decision));
                    channel
                },
                BatchSize::LargeInput,
            );
        });

        pair.bob.receive(&add.encode());
        let commitment = Message::decode(&pair.alice.take_message().expect("sent")).expect("ours");
        group.bench_function(
            BenchmarkId::new("accept a commitment, signatures unseen", htlcs),
            |bencher| {
                bencher.iter_batched(
                    || pair.bob.channel.clone(),
                    |mut channel| {
                        let decision = decide(&pair.bob, &commitment);
                        black_box(whole_step(&mut channel, decision));
                        channel
                    },
                    BatchSize::LargeInput,
                );
            },
        );

        end_an_htlc(&mut group, htlcs, &pair, &commitment);
    }
    group.finish();
}

/// Fulfilling one of the peer's HTLCs, and the template of the commitment that tells the peer.
fn end_an_htlc(group: &mut BenchmarkGroup<'_, WallTime>, htlcs: u64, pair: &Pair, commitment: &Message) {
    let removable = HtlcId(0);
    if htlcs > 0 {
        group.bench_function(BenchmarkId::new("fulfil an HTLC", htlcs), |bencher| {
            bencher.iter_batched(
                || pair.alice.channel.clone(),
                |mut channel| {
                    let decision = channel
                        .decide_removal(removable, pair::fulfilled(0))
                        .expect("it is there");
                    black_box(whole_step(&mut channel, decision));
                    channel
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function(
        BenchmarkId::new("make the template of a commitment", htlcs),
        |bencher| {
            let mut ready = pair.bob.channel.clone();
            let decision = decide(&pair.bob, commitment);
            let _ = ready.adopt(decision);
            bencher.iter(|| black_box(ready.decide_commitment()));
        },
    );
}

criterion_group!(benches, steps);
criterion_main!(benches);
