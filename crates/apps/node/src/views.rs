//! What a node looks like from outside, as plain values.

use std::path::Path;
use std::time::Duration;

use bitcoin::{Amount, OutPoint};
use quittance_channel::{ChannelState, Link, Phase, Side};
use quittance_journal::{EventNumber, Store};
use quittance_manager::{ChannelManager, Event};
use quittance_monitor::ClaimableBalance;
use quittance_net::PeerAddress;
use quittance_primitives::{BlockHeight, ChannelId, CltvExpiryDelta, MilliSatoshi, NodeId, ShortChannelId};

/// What questions are answered from.
pub(crate) struct View<'a> {
    pub(crate) manager: &'a ChannelManager,
    pub(crate) store: &'a dyn Store,
    pub(crate) figures: &'a Figures,
    pub(crate) last_shown: Option<EventNumber>,
    pub(crate) folder: &'a Path,
}

/// The node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its id.
    pub id: NodeId,
    /// The chain's tip, as far as the node has read.
    pub height: BlockHeight,
    /// How many peers are connected.
    pub peers: usize,
    /// How many channels there are.
    pub channels: usize,
    /// How many events nobody has handled.
    pub unhandled_events: usize,
    /// The last event that was shown.
    pub last_event: Option<EventNumber>,
    /// Where the node keeps its files.
    pub folder: std::path::PathBuf,
}

/// A peer that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Where it is, or called from.
    pub address: PeerAddress,
    /// Whether it called us.
    pub is_inbound: bool,
    /// For how long.
    pub connected_for: Duration,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "plain facts, none of which follows from another"
)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The node at its other end.
    pub peer: NodeId,
    /// Where it is in its life.
    pub stage: ChannelStage,
    /// Whether it can be used now: the peer is connected, and both sides know where they stand.
    pub is_connected: bool,
    /// Whether, after a restore that was declared, the peer has yet to confirm its state. Until then nothing of it is broadcast.
    pub awaits_peer: bool,
    /// The funding output.
    pub funding: OutPoint,
    /// Its place in the chain, once it has one.
    pub short_channel_id: Option<ShortChannelId>,
    /// The name that we gave it: whoever wants an HTLC to be sent on through it may call it so.
    pub alias: Option<ShortChannelId>,
    /// What it holds.
    pub capacity: Amount,
    /// What is ours in it, HTLCs on their way left out.
    pub ours: MilliSatoshi,
    /// What is the peer's in it, HTLCs on their way left out.
    pub theirs: MilliSatoshi,
    /// What we can send now, as near as limits and fees allow to tell.
    pub sendable: MilliSatoshi,
    /// HTLCs that are on their way, in both directions.
    pub htlcs: usize,
    /// Whether we opened it.
    pub is_ours: bool,
    /// Whether it is to be announced.
    pub is_announced: bool,
    /// What we take for forwarding through it, flat.
    pub fee_base: MilliSatoshi,
    /// What we take besides, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// How many blocks we want between the expiries of an HTLC in and out.
    pub cltv_expiry_delta: CltvExpiryDelta,
    /// What the peer asks for forwarding through it to us, if it has said so.
    pub terms_of_peer: Option<PeerTerms>,
    /// Of a channel that closes: what of it is ours or may become so, from when, until when, and why, before the fees of the claims.
    pub claimable: Vec<ClaimableBalance>,
    /// The last update of its log.
    pub last_update: u64,
}

/// What a peer asks for forwarding to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTerms {
    /// The flat part of its fee, in msat.
    pub fee_base_msat: u32,
    /// The proportional part, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// How many blocks it wants between the expiries.
    pub cltv_expiry_delta: CltvExpiryDelta,
}

/// Where a channel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChannelStage {
    /// It waits for its funding transaction to be deep enough.
    Opening,
    /// It can be used.
    Open,
    /// It rests (BOLT 2, `stfu`): no update is sent until its connection ends.
    Quiescent,
    /// Both sides are closing it.
    Closing,
    /// Its latest commitment closes it.
    ForceClosing,
    /// Its latest commitment would close it, and its funding is in no block: nothing of it can be taken, nor given up, before it is.
    AwaitingFunding,
    /// We lost state, and the peer is to close it.
    FellBehind,
    /// Its funding will never be used.
    Abandoned,
}

impl ChannelStage {
    /// Its name, as users see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Quiescent => "quiescent",
            Self::Closing => "closing",
            Self::ForceClosing => "force_closing",
            Self::AwaitingFunding => "awaiting_funding",
            Self::FellBehind => "fell_behind",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Counts since the start of the process.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How long steps waited for the disk.
    pub sync: Latency,
    /// Messages that were handed to connections.
    pub messages_sent: u64,
    /// Commitments whose signatures were ready when they might leave: they were made while the disk was at work.
    pub commitments_signed_ahead: u64,
    /// Commitments that were signed when they might leave.
    pub commitments_signed_late: u64,
    /// Payments of ours that were made.
    pub payments_sent: u64,
    /// Payments of ours that failed.
    pub payments_failed: u64,
    /// Payments to us that were claimed.
    pub payments_received: u64,
    /// HTLCs that were forwarded and claimed.
    pub payments_forwarded: u64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// How often.
    pub count: u64,
    /// In all.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
    /// How often it took no longer than each of [`Self::BUCKETS_MS`].
    pub within: [u64; 8],
}

impl Latency {
    /// Upper bounds, in milliseconds.
    pub const BUCKETS_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 1_000];

    pub(crate) fn count(&mut self, took: Duration) {
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
        self.max = self.max.max(took);
        for (bound, within) in Self::BUCKETS_MS.iter().zip(&mut self.within) {
            if took <= Duration::from_millis(*bound) {
                *within += 1;
            }
        }
    }
}

impl Figures {
    pub(crate) const fn count_event(&mut self, event: &Event) {
        match event {
            Event::PaymentSent { .. } => self.payments_sent += 1,
            Event::PaymentFailed { .. } => self.payments_failed += 1,
            Event::PaymentClaimed { .. } => self.payments_received += 1,
            Event::PaymentForwarded { .. } => self.payments_forwarded += 1,
            Event::PaymentClaimable { .. }
            | Event::PaymentPathFailed { .. }
            | Event::HtlcIntercepted { .. }
            | Event::ChannelReady(_)
            | Event::ChannelClosed(..) => {}
        }
    }
}

impl Channel {
    pub(crate) fn of(channel: &quittance_channel::Channel, manager: &ChannelManager) -> Self {
        let (state, facts) = (channel.state(), &channel.state().facts);
        let commitments = &state.commitments;
        Self {
            id: facts.channel_id,
            peer: facts.peer,
            stage: match &state.phase {
                Phase::AwaitingReady(_) => ChannelStage::Opening,
                Phase::Normal if rests(channel) => ChannelStage::Quiescent,
                Phase::Normal => ChannelStage::Open,
                Phase::ShuttingDown(_) | Phase::ClosingAgreed(_) => ChannelStage::Closing,
                Phase::ForceClosed(_) if state.funding.is_none() => ChannelStage::AwaitingFunding,
                Phase::ForceClosed(_) => ChannelStage::ForceClosing,
                Phase::FellBehind => ChannelStage::FellBehind,
                Phase::Abandoned(_) => ChannelStage::Abandoned,
            },
            is_connected: matches!(channel.link(), Link::Up(_)),
            awaits_peer: manager.awaiting_peers().contains(&facts.channel_id),
            funding: facts.funding,
            short_channel_id: state.funding.map(|funding| funding.short_channel_id),
            alias: state.aliases.local,
            capacity: facts.capacity,
            ours: commitments.settled.local,
            theirs: commitments.settled.remote,
            sendable: channel.sendable(),
            htlcs: commitments.offered.len() + commitments.received.len(),
            is_ours: facts.opener == Side::Local,
            is_announced: facts.announce,
            fee_base: state.policy.fee_base,
            fee_proportional_millionths: state.policy.fee_proportional_millionths,
            cltv_expiry_delta: state.policy.cltv_expiry_delta,
            terms_of_peer: manager.terms_of_peer(&facts.channel_id).map(|terms| PeerTerms {
                fee_base_msat: terms.fee_base_msat,
                fee_proportional_millionths: terms.fee_proportional_millionths,
                cltv_expiry_delta: terms.cltv_expiry_delta,
            }),
            claimable: claimable(state, manager),
            last_update: state.last_update.0,
        }
    }

    /// Whether it has closed, or nothing but a block is missing for that: what is ours in it comes back on chain.
    pub fn is_over(&self) -> bool {
        match self.stage {
            ChannelStage::Opening | ChannelStage::Open | ChannelStage::Quiescent | ChannelStage::Closing => false,
            ChannelStage::ForceClosing
            | ChannelStage::AwaitingFunding
            | ChannelStage::FellBehind
            | ChannelStage::Abandoned => true,
        }
    }
}

fn rests(channel: &quittance_channel::Channel) -> bool {
    matches!(channel.link(), Link::Up(session) if session.quiescence.is_quiet())
}

/// What the monitor of a channel that closes expects. What an open one would bring is not asked for: its commitment would have to be built.
fn claimable(state: &ChannelState, manager: &ChannelManager) -> Vec<ClaimableBalance> {
    let Some(monitor) = manager.monitor(&state.facts.channel_id) else {
        return Vec::new();
    };
    let is_closing = monitor.view().closing.is_some() || matches!(state.phase, Phase::ForceClosed(_));
    if is_closing {
        monitor.balances(state)
    } else {
        Vec::new()
    }
}

/// Addresses as they stood in a peer's row, before they had a file of their own: as text, one a line.
pub(crate) fn decode_addresses(body: &[u8]) -> Vec<PeerAddress> {
    let text = String::from_utf8_lossy(body);
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
