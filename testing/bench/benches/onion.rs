//! Payment onions: made for 1, 3 and 20 hops, and the first layer of 20 peeled.
//!
//! LDK makes the payloads too and, when peeling, reads them and checks the forward; that is its public API. Bare is what the
//! format asks for: for each hop an ECDH, an ephemeral key, a stream over the payload area and an HMAC of it.

use std::hint::black_box;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use criterion::{criterion_group, criterion_main};
use lightning::ln::channelmanager::RecipientOnionFields;
use lightning::ln::msgs::{OnionPacket as LdkPacket, UpdateAddHTLC};
use lightning::ln::onion_payment::peel_payment_onion;
use lightning::ln::types::ChannelId;
use lightning::routing::router::{Path, RouteHop};
use lightning::sign::KeysManager;
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::types::payment::{PaymentHash, PaymentSecret};
use lightning::util::logger::{Logger, Record};
use quittance_bench::{BARE, Bench, LDK, OURS, key, point, runner};
use quittance_onion::{OnionHop, OnionPacket, PAYMENT_AREA, create_onion, peel_with_key};
use quittance_primitives::ShortChannelId;
use quittance_wire::{TlvWriter, Tu32, Tu64};
use secp256k1::ecdh::SharedSecret;
use secp256k1::{PublicKey, SECP256K1, Scalar, Secp256k1, SecretKey};

const HASH: [u8; 32] = [0x42; 32];
const HEIGHT: u32 = 800_000;
const AMOUNT_MSAT: u64 = 10_000_000;
/// Bytes that a hop of LDK's route takes up: amount, expiry and channel, with their length and HMAC.
const SHIFT: usize = 1 + 5 + 6 + 10 + 32;

struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record) {}
}

/// LDK's node, which stands first on every route.
fn first_node() -> KeysManager {
    KeysManager::new(&[7; 32], 0, 0, true)
}

fn route(hops: u8) -> Vec<PublicKey> {
    let first = first_node().get_node_secret_key().public_key(SECP256K1);
    std::iter::once(first).chain((1..hops).map(point)).collect()
}

fn our_hops(nodes: &[PublicKey]) -> Vec<OnionHop> {
    let forward = |(scid, node): (u64, &PublicKey)| {
        let mut payload = Vec::new();
        let mut stream = TlvWriter::new(&mut payload);
        stream.record(2, &Tu64(AMOUNT_MSAT));
        stream.record(4, &Tu32(HEIGHT + 40));
        stream.record(6, &ShortChannelId(scid));
        OnionHop { node: *node, payload }
    };
    (1..).zip(nodes).map(forward).collect()
}

fn ldk_path(nodes: &[PublicKey]) -> Path {
    let hop = |(scid, node): (u64, &PublicKey)| RouteHop {
        pubkey: *node,
        node_features: NodeFeatures::empty(),
        short_channel_id: scid,
        channel_features: ChannelFeatures::empty(),
        fee_msat: if scid as usize == nodes.len() {
            AMOUNT_MSAT
        } else {
            1_000
        },
        cltv_expiry_delta: 60,
        maybe_announced_channel: true,
    };
    Path {
        hops: (1..).zip(nodes).map(hop).collect(),
        blinded_tail: None,
    }
}

fn ldk_onion(path: &Path) -> (LdkPacket, u64, u32) {
    lightning::ln::create_payment_onion(
        SECP256K1,
        path,
        &key(9),
        AMOUNT_MSAT,
        &RecipientOnionFields::secret_only(PaymentSecret([3; 32])),
        HEIGHT,
        &PaymentHash(HASH),
        &None,
        None,
        [5; 32],
    )
    .expect("the route fits")
}

fn stream_over(bytes: &mut [u8]) {
    ChaCha20::new(&[1; 32].into(), &[0; 12].into()).apply_keystream(black_box(bytes));
}

fn hmac_of(bytes: &[u8]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(&[1; 32]);
    engine.input(black_box(bytes));
    engine.input(&HASH);
    Hmac::from_engine(engine).to_byte_array()
}

fn create(criterion: &mut Bench) {
    for hops in [1, 3, 20] {
        let mut group = criterion.benchmark_group(format!("onion: create, hops: {hops}"));
        let nodes = route(hops);
        let ours = our_hops(&nodes);
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| create_onion(&key(9), black_box(&ours), &HASH, PAYMENT_AREA).expect("the hops fit"));
        });
        let path = ldk_path(&nodes);
        group.bench_function(LDK, |bencher| bencher.iter(|| ldk_onion(black_box(&path))));
        let secret = key(9);
        let mut area = [0; PAYMENT_AREA];
        group.bench_function(BARE, |bencher| {
            bencher.iter(|| {
                stream_over(&mut area);
                for node in &nodes {
                    black_box(SharedSecret::new(black_box(node), &secret));
                    black_box(black_box(&secret).public_key(SECP256K1));
                    stream_over(&mut area);
                    black_box(hmac_of(&area));
                }
            });
        });
        group.finish();
    }
}

fn peel(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("onion: peel the first of 20 hops");
    let node = first_node();
    let (ldk_packet, amount_msat, cltv_expiry) = ldk_onion(&ldk_path(&route(20)));
    let bytes = lightning::util::ser::Writeable::encode(&ldk_packet);
    let packet = OnionPacket::from_bytes(bytes).expect("it is long enough");
    let secret = node.get_node_secret_key();
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            let (_, peeled) = peel_with_key(black_box(&packet), &secret, &HASH).expect("it is for us");
            peeled.next.expect("there are more hops")
        });
    });

    let add = UpdateAddHTLC {
        channel_id: ChannelId([0; 32]),
        htlc_id: 0,
        amount_msat,
        payment_hash: PaymentHash(HASH),
        cltv_expiry,
        skimmed_fee_msat: None,
        onion_routing_packet: ldk_packet,
        blinding_point: None,
        hold_htlc: None,
    };
    let context = Secp256k1::new();
    group.bench_function(LDK, |bencher| {
        bencher.iter(|| {
            let peeled = peel_payment_onion(black_box(&add), &node, &Silent, &context, HEIGHT, false);
            peeled.map_err(|error| error.msg).expect("it is for us")
        });
    });

    let point_bytes = point(9).serialize();
    let factor = Scalar::from(SecretKey::from_slice(&HASH).expect("a valid scalar"));
    // Our payload, its length and the HMAC leave the front; as many bytes are appended behind.
    let mut area = [0; PAYMENT_AREA + SHIFT];
    group.bench_function(BARE, |bencher| {
        bencher.iter(|| {
            let ephemeral = PublicKey::from_slice(black_box(&point_bytes)).expect("a key");
            black_box(SharedSecret::new(&ephemeral, &secret));
            black_box(hmac_of(&area[..PAYMENT_AREA]));
            stream_over(&mut area);
            black_box(ephemeral.mul_tweak(SECP256K1, &factor).expect("a key"));
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = runner();
    targets = create, peel
}
criterion_main!(benches);
