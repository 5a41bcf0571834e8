//! A node's secrets, in its own process, and everything that needs them: peeling onions, signing commitments, revealing the secrets of
//! revoked commitments.
//!
//! Everything follows from one seed of 32 bytes: the node's key, its invoice key, and for each channel, by the id that stands in its log,
//! the channel's keys and the seed of its per-commitment secrets. So a signer has no state but what it has derived ahead
//! ([`LocalSigner::prepare`]), and a node that has lost all but its seed
//! and its channels' logs can sign again.
//!
//! ```
//! use quittance_signer::LocalSigner;
//!
//! let signer = LocalSigner::new([7; 32]);
//! assert_eq!(signer.channel([1; 32]).keys.public_keys(), LocalSigner::new([7; 32]).channel([1; 32]).keys.public_keys());
//! ```

#![forbid(unsafe_code)]

mod ahead;
mod cores;
mod deriving;
mod enforce;
mod keys_ahead;
mod node_key;
mod spoken;

pub use ahead::SignedAhead;
pub use deriving::Deriving;
pub use keys_ahead::KeysAhead;
pub use spoken::who_signed;

use std::sync::Arc;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use quittance_channel::opening::NewChannelKeys;
use quittance_channel::{Attached, ChannelEffect, CommitmentToSign, Need, ReceivedOnion, SecretCheck};
use quittance_manager::Outgoing;
use quittance_onion::{Failure, OnionHash, OnionPacket, peel_with_key};
use quittance_primitives::{CommitmentNumber, NodeId};
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{CommitmentSeed, CommitmentSignatures};
use quittance_wire::{Message, UpdateAddHtlc};
use secp256k1::{SECP256K1, SecretKey};

/// A node's secrets. They are not shown by `Debug`.
#[derive(Clone)]
pub struct LocalSigner {
    seed: [u8; 32],
    node: SecretKey,
    node_id: NodeId,
    keys_ahead: Arc<KeysAhead>,
}

/// The secrets of one channel.
#[derive(Clone, Debug)]
pub struct ChannelSecrets {
    /// What signs.
    pub keys: ChannelSecretKeys,
    /// What the per-commitment secrets follow from.
    pub seed: CommitmentSeed,
}

impl LocalSigner {
    /// The secrets that follow from a seed of 32 unguessable bytes.
    pub fn new(seed: [u8; 32]) -> Self {
        let node = key_from(&seed, &[b"node"]);
        Self {
            seed,
            node,
            node_id: NodeId::from(node.public_key(SECP256K1)),
            keys_ahead: Arc::default(),
        }
    }

    /// From now on a thread on each of so many cores shares the signatures of a large commitment with the caller, those that are made and
    /// those that are checked. The caller makes them alone unless this is called, or if it is called with 1.
    pub fn use_cores(&self, count: usize) {
        self.keys_ahead.cores.set(count);
    }

    /// The node's id.
    pub const fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The key by which the node's invoices are made and recognised.
    pub fn invoice_key(&self) -> [u8; 32] {
        derive(&self.seed, &[b"invoices"])
    }

    /// The secrets of the channel whose log names `keys_id`.
    pub fn channel(&self, keys_id: [u8; 32]) -> ChannelSecrets {
        let key = |purpose: &[u8]| key_from(&self.seed, &[b"channel", &keys_id, purpose]);
        ChannelSecrets {
            keys: ChannelSecretKeys {
                funding: key(b"funding"),
                revocation_basepoint: key(b"revocation"),
                payment_basepoint: key(b"payment"),
                delayed_payment_basepoint: key(b"delayed payment"),
                htlc_basepoint: key(b"htlc"),
            },
            seed: self.commitment_seed(keys_id),
        }
    }

    fn commitment_seed(&self, keys_id: [u8; 32]) -> CommitmentSeed {
        CommitmentSeed::new(derive(&self.seed, &[b"channel", &keys_id, b"commitments"]))
    }

    /// Keys for a channel that is about to be opened, under an id that must be fresh.
    pub fn new_channel_keys(&self, keys_id: [u8; 32]) -> NewChannelKeys {
        let secrets = self.channel(keys_id);
        NewChannelKeys {
            keys: secrets.keys.public_keys(),
            signer_keys_id: keys_id,
            points: (
                secrets.seed.point(CommitmentNumber(0)),
                secrets.seed.point(CommitmentNumber(1)),
            ),
            upfront_shutdown_script: None,
        }
    }

    /// What the engine needs with a message. `keys_id` is that of the message's channel, `fresh_id` is for a channel that the message opens.
    ///
    /// # Panics
    /// When the engine asks for what the message does not have: a fault of ours.
    pub fn attach(&self, need: Need, keys_id: Option<[u8; 32]>, fresh_id: [u8; 32], message: &Message) -> Attached {
        let seed = || self.commitment_seed(keys_id.expect(OF_A_CHANNEL));
        match (need, message) {
            (Need::Nothing, _) => Attached::Nothing,
            (Need::NewChannel, _) => Attached::NewChannel(Box::new(self.new_channel_keys(fresh_id))),
            (Need::Onion, Message::UpdateAddHtlc(add)) => Attached::Onion(self.peel(add)),
            (Need::Point(number), _) => Attached::Point(self.point(keys_id.expect(OF_A_CHANNEL), number)),
            (Need::SecretCheck(number), Message::ChannelReestablish(message)) => {
                let ours = seed().secret(number).0 == message.your_last_per_commitment_secret;
                Attached::Secret(if ours { SecretCheck::Ours } else { SecretCheck::NotOurs })
            }
            (Need::Onion | Need::SecretCheck(_), _) => panic!("a need fits its message"),
        }
    }

    /// The message that a released effect stands for, signed or with the secret that is now due. `None` for an effect that is no message.
    pub fn complete(&self, outgoing: Outgoing) -> Option<Message> {
        match outgoing {
            Outgoing::Message(message) => Some(*message),
            Outgoing::Commitment(to_sign) => Some(to_sign.message(self.countersign(&to_sign))),
            Outgoing::Revocation(due) => {
                Some(due.message(self.commitment_seed(due.signer_keys_id()).secret(due.revoked())))
            }
            Outgoing::Opening(effect) => match *effect {
                ChannelEffect::SendFundingCreated(template) => {
                    let signature = self.countersign(template.commitment()).funding;
                    Some(template.message(signature))
                }
                ChannelEffect::SendFundingSigned(template) => {
                    let signature = self.countersign(template.commitment()).funding;
                    Some(template.message(signature))
                }
                _ => None,
            },
            Outgoing::Gossip(to_sign) => Some(self.sign_gossip(*to_sign)),
            Outgoing::Closing(to_sign) => {
                let keys = self.channel(to_sign.signer_keys_id).keys;
                let signatures: Vec<_> = to_sign
                    .transactions()
                    .iter()
                    .map(|one| keys.sign_closing(one))
                    .collect();
                Some(to_sign.message(&signatures))
            }
        }
    }

    fn countersign(&self, template: &CommitmentToSign) -> CommitmentSignatures {
        let keys = self.channel(template.signer_keys_id).keys;
        let CommitmentToSign { terms, contents, .. } = template;
        let (broadcaster, point) = (contents.broadcaster, contents.per_commitment_point);
        let derive = |htlc_outputs| {
            let ahead = self.keys_ahead.take(terms, contents, htlc_outputs);
            ahead.unwrap_or_else(|| keys.keys_of_theirs(terms, broadcaster, point, htlc_outputs))
        };
        keys.countersign_by(&template.build_with_keys(derive), |outputs, sign| {
            let parts = self
                .keys_ahead
                .cores
                .share(outputs, |_, part| part.iter().map(sign).collect::<Vec<_>>());
            parts.concat()
        })
    }

    /// Peels the onion of an HTLC that a peer offers.
    pub fn peel(&self, add: &UpdateAddHtlc) -> ReceivedOnion {
        let packet = OnionPacket::from_payment(&add.onion_routing_packet);
        let malformed = |failure: &Failure| ReceivedOnion::Malformed {
            failure_code: failure.code().0,
            sha256_of_onion: packet.sha256(),
        };
        match peel_with_key(&packet, &self.node, &add.payment_hash.0) {
            Ok((secret, peeled)) => ReceivedOnion::Peeled {
                shared_secret: secret.to_bytes(),
                payload: peeled.payload,
                next_packet: peeled
                    .next
                    .and_then(|next| next.as_payment().map(|bytes| Box::new(*bytes))),
            },
            Err(error) => malformed(&Failure::of_onion(error, OnionHash(packet.sha256()))),
        }
    }
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalSigner({})", self.node_id())
    }
}

const OF_A_CHANNEL: &str = "a need is that of a channel";

fn derive(seed: &[u8; 32], path: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(seed);
    for part in path {
        // Lengths keep two paths of the same bytes apart.
        engine.input(&(part.len() as u64).to_be_bytes());
        engine.input(part);
    }
    Hmac::from_engine(engine).to_byte_array()
}

fn key_from(seed: &[u8; 32], path: &[&[u8]]) -> SecretKey {
    SecretKey::from_slice(&derive(seed, path)).expect("a hash is a private key, but for one seed in 2^128")
}
