//! A message of 1 kB through both ends of a connection. LDK's cipher is not public, so only the bare one stands beside it.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use criterion::{criterion_group, criterion_main};
use quittance_bench::{BARE, Bench, OURS, key, point, runner};
use quittance_noise::{Decrypted, Initiator, RECORD_OVERHEAD, Responder};

const BODY: usize = 1_000;

fn message(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("noise: 1 kB, encrypt and decrypt");

    let (initiator, act_one) = Initiator::start(key(1), key(2), point(3));
    let (responder, act_two) = Responder::accept(key(3), key(4), &act_one).expect("act one is ours");
    let (mut alice, act_three) = initiator.finish(&act_two).expect("act two is ours");
    let mut bob = responder.finish(&act_three).expect("act three is ours");
    let mut record = vec![0; BODY + RECORD_OVERHEAD];
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            alice.encryptor.seal(&mut record).expect("there is room");
            let decrypted = bob.decryptor.decrypt(&mut record).expect("it is authentic");
            assert!(matches!(decrypted, Decrypted::Record { .. }));
        });
    });

    let (cipher_key, nonce) = (Key::from([1; 32]), Nonce::from([0; 12]));
    let (mut length, mut body) = ([0; 2], [0; BODY]);
    group.bench_function(BARE, |bencher| {
        bencher.iter(|| {
            for text in [&mut length[..], &mut body[..]] {
                let cipher = ChaCha20Poly1305::new(&cipher_key);
                let tag = cipher
                    .encrypt_in_place_detached(&nonce, &[], text)
                    .expect("it is short");
                cipher
                    .decrypt_in_place_detached(&nonce, &[], text, &tag)
                    .expect("it is authentic");
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = runner();
    targets = message
}
criterion_main!(benches);
