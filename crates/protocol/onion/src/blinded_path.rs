//! Blinded paths: made by a recipient that does not want to be found, followed hop by hop (BOLT 4, route blinding).
//!
//! The maker chooses a session key and shares a secret with each node of the path. From it come the node's blinded id, the key that its
//! [`RecipientData`] is sealed with, and the next path key. The sender sees blinded ids and sealed data; each hop opens its own.
//! Not here: what a payment pays for a path ([`crate::BlindedPayInfo`]), and onions along one ([`crate::create_message`]).

use quittance_primitives::ShortChannelId;
use quittance_wire::{Flaw, Reader, TlvValue, Wire, read_exactly};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};

use crate::recipient_data::RecipientDataError;
use crate::secret::{KeyType, SharedSecret};
use crate::{CreateError, RecipientData};

/// A blinded path, as its maker hands it out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlindedPath {
    /// The first node, which alone goes by its own name.
    pub introduction: IntroductionNode,
    /// The path key for the first node.
    pub first_path_key: PublicKey,
    /// All hops, the introduction node first, the recipient last.
    pub hops: Vec<BlindedHop>,
}

/// One hop of a blinded path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlindedHop {
    /// The blinded id that an onion is encrypted to.
    pub blinded_node_id: PublicKey,
    /// The hop's [`RecipientData`], sealed.
    pub encrypted_recipient_data: Vec<u8>,
}

/// How a path names its first node (BOLT 1, `sciddir_or_pubkey`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntroductionNode {
    /// By its id.
    Node(PublicKey),
    /// As an end of an announced channel.
    Channel {
        /// Which end.
        end: ChannelEnd,
        /// The channel.
        short_channel_id: ShortChannelId,
    },
}

/// An end of an announced channel, as its announcement orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelEnd {
    /// `node_id_1`.
    Node1,
    /// `node_id_2`.
    Node2,
}

/// A node of a path to be made, and what it shall be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathNode {
    /// The node's id.
    pub node: PublicKey,
    /// Its instructions.
    pub data: RecipientData,
}

/// A new blinded path and what its maker knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlindedPath {
    /// The path to hand out.
    pub path: BlindedPath,
    /// The secret shared with each hop.
    pub secrets: Vec<SharedSecret>,
    /// The path key of each hop. The last is what the recipient will receive when the path is used.
    pub path_keys: Vec<PublicKey>,
}

/// Makes a path through `nodes`, the recipient last. `session_key` must be fresh and random. The data is sealed as it is:
/// [`RecipientData::pad_to_one_length`] first.
///
/// # Errors
/// [`CreateError::NoHops`], [`CreateError::UnusableSessionKey`].
pub fn create_blinded_path(session_key: &SecretKey, nodes: &[PathNode]) -> Result<NewBlindedPath, CreateError> {
    let introduction = nodes.first().ok_or(CreateError::NoHops)?.node;
    let first_path_key = session_key.public_key(SECP256K1);
    let (mut secrets, mut path_keys, mut hops) = (Vec::new(), Vec::new(), Vec::new());
    let (mut scalar, mut path_key) = (*session_key, first_path_key);
    for (index, PathNode { node, data }) in nodes.iter().enumerate() {
        let secret = SharedSecret::agree(node, &scalar);
        hops.push(BlindedHop {
            blinded_node_id: blinded_node_id(node, &secret).ok_or(CreateError::UnusableSessionKey)?,
            encrypted_recipient_data: data.seal(&secret),
        });
        path_keys.push(path_key);
        if index + 1 < nodes.len() {
            scalar = secret
                .next_scalar(&path_key, &scalar)
                .ok_or(CreateError::UnusableSessionKey)?;
            path_key = scalar.public_key(SECP256K1);
        }
        secrets.push(secret);
    }
    scalar.non_secure_erase();
    Ok(NewBlindedPath {
        path: BlindedPath {
            introduction: IntroductionNode::Node(introduction),
            first_path_key,
            hops,
        },
        secrets,
        path_keys,
    })
}

/// What a hop finds in a blinded path: its instructions, and the path key to hand on. `secret` is the ECDH of its key with `path_key`.
///
/// # Errors
/// [`RecipientDataError`].
pub fn unblind(
    path_key: &PublicKey,
    secret: &SharedSecret,
    encrypted_recipient_data: &[u8],
) -> Result<(RecipientData, PublicKey), RecipientDataError> {
    let data = RecipientData::open(encrypted_recipient_data, secret)?;
    let next = next_path_key(&data, path_key, secret)?;
    Ok((data, next))
}

/// The path key to hand on: the one of another path where that begins, else the next of this path.
pub(crate) fn next_path_key(
    data: &RecipientData,
    path_key: &PublicKey,
    secret: &SharedSecret,
) -> Result<PublicKey, RecipientDataError> {
    match data.next_path_key_override {
        Some(replaced) => Ok(replaced),
        None => secret.next_point(path_key).ok_or(RecipientDataError::NotForUs),
    }
}

fn blinded_node_id(node: &PublicKey, secret: &SharedSecret) -> Option<PublicKey> {
    let tweak = Scalar::from_be_bytes(*secret.key(KeyType::BlindedNodeId)).ok()?;
    node.mul_tweak(SECP256K1, &tweak).ok()
}

impl BlindedPath {
    /// This path with another behind it. Our last hop must have been told `next`'s first path key in
    /// [`RecipientData::next_path_key_override`].
    #[must_use]
    pub fn followed_by(mut self, next: &Self) -> Self {
        self.hops.extend(next.hops.iter().cloned());
        self
    }
}

impl Wire for IntroductionNode {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Node(node) => node.write(out),
            Self::Channel { end, short_channel_id } => {
                out.push(match end {
                    ChannelEnd::Node1 => 0,
                    ChannelEnd::Node2 => 1,
                });
                short_channel_id.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let mut channel = reader.clone();
        let end = match u8::read(&mut channel)? {
            0 => ChannelEnd::Node1,
            1 => ChannelEnd::Node2,
            _ => return PublicKey::read(reader).map(Self::Node),
        };
        let short_channel_id = ShortChannelId::read(&mut channel)?;
        *reader = channel;
        Ok(Self::Channel { end, short_channel_id })
    }
}

impl Wire for BlindedHop {
    fn write(&self, out: &mut Vec<u8>) {
        self.blinded_node_id.write(out);
        self.encrypted_recipient_data.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(Self {
            blinded_node_id: Wire::read(reader)?,
            encrypted_recipient_data: Wire::read(reader)?,
        })
    }
}

impl Wire for BlindedPath {
    /// # Panics
    /// If the path has more than 255 hops.
    fn write(&self, out: &mut Vec<u8>) {
        self.introduction.write(out);
        self.first_path_key.write(out);
        out.push(u8::try_from(self.hops.len()).expect("a path has at most 255 hops"));
        self.hops.iter().for_each(|hop| hop.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let introduction = Wire::read(reader)?;
        let first_path_key = Wire::read(reader)?;
        let count = u8::read(reader)?;
        Ok(Self {
            introduction,
            first_path_key,
            hops: (0..count).map(|_| BlindedHop::read(reader)).collect::<Result<_, _>>()?,
        })
    }
}

impl TlvValue for BlindedPath {
    fn write_value(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        read_exactly(bytes)
    }
}
