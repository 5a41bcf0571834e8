//! Multiples of the curve's generator by numbers that are no secret.
//!
//! libsecp256k1 multiplies the generator in a time that tells nothing of the number, which may be a private key. Most numbers
//! of BOLT 3 are none: what is added to a basepoint is a hash that both sides know, and a secret that was revealed is one no
//! longer. For those a sum of multiples that are kept, one for each byte of the number, takes less than half of the time.

use std::sync::LazyLock;

use secp256k1::constants::ONE;
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

/// The bytes of a number.
const BYTES: usize = 32;
/// The multiples for one byte: of 1 to 255, since none is added for zero.
const OF_A_BYTE: usize = 255;

/// The multiples for each byte, from the least: 522 kB.
static MULTIPLES: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let mut multiples = Vec::with_capacity(BYTES * OF_A_BYTE);
    let mut unit = SecretKey::from_slice(&ONE).expect(NEVER_INFINITY).public_key(SECP256K1);
    for _ in 0..BYTES {
        let mut multiple = unit;
        for _ in 0..OF_A_BYTE {
            multiples.push(multiple);
            multiple = multiple.combine(&unit).expect(NEVER_INFINITY);
        }
        unit = multiple;
    }
    multiples
});

/// Makes what is kept, in some 20 milliseconds, so that the first who needs it does not wait for that.
pub fn prepare() {
    LazyLock::force(&MULTIPLES);
}

/// `number * G`, or `None` for zero. The time that it takes depends on `number`: never give it a secret.
pub fn public_multiple(number: &Scalar) -> Option<PublicKey> {
    sum(&[], number)
}

/// `point + number * G`, or `None` where that is infinity. The time that it takes depends on `number`: never give it a secret.
pub fn add_public_multiple(point: &PublicKey, number: &Scalar) -> Option<PublicKey> {
    sum(&[*point], number)
}

fn sum(first: &[PublicKey], number: &Scalar) -> Option<PublicKey> {
    let digits = number.to_be_bytes().into_iter().rev().map(usize::from);
    let multiples = MULTIPLES.chunks_exact(OF_A_BYTE).zip(digits);
    let multiples = multiples.filter_map(|(of_a_byte, digit)| of_a_byte.get(digit.checked_sub(1)?));
    // Copied first: so all are on their way from memory at once, and no addition waits for the next.
    let terms: Vec<PublicKey> = first.iter().chain(multiples).copied().collect();
    let terms: Vec<&PublicKey> = terms.iter().collect();
    PublicKey::combine_keys(&terms).ok()
}

const NEVER_INFINITY: &str = "the order of the group, a prime, divides no byte times a power of two";
