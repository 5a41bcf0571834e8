//! Any message that we can make: read back as it was, and refused or read the same when one byte of it is another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_wire::Message;
use quittance_wire::generate::{Generate, Source};

fuzz_target!(|data: &[u8]| {
    let Some(([place, other, flip], tape)) = data.split_first_chunk() else {
        return;
    };
    let message = Message::generate(&mut Source::new(tape));
    let mut bytes = message.encode();
    assert_eq!(Message::decode(&bytes), Ok(message));

    let place = usize::from(u16::from_be_bytes([*place, *other])) % bytes.len();
    bytes[place] ^= flip;
    if let Ok(altered) = Message::decode(&bytes) {
        assert_eq!(Message::decode(&altered.encode()), Ok(altered));
    }
});
