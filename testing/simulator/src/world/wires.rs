//! The wires between nodes: how long a message takes, and what a peer may send that no engine would.

use std::collections::VecDeque;

use quittance_primitives::ChannelId;
use quittance_wire::{Message, Stfu};

use super::{NodeIndex, OnItsWay, World, pair};

/// How slow a wire is, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How long the shortest message takes, in milliseconds.
    pub base_ms: u64,
    /// What each kilobyte adds, while which the wire is taken.
    pub ms_per_kilobyte: u64,
}

/// What no engine would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// Bytes without meaning.
    Bytes([u8; 32]),
    /// A message for a channel that is not there.
    UnknownChannel([u8; 32]),
    /// What was sent before, so many messages ago.
    Repeated(usize),
}

/// How many messages are kept to be sent again.
const KEPT: usize = 12;

impl World {
    /// Makes a wire slow; it is as fast as can be until then.
    pub fn slow_down(&mut self, one: NodeIndex, other: NodeIndex, latency: Latency) {
        self.latencies.insert(pair(one, other), latency);
    }

    /// Puts bytes on a wire, behind what is there.
    pub(super) fn put_on_wire(&mut self, from: NodeIndex, to: NodeIndex, bytes: Vec<u8>, depth: u64) {
        let latency = self.latencies.get(&pair(from, to)).copied().unwrap_or_default();
        let now_ms = self.now_ms;
        let Some(wire) = self.wires.get_mut(&(from, to)) else {
            return;
        };
        let busy_until_ms = wire.back().map_or(now_ms, |last| last.arrives_at_ms).max(now_ms);
        let takes_ms = latency.ms_per_kilobyte * bytes.len() as u64 / 1_000;
        let arrives_at_ms = (busy_until_ms + takes_ms).max(now_ms + latency.base_ms);
        wire.push_back(OnItsWay {
            bytes,
            depth,
            arrives_at_ms,
        });
    }

    /// Keeps a message for a peer that will repeat it.
    pub(super) fn keep_sent(&mut self, from: NodeIndex, to: NodeIndex, bytes: &[u8]) {
        let kept = self.sent_lately.entry((from, to)).or_default();
        kept.push_back(bytes.to_vec());
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// What a node sent to another lately, the oldest first.
    pub fn sent_lately(&self, from: NodeIndex, to: NodeIndex) -> Vec<Message> {
        let kept = self.sent_lately.get(&(from, to)).into_iter().flatten();
        let messages = kept.map(|bytes| Message::decode(bytes).expect("what an engine sends can be read"));
        messages.collect()
    }

    /// The next message on a wire is another one than its sender sent. Whether there was one.
    pub fn forge(&mut self, from: NodeIndex, to: NodeIndex, change: impl Fn(Message) -> Message) -> bool {
        let Some(next) = self.wires.get_mut(&(from, to)).and_then(VecDeque::front_mut) else {
            return false;
        };
        let sent = Message::decode(&next.bytes).expect("what an engine sends can be read");
        next.bytes = change(sent).encode();
        true
    }

    /// The wires on which something has arrived.
    pub fn due_wires(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let is_due = |wire: &VecDeque<OnItsWay>| wire.front().is_some_and(|first| first.arrives_at_ms <= self.now_ms);
        let due = self.wires.iter().filter(|(_, wire)| is_due(wire));
        due.map(|(wire, _)| *wire).collect()
    }

    /// Time passes until something arrives. Whether anything is on its way.
    pub fn wait_for_wires(&mut self) -> bool {
        let first = self.wires.values().filter_map(|wire| wire.front());
        let Some(arrives_at_ms) = first.map(|first| first.arrives_at_ms).min() else {
            return false;
        };
        self.now_ms = self.now_ms.max(arrives_at_ms);
        true
    }

    /// A peer sends what no engine would. Whether it did: what would rightly close the channel is not repeated.
    pub fn send_garbage(&mut self, from: NodeIndex, to: NodeIndex, garbage: Garbage) -> bool {
        let bytes = match garbage {
            Garbage::Bytes(bytes) => bytes.to_vec(),
            Garbage::UnknownChannel(bytes) => {
                let stfu = Stfu {
                    channel_id: ChannelId(bytes),
                    initiator: 1,
                };
                Message::from(stfu).encode()
            }
            Garbage::Repeated(ago) => {
                let kept = self.sent_lately.get(&(from, to));
                let Some(bytes) = kept.and_then(|kept| kept.iter().rev().nth(ago)) else {
                    return false;
                };
                bytes.clone()
            }
        };
        let closes = match Message::decode(&bytes) {
            Ok(message) => matches!(
                message,
                // A feerate that is proposed again, and is the same, is committed to without its proposer's knowing.
                Message::RevokeAndAck(_) | Message::ChannelReestablish(_) | Message::UpdateFee(_) | Message::Error(_)
            ),
            Err(_) => false,
        };
        if closes {
            return false;
        }
        self.tell(|world| {
            let [from, to] = [from, to].map(|node| &world.nodes[node].name);
            format!("{from} -> {to}: garbage, {garbage:?}")
        });
        self.put_on_wire(from, to, bytes, 0);
        true
    }
}
