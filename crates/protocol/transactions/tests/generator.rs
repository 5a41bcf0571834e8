//! Multiples by numbers that are no secret are those that libsecp256k1 gives.

use proptest::prelude::*;
use quittance_transactions::PerCommitmentSecret;
use quittance_transactions::generator::{add_public_multiple, public_multiple};
use secp256k1::constants::{CURVE_ORDER, ONE};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

/// Numbers below the order of the group, most of whose bytes are ordinary, least, greatest, or all the same.
fn a_number() -> impl Strategy<Value = [u8; 32]> {
    let byte = || prop_oneof![4 => any::<u8>(), 1 => Just(0), 1 => Just(u8::MAX), 1 => Just(1)];
    let of_one_byte = (0..32_usize, any::<u8>()).prop_map(|(place, byte)| {
        let mut number = [0; 32];
        number[place] = byte;
        number
    });
    let below_the_order = |number: &[u8; 32]| *number < CURVE_ORDER;
    prop_oneof![
        4 => proptest::array::uniform32(byte()),
        1 => of_one_byte,
        1 => Just(greatest()),
        1 => Just([u8::MAX >> 1; 32]),
    ]
    .prop_filter("a number of the group", below_the_order)
}

/// The order of the group less one.
fn greatest() -> [u8; 32] {
    let mut number = CURVE_ORDER;
    number[31] -= 1;
    number
}

fn scalar(number: [u8; 32]) -> Scalar {
    Scalar::from_be_bytes(number).expect("it is below the order")
}

fn by_the_library(number: [u8; 32]) -> Option<PublicKey> {
    SecretKey::from_slice(&number).ok().map(|key| key.public_key(SECP256K1))
}

proptest! {
    #[test]
    fn a_public_multiple_is_that_of_the_library(number in a_number()) {
        prop_assert_eq!(public_multiple(&scalar(number)), by_the_library(number));
    }

    #[test]
    fn a_public_multiple_is_added_as_the_library_does(base in a_number(), number in a_number()) {
        let Some(point) = by_the_library(base) else { return Ok(()) };
        let expected = point.add_exp_tweak(SECP256K1, &scalar(number)).ok();
        prop_assert_eq!(add_public_multiple(&point, &scalar(number)), expected);
    }

    #[test]
    fn a_secret_is_that_of_its_point_alone(secret in a_number(), other in a_number()) {
        let Some(point) = by_the_library(secret) else { return Ok(()) };
        prop_assert!(PerCommitmentSecret(secret).is_secret_of(&point));
        prop_assert_eq!(PerCommitmentSecret(other).is_secret_of(&point), other == secret);
    }
}

#[test]
fn zero_has_no_point() {
    assert_eq!(public_multiple(&Scalar::ZERO), None);
    let point = by_the_library([7; 32]).expect("a key");
    assert_eq!(add_public_multiple(&point, &Scalar::ZERO), Some(point));
    assert!(!PerCommitmentSecret([0; 32]).is_secret_of(&point));
}

#[test]
fn a_point_and_its_opposite_have_no_sum() {
    let generator = by_the_library(ONE).expect("a key");
    assert_eq!(add_public_multiple(&generator, &scalar(greatest())), None);
}

#[test]
fn a_number_beyond_the_order_is_no_secret() {
    let one = by_the_library(ONE).expect("a key");
    // The order and one more are congruent to zero and one, but not keys.
    let mut beyond = CURVE_ORDER;
    assert!(!PerCommitmentSecret(beyond).is_secret_of(&one));
    beyond[31] += 1;
    assert!(!PerCommitmentSecret(beyond).is_secret_of(&one));
}
