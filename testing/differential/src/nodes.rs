//! Nodes whose keys both sides hold, and the same packet in the types of either.

use lightning::ln::msgs;
use lightning::ln::types::ChannelId;
use lightning::sign::KeysManager;
use lightning::util::logger::{Logger, Record};
use lightning_types::payment as ldk;
use quittance_onion::{IncomingHtlc, OnionPacket};
use quittance_primitives::PaymentHash;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::Random;

/// The height of the chain.
pub const HEIGHT: u32 = 800_000;

/// A node.
pub struct Node {
    /// As LDK holds its key.
    pub keys: KeysManager,
    /// As we hold it.
    pub secret: SecretKey,
    /// Its id.
    pub id: PublicKey,
}

/// Logs nothing.
pub struct Quiet;

impl Logger for Quiet {
    fn log(&self, _: Record<'_>) {}
}

/// As many nodes as a route of the tests has.
pub fn nodes() -> Vec<Node> {
    let node = |seed| {
        let keys = KeysManager::new(&[seed; 32], 0, 0, true);
        let secret = keys.get_node_secret_key();
        Node {
            keys,
            secret,
            id: secret.public_key(SECP256K1),
        }
    };
    (1..=6).map(node).collect()
}

/// A random session key.
pub fn session_key(random: &mut Random) -> SecretKey {
    let mut bytes: [u8; 32] = random.array();
    bytes[0] = 1;
    SecretKey::from_slice(&bytes).expect("below the curve's order")
}

/// LDK's packet as ours.
pub fn our_packet(packet: &msgs::OnionPacket) -> OnionPacket {
    let key = packet.public_key.expect("a packet with a key").serialize();
    let bytes = [&[packet.version][..], &key, &packet.hop_data, &packet.hmac].concat();
    OnionPacket::from_bytes(bytes).expect("a packet with a key, a payload area and an HMAC")
}

/// The message that carries our packet to a node of LDK's.
pub fn update_add_htlc(packet: &OnionPacket, hash: &PaymentHash, htlc: &IncomingHtlc) -> msgs::UpdateAddHTLC {
    let bytes = packet.as_bytes();
    msgs::UpdateAddHTLC {
        channel_id: ChannelId([0; 32]),
        htlc_id: 0,
        amount_msat: htlc.amount.0,
        payment_hash: ldk::PaymentHash(hash.0),
        cltv_expiry: htlc.expiry.0,
        skimmed_fee_msat: None,
        onion_routing_packet: msgs::OnionPacket {
            version: bytes[0],
            public_key: PublicKey::from_slice(&bytes[1..34]),
            hop_data: packet.area().try_into().expect("a payment's packet"),
            hmac: packet.hmac(),
        },
        blinding_point: htlc.path_key,
        hold_htlc: None,
    }
}
