//! A packet whose HMAC is right and whose layer holds anything: any length in front, any next HMAC, any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_fuzz::{choice, key, packet_for};
use quittance_onion::{IncomingHtlc, OnionPacket, open_onion, peel_with_key};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash};

const HASH: PaymentHash = PaymentHash([7; 32]);

fuzz_target!(|data: &[u8]| {
    if let Ok(packet) = OnionPacket::from_bytes(data.to_vec()) {
        assert_eq!(packet.as_bytes(), data);
        let _ = peel_with_key(&packet, &key(2), &HASH.0);
    }
    let Some((size, layer)) = choice(data) else {
        return;
    };
    let mut payloads = layer.to_vec();
    if size & 1 != 0 {
        payloads.resize(1_300, 0);
    }
    let packet = packet_for(&key(2), &payloads, &HASH.0);
    if let Ok((_, peeled)) = peel_with_key(&packet, &key(2), &HASH.0) {
        assert!(peeled.payload.len() < payloads.len());
        let next = peeled.next.map(|next| next.as_bytes().len());
        assert!(next.is_none_or(|next| next == packet.as_bytes().len()));
    }
    let htlc = IncomingHtlc {
        amount: MilliSatoshi(1_000),
        expiry: CltvExpiry(800_000),
        path_key: None,
    };
    let _ = open_onion(&packet, &HASH, &htlc, &key(2));
});
