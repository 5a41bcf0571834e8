//! The transport: acts of any bytes, and a stream that the fuzzer writes, cuts, alters and drops parts of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_fuzz::{choice, key, public};
use quittance_noise::{Decrypted, Established, Initiator, Responder};

fn acts(data: &[u8]) -> (Established, Established) {
    let (initiator, mut act_one) = Initiator::start(key(1), key(2), public(3));
    assert!(Responder::accept(key(3), key(4), data).is_err() || data == act_one);
    let (responder, mut act_two) = Responder::accept(key(3), key(4), &act_one).expect("act one is ours");
    let (at_initiator, mut act_three) = initiator.finish(&act_two).expect("act two is ours");
    let at_responder = responder.finish(&act_three).expect("act three is ours");

    // One of the acts, altered by the fuzzer: any change is refused.
    if let [act, place, alteration, ..] = data {
        let place = usize::from(*place);
        let refused = match act % 3 {
            0 => {
                act_one[place % act_one.len()] ^= alteration;
                Responder::accept(key(3), key(4), &act_one).is_err()
            }
            1 => {
                let (initiator, _) = Initiator::start(key(1), key(2), public(3));
                act_two[place % act_two.len()] ^= alteration;
                initiator.finish(&act_two).is_err()
            }
            _ => {
                let (responder, _) = Responder::accept(key(3), key(4), &act_one).expect("act one is ours");
                act_three[place % act_three.len()] ^= alteration;
                responder.finish(&act_three).is_err()
            }
        };
        assert_eq!(refused, *alteration != 0);
    }
    (at_initiator, at_responder)
}

fuzz_target!(|data: &[u8]| {
    let (mut alice, mut bob) = acts(data);
    let (mut stream, mut sent, mut received) = (Vec::new(), Vec::new(), 0);
    let mut intact = true;
    let mut script = data;
    while let Some((command, rest)) = choice(script) {
        let (argument, rest) = choice(rest).unwrap_or((0, rest));
        script = rest;
        match command % 4 {
            0 | 1 => {
                let body = vec![argument; usize::from(argument) * usize::from(command / 4)];
                alice
                    .encryptor
                    .append(&body, &mut stream)
                    .expect("at most 16,065 bytes");
                sent.push(body);
            }
            2 => {
                let place = usize::from(argument) * 7;
                if let Some(byte) = stream.get_mut(place) {
                    *byte ^= command;
                    intact = false;
                }
            }
            _ => {
                let available = usize::from(argument) * 64;
                let end = available.min(stream.len());
                match bob.decryptor.decrypt(&mut stream[..end]) {
                    Ok(Decrypted::Incomplete { missing }) => assert!(missing > 0),
                    Ok(Decrypted::Record { body, consumed }) => {
                        assert_eq!(body, sent[received], "what is given is what was sent, in order");
                        received += 1;
                        stream.drain(..consumed);
                    }
                    Err(error) => {
                        assert!(!intact, "an intact stream is not refused");
                        assert_eq!(bob.decryptor.decrypt(&mut stream), Err(error));
                    }
                }
            }
        }
    }
});
