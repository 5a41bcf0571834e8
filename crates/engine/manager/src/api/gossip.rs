//! Messages of BOLT 7, for the signer to sign.

use quittance_wire::ChannelUpdate;
use secp256k1::ecdsa::Signature;

/// A message of BOLT 7 that is complete but for our signatures, in whose place there is [`GossipToSign::unsigned`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipToSign {
    /// What we ask for forwarding through a channel, to be signed by the node's key.
    Update(ChannelUpdate),
}

impl GossipToSign {
    /// What stands in the place of a signature that is still to be made. It is a signature of nothing.
    ///
    /// # Panics
    /// Never: the bytes have a signature's form.
    pub fn unsigned() -> Signature {
        Signature::from_compact(&[1; 64]).expect("two small scalars have a signature's form")
    }
}
