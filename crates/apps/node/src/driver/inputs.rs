//! What callers and peers want, as inputs of the engine.

use quittance_channel::{Attached, Need, NextCommitment};
use quittance_journal::{EventNumber, Key, ReadError, Store, decode_record};
use quittance_manager::{Command, FINISHED_PAYMENT_VERSION, Input, RequestId, Response};
use quittance_net::Tidings;
use quittance_payments::Payment;
use quittance_primitives::{ChannelId, NodeId, PaymentId};
use quittance_records::Record;
use quittance_wire::Message;
use tokio::sync::oneshot;
use tracing::{debug, info};

use super::signing::ConnectionSigner;
use super::{Driver, Line, Order, entropy};
use crate::chain::ToBroadcast;
use crate::error::{NodeError, StopReason};
use crate::events::Desk;
use crate::peers::FromPeer;
use crate::policy::PolicyChange;
use crate::views::View;

impl Driver {
    pub(super) fn order(&mut self, order: Order) -> Result<(), StopReason> {
        match order {
            Order::Command(command, answer) => self.command(*command, answer),
            Order::Open(new, answer, opened) => {
                // The answer may be followed by all the rest at once.
                self.work.opening.insert(self.next_request(), opened);
                self.command(Command::OpenChannel(new), answer)
            }
            Order::Funded {
                peer,
                temporary_channel_id,
                funding,
            } => match funding {
                Err(error) => {
                    self.opening_failed(&temporary_channel_id, error);
                    let (answer, _) = oneshot::channel();
                    self.command(Command::AbandonOpening(peer, temporary_channel_id), answer)
                }
                Ok(funding) => {
                    if let Some(channel) = funding.channels().first() {
                        self.work.funded.insert(*channel, temporary_channel_id);
                    }
                    let (answer, _) = oneshot::channel();
                    let command = Command::FundChannel {
                        peer,
                        temporary_channel_id,
                        funding,
                    };
                    self.command(command, answer)
                }
            },
            Order::SetPolicy(channel, change, answer) => self.set_policy(channel, change, answer),
            Order::Handled(number, answer) => self.handled(number, answer),
            Order::Subscribe { from, answer } => {
                let desk = self.work.desk.get_or_insert_with(Desk::new);
                // Whoever asked may be gone.
                let _ = answer.send(desk.subscribe(from));
                Ok(())
            }
            Order::Look(look) => {
                self.work.signed.tell(&mut self.work.figures);
                let view = View {
                    manager: &self.manager,
                    store: &self.store,
                    figures: &self.work.figures,
                    last_shown: self.work.desk.as_ref().and_then(Desk::last_shown),
                    folder: &self.folder,
                };
                let answer = look(&view);
                self.work.answers.push_back((self.gate.appended(), answer));
                Ok(())
            }
            Order::Broadcast(transaction) => {
                self.broadcast(ToBroadcast::Transaction(transaction, "payment on chain"));
                Ok(())
            }
            // The loop takes it before.
            Order::Stop => Ok(()),
        }
    }

    fn command(&mut self, command: Command, answer: oneshot::Sender<Response>) -> Result<(), StopReason> {
        let wanted = self.manager.wants(&command);
        let finished = match wanted {
            None => None,
            Some(key) => read_payment(&self.store, &key)?,
        };
        let begins = match &command {
            // Known neither among the payments at hand nor among those that ended.
            Command::SendPayment(new) if wanted.is_some() && finished.is_none() => Some(new.id),
            _ => None,
        };
        let request = self.next_request();
        self.work.next_request += 1;
        self.work.requests.insert(request, answer);
        let input = Input::Command {
            request,
            command: Box::new(command),
            finished: finished.map(Box::new),
        };
        self.handle_beginning(input, begins)
    }

    fn set_policy(
        &mut self,
        channel: ChannelId,
        change: PolicyChange,
        answer: oneshot::Sender<Response>,
    ) -> Result<(), StopReason> {
        if let Some(known) = self.manager.channel(&channel) {
            let policy = change.of(known.state().policy);
            return self.command(Command::SetPolicy(channel, policy), answer);
        }
        let unknown = move || {
            // Whoever asked may be gone.
            let _ = answer.send(Response::UnknownChannel(channel));
        };
        self.work.answers.push_back((self.gate.appended(), Box::new(unknown)));
        Ok(())
    }

    const fn next_request(&self) -> RequestId {
        RequestId(self.work.next_request)
    }

    fn handled(
        &mut self,
        number: EventNumber,
        answer: oneshot::Sender<Result<(), NodeError>>,
    ) -> Result<(), StopReason> {
        let shown = self.work.desk.as_ref().and_then(Desk::last_shown);
        if !self.manager.may_be_handled(number, shown) {
            // Whoever asked may be gone.
            let _ = answer.send(Err(NodeError::NotShown(number)));
            return Ok(());
        }
        self.work.confirmations.push_back((number, answer));
        self.handle(Input::EventHandled(number))
    }

    /// An opening is over, and nothing was spent.
    pub(super) fn opening_failed(&mut self, temporary: &ChannelId, error: NodeError) {
        self.work.funded.retain(|_, of| of != temporary);
        if let Some(waiting) = self.work.openings.remove(temporary) {
            // Whoever asked may be gone.
            let _ = waiting.send(Err(error));
        }
    }

    pub(super) fn hear(&mut self, from_peer: FromPeer) -> Result<(), StopReason> {
        match from_peer {
            FromPeer::Tidings(tidings) => self.tidings(tidings),
            FromPeer::Message {
                peer,
                generation,
                message,
                onion,
            } => {
                if !self.is_line(&peer, generation) {
                    return Ok(());
                }
                if let Message::Error(error) = &*message {
                    let text = String::from_utf8_lossy(&error.data).escape_debug().to_string();
                    info!(%peer, channel = %error.channel_id, text, "a peer reports an error");
                }
                debug!(%peer, message = message.name(), "received");
                let need = self.manager.needs(&peer, &message);
                let attached = match (need, onion) {
                    (Need::Onion, Some(onion)) => Attached::Onion(*onion),
                    (Need::Nothing, _) => Attached::Nothing,
                    (need, _) => {
                        let keys_id = self.manager.signer_keys_id(&peer, &message);
                        let fresh = entropy().map_err(|_| StopReason::Fault)?;
                        self.signer.attach(need, keys_id, fresh, &message)
                    }
                };
                let moved = NextCommitment::moved_by(&message);
                self.handle(Input::PeerMessage {
                    peer,
                    message,
                    attached,
                })?;
                if let Some(next) = moved.and_then(|moved| self.manager.next_commitment(moved)) {
                    self.deriving.prepare(next);
                }
                Ok(())
            }
        }
    }

    fn tidings(&mut self, tidings: Tidings) -> Result<(), StopReason> {
        match tidings {
            Tidings::Connected {
                peer,
                generation,
                features,
                direction,
                address,
                outbox,
            } => {
                info!(%peer, %address, ?direction, "connected");
                // An older connection that is still in the queue must not undo this one.
                if self
                    .work
                    .lines
                    .get(&peer)
                    .is_some_and(|line| line.generation > generation)
                {
                    return Ok(());
                }
                let line = Line {
                    generation,
                    outbox,
                    signer: ConnectionSigner::new(&self.signer, &self.work.signed),
                };
                self.work.lines.insert(peer, line);
                self.gate.connected(peer, generation);
                self.handle(Input::PeerConnected {
                    peer,
                    generation,
                    features,
                })
            }
            Tidings::Disconnected { peer, generation, why } => {
                if !self.is_line(&peer, generation) {
                    return Ok(());
                }
                info!(%peer, %why, "disconnected");
                self.work.lines.remove(&peer);
                self.gate.disconnected(&peer);
                self.handle(Input::PeerDisconnected(peer))
            }
            // The sorter turns messages into something else.
            Tidings::Message { .. } => Ok(()),
        }
    }

    fn is_line(&self, peer: &NodeId, generation: quittance_journal::Generation) -> bool {
        self.work
            .lines
            .get(peer)
            .is_some_and(|line| line.generation == generation)
    }
}

/// What is on disk about a payment that ended and was confirmed.
pub(crate) fn finished_payment(store: &dyn Store, id: PaymentId) -> Result<Option<Payment>, StopReason> {
    read_payment(store, &Key::FinishedPayment(id))
}

fn read_payment(store: &dyn Store, key: &Key) -> Result<Option<Payment>, StopReason> {
    let unreadable = |text: String| StopReason::Unreadable(text);
    let frame = store
        .get(key)
        .map_err(|error: ReadError| unreadable(error.to_string()))?;
    let Some(frame) = frame else { return Ok(None) };
    let record = decode_record(key, &frame, FINISHED_PAYMENT_VERSION).map_err(|error| unreadable(error.to_string()))?;
    let payment = Payment::from_bytes(record.body);
    payment.map(Some).map_err(|fault| unreadable(format!("{key}: {fault}")))
}
