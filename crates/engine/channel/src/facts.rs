//! What a channel is, agreed when it opens and unchanged for its life.

use bitcoin::{Amount, OutPoint, ScriptBuf};
use quittance_primitives::{
    BlockCount, BlockHeight, ChannelId, Features, FeeratePerKw, MilliSatoshi, NodeId, ToSelfDelay,
};
use quittance_records::record;
use quittance_transactions::{ChannelPublicKeys, ChannelTerms, CommitmentFormat, Role, SideTerms};

use crate::opening::FundingTransaction;
use crate::{BySide, Side};

/// What a channel is, agreed when it opens and unchanged for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelFacts {
    /// The channel's name on the wire, from its funding output.
    pub channel_id: ChannelId,
    /// The node at the other end.
    pub peer: NodeId,
    /// Who opened it, and so pays the commitment fees.
    pub opener: Side,
    /// The agreed `channel_type`.
    pub channel_type: Features,
    /// How its commitments are built; follows from the type.
    pub format: CommitmentFormat,
    /// Whether it is to be announced to the network.
    pub announce: bool,
    /// The funding output.
    pub funding: OutPoint,
    /// What the funding output holds.
    pub capacity: Amount,
    /// What each end demands of the other, and its keys.
    pub sides: BySide<SideFacts>,
    /// The balances before the first update, in msat.
    pub initial_balance: BySide<MilliSatoshi>,
    /// The feerate of the first commitments.
    pub initial_feerate: FeeratePerKw,
    /// By which our signer finds this channel's keys.
    pub signer_keys_id: [u8; 32],
    /// How deep the funding must be buried before we send `channel_ready`; 0 when we trust the peer.
    pub minimum_depth: BlockCount,
    /// The height at which we entered the channel; the time-out of its funding counts from here (BOLT 2).
    pub opened_at: BlockHeight,
    /// The whole signed funding transaction, if we built it: it is broadcast until it confirms, once every channel that it
    /// funds is durable.
    pub funding_transaction: Option<FundingTransaction>,
}

/// What one end brought to the opening, and what it demands of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFacts {
    /// Its public keys.
    pub keys: ChannelPublicKeys,
    /// Its commitments have no output below this.
    pub dust_limit: Amount,
    /// The most, in msat, that it lets the other have in flight towards it.
    pub max_htlc_value_in_flight: MilliSatoshi,
    /// What it demands that the other keeps for itself.
    pub channel_reserve: Amount,
    /// The least HTLC that it accepts, in msat.
    pub htlc_minimum: MilliSatoshi,
    /// The delay that it imposes on the other's own outputs, in blocks.
    pub to_self_delay: ToSelfDelay,
    /// How many HTLCs it lets the other have in flight towards it; at most 483.
    pub max_accepted_htlcs: u16,
    /// The only script that it will be paid to by a mutual close, if it committed itself.
    pub upfront_shutdown_script: Option<ScriptBuf>,
}

impl ChannelFacts {
    /// One end's part in the opening.
    pub fn role(&self, side: Side) -> Role {
        if self.opener == side {
            Role::Opener
        } else {
            Role::Accepter
        }
    }

    /// What the transactions of this channel are built from, the same on both ends.
    pub fn terms(&self) -> ChannelTerms {
        let side_terms = |side: Side| {
            let own = self.sides.of(side);
            SideTerms {
                keys: own.keys,
                dust_limit: own.dust_limit,
                to_self_delay: self.sides.of(side.other()).to_self_delay,
            }
        };
        ChannelTerms {
            funding_outpoint: self.funding,
            funding_value: self.capacity,
            format: self.format,
            opener: side_terms(self.opener),
            accepter: side_terms(self.opener.other()),
        }
    }

    /// What `side` must keep for itself: the other end's demand.
    pub const fn reserve_of(&self, side: Side) -> Amount {
        self.sides.of(side.other()).channel_reserve
    }
}

record!(ChannelFacts {
    channel_id,
    peer,
    opener,
    channel_type,
    format,
    announce,
    funding,
    capacity,
    sides,
    initial_balance,
    initial_feerate,
    signer_keys_id,
    minimum_depth,
    opened_at,
    funding_transaction,
});

record!(SideFacts {
    keys,
    dust_limit,
    max_htlc_value_in_flight,
    channel_reserve,
    htlc_minimum,
    to_self_delay,
    max_accepted_htlcs,
    upfront_shutdown_script,
});
