//! Events on their way to whoever listens: shown once they are durable, kept until they are handled, and told again to everyone who asks.

use std::collections::VecDeque;

use quittance_journal::EventNumber;
use quittance_manager::NumberedEvent;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::driver::Order;

/// How many events are kept for those who listen again, beyond the ones that nobody has handled.
const RECENT_MAX: usize = 1_000;

/// Events that this process has shown.
#[derive(Debug)]
pub(crate) struct Desk {
    /// In order. Unhandled ones are among them as long as the engine's window is smaller than this.
    recent: VecDeque<NumberedEvent>,
    last_shown: Option<EventNumber>,
    listeners: broadcast::Sender<NumberedEvent>,
}

/// What a listener begins with: what was shown before, and what comes.
pub(crate) type Subscription = (Vec<NumberedEvent>, broadcast::Receiver<NumberedEvent>);

/// The events of a node, in order. After a restart of the node it begins with the first one that was not handled.
#[derive(Debug)]
pub struct EventStream {
    backlog: VecDeque<NumberedEvent>,
    coming: broadcast::Receiver<NumberedEvent>,
    orders: mpsc::Sender<Order>,
    next: EventNumber,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            recent: VecDeque::new(),
            last_shown: None,
            listeners: broadcast::Sender::new(RECENT_MAX),
        }
    }

    /// Shows an event, which is durable by now.
    pub(crate) fn show(&mut self, event: NumberedEvent) {
        self.last_shown = self.last_shown.max(Some(event.number));
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
        // Nobody may be listening.
        let _ = self.listeners.send(event);
    }

    /// The last one that was shown.
    pub(crate) const fn last_shown(&self) -> Option<EventNumber> {
        self.last_shown
    }

    pub(crate) fn subscribe(&self, from: EventNumber) -> Subscription {
        let before = self.recent.iter().filter(|event| event.number >= from).cloned();
        (before.collect(), self.listeners.subscribe())
    }
}

impl EventStream {
    pub(crate) fn new(subscription: Subscription, from: EventNumber, orders: mpsc::Sender<Order>) -> Self {
        let (backlog, coming) = subscription;
        Self {
            backlog: backlog.into(),
            coming,
            orders,
            next: from,
        }
    }

    /// The next event; `None` once the node has stopped. Safe to be cancelled.
    pub async fn next(&mut self) -> Option<NumberedEvent> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                if event.number < self.next {
                    continue;
                }
                self.next = event.number.next();
                return Some(event);
            }
            match self.coming.recv().await {
                Ok(event) => self.backlog.push_back(event),
                Err(RecvError::Closed) => return None,
                // Whoever fell behind asks for what is still kept.
                Err(RecvError::Lagged(_)) => {
                    let (answer, answered) = oneshot::channel();
                    let from = self.next;
                    self.orders.send(Order::Subscribe { from, answer }).await.ok()?;
                    let (backlog, coming) = answered.await.ok()?;
                    self.backlog = backlog.into();
                    self.coming = coming;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quittance_manager::Event;
    use quittance_primitives::ChannelId;

    fn event(number: u64) -> NumberedEvent {
        NumberedEvent {
            number: EventNumber(number),
            event: Event::ChannelReady(ChannelId([1; 32])),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_what_was_shown_before_and_what_comes_each_once() {
        let mut desk = Desk::new();
        assert_eq!(desk.last_shown(), None);
        (0..5).for_each(|number| desk.show(event(number)));
        assert_eq!(desk.last_shown(), Some(EventNumber(4)));
        let (orders, _kept) = mpsc::channel(1);
        let mut stream = EventStream::new(desk.subscribe(EventNumber(3)), EventNumber(3), orders);
        desk.show(event(5));
        for number in 3..=5 {
            assert_eq!(stream.next().await, Some(event(number)));
        }
        drop(desk);
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn a_listener_that_falls_behind_asks_again() {
        let mut desk = Desk::new();
        let (orders, mut asked) = mpsc::channel(1);
        let mut stream = EventStream::new(desk.subscribe(EventNumber(0)), EventNumber(0), orders);
        (0..3_000).for_each(|number| desk.show(event(number)));
        let answering = tokio::spawn(async move {
            let Some(Order::Subscribe { from, answer }) = asked.recv().await else {
                panic!("it asks")
            };
            assert_eq!(from, EventNumber(0));
            answer.send(desk.subscribe(from)).unwrap();
            desk
        });
        assert_eq!(stream.next().await, Some(event(2_000)), "the oldest that is kept");
        for number in 2_001..3_000 {
            assert_eq!(stream.next().await, Some(event(number)));
        }
        drop(answering.await.unwrap());
    }
}
