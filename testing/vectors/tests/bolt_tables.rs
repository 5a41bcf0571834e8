//! Every message and every TLV record of the BOLTs' own tables is known to the codec, by number, name and field order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quittance_wire::{MESSAGES, MessageDefinition};

const TABLES: [&str; 3] = ["01-messaging.csv", "02-peer-protocol.csv", "07-routing-gossip.csv"];

/// Namespaces of test vectors, not of messages.
const EXAMPLES: [&str; 2] = ["n1", "n2"];

/// What the text of the BOLTs defines, and the tables lack.
const BEYOND_THE_TABLES: [(&str, &str); 3] = [
    ("onion_message", "BOLT 4"),
    ("update_fulfill_htlc", "attribution_data"),
    ("update_fail_htlc", "attribution_data"),
];

/// A message as a table has it.
#[derive(Default)]
struct Row {
    number: u16,
    /// Name and count, in order; lengths and the TLV stream included.
    fields: Vec<(String, String)>,
    records: BTreeMap<u64, String>,
}

#[test]
fn every_message_of_the_tables_is_known() {
    let tables = read_tables();
    assert_eq!(tables.len(), 49, "messages in the tables of BOLT 1, 2 and 7");
    for (name, row) in &tables {
        let ours = definition(name).unwrap_or_else(|| panic!("{name} ({}) is not known", row.number));
        assert_eq!(ours.number, row.number, "{name}");
        let kept_raw = ours.fields.iter().filter(|field| **field != "excess");
        assert_eq!(
            kept_raw.copied().collect::<Vec<_>>(),
            fields_without_lengths(row),
            "{name}"
        );
    }
}

#[test]
fn every_record_of_the_tables_is_known() {
    let tables = read_tables();
    let mut compared = 0;
    for (name, row) in &tables {
        let ours = definition(name).unwrap_or_else(|| panic!("{name} is not known"));
        let ours: BTreeMap<_, _> = ours
            .records
            .iter()
            .filter(|(_, record)| !BEYOND_THE_TABLES.contains(&(name, record)))
            .map(|(number, record)| (*number, (*record).to_owned()))
            .collect();
        assert_eq!(ours, row.records, "{name}");
        compared += row.records.len();
    }
    assert_eq!(compared, 37, "records in the tables of BOLT 1, 2 and 7, by message");
}

#[test]
fn nothing_is_known_that_no_bolt_defines() {
    let tables = read_tables();
    let beyond: BTreeSet<_> = BEYOND_THE_TABLES.iter().map(|(name, _)| *name).collect();
    for message in MESSAGES {
        assert!(
            tables.contains_key(message.name) || beyond.contains(message.name),
            "{} is in no table",
            message.name
        );
    }
}

fn definition(name: &str) -> Option<&'static MessageDefinition> {
    MESSAGES.iter().find(|message| message.name == name)
}

/// A length is a field that another field of the message is counted by.
fn fields_without_lengths(row: &Row) -> Vec<&str> {
    let counts: BTreeSet<_> = row.fields.iter().map(|(_, count)| count.as_str()).collect();
    row.fields
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !counts.contains(name) && *name != "tlvs")
        .collect()
}

fn read_tables() -> BTreeMap<String, Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/wire");
    let mut rows = BTreeMap::<String, Row>::new();
    let mut records = BTreeMap::<String, BTreeMap<u64, String>>::new();
    // Which messages end in which stream. A stream that no message names belongs to the message it is named after.
    let mut streams = BTreeMap::<String, Vec<String>>::new();
    for table in TABLES {
        let path = folder.join(table);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for line in text.lines() {
            match *line.split(',').collect::<Vec<_>>() {
                ["msgtype", name, number, ..] => {
                    rows.entry(name.to_owned()).or_default().number = number.parse().expect("a type is a number");
                }
                ["msgdata", message, name, kind, ref rest @ ..] => {
                    let count = rest.first().copied().unwrap_or_default();
                    let row = rows.get_mut(message).expect("a message comes before its fields");
                    row.fields.push((name.to_owned(), count.to_owned()));
                    if name == "tlvs" {
                        streams.entry(kind.to_owned()).or_default().push(message.to_owned());
                    }
                }
                ["tlvtype", stream, name, number, ..] => {
                    records
                        .entry(stream.to_owned())
                        .or_default()
                        .insert(number.parse().expect("a type is a number"), name.to_owned());
                }
                ["tlvdata" | "subtype" | "subtypedata", ..] => {}
                ref other => panic!("{table}: a new kind of line: {other:?}"),
            }
        }
    }
    for (stream, of_stream) in records {
        if EXAMPLES.contains(&stream.as_str()) {
            continue;
        }
        let owners = streams.remove(&stream).unwrap_or_else(|| {
            vec![
                stream
                    .strip_suffix("_tlvs")
                    .unwrap_or_else(|| panic!("{stream} belongs to no message"))
                    .to_owned(),
            ]
        });
        for owner in owners {
            rows.get_mut(&owner)
                .unwrap_or_else(|| panic!("{stream} belongs to no message"))
                .records = of_stream.clone();
        }
    }
    rows
}
