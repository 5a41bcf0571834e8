//! The channel's log: updates of steps, and what they look like in bytes (`docs/formats/channel.md`).

mod step;

use quittance_journal::{Key, UpdateId};
use quittance_records::{BadRecord, Record};

pub use step::{AbandonedFunding, ForceCloseReason, FundingConfirmation, Opening, Step};

use crate::{ChannelFacts, ChannelState};

/// The newest version of the record format of updates.
pub const UPDATE_VERSION: u16 = 1;
/// The newest version of the record format of checkpoints.
pub const CHECKPOINT_VERSION: u16 = 1;

/// One entry of a channel's log: all steps that one input caused, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMonitorUpdate {
    /// Its number, counted up from 1 without a gap.
    pub id: UpdateId,
    /// What happened.
    pub steps: Vec<Step>,
}

impl ChannelMonitorUpdate {
    /// The key of this update in the log of `channel`.
    pub const fn key(&self, facts: &ChannelFacts) -> Key {
        Key::Update(facts.channel_id, self.id)
    }

    /// The body of the update's record; its number is in the key.
    pub fn to_body(&self) -> Vec<u8> {
        self.steps.to_bytes()
    }

    /// Reads the body of update `id`.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no list of steps.
    pub fn from_body(id: UpdateId, body: &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            id,
            steps: Vec::from_bytes(body)?,
        })
    }
}

impl ChannelState {
    /// The state after the first update of a log, or `None` if the update does not open a channel.
    pub fn restore_first(update: &ChannelMonitorUpdate) -> Option<Self> {
        let (Step::Opened(opening), rest) = update.steps.split_first()? else {
            return None;
        };
        let mut state = Self::open(opening.as_ref().clone());
        state.last_update = update.id;
        for step in rest {
            state.apply(step);
        }
        Some(state)
    }

    /// The channel's whole state, as a checkpoint's body.
    pub fn to_checkpoint(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads a checkpoint's body.
    ///
    /// # Errors
    /// [`BadRecord`] when the bytes are no checkpoint.
    pub fn from_checkpoint(body: &[u8]) -> Result<Self, BadRecord> {
        Self::from_bytes(body)
    }
}
