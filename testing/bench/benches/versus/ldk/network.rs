//! LDK nodes, the wires between them, their chain and their users.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bitcoin::block::{Header, Version as BlockVersion};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{
    Amount, BlockHash, CompactTarget, Network as Chain, OutPoint, Transaction, TxIn, TxMerkleNode, TxOut, Txid,
    Witness, absolute, transaction,
};
use lightning::chain::{BestBlock, Confirm};
use lightning::events::{Event, EventsProvider};
use lightning::ln::channelmanager::{PaymentId, RecipientOnionFields};
use lightning::ln::msgs::{BaseMessageHandler, ChannelMessageHandler, Init, MessageSendEvent};
use lightning::ln::types::ChannelId;
use lightning::routing::router::{Path, PaymentParameters, Route, RouteHop, RouteParameters};
use lightning::types::features::Bolt11InvoiceFeatures;
use lightning::util::ser::Writeable;
use quittance_payments_bench::node::Outcome;
use quittance_payments_bench::town::AMOUNT;

use super::node::{FEE_BASE_MSAT, Node, Persistence};
use crate::counts::{Account, on_behalf_of};

/// When managers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ManagerWrites {
    /// Never: what a payment costs at least.
    Never,
    /// Whenever LDK says that they should be.
    WhenAsked,
}

/// Some nodes in a row, each with channels to the next.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    pub(crate) manager_writes: ManagerWrites,
    accounts: Vec<Account>,
    /// For each node but the last: the channel by which payments go on.
    ways: Vec<Way>,
    height: u32,
    tip: BlockHash,
    payments: u64,
    users: Users,
}

#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) channel: ChannelId,
    short_channel_id: u64,
}

/// What the users of all nodes have seen.
#[derive(Default)]
struct Users {
    sent: Cell<u64>,
    claimed: Cell<u64>,
    faults: RefCell<Vec<String>>,
    fundings: RefCell<VecDeque<Funding>>,
}

/// A funding transaction that a node has asked for.
struct Funding {
    channel: ChannelId,
    peer: PublicKey,
    output: TxOut,
}

impl Network {
    /// New nodes, connected, with no channels.
    pub(crate) fn new(accounts: &[Account], persistence: Persistence) -> Outcome<Self> {
        let nodes: Vec<Node> = (0..)
            .zip(accounts)
            .map(|(number, _)| Node::new(number, persistence))
            .collect();
        for (place, node) in nodes.iter().enumerate() {
            for (other, peer) in nodes.iter().enumerate().filter(|(other, _)| *other != place) {
                let init = Init {
                    features: peer.manager.init_features(),
                    networks: None,
                    remote_network_address: None,
                };
                let connected = node.manager.peer_connected(peer.id, &init, place > other);
                connected.map_err(|()| "LDK nodes do not connect")?;
            }
        }
        Ok(Self {
            nodes,
            manager_writes: ManagerWrites::Never,
            accounts: accounts.to_vec(),
            ways: Vec::new(),
            height: 0,
            tip: BestBlock::from_network(Chain::Regtest).block_hash,
            payments: 0,
            users: Users::default(),
        })
    }

    /// Opens `count` channels between two neighbours; half of each is the other's.
    pub(crate) fn open_channels(&mut self, opener: usize, capacity: Amount, count: usize) -> Outcome<()> {
        let other = opener + 1;
        let mut left = count;
        while left > 0 {
            let now = left.min(UNCONFIRMED_MAX);
            left -= now;
            for _ in 0..now {
                let (id, half_msat) = (self.nodes[other].id, capacity.to_sat() * 1_000 / 2);
                let manager = &self.nodes[opener].manager;
                let opening = manager.create_channel(id, capacity.to_sat(), half_msat, 42, None, None);
                opening.map_err(|error| format!("LDK opens no channel: {error:?}"))?;
            }
            let transactions = self.fund(opener, now)?;
            self.connect_block(&transactions);
            self.settle()?;
        }
        let channels = self.nodes[opener]
            .manager
            .list_channels_with_counterparty(&self.nodes[other].id);
        if channels.len() != count || !channels.iter().all(|channel| channel.is_usable) {
            return Err("LDK's channels are not open".into());
        }
        let channel = channels.first().ok_or("there is a channel")?;
        self.ways.push(Way {
            channel: channel.channel_id,
            short_channel_id: channel.short_channel_id.ok_or("it is confirmed")?,
        });
        Ok(())
    }

    /// Pays `count` times over all nodes, with at most `at_once` payments under way, until nothing is on its way any more.
    pub(crate) fn pay(&mut self, count: u64, at_once: u64) -> Outcome<()> {
        let before = self.users.sent.get();
        let mut begun = 0;
        loop {
            let ended = self.users.sent.get() - before;
            if ended == count {
                break;
            }
            while begun < count && begun - ended < at_once {
                self.begin()?;
                begun += 1;
            }
            if at_once == 1 {
                self.settle()?;
            } else {
                self.deliver_messages()?;
                self.serve_users()?;
            }
            if let Some(fault) = self.users.faults.borrow().first() {
                return Err(format!("LDK: {fault}").into());
            }
        }
        self.settle()?;
        if self.users.claimed.get() < self.users.sent.get() {
            return Err("LDK has told of payments that nobody claimed".into());
        }
        Ok(())
    }

    /// Goes on until nothing is on its way.
    pub(crate) fn settle(&self) -> Outcome<()> {
        loop {
            let moved = self.deliver_messages()?;
            self.serve_users()?;
            // What users did may have called for messages.
            if !moved && !self.deliver_messages()? {
                return Ok(());
            }
        }
    }

    /// The first channel of the first node: bytes of its monitor, and of the whole manager.
    pub(crate) fn sizes(&self) -> Outcome<(usize, usize)> {
        let way = self.ways.first().ok_or("there is a channel")?;
        let monitor = self.nodes[0].monitors.get_monitor(way.channel);
        let monitor = monitor.map_err(|()| "it has a monitor")?;
        Ok((monitor.encode().len(), self.nodes[0].manager.encode().len()))
    }

    fn at<T>(&self, node: usize, work: impl FnOnce(&Node) -> T) -> T {
        on_behalf_of(self.accounts[node], || work(&self.nodes[node]))
    }

    fn place_of(&self, id: &PublicKey) -> Outcome<usize> {
        let place = self.nodes.iter().position(|node| node.id == *id);
        place.ok_or_else(|| "every peer lives here".into())
    }

    fn begin(&mut self) -> Outcome<()> {
        self.payments += 1;
        let last = self.nodes.len() - 1;
        let amount_msat = AMOUNT.0;
        let invoice = self.at(last, |payee| {
            payee.manager.create_inbound_payment(Some(amount_msat), 7_200, None)
        });
        let (hash, secret) = invoice.map_err(|()| "LDK makes no invoice")?;
        let hop = |(place, way): (usize, &Way)| {
            let (node, is_last) = (&self.nodes[place + 1], place + 1 == last);
            RouteHop {
                pubkey: node.id,
                node_features: node.manager.node_features(),
                short_channel_id: way.short_channel_id,
                channel_features: node.manager.channel_features(),
                fee_msat: if is_last { amount_msat } else { u64::from(FEE_BASE_MSAT) },
                cltv_expiry_delta: if is_last { FINAL_DELTA } else { FORWARD_DELTA },
                maybe_announced_channel: false,
            }
        };
        let payee = PaymentParameters::from_node_id(self.nodes[last].id, FINAL_DELTA);
        let payee = payee
            .with_bolt11_features(invoice_features())
            .map_err(|()| "features")?;
        let route = Route {
            paths: vec![Path {
                hops: self.ways.iter().enumerate().map(hop).collect(),
                blinded_tail: None,
            }],
            route_params: Some(RouteParameters::from_payment_params_and_value(payee, amount_msat)),
        };
        let recipient = RecipientOnionFields::secret_only(secret);
        let sent = self.at(0, |payer| {
            payer
                .manager
                .send_payment_with_route(route, hash, recipient, PaymentId(hash.0))
        });
        sent.map_err(|error| format!("LDK does not pay: {error:?}").into())
    }

    /// Hands over every message that waits. Whether there was any.
    fn deliver_messages(&self) -> Outcome<bool> {
        let mut is_busy = false;
        for node in 0..self.nodes.len() {
            for event in self.at(node, |node| node.manager.get_and_clear_pending_msg_events()) {
                is_busy = true;
                self.deliver(self.nodes[node].id, event)?;
            }
        }
        Ok(is_busy)
    }

    fn deliver(&self, from: PublicKey, event: MessageSendEvent) -> Outcome<()> {
        use MessageSendEvent as To;
        let at = |id: &PublicKey, handle: &dyn Fn(&super::node::Manager)| -> Outcome<()> {
            self.at(self.place_of(id)?, |node| handle(&node.manager));
            Ok(())
        };
        match event {
            To::SendOpenChannel { node_id, msg } => at(&node_id, &|peer| peer.handle_open_channel(from, &msg)),
            To::SendAcceptChannel { node_id, msg } => at(&node_id, &|peer| peer.handle_accept_channel(from, &msg)),
            To::SendFundingCreated { node_id, msg } => at(&node_id, &|peer| peer.handle_funding_created(from, &msg)),
            To::SendFundingSigned { node_id, msg } => at(&node_id, &|peer| peer.handle_funding_signed(from, &msg)),
            To::SendChannelReady { node_id, msg } => at(&node_id, &|peer| peer.handle_channel_ready(from, &msg)),
            To::SendRevokeAndACK { node_id, msg } => at(&node_id, &|peer| peer.handle_revoke_and_ack(from, &msg)),
            To::UpdateHTLCs { node_id, updates, .. } => {
                let place = self.place_of(&node_id)?;
                self.at(place, |node| {
                    let peer = &node.manager;
                    for add in &updates.update_add_htlcs {
                        peer.handle_update_add_htlc(from, add);
                    }
                    for fulfill in updates.update_fulfill_htlcs {
                        peer.handle_update_fulfill_htlc(from, fulfill);
                    }
                    for fail in &updates.update_fail_htlcs {
                        peer.handle_update_fail_htlc(from, fail);
                    }
                    for commitment in &updates.commitment_signed {
                        peer.handle_commitment_signed(from, commitment);
                    }
                });
                Ok(())
            }
            To::SendChannelUpdate { .. }
            | To::BroadcastChannelUpdate { .. }
            | To::SendAnnouncementSignatures { .. }
            | To::SendPeerStorage { .. } => Ok(()),
            other => Err(format!("LDK sends {other:?}").into()),
        }
    }

    /// Each user handles what there is to be told; managers are written if they are to be.
    fn serve_users(&self) -> Outcome<()> {
        for node in 0..self.nodes.len() {
            self.at(node, |node| {
                node.manager.process_pending_htlc_forwards();
                node.manager.process_pending_events(&|event: Event| {
                    self.users.handle(node, event);
                    Ok(())
                });
                if self.manager_writes == ManagerWrites::WhenAsked && node.manager.get_and_clear_needs_persistence() {
                    return node.persist_manager();
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The funding transactions of so many channels that are about to be opened.
    fn fund(&self, opener: usize, count: usize) -> Outcome<Vec<Transaction>> {
        let mut transactions = Vec::new();
        while transactions.len() < count {
            self.settle()?;
            if self.users.fundings.borrow().is_empty() {
                return Err("LDK asks for no funding".into());
            }
            while let Some(funding) = self.next_funding() {
                let transaction = self.funding_transaction(transactions.len(), funding.output);
                let manager = &self.nodes[opener].manager;
                let funded = manager.funding_transaction_generated(funding.channel, funding.peer, transaction.clone());
                funded.map_err(|error| format!("LDK takes no funding: {error:?}"))?;
                transactions.push(transaction);
            }
        }
        self.settle()?;
        Ok(transactions)
    }

    fn next_funding(&self) -> Option<Funding> {
        self.users.fundings.borrow_mut().pop_front()
    }

    fn funding_transaction(&self, number: usize, output: TxOut) -> Transaction {
        let mut funded_by = [7; 32];
        funded_by[..4].copy_from_slice(&self.height.to_be_bytes());
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(
                    Txid::from_byte_array(funded_by),
                    u32::try_from(number).unwrap_or(u32::MAX),
                ),
                // LDK funds with witnesses only.
                witness: Witness::from_slice(&[[1]]),
                ..TxIn::default()
            }],
            output: vec![output],
        }
    }

    fn connect_block(&mut self, transactions: &[Transaction]) {
        let header = Header {
            version: BlockVersion::TWO,
            prev_blockhash: self.tip,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 1_700_000_000 + self.height,
            bits: CompactTarget::from_consensus(42),
            nonce: 42,
        };
        self.height += 1;
        self.tip = header.block_hash();
        let placed: Vec<(usize, &Transaction)> = transactions.iter().enumerate().collect();
        for node in &self.nodes {
            node.monitors.transactions_confirmed(&header, &placed, self.height);
            node.manager.transactions_confirmed(&header, &placed, self.height);
            node.monitors.best_block_updated(&header, self.height);
            node.manager.best_block_updated(&header, self.height);
        }
    }
}

impl Users {
    fn handle(&self, node: &Node, event: Event) {
        let count = |counter: &Cell<u64>| counter.set(counter.get() + 1);
        match event {
            Event::PaymentClaimable { purpose, .. } => match purpose.preimage() {
                Some(preimage) => node.manager.claim_funds(preimage),
                None => self.fault("a payment without preimage"),
            },
            Event::PaymentClaimed { .. } => count(&self.claimed),
            Event::PaymentSent { .. } => count(&self.sent),
            Event::OpenChannelRequest {
                temporary_channel_id,
                counterparty_node_id,
                ..
            } => {
                let manager = &node.manager;
                if let Err(error) =
                    manager.accept_inbound_channel(&temporary_channel_id, &counterparty_node_id, 42, None)
                {
                    self.fault(format!("{error:?}"));
                }
            }
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                ..
            } => self.fundings.borrow_mut().push_back(Funding {
                channel: temporary_channel_id,
                peer: counterparty_node_id,
                output: TxOut {
                    value: Amount::from_sat(channel_value_satoshis),
                    script_pubkey: output_script,
                },
            }),
            Event::PaymentForwarded { .. }
            | Event::PaymentPathSuccessful { .. }
            | Event::ChannelPending { .. }
            | Event::ChannelReady { .. } => {}
            other => self.fault(format!("{other:?}")),
        }
    }

    fn fault(&self, what: impl Into<String>) {
        self.faults.borrow_mut().push(what.into());
    }
}

fn invoice_features() -> Bolt11InvoiceFeatures {
    let mut features = Bolt11InvoiceFeatures::empty();
    features.set_variable_length_onion_required();
    features.set_payment_secret_required();
    features.set_basic_mpp_optional();
    features
}

/// LDK lets a peer have so many channels that are not confirmed.
const UNCONFIRMED_MAX: usize = 4;

const FINAL_DELTA: u32 = 42;
const FORWARD_DELTA: u32 = 72;
