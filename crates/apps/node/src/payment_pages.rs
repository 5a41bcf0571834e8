//! Our payments a page at a time, the newest first. They stand by id, so each listing reads all that ended, a part at a time, and keeps no
//! more than a page of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use quittance_journal::{EventNumber, Key, KeyRange, Store, decode_record};
use quittance_manager::FINISHED_PAYMENT_VERSION;
use quittance_payments::Payment;
use quittance_primitives::PaymentId;
use quittance_records::Record;

use crate::error::StopReason;

/// A page of payments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentPage {
    /// On the first page those without an end, by id; then those that ended, the last one first.
    pub payments: Vec<Payment>,
    /// The event before which the next page begins, if there is one.
    pub next: Option<EventNumber>,
}

/// A page that is being put together.
#[derive(Debug)]
pub(crate) struct PaymentPages {
    before: Option<EventNumber>,
    limit: usize,
    pending: Vec<Payment>,
    /// The newest that were found, one more than the page holds: it tells whether there is another page.
    ended: BTreeMap<(EventNumber, PaymentId), Payment>,
    /// From where on the rest is to be read; nothing once all is.
    from: Option<PaymentId>,
}

/// Some of the payments that ended and were confirmed.
#[derive(Debug)]
pub(crate) struct Part {
    payments: Vec<Payment>,
    /// The first that was not read.
    next: Option<PaymentId>,
}

/// How many are read at once: about a millisecond of the engine's time.
const PART: usize = 500;

impl PaymentPages {
    /// Begins with those whose end nobody has confirmed: one that is confirmed meanwhile is found again, as the same.
    pub(crate) fn begin<'a>(
        unconfirmed: impl Iterator<Item = &'a Payment>,
        before: Option<EventNumber>,
        limit: usize,
    ) -> Self {
        let mut pages = Self {
            before,
            limit: limit.max(1),
            pending: Vec::new(),
            ended: BTreeMap::new(),
            from: Some(PaymentId([0; 32])),
        };
        for payment in unconfirmed {
            pages.take(payment.clone());
        }
        pages
    }

    /// From where on something is left to be read.
    pub(crate) const fn to_read(&self) -> Option<PaymentId> {
        self.from
    }

    pub(crate) fn read(&mut self, part: Part) {
        self.from = part.next;
        part.payments.into_iter().for_each(|payment| self.take(payment));
    }

    pub(crate) fn finish(mut self) -> PaymentPage {
        let mut next = None;
        if self.ended.len() > self.limit {
            self.ended.pop_first();
            next = self.ended.first_key_value().map(|((event, _), _)| *event);
        }
        // One that ended between two parts is told as ended.
        self.pending
            .retain(|payment| !self.ended.keys().any(|(_, id)| *id == payment.id));
        let mut payments = self.pending;
        payments.extend(self.ended.into_values().rev());
        PaymentPage { payments, next }
    }

    fn take(&mut self, payment: Payment) {
        match (payment.status.event(), self.before) {
            (None, None) => self.pending.push(payment),
            (Some(event), before) if before.is_none_or(|before| event < before) => {
                self.ended.insert((event, payment.id), payment);
                if self.ended.len() > self.limit + 1 {
                    self.ended.pop_first();
                }
            }
            (None | Some(_), _) => {}
        }
    }
}

/// Reads some of the payments that ended and were confirmed, from this id on.
pub(crate) fn finished_payments(store: &dyn Store, from: PaymentId) -> Result<Part, StopReason> {
    let mut part = Part {
        payments: Vec::new(),
        next: None,
    };
    let mut unreadable = None;
    let visit = &mut |key: Key, frame: Vec<u8>| {
        if part.payments.len() == PART {
            if let Key::FinishedPayment(id) = key {
                part.next = Some(id);
            }
            return ControlFlow::Break(());
        }
        let payment = decode_record(&key, &frame, FINISHED_PAYMENT_VERSION)
            .map_err(|error| error.to_string())
            .and_then(|record| Payment::from_bytes(record.body).map_err(|fault| format!("{key}: {fault}")));
        match payment {
            Ok(payment) => part.payments.push(payment),
            Err(why) => {
                unreadable = Some(StopReason::Unreadable(why));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    let scanned = store.scan(&KeyRange::finished_payments_from(from), visit);
    scanned.map_err(|error| StopReason::Unreadable(error.to_string()))?;
    unreadable.map_or(Ok(part), Err)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quittance_journal::Batch;
    use quittance_payments::{PaymentStatus, Retry};
    use quittance_primitives::{MilliSatoshi, PaymentPreimage};
    use quittance_store::memory::MemoryStore;

    pub(crate) fn payment(number: u16, event: Option<u64>) -> Payment {
        // Ids in an order that is not that of the events.
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.wrapping_mul(40_503).to_be_bytes());
        let preimage = PaymentPreimage([1; 32]);
        Payment {
            id: PaymentId(id),
            payment_hash: preimage.hash(),
            amount: MilliSatoshi(u64::from(number)),
            fee_limit: MilliSatoshi(0),
            kind: None,
            retry: Retry {
                attempts_left: 0,
                avoid: Vec::new(),
            },
            status: event.map_or(PaymentStatus::Pending, |event| PaymentStatus::Sent {
                preimage,
                fee_paid: MilliSatoshi(0),
                event: EventNumber(event),
            }),
            rests_on: Vec::new(),
        }
    }

    fn page(store: &MemoryStore, rows: &[Payment], before: Option<u64>, limit: usize) -> (Vec<u64>, Option<u64>) {
        let mut pages = PaymentPages::begin(rows.iter(), before.map(EventNumber), limit);
        while let Some(from) = pages.to_read() {
            pages.read(finished_payments(store, from).unwrap());
        }
        let page = pages.finish();
        let numbers = page.payments.iter().map(|payment| payment.amount.0).collect();
        (numbers, page.next.map(|event| event.0))
    }

    #[test]
    fn pages_follow_each_other_from_the_newest_to_the_oldest_and_miss_nothing() {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        for number in 1..=1_200_u16 {
            let payment = payment(number, Some(u64::from(number)));
            batch.put(
                Key::FinishedPayment(payment.id),
                FINISHED_PAYMENT_VERSION,
                &payment.to_bytes(),
            );
        }
        store.append(batch).unwrap();
        // One on its way, one whose end nobody has confirmed, and one that was confirmed while we read.
        let rows = [
            payment(2_000, None),
            payment(1_201, Some(1_201)),
            payment(1_200, Some(1_200)),
        ];
        let (first, next) = page(&store, &rows, None, 3);
        assert_eq!((first, next), (vec![2_000, 1_201, 1_200, 1_199], Some(1_199)));
        let mut seen = Vec::new();
        let mut before = next;
        while let Some(number) = before {
            let (numbers, next) = page(&store, &rows, Some(number), 100);
            seen.extend(numbers);
            before = next;
        }
        assert_eq!(seen, (1..1_199).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_payment_that_ends_while_the_page_is_read_stands_there_once() {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        let ended = payment(1, Some(7));
        batch.put(
            Key::FinishedPayment(ended.id),
            FINISHED_PAYMENT_VERSION,
            &ended.to_bytes(),
        );
        store.append(batch).unwrap();
        assert_eq!(page(&store, &[payment(1, None)], None, 10), (vec![1], None));
    }

    #[test]
    fn a_damaged_record_is_named_and_not_passed_over() {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        batch.put(
            Key::FinishedPayment(PaymentId([1; 32])),
            FINISHED_PAYMENT_VERSION,
            b"no payment",
        );
        store.append(batch).unwrap();
        let read = finished_payments(&store, PaymentId([0; 32]));
        assert!(matches!(read, Err(StopReason::Unreadable(why)) if why.contains("01010101")));
    }
}
