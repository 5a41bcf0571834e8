//! What is said to the peer's process, one JSON object a line, and what it answers. The stories read this same file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something to be done, or told. Hashes, ids and keys are hexadecimal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub(crate) enum Call {
    /// Its id: answers [`Info`].
    Info,
    /// A fresh address of its wallet: a text.
    Address,
    /// Reads the chain to its end now.
    Sync,
    /// Connects to a node.
    Connect { node: String, address: String },
    /// Cuts the connection to a node.
    Disconnect { node: String },
    /// Opens a channel.
    Open {
        node: String,
        address: String,
        capacity_sat: u64,
        push_msat: u64,
        announce: bool,
    },
    /// Closes a channel.
    Close { channel: String, force: bool },
    /// Its channels: a list of [`Channel`].
    Channels,
    /// What it knows of the network: answers [`Graph`].
    Graph,
    /// What is its own: answers [`Balance`].
    Balance,
    /// Asks for a payment: an invoice. With a hash it is held until it is claimed or refused.
    Invoice {
        amount_msat: Option<u64>,
        hold_hash: Option<String>,
    },
    /// Pays an invoice: its name for the payment.
    Pay { invoice: String, amount_msat: Option<u64> },
    /// Pays a node that did not ask for it: its name for the payment.
    Keysend { node: String, amount_msat: u64 },
    /// Claims what is held.
    Claim { preimage: String, amount_msat: u64 },
    /// Refuses what is held.
    Refuse { hash: String },
    /// Payments, in and out, over Lightning: a list of [`Payment`].
    Payments,
    /// What happened since the process began, from the `from`th on: a list of texts.
    Events { from: usize },
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It is done, and this is what it brought.
    Done(serde_json::Value),
    /// It is not.
    Refused(String),
}

/// Who it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Info {
    /// Its node id.
    pub(crate) node: String,
    /// The height up to which it has read the chain.
    pub(crate) height: u32,
    /// Its peers that are connected.
    pub(crate) peers: Vec<String>,
}

/// A channel, as the peer sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Channel {
    /// Its id.
    pub(crate) id: String,
    /// The node at its other end.
    pub(crate) node: String,
    /// Whether it can be used now.
    pub(crate) usable: bool,
    /// Whether it is to be announced.
    pub(crate) announced: bool,
    /// Whether terms for forwarding to the peer came from the other end.
    pub(crate) has_terms: bool,
    /// The feerate of its commitments.
    pub(crate) feerate_sat_per_kw: u32,
    /// The reserve that the peer keeps.
    pub(crate) reserve_sat: u64,
    /// What the peer can send, its reserve left out.
    pub(crate) sendable_msat: u64,
}

/// What the peer knows of the network by gossip.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Graph {
    /// What nodes call themselves, by their ids.
    pub(crate) names: BTreeMap<String, String>,
    /// The terms of both ends of all channels, as far as they are known.
    pub(crate) terms: Vec<Terms>,
}

/// What a node takes for what it sends on through a channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The channel's place in the chain: block, transaction, and output, with an `x` between them.
    pub(crate) channel: String,
    /// The node's id.
    pub(crate) node: String,
    /// The part of the fee that does not depend on the amount.
    pub(crate) fee_base_msat: u32,
    /// The part that does.
    pub(crate) fee_proportional_millionths: u32,
    /// How much earlier its own HTLC expires.
    pub(crate) cltv_expiry_delta: u16,
}

/// What is the peer's own, in satoshi.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Balance {
    /// On chain, in all.
    pub(crate) onchain: u64,
    /// On chain, free to be spent.
    pub(crate) spendable: u64,
    /// In channels, open and closed, as far as it can be claimed.
    pub(crate) in_channels: u64,
    /// Of closed channels, on its way to the wallet.
    pub(crate) sweeping: u64,
    /// Hashes of HTLCs, in channels and on chain, of which it is open whose they will be.
    pub(crate) undecided: Vec<String>,
}

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It has not ended.
    Pending,
    /// It was made.
    Succeeded,
    /// It was not.
    Failed,
}

/// A payment, in or out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// Its hash.
    pub(crate) hash: String,
    /// Its preimage, once it is known.
    pub(crate) preimage: Option<String>,
    /// What the payee receives.
    pub(crate) amount_msat: u64,
    /// What it cost beside.
    pub(crate) fee_msat: u64,
    /// Whether it is one to the peer.
    pub(crate) inbound: bool,
    /// How it stands.
    pub(crate) state: State,
}
