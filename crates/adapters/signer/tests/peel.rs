//! Onions that come with HTLCs are peeled, or are said to be what they are.

use bitcoin::hashes::{Hash, sha256};
use quittance_channel::ReceivedOnion;
use quittance_onion::{OnionHop, PAYMENT_AREA, SharedSecret, create_onion};
use quittance_primitives::{ChannelId, CltvExpiry, HtlcId, MilliSatoshi, PaymentHash};
use quittance_signer::LocalSigner;
use quittance_wire::UpdateAddHtlc;
use secp256k1::SecretKey;

const PAYLOADS: [&[u8]; 2] = [&[2, 1, 7], &[2, 1, 8]];

/// An HTLC whose onion is for these, in their order; and the secrets that its maker shares with them.
fn htlc(hops: &[&LocalSigner]) -> (UpdateAddHtlc, Vec<[u8; 32]>) {
    let hops: Vec<OnionHop> = hops
        .iter()
        .zip(PAYLOADS)
        .map(|(signer, payload)| OnionHop {
            node: signer.node_id().public_key().expect("a key of ours"),
            payload: payload.to_vec(),
        })
        .collect();
    let session_key = SecretKey::from_slice(&[9; 32]).expect("a valid key");
    let payment_hash = PaymentHash([5; 32]);
    let onion = create_onion(&session_key, &hops, &payment_hash.0, PAYMENT_AREA).expect("it fits");
    let add = UpdateAddHtlc {
        channel_id: ChannelId([1; 32]),
        id: HtlcId(0),
        amount_msat: MilliSatoshi(1_000),
        payment_hash,
        cltv_expiry: CltvExpiry(500),
        onion_routing_packet: Box::new(*onion.packet.as_payment().expect("as long as a payment's")),
        blinded_path: None,
    };
    (add, onion.secrets.iter().map(SharedSecret::to_bytes).collect())
}

#[test]
fn each_hop_reads_its_payload_and_hands_on_the_rest() {
    let (first, last) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
    let (mut add, secrets) = htlc(&[&first, &last]);
    let ReceivedOnion::Peeled {
        shared_secret,
        payload,
        next_packet,
    } = first.peel(&add)
    else {
        panic!("it is for the first");
    };
    assert_eq!((shared_secret, payload.as_slice()), (secrets[0], PAYLOADS[0]));

    add.onion_routing_packet = next_packet.expect("there is a next hop");
    let peeled = ReceivedOnion::Peeled {
        shared_secret: secrets[1],
        payload: PAYLOADS[1].to_vec(),
        next_packet: None,
    };
    assert_eq!(last.peel(&add), peeled);
}

/// BOLT 4, failure messages: `invalid_onion_version`, `invalid_onion_hmac` and `invalid_onion_key`, each with the hash of what came.
#[test]
fn an_onion_that_is_none_is_malformed_in_its_own_way() {
    let (payee, stranger) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
    let (whole, _) = htlc(&[&payee]);
    let with = |place: usize, byte: u8| {
        let mut add = whole.clone();
        add.onion_routing_packet[place] = byte;
        add
    };
    let last = whole.onion_routing_packet.len() - 1;
    let mut other_hash = whole.clone();
    other_hash.payment_hash = PaymentHash([6; 32]);
    for (add, signer, failure_code) in [
        (with(0, 1), &payee, 0xc004),
        (with(1, 5), &payee, 0xc006),
        (with(700, whole.onion_routing_packet[700] ^ 1), &payee, 0xc005),
        (with(last, whole.onion_routing_packet[last] ^ 1), &payee, 0xc005),
        (other_hash, &payee, 0xc005),
        (whole.clone(), &stranger, 0xc005),
    ] {
        let malformed = ReceivedOnion::Malformed {
            failure_code,
            sha256_of_onion: sha256::Hash::hash(&*add.onion_routing_packet).to_byte_array(),
        };
        assert_eq!(signer.peel(&add), malformed);
    }
}
