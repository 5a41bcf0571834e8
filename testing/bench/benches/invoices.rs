//! BOLT 11 invoices, written and signed, and read.
//!
//! Both sides stand on the codec `lightning-invoice`. Ours goes over the text a second time, checks the signature over the letters
//! that came; when it signs, it checks the signer and reads back what it wrote. Bare: one recoverable signature; one recovery of the key from it.

use std::hint::black_box;
use std::time::Duration;

use bitcoin::Network;
use bitcoin::hashes::{Hash, sha256};
use criterion::{criterion_group, criterion_main};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder};
use quittance_bench::{BARE, Bench, LDK, OURS, key, point, runner};
use quittance_invoice::{Description, Invoice, Terms, UnsignedInvoice};
use quittance_primitives::{MilliSatoshi, PaymentHash, PaymentSecret};
use secp256k1::{Message, SECP256K1};

const HASH: [u8; 32] = [2; 32];
const SECRET: [u8; 32] = [3; 32];
const AMOUNT_MSAT: u64 = 250_000_000;
const TIME: Duration = Duration::from_secs(1_700_000_000);

fn ours() -> Invoice {
    let description = Description::Text("1 cup coffee".into());
    let mut terms = Terms::new(
        Network::Bitcoin,
        TIME,
        PaymentHash(HASH),
        PaymentSecret(SECRET),
        description,
    );
    terms.amount = Some(MilliSatoshi(black_box(AMOUNT_MSAT)));
    let unsigned = UnsignedInvoice::new(terms).expect("the terms are fine");
    let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(unsigned.hash()), &key(1));
    unsigned.sign(signature, &point_of_payee()).expect("we signed it")
}

/// The payee knows its own key.
fn point_of_payee() -> secp256k1::PublicKey {
    static PAYEE: std::sync::LazyLock<secp256k1::PublicKey> = std::sync::LazyLock::new(|| point(1));
    *PAYEE
}

fn ldk() -> Bolt11Invoice {
    InvoiceBuilder::new(Currency::Bitcoin)
        .description("1 cup coffee".into())
        .amount_milli_satoshis(black_box(AMOUNT_MSAT))
        .payment_hash(sha256::Hash::from_byte_array(HASH))
        .payment_secret(lightning::types::payment::PaymentSecret(SECRET))
        .duration_since_epoch(TIME)
        .min_final_cltv_expiry_delta(18)
        .build_signed(|message| SECP256K1.sign_ecdsa_recoverable(message, &key(1)))
        .expect("the terms are fine")
}

fn sign(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("invoice: write and sign");
    group.bench_function(OURS, |bencher| bencher.iter(|| ours().to_string()));
    group.bench_function(LDK, |bencher| bencher.iter(|| ldk().to_string()));
    let digest = Message::from_digest(HASH);
    group.bench_function(BARE, |bencher| {
        bencher.iter(|| SECP256K1.sign_ecdsa_recoverable(black_box(&digest), &key(1)));
    });
    group.finish();
}

fn parse(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("invoice: read");
    let text = ours().to_string();
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| black_box(&text).parse::<Invoice>().expect("it is ours"));
    });
    group.bench_function(LDK, |bencher| {
        bencher.iter(|| black_box(&text).parse::<Bolt11Invoice>().expect("it is fine"));
    });
    let digest = Message::from_digest(HASH);
    let signature = SECP256K1.sign_ecdsa_recoverable(&digest, &key(1));
    group.bench_function(BARE, |bencher| {
        bencher.iter(|| SECP256K1.recover_ecdsa(black_box(&digest), &signature).expect("a key"));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = runner();
    targets = sign, parse
}
criterion_main!(benches);
