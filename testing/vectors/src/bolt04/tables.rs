//! BOLT 4's own table of failures and TLV records, held against what the crate knows.

use std::collections::BTreeSet;

use quittance_onion::{Failure, FailureCode, PayloadRecords, RecipientData};

const TABLE: &str = include_str!("../../data/wire/04-onion-routing.csv");

/// Name and last column but one of each line of a kind: `kind,stream,name,number` or `kind,name,number`.
fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    TABLE
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(move |columns| columns[0] == kind)
}

fn code(flags_and_number: &str) -> u16 {
    flags_and_number.split('|').fold(0, |code, part| {
        code | match part {
            "BADONION" => FailureCode::BADONION,
            "PERM" => FailureCode::PERM,
            "NODE" => FailureCode::NODE,
            "UPDATE" => FailureCode::UPDATE,
            number => number.parse().expect("a number"),
        }
    })
}

/// The types of a stream that the table defines.
fn types(stream: &str) -> BTreeSet<u64> {
    lines("tlvtype")
        .filter(|columns| columns[1] == stream)
        .map(|columns| columns[3].parse().expect("a number"))
        .collect()
}

#[test]
fn every_failure_of_the_table_is_known_and_no_other() {
    let stated: BTreeSet<_> = lines("msgtype")
        .filter(|columns| columns[1] != "onion_message")
        .map(|columns| code(columns[2]))
        .collect();
    assert_eq!(stated.len(), 22);
    let known: BTreeSet<_> = (0..=u16::MAX)
        .filter(|code| {
            // 64 zero bytes are enough data for every failure.
            let message = [&code.to_be_bytes()[..], &[0; 64]].concat();
            !matches!(Failure::decode(&message), Ok(Failure::Unknown { .. }))
        })
        .collect();
    assert_eq!(known, stated);
}

#[test]
fn every_record_of_a_payload_is_known() {
    let known = |record_type: u64| {
        let record = [u8::try_from(record_type).expect("small"), 0];
        PayloadRecords::decode(&record).map_or(true, |records| records.others.is_empty())
    };
    assert_eq!(
        (1..0xfd)
            .filter(|record_type| known(*record_type))
            .collect::<BTreeSet<_>>(),
        types("payload")
    );
}

#[test]
fn every_record_of_recipient_data_is_known() {
    let known = |record_type: u64| {
        let record = [u8::try_from(record_type).expect("small"), 0];
        match RecipientData::decode(&record) {
            Ok(data) => data.others.is_empty(),
            Err(error) => error.flaw != quittance_wire::TlvFlaw::UnknownRequired,
        }
    };
    assert_eq!(
        (1..0xfd)
            .filter(|record_type| known(*record_type))
            .collect::<BTreeSet<_>>(),
        types("encrypted_data_tlv")
    );
}
