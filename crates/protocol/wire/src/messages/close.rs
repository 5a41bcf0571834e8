//! BOLT 2: how a channel is closed by agreement, in the legacy way and in the simple one.

use bitcoin::{Amount, ScriptBuf};
use quittance_primitives::ChannelId;
use secp256k1::ecdsa::Signature;

use crate::field::composite;
use crate::message::message;

message! {
    /// Announces the wish to close, and where the sender wants its funds (BOLT 2, `shutdown`).
    #[derive(Debug)]
    Shutdown = 38 "shutdown" {
        channel_id: ChannelId,
        scriptpubkey: ScriptBuf,
    }
}

message! {
    /// Proposes a fee for the closing transaction, or agrees to one (BOLT 2, `closing_signed`).
    #[derive(Debug)]
    ClosingSigned = 39 "closing_signed" {
        channel_id: ChannelId,
        fee_satoshis: Amount,
        signature: Signature,
    }
    records {
        1 => fee_range: FeeRange,
    }
}

composite! {
    /// The fees that the sender of `closing_signed` would accept, both ends included.
    FeeRange {
        /// The lowest.
        min_fee_satoshis: Amount,
        /// The highest.
        max_fee_satoshis: Amount,
    }
}

message! {
    /// A closing transaction at the closer's expense, signed by it (BOLT 2, `closing_complete`).
    #[derive(Debug)]
    ClosingComplete = 40 "closing_complete" {
        channel_id: ChannelId,
        closer_scriptpubkey: ScriptBuf,
        closee_scriptpubkey: ScriptBuf,
        fee_satoshis: Amount,
        /// The lock time of the closing transaction, as it stands in the transaction.
        locktime: u32,
    }
    records {
        1 => closer_output_only: Signature,
        2 => closee_output_only: Signature,
        3 => closer_and_closee_outputs: Signature,
    }
}

message! {
    /// The closee's signature for one of the variants offered (BOLT 2, `closing_sig`).
    #[derive(Debug)]
    ClosingSig = 41 "closing_sig" {
        channel_id: ChannelId,
        closer_scriptpubkey: ScriptBuf,
        closee_scriptpubkey: ScriptBuf,
        fee_satoshis: Amount,
        /// The lock time of the closing transaction, as it stands in the transaction.
        locktime: u32,
    }
    records {
        1 => closer_output_only: Signature,
        2 => closee_output_only: Signature,
        3 => closer_and_closee_outputs: Signature,
    }
}
