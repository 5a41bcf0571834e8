//! Peers and channels.

use quittance_node::{BalanceKind, ClaimReason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hex;

/// Connect to a peer, and keep the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectPeer {
    /// The peer's id.
    #[schema(value_type = String)]
    pub id: Hex<33>,
    /// `host:port`.
    pub address: String,
}

/// A peer that is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Hex<33>,
    /// Where it is, or called from.
    pub address: String,
    /// Whether it called us.
    pub inbound: bool,
    /// For how long it is connected.
    pub connected_s: u64,
}

/// The peers that are connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerList {
    /// By id.
    pub peers: Vec<Peer>,
}

/// Open a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenChannel {
    /// To whom; it must be connected.
    #[schema(value_type = String)]
    pub peer: Hex<33>,
    /// What the channel is to hold.
    pub capacity_sat: u64,
    /// What of it is given to the peer.
    #[serde(default)]
    pub push_msat: u64,
    /// Whether it is to be announced.
    #[serde(default)]
    pub announce: bool,
    /// Whether it is used before its funding confirms: both nodes must name each other in zeroconf-peers.
    #[serde(default)]
    pub zeroconf: bool,
}

/// A channel whose funding transaction is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelOpened {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Hex<32>,
}

/// How a channel is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// By agreement with the peer.
    #[default]
    Mutual,
    /// By our latest commitment: what is ours can be spent after a delay only.
    Force,
}

/// Close a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseChannel {
    /// How.
    #[serde(default)]
    pub how: Close,
    /// For a close by agreement, at what feerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feerate_sat_per_kw: Option<u32>,
}

/// Set the feerate of the commitments of a channel that we opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetFeerate {
    /// The feerate.
    pub feerate_sat_per_kw: u32,
}

/// Set by what HTLCs are forwarded through a channel. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// The flat part of the fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_base_msat: Option<u64>,
    /// The proportional part, in millionths of the amount that is sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_proportional_millionths: Option<u32>,
    /// How many blocks the incoming HTLC must outlast the outgoing one by; at least 34.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cltv_expiry_delta: Option<u16>,
    /// The least that is sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htlc_minimum_msat: Option<u64>,
    /// The most that is sent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htlc_maximum_msat: Option<u64>,
}

/// What a peer asks for forwarding to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerTerms {
    /// The flat part of its fee.
    pub fee_base_msat: u32,
    /// The proportional part, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// How many blocks it wants between the expiries.
    pub cltv_expiry_delta: u16,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "plain facts, none of which follows from another"
)]
pub struct Channel {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Hex<32>,
    /// The node at its other end.
    #[schema(value_type = String)]
    pub peer: Hex<33>,
    /// opening, open, quiescent (it rests until its connection ends), closing, force_closing, awaiting_funding (closed, while its funding is in no block), fell_behind or abandoned.
    pub state: String,
    /// Whether it can be used now.
    pub connected: bool,
    /// Whether, after a restore, the peer has yet to confirm the channel's state. Until then nothing of it is broadcast.
    pub awaiting_peer: bool,
    /// The funding output, `txid:index`.
    pub funding: String,
    /// Its place in the chain, once it has one.
    pub short_channel_id: Option<String>,
    /// The name that we gave it: whoever wants something to be sent on through it may call it so. A channel that is not announced, and whose
    /// peer supports aliases, is known by no other.
    pub alias: Option<String>,
    /// What it holds.
    pub capacity_sat: u64,
    /// What is ours in it, HTLCs on their way left out.
    pub ours_msat: u64,
    /// What is the peer's in it, HTLCs on their way left out.
    pub theirs_msat: u64,
    /// What we can send now.
    pub sendable_msat: u64,
    /// HTLCs on their way.
    pub htlcs: u64,
    /// Whether we opened it.
    pub opened_by_us: bool,
    /// Whether it is to be announced.
    pub announced: bool,
    /// What we take for forwarding through it, flat.
    pub fee_base_msat: u64,
    /// What we take besides, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// How many blocks we want between the expiries of an HTLC in and out.
    pub cltv_expiry_delta: u16,
    /// What the peer asks for forwarding through it to us, once it has said so: what our invoices' hints say.
    pub peer_terms: Option<PeerTerms>,
    /// Of a channel that closes: what of it is ours or may become so, before the fees of the claims.
    pub claimable: Vec<Claimable>,
    /// The last update of its log.
    pub last_update: u64,
}

/// A part of a channel that closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claimable {
    /// How much.
    pub amount_sat: u64,
    /// Why it is ours, or when it would be.
    pub why: ClaimableWhy,
    /// The lowest block that may hold the claim. Nothing before the channel's commitment is in a block.
    pub from_height: Option<u32>,
    /// The height by which we should have it, since somebody else may take it then; of `if_preimage`, when the peer takes it back; of
    /// `confirming`, when it is final.
    pub until_height: Option<u32>,
}

/// Why a part of a channel that closes is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimableWhy {
    /// Our balance, once our commitment is in a block.
    OnClose,
    /// Our balance, which nobody else can take.
    Waiting,
    /// An HTLC whose preimage we know.
    Preimage,
    /// An HTLC of ours that expired, or will.
    Timeout,
    /// The peer broadcast a commitment that it had revoked: all of it is ours.
    Penalty,
    /// An HTLC that is ours if its payment is claimed before it expires.
    IfPreimage,
    /// It is claimed, and waits for depth.
    Confirming,
}

impl ClaimableWhy {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnClose => "on_close",
            Self::Waiting => "waiting",
            Self::Preimage => "preimage",
            Self::Timeout => "timeout",
            Self::Penalty => "penalty",
            Self::IfPreimage => "if_preimage",
            Self::Confirming => "confirming",
        }
    }
}

/// All channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    /// By id.
    pub channels: Vec<Channel>,
}

impl From<quittance_node::Channel> for Channel {
    fn from(channel: quittance_node::Channel) -> Self {
        Self {
            id: Hex(channel.id.0),
            peer: Hex(channel.peer.0),
            state: channel.stage.name().to_owned(),
            connected: channel.is_connected,
            awaiting_peer: channel.awaits_peer,
            funding: channel.funding.to_string(),
            short_channel_id: channel.short_channel_id.map(|name| name.to_string()),
            alias: channel.alias.map(|name| name.to_string()),
            capacity_sat: channel.capacity.to_sat(),
            ours_msat: channel.ours.0,
            theirs_msat: channel.theirs.0,
            sendable_msat: channel.sendable.0,
            htlcs: channel.htlcs as u64,
            opened_by_us: channel.is_ours,
            announced: channel.is_announced,
            fee_base_msat: channel.fee_base.0,
            fee_proportional_millionths: channel.fee_proportional_millionths,
            cltv_expiry_delta: channel.cltv_expiry_delta.0,
            peer_terms: channel.terms_of_peer.map(|terms| PeerTerms {
                fee_base_msat: terms.fee_base_msat,
                fee_proportional_millionths: terms.fee_proportional_millionths,
                cltv_expiry_delta: terms.cltv_expiry_delta.0,
            }),
            claimable: channel.claimable.into_iter().map(Into::into).collect(),
            last_update: channel.last_update,
        }
    }
}

impl From<quittance_node::ClaimableBalance> for Claimable {
    fn from(balance: quittance_node::ClaimableBalance) -> Self {
        let (why, from, until) = match balance.kind {
            BalanceKind::OnClose => (ClaimableWhy::OnClose, None, None),
            BalanceKind::Waiting { from } => (ClaimableWhy::Waiting, Some(from.0), None),
            BalanceKind::Contested { reason, from, until } => {
                (reason.into(), Some(from.0), until.map(|height| height.0))
            }
            BalanceKind::IfPreimage { expires_at, .. } => (ClaimableWhy::IfPreimage, None, Some(expires_at.0)),
            BalanceKind::Confirming { buried_at } => (ClaimableWhy::Confirming, None, Some(buried_at.0)),
        };
        Self {
            amount_sat: balance.amount.to_sat(),
            why,
            from_height: from,
            until_height: until,
        }
    }
}

impl From<ClaimReason> for ClaimableWhy {
    fn from(reason: ClaimReason) -> Self {
        match reason {
            ClaimReason::Preimage(_) => Self::Preimage,
            ClaimReason::Timeout(_) => Self::Timeout,
            ClaimReason::Penalty | ClaimReason::PenaltyHtlc(..) | ClaimReason::PenaltySecondStage(..) => Self::Penalty,
            ClaimReason::Balance | ClaimReason::SecondStage(..) | ClaimReason::Anchor => Self::Waiting,
        }
    }
}

impl From<quittance_node::Peer> for Peer {
    fn from(peer: quittance_node::Peer) -> Self {
        Self {
            id: Hex(peer.id.0),
            address: peer.address.to_string(),
            inbound: peer.is_inbound,
            connected_s: peer.connected_for.as_secs(),
        }
    }
}
