//! BigSize and truncated integers: what is read is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_wire::{BigSize, Reader, TlvValue, Tu16, Tu32, Tu64, Wire};

fn truncated<T: TlvValue>(data: &[u8]) {
    if let Ok(value) = T::read_value(data) {
        let mut written = Vec::new();
        value.write_value(&mut written);
        assert_eq!(written, data);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    while let Ok(value) = BigSize::read(&mut reader) {
        let mut written = Vec::new();
        value.write(&mut written);
        let end = data.len() - reader.remaining();
        assert_eq!(data[end - written.len()..end], written);
    }
    truncated::<Tu16>(data);
    truncated::<Tu32>(data);
    truncated::<Tu64>(data);
});
