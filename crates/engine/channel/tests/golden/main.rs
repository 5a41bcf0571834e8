//! The record format of a channel's log (`docs/formats/channel.md`), held still: records that were written once are read as what
//! they were, and written again byte for byte; and whatever is damaged is refused with an error that names the record.
//!
//! `channel_v1.txt` has a line for each record: a name, and the record with its frame in hex. Lines are added and never changed;
//! a run with `QUITTANCE_GOLDEN=write` adds what is missing.

#[path = "../pair/mod.rs"]
mod pair;
mod records;

use std::collections::BTreeMap;
use std::path::Path;

use quittance_channel::{
    CHECKPOINT_VERSION, COLD_VERSION, ChannelMonitorUpdate, ChannelState, ColdOutcome, DecidedClaim, Step,
    UPDATE_VERSION,
};
use quittance_journal::{ColdId, Key, RecordError, RecordFault, UpdateId, decode_record, encode_record};
use quittance_primitives::ChannelId;
use quittance_records::{BadRecord, Record};

const CHANNEL: ChannelId = ChannelId([7; 32]);
const FORMAT: &str = include_str!("../../../../../docs/formats/channel.md");

/// Every record that there is to be: by its name, its key, its version and its body.
fn written() -> Vec<(String, Key, u16, Vec<u8>)> {
    let mut all = Vec::new();
    for (number, (name, step)) in (1..).zip(records::steps()) {
        let update = ChannelMonitorUpdate {
            id: UpdateId(number),
            steps: vec![step],
        };
        let key = Key::Update(CHANNEL, update.id);
        all.push((format!("update-{name}"), key, UPDATE_VERSION, update.to_body()));
    }
    for (name, state) in records::states() {
        let key = Key::Checkpoint(CHANNEL);
        all.push((
            format!("checkpoint-{name}"),
            key,
            CHECKPOINT_VERSION,
            state.to_checkpoint(),
        ));
    }
    for (name, outcome) in records::cold_outcomes() {
        let key = Key::Cold(CHANNEL, ColdId::Outcome(outcome.id));
        all.push((format!("cold-outcome-{name}"), key, COLD_VERSION, outcome.to_bytes()));
    }
    let receipt = records::claim();
    let key = Key::Cold(CHANNEL, ColdId::Receipt(receipt.parts[0].htlc));
    all.push(("cold-receipt".to_owned(), key, COLD_VERSION, receipt.to_bytes()));
    all
}

fn golden() -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/channel_v1.txt");
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("QUITTANCE_GOLDEN").is_ok_and(|order| order == "write") {
        for (name, key, version, body) in written() {
            if !text.lines().any(|line| line.split(' ').next() == Some(&name)) {
                let frame = encode_record(&key, version, &body);
                text.extend([&name, " ", &hex(&frame), "\n"]);
            }
        }
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let line = |line: &str| {
        let (name, frame) = line.split_once(' ').expect("a name and a record");
        (name.to_owned(), bytes(frame))
    };
    text.lines().map(line).collect()
}

/// What is written for what is read from `body`, which stands at `key`.
fn written_again(key: &Key, body: &[u8]) -> Result<Vec<u8>, BadRecord> {
    match key {
        Key::Update(_, id) => ChannelMonitorUpdate::from_body(*id, body).map(|update| update.to_body()),
        Key::Cold(_, ColdId::Outcome(_)) => ColdOutcome::from_bytes(body).map(|outcome| outcome.to_bytes()),
        Key::Cold(_, ColdId::Receipt(_)) => DecidedClaim::from_bytes(body).map(|claim| claim.to_bytes()),
        _ => ChannelState::from_checkpoint(body).map(|state| state.to_checkpoint()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).expect("ASCII");
        u8::from_str_radix(digits, 16).expect("hex digits")
    };
    digits.map(byte).collect()
}

#[test]
fn every_record_is_read_as_what_it_was_and_written_byte_for_byte() {
    let golden = golden();
    let written = written();
    assert_eq!(golden.len(), written.len(), "a line for each record, and no other");
    for (name, key, version, body) in &written {
        let frame = golden.get(name).unwrap_or_else(|| panic!("{name} has no line"));
        let record = decode_record(key, frame, *version).expect("what was written once can be read");
        assert_eq!(hex(record.body), hex(body), "{name} is written as it was");
        let again = written_again(key, record.body).expect("what was written once is understood");
        assert_eq!(hex(&again), hex(record.body), "{name} comes back byte for byte");
    }
    for (name, step) in records::steps() {
        let read = Vec::<Step>::from_bytes(&vec![step.clone()].to_bytes()).expect("a list of steps");
        assert_eq!(read, [step], "{name} means what it meant");
    }
    for (name, state) in records::states() {
        let read = ChannelState::from_checkpoint(&state.to_checkpoint()).expect("a checkpoint");
        assert_eq!(read, state, "{name} means what it meant");
    }
    for (name, outcome) in records::cold_outcomes() {
        let read = ColdOutcome::from_bytes(&outcome.to_bytes()).expect("a cold outcome");
        assert_eq!(read, outcome, "{name} means what it meant");
    }
    let read = DecidedClaim::from_bytes(&records::claim().to_bytes()).expect("a receipt");
    assert_eq!(read, records::claim(), "the receipt means what it meant");
}

/// A step of a tag that has no line here would be one that nobody holds still.
#[test]
fn every_tag_of_a_step_has_its_lines_and_stands_in_the_written_format() {
    let mut tags: Vec<u8> = records::steps().iter().map(|(_, step)| step.to_bytes()[0]).collect();
    tags.dedup();
    assert!(tags.is_sorted(), "steps are listed by their tags");
    for tag in 0..=u8::MAX {
        let unknown = BadRecord::UnknownTag { of: "Step", tag };
        let is_known = Step::from_bytes(&[tag]) != Err(unknown);
        assert_eq!(is_known, tags.contains(&tag), "tag {tag}");
    }
    for (_, step) in records::steps() {
        let text = format!("{step:?}");
        let name = text.split(['(', ' ']).next().expect("a step has a name");
        let row = format!("| {} | `{name}` |", step.to_bytes()[0]);
        assert!(FORMAT.contains(&row), "docs/formats/channel.md lacks {row}");
    }
}

#[test]
fn a_damaged_record_is_refused_by_its_name() {
    for (name, key, version, body) in written() {
        let frame = encode_record(&key, version, &body);
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = decode_record(&key, &damaged, version).expect_err("a flipped bit is seen");
            assert_eq!(error.key, key, "{name}, bit {bit}");
        }
        for length in 0..frame.len() {
            let error = decode_record(&key, &frame[..length], version).expect_err("a cut is seen");
            assert_eq!(error.key, key, "{name}, cut to {length}");
        }
        let elsewhere = Key::Update(CHANNEL, UpdateId(9_999));
        let error = decode_record(&elsewhere, &frame, version).expect_err("a record belongs to its key");
        assert!(matches!(error.fault, RecordFault::Damaged { .. }), "{name}");
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused_by_its_name() {
    let key = Key::Update(CHANNEL, UpdateId(1));
    let newer = encode_record(&key, UPDATE_VERSION + 1, &[]);
    let fault = RecordFault::UnknownVersion {
        found: UPDATE_VERSION + 1,
        newest: UPDATE_VERSION,
    };
    assert_eq!(
        decode_record(&key, &newer, UPDATE_VERSION),
        Err(RecordError { key, fault })
    );
}

/// Behind a checksum that fits, a body is still read or refused: nothing is guessed, and nothing panics.
#[test]
fn a_body_is_read_whole_or_refused() {
    for (name, key, _, body) in written() {
        let again = |bytes: &[u8]| written_again(&key, bytes);
        for length in 0..body.len() {
            assert!(again(&body[..length]).is_err(), "{name}, cut to {length}");
        }
        let longer = [&body[..], &[0]].concat();
        assert_eq!(again(&longer), Err(BadRecord::LeftOver(1)), "{name}");
        // The long byte strings are left as they are: each of their bytes may be anything.
        for place in (0..body.len()).filter(|place| *place < 200 || place % 16 == 0) {
            for change in [1, 0x80, 0xff] {
                let mut changed = body.clone();
                changed[place] ^= change;
                if let Ok(written) = again(&changed) {
                    assert_eq!(
                        written, changed,
                        "{name}, byte {place}: what can be read is written alike"
                    );
                }
            }
        }
    }
}
