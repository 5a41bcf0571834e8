//! Answers to peers that break the protocol, and to errors that they send (BOLT 1, BOLT 2).

use quittance_channel::{Answer, ForceCloseReason, Violation};
use quittance_journal::mark;
use quittance_primitives::{ChannelId, NodeId};
use quittance_wire::{ErrorMessage, Message, Warning};

use crate::api::{DisconnectReason, Effect, Outgoing};
use crate::manager::{ChannelManager, channel_id};
use crate::turn::Turn;

/// How much of a peer's error text is kept, in letters: it goes into the channel's log and to the user.
const ERROR_TEXT_MAX: usize = 400;

impl ChannelManager {
    /// Answers what a peer did wrong on a channel. Nothing of ours changed by it.
    pub(crate) fn answer_violation(&mut self, id: ChannelId, violation: &Violation, turn: &mut Turn<'_>) {
        let peer = self.channels[&id].state().facts.peer;
        let text = violation.to_string();
        let warning = Warning {
            channel_id: id,
            data: text.clone().into_bytes(),
        };
        match violation.answer() {
            Answer::Warn => self.send(peer, Outgoing::Message(Box::new(warning.into())), turn),
            Answer::WarnAndDisconnect => {
                mark!("misbehaviour: the connection is closed");
                self.send(peer, Outgoing::Message(Box::new(warning.into())), turn);
                let reason = DisconnectReason::PeerMisbehaved(id, text);
                if let Some(connected) = self.peers.get(&peer) {
                    let scope = quittance_journal::Scope::Connection {
                        peer,
                        generation: connected.generation,
                    };
                    turn.step.emit(scope, Effect::Disconnect(peer, reason));
                }
                self.disconnect(&peer, turn);
            }
            Answer::FailChannel => {
                mark!("misbehaviour: the channel fails");
                let error = ErrorMessage {
                    channel_id: id,
                    data: text.clone().into_bytes(),
                };
                self.send(peer, Outgoing::Message(Box::new(error.into())), turn);
                let reason = match violation {
                    Violation::PeerFellBehind { .. } => ForceCloseReason::PeerFellBehind,
                    _ => ForceCloseReason::PeerMisbehaved(text),
                };
                self.force_close(id, reason, turn);
            }
        }
    }

    /// Answers peers that have kept us waiting for too long.
    pub(crate) fn answer_overdue(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.context.now_ms;
        let overdue = self
            .channels
            .iter()
            .filter_map(|(id, channel)| Some((*id, channel.overdue(now_ms)?)));
        let overdue: Vec<_> = overdue.collect();
        for (id, violation) in overdue {
            self.answer_violation(id, &violation, turn);
        }
    }

    /// The peer failed a channel, or all of them (BOLT 1, `error`).
    pub(crate) fn peer_failed(&mut self, peer: &NodeId, error: &ErrorMessage, turn: &mut Turn<'_>) {
        let text: String = String::from_utf8_lossy(&error.data)
            .chars()
            .filter(|letter| !letter.is_control())
            .take(ERROR_TEXT_MAX)
            .collect();
        let meant = |id: &ChannelId| error.channel_id == ChannelId::ALL || error.channel_id == *id;
        let theirs = self
            .channels
            .iter()
            .filter(|(id, channel)| channel.state().facts.peer == *peer && meant(id));
        let failed: Vec<_> = theirs.map(|(id, _)| *id).collect();
        for id in failed {
            mark!("misbehaviour: the peer fails a channel");
            self.force_close(id, ForceCloseReason::PeerFailed(text.clone()), turn);
        }
        self.opening_failed(peer, error.channel_id, &text, turn);
    }

    /// A message about a channel that we do not know (BOLT 1).
    pub(crate) fn answer_unknown_channel(&self, peer: &NodeId, message: &Message, turn: &mut Turn<'_>) {
        if let Some(unknown) = channel_id(message) {
            let error = ErrorMessage {
                channel_id: unknown,
                data: b"no such channel".to_vec(),
            };
            self.send(*peer, Outgoing::Message(Box::new(error.into())), turn);
        }
    }

    /// Closes a channel by our latest commitment, unless it is closed or must not be.
    pub(crate) fn force_close(&mut self, id: ChannelId, reason: ForceCloseReason, turn: &mut Turn<'_>) {
        if !self.may_close(id, &reason) {
            return;
        }
        let why = format!("{reason:?}");
        if let Some(decision) = self.channels[&id].decide_force_close(reason) {
            self.adopt(id, decision, turn);
            self.tell_closed(id, why, turn);
        }
    }
}
