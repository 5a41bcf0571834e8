//! One end of a pair: a channel, its keys, its log on a disk, and the messages that it has sent.

use std::collections::{BTreeMap, VecDeque};

use bitcoin::Transaction;
use quittance_channel::{
    Attached, Channel, ChannelEffect, ChannelLimits, ChannelMonitorUpdate, ChannelState, CloseRequest, ClosingPolicy,
    ClosingToBroadcast, Consequence, Context, Decision, FundingConfirmation, Link, Need, NewHtlc, Reaction,
    ReceivedOnion, Refusal, Removal, SecretCheck, Step, Violation,
};
use quittance_primitives::{BlockHeight, CommitmentNumber, Features, FeeratePerKw, HtlcId, ShortChannelId};
use quittance_transactions::{ClosingTransaction, CommitmentContents};
use quittance_wire::{Message, UpdateAddHtlc};

use super::curve::Curve;
use super::facts::{self, Keys};

/// One end of a pair.
#[derive(Clone)]
pub struct End {
    pub name: &'static str,
    pub channel: Channel,
    pub keys: Keys,
    pub curve: Curve,
    pub limits: ChannelLimits,
    /// The bodies of all updates, the first one opening the channel.
    pub log: Vec<Vec<u8>>,
    /// The state that the log folds to, kept beside the live one.
    folded: ChannelState,
    /// Messages on their way.
    outbox: VecDeque<Outgoing>,
    /// The length of the log that anything seen by the peer depends on: a crash never loses that much.
    pub durable: usize,
    /// Everything that followed, in order.
    pub consequences: Vec<Consequence>,
    /// What the peer did wrong, in order.
    pub violations: Vec<Violation>,
    /// Every closing transaction that was broadcast, in order, signed by both.
    pub broadcast: Vec<Transaction>,
    /// The length of the log that each of them depends on.
    broadcast_after: Vec<usize>,
    /// The time.
    pub now_ms: u64,
    /// The latest signed commitments of the peer that left, by number: none may leave twice with other contents.
    signed: BTreeMap<CommitmentNumber, CommitmentContents>,
    features: Features,
    auto_commit: bool,
    /// Whether a crash lost updates that were written.
    pub is_forgetful: bool,
}

/// A message on its way.
#[derive(Clone)]
struct Outgoing {
    /// The length of the log that it depends on.
    log_length: usize,
    bytes: Vec<u8>,
    /// What it signs, if it is a `commitment_signed`.
    signs: Option<CommitmentContents>,
}

/// How much of the log a crash leaves on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Everything,
    /// Nothing that no message which left depends on.
    OnlySynced,
    /// So many updates, or as many as messages which left depend on, if that is more.
    Updates(usize),
}

impl End {
    pub fn new(name: &'static str, mut channel: Channel, keys: Keys) -> Self {
        let update = channel.take_update().expect("the first update opens the channel");
        let body = update.to_body();
        let features = match channel.link() {
            Link::Up(session) => session.features.clone(),
            Link::Down | Link::AwaitingReestablish(_) => Features::empty(),
        };
        Self {
            name,
            folded: fold(std::slice::from_ref(&body)),
            channel,
            keys,
            curve: Curve::Real,
            limits: ChannelLimits {
                closing: ClosingPolicy {
                    script: Some(facts::closing_script(name)),
                    ..ClosingPolicy::default()
                },
                ..ChannelLimits::default()
            },
            log: vec![body],
            outbox: VecDeque::new(),
            durable: 1,
            consequences: Vec::new(),
            violations: Vec::new(),
            broadcast: Vec::new(),
            broadcast_after: Vec::new(),
            now_ms: 1_000,
            signed: BTreeMap::new(),
            features,
            auto_commit: true,
            is_forgetful: false,
        }
    }

    /// Whether a commitment is signed as soon as there is something to sign.
    pub fn set_auto_commit(&mut self, auto_commit: bool) {
        self.auto_commit = auto_commit;
    }

    pub fn context<'a>(&self, limits: &'a ChannelLimits) -> Context<'a> {
        Context {
            now_ms: self.now_ms,
            height: BlockHeight(700_000),
            limits,
            verifier: self.curve.verifier(),
        }
    }

    pub fn offer(&mut self, htlc: NewHtlc) -> Result<HtlcId, Refusal> {
        let id = self.channel.state().commitments.next_htlc_id.local;
        let limits = self.limits.clone();
        let decision = self.channel.decide_offer(htlc, &self.context(&limits))?;
        self.take_in(decision);
        Ok(id)
    }

    pub fn remove(&mut self, id: HtlcId, removal: Removal) -> Result<(), Refusal> {
        let decision = self.channel.decide_removal(id, removal)?;
        self.take_in(decision);
        Ok(())
    }

    pub fn set_fee(&mut self, feerate: FeeratePerKw) -> Result<(), Refusal> {
        let limits = self.limits.clone();
        let decision = self.channel.decide_fee(feerate, &self.context(&limits))?;
        self.take_in(decision);
        Ok(())
    }

    pub fn confirm_funding(&mut self) {
        let short_channel_id = ShortChannelId::new(BlockHeight(700_001), 5, 1).expect("in range");
        let confirmation = FundingConfirmation {
            height: BlockHeight(700_001),
            short_channel_id,
        };
        let decision = self.channel.decide_funding_confirmed(confirmation);
        self.take_in(decision);
        if let Some(decision) = self.channel.decide_ready(BlockHeight(700_006), None) {
            self.take_in(decision);
        }
    }

    pub fn close(&mut self, request: CloseRequest) -> Result<(), Refusal> {
        let limits = self.limits.clone();
        let decision = self.channel.decide_shutdown(request, &self.context(&limits))?;
        self.take_in(decision);
        Ok(())
    }

    pub fn quiesce(&mut self) -> Result<(), Refusal> {
        let decision = self.channel.decide_quiesce()?;
        self.take_in(decision);
        Ok(())
    }

    /// Signs the peer's next commitment, if there is something to sign.
    pub fn commit(&mut self) -> bool {
        let Some(decision) = self.channel.decide_commitment() else {
            return false;
        };
        self.adopt(decision);
        true
    }

    /// Handles a message of the peer's. What it did wrong is kept in `violations`.
    pub fn receive(&mut self, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("a message of ours decodes");
        if matches!(self.channel.link(), Link::Down) {
            return;
        }
        let attached = self.attach(&message);
        let limits = self.limits.clone();
        let decision = self.channel.decide_message(&message, attached, &self.context(&limits));
        match decision {
            Ok(decision) => self.take_in(decision),
            Err(violation) => self.violations.push(violation),
        }
    }

    pub fn take_message(&mut self) -> Option<Vec<u8>> {
        let Outgoing {
            log_length,
            bytes,
            signs,
        } = self.outbox.pop_front()?;
        self.durable = self.durable.max(log_length);
        if let Some(contents) = signs {
            let number = contents.number;
            let earlier = self.signed.insert(number, contents.clone());
            assert!(
                earlier.is_none_or(|earlier| earlier == contents),
                "G5: one content for {number} leaves"
            );
        }
        Some(bytes)
    }

    /// The messages on their way, decoded.
    pub fn sent(&self) -> Vec<Message> {
        self.outbox
            .iter()
            .map(|outgoing| Message::decode(&outgoing.bytes).expect("ours"))
            .collect()
    }

    pub fn lose_connection(&mut self) {
        self.channel.disconnect();
        self.outbox.clear();
    }

    pub fn connect(&mut self) {
        let decision = self.channel.decide_connected(self.features.clone());
        self.adopt(decision);
    }

    /// The process dies and starts again from its log. Whatever had not left the process is gone with it.
    pub fn crash(&mut self, kept: Kept) {
        let length = match kept {
            Kept::Everything => self.log.len(),
            Kept::OnlySynced => self.durable,
            Kept::Updates(updates) => updates.clamp(self.durable, self.log.len()),
        };
        self.outbox.clear();
        self.is_forgetful |= length < self.log.len();
        self.log.truncate(length);
        self.broadcast_after.retain(|after| *after <= length);
        self.broadcast.truncate(self.broadcast_after.len());
        self.folded = fold(&self.log);
        self.channel = Channel::restore(self.folded.clone());
    }

    /// Adopts a decision, and signs what it leaves to be signed.
    pub fn take_in(&mut self, decision: Decision) {
        self.adopt(decision);
        if self.auto_commit {
            self.commit();
        }
        self.send_next();
    }

    /// Sends what has become possible.
    fn send_next(&mut self) {
        let limits = self.limits.clone();
        while let Some(decision) = self.channel.decide_next(&self.context(&limits)) {
            self.adopt(decision);
        }
    }

    fn adopt(&mut self, decision: Decision) {
        let Reaction { effects, consequences } = self.channel.adopt(decision);
        self.write_log();
        for effect in effects {
            let signs = match &effect {
                ChannelEffect::SendCommitment(to_sign) => Some(to_sign.contents.clone()),
                _ => None,
            };
            let Some(message) = self.carry_out(effect) else {
                continue;
            };
            let bytes = message.encode();
            self.outbox.push_back(Outgoing {
                log_length: self.log.len(),
                bytes,
                signs,
            });
        }
        self.consequences.extend(consequences);
    }

    /// Writes what changed to the log, and holds the log against the live state.
    fn write_log(&mut self) {
        if let Some(update) = self.channel.take_update() {
            let body = update.to_body();
            let read = ChannelMonitorUpdate::from_body(update.id, &body).expect("what we wrote can be read");
            assert_eq!(read, update, "an update comes back as it was");
            self.folded.apply_update(&read);
            self.log.push(body);
        }
        let checkpoint = self.channel.state().to_checkpoint();
        assert_eq!(self.folded.to_checkpoint(), checkpoint, "I-5: the log is the state");
        // Reading it back takes a square root for every key in it: one state in a few is enough in ten thousand histories.
        let every = match self.curve {
            Curve::Real => 8,
            Curve::StandIn => 32,
        };
        if self.log.len().is_multiple_of(every) {
            let read = ChannelState::from_checkpoint(&checkpoint).expect("a checkpoint can be read");
            assert_eq!(&read, self.channel.state(), "a checkpoint comes back as it was");
        }
    }

    /// The message that an effect stands for, if it is one.
    fn carry_out(&mut self, effect: ChannelEffect) -> Option<Message> {
        Some(match effect {
            ChannelEffect::Send(message) => *message,
            ChannelEffect::SendHtlc(id) => {
                let htlc = &self.channel.state().commitments.offered[&id];
                UpdateAddHtlc {
                    channel_id: self.channel.state().facts.channel_id,
                    id,
                    amount_msat: htlc.terms.amount,
                    payment_hash: htlc.terms.payment_hash,
                    cltv_expiry: htlc.terms.cltv_expiry,
                    onion_routing_packet: Box::new([0; 1366]),
                    blinded_path: htlc.terms.path_key,
                }
                .into()
            }
            ChannelEffect::SendCommitment(to_sign) => to_sign.message(self.curve.countersign(&self.keys, &to_sign)),
            ChannelEffect::SendRevocation(due) => due.message(self.keys.secret(due.revoked())),
            ChannelEffect::SendClosing(to_sign) => {
                let sign = |transaction| {
                    self.check_noted(transaction);
                    self.curve.sign_closing(&self.keys, transaction)
                };
                let signatures: Vec<_> = to_sign.transactions().iter().map(sign).collect();
                to_sign.message(&signatures)
            }
            ChannelEffect::BroadcastClosing(closing) => {
                let transaction = self.sign_closing(&closing);
                self.broadcast.push(transaction);
                self.broadcast_after.push(self.log.len());
                return None;
            }
            opening => panic!("a channel that is open has no {opening:?}"),
        })
    }

    /// Every closing transaction that the log says is to be broadcast after a restart.
    pub fn owed_closings(&self) -> Vec<Transaction> {
        let owed = self.folded.agreed_closings();
        owed.iter().map(|closing| self.sign_closing(closing)).collect()
    }

    fn sign_closing(&self, closing: &ClosingToBroadcast) -> Transaction {
        self.check_noted(closing.transaction());
        closing.signed(&self.curve.sign_closing(&self.keys, closing.transaction()))
    }

    fn check_noted(&self, transaction: &ClosingTransaction) {
        assert!(
            self.folded.is_closing_of_ours(&transaction.txid()),
            "a closing transaction is in the log before it is signed"
        );
    }

    fn attach(&self, message: &Message) -> Attached {
        match self.channel.needs(message) {
            Need::Nothing => Attached::Nothing,
            Need::NewChannel => panic!("the channel of a pair is open"),
            Need::Onion => Attached::Onion(ReceivedOnion::Peeled {
                shared_secret: [9; 32],
                payload: vec![1, 2, 3],
                next_packet: None,
            }),
            Need::Point(number) => Attached::Point(self.keys.point(number)),
            Need::SecretCheck(number) => {
                let Message::ChannelReestablish(message) = message else {
                    panic!("only reestablish has a secret")
                };
                let ours = self.keys.secret(number).0 == message.your_last_per_commitment_secret;
                Attached::Secret(if ours { SecretCheck::Ours } else { SecretCheck::NotOurs })
            }
        }
    }
}

/// The state that a log folds to.
pub fn fold(log: &[Vec<u8>]) -> ChannelState {
    let mut updates = (1..).map(quittance_journal::UpdateId).zip(log);
    let (id, first) = updates.next().expect("a log has a first update");
    let first = ChannelMonitorUpdate::from_body(id, first).expect("what we wrote can be read");
    let mut state = ChannelState::restore_first(&first).expect("the first update opens the channel");
    for (id, body) in updates {
        state.apply_update(&ChannelMonitorUpdate::from_body(id, body).expect("what we wrote can be read"));
    }
    state
}

impl End {
    /// The steps of the first update.
    pub fn first_steps(&self) -> Vec<Step> {
        let first = ChannelMonitorUpdate::from_body(quittance_journal::UpdateId(1), &self.log[0]);
        first.expect("what we wrote can be read").steps
    }
}

/// The steps of the newest update.
pub fn last_steps(end: &End) -> Vec<Step> {
    let body = end.log.last().expect("a log has a first update");
    let id = quittance_journal::UpdateId(end.log.len() as u64);
    ChannelMonitorUpdate::from_body(id, body)
        .expect("what we wrote can be read")
        .steps
}
