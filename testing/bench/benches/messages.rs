//! Messages decoded. LDK's dispatch by type is not public, so it starts behind the type; ours does both.

use std::hint::black_box;

use bitcoin::constants::ChainHash;
use criterion::{criterion_group, criterion_main};
use lightning::ln::msgs;
use lightning::util::ser::LengthReadable;
use quittance_bench::{BARE, Bench, LDK, OURS, key, point, runner};
use quittance_primitives::{
    ChannelId, CltvExpiry, CltvExpiryDelta, HtlcId, MilliSatoshi, NodeId, PaymentHash, ShortChannelId,
};
use quittance_wire::{
    ChannelAnnouncement, ChannelUpdate, CommitmentSigned, Excess, FeatureBytes, Message, UpdateAddHtlc,
};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1};

fn signature() -> Signature {
    SECP256K1.sign_ecdsa(&secp256k1::Message::from_digest([1; 32]), &key(1))
}

fn onion() -> Box<[u8; 1366]> {
    let mut packet = Box::new([0x55; 1366]);
    packet[0] = 0;
    packet[1..34].copy_from_slice(&point(2).serialize());
    packet
}

fn compare<T: LengthReadable>(criterion: &mut Bench, name: &str, message: Message, bare: impl Fn()) {
    let mut group = criterion.benchmark_group(format!("decode: {name}"));
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| Message::decode(black_box(&bytes)).expect("it is ours"));
    });
    group.bench_function(LDK, |bencher| {
        bencher.iter(|| {
            let decoded = T::read_from_fixed_length_buffer(&mut black_box(&bytes[2..]));
            assert!(black_box(decoded).is_ok());
        });
    });
    group.bench_function(BARE, |bencher| bencher.iter(&bare));
    group.finish();
}

fn parse_points(bytes: &[u8], count: usize) {
    for _ in 0..count {
        black_box(PublicKey::from_slice(black_box(bytes)).expect("a key"));
    }
}

fn parse_signatures(bytes: &[u8], count: usize) {
    for _ in 0..count {
        black_box(Signature::from_compact(black_box(bytes)).expect("a signature"));
    }
}

fn decode(criterion: &mut Bench) {
    let (point_bytes, signature_bytes) = (point(3).serialize(), signature().serialize_compact());
    let add = UpdateAddHtlc {
        channel_id: ChannelId([1; 32]),
        id: HtlcId(7),
        amount_msat: MilliSatoshi(10_000_000),
        payment_hash: PaymentHash([2; 32]),
        cltv_expiry: CltvExpiry(800_040),
        onion_routing_packet: onion(),
        blinded_path: None,
    };
    // The onion's key need not be on the curve before the onion is peeled; LDK parses it here.
    compare::<msgs::UpdateAddHTLC>(criterion, "update_add_htlc", add.into(), || {});

    let signed = CommitmentSigned {
        channel_id: ChannelId([1; 32]),
        signature: signature(),
        htlc_signature: vec![signature(); 30],
        funding_txid: None,
    };
    let signatures = || parse_signatures(&signature_bytes, 31);
    compare::<msgs::CommitmentSigned>(criterion, "commitment_signed, 30 HTLCs", signed.into(), signatures);

    let update = ChannelUpdate {
        signature: signature(),
        chain_hash: ChainHash::BITCOIN,
        short_channel_id: ShortChannelId(1),
        timestamp: 1,
        message_flags: 1,
        channel_flags: 0,
        cltv_expiry_delta: CltvExpiryDelta(40),
        htlc_minimum_msat: MilliSatoshi(1),
        fee_base_msat: 1_000,
        fee_proportional_millionths: 100,
        htlc_maximum_msat: MilliSatoshi(1_000_000_000),
        excess: Excess(Vec::new()),
    };
    let one = || parse_signatures(&signature_bytes, 1);
    compare::<msgs::ChannelUpdate>(criterion, "channel_update", update.into(), one);

    let announcement = ChannelAnnouncement {
        node_signature_1: signature(),
        node_signature_2: signature(),
        bitcoin_signature_1: signature(),
        bitcoin_signature_2: signature(),
        features: FeatureBytes(Vec::new()),
        chain_hash: ChainHash::BITCOIN,
        short_channel_id: ShortChannelId(1),
        node_id_1: NodeId(point(3).serialize()),
        node_id_2: NodeId(point(4).serialize()),
        bitcoin_key_1: point(5),
        bitcoin_key_2: point(6),
        excess: Excess(Vec::new()),
    };
    // LDK keeps all four keys as bytes here, and parses them when it verifies.
    let four = || {
        parse_signatures(&signature_bytes, 4);
        parse_points(&point_bytes, 2);
    };
    compare::<msgs::ChannelAnnouncement>(criterion, "channel_announcement", announcement.into(), four);
}

criterion_group! {
    name = benches;
    config = runner();
    targets = decode
}
criterion_main!(benches);
