//! Making an onion: from a session key and one payload for each hop to the packet for the first hop (BOLT 4, packet construction).
//!
//! The cost is two multiplications on the curve for each hop: the ephemeral key from its accumulated scalar, and the ECDH. Points
//! are never chained. What a hop will append when it shifts its payload out, the filler, is computed without running its packet.

use chacha20::cipher::{StreamCipher, StreamCipherSeek};
use quittance_wire::{BigSize, Wire};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::OnionPacket;
use crate::packet::{HMAC, MAX_AREA};
use crate::secret::{KeyType, SharedSecret, hmac};

/// One hop of an onion to be made: whom it is encrypted to, and what it shall read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnionHop {
    /// The node's id, or its blinded id inside a blinded path.
    pub node: PublicKey,
    /// The payload's TLV stream, without the length in front.
    pub payload: Vec<u8>,
}

/// A new onion and what its maker must keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOnion {
    /// The packet for the first hop.
    pub packet: OnionPacket,
    /// The secret shared with each hop, in order of the route: a failure is read with them. [`session_secrets`] yields them
    /// again from the session key.
    pub secrets: Vec<SharedSecret>,
}

/// Why no onion can be made. Nothing was sent; the caller may choose other hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// An onion needs at least one hop.
    #[error("an onion needs at least one hop")]
    NoHops,
    /// A payload of less than two bytes: those lengths are reserved.
    #[error("the payload of hop {0} is shorter than two bytes")]
    PayloadTooShort(usize),
    /// The payloads with their lengths and HMACs exceed the payload area.
    #[error("the payloads need {needed} bytes where {area} fit")]
    TooLong {
        /// Bytes needed.
        needed: usize,
        /// Bytes of the payload area.
        area: usize,
    },
    /// A blinding factor was no scalar of the curve, which happens once in 2^128: take another session key.
    #[error("the session key leads to an impossible blinding factor")]
    UnusableSessionKey,
}

/// Makes the onion that `hops` will peel, first to last. `session_key` must be fresh and random; `associated_data` is the payment hash
/// for a payment and empty for a message; `area` is the length of the payload area: [`crate::PAYMENT_AREA`], or as a message needs,
/// held at [`crate::MAX_AREA`].
///
/// # Errors
/// [`CreateError`].
pub fn create_onion(
    session_key: &SecretKey,
    hops: &[OnionHop],
    associated_data: &[u8],
    area: usize,
) -> Result<NewOnion, CreateError> {
    check_hops(hops, area)?;
    let (area, last) = (area.min(MAX_AREA), hops.len() - 1);
    let (first_key, secrets) = secrets_and_first_key(session_key, hops.iter().map(|hop| &hop.node))?;

    let filler = filler(&hops[..last], &secrets, area);
    let mut payloads = vec![0; area];
    SharedSecret::from_bytes(session_key.secret_bytes()).apply_stream(KeyType::Pad, &mut payloads);
    let mut next_hmac = [0; HMAC];
    for (index, (hop, secret)) in hops.iter().zip(&secrets).enumerate().rev() {
        let shift = hop.encoded_len();
        payloads.copy_within(..area - shift, shift);
        payloads[..shift].copy_from_slice(&hop.encode(&next_hmac));
        secret.apply_stream(KeyType::Rho, &mut payloads);
        if index == last {
            payloads[area - filler.len()..].copy_from_slice(&filler);
        }
        next_hmac = hmac(&*secret.key(KeyType::Mu), &[&payloads, associated_data]);
    }
    Ok(NewOnion {
        packet: OnionPacket::assemble(&first_key, &payloads, &next_hmac),
        secrets,
    })
}

/// Whether [`create_onion`] makes an onion of `hops`, asked without any work on the curve: it then fails for no session key that anybody
/// will ever draw.
///
/// # Errors
/// [`CreateError::NoHops`], [`CreateError::TooLong`] or [`CreateError::PayloadTooShort`].
pub fn check_hops(hops: &[OnionHop], area: usize) -> Result<(), CreateError> {
    if hops.is_empty() {
        return Err(CreateError::NoHops);
    }
    let needed = hops.iter().map(OnionHop::encoded_len).sum();
    let area = area.min(MAX_AREA);
    if needed > area {
        return Err(CreateError::TooLong { needed, area });
    }
    match hops.iter().position(|hop| hop.payload.len() < 2) {
        Some(short) => Err(CreateError::PayloadTooShort(short)),
        None => Ok(()),
    }
}

/// The secrets that a session key shares with the nodes of a route, in its order.
///
/// # Errors
/// [`CreateError::UnusableSessionKey`].
pub fn session_secrets(session_key: &SecretKey, route: &[PublicKey]) -> Result<Vec<SharedSecret>, CreateError> {
    secrets_and_first_key(session_key, route.iter()).map(|(_, secrets)| secrets)
}

fn secrets_and_first_key<'a>(
    session_key: &SecretKey,
    nodes: impl ExactSizeIterator<Item = &'a PublicKey>,
) -> Result<(PublicKey, Vec<SharedSecret>), CreateError> {
    let first_key = session_key.public_key(SECP256K1);
    let mut secrets = Vec::with_capacity(nodes.len());
    let (mut scalar, mut point) = (*session_key, first_key);
    let mut nodes = nodes.peekable();
    while let Some(node) = nodes.next() {
        let secret = SharedSecret::agree(node, &scalar);
        if nodes.peek().is_some() {
            scalar = secret
                .next_scalar(&point, &scalar)
                .ok_or(CreateError::UnusableSessionKey)?;
            point = scalar.public_key(SECP256K1);
        }
        secrets.push(secret);
    }
    scalar.non_secure_erase();
    Ok((first_key, secrets))
}

/// What the hops before the last will have appended, as the last one sees it.
fn filler(forwarding: &[OnionHop], secrets: &[SharedSecret], area: usize) -> Vec<u8> {
    let mut filler = Vec::with_capacity(forwarding.iter().map(OnionHop::encoded_len).sum());
    for (hop, secret) in forwarding.iter().zip(secrets) {
        let start = area - filler.len();
        filler.resize(filler.len() + hop.encoded_len(), 0);
        let mut stream = secret.stream(KeyType::Rho);
        stream.seek(start);
        stream.apply_keystream(&mut filler);
    }
    filler
}

impl OnionHop {
    /// Bytes that the hop takes of the payload area: length, payload, HMAC.
    fn encoded_len(&self) -> usize {
        BigSize(self.payload.len() as u64).encoded_len() + self.payload.len() + HMAC
    }

    fn encode(&self, next_hmac: &[u8; HMAC]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        BigSize(self.payload.len() as u64).write(&mut bytes);
        bytes.extend_from_slice(&self.payload);
        bytes.extend_from_slice(next_hmac);
        bytes
    }
}
