//! What somebody needs who brings a node back from a copy of an older moment.

use quittance_journal::{Batch, Store};
use quittance_manager::RestoreError;
use quittance_primitives::NodeId;
use quittance_signer::LocalSigner;

/// What has to be written to a store that came back from an older moment, before a node starts on it; and how many channels wait for their
/// peers then: nothing of them is broadcast before the peer has confirmed its state.
///
/// # Errors
/// [`RestoreError`] when the store cannot be read.
pub fn declare_restored(store: &dyn Store) -> Result<(Batch, usize), RestoreError> {
    let batch = quittance_manager::declare_restored(store)?;
    Ok((batch, quittance_manager::channels_of(store)?.len()))
}

/// The id of the node whose seed this is.
pub fn node_id(seed: &[u8; 32]) -> NodeId {
    LocalSigner::new(*seed).node_id()
}
