//! What waits to be sent to one peer: bounded, and nobody ever waits for room in it.

use std::sync::Arc;

use quittance_wire::Message;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Something to be sent to a peer.
pub enum Outbound {
    /// A message.
    Message(Box<Message>),
    /// A message that is made when its turn has come, on the connection's own task: for what has to be signed. `None` sends nothing, so that
    /// work can be done there for a message that is to come.
    Made(Box<dyn FnOnce() -> Option<Message> + Send>),
    /// The connection is closed once everything before this is sent.
    Close,
}

/// Where what is to be sent to a peer goes. It belongs to one connection: what is put into it never reaches the next one.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: Sender<Outbound>,
    end: Arc<Notify>,
}

/// Nothing was sent: the connection is gone, or has just been closed since the peer does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
    /// Too much waits for the peer.
    #[error("the peer does not read what it is sent")]
    TooSlow,
}

impl Outbox {
    pub(crate) fn new(messages_max: usize) -> (Self, Receiver<Outbound>) {
        let (queue, receiver) = mpsc::channel(messages_max.max(2));
        let end = Arc::new(Notify::new());
        (Self { queue, end }, receiver)
    }

    /// Queues something behind what is there. Never waits.
    ///
    /// # Errors
    /// [`NotSent`]; a peer that is too slow has lost its connection by it.
    pub fn send(&self, outbound: Outbound) -> Result<(), NotSent> {
        self.queue.try_send(outbound).map_err(|refused| match refused {
            TrySendError::Closed(_) => NotSent::Gone,
            TrySendError::Full(_) => {
                self.end_now();
                NotSent::TooSlow
            }
        })
    }

    /// Ends the connection without sending what waits.
    pub fn end_now(&self) {
        self.end.notify_one();
    }

    pub(crate) async fn ended(&self) {
        self.end.notified().await;
    }

    /// Whether half of the queue is taken: then the peer is not read from, so that answers do not pile up.
    pub fn is_crowded(&self) -> bool {
        self.queue.capacity() < self.queue.max_capacity() / 2
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Message(message) => message.name(),
            Self::Made(_) => "a message to be made",
            Self::Close => "the end",
        })
    }
}

impl From<Message> for Outbound {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}
