//! What onions cost, each beside the bare multiplications on the curve that it cannot do without.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use quittance_onion::{
    HoldTime, NewOnion, OnionHop, PAYMENT_AREA, ReturnPacket, SharedSecret, create_onion, peel_with_key,
};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

const PAYMENT_HASH: [u8; 32] = [0x42; 32];

/// A payload as long as that of a forwarding hop.
const PAYLOAD: [u8; 19] = [2, 4, 0x3b, 0x9a, 0xca, 0, 4, 3, 0xc, 0x35, 0, 6, 4, 0, 0, 1, 0, 0, 1];

fn node_key(index: usize) -> SecretKey {
    SecretKey::from_slice(&[u8::try_from(index + 1).expect("few hops"); 32]).expect("a scalar")
}

fn route(hops: usize) -> Vec<OnionHop> {
    (0..hops)
        .map(|index| OnionHop {
            node: node_key(index).public_key(SECP256K1),
            payload: PAYLOAD.to_vec(),
        })
        .collect()
}

fn onion(hops: usize) -> NewOnion {
    create_onion(&node_key(99), &route(hops), &PAYMENT_HASH, PAYMENT_AREA).expect("it fits")
}

fn create(criterion: &mut Criterion) {
    for hops in [1, 3, 20] {
        let route = route(hops);
        let session_key = node_key(99);
        criterion.bench_function(&format!("create {hops} hops"), |bencher| {
            bencher.iter(|| create_onion(black_box(&session_key), &route, &PAYMENT_HASH, PAYMENT_AREA));
        });
        let nodes: Vec<_> = route.iter().map(|hop| hop.node).collect();
        criterion.bench_function(
            &format!("create {hops} hops, bare: a key and an ECDH each"),
            |bencher| {
                bencher.iter(|| bare_creation(black_box(&session_key), &nodes));
            },
        );
    }
}

fn bare_creation(session_key: &SecretKey, nodes: &[PublicKey]) -> u8 {
    nodes.iter().fold(0, |seen, node| {
        let point = session_key.public_key(SECP256K1);
        seen ^ point.serialize()[1] ^ SharedSecret::agree(node, session_key).to_bytes()[0]
    })
}

fn peel(criterion: &mut Criterion) {
    let packet = onion(20).packet;
    let key = node_key(0);
    criterion.bench_function("peel first of 20", |bencher| {
        bencher.iter(|| peel_with_key(black_box(&packet), &key, &PAYMENT_HASH).expect("ours"));
    });
    let point = packet.public_key().expect("a point").serialize();
    let factor = Scalar::from_be_bytes([7; 32]).expect("a scalar");
    criterion.bench_function("peel, bare: a parsed point, an ECDH, a multiplied point", |bencher| {
        bencher.iter(|| {
            let point = PublicKey::from_slice(black_box(&point)).expect("a point");
            let secret = SharedSecret::agree(&point, &key);
            (
                secret,
                point.mul_tweak(SECP256K1, &factor).expect("a point").serialize(),
            )
        });
    });
}

fn failure(criterion: &mut Criterion) {
    let secrets = onion(20).secrets;
    let held = Some(HoldTime(1));
    let create = || ReturnPacket::create(&secrets[19], &[0x20, 2], held);
    criterion.bench_function("failure create", |bencher| bencher.iter(create));
    let packet = create();
    criterion.bench_function("failure wrap", |bencher| {
        bencher.iter(|| black_box(packet.clone()).wrap(&secrets[18], held));
    });
    criterion.bench_function("failure wrap without attribution", |bencher| {
        bencher.iter(|| black_box(packet.clone()).wrap(&secrets[18], None));
    });
    let arrived = secrets[..19]
        .iter()
        .rev()
        .fold(packet, |packet, secret| packet.wrap(secret, held));
    criterion.bench_function("failure read, from hop 20", |bencher| {
        bencher.iter(|| black_box(arrived.clone()).read(&secrets));
    });
}

criterion_group!(benches, create, peel, failure);
criterion_main!(benches);
