//! An onion message that peels to any records, with recipient data that opens to anything.
#![no_main]

use bitcoin::hashes::{Hash, sha256};
use libfuzzer_sys::fuzz_target;
use quittance_fuzz::{choice, key, public, sealed_packet};
use quittance_onion::{OpenedMessage, SharedSecret, blinded_secret_key, open_message};
use quittance_onion::{PathNode, RecipientData, create_blinded_path};
use quittance_wire::{BigSize, OnionMessage, TlvWriter, Wire};

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = choice(data) else {
        return;
    };
    let Some((split, rest)) = choice(rest) else {
        return;
    };
    let (records, instructions) = rest.split_at(usize::from(split).min(rest.len()));
    // A path whose only hop is node 2 gives the blinding; the recipient data is then ours to choose.
    let instructions = RecipientData::decode(instructions).unwrap_or_default();
    let path = create_blinded_path(
        &key(6),
        &[PathNode {
            node: public(2),
            data: instructions,
        }],
    )
    .expect("one hop")
    .path;
    let blinding = SharedSecret::agree(&path.first_path_key, &key(2));
    let node = blinded_secret_key(&key(2), &blinding).expect("a tweak is no zero");

    let mut payload = Vec::new();
    if kind & 1 == 0 {
        TlvWriter::new(&mut payload).bytes(4, &path.hops[0].encrypted_recipient_data);
    }
    payload.extend_from_slice(records);
    let mut layer = Vec::new();
    BigSize(payload.len() as u64).write(&mut layer);
    layer.extend_from_slice(&payload);
    let next_hmac = if kind & 2 == 0 {
        [0; 32]
    } else {
        sha256::Hash::hash(rest).to_byte_array()
    };
    layer.extend_from_slice(&next_hmac);
    layer.resize(layer.len().max(1_300), 0);

    let secret = SharedSecret::agree(&public(1), &node);
    let message = OnionMessage {
        path_key: path.first_path_key,
        onion_message_packet: sealed_packet(&public(1), &secret, &layer, &[]),
    };
    if let Ok(OpenedMessage::Forward { message: next, .. }) = open_message(&message, &key(2), &[64, 66, 68]) {
        assert_eq!(next.onion_message_packet.len(), message.onion_message_packet.len());
    }
    let arbitrary = OnionMessage {
        path_key: public(4),
        onion_message_packet: data.to_vec(),
    };
    assert!(open_message(&arbitrary, &key(2), &[]).is_err());
});
