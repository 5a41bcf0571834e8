//! Packets made and peeled: whole routes, every flipped bit, arbitrary bytes.

mod route;

use proptest::collection::vec;
use proptest::prelude::*;
use quittance_onion::{
    CreateError, MAX_AREA, OVERHEAD, OnionError, OnionPacket, PAYMENT_AREA, SharedSecret, check_hops, create_onion,
    peel, peel_with_key, session_secrets,
};
use quittance_onion::{Failure, OnionHash};
use route::{hops, node_id, node_key, session_key};

/// Payloads for up to 20 hops which together fit a payment's onion.
fn fitting_payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (1..=20_usize).prop_flat_map(|hops| {
        let longest = PAYMENT_AREA / hops - 35;
        vec(vec(any::<u8>(), 2..=longest), hops)
    })
}

#[test]
fn a_route_of_27_hops_is_the_longest_that_fits() {
    let shortest = |count| hops(vec![vec![1; 15]; count]);
    assert!(create_onion(&session_key(), &shortest(27), &[], PAYMENT_AREA).is_ok());
    assert_eq!(
        create_onion(&session_key(), &shortest(28), &[], PAYMENT_AREA).unwrap_err(),
        CreateError::TooLong {
            needed: 28 * 48,
            area: 1300
        }
    );
}

#[test]
fn an_onion_fills_its_area_to_the_last_byte() {
    for (payload, area) in [(1300 - 35, PAYMENT_AREA), (100_000, MAX_AREA)] {
        let too_long = create_onion(&session_key(), &hops(vec![vec![7; payload + 1]]), &[], area);
        assert!(matches!(too_long, Err(CreateError::TooLong { .. })));
    }
    let whole = create_onion(&session_key(), &hops(vec![vec![7; 1300 - 35]]), &[], PAYMENT_AREA).unwrap();
    let (_, peeled) = peel_with_key(&whole.packet, &node_key(0), &[]).unwrap();
    assert_eq!((peeled.payload.len(), peeled.next), (1265, None));
}

#[test]
fn what_cannot_be_an_onion_is_not_made() {
    let make = |payloads| create_onion(&session_key(), &hops(payloads), &[], PAYMENT_AREA).unwrap_err();
    assert_eq!(make(vec![]), CreateError::NoHops);
    assert_eq!(make(vec![vec![1; 2], vec![1]]), CreateError::PayloadTooShort(1));
}

#[test]
fn hops_are_refused_by_a_check_as_they_are_by_the_making() {
    let payloads = [
        vec![],
        vec![vec![1; 2], vec![1]],
        vec![vec![1; 1300 - 35]],
        vec![vec![1; 1300 - 34]],
        vec![vec![1; 15]; 27],
        vec![vec![1; 15]; 28],
    ];
    for hops in payloads.map(hops) {
        let made = create_onion(&session_key(), &hops, &[], PAYMENT_AREA).map(|_| ());
        assert_eq!(check_hops(&hops, PAYMENT_AREA), made);
    }
}

#[test]
fn another_node_or_another_payment_cannot_peel() {
    let onion = create_onion(
        &session_key(),
        &hops(vec![vec![1; 20], vec![2; 20]]),
        &[1],
        PAYMENT_AREA,
    )
    .unwrap();
    let peel = |node, associated_data: &[u8]| {
        peel_with_key(&onion.packet, &node_key(node), associated_data).map(|(_, peeled)| peeled.payload)
    };
    assert_eq!(peel(0, &[1]), Ok(vec![1; 20]));
    assert_eq!(peel(1, &[1]), Err(OnionError::InvalidHmac));
    assert_eq!(peel(0, &[2]), Err(OnionError::InvalidHmac));
}

/// Authentic packets whose payload length is malformed: reserved, past the end, not minimal, or cut off.
#[test]
fn a_length_that_cannot_be_is_refused_behind_the_hmac() {
    for start in [
        &[0_u8][..],
        &[1],
        &[0xfd, 0, 0xfc],
        &[0xfd, 0x05, 0],
        &[0xfe, 0xff],
        &[0xff],
    ] {
        let packet = authentic_packet(start);
        let (secret, _) = secret_and_key();
        assert_eq!(
            peel(&packet, &secret, &[]),
            Err(OnionError::InvalidPayloadLength),
            "{start:x?}"
        );
        let failure = Failure::of_onion(OnionError::InvalidPayloadLength, OnionHash([0; 32]));
        assert_eq!(
            failure,
            Failure::InvalidOnionPayload {
                record_type: 0,
                offset: 0
            }
        );
    }
}

#[test]
fn legacy_payloads_are_refused_like_any_length_of_zero() {
    let packet = authentic_packet(&[0; 33]);
    assert_eq!(
        peel(&packet, &secret_and_key().0, &[]),
        Err(OnionError::InvalidPayloadLength)
    );
}

fn secret_and_key() -> (SharedSecret, secp256k1::PublicKey) {
    let key = session_key().public_key(secp256k1::SECP256K1);
    (SharedSecret::agree(&key, &node_key(0)), key)
}

/// A packet of version 0 with a right HMAC, whose decrypted area starts with `start`, here made without `create_onion`.
fn authentic_packet(start: &[u8]) -> OnionPacket {
    use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
    use chacha20::cipher::{KeyIvInit, StreamCipher};
    use quittance_onion::KeyType;

    let (secret, key) = secret_and_key();
    let mut area = vec![0; PAYMENT_AREA];
    area[..start.len()].copy_from_slice(start);
    chacha20::ChaCha20::new((&*secret.key(KeyType::Rho)).into(), &[0; 12].into()).apply_keystream(&mut area);
    let mut engine = HmacEngine::<sha256::Hash>::new(&*secret.key(KeyType::Mu));
    engine.input(&area);
    let hmac = Hmac::from_engine(engine).to_byte_array();
    OnionPacket::from_bytes([&[0][..], &key.serialize(), &area, &hmac].concat()).expect("long enough")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_hop_finds_its_payload_and_the_next_packet(
        payloads in fitting_payloads(),
        associated_data in vec(any::<u8>(), 0..40),
        spare in 0..3_usize,
    ) {
        let area = PAYMENT_AREA + spare * 777;
        let route: Vec<_> = (0..payloads.len()).map(node_id).collect();
        let onion = create_onion(&session_key(), &hops(payloads.clone()), &associated_data, area).unwrap();
        prop_assert_eq!(session_secrets(&session_key(), &route).unwrap(), onion.secrets.clone());
        let mut packet = Some(onion.packet);
        for (index, payload) in payloads.iter().enumerate() {
            let arrived = packet.expect("the onion ends with its last hop");
            prop_assert_eq!(arrived.as_bytes().len(), OVERHEAD + area);
            let (secret, peeled) = peel_with_key(&arrived, &node_key(index), &associated_data).unwrap();
            prop_assert_eq!(&secret, &onion.secrets[index]);
            prop_assert_eq!(&peeled.payload, payload);
            packet = peeled.next;
        }
        prop_assert_eq!(packet, None);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused(bit in 0..(OVERHEAD + PAYMENT_AREA) * 8) {
        let onion = create_onion(&session_key(), &hops(vec![vec![1; 20], vec![2; 20]]), &[], PAYMENT_AREA).unwrap();
        let mut bytes = onion.packet.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = OnionPacket::from_bytes(bytes)
            .map(|packet| peel_with_key(&packet, &node_key(0), &[]))
            .unwrap()
            .unwrap_err();
        match bit / 8 {
            0 => prop_assert_eq!(error, OnionError::UnknownVersion(1 << bit)),
            // Half of all x coordinates are on the curve; such a point yields another secret.
            1..=33 => prop_assert!(matches!(error, OnionError::InvalidKey | OnionError::InvalidHmac)),
            _ => prop_assert_eq!(error, OnionError::InvalidHmac),
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..2_000), secret: [u8; 32]) {
        let packet = OnionPacket::from_bytes(bytes.clone());
        prop_assert_eq!(packet.is_ok(), bytes.len() >= OVERHEAD);
        if let Ok(packet) = packet {
            prop_assert!(peel(&packet, &SharedSecret::from_bytes(secret), &[]).is_err());
        }
    }
}
