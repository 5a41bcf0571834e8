//! When payments began and ended, by the node's clock. The engine knows no more of time than each input tells it, and keeps none for users;
//! so the driver notes it, in the very batch that begins or ends a payment.
//!
//! A time that is not known is none, and is never guessed: rows that are made again from the channels' logs say nothing of it, and an end that
//! a start finds there was at another time. Start at [`note`].

use std::collections::BTreeMap;

use quittance_journal::{Change, Key, Step, Store, decode_record};
use quittance_manager::PAYMENT_VERSION;
use quittance_payments::Payment;
use quittance_primitives::PaymentId;
use quittance_records::{Record, record};

use crate::error::StopReason;

/// When a payment began and ended, in milliseconds since 1970, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentTimes {
    /// When the node was told to make it.
    pub began_ms: Option<u64>,
    /// When it was made, or had failed.
    pub ended_ms: Option<u64>,
}

record!(PaymentTimes { began_ms, ended_ms });

/// The version of the record format of payments' times.
const VERSION: u16 = 1;

/// Adds to a step when the payments began and ended that begin and end by it. `begins` is the payment that a command asks for, if nobody has
/// asked for it before.
pub(crate) fn note<E>(
    step: &mut Step<E>,
    store: &dyn Store,
    begins: Option<PaymentId>,
    now_ms: u64,
) -> Result<(), StopReason> {
    // Of two changes of one row the later counts.
    let mut rows = BTreeMap::new();
    for change in step.changes().changes() {
        if let Change::Put(Key::Payment(id), frame) = change {
            rows.insert(*id, payment(&Key::Payment(*id), frame)?.status.is_final());
        }
    }
    for (id, is_final) in rows {
        let is_begun = begins == Some(id);
        if !is_begun && !is_final || is_final && has_ended(store, id)? {
            continue;
        }
        let mut times = of(store, id)?;
        if is_begun {
            times.began_ms = Some(now_ms);
        }
        if is_final {
            times.ended_ms = Some(now_ms);
        }
        let key = Key::PaymentTimes(id);
        step.changes_mut().put(key, VERSION, &times.to_bytes());
    }
    Ok(())
}

/// When a payment began and ended, as far as it was noted.
pub(crate) fn of(store: &dyn Store, id: PaymentId) -> Result<PaymentTimes, StopReason> {
    let key = Key::PaymentTimes(id);
    let Some(frame) = store.get(&key).map_err(unreadable)? else {
        return Ok(PaymentTimes::default());
    };
    let record = decode_record(&key, &frame, VERSION).map_err(unreadable)?;
    PaymentTimes::from_bytes(record.body).map_err(|fault| unreadable(format!("{key}: {fault}")))
}

/// Whether the row of a payment says that it has ended.
fn has_ended(store: &dyn Store, id: PaymentId) -> Result<bool, StopReason> {
    let key = Key::Payment(id);
    let frame = store.get(&key).map_err(unreadable)?;
    frame.map_or(Ok(false), |frame| Ok(payment(&key, &frame)?.status.is_final()))
}

fn payment(key: &Key, frame: &[u8]) -> Result<Payment, StopReason> {
    let record = decode_record(key, frame, PAYMENT_VERSION).map_err(unreadable)?;
    Payment::from_bytes(record.body).map_err(|fault| unreadable(format!("{key}: {fault}")))
}

fn unreadable(why: impl ToString) -> StopReason {
    StopReason::Unreadable(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment_pages::tests::payment as row;
    use quittance_store::memory::MemoryStore;

    /// Writes a payment's row, with an end or without, and says what is noted of its times then.
    fn written(store: &mut MemoryStore, end: Option<u64>, begins: bool, now_ms: u64) -> (Option<u64>, Option<u64>) {
        let payment = row(1, end);
        let mut step = Step::<()>::new();
        step.changes_mut()
            .put(Key::Payment(payment.id), PAYMENT_VERSION, &payment.to_bytes());
        note(&mut step, store, begins.then_some(payment.id), now_ms).unwrap();
        store.append(step.changes().clone()).unwrap();
        let times = of(store, payment.id).unwrap();
        (times.began_ms, times.ended_ms)
    }

    #[test]
    fn a_payment_has_the_time_of_the_steps_that_begin_and_end_it() {
        let mut store = MemoryStore::new();
        assert_eq!(written(&mut store, None, true, 10), (Some(10), None));
        assert_eq!(
            written(&mut store, None, false, 20),
            (Some(10), None),
            "another attempt"
        );
        assert_eq!(written(&mut store, Some(7), false, 30), (Some(10), Some(30)));
        assert_eq!(
            written(&mut store, Some(7), false, 40),
            (Some(10), Some(30)),
            "it ends once"
        );
    }

    #[test]
    fn a_payment_that_fails_at_once_has_both_times() {
        assert_eq!(
            written(&mut MemoryStore::new(), Some(7), true, 10),
            (Some(10), Some(10))
        );
    }

    #[test]
    fn the_beginning_of_a_payment_whose_row_is_older_or_was_lost_is_not_guessed() {
        let mut store = MemoryStore::new();
        assert_eq!(written(&mut store, None, false, 20), (None, None));
        assert_eq!(written(&mut store, Some(7), false, 30), (None, Some(30)));
    }
}
