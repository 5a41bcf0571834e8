//! SQLite in WAL mode, synced at every commit. `rows` writes each record to its place at once; `journal` appends one row per step
//! and moves the steps to their places later, many at a time.

use std::path::Path;

use quittance_journal::{Batch, Change, KeyRange};
use rusqlite::{Connection, params};

use super::Engine;

struct Rows(Connection);

struct Journal {
    connection: Connection,
    appended: i64,
    waiting: Vec<Batch>,
}

const MOVE_AFTER: usize = 1_000;

pub fn rows(folder: &Path) -> Box<dyn Engine> {
    Box::new(Rows(connect(folder)))
}

pub fn journal(folder: &Path) -> Box<dyn Engine> {
    Box::new(Journal {
        connection: connect(folder),
        appended: 0,
        waiting: Vec::new(),
    })
}

fn connect(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("store.sqlite")).expect("opens");
    let pragmas = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000; PRAGMA cache_size=-16000;";
    connection.execute_batch(pragmas).expect("pragmas");
    let tables = "CREATE TABLE record(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE journal(lsn INTEGER PRIMARY KEY, batch BLOB NOT NULL);";
    connection.execute_batch(tables).expect("tables");
    connection
}

fn apply(connection: &Connection, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put(key, value) => connection
                .prepare_cached("INSERT INTO record VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2")
                .and_then(|mut statement| statement.execute(params![key.to_bytes(), value])),
            Change::Delete(key) => connection
                .prepare_cached("DELETE FROM record WHERE key = ?1")
                .and_then(|mut statement| statement.execute([key.to_bytes()])),
            Change::DeleteUpdates { channel, last } => {
                let range = KeyRange::updates_through(*channel, *last);
                connection
                    .prepare_cached("DELETE FROM record WHERE key BETWEEN ?1 AND ?2")
                    .and_then(|mut statement| statement.execute([range.first().to_bytes(), range.last().to_bytes()]))
            }
        }
        .expect("written");
    }
}

impl Engine for Rows {
    fn commit(&mut self, steps: &[Batch]) {
        let transaction = self.0.transaction().expect("begins");
        steps.iter().for_each(|step| apply(&transaction, step));
        transaction.commit().expect("commits");
    }
}

impl Engine for Journal {
    fn commit(&mut self, steps: &[Batch]) {
        let transaction = self.connection.transaction().expect("begins");
        for step in steps {
            self.appended += 1;
            transaction
                .prepare_cached("INSERT INTO journal VALUES (?1, ?2)")
                .and_then(|mut statement| statement.execute(params![self.appended, step.to_bytes()]))
                .expect("written");
        }
        transaction.commit().expect("commits");
        self.waiting.extend(steps.iter().cloned());
        if self.waiting.len() >= MOVE_AFTER {
            self.rest();
        }
    }

    fn rest(&mut self) {
        let transaction = self.connection.transaction().expect("begins");
        self.waiting.drain(..).for_each(|step| apply(&transaction, &step));
        transaction
            .execute("DELETE FROM journal WHERE lsn <= ?1", [self.appended])
            .expect("deleted");
        transaction.commit().expect("commits");
    }
}
