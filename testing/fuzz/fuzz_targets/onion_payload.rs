//! The payload of a hop: its records are written back as they were, and judged without a panic, at every place of a route.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_fuzz::{choice, key, packet_for, public};
use quittance_onion::{IncomingHtlc, OnionHop, PAYMENT_AREA, PayloadRecords, create_onion, open_onion};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash};

const HASH: PaymentHash = PaymentHash([7; 32]);

fuzz_target!(|data: &[u8]| {
    let Some((place, payload)) = choice(data) else {
        return;
    };
    if let Ok(records) = PayloadRecords::decode(payload) {
        assert_eq!(records.encode(), payload);
    }
    let mut hops = vec![OnionHop {
        node: public(2),
        payload: payload.to_vec(),
    }];
    if place & 1 != 0 {
        hops.push(OnionHop {
            node: public(3),
            payload: vec![2, 0],
        });
    }
    let htlc = IncomingHtlc {
        amount: MilliSatoshi(1_000_000),
        expiry: CltvExpiry(800_000),
        path_key: (place & 2 != 0).then(|| public(4)),
    };
    let packet = match create_onion(&key(1), &hops, &HASH.0, PAYMENT_AREA) {
        Ok(onion) => onion.packet,
        // Too short or too long to be made: without the length in front it may still be peeled.
        Err(_) => packet_for(&key(2), &[payload, &[0; 64]].concat(), &HASH.0),
    };
    // With a path key the onion is made for the wrong key, which is refused.
    let _ = open_onion(&packet, &HASH, &htlc, &key(2));
});
