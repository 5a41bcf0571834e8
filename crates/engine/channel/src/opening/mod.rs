//! Opening of channels, from `open_channel` to the first step of the channel's log (BOLT 2, channel establishment v1).
//!
//! Each side has one type for each thing it waits for, consumed by the input that ends the wait: [`Funder`] goes from
//! [`AwaitingAccept`] over [`AwaitingFunding`] to [`AwaitingFundingSigned`], [`Fundee`] from [`Proposal`] to
//! [`AwaitingFundingCreated`]; then there is a [`Channel`](crate::Channel). None of these types is durable: a lost
//! connection or a restart forgets them, as the BOLT wants it, and no money is at stake before the channel's first step.
//!
//! Invariants: the funding transaction leaves only after every channel that it funds holds a checked signature on our
//! commitment 0, durably ([`FundingTransaction`]); `funding_signed` leaves only after the fundee's first step is durable.
//!
//! Errors by blame: [`Refused`] is the peer's fault and has the `error` to send; a bare [`OpenRefusal`] is about our own
//! request, and nothing was sent; [`UnfitFunding`] is the wallet's. Start at [`Funder`] and [`Proposal::check`].

mod agreed;
mod channel_type;
mod demands;
mod first_commitment;
mod fundee;
mod funder;
mod funding_transaction;
mod policy;
mod proposed;
mod refusal;

pub use channel_type::ChannelType;
pub use first_commitment::{FundingCreatedToSign, FundingSignedToSign};
pub use fundee::{AwaitingFundingCreated, Fundee, Proposal, Trust};
pub use funder::{
    AwaitingAccept, AwaitingFunding, AwaitingFundingSigned, Forgotten, Funder, FundingWanted, OpenRequest,
};
pub use funding_transaction::{FundingTransaction, UnfitFunding};
pub use policy::{Announcement, BOLT_DUST_LIMIT_MIN, DemandBounds, OpeningPolicy, OwnDemands, SMALL_CHANNEL_LIMIT};
pub use refusal::{OpenRefusal, Refused, Unchanged};

use bitcoin::ScriptBuf;
use quittance_primitives::{Feature, Features};
use quittance_transactions::{ChannelPublicKeys, ShutdownForms};
use secp256k1::PublicKey;

use crate::{ForwardingPolicy, SideFacts};

/// A new channel's keys and first points, fresh from the signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChannelKeys {
    /// The public keys.
    pub keys: ChannelPublicKeys,
    /// By which the signer finds the channel's secrets.
    pub signer_keys_id: [u8; 32],
    /// The per-commitment points of commitments 0 and 1.
    pub points: (PublicKey, PublicKey),
    /// The script that we promise to be paid to when the channel closes by agreement, if we do.
    pub upfront_shutdown_script: Option<ScriptBuf>,
}

/// What we bring to a channel, whoever opens it: our demands, and what the signer made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurPart {
    /// What we demand of the peer, and our public keys. [`OpeningPolicy::demands`] makes it from the policy.
    pub demands: SideFacts,
    /// By which our signer finds this channel's keys.
    pub signer_keys_id: [u8; 32],
    /// Our per-commitment points for commitments 0 and 1.
    pub points: (PublicKey, PublicKey),
    /// By which we shall forward through the channel.
    pub forwarding: ForwardingPolicy,
}

/// What stands in `upfront_shutdown_script`, which is always sent: an empty script promises nothing (BOLT 2).
fn upfront_script(demands: &SideFacts) -> ScriptBuf {
    demands.upfront_shutdown_script.clone().unwrap_or_default()
}

/// The forms of shutdown scripts that both sides support.
pub(crate) fn shutdown_forms(negotiated: &Features) -> ShutdownForms {
    ShutdownForms {
        any_segwit: negotiated.supports(Feature::ShutdownAnysegwit),
        op_return: negotiated.supports(Feature::SimpleClose),
    }
}
