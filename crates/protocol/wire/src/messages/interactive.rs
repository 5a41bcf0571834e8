//! BOLT 2: how two sides build one transaction together (interactive transaction construction).

use bitcoin::{Amount, ScriptBuf, SignedAmount, Txid, Witness};
use quittance_primitives::{ChannelId, FeeratePerKw};
use secp256k1::ecdsa::Signature;

use crate::message::message;

message! {
    /// Adds an input (BOLT 2, `tx_add_input`).
    #[derive(Debug)]
    TxAddInput = 66 "tx_add_input" {
        channel_id: ChannelId,
        serial_id: u64,
        /// The serialised transaction that created the output spent; empty for the shared input. Not parsed here.
        prevtx: Vec<u8>,
        prevtx_vout: u32,
        sequence: u32,
    }
    records {
        /// The funding transaction whose output a splice spends.
        0 => shared_input_txid: Txid,
    }
}

message! {
    /// Adds an output (BOLT 2, `tx_add_output`).
    #[derive(Debug)]
    TxAddOutput = 67 "tx_add_output" {
        channel_id: ChannelId,
        serial_id: u64,
        sats: Amount,
        script: ScriptBuf,
    }
}

message! {
    /// Takes back an input of the sender's (BOLT 2, `tx_remove_input`).
    #[derive(Debug)]
    TxRemoveInput = 68 "tx_remove_input" {
        channel_id: ChannelId,
        serial_id: u64,
    }
}

message! {
    /// Takes back an output of the sender's (BOLT 2, `tx_remove_output`).
    #[derive(Debug)]
    TxRemoveOutput = 69 "tx_remove_output" {
        channel_id: ChannelId,
        serial_id: u64,
    }
}

message! {
    /// The sender has nothing to add; two in a row end the construction (BOLT 2, `tx_complete`).
    #[derive(Debug)]
    TxComplete = 70 "tx_complete" {
        channel_id: ChannelId,
    }
}

message! {
    /// The witnesses of the sender's inputs (BOLT 2, `tx_signatures`).
    #[derive(Debug)]
    TxSignatures = 71 "tx_signatures" {
        channel_id: ChannelId,
        txid: Txid,
        /// In the order of the sender's inputs by serial id.
        witnesses: Vec<Witness>,
    }
    records {
        /// For the shared input of a splice.
        0 => shared_input_signature: Signature,
    }
}

message! {
    /// Proposes to build the transaction again at a higher feerate (BOLT 2, `tx_init_rbf`).
    #[derive(Debug)]
    TxInitRbf = 72 "tx_init_rbf" {
        channel_id: ChannelId,
        /// The lock time of the new transaction, as it stands in the transaction.
        locktime: u32,
        feerate: FeeratePerKw,
    }
    records {
        /// What the sender adds to the funding output; negative to take out.
        0 => funding_output_contribution: SignedAmount,
        2 => require_confirmed_inputs: (),
    }
}

message! {
    /// Agrees to build the transaction again (BOLT 2, `tx_ack_rbf`).
    #[derive(Debug)]
    TxAckRbf = 73 "tx_ack_rbf" {
        channel_id: ChannelId,
    }
    records {
        /// What the sender adds to the funding output; negative to take out.
        0 => funding_output_contribution: SignedAmount,
        2 => require_confirmed_inputs: (),
    }
}

message! {
    /// Gives up the construction (BOLT 2, `tx_abort`).
    #[derive(Debug)]
    TxAbort = 74 "tx_abort" {
        channel_id: ChannelId,
        /// Printable text, if the sender keeps to the BOLT.
        data: Vec<u8>,
    }
}
