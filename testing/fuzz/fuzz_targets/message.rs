//! Any bytes as a message: refused, or read to something that is written and read the same; signed gossip to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quittance_wire::Message;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::decode(data) else {
        return;
    };
    let written = message.encode();
    let is_signed_gossip = matches!(
        message,
        Message::ChannelAnnouncement(_) | Message::NodeAnnouncement(_) | Message::ChannelUpdate(_)
    );
    assert!(!is_signed_gossip || written == data, "{message:?}");
    assert_eq!(Message::decode(&written), Ok(message));
});
