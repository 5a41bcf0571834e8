//! Encoding and decoding of the messages that a busy node sees most, and of the largest that it must bear.
//!
//! Beside each message that is full of curve points and signatures stands the bare parsing of those, which no codec
//! can do without.

use std::hint::black_box;

use bitcoin::constants::ChainHash;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quittance_primitives::{ChannelId, CltvExpiry, HtlcId, MilliSatoshi, NodeId, PaymentHash, ShortChannelId};
use quittance_wire::{ChannelAnnouncement, CommitmentSigned, Excess, FeatureBytes, Message, UpdateAddHtlc};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// BOLT 2: `max_accepted_htlcs` is at most this.
const HTLCS_MAX: usize = 483;

fn key(byte: u8) -> PublicKey {
    SecretKey::from_slice(&[byte; 32])
        .expect("a repeated small byte is a valid scalar")
        .public_key(SECP256K1)
}

fn signature(byte: u8) -> Signature {
    Signature::from_compact(&[byte; 64]).expect("a repeated small byte is a valid scalar")
}

fn update_add_htlc() -> Message {
    UpdateAddHtlc {
        channel_id: ChannelId([1; 32]),
        id: HtlcId(77),
        amount_msat: MilliSatoshi(1_000_000),
        payment_hash: PaymentHash([2; 32]),
        cltv_expiry: CltvExpiry(800_000),
        onion_routing_packet: Box::new([3; 1366]),
        blinded_path: None,
    }
    .into()
}

fn commitment_signed() -> Message {
    CommitmentSigned {
        channel_id: ChannelId([1; 32]),
        signature: signature(1),
        htlc_signature: (1..=250).cycle().take(HTLCS_MAX).map(signature).collect(),
        funding_txid: None,
    }
    .into()
}

fn channel_announcement() -> Message {
    ChannelAnnouncement {
        node_signature_1: signature(1),
        node_signature_2: signature(2),
        bitcoin_signature_1: signature(3),
        bitcoin_signature_2: signature(4),
        features: FeatureBytes::default(),
        chain_hash: ChainHash::BITCOIN,
        short_channel_id: ShortChannelId(1),
        node_id_1: NodeId::from(key(1)),
        node_id_2: NodeId::from(key(2)),
        bitcoin_key_1: key(3),
        bitcoin_key_2: key(4),
        excess: Excess::default(),
    }
    .into()
}

fn messages(criterion: &mut Criterion) {
    for (name, message) in [
        ("update_add_htlc", update_add_htlc()),
        ("commitment_signed of 483", commitment_signed()),
        ("channel_announcement", channel_announcement()),
    ] {
        let bytes = message.encode();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("decode", |bencher| bencher.iter(|| Message::decode(black_box(&bytes))));
        let mut out = Vec::with_capacity(bytes.len());
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&message).encode_into(&mut out);
            });
        });
        group.finish();
    }
}

fn bare_parsing(criterion: &mut Criterion) {
    let (point, scalars) = (key(3).serialize(), signature(1).serialize_compact());
    criterion.bench_function("bare: 484 signatures", |bencher| {
        bencher.iter(|| {
            (0..=HTLCS_MAX)
                .map(|_| Signature::from_compact(black_box(&scalars)))
                .collect::<Result<Vec<_>, _>>()
        });
    });
    criterion.bench_function("bare: 2 points and 4 signatures", |bencher| {
        bencher.iter(|| {
            let points = [(); 2].map(|()| PublicKey::from_slice(black_box(&point)));
            let signatures = [(); 4].map(|()| Signature::from_compact(black_box(&scalars)));
            (points, signatures)
        });
    });
}

criterion_group!(benches, messages, bare_parsing);
criterion_main!(benches);
