//! Loses or rolls back a store's manager rows, to test that the node is rebuilt from its channels (G9).
//!
//! Nothing a node does needs this; it is for tests that kill a real process and damage what it left. It writes through the store's
//! own interface, so that the store stays whole.

use quittance_journal::{Batch, Change, Key, KeyRange, ReadError, Space, Store};

/// All manager rows of a store.
///
/// # Errors
/// [`ReadError`] when one cannot be read.
pub fn read(store: &impl Store) -> Result<Vec<(Key, Vec<u8>)>, ReadError> {
    let spaces = Space::ALL.into_iter().filter(|space| space.is_manager());
    let rows = spaces.map(|space| store.read(&KeyRange::space(space)));
    Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The batch that puts `rows` in the place of the store's manager rows; without any, they are lost.
///
/// # Errors
/// [`ReadError`] when the rows that are there cannot be read.
pub fn replacement(store: &impl Store, rows: Vec<(Key, Vec<u8>)>) -> Result<Batch, ReadError> {
    let mut batch = Batch::new();
    for (key, _) in read(store)? {
        batch.delete(key);
    }
    for (key, record) in rows {
        batch.push(Change::Put(key, record));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::history_batch;
    use crate::memory::MemoryStore;
    use quittance_journal::Lsn;

    #[test]
    fn rows_are_lost_or_rolled_back_and_channels_are_not_touched() {
        let mut store = MemoryStore::new();
        (1..=8).for_each(|number| assert_eq!(store.append(history_batch(number)), Ok(Lsn(number))));
        let older = store.clone().restored(Lsn(3));
        let expected = store.clone().mixed(Lsn(3), Lsn(8));

        let mut rolled_back = store.clone();
        let batch = replacement(&rolled_back, read(&older).unwrap()).unwrap();
        rolled_back.append(batch).unwrap();
        assert_eq!(rolled_back.rows(), expected.rows());

        let expected = store.clone().without_manager_rows();
        let batch = replacement(&store, Vec::new()).unwrap();
        store.append(batch).unwrap();
        assert_eq!(store.rows(), expected.rows());
    }
}
