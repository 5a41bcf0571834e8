//! What the engine wants done, once it may be.

use std::sync::{Arc, PoisonError};

use bitcoin::TxOut;
use quittance_channel::SigningAhead;
use quittance_channel::opening::{Forgotten, FundingTransaction};
use quittance_journal::Scope;
use quittance_manager::{Effect, Event, Input, NumberedEvent, OpeningEnd, Outgoing, Purpose, Response};
use quittance_net::{NotSent, Outbound};
use quittance_primitives::{ChannelId, FeeratePerKw, NodeId};
use tracing::{debug, info, warn};

use super::{Driver, Order};
use crate::builder::EventHandling;
use crate::chain::ToBroadcast;
use crate::error::{NodeError, StopReason};
use crate::events::Desk;

impl Driver {
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<(), StopReason> {
        match effect {
            Effect::Send(peer, outgoing) => self.send(&peer, outgoing),
            Effect::Disconnect(peer, reason) => {
                warn!(%peer, ?reason, "we end the connection");
                self.put(&peer, Outbound::Close);
            }
            Effect::Notify(event) => return self.show(*event),
            Effect::HandledConfirmed(number) => {
                while let Some((waiting, _)) = self.work.confirmations.front()
                    && *waiting <= number
                {
                    if let Some((_, answer)) = self.work.confirmations.pop_front() {
                        // Whoever confirmed may be gone.
                        let _ = answer.send(Ok(()));
                    }
                }
            }
            Effect::HandledRefused(number) => {
                if let Some((_, answer)) = self.work.confirmations.pop_front() {
                    let _ = answer.send(Err(NodeError::NotShown(number)));
                }
            }
            Effect::Respond(request, response) => self.respond(request, *response),
            Effect::FundingWanted {
                peer,
                temporary_channel_id,
                output,
            } => self.fund(peer, temporary_channel_id, output),
            Effect::OpeningEnded(forgotten, why) => self.opening_ended(*forgotten, why),
            Effect::Broadcast(transaction, Purpose::Funding(channel)) => {
                self.broadcast(ToBroadcast::Transaction(transaction, "funding"));
                if let Some(temporary) = self.work.funded.remove(&channel)
                    && let Some(waiting) = self.work.openings.remove(&temporary)
                {
                    // Whoever asked may be gone.
                    let _ = waiting.send(Ok(channel));
                }
            }
            Effect::Enforce(enforcement) => self.broadcast(ToBroadcast::Enforcement(enforcement)),
            Effect::Load(key) => return self.load(key),
        }
        Ok(())
    }

    /// What has to be signed is signed on the connection's own task, when its turn has come: order is kept and this task goes on.
    fn send(&mut self, peer: &NodeId, outgoing: Outgoing) {
        if let Some(line) = self.work.lines.get(peer) {
            let outbound = line.signer.made(outgoing);
            self.put(peer, outbound);
        }
    }

    /// Has a commitment signed while its batch is being written. A connection whose queue is crowded is spared: it signs when the
    /// message's turn has come.
    pub(super) fn sign_ahead(&self, scope: Scope, work: SigningAhead) {
        if let Scope::Connection { peer, generation } = scope
            && let Some(line) = self.work.lines.get(&peer)
            && line.generation == generation
            && !line.outbox.is_crowded()
        {
            // A connection that is gone needs no signature.
            let _ = line.outbox.send(line.signer.prepared(work));
        }
    }

    fn put(&mut self, peer: &NodeId, outbound: Outbound) {
        let Some(line) = self.work.lines.get(peer) else { return };
        match line.outbox.send(outbound) {
            Ok(()) => self.work.figures.messages_sent += 1,
            // The connection's end is told by its own tidings.
            Err(NotSent::Gone) => {}
            Err(NotSent::TooSlow) => warn!(%peer, "a peer does not read, and loses its connection"),
        }
    }

    fn show(&mut self, event: NumberedEvent) -> Result<(), StopReason> {
        let number = event.number;
        info!(number = number.0, event = ?event.event, "event");
        self.work.figures.count_event(&event.event);
        if let Event::ChannelClosed(channel, why) = &event.event {
            warn!(%channel, why, "a channel is closed");
        }
        self.work.desk.get_or_insert_with(Desk::new).show(event);
        match self.handling {
            EventHandling::ByListener => Ok(()),
            EventHandling::AtOnce => self.handle(Input::EventHandled(number)),
        }
    }

    fn respond(&mut self, request: quittance_manager::RequestId, response: Response) {
        debug!(request = request.0, ?response, "answer");
        if let Response::UnfitFunding(why) = &response {
            warn!(%why, "a funding transaction does not do");
        }
        if let Some(opened) = self.work.opening.remove(&request)
            && let Response::Opening(temporary) = &response
        {
            self.work.openings.insert(*temporary, opened);
        }
        if let Some(waiting) = self.work.requests.remove(&request) {
            // Whoever asked may be gone.
            let _ = waiting.send(response);
        }
    }

    /// The wallet may take its time: it works elsewhere, and answers by an order.
    fn fund(&mut self, peer: NodeId, temporary_channel_id: ChannelId, output: TxOut) {
        let (wallet, orders) = (Arc::clone(&self.wallet), self.orders.clone());
        let feerate = self.funding_feerate();
        // The channel that this opens needs a reserve as well.
        let anchored = self.anchor_channels().saturating_add(1);
        tokio::task::spawn_blocking(move || {
            let funding = {
                let mut wallet = wallet.lock().unwrap_or_else(PoisonError::into_inner);
                wallet.set_anchor_channels(anchored);
                let paid = wallet.fund_channels(std::slice::from_ref(&output), feerate);
                paid.map_err(NodeError::from).and_then(|transaction| {
                    FundingTransaction::new(transaction.clone(), std::slice::from_ref(&output)).map_err(|unfit| {
                        wallet.abandon(&transaction);
                        NodeError::UnfitFunding(unfit)
                    })
                })
            };
            let order = Order::Funded {
                peer,
                temporary_channel_id,
                funding: funding.map(Box::new),
            };
            // A node that has stopped needs no channel.
            let _ = orders.blocking_send(order);
        });
    }

    fn opening_ended(&mut self, forgotten: Forgotten, why: OpeningEnd) {
        if let Some(funding) = forgotten.funding {
            let (wallet, anchored) = (Arc::clone(&self.wallet), self.anchor_channels());
            tokio::task::spawn_blocking(move || {
                let mut wallet = wallet.lock().unwrap_or_else(PoisonError::into_inner);
                wallet.abandon(funding.transaction());
                wallet.set_anchor_channels(anchored);
            });
        }
        let error = match why {
            OpeningEnd::Refused(why) => NodeError::OpenRefused(why),
            OpeningEnd::RefusedByPeer(text) => NodeError::RefusedByPeer(text),
            OpeningEnd::Disconnected | OpeningEnd::GivenUp => NodeError::OpeningCutOff,
        };
        self.opening_failed(&forgotten.temporary_channel_id, error);
    }

    pub(super) fn funding_feerate(&self) -> FeeratePerKw {
        self.fee_estimates().within_6
    }

    pub(super) fn broadcast(&mut self, transaction: ToBroadcast) {
        if self.broadcasts.try_send(transaction).is_err() {
            // The engine asks again: after every block, and after a start.
            warn!("too many transactions wait for the chain source");
        }
    }
}
