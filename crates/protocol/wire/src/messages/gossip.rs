//! BOLT 7: what nodes say publicly about channels and about themselves.
//!
//! A signature covers everything after the signatures, fields of the future included. The three signed messages
//! therefore keep every byte that they cannot interpret, and encode to exactly the bytes they were decoded from:
//! feature fields are kept as they came, and what follows the last field is `excess`, not an extension.

use bitcoin::constants::ChainHash;
use bitcoin::hashes::{Hash, sha256d};
use quittance_primitives::{ChannelId, CltvExpiryDelta, Features, MilliSatoshi, NodeId, ShortChannelId};
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use crate::address::NodeAddresses;
use crate::crc32c::crc32c;
use crate::field::{read_length_and_bytes, write_length_and_bytes};
use crate::forwarding_fee::ForwardingFee;
use crate::message::message;
use crate::{Flaw, Reader, Wire, WireMessage};

message! {
    /// Half of the signatures that announce a channel (BOLT 7, `announcement_signatures`).
    #[derive(Debug)]
    AnnouncementSignatures = 259 "announcement_signatures" {
        channel_id: ChannelId,
        short_channel_id: ShortChannelId,
        node_signature: Signature,
        bitcoin_signature: Signature,
    }
}

message! {
    /// A channel exists, and these two nodes own it (BOLT 7, `channel_announcement`).
    #[derive(Debug)]
    ChannelAnnouncement = 256 "channel_announcement" {
        node_signature_1: Signature,
        node_signature_2: Signature,
        bitcoin_signature_1: Signature,
        bitcoin_signature_2: Signature,
        features: FeatureBytes,
        chain_hash: ChainHash,
        short_channel_id: ShortChannelId,
        node_id_1: NodeId,
        node_id_2: NodeId,
        bitcoin_key_1: PublicKey,
        bitcoin_key_2: PublicKey,
        /// Fields of the future: signed, kept, not interpreted.
        excess: Excess,
    }
}

message! {
    /// What a node calls itself, can do and is reached at (BOLT 7, `node_announcement`).
    #[derive(Debug)]
    NodeAnnouncement = 257 "node_announcement" {
        signature: Signature,
        features: FeatureBytes,
        /// Seconds since 1970 by convention.
        timestamp: u32,
        node_id: NodeId,
        rgb_color: [u8; 3],
        /// UTF-8 by convention, filled up with zeros. Anyone can put anything here: escape it before it is shown.
        alias: [u8; 32],
        addresses: NodeAddresses,
        /// Fields of the future: signed, kept, not interpreted.
        excess: Excess,
    }
}

message! {
    /// What one end of a channel asks for forwarding through it (BOLT 7, `channel_update`).
    #[derive(Debug)]
    ChannelUpdate = 258 "channel_update" {
        signature: Signature,
        chain_hash: ChainHash,
        short_channel_id: ShortChannelId,
        /// Seconds since 1970 by convention.
        timestamp: u32,
        /// See [`ChannelUpdate::MUST_BE_ONE`] and [`ChannelUpdate::DONT_FORWARD`].
        message_flags: u8,
        /// See [`ChannelUpdate::DIRECTION`] and [`ChannelUpdate::DISABLE`].
        channel_flags: u8,
        cltv_expiry_delta: CltvExpiryDelta,
        htlc_minimum_msat: MilliSatoshi,
        /// In msat.
        fee_base_msat: u32,
        fee_proportional_millionths: u32,
        htlc_maximum_msat: MilliSatoshi,
        /// Fields of the future: signed, kept, not interpreted.
        excess: Excess,
    }
}

/// A feature field exactly as it came, needless zeros included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureBytes(pub Vec<u8>);

/// Everything that follows the fields we know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excess(pub Vec<u8>);

impl ChannelAnnouncement {
    /// The hash that all four signatures sign: of everything behind them.
    pub fn signature_hash(&self) -> secp256k1::Message {
        hash_without_signatures(self, 4)
    }
}

impl NodeAnnouncement {
    /// The hash that the node signs: of everything behind the signature.
    pub fn signature_hash(&self) -> secp256k1::Message {
        hash_without_signatures(self, 1)
    }
}

impl ChannelUpdate {
    /// Bit of `message_flags`: always set; receivers ignore it.
    pub const MUST_BE_ONE: u8 = 1;
    /// Bit of `message_flags`: for the channel's peer only.
    pub const DONT_FORWARD: u8 = 1 << 1;
    /// Bit of `channel_flags`: set when the sender is `node_id_2`.
    pub const DIRECTION: u8 = 1;
    /// Bit of `channel_flags`: the channel is not usable for now.
    pub const DISABLE: u8 = 1 << 1;

    /// The hash that the sender signs: of everything behind the signature.
    pub fn signature_hash(&self) -> secp256k1::Message {
        hash_without_signatures(self, 1)
    }

    /// What `checksums_tlv` says of this update: CRC32C of everything but signature and timestamp (BOLT 7).
    pub fn checksum(&self) -> u32 {
        let mut body = Vec::new();
        self.encode_body_into(&mut body);
        let (channel, rest) = body[64..].split_at(32 + 8);
        crc32c([channel, &rest[4..]])
    }

    /// What the sender charges for a forward into this channel.
    pub const fn forwarding_fee(&self) -> ForwardingFee {
        ForwardingFee {
            base_msat: self.fee_base_msat,
            proportional_millionths: self.fee_proportional_millionths,
        }
    }
}

impl FeatureBytes {
    /// The features that the bytes say.
    pub fn features(&self) -> Features {
        Features::from_be_bytes(&self.0)
    }
}

impl From<&Features> for FeatureBytes {
    fn from(features: &Features) -> Self {
        Self(features.to_be_bytes())
    }
}

impl Wire for FeatureBytes {
    fn write(&self, out: &mut Vec<u8>) {
        write_length_and_bytes(&self.0, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        read_length_and_bytes(reader).map(|bytes| Self(bytes.to_vec()))
    }
}

impl Wire for Excess {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(Self(reader.take_rest().to_vec()))
    }
}

/// BOLT 7: double SHA-256 of the message without its type and the signatures in front.
fn hash_without_signatures(message: &impl WireMessage, signatures: usize) -> secp256k1::Message {
    let mut body = Vec::new();
    message.encode_body_into(&mut body);
    let signed = &body[signatures * 64..];
    secp256k1::Message::from_digest(sha256d::Hash::hash(signed).to_byte_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generate, Source};
    use secp256k1::{SECP256K1, SecretKey};

    #[test]
    fn every_byte_behind_the_signatures_is_signed() {
        let key = SecretKey::from_slice(&[7; 32]).unwrap();
        let mut announcement = NodeAnnouncement::generate(&mut Source::new(&[5; 64]));
        // A feature field that is longer than it needs to be, and a field that we do not know.
        announcement.features = FeatureBytes(vec![0, 0, 1]);
        announcement.excess = Excess(vec![0xab]);
        announcement.signature = SECP256K1.sign_ecdsa(&announcement.signature_hash(), &key);

        let bytes = announcement.encode();
        let hash = sha256d::Hash::hash(&bytes[2 + 64..]).to_byte_array();
        assert_eq!(announcement.signature_hash().as_ref(), &hash);

        let received = NodeAnnouncement::decode_body(&bytes[2..]).unwrap();
        assert_eq!(received.encode(), bytes);
        assert_eq!(received.features.features().bits().collect::<Vec<_>>(), [0]);
        let verify = |received: &NodeAnnouncement| {
            SECP256K1.verify_ecdsa(
                &received.signature_hash(),
                &received.signature,
                &key.public_key(SECP256K1),
            )
        };
        assert_eq!(verify(&received), Ok(()));
        let altered = NodeAnnouncement {
            excess: Excess(vec![0xac]),
            ..received
        };
        assert_eq!(verify(&altered), Err(secp256k1::Error::IncorrectSignature));
    }

    #[test]
    fn a_checksum_tells_terms_apart_and_neither_time_nor_signature() {
        let update = ChannelUpdate::generate(&mut Source::new(&[11; 200]));
        let same_terms = ChannelUpdate {
            signature: Signature::from_compact(&[1; 64]).unwrap(),
            timestamp: update.timestamp + 1,
            ..update.clone()
        };
        let other_terms = ChannelUpdate {
            fee_base_msat: update.fee_base_msat + 1,
            ..update.clone()
        };
        let bytes = update.encode();
        let without_both = [&bytes[2 + 64..2 + 64 + 40], &bytes[2 + 64 + 44..]].concat();
        assert_eq!(update.checksum(), crc32c([&without_both[..]]));
        assert_eq!(same_terms.checksum(), update.checksum());
        assert_ne!(other_terms.checksum(), update.checksum());
    }

    #[test]
    fn a_channel_is_announced_over_everything_from_byte_256_of_its_body() {
        let announcement = ChannelAnnouncement::generate(&mut Source::new(&[9; 64]));
        let hash = sha256d::Hash::hash(&announcement.encode()[2 + 256..]).to_byte_array();
        assert_eq!(announcement.signature_hash().as_ref(), &hash);
    }
}
