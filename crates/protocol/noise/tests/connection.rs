//! Two ends, and a wire between them that cuts, alters and drops.

use proptest::prelude::*;
use quittance_noise::{
    ACT_ONE_LEN, Act, BODY_LEN_MAX, BodyTooLong, Decrypted, Decryptor, Established, HEADER_LEN, HandshakeError,
    Initiator, RECORD_OVERHEAD, RecordError, Responder, SealError,
};
use secp256k1::{SECP256K1, SecretKey};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a valid key")
}

fn connected() -> (Established, Established) {
    let (initiator, act_one) = Initiator::start(key(1), key(2), key(3).public_key(SECP256K1));
    let (responder, act_two) = Responder::accept(key(3), key(4), &act_one).expect("act one is ours");
    let (at_initiator, act_three) = initiator.finish(&act_two).expect("act two is ours");
    (at_initiator, responder.finish(&act_three).expect("act three is ours"))
}

/// Every whole record in `stream`, and what is left of it.
fn drain(decryptor: &mut Decryptor, stream: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, RecordError> {
    let mut bodies = Vec::new();
    while let Decrypted::Record { body, consumed } = decryptor.decrypt(stream)? {
        bodies.push(body.to_vec());
        stream.drain(..consumed);
    }
    Ok(bodies)
}

#[test]
fn both_ends_know_each_other_and_speak_both_ways() {
    let (mut alice, mut bob) = connected();
    assert_eq!(alice.remote, key(3).public_key(SECP256K1));
    assert_eq!(bob.remote, key(1).public_key(SECP256K1));

    let mut stream = Vec::new();
    alice.encryptor.append(b"ping", &mut stream).unwrap();
    assert_eq!(drain(&mut bob.decryptor, &mut stream), Ok(vec![b"ping".to_vec()]));
    bob.encryptor.append(b"pong", &mut stream).unwrap();
    assert_eq!(drain(&mut alice.decryptor, &mut stream), Ok(vec![b"pong".to_vec()]));
}

#[test]
fn a_caller_that_takes_us_for_another_node_is_refused_at_act_one() {
    let (_, act_one) = Initiator::start(key(1), key(2), key(9).public_key(SECP256K1));
    let refused = Responder::accept(key(3), key(4), &act_one).err();
    assert_eq!(refused, Some(HandshakeError::BadTag { act: Act::One }));
}

#[test]
fn keys_outlive_many_rotations_in_both_directions() {
    let (mut alice, mut bob) = connected();
    let first_key = alice.encryptor.expose_keys().key.clone();
    for number in 0..1_750_u32 {
        let mut stream = Vec::new();
        alice.encryptor.append(&number.to_be_bytes(), &mut stream).unwrap();
        assert_eq!(
            drain(&mut bob.decryptor, &mut stream),
            Ok(vec![number.to_be_bytes().to_vec()])
        );
        bob.encryptor.append(&number.to_le_bytes(), &mut stream).unwrap();
        assert_eq!(
            drain(&mut alice.decryptor, &mut stream),
            Ok(vec![number.to_le_bytes().to_vec()])
        );
    }
    assert_eq!(alice.encryptor.expose_keys().nonce, 500);
    assert_ne!(alice.encryptor.expose_keys().key, first_key);
    assert_eq!(alice.encryptor.expose_keys().key, bob.decryptor.expose_keys().key);
}

#[test]
fn the_longest_message_fits_and_a_longer_one_is_refused_before_anything_is_written() {
    let (mut alice, mut bob) = connected();
    let mut stream = vec![7];
    let length = BODY_LEN_MAX + 1;
    assert_eq!(
        alice.encryptor.append(&vec![1; length], &mut stream),
        Err(BodyTooLong { length })
    );
    assert_eq!(stream, [7]);
    let mut too_large = vec![1; length + RECORD_OVERHEAD];
    assert_eq!(
        alice.encryptor.seal(&mut too_large),
        Err(SealError::BodyTooLong(BodyTooLong { length }))
    );
    assert!(too_large.iter().all(|byte| *byte == 1));

    stream.clear();
    alice.encryptor.append(&vec![1; BODY_LEN_MAX], &mut stream).unwrap();
    assert_eq!(stream.len(), 65_569);
    assert_eq!(drain(&mut bob.decryptor, &mut stream), Ok(vec![vec![1; BODY_LEN_MAX]]));
}

#[test]
fn a_buffer_without_room_for_a_record_is_refused() {
    let (mut alice, _) = connected();
    let refused = alice.encryptor.seal(&mut [0; RECORD_OVERHEAD - 1]);
    assert_eq!(refused, Err(SealError::BufferTooShort { length: 33 }));
    assert_eq!(alice.encryptor.expose_keys().nonce, 0);
}

#[test]
fn a_stream_says_how_much_is_missing() {
    let (mut alice, mut bob) = connected();
    let mut stream = Vec::new();
    alice.encryptor.append(b"hello", &mut stream).unwrap();
    let missing = |missing| Ok(Decrypted::Incomplete { missing });
    assert_eq!(bob.decryptor.decrypt(&mut []), missing(HEADER_LEN));
    assert_eq!(bob.decryptor.decrypt(&mut stream[..17]), missing(1));
    assert_eq!(bob.decryptor.decrypt(&mut stream[..18]), missing(21));
    assert_eq!(bob.decryptor.decrypt(&mut stream[..38]), missing(1));
    let body = &mut *b"hello".to_vec();
    assert_eq!(
        bob.decryptor.decrypt(&mut stream),
        Ok(Decrypted::Record { body, consumed: 39 })
    );
}

#[test]
fn a_replayed_a_dropped_and_a_reflected_record_are_refused() {
    let (mut alice, mut bob) = connected();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    alice.encryptor.append(b"one", &mut first).unwrap();
    alice.encryptor.append(b"two", &mut second).unwrap();

    let (_, mut skipping_bob) = connected();
    assert_eq!(
        drain(&mut skipping_bob.decryptor, &mut second),
        Err(RecordError::BadLengthTag)
    );
    assert_eq!(
        drain(&mut alice.decryptor, &mut first.clone()),
        Err(RecordError::BadLengthTag)
    );
    let mut twice = [first.clone(), first].concat();
    assert_eq!(drain(&mut bob.decryptor, &mut twice), Err(RecordError::BadLengthTag));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        cuts in prop::collection::vec(1_usize..120, 1..40),
    ) {
        let (mut alice, mut bob) = connected();
        let mut wire = Vec::new();
        for body in &bodies {
            alice.encryptor.append(body, &mut wire).unwrap();
        }
        let (mut received, mut stream, mut wire) = (Vec::new(), Vec::new(), &wire[..]);
        for cut in cuts.iter().cycle() {
            let (piece, rest) = wire.split_at((*cut).min(wire.len()));
            stream.extend_from_slice(piece);
            received.extend(drain(&mut bob.decryptor, &mut stream).unwrap());
            wire = rest;
            if wire.is_empty() {
                break;
            }
        }
        prop_assert_eq!(received, bodies);
        prop_assert!(stream.is_empty());
    }

    #[test]
    fn a_stream_altered_at_any_byte_is_refused_there_and_ever_after(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let (mut alice, mut bob) = connected();
        let (mut stream, mut ends) = (Vec::new(), Vec::new());
        for body in &bodies {
            alice.encryptor.append(body, &mut stream).unwrap();
            ends.push(stream.len());
        }
        let place = place.index(stream.len());
        stream[place] ^= flip;
        let intact = ends.iter().filter(|end| **end <= place).count();
        let start = intact.checked_sub(1).map_or(0, |last| ends[last]);
        let expected = if place - start < HEADER_LEN { RecordError::BadLengthTag } else { RecordError::BadBodyTag };
        for body in &bodies[..intact] {
            let Ok(Decrypted::Record { body: received, consumed }) = bob.decryptor.decrypt(&mut stream) else {
                return Err(TestCaseError::fail("an intact record was refused"));
            };
            prop_assert_eq!(&*received, &body[..]);
            stream.drain(..consumed);
        }
        prop_assert_eq!(bob.decryptor.decrypt(&mut stream), Err(expected));
        stream[place - start] ^= flip;
        prop_assert_eq!(bob.decryptor.decrypt(&mut stream), Err(expected));
    }

    #[test]
    fn an_act_altered_at_any_byte_is_refused(place in 0_usize..ACT_ONE_LEN + 50 + 66, flip in 1_u8..) {
        let (initiator, mut act_one) = Initiator::start(key(1), key(2), key(3).public_key(SECP256K1));
        if let Some(byte) = act_one.get_mut(place) {
            *byte ^= flip;
            prop_assert!(Responder::accept(key(3), key(4), &act_one).is_err());
            return Ok(());
        }
        let (responder, mut act_two) = Responder::accept(key(3), key(4), &act_one).unwrap();
        if let Some(byte) = act_two.get_mut(place - ACT_ONE_LEN) {
            *byte ^= flip;
            prop_assert!(initiator.finish(&act_two).is_err());
            return Ok(());
        }
        let (_, mut act_three) = initiator.finish(&act_two).unwrap();
        act_three[place - 100] ^= flip;
        prop_assert!(responder.finish(&act_three).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (initiator, act_one) = Initiator::start(key(1), key(2), key(3).public_key(SECP256K1));
        prop_assert!(Responder::accept(key(3), key(4), &bytes).is_err());
        prop_assert!(initiator.finish(&bytes).is_err());
        let (responder, _) = Responder::accept(key(3), key(4), &act_one).unwrap();
        prop_assert!(responder.finish(&bytes).is_err());
        let (_, mut bob) = connected();
        let expected = match HEADER_LEN.checked_sub(bytes.len()) {
            Some(missing) if missing > 0 => Ok(Decrypted::Incomplete { missing }),
            _ => Err(RecordError::BadLengthTag),
        };
        let mut stream = bytes;
        prop_assert_eq!(bob.decryptor.decrypt(&mut stream), expected);
    }
}
