//! BOLT 2: how a channel is opened, in either version of the protocol.

use bitcoin::constants::ChainHash;
use bitcoin::{Amount, ScriptBuf, Txid};
use quittance_primitives::{BlockCount, ChannelId, Features, FeeratePerKw, MilliSatoshi, ShortChannelId, ToSelfDelay};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::message::message;

/// The one bit of `channel_flags` that has a meaning: the opener wants the channel announced.
pub const ANNOUNCE_CHANNEL: u8 = 1;

message! {
    /// Proposes a channel that the sender funds (BOLT 2, `open_channel`).
    #[derive(Debug)]
    OpenChannel = 32 "open_channel" {
        chain_hash: ChainHash,
        temporary_channel_id: ChannelId,
        funding_satoshis: Amount,
        /// What the opener gives the other side for nothing.
        push_msat: MilliSatoshi,
        dust_limit_satoshis: Amount,
        max_htlc_value_in_flight_msat: MilliSatoshi,
        channel_reserve_satoshis: Amount,
        htlc_minimum_msat: MilliSatoshi,
        feerate_per_kw: FeeratePerKw,
        to_self_delay: ToSelfDelay,
        max_accepted_htlcs: u16,
        funding_pubkey: PublicKey,
        revocation_basepoint: PublicKey,
        payment_basepoint: PublicKey,
        delayed_payment_basepoint: PublicKey,
        htlc_basepoint: PublicKey,
        first_per_commitment_point: PublicKey,
        /// See [`ANNOUNCE_CHANNEL`].
        channel_flags: u8,
    }
    records {
        /// An empty script: the sender could commit to one and does not.
        0 => upfront_shutdown_script: ScriptBuf,
        1 => channel_type: Features,
    }
}

message! {
    /// Accepts the proposal (BOLT 2, `accept_channel`).
    #[derive(Debug)]
    AcceptChannel = 33 "accept_channel" {
        temporary_channel_id: ChannelId,
        dust_limit_satoshis: Amount,
        max_htlc_value_in_flight_msat: MilliSatoshi,
        channel_reserve_satoshis: Amount,
        htlc_minimum_msat: MilliSatoshi,
        /// Confirmations before the channel may be used.
        minimum_depth: BlockCount,
        to_self_delay: ToSelfDelay,
        max_accepted_htlcs: u16,
        funding_pubkey: PublicKey,
        revocation_basepoint: PublicKey,
        payment_basepoint: PublicKey,
        delayed_payment_basepoint: PublicKey,
        htlc_basepoint: PublicKey,
        first_per_commitment_point: PublicKey,
    }
    records {
        /// An empty script: the sender could commit to one and does not.
        0 => upfront_shutdown_script: ScriptBuf,
        1 => channel_type: Features,
    }
}

message! {
    /// Names the funding output, with the opener's signature for the first commitment (BOLT 2, `funding_created`).
    #[derive(Debug)]
    FundingCreated = 34 "funding_created" {
        temporary_channel_id: ChannelId,
        funding_txid: Txid,
        funding_output_index: u16,
        signature: Signature,
    }
}

message! {
    /// The other side's signature for the first commitment (BOLT 2, `funding_signed`).
    #[derive(Debug)]
    FundingSigned = 35 "funding_signed" {
        channel_id: ChannelId,
        signature: Signature,
    }
}

message! {
    /// The funding output is deep enough for the sender (BOLT 2, `channel_ready`).
    #[derive(Debug)]
    ChannelReady = 36 "channel_ready" {
        channel_id: ChannelId,
        second_per_commitment_point: PublicKey,
    }
    records {
        /// The alias by which the receiver may name the channel in invoices and onions.
        1 => short_channel_id: ShortChannelId,
    }
}

message! {
    /// Proposes a channel that both sides may fund (BOLT 2, `open_channel2`).
    #[derive(Debug)]
    OpenChannel2 = 64 "open_channel2" {
        chain_hash: ChainHash,
        temporary_channel_id: ChannelId,
        funding_feerate_perkw: FeeratePerKw,
        commitment_feerate_perkw: FeeratePerKw,
        funding_satoshis: Amount,
        dust_limit_satoshis: Amount,
        max_htlc_value_in_flight_msat: MilliSatoshi,
        htlc_minimum_msat: MilliSatoshi,
        to_self_delay: ToSelfDelay,
        max_accepted_htlcs: u16,
        /// The lock time of the funding transaction, as it stands in the transaction.
        locktime: u32,
        funding_pubkey: PublicKey,
        revocation_basepoint: PublicKey,
        payment_basepoint: PublicKey,
        delayed_payment_basepoint: PublicKey,
        htlc_basepoint: PublicKey,
        first_per_commitment_point: PublicKey,
        second_per_commitment_point: PublicKey,
        /// See [`ANNOUNCE_CHANNEL`].
        channel_flags: u8,
    }
    records {
        /// An empty script: the sender could commit to one and does not.
        0 => upfront_shutdown_script: ScriptBuf,
        1 => channel_type: Features,
        2 => require_confirmed_inputs: (),
    }
}

message! {
    /// Accepts the proposal, with a contribution or none (BOLT 2, `accept_channel2`).
    #[derive(Debug)]
    AcceptChannel2 = 65 "accept_channel2" {
        temporary_channel_id: ChannelId,
        funding_satoshis: Amount,
        dust_limit_satoshis: Amount,
        max_htlc_value_in_flight_msat: MilliSatoshi,
        htlc_minimum_msat: MilliSatoshi,
        /// Confirmations before the channel may be used.
        minimum_depth: BlockCount,
        to_self_delay: ToSelfDelay,
        max_accepted_htlcs: u16,
        funding_pubkey: PublicKey,
        revocation_basepoint: PublicKey,
        payment_basepoint: PublicKey,
        delayed_payment_basepoint: PublicKey,
        htlc_basepoint: PublicKey,
        first_per_commitment_point: PublicKey,
        second_per_commitment_point: PublicKey,
    }
    records {
        /// An empty script: the sender could commit to one and does not.
        0 => upfront_shutdown_script: ScriptBuf,
        1 => channel_type: Features,
        2 => require_confirmed_inputs: (),
    }
}
