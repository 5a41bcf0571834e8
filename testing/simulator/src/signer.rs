//! A node's secrets, and everything that needs them: peeling onions, signing commitments, revealing revoked secrets.

use std::collections::BTreeMap;

use quittance_channel::opening::NewChannelKeys;
use quittance_channel::{Attached, ChannelEffect, CommitmentToSign, Need, ReceivedOnion, SecretCheck};
use quittance_manager::Outgoing;
use quittance_onion::{Failure, OnionHash, OnionPacket, SharedSecret, peel};
use quittance_primitives::{CommitmentNumber, NodeId};
use quittance_transactions::CommitmentSeed;
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_wire::{Message, UpdateAddHtlc};
use secp256k1::{SECP256K1, SecretKey};

/// A node's secrets.
#[derive(Clone, Debug)]
pub struct Signer {
    node: SecretKey,
    channels: BTreeMap<[u8; 32], ChannelSecrets>,
    opened: u8,
}

/// The secrets of one channel.
#[derive(Clone, Debug)]
pub struct ChannelSecrets {
    /// What signs.
    pub keys: ChannelSecretKeys,
    /// What the per-commitment secrets follow from.
    pub seed: CommitmentSeed,
}

impl Signer {
    /// The secrets of node `number`.
    pub fn new(number: u8) -> Self {
        let node = SecretKey::from_slice(&[number + 1; 32]).expect("a private key");
        Self {
            node,
            channels: BTreeMap::new(),
            opened: 0,
        }
    }

    /// The node's id.
    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.node.public_key(SECP256K1))
    }

    /// Makes the secrets of a new channel.
    pub fn new_channel(&mut self, keys_id: [u8; 32]) -> &ChannelSecrets {
        let key = |number: u8| {
            let mut bytes = keys_id;
            bytes[0] = number;
            bytes[31] |= 1;
            SecretKey::from_slice(&bytes).expect("a private key")
        };
        let mut seed = keys_id;
        seed[0] = 6;
        let secrets = ChannelSecrets {
            keys: ChannelSecretKeys {
                funding: key(1),
                revocation_basepoint: key(2),
                payment_basepoint: key(3),
                delayed_payment_basepoint: key(4),
                htlc_basepoint: key(5),
            },
            seed: CommitmentSeed::new(seed),
        };
        self.channels.entry(keys_id).or_insert(secrets)
    }

    /// Keys for a channel that is about to be opened.
    pub fn new_channel_keys(&mut self) -> NewChannelKeys {
        self.opened += 1;
        let mut signer_keys_id = [0x22; 32];
        signer_keys_id[1] = self.opened;
        signer_keys_id[2..31].copy_from_slice(&self.node_id().0[..29]);
        let secrets = self.new_channel(signer_keys_id);
        NewChannelKeys {
            keys: secrets.keys.public_keys(),
            signer_keys_id,
            points: (
                secrets.seed.point(CommitmentNumber(0)),
                secrets.seed.point(CommitmentNumber(1)),
            ),
            upfront_shutdown_script: None,
        }
    }

    /// What the engine needs with a message.
    ///
    /// # Panics
    /// When the engine asks for what the message does not have.
    pub fn attach(&mut self, need: Need, keys_id: Option<[u8; 32]>, message: &Message) -> Attached {
        let channel = |signer: &Self| signer.channels[&keys_id.expect("a need is that of a channel")].clone();
        match (need, message) {
            (Need::Nothing, _) => Attached::Nothing,
            (Need::NewChannel, _) => Attached::NewChannel(Box::new(self.new_channel_keys())),
            (Need::Onion, Message::UpdateAddHtlc(add)) => Attached::Onion(self.peel(add)),
            (Need::Point(number), _) => Attached::Point(channel(self).seed.point(number)),
            (Need::SecretCheck(number), Message::ChannelReestablish(message)) => {
                let ours = channel(self).seed.secret(number).0 == message.your_last_per_commitment_secret;
                Attached::Secret(if ours { SecretCheck::Ours } else { SecretCheck::NotOurs })
            }
            (Need::Onion | Need::SecretCheck(_), _) => panic!("a need fits its message"),
        }
    }

    /// The message that an effect stands for, signed or with its secret.
    ///
    /// # Panics
    /// When it is an opening's effect that is no message.
    pub fn complete(&self, outgoing: Outgoing) -> Message {
        match outgoing {
            Outgoing::Message(message) => *message,
            Outgoing::Commitment(to_sign) => {
                let keys = &self.channels[&to_sign.signer_keys_id].keys;
                to_sign.message(keys.countersign(&to_sign.build()))
            }
            Outgoing::Revocation(due) => {
                let seed = &self.channels[&due.signer_keys_id()].seed;
                due.message(seed.secret(due.revoked()))
            }
            Outgoing::Closing(to_sign) => {
                let keys = &self.channels[&to_sign.signer_keys_id].keys;
                let signatures: Vec<_> = to_sign
                    .transactions()
                    .iter()
                    .map(|one| keys.sign_closing(one))
                    .collect();
                to_sign.message(&signatures)
            }
            Outgoing::Opening(effect) => self.sign_opening(&effect),
        }
    }

    fn sign_opening(&self, effect: &ChannelEffect) -> Message {
        let sign = |template: &CommitmentToSign| {
            self.channels[&template.signer_keys_id]
                .keys
                .countersign(&template.build())
                .funding
        };
        match effect {
            ChannelEffect::SendFundingCreated(template) => template.message(sign(template.commitment())),
            ChannelEffect::SendFundingSigned(template) => template.message(sign(template.commitment())),
            other => panic!("{other:?} opens no channel"),
        }
    }

    fn peel(&self, add: &UpdateAddHtlc) -> ReceivedOnion {
        let packet = OnionPacket::from_payment(&add.onion_routing_packet);
        let malformed = |failure: &Failure| ReceivedOnion::Malformed {
            failure_code: failure.code().0,
            sha256_of_onion: packet.sha256(),
        };
        let key = match packet.public_key() {
            Ok(key) => key,
            Err(error) => return malformed(&Failure::of_onion(error, OnionHash(packet.sha256()))),
        };
        let secret = SharedSecret::agree(&key, &self.node);
        match peel(&packet, &secret, &add.payment_hash.0) {
            Ok(peeled) => ReceivedOnion::Peeled {
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
