//! The format of a store as a whole, and how one in an older format becomes one in ours.
//!
//! Each kind of record counts its own versions, which is enough for what is read at every start. What is read when somebody asks for it, an
//! older program would find unreadable too late, in the middle of its work. So the store has a format of its own, in the journal's
//! header: whoever does not know it does not start. An upgrade says so before it rewrites anything, may die at every write, and is
//! taken up by the next start.
//!
//! | format | what is different |
//! |---|---|
//! | 1 | as first written; there is no row |
//! | 2 | a finished payment keeps what was asked for and how it ended: neither hints nor channels to be avoided |

use std::ops::ControlFlow;

use quittance_journal::{Batch, HeaderRow, Key, KeyRange, Space, Store, decode_record};
use quittance_payments::Payment;
use quittance_primitives::PaymentId;
use quittance_records::{Record, record};

use crate::restore::RestoreError;

/// The format in which this version writes stores.
pub const STORE_FORMAT: u16 = 2;
/// The newest version of the record format of finished payments.
pub const FINISHED_PAYMENT_VERSION: u16 = 2;
/// The version of the record format of the header's row.
const ROW_VERSION: u16 = 1;
/// How many records one batch of an upgrade rewrites: a few hundred kilobytes.
const RECORDS_PER_BATCH: usize = 256;

/// What the header says of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    number: u16,
    /// Whether every record is in it; some may be older otherwise.
    is_complete: bool,
}

record!(Format { number, is_complete });

/// Refuses a store in a format that is newer than `newest`, in whole or in part.
///
/// # Errors
/// [`RestoreError::NewerFormat`], or what stands against reading the header.
pub fn check_format(store: &dyn Store, newest: u16) -> Result<(), RestoreError> {
    let found = format_of(store)?.number;
    if found > newest {
        return Err(RestoreError::NewerFormat { found, newest });
    }
    Ok(())
}

/// Refuses a store that is not in our format in whole.
pub(crate) fn require_format(store: &dyn Store) -> Result<(), RestoreError> {
    check_format(store, STORE_FORMAT)?;
    let Format { number, is_complete } = format_of(store)?;
    if number < STORE_FORMAT || !is_complete {
        return Err(RestoreError::OlderFormat(number));
    }
    Ok(())
}

fn format_of(store: &dyn Store) -> Result<Format, RestoreError> {
    let key = Key::Header(HeaderRow::Format);
    let Some(frame) = store.get(&key)? else {
        return Ok(Format {
            number: 1,
            is_complete: true,
        });
    };
    let record = decode_record(&key, &frame, ROW_VERSION)?;
    Format::from_bytes(record.body).map_err(|fault| RestoreError::Body { key, fault })
}

/// An upgrade to [`STORE_FORMAT`], batch by batch. It comes before `ChannelManager::restore`, and writes nothing where nothing is to be done.
#[derive(Debug)]
pub struct Upgrade {
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// To say that it begins.
    Begin,
    /// To rewrite finished payments, from this one on.
    Payments(PaymentId),
    /// Nothing.
    Done,
}

impl Upgrade {
    /// What a store needs.
    ///
    /// # Errors
    /// [`RestoreError`] when the store is in a newer format, or cannot be read.
    pub fn of(store: &dyn Store) -> Result<Self, RestoreError> {
        check_format(store, STORE_FORMAT)?;
        let Format { number, is_complete } = format_of(store)?;
        let next = match (number < STORE_FORMAT, is_complete) {
            (true, _) => Next::Begin,
            (false, false) => Next::Payments(PaymentId([0; 32])),
            (false, true) => Next::Done,
        };
        Ok(Self { next })
    }

    /// The next batch, which must be appended before the one after it is asked for. `None` when all is done.
    ///
    /// # Errors
    /// [`RestoreError`] names the record that cannot be read.
    pub fn next_batch(&mut self, store: &dyn Store) -> Result<Option<Batch>, RestoreError> {
        match self.next {
            Next::Begin if is_empty(store)? => {
                self.next = Next::Done;
                Ok(Some(says(true)))
            }
            Next::Begin => {
                self.next = Next::Payments(PaymentId([0; 32]));
                #[cfg(feature = "mutants")]
                if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::UpgradeUnannounced) {
                    return self.next_batch(store);
                }
                Ok(Some(says(false)))
            }
            Next::Payments(from) => {
                let (batch, next) = rewrite_payments(store, from)?;
                self.next = next.map_or(Next::Done, Next::Payments);
                Ok(Some(batch))
            }
            Next::Done => Ok(None),
        }
    }
}

/// The batch that writes the header's row.
fn says(is_complete: bool) -> Batch {
    let format = Format {
        number: STORE_FORMAT,
        is_complete,
    };
    let mut batch = Batch::new();
    batch.put(Key::Header(HeaderRow::Format), ROW_VERSION, &format.to_bytes());
    batch
}

/// Whether the store has nothing that an older version could have written otherwise.
fn is_empty(store: &dyn Store) -> Result<bool, RestoreError> {
    for space in [
        Space::Checkpoints,
        Space::Updates,
        Space::FinishedPayments,
        Space::Payments,
    ] {
        let mut is_found = false;
        store.scan(&KeyRange::space(space), &mut |_, _| {
            is_found = true;
            ControlFlow::Break(())
        })?;
        if is_found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The next finished payments in our version, and where it goes on. The last batch says that the store is complete.
fn rewrite_payments(store: &dyn Store, from: PaymentId) -> Result<(Batch, Option<PaymentId>), RestoreError> {
    let mut records = Vec::new();
    store.scan(&KeyRange::finished_payments_from(from), &mut |key, frame| {
        records.push((key, frame));
        if records.len() > RECORDS_PER_BATCH {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let rest = records.get(RECORDS_PER_BATCH).and_then(|(key, _)| match key {
        Key::FinishedPayment(id) => Some(*id),
        _ => None,
    });
    let mut batch = if rest.is_none() { says(true) } else { Batch::new() };
    for (key, frame) in records.into_iter().take(RECORDS_PER_BATCH) {
        let record = decode_record(&key, &frame, FINISHED_PAYMENT_VERSION)?;
        let payment = Payment::from_bytes(record.body).map_err(|fault| RestoreError::Body { key, fault })?;
        batch.put(key, FINISHED_PAYMENT_VERSION, &payment.finished().to_bytes());
    }
    Ok((batch, rest))
}
