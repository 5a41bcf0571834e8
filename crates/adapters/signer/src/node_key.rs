//! What the node's own key is for, beside peeling onions: the transport, invoices, and what we say of our channels.

use quittance_manager::GossipToSign;
use quittance_primitives::{PaymentId, PaymentPreimage};
use secp256k1::ecdsa::RecoverableSignature;
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
        }
    }
}
