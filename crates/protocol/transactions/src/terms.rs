//! What both sides must know, and agree on to the last bit, to build the same commitment transaction.
//!
//! [`ChannelTerms`] is fixed for the life of a funding output and reads the same on both sides: it speaks of the opener and
//! the accepter, not of local and remote. [`CommitmentContents`] is what changes with each commitment.

use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};
use quittance_primitives::{
    CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash, ToSelfDelay,
};
use secp256k1::PublicKey;

use crate::{ChannelPublicKeys, CommitmentFormat, scripts};

/// One of the two sides of a channel, by what it did at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sent `open_channel` (or `open_channel2`); pays the commitment fee and the anchors.
    Opener,
    /// Answered it.
    Accepter,
}

/// One of the two sides, by its part in one commitment transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The owner: the only one who can broadcast it ("local" in BOLT 3).
    Broadcaster,
    /// The other one, whose signature the owner holds ("remote" in BOLT 3).
    Countersignatory,
}

/// What is fixed for as long as a channel has its funding output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTerms {
    /// Where the funding output is.
    pub funding_outpoint: OutPoint,
    /// What it holds.
    pub funding_value: Amount,
    /// How commitments are built.
    pub format: CommitmentFormat,
    /// The opener's side.
    pub opener: SideTerms,
    /// The accepter's side.
    pub accepter: SideTerms,
}

/// What one side brought into a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideTerms {
    /// Its public keys.
    pub keys: ChannelPublicKeys,
    /// `dust_limit_satoshis` that it set, at least 354 (BOLT 2): its own commitments have no output below this.
    pub dust_limit: Amount,
    /// The delay on its own outputs of its own commitments: the `to_self_delay` that the *other* side set.
    pub to_self_delay: ToSelfDelay,
}

/// What one commitment transaction shares out. Balances are what is left beside the HTLCs, before fee and anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentContents {
    /// Whose commitment it is.
    pub broadcaster: Role,
    /// Its number, counted up from 0.
    pub number: CommitmentNumber,
    /// The broadcaster's point for this number.
    pub per_commitment_point: PublicKey,
    /// The feerate of commitment and HTLC transactions; without effect in [`CommitmentFormat::ZeroFee`].
    pub feerate: FeeratePerKw,
    /// The broadcaster's balance.
    pub to_broadcaster: MilliSatoshi,
    /// The countersignatory's balance.
    pub to_countersignatory: MilliSatoshi,
    /// All HTLCs, trimmed ones included, in any order.
    pub htlcs: Vec<Htlc>,
}

/// An HTLC, as it stands in one commitment transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htlc {
    /// Who pays whom, seen from the owner of the commitment transaction.
    pub direction: HtlcDirection,
    /// Its number among those that its sender offered.
    pub id: HtlcId,
    /// Its amount; the output holds whole satoshis, rounded down.
    pub amount: MilliSatoshi,
    /// The hash that locks it.
    pub payment_hash: PaymentHash,
    /// The height from which it can be timed out.
    pub cltv_expiry: CltvExpiry,
}

/// Which way an HTLC pays, seen from the owner of the commitment transaction. The same HTLC is offered on one side's
/// commitment and received on the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HtlcDirection {
    /// The broadcaster pays. Its second stage is an HTLC-timeout transaction.
    Offered,
    /// The broadcaster is paid. Its second stage is an HTLC-success transaction.
    Received,
}

impl Role {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Opener => Self::Accepter,
            Self::Accepter => Self::Opener,
        }
    }
}

impl HtlcDirection {
    /// The same HTLC's direction on the other side's commitment.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Offered => Self::Received,
            Self::Received => Self::Offered,
        }
    }
}

impl ChannelTerms {
    /// What `role` brought into the channel.
    pub const fn side(&self, role: Role) -> &SideTerms {
        match role {
            Role::Opener => &self.opener,
            Role::Accepter => &self.accepter,
        }
    }

    /// The script that the funding output is locked by (BOLT 3, funding transaction output).
    pub fn funding_script(&self) -> ScriptBuf {
        scripts::funding(&self.opener.keys.funding, &self.accepter.keys.funding)
    }

    /// The funding output itself.
    pub fn funding_output(&self) -> TxOut {
        TxOut {
            value: self.funding_value,
            script_pubkey: self.funding_script().to_p2wsh(),
        }
    }
}

impl CommitmentContents {
    /// Balances and HTLCs together, or `None` on overflow. It equals the funding output's value in every valid commitment.
    pub fn total(&self) -> Option<MilliSatoshi> {
        let htlcs = self.htlcs.iter().map(|htlc| htlc.amount);
        MilliSatoshi::checked_sum(htlcs.chain([self.to_broadcaster, self.to_countersignatory]))
    }
}
