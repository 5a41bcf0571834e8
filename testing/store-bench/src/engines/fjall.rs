//! fjall, a log-structured merge tree: one write batch per group, persisted with `SyncAll`.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use quittance_journal::{Batch, Change, KeyRange};

use super::Engine;

struct Fjall {
    database: Database,
    records: Keyspace,
}

pub fn open(folder: &Path) -> Box<dyn Engine> {
    let database = Database::builder(folder.join("store.fjall")).open().expect("opens");
    let records = database
        .keyspace("records", KeyspaceCreateOptions::default)
        .expect("a keyspace");
    Box::new(Fjall { database, records })
}

impl Engine for Fjall {
    fn commit(&mut self, steps: &[Batch]) {
        let mut batch = self.database.batch();
        for change in steps.iter().flat_map(Batch::changes) {
            match change {
                Change::Put(key, value) => batch.insert(&self.records, key.to_bytes(), &value[..]),
                Change::Delete(key) => batch.remove(&self.records, key.to_bytes()),
                Change::DeleteUpdates { channel, last } => {
                    let range = KeyRange::updates_through(*channel, *last);
                    for entry in self.records.range(range.first().to_bytes()..=range.last().to_bytes()) {
                        batch.remove(&self.records, entry.key().expect("a key"));
                    }
                }
            }
        }
        batch.commit().expect("commits");
        self.database.persist(PersistMode::SyncAll).expect("syncs");
    }
}
