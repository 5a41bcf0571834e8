//! An HTLC's onion opened in one call, and how the HTLC is refused when that fails (BOLT 2, removing an HTLC; BOLT 4).

use quittance_primitives::PaymentHash;
use secp256k1::{PublicKey, SecretKey};

use crate::payload_records::record;
use crate::peel::{blinded_packet_key, blinded_secret_key, peel_at};
use crate::{
    Blinding, Failure, FailureCode, IncomingHtlc, OnionError, OnionHash, OnionPacket, Payload, PayloadRecords,
    SharedSecret, judge_payload,
};

/// The one thing that opening an onion needs the node's private key for.
pub trait NodeKey {
    /// The ECDH of the node's key with `point`.
    fn agree(&self, point: &PublicKey) -> SharedSecret;

    /// The ECDH of our blinded key with a packet's ephemeral key. A node that can tweak its key does this with one multiplication less.
    ///
    /// # Errors
    /// [`OnionError::InvalidKey`], with a probability of 2^-128.
    fn agree_blinded(&self, packet_key: &PublicKey, blinding: &SharedSecret) -> Result<SharedSecret, OnionError> {
        Ok(self.agree(&blinded_packet_key(packet_key, blinding)?))
    }
}

/// An HTLC's onion, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedOnion {
    /// The secret shared with the origin: failures and attribution data are made with it.
    pub secret: SharedSecret,
    /// What to do with the HTLC.
    pub payload: Payload,
    /// Our place, which decides how a failure is told.
    pub role: PathRole,
}

/// Where a hop stands towards a blinded path. It decides how failures are told, so that nobody can probe the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathRole {
    /// In no blinded path, or the last hop of one that begins with it: failures are told as they are.
    Open,
    /// The first hop of a blinded path: every failure, also from downstream, becomes `invalid_onion_blinding`, after a random delay.
    Introduction,
    /// A later hop: every failure becomes `invalid_onion_blinding` in `update_fail_malformed_htlc`.
    Inside,
}

/// How an HTLC is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// By `update_fail_htlc`: a [`crate::ReturnPacket`] made with the secret.
    Fail {
        /// The secret shared with the origin.
        secret: SharedSecret,
        /// What is told to the origin.
        failure: Failure,
    },
    /// By `update_fail_malformed_htlc`.
    Malformed {
        /// A code with BADONION.
        code: FailureCode,
        /// The hash of the onion as it came.
        hash: OnionHash,
    },
}

/// Opens the onion of an HTLC: peels it, opens the recipient data of a blinded hop, and judges the payload.
///
/// # Errors
/// The [`Refusal`] that BOLT 4 demands.
pub fn open_onion(
    packet: &OnionPacket,
    payment_hash: &PaymentHash,
    htlc: &IncomingHtlc,
    node: &impl NodeKey,
) -> Result<OpenedOnion, Refusal> {
    let hash = || OnionHash(packet.sha256());
    let outside = if htlc.path_key.is_some() {
        PathRole::Inside
    } else {
        PathRole::Open
    };
    let mut blinding = htlc.path_key.map(|path_key| Blinding {
        path_key,
        secret: node.agree(&path_key),
    });
    let unreadable = |error| Refusal::of_unreadable(error, outside, hash());
    let packet_key = packet.public_key().map_err(unreadable)?;
    let secret = match &blinding {
        Some(blinding) => node.agree_blinded(&packet_key, &blinding.secret).map_err(unreadable)?,
        None => node.agree(&packet_key),
    };
    let peeled = peel_at(packet, &packet_key, &secret, &payment_hash.0).map_err(|error| match error {
        // The HMAC was right, so the secret is too, and the origin can be told.
        OnionError::InvalidPayloadLength => outside.refuse(Failure::of_onion(error, hash()), &secret, hash()),
        OnionError::UnknownVersion(_) | OnionError::InvalidKey | OnionError::InvalidHmac => unreadable(error),
    })?;

    let role = match outside {
        PathRole::Open if peeled.next.is_some() && has_path_key(&peeled.payload) => PathRole::Introduction,
        other => other,
    };
    let refuse = |failure| role.refuse(failure, &secret, hash());
    let records = PayloadRecords::decode(&peeled.payload).map_err(|invalid| refuse(invalid.into()))?;
    let path_key = records
        .path_key(&peeled.payload, htlc)
        .map_err(|invalid| refuse(invalid.into()))?;
    if blinding.is_none() {
        blinding = path_key.map(|path_key| Blinding {
            path_key,
            secret: node.agree(&path_key),
        });
    }
    let payload = judge_payload(peeled, records, htlc, blinding.as_ref()).map_err(refuse)?;
    Ok(OpenedOnion { secret, payload, role })
}

impl PathRole {
    /// How an HTLC is refused, for a failure of ours or one that came from downstream, by a hop in this place. `hash` is that of the
    /// onion as it came to us.
    pub fn refuse(self, failure: Failure, secret: &SharedSecret, hash: OnionHash) -> Refusal {
        let blinding = Failure::InvalidOnionBlinding(hash);
        let fail = |failure| Refusal::Fail {
            secret: secret.clone(),
            failure,
        };
        match self {
            Self::Open => fail(failure),
            Self::Introduction => fail(blinding),
            Self::Inside => Refusal::Malformed {
                code: blinding.code(),
                hash,
            },
        }
    }
}

impl Refusal {
    /// Without a secret nothing can be told to the origin but by the peer before us.
    fn of_unreadable(error: OnionError, role: PathRole, hash: OnionHash) -> Self {
        let failure = match role {
            PathRole::Inside => Failure::InvalidOnionBlinding(hash),
            PathRole::Open | PathRole::Introduction => Failure::of_onion(error, hash),
        };
        Self::Malformed {
            code: failure.code(),
            hash,
        }
    }
}

/// Whether a payload names a path key, even if it is malformed further on.
fn has_path_key(payload: &[u8]) -> bool {
    quittance_wire::TlvStream::new(payload)
        .map_while(Result::ok)
        .any(|record| record.record_type == record::CURRENT_PATH_KEY)
}

impl NodeKey for SecretKey {
    fn agree(&self, point: &PublicKey) -> SharedSecret {
        SharedSecret::agree(point, self)
    }

    fn agree_blinded(&self, packet_key: &PublicKey, blinding: &SharedSecret) -> Result<SharedSecret, OnionError> {
        Ok(SharedSecret::agree(packet_key, &blinded_secret_key(self, blinding)?))
    }
}
