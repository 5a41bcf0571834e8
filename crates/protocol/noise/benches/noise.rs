//! A 1 kB message through both ends, and a handshake, each beside the bare cryptography that it cannot do without.

use std::hint::black_box;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quittance_noise::{Decrypted, Established, Initiator, RECORD_OVERHEAD, Responder};
use secp256k1::ecdh::SharedSecret;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

const BODY_LEN: usize = 1_000;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a valid key")
}

fn handshake() -> (Established, Established) {
    let (initiator, act_one) = Initiator::start(key(1), key(2), key(3).public_key(SECP256K1));
    let (responder, act_two) = Responder::accept(key(3), key(4), &act_one).expect("act one is ours");
    let (at_initiator, act_three) = initiator.finish(&act_two).expect("act two is ours");
    (at_initiator, responder.finish(&act_three).expect("act three is ours"))
}

fn message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message of 1 kB, encrypted and decrypted");
    group.throughput(Throughput::Bytes(BODY_LEN as u64));

    let (mut alice, mut bob) = handshake();
    let mut record = vec![0; BODY_LEN + RECORD_OVERHEAD];
    group.bench_function("quittance", |bencher| {
        bencher.iter(|| {
            alice.encryptor.seal(&mut record).expect("there is room");
            let decrypted = bob.decryptor.decrypt(&mut record).expect("it is authentic");
            assert!(matches!(black_box(decrypted), Decrypted::Record { .. }));
        });
    });

    let (cipher_key, nonce) = (Key::from([1; 32]), Nonce::from([0; 12]));
    let (mut length, mut body) = ([0; 2], vec![0; BODY_LEN]);
    group.bench_function("bare ChaCha20-Poly1305", |bencher| {
        bencher.iter(|| {
            for text in [&mut length[..], &mut body[..]] {
                let cipher = ChaCha20Poly1305::new(black_box(&cipher_key));
                let tag = cipher.encrypt_in_place_detached(&nonce, &[], text).expect("short");
                let opened = cipher.decrypt_in_place_detached(&nonce, &[], text, &tag);
                opened.expect("it is authentic");
            }
        });
    });
    group.finish();
}

fn connection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake, both ends");
    group.bench_function("quittance", |bencher| bencher.iter(|| black_box(handshake().0.remote)));

    // Each end: its ephemeral key, its own or the other's static key in the hash, three exchanges; keys parsed as they arrive.
    let (secret, public) = (key(1), key(2).public_key(SECP256K1));
    let bytes = public.serialize();
    group.bench_function("bare secp256k1", |bencher| {
        bencher.iter(|| {
            for _ in 0..6 {
                black_box(SharedSecret::new(black_box(&public), black_box(&secret)));
            }
            for _ in 0..5 {
                black_box(black_box(&secret).public_key(SECP256K1));
            }
            for _ in 0..3 {
                black_box(PublicKey::from_slice(black_box(&bytes)).expect("a key"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, message, connection);
criterion_main!(benches);
