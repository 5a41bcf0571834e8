//! Failures: a message is read and written the same; a return packet of any bytes is read; a wrapped one names its maker.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_fuzz::choice;
use quittance_onion::{AttributionData, Failure, FailureSource, HoldTime, ReturnPacket, SharedSecret};

fuzz_target!(|data: &[u8]| {
    let Some((hops, bytes)) = choice(data) else {
        return;
    };
    if let Ok(failure) = Failure::decode(bytes) {
        assert_eq!(Failure::decode(&failure.encode()), Ok(failure));
    }

    // Mostly short routes: a long one costs a hundred times as much.
    let length = if hops & 0x7f == 0x7f { 20 } else { 1 + hops % 4 };
    let secrets: Vec<_> = (1..=length).map(|byte| SharedSecret::from_bytes([byte; 32])).collect();
    let held = (hops & 0x80 != 0).then_some(HoldTime(3));
    let made = ReturnPacket::create(&secrets[secrets.len() - 1], bytes, held);
    let wrapped = secrets
        .iter()
        .rev()
        .skip(1)
        .fold(made, |packet, secret| packet.wrap(secret, held));
    let report = wrapped.read(&secrets);
    let source = FailureSource::Hop {
        hop: secrets.len() - 1,
        message: bytes.to_vec(),
    };
    assert_eq!(report.source, source);
    assert_eq!(report.hold_times.len(), if held.is_some() { secrets.len() } else { 0 });

    let attribution = held.map(|_| {
        AttributionData::from_bytes(Box::new(std::array::from_fn(|index| {
            bytes.get(index % bytes.len().max(1)).copied().unwrap_or(0)
        })))
    });
    let _ = ReturnPacket {
        reason: bytes.to_vec(),
        attribution: attribution.clone(),
    }
    .read(&secrets);
    if let Some(attribution) = attribution {
        assert!(attribution.read_fulfilment(&secrets).len() <= secrets.len());
    }
});
