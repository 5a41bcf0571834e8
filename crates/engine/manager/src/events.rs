//! The queue of events that the user has not handled (G8): numbered, durable, in order.
//!
//! Numbers are reserved in blocks, in a row of the journal's header that no loss of manager rows touches: after a start the next
//! number is the first one that was not reserved before, so no number is ever used twice. What was handled stands beside it, so
//! that an older copy of the rows brings nothing back.

use std::collections::BTreeMap;

use quittance_journal::{EventNumber, HeaderRow, Key};
use quittance_records::Record;

use crate::api::{Effect, Event, NumberedEvent};
use crate::turn::Turn;

/// The version of the record format of event rows, and of the header's row of reserved numbers.
pub const EVENT_VERSION: u16 = 1;
/// How many numbers are reserved at a time: one more record in so many events.
const RESERVED_AT_ONCE: u64 = 1_000;
/// How many events are shown to a user that has not confirmed any of them.
pub(crate) const WINDOW: usize = 100;

/// The events that the user has not handled.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    unhandled: BTreeMap<EventNumber, Event>,
    /// The next number to be given.
    next: EventNumber,
    /// All numbers below this one are reserved.
    reserved: EventNumber,
    /// The next event to be shown.
    to_show: EventNumber,
    /// The user has handled everything below this one.
    handled_below: EventNumber,
}

/// What the journal's header says of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventMarks {
    /// Numbers below this one are reserved.
    pub(crate) reserved: EventNumber,
    /// Everything below this one was handled.
    pub(crate) handled_below: EventNumber,
}

impl Events {
    /// The queue as it is after a start. Nothing above the reserved numbers was ever used.
    pub(crate) fn restore(unhandled: BTreeMap<EventNumber, Event>, marks: EventMarks) -> Self {
        let EventMarks {
            reserved,
            handled_below,
        } = marks;
        let to_show = unhandled.first_key_value().map_or(reserved, |(number, _)| *number);
        #[cfg(feature = "mutants")]
        let reserved = if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::EventNumberReused) {
            unhandled
                .last_key_value()
                .map_or(handled_below, |(number, _)| number.next())
        } else {
            reserved
        };
        Self {
            unhandled,
            next: reserved,
            reserved,
            to_show,
            handled_below,
        }
    }

    /// The rows of an older copy whose events the user has handled since.
    pub(crate) fn handled_before(&self) -> impl Iterator<Item = EventNumber> {
        self.unhandled.range(..self.handled_below).map(|(number, _)| *number)
    }

    /// The number that is given next.
    pub(crate) const fn next_number(&self) -> EventNumber {
        self.next
    }

    /// Gives the next number away.
    pub(crate) fn number(&mut self, turn: &mut Turn<'_>) -> EventNumber {
        let number = self.next;
        self.next = number.next();
        if self.next > self.reserved {
            self.reserved = EventNumber(number.0 + RESERVED_AT_ONCE);
            turn.step.changes_mut().put(
                Key::Header(HeaderRow::ReservedEvents),
                EVENT_VERSION,
                &self.reserved.to_bytes(),
            );
        }
        number
    }

    /// Puts an event into the queue, under the number that it was given.
    pub(crate) fn add(&mut self, number: EventNumber, event: Event, turn: &mut Turn<'_>) {
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::EventLost) && number.0 % 3 == 2 {
            return;
        }
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::EventDoubled)
            && matches!(event, Event::PaymentSent { .. } | Event::PaymentClaimed { .. })
        {
            let copy = self.number(turn);
            turn.step
                .changes_mut()
                .put(Key::Event(copy), EVENT_VERSION, &event.to_bytes());
            self.unhandled.insert(copy, event.clone());
        }
        turn.step
            .changes_mut()
            .put(Key::Event(number), EVENT_VERSION, &event.to_bytes());
        self.unhandled.insert(number, event);
    }

    /// Gives an event the next number and puts it into the queue.
    pub(crate) fn push(&mut self, event: Event, turn: &mut Turn<'_>) -> EventNumber {
        let number = self.number(turn);
        self.add(number, event, turn);
        number
    }

    /// Shows the user what it has not seen, as far as the window allows. Nothing of it leaves before it is durable.
    pub(crate) fn show(&mut self, turn: &mut Turn<'_>) {
        let shown = self.unhandled.range(..self.to_show).count();
        let fresh = self.unhandled.range(self.to_show..).take(WINDOW.saturating_sub(shown));
        #[cfg(feature = "mutants")]
        let fresh: Box<dyn Iterator<Item = _>> =
            if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::EventsReordered) {
                Box::new(fresh.collect::<Vec<_>>().into_iter().rev())
            } else {
                Box::new(fresh)
            };
        for (number, event) in fresh {
            turn.emit(Effect::Notify(Box::new(NumberedEvent {
                number: *number,
                event: event.clone(),
            })));
            self.to_show = self.to_show.max(number.next());
        }
    }

    /// Whether a user who was shown what is below `shown_below` can have handled everything up to `last`: it was given once, in this life of
    /// the node or in an earlier one, and nothing up to it waits to be shown.
    pub(crate) fn may_be_handled(&self, last: EventNumber, shown_below: EventNumber) -> bool {
        let unseen = shown_below.min(last.next())..last.next();
        last < self.next && self.unhandled.range(unseen).next().is_none()
    }

    /// Takes out everything up to `last`, which the user has handled. `None` when nobody can have. It need not be
    /// there: who was told of it before its row was lost may confirm it all the same.
    pub(crate) fn handled(&mut self, last: EventNumber, turn: &mut Turn<'_>) -> Option<Vec<(EventNumber, Event)>> {
        if !self.may_be_handled(last, self.to_show) {
            return None;
        }
        let rest = self.unhandled.split_off(&last.next());
        let handled = std::mem::replace(&mut self.unhandled, rest);
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::HandledEventKept) {
            return Some(handled.into_iter().collect());
        }
        if last.next() > self.handled_below {
            self.handled_below = last.next();
            turn.step.changes_mut().put(
                Key::Header(HeaderRow::HandledEvents),
                EVENT_VERSION,
                &self.handled_below.to_bytes(),
            );
        }
        for number in handled.keys() {
            turn.step.changes_mut().delete(Key::Event(*number));
        }
        Some(handled.into_iter().collect())
    }

    /// Puts an event back under the number that it had, unless it is there. Whether it was missing.
    pub(crate) fn add_again(&mut self, number: EventNumber, event: Event, turn: &mut Turn<'_>) -> bool {
        let is_missing = !self.unhandled.contains_key(&number);
        if is_missing {
            self.to_show = self.to_show.min(number);
            self.add(number, event, turn);
        }
        is_missing
    }

    /// Takes one event out that the user has handled before.
    pub(crate) fn drop(&mut self, number: EventNumber, turn: &mut Turn<'_>) {
        self.unhandled.remove(&number);
        turn.step.changes_mut().delete(Key::Event(number));
    }

    /// Every event that the user has not handled.
    pub(crate) fn unhandled(&self) -> impl Iterator<Item = (&EventNumber, &Event)> {
        self.unhandled.iter()
    }
}
