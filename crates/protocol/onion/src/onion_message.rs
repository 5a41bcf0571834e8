//! Onion messages: made along a blinded path, peeled hop by hop, answered by a reply path (BOLT 4, onion messages).
//!
//! Every hop of a message is blinded, also those that the sender adds in front to reach the path's first node. There are no errors to
//! return: what cannot be used is ignored, and [`IgnoredMessage`] says why for our own log. What the contents mean is not known here.

use std::collections::BTreeMap;

use quittance_wire::{OnionMessage, TlvError, TlvStream, TlvWriter};
use secp256k1::{PublicKey, SecretKey};

use crate::blinded_path::next_path_key;
use crate::packet::OVERHEAD;
use crate::peel::peel_at;
use crate::recipient_data::value;
use crate::{
    BlindedPath, CreateError, MAX_AREA, NextHop, NodeKey, OnionError, OnionHop, OnionPacket, PAYMENT_AREA,
    PacketTooShort, PathNode, RecipientData, RecipientDataError, create_blinded_path, create_onion,
};

/// What a message says to its recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageContents {
    /// Where to send an answer.
    pub reply_path: Option<BlindedPath>,
    /// Everything else, by record type. Payloads have types from 64; a message carries one.
    pub records: BTreeMap<u64, Vec<u8>>,
}

/// What a hop is to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenedMessage {
    /// Pass it on.
    Forward {
        /// Where to.
        next_hop: NextHop,
        /// The message for that peer.
        message: OnionMessage,
    },
    /// It is for us.
    Receive {
        /// What we put into the path to recognise it. A message by a reply path must answer what that path was given out for, and
        /// an answer must come by it.
        path_id: Option<Vec<u8>>,
        /// What it says.
        contents: MessageContents,
    },
}

/// Why a message is ignored. Nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoredMessage {
    /// The packet is too short to be one.
    #[error(transparent)]
    TooShort(#[from] PacketTooShort),
    /// The packet does not peel.
    #[error(transparent)]
    Unpeelable(#[from] OnionError),
    /// What was peeled is no TLV stream of this kind, or holds an unknown even record.
    #[error("the message: {0}")]
    Malformed(#[from] TlvError),
    /// The instructions are missing.
    #[error("the message has no recipient data")]
    NoRecipientData,
    /// The instructions cannot be opened.
    #[error(transparent)]
    RecipientData(#[from] RecipientDataError),
    /// The instructions allow features that are unknown.
    #[error("the recipient data names unknown features")]
    UnknownFeatures,
    /// A forwarding hop is told more than its instructions, or a secret of the recipient.
    #[error("a hop to forward by is told what is for the recipient")]
    ForwardWithContents,
    /// A forwarding hop is not told where to forward to.
    #[error("the recipient data names no next hop")]
    NoNextHop,
    /// Several payloads in one message.
    #[error("the message has {0} payloads")]
    SeveralPayloads(usize),
}

/// Types of a message's records.
mod record {
    pub(super) const REPLY_PATH: u64 = 2;
    pub(super) const ENCRYPTED_RECIPIENT_DATA: u64 = 4;
    /// The first type of the payloads for the recipient.
    pub(super) const PAYLOADS: u64 = 64;
}

/// The payload area of a message that does not fit the usual one: packets shall be of 1,366 or 32,834 bytes.
const LARGE_AREA: usize = 32_768;

/// Makes the message that travels along `path` to its end. `session_key` must be fresh and random. It goes to the path's introduction
/// node.
///
/// # Errors
/// [`CreateError`].
///
/// # Panics
/// If the contents' records hold a reply path or recipient data (types 2, 4): those are not the caller's to write.
pub fn create_message(
    session_key: &SecretKey,
    path: &BlindedPath,
    contents: &MessageContents,
) -> Result<OnionMessage, CreateError> {
    let last = path.hops.len().checked_sub(1).ok_or(CreateError::NoHops)?;
    let nothing = MessageContents::default();
    let hops: Vec<_> = path
        .hops
        .iter()
        .enumerate()
        .map(|(index, hop)| OnionHop {
            node: hop.blinded_node_id,
            payload: if index == last { contents } else { &nothing }.encode_with(&hop.encrypted_recipient_data),
        })
        .collect();
    let onion = [PAYMENT_AREA, LARGE_AREA, MAX_AREA]
        .into_iter()
        .map(|area| create_onion(session_key, &hops, &[], area))
        .find(|onion| !matches!(onion, Err(CreateError::TooLong { area, .. }) if *area < MAX_AREA))
        .expect("the largest area is not passed over")?;
    Ok(OnionMessage {
        path_key: path.first_path_key,
        onion_message_packet: onion.packet.as_bytes().to_vec(),
    })
}

/// The path of our own making through `nodes`, to hand to [`create_message`]: to the last of them, or on along `destination`, whose
/// introduction node then comes last in `nodes`.
///
/// # Errors
/// [`CreateError::NoHops`], [`CreateError::UnusableSessionKey`].
pub fn message_path(
    session_key: &SecretKey,
    nodes: &[PublicKey],
    destination: Option<&BlindedPath>,
) -> Result<BlindedPath, CreateError> {
    // The destination's first node is reached under its blinded id; only the node before it learns its name.
    let ours = match destination {
        Some(_) => nodes.split_last().map_or(nodes, |(_, before)| before),
        None => nodes,
    };
    if let (true, Some(path)) = (ours.is_empty(), destination) {
        return Ok(path.clone());
    }
    let path_nodes: Vec<_> = ours
        .iter()
        .enumerate()
        .map(|(index, node)| PathNode {
            node: *node,
            data: RecipientData {
                next_node_id: nodes.get(index + 1).copied(),
                next_path_key_override: destination
                    .filter(|_| index + 1 == ours.len())
                    .map(|path| path.first_path_key),
                ..RecipientData::default()
            },
        })
        .collect();
    let path = create_blinded_path(session_key, &path_nodes)?.path;
    Ok(destination.map_or(path.clone(), |next| path.followed_by(next)))
}

/// Opens a message at a hop. `known` are the types of even payloads that some part of the node understands; another one of even type makes
/// the message unusable.
///
/// # Errors
/// [`IgnoredMessage`].
pub fn open_message(
    message: &OnionMessage,
    node: &impl NodeKey,
    known: &[u64],
) -> Result<OpenedMessage, IgnoredMessage> {
    let packet = OnionPacket::from_bytes(message.onion_message_packet.clone())?;
    let blinding = node.agree(&message.path_key);
    let packet_key = packet.public_key()?;
    let secret = node.agree_blinded(&packet_key, &blinding)?;
    let peeled = peel_at(&packet, &packet_key, &secret, &[])?;
    let (contents, sealed) = MessageContents::decode(&peeled.payload, known)?;
    let data = RecipientData::open(sealed.ok_or(IgnoredMessage::NoRecipientData)?, &blinding)?;
    if !data.features_are_known() {
        return Err(IgnoredMessage::UnknownFeatures);
    }
    match peeled.next {
        Some(next) => {
            if contents != MessageContents::default() || data.path_id.is_some() {
                return Err(IgnoredMessage::ForwardWithContents);
            }
            let next_hop = match (data.next_node_id, data.short_channel_id) {
                (Some(node), _) => NextHop::Node(node),
                (None, Some(channel)) => NextHop::Channel(channel),
                (None, None) => return Err(IgnoredMessage::NoNextHop),
            };
            let message = OnionMessage {
                path_key: next_path_key(&data, &message.path_key, &blinding)?,
                onion_message_packet: next.as_bytes().to_vec(),
            };
            Ok(OpenedMessage::Forward { next_hop, message })
        }
        None => match contents.records.range(record::PAYLOADS..).count() {
            0 | 1 => Ok(OpenedMessage::Receive {
                path_id: data.path_id,
                contents,
            }),
            count => Err(IgnoredMessage::SeveralPayloads(count)),
        },
    }
}

impl MessageContents {
    fn encode_with(&self, encrypted_recipient_data: &[u8]) -> Vec<u8> {
        let mut records = self.records.clone();
        let reply_path = self.reply_path.as_ref().map(|path| (record::REPLY_PATH, value(path)));
        let recipient_data = (record::ENCRYPTED_RECIPIENT_DATA, encrypted_recipient_data.to_vec());
        for (record_type, value) in reply_path.into_iter().chain([recipient_data]) {
            let twice = records.insert(record_type, value);
            assert!(twice.is_none(), "record {record_type} has a field of its own");
        }
        let mut out = Vec::new();
        let mut writer = TlvWriter::new(&mut out);
        for (record_type, value) in &records {
            writer.bytes(*record_type, value);
        }
        out
    }

    /// Reads a hop's payload: the contents, and the sealed recipient data.
    fn decode<'a>(payload: &'a [u8], known: &[u64]) -> Result<(Self, Option<&'a [u8]>), TlvError> {
        let (mut contents, mut sealed) = (Self::default(), None);
        for record in TlvStream::new(payload) {
            let record = record?;
            match record.record_type {
                record::REPLY_PATH => contents.reply_path = Some(record.value()?),
                record::ENCRYPTED_RECIPIENT_DATA => sealed = Some(record.bytes),
                other => {
                    if !known.contains(&other) {
                        record.ignore()?;
                    }
                    contents.records.insert(other, record.bytes.to_vec());
                }
            }
        }
        Ok((contents, sealed))
    }
}

const _: () = assert!(PAYMENT_AREA + OVERHEAD == 1_366 && LARGE_AREA + OVERHEAD == 32_834);
