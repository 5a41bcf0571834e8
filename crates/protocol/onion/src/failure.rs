//! What a failure says: every code of BOLT 4 with its data (failure messages).
//!
//! A failure travels to the origin inside a [`crate::ReturnPacket`]; the few with [`FailureCode::BADONION`] are told to the sending peer in clear
//! (`update_fail_malformed_htlc`), and that peer makes the return packet.

use std::fmt;

use bitcoin::hex::DisplayHex;
use quittance_primitives::{BlockHeight, CltvExpiry, MilliSatoshi};
use quittance_wire::{BigSize, Flaw, Reader, Wire};

use crate::OnionError;

/// A failure code: 4 bits of flags above a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureCode(pub u16);

/// A failure, as its message states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A temporary failure of the whole node.
    TemporaryNodeFailure,
    /// A permanent failure of the whole node.
    PermanentNodeFailure,
    /// The node requires a feature that the onion did not use.
    RequiredNodeFeatureMissing,
    /// The version of the onion is unknown.
    InvalidOnionVersion(OnionHash),
    /// The onion's HMAC was wrong when it came.
    InvalidOnionHmac(OnionHash),
    /// The onion's ephemeral key cannot be read.
    InvalidOnionKey(OnionHash),
    /// The channel cannot take this HTLC now.
    TemporaryChannelFailure(ChannelUpdateBytes),
    /// The channel takes no HTLC any more.
    PermanentChannelFailure,
    /// The channel requires a feature that the onion did not use.
    RequiredChannelFeatureMissing,
    /// The `short_channel_id` leads nowhere.
    UnknownNextPeer,
    /// The amount is below the channel's `htlc_minimum_msat`.
    AmountBelowMinimum {
        /// The outgoing HTLC's amount.
        htlc: MilliSatoshi,
        /// The channel's policy.
        channel_update: ChannelUpdateBytes,
    },
    /// The fee is below the channel's.
    FeeInsufficient {
        /// The incoming HTLC's amount.
        htlc: MilliSatoshi,
        /// The channel's policy.
        channel_update: ChannelUpdateBytes,
    },
    /// The expiries are closer to each other than the channel's `cltv_expiry_delta`.
    IncorrectCltvExpiry {
        /// The outgoing HTLC's expiry.
        expiry: CltvExpiry,
        /// The channel's policy.
        channel_update: ChannelUpdateBytes,
    },
    /// The expiry is too near.
    ExpiryTooSoon(ChannelUpdateBytes),
    /// The payee knows no such payment, or not on these terms. Which, it does not say.
    IncorrectOrUnknownPaymentDetails {
        /// The amount of the HTLC.
        htlc: MilliSatoshi,
        /// The payee's height when the HTLC came.
        height: BlockHeight,
    },
    /// The HTLC at the payee expires before the onion says.
    FinalIncorrectCltvExpiry(CltvExpiry),
    /// The HTLC at the payee has a smaller amount than the onion says.
    FinalIncorrectHtlcAmount(MilliSatoshi),
    /// The channel is disabled.
    ChannelDisabled {
        /// No flag is defined: zero.
        flags: u16,
        /// The channel's policy.
        channel_update: ChannelUpdateBytes,
    },
    /// The expiry is too far away.
    ExpiryTooFar,
    /// The payload was not understood, or is incomplete.
    InvalidOnionPayload {
        /// The TLV type at fault; 0 if no single one is.
        record_type: u64,
        /// Where that record stands in the decrypted bytes, the length in front included; 0 if it is missing.
        offset: u16,
    },
    /// The other parts of the payment did not come in time.
    MppTimeout,
    /// Something failed inside a blinded path.
    InvalidOnionBlinding(OnionHash),
    /// A code that we do not know. Its flags still say what follows.
    Unknown {
        /// The code.
        code: FailureCode,
        /// All that follows the code.
        data: Vec<u8>,
    },
}

/// The SHA256 of an onion packet as the failing node received it, or zeros where the node does not say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OnionHash(pub [u8; 32]);

/// A `channel_update` inside a failure, undecoded: no more than a hint for this payment's retries, never gossip (BOLT 4). We send none.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ChannelUpdateBytes(pub Vec<u8>);

/// A failure message that does not decode. The sender is the hop that it is attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureError {
    /// Fewer than the two bytes of a code.
    #[error("the failure message has no code")]
    NoCode,
    /// The data of a known code. The code's flags still say what follows.
    #[error("the data of failure {code}: {flaw}")]
    Data {
        /// The code.
        code: FailureCode,
        /// What was wrong.
        flaw: Flaw,
    },
}

impl FailureCode {
    /// The sending peer's onion cannot be parsed.
    pub const BADONION: u16 = 0x8000;
    /// Permanent; otherwise transient.
    pub const PERM: u16 = 0x4000;
    /// Of the node; otherwise of the channel.
    pub const NODE: u16 = 0x2000;
    /// The channel's forwarding parameters were violated.
    pub const UPDATE: u16 = 0x1000;

    /// Whether the code is one that `update_fail_malformed_htlc` may carry (BOLT 2): one with BADONION.
    pub const fn is_bad_onion(self) -> bool {
        self.0 & Self::BADONION != 0
    }

    /// Whether trying the same again is pointless.
    pub const fn is_permanent(self) -> bool {
        self.0 & Self::PERM != 0
    }

    /// Whether the whole node failed, not only a channel of it.
    pub const fn is_of_node(self) -> bool {
        self.0 & Self::NODE != 0
    }

    /// Whether the sender's knowledge of the channel's policy was wrong.
    pub const fn is_of_policy(self) -> bool {
        self.0 & Self::UPDATE != 0
    }
}

/// Codes, as BOLT 4 spells them.
mod codes {
    use super::FailureCode as C;

    const fn code(flags: u16, number: u16) -> C {
        C(flags | number)
    }

    pub(super) const TEMPORARY_NODE_FAILURE: C = code(C::NODE, 2);
    pub(super) const PERMANENT_NODE_FAILURE: C = code(C::PERM | C::NODE, 2);
    pub(super) const REQUIRED_NODE_FEATURE_MISSING: C = code(C::PERM | C::NODE, 3);
    pub(super) const INVALID_ONION_VERSION: C = code(C::BADONION | C::PERM, 4);
    pub(super) const INVALID_ONION_HMAC: C = code(C::BADONION | C::PERM, 5);
    pub(super) const INVALID_ONION_KEY: C = code(C::BADONION | C::PERM, 6);
    pub(super) const TEMPORARY_CHANNEL_FAILURE: C = code(C::UPDATE, 7);
    pub(super) const PERMANENT_CHANNEL_FAILURE: C = code(C::PERM, 8);
    pub(super) const REQUIRED_CHANNEL_FEATURE_MISSING: C = code(C::PERM, 9);
    pub(super) const UNKNOWN_NEXT_PEER: C = code(C::PERM, 10);
    pub(super) const AMOUNT_BELOW_MINIMUM: C = code(C::UPDATE, 11);
    pub(super) const FEE_INSUFFICIENT: C = code(C::UPDATE, 12);
    pub(super) const INCORRECT_CLTV_EXPIRY: C = code(C::UPDATE, 13);
    pub(super) const EXPIRY_TOO_SOON: C = code(C::UPDATE, 14);
    pub(super) const INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS: C = code(C::PERM, 15);
    pub(super) const FINAL_INCORRECT_CLTV_EXPIRY: C = code(0, 18);
    pub(super) const FINAL_INCORRECT_HTLC_AMOUNT: C = code(0, 19);
    pub(super) const CHANNEL_DISABLED: C = code(C::UPDATE, 20);
    pub(super) const EXPIRY_TOO_FAR: C = code(0, 21);
    pub(super) const INVALID_ONION_PAYLOAD: C = code(C::PERM, 22);
    pub(super) const MPP_TIMEOUT: C = code(0, 23);
    pub(super) const INVALID_ONION_BLINDING: C = code(C::BADONION | C::PERM, 24);
}

impl Failure {
    /// The code.
    pub const fn code(&self) -> FailureCode {
        match self {
            Self::TemporaryNodeFailure => codes::TEMPORARY_NODE_FAILURE,
            Self::PermanentNodeFailure => codes::PERMANENT_NODE_FAILURE,
            Self::RequiredNodeFeatureMissing => codes::REQUIRED_NODE_FEATURE_MISSING,
            Self::InvalidOnionVersion(_) => codes::INVALID_ONION_VERSION,
            Self::InvalidOnionHmac(_) => codes::INVALID_ONION_HMAC,
            Self::InvalidOnionKey(_) => codes::INVALID_ONION_KEY,
            Self::TemporaryChannelFailure(_) => codes::TEMPORARY_CHANNEL_FAILURE,
            Self::PermanentChannelFailure => codes::PERMANENT_CHANNEL_FAILURE,
            Self::RequiredChannelFeatureMissing => codes::REQUIRED_CHANNEL_FEATURE_MISSING,
            Self::UnknownNextPeer => codes::UNKNOWN_NEXT_PEER,
            Self::AmountBelowMinimum { .. } => codes::AMOUNT_BELOW_MINIMUM,
            Self::FeeInsufficient { .. } => codes::FEE_INSUFFICIENT,
            Self::IncorrectCltvExpiry { .. } => codes::INCORRECT_CLTV_EXPIRY,
            Self::ExpiryTooSoon(_) => codes::EXPIRY_TOO_SOON,
            Self::IncorrectOrUnknownPaymentDetails { .. } => codes::INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS,
            Self::FinalIncorrectCltvExpiry(_) => codes::FINAL_INCORRECT_CLTV_EXPIRY,
            Self::FinalIncorrectHtlcAmount(_) => codes::FINAL_INCORRECT_HTLC_AMOUNT,
            Self::ChannelDisabled { .. } => codes::CHANNEL_DISABLED,
            Self::ExpiryTooFar => codes::EXPIRY_TOO_FAR,
            Self::InvalidOnionPayload { .. } => codes::INVALID_ONION_PAYLOAD,
            Self::MppTimeout => codes::MPP_TIMEOUT,
            Self::InvalidOnionBlinding(_) => codes::INVALID_ONION_BLINDING,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// The message: code and data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.code().0.to_be_bytes().to_vec();
        match self {
            Self::TemporaryNodeFailure
            | Self::PermanentNodeFailure
            | Self::RequiredNodeFeatureMissing
            | Self::PermanentChannelFailure
            | Self::RequiredChannelFeatureMissing
            | Self::UnknownNextPeer
            | Self::ExpiryTooFar
            | Self::MppTimeout => {}
            Self::InvalidOnionVersion(hash)
            | Self::InvalidOnionHmac(hash)
            | Self::InvalidOnionKey(hash)
            | Self::InvalidOnionBlinding(hash) => hash.0.write(&mut out),
            Self::TemporaryChannelFailure(channel_update) | Self::ExpiryTooSoon(channel_update) => {
                channel_update.0.write(&mut out);
            }
            Self::AmountBelowMinimum { htlc, channel_update } | Self::FeeInsufficient { htlc, channel_update } => {
                htlc.write(&mut out);
                channel_update.0.write(&mut out);
            }
            Self::IncorrectCltvExpiry { expiry, channel_update } => {
                expiry.write(&mut out);
                channel_update.0.write(&mut out);
            }
            Self::IncorrectOrUnknownPaymentDetails { htlc, height } => {
                htlc.write(&mut out);
                height.0.write(&mut out);
            }
            Self::FinalIncorrectCltvExpiry(expiry) => expiry.write(&mut out),
            Self::FinalIncorrectHtlcAmount(htlc) => htlc.write(&mut out),
            Self::ChannelDisabled { flags, channel_update } => {
                flags.write(&mut out);
                channel_update.0.write(&mut out);
            }
            Self::InvalidOnionPayload { record_type, offset } => {
                BigSize(*record_type).write(&mut out);
                offset.write(&mut out);
            }
            Self::Unknown { data, .. } => out.extend_from_slice(data),
        }
        out
    }

    /// Reads a message. What follows the data of a known code is passed over: the origin ignores it (BOLT 4).
    ///
    /// # Errors
    /// [`FailureError`].
    pub fn decode(message: &[u8]) -> Result<Self, FailureError> {
        let mut reader = Reader::new(message);
        let code = u16::read(&mut reader)
            .map(FailureCode)
            .map_err(|_| FailureError::NoCode)?;
        Self::read_data(code, &mut reader).map_err(|flaw| FailureError::Data { code, flaw })
    }

    fn read_data(code: FailureCode, reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(match code {
            codes::TEMPORARY_NODE_FAILURE => Self::TemporaryNodeFailure,
            codes::PERMANENT_NODE_FAILURE => Self::PermanentNodeFailure,
            codes::REQUIRED_NODE_FEATURE_MISSING => Self::RequiredNodeFeatureMissing,
            codes::INVALID_ONION_VERSION => Self::InvalidOnionVersion(hash(reader)?),
            codes::INVALID_ONION_HMAC => Self::InvalidOnionHmac(hash(reader)?),
            codes::INVALID_ONION_KEY => Self::InvalidOnionKey(hash(reader)?),
            codes::TEMPORARY_CHANNEL_FAILURE => Self::TemporaryChannelFailure(channel_update(reader)?),
            codes::PERMANENT_CHANNEL_FAILURE => Self::PermanentChannelFailure,
            codes::REQUIRED_CHANNEL_FEATURE_MISSING => Self::RequiredChannelFeatureMissing,
            codes::UNKNOWN_NEXT_PEER => Self::UnknownNextPeer,
            codes::AMOUNT_BELOW_MINIMUM => Self::AmountBelowMinimum {
                htlc: MilliSatoshi::read(reader)?,
                channel_update: channel_update(reader)?,
            },
            codes::FEE_INSUFFICIENT => Self::FeeInsufficient {
                htlc: MilliSatoshi::read(reader)?,
                channel_update: channel_update(reader)?,
            },
            codes::INCORRECT_CLTV_EXPIRY => Self::IncorrectCltvExpiry {
                expiry: CltvExpiry::read(reader)?,
                channel_update: channel_update(reader)?,
            },
            codes::EXPIRY_TOO_SOON => Self::ExpiryTooSoon(channel_update(reader)?),
            codes::INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS => Self::IncorrectOrUnknownPaymentDetails {
                htlc: MilliSatoshi::read(reader)?,
                height: BlockHeight(u32::read(reader)?),
            },
            codes::FINAL_INCORRECT_CLTV_EXPIRY => Self::FinalIncorrectCltvExpiry(CltvExpiry::read(reader)?),
            codes::FINAL_INCORRECT_HTLC_AMOUNT => Self::FinalIncorrectHtlcAmount(MilliSatoshi::read(reader)?),
            codes::CHANNEL_DISABLED => Self::ChannelDisabled {
                flags: u16::read(reader)?,
                channel_update: channel_update(reader)?,
            },
            codes::EXPIRY_TOO_FAR => Self::ExpiryTooFar,
            codes::INVALID_ONION_PAYLOAD => Self::InvalidOnionPayload {
                record_type: BigSize::read(reader)?.0,
                offset: u16::read(reader)?,
            },
            codes::MPP_TIMEOUT => Self::MppTimeout,
            codes::INVALID_ONION_BLINDING => Self::InvalidOnionBlinding(hash(reader)?),
            code => Self::Unknown {
                code,
                data: reader.take_rest().to_vec(),
            },
        })
    }

    /// The failure that answers an onion that cannot be peeled; `hash` is that of its packet.
    pub const fn of_onion(error: OnionError, hash: OnionHash) -> Self {
        match error {
            OnionError::UnknownVersion(_) => Self::InvalidOnionVersion(hash),
            OnionError::InvalidKey => Self::InvalidOnionKey(hash),
            OnionError::InvalidHmac => Self::InvalidOnionHmac(hash),
            OnionError::InvalidPayloadLength => Self::InvalidOnionPayload {
                record_type: 0,
                offset: 0,
            },
        }
    }

    /// The failure to send upstream for what a downstream peer told in `update_fail_malformed_htlc`: its code, with the hash
    /// as data (BOLT 2, removing an HTLC). `None` when the code lacks BADONION: the peer broke the protocol.
    pub fn of_malformed(code: FailureCode, hash: OnionHash) -> Option<Self> {
        if !code.is_bad_onion() {
            return None;
        }
        Some(match code {
            codes::INVALID_ONION_VERSION => Self::InvalidOnionVersion(hash),
            codes::INVALID_ONION_HMAC => Self::InvalidOnionHmac(hash),
            codes::INVALID_ONION_KEY => Self::InvalidOnionKey(hash),
            codes::INVALID_ONION_BLINDING => Self::InvalidOnionBlinding(hash),
            code => Self::Unknown {
                code,
                data: hash.0.to_vec(),
            },
        })
    }
}

fn hash(reader: &mut Reader<'_>) -> Result<OnionHash, Flaw> {
    reader.take_array().map(|bytes| OnionHash(*bytes))
}

fn channel_update(reader: &mut Reader<'_>) -> Result<ChannelUpdateBytes, Flaw> {
    Vec::read(reader).map(ChannelUpdateBytes)
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Debug for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FailureCode({self})")
    }
}

impl fmt::Debug for OnionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnionHash({})", self.0.as_hex())
    }
}

impl fmt::Debug for ChannelUpdateBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelUpdateBytes({})", self.0.as_hex())
    }
}
