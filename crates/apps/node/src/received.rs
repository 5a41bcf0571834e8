//! Payments that were made to us, for people who look back. The engine needs nothing of a claim once its event is confirmed and its HTLCs are gone;
//! so the driver notes each in the very batch that decides it, with the time, under the number of its event.
//!
//! A claim that an older version decided has no row here. Start at [`note`].

use std::cmp::Reverse;
use std::ops::ControlFlow;

use quittance_journal::{Change, EventNumber, Key, KeyRange, Step, Store, decode_record};
use quittance_manager::{EVENT_VERSION, Event};
use quittance_primitives::{MilliSatoshi, PaymentHash, PaymentPreimage};
use quittance_records::{Record, record};

use crate::error::StopReason;

/// A payment that was made to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its hash, which the invoice has. An invoice that was paid twice has two payments.
    pub payment_hash: PaymentHash,
    /// What claimed it.
    pub preimage: PaymentPreimage,
    /// What it brought, in msat.
    pub amount: MilliSatoshi,
    /// When it was claimed, in milliseconds since 1970 by our clock.
    pub claimed_ms: u64,
}

record!(Received {
    payment_hash,
    preimage,
    amount,
    claimed_ms
});

/// A page of payments to us, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedPage {
    /// The payments, each under the number of the event that told of its claim.
    pub payments: Vec<(EventNumber, Received)>,
    /// The event before which the next page begins, if there is one.
    pub next: Option<EventNumber>,
}

/// The version of the record format of payments to us.
const VERSION: u16 = 1;

/// Adds to a step the payments to us whose claims it decides.
pub(crate) fn note<E>(step: &mut Step<E>, now_ms: u64) -> Result<(), StopReason> {
    let mut claims = Vec::new();
    for change in step.changes().changes() {
        let Change::Put(key @ Key::Event(number), frame) = change else {
            continue;
        };
        let record = decode_record(key, frame, EVENT_VERSION).map_err(unreadable)?;
        let event = Event::from_bytes(record.body).map_err(|fault| unreadable(format!("{key}: {fault}")))?;
        if let Event::PaymentClaimed {
            payment_hash,
            preimage,
            amount,
        } = event
        {
            let claimed_ms = now_ms;
            claims.push((
                *number,
                Received {
                    payment_hash,
                    preimage,
                    amount,
                    claimed_ms,
                },
            ));
        }
    }
    for (number, received) in claims {
        let key = Key::Received(Reverse(number));
        step.changes_mut().put(key, VERSION, &received.to_bytes());
    }
    Ok(())
}

/// A page of the payments to us: what it costs is a matter of its length alone, however many there are.
pub(crate) fn page(store: &dyn Store, before: Option<EventNumber>, limit: usize) -> Result<ReceivedPage, StopReason> {
    let newest = match before {
        // Nothing stands before the first event.
        Some(EventNumber(0)) => return Ok(ReceivedPage::default()),
        Some(EventNumber(number)) => EventNumber(number - 1),
        None => EventNumber(u64::MAX),
    };
    let (mut page, limit) = (ReceivedPage::default(), limit.max(1));
    let mut unreadable_row = None;
    let visit = &mut |key: Key, frame: Vec<u8>| {
        if page.payments.len() == limit {
            page.next = page.payments.last().map(|(number, _)| *number);
            return ControlFlow::Break(());
        }
        match received(key, &frame) {
            Ok(payment) => page.payments.push(payment),
            Err(why) => {
                unreadable_row = Some(why);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    store
        .scan(&KeyRange::received_from(newest), visit)
        .map_err(unreadable)?;
    unreadable_row.map_or(Ok(page), Err)
}

fn received(key: Key, frame: &[u8]) -> Result<(EventNumber, Received), StopReason> {
    let Key::Received(Reverse(number)) = key else {
        return Err(unreadable(format!("{key} stands where payments to us do")));
    };
    let record = decode_record(&key, frame, VERSION).map_err(unreadable)?;
    let payment = Received::from_bytes(record.body).map_err(|fault| unreadable(format!("{key}: {fault}")))?;
    Ok((number, payment))
}

fn unreadable(why: impl ToString) -> StopReason {
    StopReason::Unreadable(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_journal::Batch;
    use quittance_store::memory::MemoryStore;

    fn claimed(number: u64) -> Event {
        let preimage = PaymentPreimage([7; 32]);
        Event::PaymentClaimed {
            payment_hash: preimage.hash(),
            preimage,
            amount: MilliSatoshi(number * 1_000),
        }
    }

    fn put(step: &mut Step<()>, number: u64, event: &Event) {
        let key = Key::Event(EventNumber(number));
        step.changes_mut().put(key, EVENT_VERSION, &event.to_bytes());
    }

    #[test]
    fn a_claim_is_noted_with_its_time_in_the_batch_that_decides_it_and_nothing_else_is() {
        let (mut store, mut step) = (MemoryStore::new(), Step::<()>::new());
        let preimage = PaymentPreimage([7; 32]);
        let claimable = Event::PaymentClaimable {
            payment_hash: preimage.hash(),
            amount: MilliSatoshi(1),
        };
        put(&mut step, 4, &claimable);
        put(&mut step, 5, &claimed(5));
        note(&mut step, 1_234).unwrap();
        assert_eq!(step.changes().changes().len(), 3);
        store.append(step.changes().clone()).unwrap();
        let received = Received {
            payment_hash: preimage.hash(),
            preimage,
            amount: MilliSatoshi(5_000),
            claimed_ms: 1_234,
        };
        let all = page(&store, None, 10).unwrap();
        assert_eq!((all.payments, all.next), (vec![(EventNumber(5), received)], None));
    }

    #[test]
    fn pages_follow_each_other_from_the_newest_to_the_oldest_and_miss_nothing() {
        let mut store = MemoryStore::new();
        for number in [0, 1, 3, 255, 256, 70_000] {
            let mut step = Step::<()>::new();
            put(&mut step, number, &claimed(number));
            note(&mut step, number).unwrap();
            store.append(step.changes().clone()).unwrap();
        }
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = page(&store, before, 2).unwrap();
            assert!(page.payments.len() <= 2);
            seen.extend(page.payments.iter().map(|(number, _)| number.0));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, [70_000, 256, 255, 3, 1, 0]);
        assert_eq!(page(&store, Some(EventNumber(0)), 2), Ok(ReceivedPage::default()));
    }

    #[test]
    fn a_damaged_record_is_named_and_not_passed_over() {
        let (mut store, mut batch) = (MemoryStore::new(), Batch::new());
        batch.put(Key::Received(Reverse(EventNumber(9))), VERSION, b"no payment");
        store.append(batch).unwrap();
        let read = page(&store, None, 1);
        assert!(matches!(read, Err(StopReason::Unreadable(why)) if why.contains("received/9")));
    }

    #[test]
    fn rows_of_version_1_are_read() {
        let received = Received {
            payment_hash: PaymentHash([1; 32]),
            preimage: PaymentPreimage([2; 32]),
            amount: MilliSatoshi(0x0304),
            claimed_ms: 0x0506,
        };
        let mut stored = [[1; 32], [2; 32]].concat();
        stored.extend([0x84, 6, 0x86, 0x0a]);
        assert_eq!(received.to_bytes(), stored);
        assert_eq!(Received::from_bytes(&stored), Ok(received));
    }
}
