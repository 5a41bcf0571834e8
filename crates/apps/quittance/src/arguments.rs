//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::demo;

/// A Lightning node whose payments end in one outcome, whatever crashes.
#[derive(Parser)]
#[command(
    name = "quittance",
    version,
    propagate_version = true,
    after_help = "Examples:
  quittance demo                                   three nodes, three deaths, every receipt checked
  quittance run --network regtest                  the node itself
  quittance invoice 250000 \"1 cup coffee\"          ask for 250,000 msat
  quittance pay lnbcrt…                            pay; asking again never pays twice
Every command has its own --help."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The node's folder [default: ~/.quittance, or QUITTANCE_DIR]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// For programs: answers as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the node
    #[command(after_help = "Examples:
  quittance run --network regtest --bitcoind http://127.0.0.1:18443 --bitcoind-cookie ~/.bitcoin/regtest/.cookie
  quittance run                                    with what quittance.toml in the folder says

Exit status: 0 after `quittance stop` or a signal; 1 when it cannot start; 3 when the store failed, and nothing may leave any more.")]
    Run(RunOptions),
    /// Three nodes over real sockets and stores; the payer is killed at the worst moment, and tells the truth afterwards
    Demo(demo::Options),
    /// The node at a glance
    Info,
    /// A fresh address of the wallet
    Address,
    /// What is on chain and in channels
    Balance,
    /// Connect to a peer, and keep the connection
    #[command(after_help = "Example:\n  quittance connect 02eec7…@127.0.0.1:9735")]
    Connect {
        /// NODE@HOST:PORT
        peer: String,
    },
    /// End the connection to a peer, and do not call it again
    Disconnect {
        /// The peer's id
        peer: String,
    },
    /// The peers that are connected
    Peers,
    /// Open a channel
    #[command(after_help = "Example:\n  quittance open 02eec7… 1000000")]
    Open {
        /// The peer's id; it must be connected
        peer: String,
        /// What the channel is to hold, in sat
        capacity_sat: u64,
        /// What of it is given to the peer, in msat
        #[arg(long, default_value_t = 0)]
        push_msat: u64,
        /// Announce the channel to the network
        #[arg(long, visible_alias = "public")]
        announce: bool,
        /// Use it before its funding is in a block: both nodes must name each other in zeroconf-peers
        #[arg(long)]
        zeroconf: bool,
    },
    /// Close a channel, by agreement with its peer
    #[command(
        after_help = "Examples:\n  quittance close 5f2c…\n  quittance close 5f2c… --force      when the peer does not answer"
    )]
    Close {
        /// The channel's id
        channel: String,
        /// By our latest commitment: what is ours can be spent after a delay only
        #[arg(long)]
        force: bool,
        /// The feerate of the closing transaction, in sat per 1000 weight
        #[arg(long)]
        feerate: Option<u32>,
    },
    /// The channels
    Channels,
    /// Set the feerate of the commitments of a channel that we opened
    SetFeerate {
        /// The channel's id
        channel: String,
        /// In sat per 1000 weight
        feerate: u32,
    },
    /// Let a channel come to rest until its connection ends: no update is sent, and both commitments match
    Quiesce {
        /// The channel's id
        channel: String,
    },
    /// Set what forwarding through a channel costs; what is not named stays as it is
    #[command(after_help = "Example:\n  quittance set-fees 5f2c… --base-msat 1000 --ppm 200")]
    SetFees {
        /// The channel's id
        channel: String,
        /// The flat part of the fee, in msat
        #[arg(long)]
        base_msat: Option<u64>,
        /// The proportional part, in millionths of the amount
        #[arg(long)]
        ppm: Option<u32>,
        /// How many blocks the incoming HTLC must outlast the outgoing one by
        #[arg(long)]
        cltv_delta: Option<u16>,
        /// The least that is sent on, in msat
        #[arg(long)]
        min_msat: Option<u64>,
        /// The most that is sent on, in msat
        #[arg(long)]
        max_msat: Option<u64>,
    },
    /// Ask for a payment
    #[command(
        after_help = "Examples:\n  quittance invoice 250000 \"1 cup coffee\"\n  quittance invoice any \"a gift\""
    )]
    Invoice {
        /// How much, in msat, or `any`
        amount_msat: String,
        /// What for
        #[arg(default_value = "")]
        description: String,
        /// How long it can be paid, in seconds
        #[arg(long)]
        expiry: Option<u32>,
    },
    /// Ask for a payment that is held until you settle or cancel it
    #[command(
        after_help = "Example:\n  quittance hold <SHA-256 of your preimage> 250000 \"a deposit\"\n  quittance settle <preimage>"
    )]
    Hold {
        /// The SHA-256 of a preimage that only you have
        hash: String,
        /// How much, in msat
        amount_msat: u64,
        /// What for
        #[arg(default_value = "")]
        description: String,
    },
    /// Claim a payment that is held
    Settle {
        /// The preimage of its hash
        preimage: String,
    },
    /// Refuse a payment that is held
    Cancel {
        /// Its hash
        hash: String,
    },
    /// What an invoice says
    Decode {
        /// The invoice
        invoice: String,
    },
    /// Pay an invoice, once whatever happens, and wait for the end
    #[command(
        after_help = "Examples:\n  quittance pay lnbcrt…\n  quittance pay lnbcrt… --id 8a31…      the same id never pays twice, in no year
  quittance pay lnbcrt… --route '[{\"node\":\"02ee…\",\"short_channel_id\":\"700x1x0\",\"fee_msat\":1000,\"cltv_delta\":72},
                                  {\"node\":\"03ab…\",\"short_channel_id\":\"701x4x1\"}]'"
    )]
    Pay {
        /// The invoice
        invoice: String,
        /// How much, in msat, where the invoice leaves it to you
        #[arg(long)]
        amount_msat: Option<u64>,
        /// The most that it may cost in fees, in msat
        #[arg(long)]
        fee_limit_msat: Option<u64>,
        /// Your name for the payment: 64 hex digits [default: the invoice's hash]
        #[arg(long)]
        id: Option<String>,
        /// The only way that it may go: a file, or JSON itself, with the hops of one route; again for each further part
        #[arg(long = "route", value_name = "FILE|JSON")]
        routes: Vec<String>,
        /// How many seconds to wait for the end
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Pay a node that has not asked for it
    Keysend {
        /// The node's id
        node: String,
        /// How much, in msat
        amount_msat: u64,
        /// Your name for the payment: 64 hex digits [default: a new one]
        #[arg(long)]
        id: Option<String>,
        /// The only way that it may go: a file, or JSON itself, with the hops of one route; again for each further part
        #[arg(long = "route", value_name = "FILE|JSON")]
        routes: Vec<String>,
        /// How many seconds to wait for the end
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Try whether a payment would reach a node, by one that nobody can claim
    Probe {
        /// The node's id
        node: String,
        /// How much, in msat
        amount_msat: u64,
        /// The most that it may cost in fees, in msat
        #[arg(long)]
        fee_limit_msat: Option<u64>,
        /// The way to be tried: a file, or JSON itself, with the hops of a route; one at most: a probe goes in one part
        #[arg(long = "route", value_name = "FILE|JSON")]
        routes: Vec<String>,
        /// How many seconds to wait for the end
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Payments of ours, the newest first
    #[command(
        after_help = "Examples:\n  quittance payments\n  quittance payments --limit 20 --before 314      the next page"
    )]
    Payments {
        /// How many at most of those that ended; 1,000 at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Those that ended before this event: the next page, as the last one names it
        #[arg(long, value_name = "EVENT")]
        before: Option<u64>,
    },
    /// Payments that were made to us, the newest first
    #[command(
        after_help = "Examples:\n  quittance received\n  quittance received --limit 20 --before 314      the next page"
    )]
    Received {
        /// How many at most; 1,000 at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Those before this event: the next page, as the last one names it
        #[arg(long, value_name = "EVENT")]
        before: Option<u64>,
    },
    /// The proof of a payment: to show, or to check with --verify
    #[command(
        after_help = "Examples:\n  quittance receipt 8a31… > receipt.json\n  quittance receipt --verify receipt.json   needs no node"
    )]
    Receipt {
        /// The payment's id
        #[arg(required_unless_present = "verify")]
        id: Option<String>,
        /// Check a receipt in a file instead
        #[arg(long, value_name = "FILE")]
        verify: Option<PathBuf>,
    },
    /// What has happened, in order
    #[command(
        after_help = "Examples:\n  quittance events --follow\n  quittance events --handled 41       none up to 41 comes again"
    )]
    Events {
        /// From this number on
        #[arg(long)]
        from: Option<u64>,
        /// Go on as events come
        #[arg(long)]
        follow: bool,
        /// Confirm that all up to this number are handled
        #[arg(long)]
        handled: Option<u64>,
    },
    /// Pay on chain
    SendOnchain {
        /// To where
        address: String,
        /// How much, in sat
        amount_sat: u64,
        /// In sat per 1000 weight
        #[arg(long)]
        feerate: Option<u32>,
    },
    /// Raise the fee of a payment on chain that waits for a block, or of a closing that both sides agreed on
    #[command(after_help = "Examples:
  quittance bump 4f0c… --feerate 5000      replaces the transaction (RBF)
  quittance bump 5f2c… --feerate 5000      of a channel: another closing, where its peer supports option_simple_close")]
    Bump {
        /// The transaction's id, or the channel's
        id: String,
        /// In sat per 1000 weight [default, for transactions: what confirms within two blocks]
        #[arg(long)]
        feerate: Option<u32>,
    },
    /// Copy what a restore needs into a new folder, while the node runs or not
    #[command(after_help = "Example:
  quittance backup /mnt/usb/quittance-2031-05-01

The seed's words are needed as well, and are not in it. READ-ME.txt in the backup says how it is restored, what a backup can
do, and what no backup can.")]
    Backup {
        /// A folder that does not exist yet
        folder: PathBuf,
    },
    /// Go on from a backup, or from any older copy of a store; the node must be stopped
    #[command(after_help = "Examples:
  quittance restore /mnt/usb/quittance-2031-05-01      into a folder without a store; asks for the words
  quittance restore --in-place                         the folder's own store came from a snapshot of an older moment

Either declares that the store is old: of each channel nothing is broadcast before its peer has told its state. Never let the
old node run again.")]
    Restore {
        /// The backup
        #[arg(required_unless_present = "in_place")]
        backup: Option<PathBuf>,
        /// Declare that the store in the node's folder is older than the node's last run
        #[arg(long, conflicts_with = "backup")]
        in_place: bool,
        /// The seed's words, in a file, instead of being asked for
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
        /// The passphrase of the seed that is there, or the one to encrypt a new one with, in the first line of a file [or: QUITTANCE_PASSPHRASE]
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Give a locked node the passphrase of its seed
    #[command(
        after_help = "Examples:\n  quittance unlock\n  quittance unlock --passphrase-file /run/secrets/quittance"
    )]
    Unlock {
        /// In the first line of a file, instead of being asked for
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Sign a message with the node's key
    #[command(after_help = "Example:\n  quittance sign \"this is my node\"")]
    Sign {
        /// The message
        message: String,
    },
    /// Who signed a message; needs no node
    #[command(after_help = "Example:\n  quittance check \"this is my node\" d9tx… --node 02eec7…")]
    Check {
        /// The message
        message: String,
        /// Its signature, as `sign` or another node's signmessage gives it
        signature: String,
        /// Fail unless it was this node
        #[arg(long)]
        node: Option<String>,
    },
    /// Check the store of a node that is stopped: every page, every batch, every record
    Verify,
    /// Rebuild a stopped node's payments and events from its channels' logs at the next start
    #[command(
        after_help = "The rows of payments, forwards and events are derived from the channels' logs (G9). This removes them, so that the next\nstart makes them again. Nothing else is touched."
    )]
    Rebuild,
    /// Stop the node
    Stop,
    /// Completions for a shell
    #[command(after_help = "Example:\n  quittance completions bash > /etc/bash_completion.d/quittance")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// For tests: lose a stopped node's manager rows, or take them from an older copy of its store
    #[command(hide = true)]
    LoseManagerRows {
        /// The folder of an older copy of the store
        #[arg(long)]
        take_from: Option<PathBuf>,
    },
}

/// How the node runs. What is not said here is taken from QUITTANCE_… variables, then from quittance.toml in the folder.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RunOptions {
    /// bitcoin, testnet, testnet4, signet or regtest
    #[arg(long)]
    pub(crate) network: Option<String>,
    /// Listen for peers here; can be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Listen for commands here [default: 127.0.0.1:9736]; beyond this machine by TLS only, with the certificate in tls-certificate.pem
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) api: Option<SocketAddr>,
    /// Keep a connection to this peer: NODE@HOST:PORT; can be given several times
    #[arg(long, value_name = "PEER")]
    pub(crate) peer: Vec<String>,
    /// Channels with this peer may be used before they confirm, so that it could take back what it paid; can be given several times
    #[arg(long, value_name = "NODE")]
    pub(crate) zeroconf_peer: Vec<String>,
    /// bitcoind's RPC interface
    #[arg(long, value_name = "URL")]
    pub(crate) bitcoind: Option<String>,
    /// bitcoind's cookie file
    #[arg(long, value_name = "FILE")]
    pub(crate) bitcoind_cookie: Option<PathBuf>,
    /// The passphrase of the seed, in the first line of a file [or: QUITTANCE_PASSPHRASE]; without one a node with an encrypted seed starts
    /// locked, until `quittance unlock`
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Events wait for `quittance events --handled`, instead of being handled once they are shown
    #[arg(long)]
    pub(crate) confirm_events: bool,
    /// How much is logged: error, warn, info, debug or trace
    #[arg(long)]
    pub(crate) log: Option<String>,
    /// For tests: look at the chain, and call peers, much more often
    #[arg(long, hide = true)]
    pub(crate) hasty: bool,
    /// For tests: switch a known bug on
    #[cfg(feature = "mutants")]
    #[arg(long, hide = true)]
    pub(crate) mutant: Option<String>,
}
