//! What a version of the software leaves that wrote one step as two batches, and died between them: first what a caller or a peer
//! said, then what follows from it. Ours writes both at once. Its restore must take up such a store all the same, since what is missing
//! from it says nothing.
//!
//! Nothing of such a step has left: the death comes before its sync. Start at [`Halved`].

use quittance_channel::{ChannelMonitorUpdate, ReportedEnd, Step, UPDATE_VERSION};
use quittance_journal::{Batch, Change, ColdId, HeaderRow, Key, Space, Store, decode_record};
use quittance_manager::{Command, Input, PAYMENT_VERSION};
use quittance_payments::{Payment, PaymentStatus};
use quittance_records::Record;
use quittance_store::memory::{Keep, MemoryStore};
use quittance_wire::Message;

use super::{NodeIndex, World};
use crate::RowsAfterCrash;

/// A kind of step that is written in two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halved {
    /// A caller asks for a payment of which nothing is known: its row comes before its first HTLC.
    Payment,
    /// A peer revokes a commitment: that the last HTLC of a payment failed comes before the end of the payment.
    Revocation,
}

impl Halved {
    /// Whether an input brings such a step.
    pub(super) fn is(self, input: &Input, store: &MemoryStore) -> bool {
        match (self, input) {
            (Self::Payment, Input::Command { command, finished, .. }) => matches!(
                command.as_ref(),
                Command::SendPayment(new) if finished.is_none() && store.rows().get(&Key::Payment(new.id)).is_none()
            ),
            (Self::Revocation, Input::PeerMessage { message, .. }) => matches!(**message, Message::RevokeAndAck(_)),
            _ => false,
        }
    }

    /// What of a step's batch was the first of two, if there is anything that came second.
    fn first_half(self, batch: &Batch) -> Option<Batch> {
        match self {
            Self::Payment => row_alone(batch),
            Self::Revocation => failure_alone(batch),
        }
    }
}

/// The row of a payment before it had an HTLC. It rests on no log.
fn row_alone(batch: &Batch) -> Option<Batch> {
    let (key, body) = records(batch, Space::Payments, PAYMENT_VERSION).next()?;
    let mut payment = Payment::from_bytes(body).expect("it was written just now");
    if payment.status != PaymentStatus::Pending {
        return None;
    }
    payment.rests_on.clear();
    let mut half = Batch::new();
    half.put(key, PAYMENT_VERSION, &payment.to_bytes());
    Some(half)
}

/// The update by which the last HTLC of a payment failed, before the payment's end was written anywhere.
fn failure_alone(batch: &Batch) -> Option<Batch> {
    let mut half = Batch::new();
    for change in batch.changes() {
        match change {
            // What punishes a commitment comes with its revocation, and an event's number is reserved before a log names it.
            Change::Put(Key::Cold(_, ColdId::RevokedCommitment(_)) | Key::Header(HeaderRow::ReservedEvents), _) => {
                half.push(change.clone());
            }
            // What leaves a log for its cold record is in one batch with it, or lost.
            Change::Put(Key::Cold(..), _) => return None,
            Change::Put(..) | Change::Delete(_) | Change::DeleteUpdates { .. } => {}
        }
    }
    let mut updates = records(batch, Space::Updates, UPDATE_VERSION);
    let (Some((key @ Key::Update(_, id), body)), None) = (updates.next(), updates.next()) else {
        // What one step does in several channels was never apart: a claim of several parts would be claimed in part.
        return None;
    };
    let mut update = ChannelMonitorUpdate::from_body(id, body).expect("it was written just now");
    let end = update.steps.iter().position(is_failure_told)?;
    update.steps.truncate(end);
    half.put(key, UPDATE_VERSION, &update.to_body());
    Some(half)
}

fn is_failure_told(step: &Step) -> bool {
    matches!(step, Step::OutcomeReported { report, .. } if matches!(report.content, ReportedEnd::Failed(_)))
}

/// What a batch puts into one of the spaces.
fn records(batch: &Batch, space: Space, version: u16) -> impl Iterator<Item = (Key, &[u8])> {
    batch.changes().iter().filter_map(move |change| match change {
        Change::Put(key, frame) if key.space() == space => {
            let record = decode_record(key, frame, version).expect("it was written just now");
            Some((*key, record.body))
        }
        Change::Put(..) | Change::Delete(_) | Change::DeleteUpdates { .. } => None,
    })
}

impl World {
    /// A node dies with the first half of its last batch on its disk, if that was written in two. Whether it died.
    pub(super) fn die_between(&mut self, node: NodeIndex, halved: Halved) -> bool {
        let store = &self.nodes[node].store;
        let last = store.appended();
        let unsynced = usize::try_from(last.0 - store.durable().0).expect("few batches wait");
        let half = store.batch(last).and_then(|batch| halved.first_half(batch));
        let Some((before, half)) = unsynced.checked_sub(1).zip(half) else {
            return false;
        };
        self.written_in_halves.remove(&node);
        self.tell(|world| {
            format!(
                "{} writes a step in two batches, and dies between them",
                world.nodes[node].name
            )
        });
        self.crash(node, Keep::First(before), RowsAfterCrash::Whole);
        let store = &mut self.nodes[node].store;
        if store.appended().next() == last {
            // A full disk takes neither half.
            let _ = Store::append(store, half).and_then(|_| store.sync());
        }
        true
    }
}
