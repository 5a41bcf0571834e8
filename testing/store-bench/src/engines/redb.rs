//! redb, a copy-on-write B-tree: one transaction with immediate durability per group.

use std::path::Path;

use quittance_journal::{Batch, Change, KeyRange};
use redb::{Database, TableDefinition};

use super::Engine;

const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");

struct Redb(Database);

pub fn open(folder: &Path) -> Box<dyn Engine> {
    Box::new(Redb(Database::create(folder.join("store.redb")).expect("opens")))
}

impl Engine for Redb {
    fn commit(&mut self, steps: &[Batch]) {
        let transaction = self.0.begin_write().expect("begins");
        {
            let mut table = transaction.open_table(RECORDS).expect("a table");
            for change in steps.iter().flat_map(Batch::changes) {
                match change {
                    Change::Put(key, value) => {
                        table.insert(&key.to_bytes()[..], &value[..]).expect("written");
                    }
                    Change::Delete(key) => {
                        table.remove(&key.to_bytes()[..]).expect("removed");
                    }
                    Change::DeleteUpdates { channel, last } => {
                        let range = KeyRange::updates_through(*channel, *last);
                        let (first, last) = (range.first().to_bytes(), range.last().to_bytes());
                        table
                            .retain_in::<&[u8], _>(&first[..]..=&last[..], |_, _| false)
                            .expect("removed");
                    }
                }
            }
        }
        transaction.commit().expect("commits");
    }
}
