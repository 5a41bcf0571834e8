//! BOLT 2: how a channel falls silent, and how its funding is replaced while it lives.

use bitcoin::{SignedAmount, Txid};
use quittance_primitives::{ChannelId, FeeratePerKw};
use secp256k1::PublicKey;

use crate::message::message;

message! {
    /// The sender will send no more updates until quiescence ends (BOLT 2, `stfu`).
    #[derive(Debug)]
    Stfu = 2 "stfu" {
        channel_id: ChannelId,
        /// 1 if the sender asked first, 0 if it answers.
        initiator: u8,
    }
}

message! {
    /// Proposes a splice (BOLT 2, `splice_init`).
    #[derive(Debug)]
    SpliceInit = 80 "splice_init" {
        channel_id: ChannelId,
        /// What the sender adds to its balance; negative to take out.
        funding_contribution_satoshis: SignedAmount,
        funding_feerate_perkw: FeeratePerKw,
        /// The lock time of the splice transaction, as it stands in the transaction.
        locktime: u32,
        funding_pubkey: PublicKey,
    }
    records {
        2 => require_confirmed_inputs: (),
    }
}

message! {
    /// Agrees to the splice, with a contribution or none (BOLT 2, `splice_ack`).
    #[derive(Debug)]
    SpliceAck = 81 "splice_ack" {
        channel_id: ChannelId,
        /// What the sender adds to its balance; negative to take out.
        funding_contribution_satoshis: SignedAmount,
        funding_pubkey: PublicKey,
    }
    records {
        2 => require_confirmed_inputs: (),
    }
}

message! {
    /// The splice transaction is deep enough for the sender (BOLT 2, `splice_locked`).
    #[derive(Debug)]
    SpliceLocked = 77 "splice_locked" {
        channel_id: ChannelId,
        splice_txid: Txid,
    }
}
