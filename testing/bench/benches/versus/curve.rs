//! What a payment costs at least: the work on the curve, counted, at the price that each operation has in this run.

use std::hint::black_box;

use bitcoin::secp256k1::ecdh::SharedSecret;
use bitcoin::secp256k1::{Message, SECP256K1, Scalar};
use quittance_bench::{key, point};
use quittance_payments_bench::node::Outcome;

use crate::Plan;
use crate::counts::Moment;
use crate::figures::{median, millis, short};

/// How often each operation is done for one price.
const TIMES: u32 = 400;

/// Measures each operation, and prints a table for one direct payment alone, both nodes together.
///
/// The counts are those of the calls of libsecp256k1 in `quittance-payments-bench memory 200 'direct, in memory, one'`, which `perf` counts by
/// probes; LDK's in the anchors are 12 signatures, 6 verifications, 24 multiplications, 54 keys and 3 agreements.
pub(crate) fn measure(plan: &Plan) -> Outcome<()> {
    if !plan.includes("curve") {
        return Ok(());
    }
    let (secret, public, other) = (key(7), point(8), point(9));
    let tweak = Scalar::from(key(11));
    let message = Message::from_digest([5; 32]);
    let signature = SECP256K1.sign_ecdsa(&message, &secret);
    let signer = secret.public_key(SECP256K1);
    let operations: [(&str, u32, &dyn Fn()); 7] = [
        ("signature", 6, &|| {
            black_box(SECP256K1.sign_ecdsa(black_box(&message), &secret));
        }),
        ("verification", 6, &|| {
            black_box(SECP256K1.verify_ecdsa(black_box(&message), &signature, &signer)).expect("it is valid");
        }),
        ("point multiplied", 12, &|| {
            black_box(black_box(public).mul_tweak(SECP256K1, &tweak)).expect("a point");
        }),
        ("multiple of the generator added", 20, &|| {
            black_box(black_box(public).add_exp_tweak(SECP256K1, &tweak)).expect("a point");
        }),
        ("points added", 4, &|| {
            black_box(black_box(public).combine(&other)).expect("a point");
        }),
        ("public key from its secret", 9, &|| {
            black_box(black_box(secret).public_key(SECP256K1));
        }),
        ("secret agreed on", 2, &|| {
            black_box(SharedSecret::new(black_box(&public), &secret));
        }),
    ];
    println!("| work on the curve | us each | in a payment, both nodes | ms |\n|---|---:|---:|---:|");
    let (mut total, mut total_ms) = (0, 0.0);
    for (name, count, operation) in operations {
        let samples = (0..5).map(|_| {
            let before = Moment::now();
            (0..TIMES).for_each(|_| operation());
            millis((Moment::now() - before).processor) * 1_000.0 / f64::from(TIMES)
        });
        let each = median(samples);
        let ms = each * f64::from(count) / 1_000.0;
        total += count;
        total_ms += ms;
        println!("| {name} | {} | {count} | {} |", short(each), short(ms));
    }
    println!("| all | | {total} | {} |\n", short(total_ms));
    Ok(())
}
