//! What must hold, checked outside the engine after every step, against what the simulator itself saw.

use std::collections::BTreeMap;

use quittance_journal::EventNumber;
use quittance_manager::{Event, NumberedEvent};
use quittance_primitives::{ChannelId, CommitmentNumber, PaymentHash, PaymentId, PaymentPreimage};
use quittance_transactions::{CommitmentContents, Role};

/// A guarantee that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub guarantee: &'static str,
    /// What was seen.
    pub what: String,
}

/// Watches over a whole run.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// Every broken guarantee, in order.
    pub broken: Vec<Broken>,
    /// What each node's user was told under each number.
    told: BTreeMap<(usize, EventNumber), Event>,
    /// The last number that each node's user was shown since the process started.
    last_shown: BTreeMap<usize, EventNumber>,
    /// The last number that each node's user has a confirmation for.
    confirmed: BTreeMap<usize, EventNumber>,
    /// How each payment ended, as its user was told first.
    ends: BTreeMap<(usize, PaymentId), End>,
    /// What payees have claimed, by hash.
    claimed: BTreeMap<PaymentHash, PaymentPreimage>,
    /// The contents of each signed commitment that left.
    signed: BTreeMap<(ChannelId, Role, CommitmentNumber), CommitmentContents>,
    /// Channels whose closing by commitment was ordered or provoked by the script.
    pub closable: bool,
}

/// How a payment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Paid, with the proof.
    Sent(PaymentPreimage),
    /// Failed.
    Failed,
}

impl Checker {
    fn violated(&mut self, guarantee: &'static str, what: String) {
        self.broken.push(Broken { guarantee, what });
    }

    /// A user is shown an event.
    pub fn shown(&mut self, node: usize, shown: &NumberedEvent) {
        let NumberedEvent { number, event } = shown;
        if self.confirmed.get(&node).is_some_and(|confirmed| number <= confirmed) {
            self.violated(
                "G8",
                format!("event {} comes again after its handling was confirmed", number.0),
            );
        }
        if self
            .last_shown
            .insert(node, *number)
            .is_some_and(|last| last >= *number)
        {
            self.violated("G8", format!("event {} is out of order", number.0));
        }
        if let Some(earlier) = self.told.insert((node, *number), event.clone())
            && earlier != *event
        {
            self.violated("G8", format!("event {} was {earlier:?} and is now {event:?}", number.0));
        }
        match event {
            Event::PaymentSent {
                payment_id,
                payment_hash,
                preimage,
                ..
            } => {
                if preimage.hash() != *payment_hash {
                    self.violated("G2", format!("the preimage of {payment_id} does not fit its hash"));
                }
                if self.claimed.get(payment_hash) != Some(preimage) {
                    self.violated("G1", format!("{payment_id} is reported as sent, and nobody claimed it"));
                }
                self.ended(node, *payment_id, End::Sent(*preimage));
            }
            Event::PaymentFailed {
                payment_id,
                payment_hash,
                ..
            } => {
                if self.claimed.contains_key(payment_hash) {
                    self.violated(
                        "G1",
                        format!("{payment_id} is reported as failed, and the payee claimed it"),
                    );
                }
                self.ended(node, *payment_id, End::Failed);
            }
            Event::PaymentClaimed { .. }
            | Event::PaymentClaimable { .. }
            | Event::PaymentForwarded { .. }
            | Event::ChannelReady(_)
            | Event::ChannelClosed(..) => {}
        }
    }

    fn ended(&mut self, node: usize, payment: PaymentId, end: End) {
        if let Some(earlier) = self.ends.insert((node, payment), end.clone())
            && earlier != end
        {
            self.violated("G1", format!("{payment} ended as {earlier:?} and then as {end:?}"));
        }
    }

    /// A payee has released a preimage: it left the process.
    pub fn preimage_left(&mut self, preimage: PaymentPreimage) {
        self.claimed.insert(preimage.hash(), preimage);
    }

    /// A node's handling up to `number` was confirmed.
    pub fn handled(&mut self, node: usize, number: EventNumber) {
        let confirmed = self.confirmed.entry(node).or_insert(number);
        *confirmed = number.max(*confirmed);
    }

    /// A node's process has started: delivery begins anew at the first event that is not confirmed.
    pub fn started(&mut self, node: usize) {
        self.last_shown.remove(&node);
    }

    /// A signature for a commitment of the peer's left.
    pub fn signed(&mut self, channel: ChannelId, contents: &CommitmentContents) {
        let key = (channel, contents.broadcaster, contents.number);
        if let Some(earlier) = self.signed.insert(key, contents.clone())
            && earlier != *contents
        {
            self.violated("G5", format!("two signatures for {} of {channel}", contents.number));
        }
    }

    /// A node broadcasts its commitment.
    pub fn commitment_broadcast(&mut self, node: usize, channel: ChannelId) {
        if !self.closable {
            self.violated("G6", format!("node {node} closes {channel} without need"));
        }
    }

    /// How a payment ended, as its user was told.
    pub fn end_of(&self, node: usize, payment: PaymentId) -> Option<&End> {
        self.ends.get(&(node, payment))
    }

    /// Panics with everything that was broken.
    ///
    /// # Panics
    /// When a guarantee was broken.
    pub fn assert_kept(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }
}
