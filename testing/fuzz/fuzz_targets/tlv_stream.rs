//! A TLV stream that is read without an error is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_wire::{TlvStream, TlvWriter};

fuzz_target!(|data: &[u8]| {
    let Ok(records) = TlvStream::new(data).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut written = Vec::new();
    let mut writer = TlvWriter::new(&mut written);
    for record in records {
        writer.bytes(record.record_type, record.bytes);
    }
    assert_eq!(written, data);
});
