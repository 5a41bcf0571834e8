//! The record formats of a monitor, and of what it keeps of a revoked commitment (`docs/formats/monitor.md`), held still: the records that
//! were written once are read as what they were, and written again byte for byte. `monitor_v1.txt` has a line for each record: a name, and
//! the record with its frame in hex. Lines are added and never changed.

use quittance_journal::{ColdId, Key, decode_record, encode_record};
use quittance_monitor::{ChannelMonitor, MONITOR_VERSION, REVOKED_VERSION, RevokedHtlc, RevokedHtlcs};
use quittance_primitives::{BlockHeight, ChannelId, CltvExpiry, CommitmentNumber, HtlcId, MilliSatoshi, PaymentHash};
use quittance_transactions::{Htlc, HtlcDirection};

const GOLDEN: &str = include_str!("monitor_v1.txt");
const NUMBER: CommitmentNumber = CommitmentNumber(42);
const KEY: Key = Key::Cold(ChannelId([7; 32]), ColdId::RevokedCommitment(NUMBER));

fn revoked() -> RevokedHtlcs {
    let htlc = |direction, id, msat, hash| {
        RevokedHtlc(Htlc {
            direction,
            id: HtlcId(id),
            amount: MilliSatoshi(msat),
            payment_hash: PaymentHash([hash; 32]),
            cltv_expiry: CltvExpiry(700_144),
        })
    };
    RevokedHtlcs {
        number: NUMBER,
        htlcs: vec![
            htlc(HtlcDirection::Offered, 3, 600_000, 1),
            htlc(HtlcDirection::Received, 70_000, 5_000_000_123, 2),
        ],
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn golden(name: &str) -> Vec<u8> {
    let frame = GOLDEN
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let digits = frame.expect("the record has a line").as_bytes().chunks(2);
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).expect("ASCII"), 16).expect("hex");
    digits.map(byte).collect()
}

#[test]
fn a_revoked_commitment_is_read_as_what_it_was_and_written_byte_for_byte() {
    let frame = golden("revoked-commitment");
    assert_eq!(
        hex(&encode_record(&KEY, REVOKED_VERSION, &revoked().to_body())),
        hex(&frame)
    );
    let record = decode_record(&KEY, &frame, REVOKED_VERSION).expect("what was written once can be read");
    assert_eq!(RevokedHtlcs::from_body(NUMBER, record.body), Ok(revoked()));
}

#[test]
fn a_damaged_record_of_a_revoked_commitment_is_refused_by_its_name() {
    let frame = golden("revoked-commitment");
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = decode_record(&KEY, &damaged, REVOKED_VERSION).expect_err("a flipped bit is seen");
        assert_eq!(error.key, KEY, "bit {bit}");
    }
    let body = revoked().to_body();
    for length in 0..body.len() {
        assert!(
            RevokedHtlcs::from_body(NUMBER, &body[..length]).is_err(),
            "cut to {length}"
        );
    }
}

/// Monitors as they stood in the tests over a chain: of an open channel; of one that we closed, with an HTLC claimed and another taken back;
/// of one that was closed by a revoked commitment, whose HTLCs were loaded and whose penalties were broadcast.
const MONITORS: [(&str, u32, usize); 3] = [
    ("monitor-idle", 4, 0),
    ("monitor-ours", 12, 3),
    ("monitor-cheated", 5, 0),
];

#[test]
fn a_monitor_is_read_as_what_it_was_and_written_byte_for_byte() {
    let key = Key::Monitor(ChannelId([7; 32]));
    for (name, tip, spends) in MONITORS {
        let frame = golden(name);
        let record = decode_record(&key, &frame, MONITOR_VERSION).expect("what was written once can be read");
        let monitor = ChannelMonitor::from_body(record.body).expect("what was written once is understood");
        assert_eq!(
            hex(&monitor.to_body()),
            hex(record.body),
            "{name} comes back byte for byte"
        );
        let view = monitor.view();
        assert_eq!(
            (view.tip.height, view.spends.len()),
            (BlockHeight(tip), spends),
            "{name}"
        );
        assert_eq!(view.closing.is_some(), name != "monitor-idle", "{name}");
        let htlcs = view.revoked.as_ref().map(|revoked| revoked.htlcs.len());
        assert_eq!(htlcs, (name == "monitor-cheated").then_some(1), "{name}");
        for length in 0..record.body.len() {
            assert!(
                ChannelMonitor::from_body(&record.body[..length]).is_err(),
                "{name}, cut to {length}"
            );
        }
    }
}
