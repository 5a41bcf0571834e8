//! What the node's own key is for, beside peeling onions: the transport, invoices, and what we say of our channels.

use quittance_manager::{AnnouncementEnd, AnnouncementToSign, GossipToSign};
use quittance_primitives::{PaymentId, PaymentPreimage};
use quittance_wire::AnnouncementSignatures;
use secp256k1::ecdsa::{RecoverableSignature, Signature};
use secp256k1::{Message, SECP256K1, SecretKey};

use crate::{LocalSigner, derive};

impl LocalSigner {
    /// The key by which peers know us (BOLT 8). The transport needs the key itself.
    pub const fn transport_key(&self) -> SecretKey {
        self.node
    }

    /// Signs an invoice's hash, so that the payee can be told from it (BOLT 11).
    pub fn sign_invoice(&self, hash: [u8; 32]) -> RecoverableSignature {
        SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(hash), &self.node)
    }

    /// The preimage of a spontaneous payment of ours: the same for the same id, so that a caller may ask twice (bLIP 3).
    pub fn keysend_preimage(&self, id: &PaymentId) -> PaymentPreimage {
        PaymentPreimage(derive(&self.seed, &[b"keysend", &id.0]))
    }

    /// Signs what we say of our channels (BOLT 7). The same content gives the same signature.
    pub(crate) fn sign_gossip(&self, to_sign: GossipToSign) -> quittance_wire::Message {
        match to_sign {
            GossipToSign::Update(mut update) => {
                update.signature = SECP256K1.sign_ecdsa(&update.signature_hash(), &self.node);
                update.into()
            }
            GossipToSign::Node(mut node) => {
                node.signature = SECP256K1.sign_ecdsa(&node.signature_hash(), &self.node);
                (*node).into()
            }
            GossipToSign::Signatures(to_sign) => {
                let (node_signature, bitcoin_signature) = self.sign_announcement(&to_sign);
                AnnouncementSignatures {
                    channel_id: to_sign.channel_id,
                    short_channel_id: to_sign.announcement.short_channel_id,
                    node_signature,
                    bitcoin_signature,
                }
                .into()
            }
            GossipToSign::Announcement(to_sign) => {
                let (node, bitcoin) = self.sign_announcement(&to_sign);
                let mut whole = to_sign.announcement;
                match to_sign.ours {
                    AnnouncementEnd::First => (whole.node_signature_1, whole.bitcoin_signature_1) = (node, bitcoin),
                    AnnouncementEnd::Second => (whole.node_signature_2, whole.bitcoin_signature_2) = (node, bitcoin),
                }
                whole.into()
            }
        }
    }

    /// By the node's key, and by the channel's funding key.
    fn sign_announcement(&self, to_sign: &AnnouncementToSign) -> (Signature, Signature) {
        let hash = to_sign.announcement.signature_hash();
        let funding = self.channel(to_sign.signer_keys_id).keys.funding;
        (
            SECP256K1.sign_ecdsa(&hash, &self.node),
            SECP256K1.sign_ecdsa(&hash, &funding),
        )
    }
}
