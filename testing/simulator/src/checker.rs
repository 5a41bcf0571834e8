//! What must hold, checked outside the engine after every step, against what the simulator itself saw.

use std::collections::{BTreeMap, BTreeSet};

use quittance_channel::{ForwardSource, ForwardingPolicy, HtlcTerms, PaymentFailureReason};
use quittance_journal::EventNumber;
use quittance_manager::{Event, NumberedEvent};
use quittance_primitives::{
    BlockHeight, ChannelId, CltvExpiryDelta, CommitmentNumber, HtlcId, MilliSatoshi, NodeId, PaymentHash, PaymentId,
    PaymentPreimage, ShortChannelId,
};
use quittance_transactions::{CommitmentContents, Role};
use quittance_wire::{AnnouncementSignatures, ChannelAnnouncement, ChannelReady, ChannelUpdate};
use secp256k1::SECP256K1;

/// By which every channel of a simulated world forwards.
pub(crate) const FORWARDING: ForwardingPolicy = ForwardingPolicy {
    fee_base: MilliSatoshi(1_000),
    fee_proportional_millionths: 100,
    cltv_expiry_delta: CltvExpiryDelta(72),
    htlc_minimum: MilliSatoshi(1),
    htlc_maximum: MilliSatoshi::MAX_MONEY,
};

/// A run in which so much is broken is over: what goes round in circles would never end by itself.
const BROKEN_MAX: usize = 100;

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
    /// Events that were shown, that no loss of rows may take away, and that the user has not confirmed.
    owed: BTreeMap<usize, BTreeSet<EventNumber>>,
    /// What each node's user was shown since the process started.
    shown_since_start: BTreeMap<usize, BTreeSet<EventNumber>>,
    /// The last number that each node's user has a confirmation for.
    confirmed: BTreeMap<usize, EventNumber>,
    /// How each payment ended, as its user was told first.
    ends: BTreeMap<(usize, PaymentId), End>,
    /// What payees have claimed, by hash.
    claimed: BTreeMap<PaymentHash, PaymentPreimage>,
    /// The contents of each signed commitment that left.
    signed: BTreeMap<(ChannelId, Role, CommitmentNumber), CommitmentContents>,
    /// The same of nodes that broke their word: they may sign twice for one number.
    signed_by_excused: BTreeMap<(ChannelId, Role, CommitmentNumber), Vec<CommitmentContents>>,
    /// The last commitment of its own that each node has revoked, by channel.
    revoked: BTreeMap<(usize, ChannelId), CommitmentNumber>,
    /// The alias that each node gave each channel.
    aliases: BTreeMap<(usize, ChannelId), Option<ShortChannelId>>,
    /// Who has broadcast a commitment of which channel.
    closers: BTreeSet<(usize, ChannelId)>,
    commitments_broadcast: u64,
    /// The last terms that each node told of each channel, while its rows are whole.
    terms: BTreeMap<(usize, ShortChannelId), ChannelUpdate>,
    /// Channels whose announcement each node has signed since its last connection, and for which place.
    halves: BTreeSet<(usize, ChannelId, ShortChannelId)>,
    /// What each node has announced.
    announced: BTreeSet<(usize, ShortChannelId)>,
    /// Nodes that may have told terms of which they know nothing any more.
    forgetful: BTreeSet<usize>,
    /// Nodes whose clocks were set.
    misled: BTreeSet<usize>,
    /// Which HTLCs of its peers each node has fulfilled or failed, by message.
    removed: BTreeMap<(usize, ChannelId, HtlcId), Vec<u8>>,
    /// Nodes that sent on an HTLC of another.
    forwarders: BTreeSet<usize>,
    /// Hashes of HTLCs that left their payer.
    paid_for: BTreeSet<(usize, PaymentHash)>,
    offered: BTreeSet<(usize, PaymentHash)>,
    /// What each user was told of each claim: its event and amount.
    claims: BTreeMap<(usize, PaymentHash), (EventNumber, MilliSatoshi)>,
    /// Channels whose closing by commitment was ordered or provoked by the script.
    pub closable: bool,
    /// Nodes that the script made break their word, by an old copy of their store or by cheating: nothing is asked of them.
    pub excused: BTreeSet<usize>,
    /// Of these, those of which it is still asked that they broadcast no revoked commitment: they heard their peers first.
    came_back: BTreeSet<usize>,
    /// Who has to do with each hash: whoever is paid, and whoever sent an HTLC of it on.
    involved: BTreeMap<PaymentHash, BTreeSet<usize>>,
}

/// How a payment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Paid.
    Sent {
        /// The proof.
        preimage: PaymentPreimage,
        /// What it cost beside the amount.
        fee_paid: MilliSatoshi,
        /// The event that said so.
        event: EventNumber,
    },
    /// Failed.
    Failed(PaymentFailureReason),
}

impl Checker {
    fn violated(&mut self, guarantee: &'static str, what: String) {
        self.broken.push(Broken { guarantee, what });
        assert!(
            self.broken.len() < BROKEN_MAX,
            "so much is broken: {:#?}",
            self.broken[0]
        );
    }

    /// A user is shown an event.
    pub fn shown(&mut self, node: usize, shown: &NumberedEvent) {
        if self.excused.contains(&node) {
            return;
        }
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
        self.told(node, *number, event);
        self.shown_since_start.entry(node).or_default().insert(*number);
        self.missed_before(node, *number);
        let survives = match event {
            Event::PaymentSent { .. } | Event::PaymentClaimed { .. } => true,
            Event::PaymentFailed { payment_hash, .. } => self.has_paid_for(node, *payment_hash),
            Event::PaymentClaimable { .. }
            | Event::PaymentForwarded { .. }
            | Event::PaymentPathFailed { .. }
            | Event::HtlcIntercepted { .. }
            | Event::ChannelReady(_)
            | Event::ChannelClosed(..) => false,
        };
        if survives {
            self.owed.entry(node).or_default().insert(*number);
        }
    }

    /// Delivery goes on at `number`: what came before it and was never confirmed should have come again.
    fn missed_before(&mut self, node: usize, number: EventNumber) {
        let owed = self.owed.get(&node).into_iter().flatten();
        let shown = self.shown_since_start.get(&node);
        let is_missed = |owed: &&EventNumber| **owed < number && shown.is_none_or(|shown| !shown.contains(*owed));
        let missed: Vec<_> = owed.filter(is_missed).copied().collect();
        for number in missed {
            self.violated(
                "G8",
                format!("event {} was never handled, and does not come again", number.0),
            );
        }
    }

    /// A user says that it has handled everything up to `number`.
    pub fn acknowledging(&mut self, node: usize, number: EventNumber) {
        if let Some(owed) = self.owed.get_mut(&node) {
            owed.retain(|event| *event > number);
        }
    }

    /// The end of a run, in which every user confirmed all that it was shown.
    pub fn nothing_is_owed(&mut self, node: usize) {
        if !self.excused.contains(&node) {
            self.missed_before(node, EventNumber(u64::MAX));
        }
    }

    /// What an event says, against what is true.
    fn told(&mut self, node: usize, number: EventNumber, event: &Event) {
        match event {
            Event::PaymentSent {
                payment_id,
                payment_hash,
                preimage,
                fee_paid,
                ..
            } => {
                if preimage.hash() != *payment_hash {
                    self.violated("G2", format!("the preimage of {payment_id} does not fit its hash"));
                }
                if self.claimed.get(payment_hash) != Some(preimage) {
                    self.violated("G1", format!("{payment_id} is reported as sent, and nobody claimed it"));
                }
                let end = End::Sent {
                    preimage: *preimage,
                    fee_paid: *fee_paid,
                    event: number,
                };
                self.ended(node, *payment_id, end);
            }
            Event::PaymentFailed {
                payment_id,
                payment_hash,
                reason,
            } => {
                if self.claimed.contains_key(payment_hash) && !self.is_betrayed(payment_hash) {
                    self.violated(
                        "G1",
                        format!("{payment_id} is reported as failed, and the payee claimed it"),
                    );
                }
                self.ended(node, *payment_id, End::Failed(*reason));
            }
            Event::PaymentClaimed {
                payment_hash, amount, ..
            } => {
                let told = (number, *amount);
                if let Some(earlier) = self.claims.insert((node, *payment_hash), told)
                    && earlier != told
                    && !self.may_be_paid_again(node, payment_hash)
                {
                    self.violated(
                        "G4",
                        format!("the claim of {payment_hash} was {earlier:?} and is now {told:?}"),
                    );
                }
            }
            Event::PaymentClaimable { .. }
            | Event::PaymentForwarded { .. }
            | Event::PaymentPathFailed { .. }
            | Event::HtlcIntercepted { .. }
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

    /// A node is to be paid for a hash.
    pub fn is_to_be_paid(&mut self, node: usize, hash: PaymentHash) {
        self.involved.entry(hash).or_default().insert(node);
    }

    /// Whether a payment has to do with a node that broke its word: what it was paid for may not be claimed further up, to its own loss.
    pub fn is_betrayed(&self, hash: &PaymentHash) -> bool {
        let involved = self.involved.get(hash);
        involved.is_some_and(|involved| !involved.is_disjoint(&self.excused))
    }

    /// Whether a payee may be told twice that it was paid: its payer, or it itself, does not remember the first time; or somebody between
    /// them broke its word, and failed what the payee claimed, so that the payer tried again.
    fn may_be_paid_again(&self, payee: usize, hash: &PaymentHash) -> bool {
        let had_it = |node: &usize| self.paid_for.contains(&(*node, *hash)) || self.offered.contains(&(*node, *hash));
        self.excused.contains(&payee) || self.excused.iter().any(had_it)
    }

    /// A node offered an HTLC with this hash.
    pub fn offered(&mut self, node: usize, hash: PaymentHash) {
        self.offered.insert((node, hash));
    }

    /// A node's store came back from an older moment, and its peers are heard before it acts on what it says.
    pub fn came_back(&mut self, node: usize) {
        self.excused.insert(node);
        self.came_back.insert(node);
    }

    /// A preimage left a process: it is known to the world.
    pub fn preimage_left(&mut self, preimage: PaymentPreimage) {
        self.claimed.insert(preimage.hash(), preimage);
    }

    /// The removal of an HTLC left a process: however often, it is the same, byte for byte.
    pub fn removal_left(&mut self, node: usize, channel: ChannelId, htlc: HtlcId, message: Vec<u8>) {
        if self.excused.contains(&node) {
            return;
        }
        let earlier = self.removed.insert((node, channel, htlc), message.clone());
        if earlier.is_some_and(|earlier| earlier != message) {
            self.violated("G3", format!("node {node} removes {htlc} of {channel} in two ways"));
        }
    }

    /// An HTLC left its payer, who has HTLCs for `in_flight` of `owed` now that may still be claimed.
    pub fn paid_for(&mut self, node: usize, hash: PaymentHash, in_flight: MilliSatoshi, owed: MilliSatoshi) {
        self.paid_for.insert((node, hash));
        if in_flight > owed && !self.excused.contains(&node) {
            self.violated(
                "G7",
                format!("node {node} pays {in_flight} for {hash}, and owes {owed}"),
            );
        }
    }

    /// An HTLC that another brought left a node: for the fee, and as much sooner to expire, as every channel of these worlds asks for.
    pub fn sent_on(&mut self, node: usize, upstream: &ForwardSource, terms: &HtlcTerms) {
        self.forwarders.insert(node);
        self.involved.entry(terms.payment_hash).or_default().insert(node);
        let fee =
            FORWARDING.fee_base.0 + terms.amount.0 * u64::from(FORWARDING.fee_proportional_millionths) / 1_000_000;
        if upstream.amount.0 < terms.amount.0 + fee {
            self.violated(
                "G3",
                format!("node {node} sends {} on for {}", terms.amount, upstream.amount),
            );
        }
        let deadline = terms.cltv_expiry.0 + u32::from(FORWARDING.cltv_expiry_delta.0);
        if upstream.cltv_expiry.0 < deadline {
            self.violated(
                "G3",
                format!(
                    "node {node} sends on until {} what it has until {}",
                    terms.cltv_expiry, upstream.cltv_expiry
                ),
            );
        }
    }

    /// Terms of a node left it: with a later time than any before, or the same as the last.
    pub fn terms_left(&mut self, node: usize, update: &ChannelUpdate) {
        if self.excused.contains(&node) {
            return;
        }
        let last = self.terms.insert((node, update.short_channel_id), update.clone());
        if let Some(last) = last
            && last != *update
            && last.timestamp >= update.timestamp
        {
            self.violated(
                "BOLT 7",
                format!(
                    "node {node} tells other terms of {} in the same time",
                    update.short_channel_id
                ),
            );
        }
    }

    /// Our half of an announcement left: once for each connection and place, or two nodes would answer each other for ever.
    pub fn half_left(&mut self, node: usize, half: &AnnouncementSignatures) {
        if !self.halves.insert((node, half.channel_id, half.short_channel_id)) {
            self.violated(
                "BOLT 7",
                format!("node {node} signs the announcement of {} again", half.channel_id),
            );
        }
    }

    /// A node has a new connection.
    pub fn may_send_halves_again(&mut self, node: usize) {
        self.halves.retain(|(sender, _, _)| *sender != node);
    }

    /// A node announces a channel.
    pub fn announced(&mut self, node: usize, announcement: &ChannelAnnouncement) {
        let hash = announcement.signature_hash();
        let node_key = |id: NodeId| id.public_key().expect("nodes of these worlds have keys");
        let halves = [
            (announcement.node_signature_1, node_key(announcement.node_id_1)),
            (announcement.node_signature_2, node_key(announcement.node_id_2)),
            (announcement.bitcoin_signature_1, announcement.bitcoin_key_1),
            (announcement.bitcoin_signature_2, announcement.bitcoin_key_2),
        ];
        let name = announcement.short_channel_id;
        let is_signed = |(signature, key): &(_, _)| SECP256K1.verify_ecdsa(&hash, signature, key).is_ok();
        if !halves.iter().all(is_signed) || announcement.node_id_1 >= announcement.node_id_2 {
            self.violated("BOLT 7", format!("node {node} announces {name} falsely"));
        }
        self.announced.insert((node, name));
    }

    /// Whether a node has announced a channel under this name.
    pub fn has_announced(&self, node: usize, name: ShortChannelId) -> bool {
        self.announced.contains(&(node, name))
    }

    /// A node lost rows, so that it may not know what it told.
    pub fn terms_forgotten(&mut self, node: usize) {
        self.terms.retain(|(teller, _), _| *teller != node);
        self.forgetful.insert(node);
    }

    /// What stands from this height on may stand elsewhere now: a name may be another channel's.
    pub fn displaced(&mut self, first: BlockHeight) {
        self.terms.retain(|(_, name), _| name.block() < first);
    }

    /// A node's clock was set wrong: what it dates cannot be compared with what it dated before, and what peers date may lie too far in its future.
    pub fn clock_set(&mut self, node: usize) {
        self.terms_forgotten(node);
        self.misled.insert(node);
    }

    /// Whether a node may have taken what its peers said for something of the future.
    pub fn may_have_ignored_terms(&self, node: usize) -> bool {
        self.misled.contains(&node)
    }

    /// Whether a node may have told terms of which it knows nothing any more, or that its clock dated wrongly.
    pub fn may_have_forgotten_terms(&self, node: usize) -> bool {
        self.forgetful.contains(&node)
    }

    /// Whether a node has ever sent on an HTLC of another.
    pub fn has_forwarded(&self, node: usize) -> bool {
        self.forwarders.contains(&node)
    }

    /// Whether an HTLC with this hash has left its payer.
    pub fn has_paid_for(&self, node: usize, hash: PaymentHash) -> bool {
        self.paid_for.contains(&(node, hash))
    }

    /// A message of an earlier connection comes on a new one, before the channel is greeted there.
    pub fn not_greeted(&mut self, node: usize, channel: ChannelId, message: &str) {
        self.violated(
            "G6",
            format!("node {node} sends {message} for {channel} before channel_reestablish"),
        );
    }

    /// A user is told that a payment failed, and an HTLC of it is still in a commitment.
    pub fn failed_alive(&mut self, node: usize, payment: PaymentId) {
        if self.excused.contains(&node) {
            return;
        }
        self.violated(
            "G1",
            format!("node {node} is told that {payment} failed, and can still pay it"),
        );
    }

    /// A forwarder fails an HTLC although what it sent on for it can still be claimed.
    pub fn failed_too_early(&mut self, node: usize, channel: ChannelId, htlc: HtlcId) {
        if self.excused.contains(&node) {
            return;
        }
        self.violated(
            "G3",
            format!("node {node} fails {htlc} of {channel} while the next HTLC is still there"),
        );
    }

    /// `channel_ready` left a node: for a channel that its disk has, and under one alias for ever.
    pub fn ready_left(&mut self, node: usize, ready: &ChannelReady, is_durable: bool) {
        if self.excused.contains(&node) {
            return;
        }
        let (channel, alias) = (ready.channel_id, ready.short_channel_id);
        if !is_durable {
            self.violated(
                "G6",
                format!("node {node} uses {channel}, which its disk does not have"),
            );
        }
        let earlier = self.aliases.insert((node, channel), alias);
        if earlier.is_some_and(|earlier| earlier != alias) {
            self.violated(
                "G6",
                format!("node {node} calls {channel} {earlier:?} and then {alias:?}"),
            );
        }
    }

    /// A node's handling up to `number` was confirmed.
    pub fn handled(&mut self, node: usize, number: EventNumber) {
        let confirmed = self.confirmed.entry(node).or_insert(number);
        *confirmed = number.max(*confirmed);
    }

    /// A node's process has started: delivery begins anew at the first event that is not confirmed.
    pub fn started(&mut self, node: usize) {
        self.last_shown.remove(&node);
        self.shown_since_start.remove(&node);
    }

    /// A signature for a commitment of the peer's left.
    pub fn signed(&mut self, node: usize, channel: ChannelId, contents: &CommitmentContents) {
        let key = (channel, contents.broadcaster, contents.number);
        if self.excused.contains(&node) {
            self.signed_by_excused.entry(key).or_default().push(contents.clone());
            return;
        }
        if let Some(earlier) = self.signed.insert(key, contents.clone())
            && earlier != *contents
        {
            self.violated("G5", format!("two signatures for {} of {channel}", contents.number));
        }
    }

    /// What a commitment may hold, by the signatures for it that left.
    pub fn contents_of(
        &self,
        channel: ChannelId,
        broadcaster: Role,
        number: CommitmentNumber,
    ) -> impl Iterator<Item = &CommitmentContents> {
        let key = (channel, broadcaster, number);
        let by_excused = self.signed_by_excused.get(&key).into_iter().flatten();
        self.signed.get(&key).into_iter().chain(by_excused)
    }

    /// A node reveals the secret of its commitment `number`.
    pub fn revoked(&mut self, node: usize, channel: ChannelId, number: CommitmentNumber) {
        let revoked = self.revoked.entry((node, channel)).or_insert(number);
        *revoked = number.max(*revoked);
    }

    /// A node broadcasts its commitment `number`, as far as that can be told. A node that came back from an older moment cannot know of a
    /// secret that it let go before and that never arrived; what its peer could punish it for it must not broadcast.
    pub fn commitment_broadcast(
        &mut self,
        node: usize,
        channel: ChannelId,
        number: Option<CommitmentNumber>,
        is_punishable: bool,
    ) {
        self.closers.insert((node, channel));
        let is_excused = self.excused.contains(&node);
        if is_excused && !(self.came_back.contains(&node) && is_punishable) {
            return;
        }
        let revoked = self.revoked.get(&(node, channel));
        if revoked.is_some_and(|revoked| number.is_none_or(|number| number <= *revoked)) {
            self.violated(
                "G5",
                format!("node {node} broadcasts commitment {number:?} of {channel}, revoked up to {revoked:?}"),
            );
        }
        self.commitments_broadcast += 1;
        if !self.closable && !is_excused {
            self.violated("G6", format!("node {node} closes {channel} without need"));
        }
    }

    /// Whether a node has ever broadcast a commitment of a channel.
    pub fn has_closed(&self, node: usize, channel: ChannelId) -> bool {
        self.closers.contains(&(node, channel))
    }

    /// How often a commitment was broadcast.
    pub fn commitments_broadcast(&self) -> u64 {
        self.commitments_broadcast
    }

    /// How a payment ended, as its user was told.
    pub fn end_of(&self, node: usize, payment: PaymentId) -> Option<&End> {
        self.ends.get(&(node, payment))
    }

    /// What claimed a hash, as far as it has left a process.
    pub fn claimed(&self, hash: &PaymentHash) -> Option<&PaymentPreimage> {
        self.claimed.get(hash)
    }

    /// What a user was told of a claim.
    pub fn claim_of(&self, node: usize, hash: &PaymentHash) -> Option<MilliSatoshi> {
        self.claims.get(&(node, *hash)).map(|(_, amount)| *amount)
    }

    /// What a node's user was told that it has received.
    pub fn received_by(&self, node: usize) -> u64 {
        let claims = self.claims.iter().filter(|((claimer, _), _)| *claimer == node);
        claims.map(|(_, (_, amount))| amount.0).sum()
    }

    /// What a rule of a script found broken.
    pub fn found(&mut self, guarantee: &'static str, what: String) {
        self.violated(guarantee, what);
    }

    /// Panics with everything that was broken.
    ///
    /// # Panics
    /// When a guarantee was broken.
    pub fn assert_kept(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }
}
