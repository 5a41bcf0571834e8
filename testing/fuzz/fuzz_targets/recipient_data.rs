//! What a blinded path tells a hop, and blinded paths themselves: read, and written back to what reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_onion::{BlindedPath, RecipientData, SharedSecret};
use quittance_wire::TlvValue;

fuzz_target!(|data: &[u8]| {
    if let Ok(recipient_data) = RecipientData::decode(data) {
        // The length of the padding is kept, up to what an onion can hold.
        if u16::try_from(data.len()).is_ok() {
            let written = recipient_data.encode();
            assert_eq!(RecipientData::decode(&written), Ok(recipient_data.clone()));
        }
        let secret = SharedSecret::from_bytes([5; 32]);
        assert_eq!(recipient_data.seal(&secret).len(), recipient_data.sealed_len());
        assert_eq!(
            RecipientData::open(&recipient_data.seal(&secret), &secret),
            Ok(recipient_data)
        );
    }
    if let Ok(path) = BlindedPath::read_value(data) {
        let mut written = Vec::new();
        path.write_value(&mut written);
        assert_eq!(written, data);
    }
});
