//! The node itself, its tokens, and its coins on chain.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hex;

/// What a token allows. Each is a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look at everything.
    Read,
    /// To look, and to be paid.
    Invoice,
    /// To look, to be paid, and to pay.
    Pay,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Invoice, Self::Pay, Self::Admin];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Invoice => "invoice",
            Self::Pay => "pay",
            Self::Admin => "admin",
        }
    }
}

/// The node at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// The node's id.
    #[schema(value_type = String)]
    pub id: Hex<33>,
    /// The version of the program.
    pub version: String,
    /// The network: bitcoin, testnet, testnet4, signet or regtest.
    pub network: String,
    /// The height up to which it has read the chain.
    pub height: u32,
    /// Where it listens for peers.
    pub addresses: Vec<String>,
    /// Peers that are connected.
    pub peers: u64,
    /// Channels.
    pub channels: u64,
    /// Events that nobody has handled.
    pub unhandled_events: u64,
    /// The last event that was shown.
    pub last_event: Option<u64>,
    /// The folder with the node's files.
    pub folder: String,
}

/// Coins on chain, and what is in channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// In blocks; as much of it as `reserved_sat` says is not for spending.
    pub confirmed_sat: u64,
    /// Not in a block yet.
    pub unconfirmed_sat: u64,
    /// Kept back of the coins, so that channels can be closed and claimed.
    pub reserved_sat: u64,
    /// What is ours in channels, HTLCs on their way and channels that are closed left out.
    pub channels_msat: u64,
    /// What is to come from channels that close by a commitment: before fees, without what depends on a preimage that we do not know, and
    /// without what is claimed already.
    pub closing_sat: u64,
    /// What can be sent now, over all channels together.
    pub sendable_msat: u64,
}

/// A fresh address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewAddress {
    /// The address.
    pub address: String,
}

/// A payment on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendOnchain {
    /// To where.
    pub address: String,
    /// How much.
    pub amount_sat: u64,
    /// At what feerate; by default what confirms within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feerate_sat_per_kw: Option<u32>,
}

/// A payment on chain, on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OnchainSent {
    /// The transaction's id.
    pub txid: String,
}

/// Replace a payment on chain that waits for a block by one with a higher fee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bump {
    /// At what feerate; by default what confirms within two blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feerate_sat_per_kw: Option<u32>,
}

/// Sign words with the node's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The words.
    pub message: String,
}

/// Words that are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Signed {
    /// Who signed.
    #[schema(value_type = String)]
    pub node: Hex<33>,
    /// The signature: zbase32, as other nodes make and check it.
    pub signature: String,
}

/// Ask who signed words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The words.
    pub message: String,
    /// The signature.
    pub signature: String,
}

/// Who signed words. Whether it is whom you expect is for you to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// The node.
    #[schema(value_type = String)]
    pub node: Hex<33>,
}

/// Copy what a restore needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A folder that does not exist yet, on the node's machine, as a whole path.
    pub folder: String,
}

/// A backup that is whole and on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupMade {
    /// Where it is.
    pub folder: String,
    /// The last batch of the journal that it holds.
    pub last_batch: u64,
}

/// Open the node's seed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The passphrase that it is encrypted with.
    pub passphrase: String,
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unlock")
    }
}

/// Whether the node is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// Done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}
