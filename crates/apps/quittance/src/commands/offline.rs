//! Commands for the files of a node that is stopped, and for files that need no node.

use std::path::Path;

use quittance_api::Receipt;
use quittance_journal::Store;
use quittance_store::embedded::{EmbeddedStore, Inspection, Options};
use quittance_store::manager_rows;

use super::Outcome;
use crate::files::FolderLock;

/// Checks a receipt.
pub(super) fn verify_receipt(file: &Path) -> Outcome {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let receipt: Receipt =
        serde_json::from_str(&text).map_err(|error| format!("{} is no receipt: {error}", file.display()))?;
    if !receipt.is_valid() {
        return Err("the receipt is not valid: SHA-256 of its preimage is another hash".into());
    }
    println!(
        "valid: whoever signed the invoice with hash {} was paid {} msat",
        receipt.payment_hash, receipt.amount_msat
    );
    Ok(())
}

/// Checks a store.
pub(super) fn verify(folder: &Path) -> Outcome {
    let inspection = Inspection::open(&folder.join("store"))?;
    let report = inspection.verify()?;
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    if !report.faults.is_empty() {
        return Err(format!(
            "{} faults; restore the store from a backup of the same moment",
            report.faults.len()
        )
        .into());
    }
    let records: usize = report.spaces.values().map(|(count, _)| count).sum();
    println!(
        "the store is whole: {records} records, the last batch is number {}",
        report.last.0
    );
    Ok(())
}

/// Removes the manager's rows, or takes those of an older copy.
pub(super) fn lose_manager_rows(folder: &Path, older: Option<&Path>) -> Outcome {
    let _lock = FolderLock::take(folder)?;
    let rows = match older {
        Some(older) => manager_rows::read(&EmbeddedStore::open(older, Options::default())?)?,
        None => Vec::new(),
    };
    let mut store = EmbeddedStore::open(&folder.join("store"), Options::default())?;
    let batch = manager_rows::replacement(&store, rows)?;
    let changes = batch.changes().len();
    if !batch.is_empty() {
        store.append(batch)?;
    }
    store.close()?;
    println!("{changes} rows were replaced; the next start makes them from the channels' logs");
    Ok(())
}
