//! BOLT 2: how a channel is used: HTLCs come and go, commitments replace each other, connections resume.

use std::fmt;

use bitcoin::Txid;
use quittance_primitives::{ChannelId, CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash, PaymentPreimage};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::field::composite;
use crate::message::message;

message! {
    /// Offers an HTLC (BOLT 2, `update_add_htlc`).
    #[derive(Debug)]
    UpdateAddHtlc = 128 "update_add_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        amount_msat: MilliSatoshi,
        payment_hash: PaymentHash,
        cltv_expiry: CltvExpiry,
        onion_routing_packet: Box<[u8; 1366]>,
    }
    records {
        /// The `path_key` for a hop inside a blinded path.
        0 => blinded_path: PublicKey,
    }
}

message! {
    /// Claims an HTLC with its preimage (BOLT 2, `update_fulfill_htlc`).
    #[derive(Debug)]
    UpdateFulfillHtlc = 130 "update_fulfill_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        payment_preimage: PaymentPreimage,
    }
    records {
        /// Hold times and their HMACs (BOLT 4, attribution data).
        1 => attribution_data: Box<[u8; 920]>,
    }
}

message! {
    /// Fails an HTLC, with a reason for its origin's eyes only (BOLT 2, `update_fail_htlc`).
    #[derive(Debug)]
    UpdateFailHtlc = 131 "update_fail_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        reason: Vec<u8>,
    }
    records {
        /// Hold times and their HMACs (BOLT 4, attribution data).
        1 => attribution_data: Box<[u8; 920]>,
    }
}

message! {
    /// Fails an HTLC whose onion the sender could not read (BOLT 2, `update_fail_malformed_htlc`).
    #[derive(Debug)]
    UpdateFailMalformedHtlc = 135 "update_fail_malformed_htlc" {
        channel_id: ChannelId,
        id: HtlcId,
        sha256_of_onion: [u8; 32],
        failure_code: u16,
    }
}

message! {
    /// The funder's new feerate for commitments (BOLT 2, `update_fee`).
    #[derive(Debug)]
    UpdateFee = 134 "update_fee" {
        channel_id: ChannelId,
        feerate_per_kw: FeeratePerKw,
    }
}

message! {
    /// The next messages belong together: a commitment for each pending splice (BOLT 2, `start_batch`).
    #[derive(Debug)]
    StartBatch = 127 "start_batch" {
        channel_id: ChannelId,
        batch_size: u16,
    }
    records {
        1 => message_type: u16,
    }
}

message! {
    /// Signs the receiver's next commitment (BOLT 2, `commitment_signed`).
    #[derive(Debug)]
    CommitmentSigned = 132 "commitment_signed" {
        channel_id: ChannelId,
        signature: Signature,
        /// One for each HTLC output, in the order of the commitment's outputs.
        htlc_signature: Vec<Signature>,
    }
    records {
        /// Which funding transaction the commitment spends, while a splice is pending.
        1 => funding_txid: Txid,
    }
}

message! {
    /// Revokes the sender's replaced commitment (BOLT 2, `revoke_and_ack`). `Debug` does not show the secret.
    RevokeAndAck = 133 "revoke_and_ack" {
        channel_id: ChannelId,
        per_commitment_secret: [u8; 32],
        next_per_commitment_point: PublicKey,
    }
}

message! {
    /// Where the sender stands, after a reconnection (BOLT 2, `channel_reestablish`). `Debug` does not show the secret.
    ChannelReestablish = 136 "channel_reestablish" {
        channel_id: ChannelId,
        /// The number of the next `commitment_signed` that the sender awaits.
        next_commitment_number: u64,
        /// The number of the next `revoke_and_ack` that the sender awaits.
        next_revocation_number: u64,
        your_last_per_commitment_secret: [u8; 32],
        my_current_per_commitment_point: PublicKey,
    }
    records {
        1 => next_funding: NextFunding,
        5 => my_current_funding_locked: CurrentFundingLocked,
    }
}

composite! {
    /// The interactive transaction that the sender has not seen fully signed.
    NextFunding {
        /// Its id.
        next_funding_txid: Txid,
        /// Which messages the sender wants again: see [`RETRANSMIT_COMMITMENT_SIGNED`].
        retransmit_flags: u8,
    }

    /// The last splice, or the funding itself, that the sender considers locked.
    CurrentFundingLocked {
        /// Its id.
        my_current_funding_locked_txid: Txid,
        /// Which messages the sender wants again: see [`RETRANSMIT_ANNOUNCEMENT_SIGNATURES`].
        retransmit_flags: u8,
    }
}

/// Bit of [`NextFunding::retransmit_flags`]: the sender has not received `commitment_signed` for that transaction.
pub const RETRANSMIT_COMMITMENT_SIGNED: u8 = 1;

/// Bit of [`CurrentFundingLocked::retransmit_flags`]: the sender has not received `announcement_signatures` for it.
pub const RETRANSMIT_ANNOUNCEMENT_SIGNATURES: u8 = 1;

impl fmt::Debug for RevokeAndAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeAndAck")
            .field("channel_id", &self.channel_id)
            .field("next_per_commitment_point", &self.next_per_commitment_point)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChannelReestablish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelReestablish")
            .field("channel_id", &self.channel_id)
            .field("next_commitment_number", &self.next_commitment_number)
            .field("next_revocation_number", &self.next_revocation_number)
            .field("my_current_per_commitment_point", &self.my_current_per_commitment_point)
            .field("next_funding", &self.next_funding)
            .field("my_current_funding_locked", &self.my_current_funding_locked)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generate, Source};

    #[test]
    fn secrets_are_not_shown() {
        let tape = &[0x5a; 500];
        let revocation = format!("{:?}", RevokeAndAck::generate(&mut Source::new(tape)));
        let reestablish = format!("{:?}", ChannelReestablish::generate(&mut Source::new(tape)));
        let fulfilment = format!("{:?}", UpdateFulfillHtlc::generate(&mut Source::new(tape)));
        for shown in [revocation, reestablish, fulfilment] {
            // 0x5a is 90: neither as a list of bytes, nor in hex behind the channel's id.
            assert!(!shown.contains("90, 90"), "{shown}");
            assert_eq!(shown.matches("5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a").count(), 2, "{shown}");
        }
    }
}
