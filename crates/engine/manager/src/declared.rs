//! A restore that the operator declared: the whole store came back from an older moment, so any channel may lack its newest updates. As long as
//! its peer has not confirmed a channel's state by `channel_reestablish`, our commitment is not broadcast for any reason: it may be
//! revoked, and would cost everything. The channels that wait stand in the journal's header, so that no restart forgets them.

use std::collections::BTreeSet;

use quittance_channel::ForceCloseReason;
use quittance_journal::{Batch, HeaderRow, Key, KeyRange, Space, Store, decode_record};
use quittance_primitives::ChannelId;
use quittance_records::Record;

use crate::manager::ChannelManager;
use crate::restore::RestoreError;
use crate::turn::Turn;

/// The version of the record format of the header's row of channels that wait.
const DECLARED_VERSION: u16 = 1;

/// What the operator's word changes in a store that came back from an older moment: every channel in it waits for its peer. To be written
/// before the node starts on it.
///
/// # Errors
/// [`RestoreError`] when the store cannot be read.
pub fn declare_restored(store: &dyn Store) -> Result<Batch, RestoreError> {
    let mut batch = Batch::new();
    let body = channels_of(store)?.into_iter().collect::<Vec<_>>().to_bytes();
    batch.put(Key::Header(HeaderRow::AwaitingPeers), DECLARED_VERSION, &body);
    Ok(batch)
}

/// The channels that a store has.
///
/// # Errors
/// [`RestoreError`] when the store cannot be read.
pub fn channels_of(store: &dyn Store) -> Result<BTreeSet<ChannelId>, RestoreError> {
    let mut channels = BTreeSet::new();
    for space in [Space::Checkpoints, Space::Updates] {
        for (key, _) in store.read(&KeyRange::space(space))? {
            if let Key::Checkpoint(channel) | Key::Update(channel, _) = key {
                channels.insert(channel);
            }
        }
    }
    Ok(channels)
}

/// The channels that wait for their peers.
pub(crate) fn awaiting_peers(store: &dyn Store) -> Result<BTreeSet<ChannelId>, RestoreError> {
    let key = Key::Header(HeaderRow::AwaitingPeers);
    let Some(frame) = store.get(&key)? else {
        return Ok(BTreeSet::new());
    };
    let record = decode_record(&key, &frame, DECLARED_VERSION)?;
    let channels = Vec::<ChannelId>::from_bytes(record.body).map_err(|fault| RestoreError::Body { key, fault })?;
    Ok(channels.into_iter().collect())
}

impl ChannelManager {
    /// The channels whose state their peers have yet to confirm, after a restore that the operator declared.
    pub const fn awaiting_peers(&self) -> &BTreeSet<ChannelId> {
        &self.awaiting_peers
    }

    /// Whether our commitment may be broadcast for this reason. One that is in the chain cannot be taken back by waiting.
    pub(crate) fn may_close(&self, id: ChannelId, reason: &ForceCloseReason) -> bool {
        !self.awaiting_peers.contains(&id) || matches!(reason, ForceCloseReason::CommitmentConfirmed(_))
    }

    /// The peer has confirmed a channel's state.
    pub(crate) fn peer_confirmed(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        if self.awaiting_peers.remove(&id) {
            let left = self.awaiting_peers.iter().copied().collect::<Vec<_>>().to_bytes();
            let key = Key::Header(HeaderRow::AwaitingPeers);
            turn.step.changes_mut().put(key, DECLARED_VERSION, &left);
        }
    }
}
