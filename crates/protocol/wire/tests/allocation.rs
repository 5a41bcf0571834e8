//! Decoding takes no more memory than a small multiple of its input, whatever the input claims about itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, Txid, Witness};
use proptest::collection::vec;
use proptest::prelude::*;
use quittance_primitives::{ChannelId, Features, HtlcId, NodeId, ShortChannelId};
use quittance_wire::{
    BigSize, ChannelUpdateChecksums, ChannelUpdateTimestamps, ClosingComplete, CommitmentSigned, EncodedShortIds,
    EncodedTimestamps, Excess, FeatureBytes, Init, Message, NodeAddress, NodeAnnouncement, QueryFlags,
    QueryShortChannelIds, ReplyChannelRange, TxAddInput, TxSignatures, UpdateFailHtlc,
};
use secp256k1::ecdsa::Signature;

/// The worst that any honest encoding needs: a `tx_signatures` of empty witnesses (3 bytes each, 56 in memory), or a
/// witness of empty elements (1 byte each, a slice and an index in memory).
const BYTES_PER_BYTE: usize = 32;

/// What a message takes whatever its length: the fixed parts that are kept in boxes, and an error's share.
const BYTES_ANYWAY: usize = 2_048;

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only this thread's cells,
// which need no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().wrapping_add(layout.size());
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes held at once while `bytes` are decoded, the message included.
fn peak_of_decoding(bytes: &[u8]) -> usize {
    HELD.set(0);
    PEAK.set(0);
    drop(Message::decode(bytes));
    PEAK.get()
}

fn assert_bounded(bytes: &[u8]) {
    let peak = peak_of_decoding(bytes);
    let bound = bytes.len() * BYTES_PER_BYTE + BYTES_ANYWAY;
    assert!(
        peak <= bound,
        "type {:?}: {peak} bytes were taken for {}",
        &bytes[..2],
        bytes.len()
    );
}

#[test]
fn the_count_sees_what_decoding_takes() {
    let message = Message::Unknown {
        message_type: 0x8001,
        body: vec![1; 10_000],
    };
    let peak = peak_of_decoding(&message.encode());
    assert!((10_000..11_000).contains(&peak), "{peak}");
}

#[test]
fn a_claim_of_many_things_takes_no_memory_without_them() {
    // From every place on, nothing but the largest claims that a length or a count can make.
    for sample in samples() {
        assert!(Message::decode(&sample).is_ok());
        for place in 2..sample.len() {
            let mut claims = sample[..place].to_vec();
            claims.extend([0xff; 12]);
            assert_bounded(&claims);
        }
    }
}

#[test]
fn the_largest_lists_that_fit_a_message_stay_in_bounds() {
    let tx_signatures = |witnesses: Vec<u8>| [vec![0, 71], vec![0; 64], witnesses].concat();
    // As many empty witnesses as fit, then one witness with as many empty elements as fit.
    let count: u16 = 21_800;
    let mut many = count.to_be_bytes().to_vec();
    many.extend([0, 1, 0].repeat(usize::from(count)));
    assert!(matches!(
        Message::decode(&tx_signatures(many.clone())),
        Ok(Message::TxSignatures(signatures)) if signatures.witnesses.len() == usize::from(count)
    ));
    assert_bounded(&tx_signatures(many));

    let elements: u16 = 65_000;
    let mut one = vec![0, 1];
    one.extend((elements + 3).to_be_bytes());
    one.push(0xfd);
    one.extend(elements.to_le_bytes());
    one.extend(vec![0; usize::from(elements)]);
    assert!(matches!(
        Message::decode(&tx_signatures(one.clone())),
        Ok(Message::TxSignatures(signatures)) if signatures.witnesses[0].len() == usize::from(elements)
    ));
    assert_bounded(&tx_signatures(one));

    // A query with as many flags as fit, one byte each.
    let mut query = [vec![1, 5], vec![0; 32], vec![0, 1, 0]].concat();
    query.extend([1, 0xfd]);
    query.extend(65_001_u16.to_be_bytes());
    query.extend(vec![0; 65_001]);
    assert!(matches!(
        Message::decode(&query),
        Ok(Message::QueryShortChannelIds(query)) if query.query_flags.as_ref().is_some_and(|flags| flags.0.len() == 65_000)
    ));
    assert_bounded(&query);
}

/// A message with each kind of list, text, script and stream that there is.
fn samples() -> Vec<Vec<u8>> {
    let (channel_id, txid, chain_hash) = (ChannelId([1; 32]), Txid::from_byte_array([2; 32]), ChainHash::BITCOIN);
    let signature = signature();
    let scids = EncodedShortIds(vec![ShortChannelId(1), ShortChannelId(2)]);
    let address = NodeAddress::DnsHostname {
        hostname: "example.org".to_owned(),
        port: 9_735,
    };
    let messages: [Message; 9] = [
        Init {
            globalfeatures: Features::from_be_bytes(&[1]),
            features: Features::from_be_bytes(&[2, 2]),
            networks: Some(vec![chain_hash, chain_hash]),
            remote_addr: Some(address.clone()),
        }
        .into(),
        TxAddInput {
            channel_id,
            serial_id: 1,
            prevtx: vec![3; 10],
            prevtx_vout: 0,
            sequence: 0,
            shared_input_txid: Some(txid),
        }
        .into(),
        TxSignatures {
            channel_id,
            txid,
            witnesses: vec![Witness::from_slice(&[vec![4; 72], vec![5; 33]]), Witness::new()],
            shared_input_signature: Some(signature),
        }
        .into(),
        ClosingComplete {
            channel_id,
            closer_scriptpubkey: ScriptBuf::from(vec![0, 20]),
            closee_scriptpubkey: ScriptBuf::from(vec![0, 32]),
            fee_satoshis: Amount::from_sat(500),
            locktime: 0,
            closer_output_only: Some(signature),
            closee_output_only: None,
            closer_and_closee_outputs: Some(signature),
        }
        .into(),
        UpdateFailHtlc {
            channel_id,
            id: HtlcId(1),
            reason: vec![6; 292],
            attribution_data: Some(Box::new([7; 920])),
        }
        .into(),
        CommitmentSigned {
            channel_id,
            signature,
            htlc_signature: vec![signature; 3],
            funding_txid: Some(txid),
        }
        .into(),
        node_announcement(address).into(),
        QueryShortChannelIds {
            chain_hash,
            encoded_short_ids: scids.clone(),
            query_flags: Some(QueryFlags(vec![BigSize(1), BigSize(31)])),
        }
        .into(),
        reply_channel_range(scids).into(),
    ];
    messages.iter().map(Message::encode).collect()
}

fn signature() -> Signature {
    Signature::from_compact(&[1; 64]).expect("a repeated small byte is a valid scalar")
}

fn node_announcement(address: NodeAddress) -> NodeAnnouncement {
    NodeAnnouncement {
        signature: signature(),
        features: FeatureBytes(vec![8; 4]),
        timestamp: 1,
        node_id: NodeId([2; 33]),
        rgb_color: [0; 3],
        alias: [b'a'; 32],
        addresses: [&address].into_iter().collect(),
        excess: Excess(vec![9; 3]),
    }
}

fn reply_channel_range(encoded_short_ids: EncodedShortIds) -> ReplyChannelRange {
    let timestamps = ChannelUpdateTimestamps {
        timestamp_node_id_1: 1,
        timestamp_node_id_2: 2,
    };
    let checksums = ChannelUpdateChecksums {
        checksum_node_id_1: 3,
        checksum_node_id_2: 4,
    };
    ReplyChannelRange {
        chain_hash: ChainHash::BITCOIN,
        first_blocknum: 0,
        number_of_blocks: 100,
        sync_complete: 1,
        encoded_short_ids,
        timestamps_tlv: Some(EncodedTimestamps(vec![timestamps; 2])),
        checksums_tlv: Some(vec![checksums; 2]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn altered_messages_take_no_more_memory(
        choice: prop::sample::Index,
        alterations in vec((any::<usize>(), prop_oneof![Just(0xff_u8), any::<u8>()]), 0..6),
    ) {
        let mut bytes = choice.get(&samples()).clone();
        for (place, value) in alterations {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        assert_bounded(&bytes);
    }
}
